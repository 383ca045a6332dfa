using System.Globalization;
using System.Text.RegularExpressions;
using FunctionsRegistry.Errors;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>MLflow's rules for names, keys, values and ids (mlflow/utils/validation.py). All throw INVALID_PARAMETER_VALUE.</summary>
public static partial class MlflowNames
{
    /// <summary>Longest key of a metric, param or tag, in UTF-16 units.</summary>
    public const int MaxKeyLength = 250;

    /// <summary>Longest value of a param.</summary>
    public const int MaxParamLength = 6000;

    /// <summary>Longest value of a tag.</summary>
    public const int MaxTagLength = 8000;

    private const string KeyRule =
        "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colons (:) and slashes (/).";

    /// <summary>The key of a metric, param or tag. <paramref name="what"/>: <c>metric</c>, <c>parameter</c> or <c>tag</c>.</summary>
    public static string CheckKey(string what, string? key, string parameter = "key")
    {
        if (string.IsNullOrEmpty(key))
            throw MlflowErrors.Missing(parameter);
        if (key.Length > MaxKeyLength)
            throw MlflowErrors.TooLong($"{char.ToUpperInvariant(what[0])}{what[1..]} name", key, MaxKeyLength);
        if (!Keys().IsMatch(key))
            throw MlflowErrors.Invalid($"Invalid {what} name: '{key}'. {KeyRule}");
        // File stores make paths of keys, so MLflow refuses what would name another file.
        if (!IsNormalPath(key))
            throw MlflowErrors.Invalid($"Invalid {what} name: '{key}'. Names may be treated as files in certain cases, and must not resolve to other names when treated as such.");
        return key;
    }

    /// <summary>The value of a param; absent is empty.</summary>
    public static string CheckParam(string? value) => CheckLength("Param value", value, MaxParamLength);

    /// <summary>The value of a tag; absent is empty.</summary>
    public static string CheckTag(string? value) => CheckLength("Tag value", value, MaxTagLength);

    /// <summary>An experiment's name, 1 to 500 characters.</summary>
    public static string CheckExperimentName(string? name)
    {
        if (string.IsNullOrEmpty(name))
            throw MlflowErrors.Missing("name");
        return name.Length > 500 ? throw MlflowErrors.TooLong("Experiment name", name, 500) : name;
    }

    /// <summary>A registered model's name: what <c>models:/name/1</c> and <c>name:1</c> can say.</summary>
    public static string CheckModelName(string? name, string parameter = "name")
    {
        if (string.IsNullOrEmpty(name))
            throw MlflowErrors.Missing(parameter);
        if (name.Length > 256)
            throw MlflowErrors.TooLong("Registered model name", name, 256);
        if (name is "." or ".." || name.AsSpan().IndexOfAny('/', ':', '\\') >= 0 || name.Any(char.IsControl))
            throw MlflowErrors.Invalid($"Invalid name: '{name}'. Registered model names must not contain '/', ':', '\\' or control characters.");
        return name;
    }

    /// <summary>An alias: word characters and hyphens, not <c>latest</c>, not <c>v1</c>.</summary>
    public static string CheckAlias(string? alias)
    {
        if (string.IsNullOrEmpty(alias))
            throw MlflowErrors.Missing("alias");
        if (alias.Length > 255)
            throw MlflowErrors.TooLong("Registered model alias name", alias, 255);
        if (!Aliases().IsMatch(alias))
            throw MlflowErrors.Invalid($"Invalid alias name: '{alias}'. Names may only contain alphanumerics, underscores (_), and dashes (-).");
        if (alias.Equals("latest", StringComparison.OrdinalIgnoreCase))
            throw MlflowErrors.Invalid("'latest' alias name (case insensitive) is reserved.");
        return VersionAliases().IsMatch(alias) ? throw MlflowErrors.Invalid($"Version alias name '{alias}' is reserved.") : alias;
    }

    /// <summary>A version number as MLflow's clients send it, as text.</summary>
    public static int CheckVersion(string name, string? version)
    {
        if (string.IsNullOrEmpty(version))
            throw MlflowErrors.Missing("version");
        if (!long.TryParse(version, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number))
            throw MlflowErrors.Invalid($"Model version must be an integer, got '{(version.Length > 250 ? version[..250] : version)}'");
        return number is > 0 and <= int.MaxValue ? (int)number : throw MlflowErrors.VersionNotFound(name, version);
    }

    /// <summary>The stage in its own spelling.</summary>
    public static string CheckStage(string? stage) => stage?.ToLowerInvariant() switch
    {
        null or "" => throw MlflowErrors.Missing("stage"),
        "none" => "None",
        "staging" => "Staging",
        "production" => "Production",
        "archived" => "Archived",
        _ => throw MlflowErrors.InvalidStage(stage),
    };

    /// <summary>A run's id: 32 hex digits. Anything that no run of ours can have is 404, what can be no id at all 400.</summary>
    public static Guid ParseRunId(string? id)
    {
        if (string.IsNullOrEmpty(id))
            throw MlflowErrors.Missing("run_id");
        if (!Ids().IsMatch(id))
            throw MlflowErrors.InvalidRunId(id);
        return TryParseRunId(id, out var parsed) ? parsed : throw MlflowErrors.RunNotFound(id);
    }

    /// <summary>Whether the text is an id as ours are.</summary>
    public static bool TryParseRunId(string id, out Guid parsed) => Guid.TryParseExact(id, "N", out parsed);

    /// <summary>An experiment's id: a decimal number.</summary>
    public static long ParseExperimentId(string? id)
    {
        if (string.IsNullOrEmpty(id))
            throw MlflowErrors.Missing("experiment_id");
        if (!Ids().IsMatch(id))
            throw MlflowErrors.InvalidExperimentId(id);
        return long.TryParse(id, NumberStyles.None, CultureInfo.InvariantCulture, out var parsed) ? parsed : throw MlflowErrors.ExperimentNotFound(id);
    }

    /// <summary>The length of any other text; absent is empty.</summary>
    public static string CheckLength(string what, string? value, int limit) =>
        value is null ? "" : value.Length > limit ? throw MlflowErrors.TooLong(what, value, limit) : value;

    private static bool IsNormalPath(string key) =>
        key[0] != '/' && key[^1] != '/' && !key.Split('/').Any(part => part is "" or "." or "..");

    [GeneratedRegex(@"\A[/\w.\- :]+\z", RegexOptions.CultureInvariant)]
    private static partial Regex Keys();

    [GeneratedRegex(@"\A[\w\-]+\z", RegexOptions.CultureInvariant)]
    private static partial Regex Aliases();

    [GeneratedRegex(@"\A[vV][0-9]+\z", RegexOptions.CultureInvariant)]
    private static partial Regex VersionAliases();

    [GeneratedRegex(@"\A[a-zA-Z0-9][a-zA-Z0-9_\-]{0,255}\z", RegexOptions.CultureInvariant)]
    private static partial Regex Ids();
}
