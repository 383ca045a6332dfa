using System.Diagnostics.CodeAnalysis;
using System.Text.RegularExpressions;
using NuGet.Versioning;

namespace FunctionsRegistry.Marketplace;

/// <summary>The rules of scopes and names (agentx.md 3.6, stricter where the original let nonsense pass).</summary>
public static partial class AgentNames
{
    /// <summary>"@you" from "you" or "@you"; false where it is no GitHub login.</summary>
    public static bool TryScope(string? text, [NotNullWhen(true)] out string? scope)
    {
        var login = text is ['@', ..] ? text[1..] : text;
        scope = login is not null && Login().IsMatch(login) ? "@" + login : null;
        return scope is not null;
    }

    /// <summary>1 to 100 lower-case letters, digits and hyphens.</summary>
    public static bool IsName(string? text) => text is { Length: >= 1 and <= 100 } && Name().IsMatch(text);

    // GitHub's: letters, digits, single hyphens inside, at most 39; some old accounts end in a hyphen.
    [GeneratedRegex(@"\A[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}-?\z", RegexOptions.CultureInvariant)]
    private static partial Regex Login();

    [GeneratedRegex(@"\A[a-z0-9-]+\z", RegexOptions.CultureInvariant)]
    private static partial Regex Name();
}

/// <summary>Versions are strict semver 2; order and "latest" follow it.</summary>
public static class PackageVersion
{
    /// <summary>Longest accepted text.</summary>
    public const int MaxLength = 50;

    /// <summary>Whether the text is a version we accept.</summary>
    public static bool IsValid(string? text) => text is { Length: <= MaxLength } && SemanticVersion.TryParse(text, out _);

    /// <summary>Semver precedence; versions that differ only in build metadata are ordered by their text, so that the order is total.</summary>
    public static int Compare(string left, string right)
    {
        var order = VersionComparer.VersionRelease.Compare(SemanticVersion.Parse(left), SemanticVersion.Parse(right));
        return order != 0 ? order : string.CompareOrdinal(left, right);
    }

    /// <summary>The highest version that is no prerelease, else the highest; null of none.</summary>
    public static string? Latest(IEnumerable<string> versions)
    {
        string? latest = null;
        foreach (var version in versions)
            if (latest is null || IsBetter(version, latest))
                latest = version;
        return latest;
    }

    private static bool IsBetter(string candidate, string than)
    {
        var (candidatePre, thanPre) = (SemanticVersion.Parse(candidate).IsPrerelease, SemanticVersion.Parse(than).IsPrerelease);
        return candidatePre == thanPre ? Compare(candidate, than) > 0 : thanPre;
    }
}

/// <summary>The ten categories of the contract, in its order.</summary>
public static class Categories
{
    /// <summary>Slug and display name.</summary>
    public static readonly IReadOnlyDictionary<string, string> All = new Dictionary<string, string>
    {
        ["productivity"] = "Productivity",
        ["devtools"] = "Developer Tools",
        ["communication"] = "Communication",
        ["data"] = "Data",
        ["writing"] = "Writing",
        ["research"] = "Research",
        ["automation"] = "Automation",
        ["security"] = "Security",
        ["monitoring"] = "Monitoring",
        ["other"] = "Other",
    };
}
