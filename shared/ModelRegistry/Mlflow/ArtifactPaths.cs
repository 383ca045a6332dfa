using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using FunctionsRegistry.Errors;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>
/// Paths and URIs that clients send. Blobs are named by us, so no path can leave its place here; what would on a client's disk or on
/// another server is refused all the same: dots as names however encoded or drawn, backslashes, drives, control characters.
/// </summary>
public static partial class ArtifactPaths
{
    /// <summary>Longest path in bytes of UTF-8; fits an index row.</summary>
    public const int MaxBytes = 2000;

    /// <summary>A path of a file or directory, with forward slashes; empty is the root where that is allowed.</summary>
    /// <exception cref="RegistryException">INVALID_PARAMETER_VALUE.</exception>
    public static string Check(string? path, bool allowRoot = false)
    {
        path = path?.TrimEnd('/') ?? "";
        if (path.Length == 0)
            return allowRoot ? "" : throw MlflowErrors.InvalidPath(path);
        if (path[0] == '/' || path.Length > MaxBytes || Encoding.UTF8.GetByteCount(path) > MaxBytes || path.Contains("//", StringComparison.Ordinal)
            || path.Contains('#', StringComparison.Ordinal) || Scheme().IsMatch(path) || !IsHarmless(path))
            throw MlflowErrors.InvalidPath(path);
        return path;
    }

    /// <summary>What an HTTP server may have tidied away before anybody saw it: a request target whose path goes up.</summary>
    public static void CheckTarget(string rawTarget)
    {
        var path = rawTarget.Split('?', 2)[0];
        if (HasDotNames(path) || Unescape(path) is not { } plain || HasDotNames(plain))
            throw MlflowErrors.InvalidPath(path);
    }

    /// <summary>Where an experiment's clients put artifacts by themselves, such as s3://bucket/x; null or empty is our own store.</summary>
    public static string? CheckLocation(string? location)
    {
        if (string.IsNullOrEmpty(location))
            return null;
        CheckUri("artifact location", location);
        return Scheme().Match(location).Value is "runs:" or "models:"
            ? throw MlflowErrors.InvalidUri("artifact location", location, "It must not be another run or model.")
            : location;
    }

    /// <summary>Where a model version's files are: runs:/id/path, models:/..., mlflow-artifacts:/..., or a remote store of the client's.</summary>
    public static string CheckSource(string? source)
    {
        if (string.IsNullOrEmpty(source))
            throw MlflowErrors.Missing("source");
        CheckUri("model version source", source);
        return source;
    }

    /// <summary>The path in our own store that a URI points at, or null where it is no mlflow-artifacts URI.</summary>
    public static string? OfUri(string uri)
    {
        var match = OwnUri().Match(uri);
        return match.Success ? Check(Uri.UnescapeDataString(match.Groups["path"].Value), allowRoot: true) : null;
    }

    /// <summary>The run's id and the path below its artifacts of a runs:/id/path URI, or null.</summary>
    public static (Guid RunId, string Path)? OfRunUri(string uri)
    {
        var match = RunUri().Match(uri);
        return match.Success && MlflowNames.TryParseRunId(match.Groups["id"].Value, out var id) ? (id, Check(match.Groups["path"].Value, allowRoot: true)) : null;
    }

    private static void CheckUri(string what, string uri)
    {
        if (uri.Length > MaxBytes || Encoding.UTF8.GetByteCount(uri) > MaxBytes)
            throw MlflowErrors.TooLong(what, uri, MaxBytes);
        var scheme = Scheme().Match(uri).Value.ToLowerInvariant();
        if (scheme.Length is 0 or 2 || scheme == "file:")
            throw MlflowErrors.InvalidUri(what, uri, "It must be a URI of a remote store; files of this server cannot be used.");
        if (uri.AsSpan().IndexOfAny('#', '?') >= 0 || !IsHarmless(uri))
            throw MlflowErrors.InvalidUri(what, uri, "It must have no query, fragment, backslash or control character, and no '.' or '..' as a name.");
    }

    // Every level of percent-encoding is looked at: a proxy, a client or a store may decode once more than we do.
    private static bool IsHarmless(string text)
    {
        var slashes = text.Count('/');
        for (var level = 0; level < 8; level++)
        {
            if (text.Any(c => char.IsControl(c) || char.IsSurrogate(c) && !IsPaired(text) || c is '\\' or '\uFFFD' or '\u2028' or '\u2029') || text.Count('/') != slashes || HasDotNames(text))
                return false;
            var plain = UnescapeOnce(text);
            if (plain == text)
                return true;
            text = plain;
        }
        return false;
    }

    private static string? Unescape(string text)
    {
        for (var level = 0; level < 8; level++)
        {
            var plain = UnescapeOnce(text);
            if (plain == text)
                return text;
            text = plain;
        }
        return null;
    }

    private static string UnescapeOnce(string text) => text.Contains('%', StringComparison.Ordinal) ? Uri.UnescapeDataString(text) : text;

    private static bool HasDotNames(string text) => Plain(text).Split('/').Any(name => name.Trim() is "." or ".." or "...");

    // Characters that some systems turn into ASCII dots and slashes.
    private static string Plain(string text) => string.Concat(text.Select(c => c switch
    {
        '\u2024' or '\uFF0E' or '\uFE52' or '\u3002' or '\uFF61' => ".",
        '\u2025' => "..",
        '\u2026' => "...",
        '\\' or '\uFF3C' or '\uFE68' or '\u2216' or '\uFF0F' or '\u2215' or '\u2044' => "/",
        _ => c.ToString(CultureInfo.InvariantCulture),
    }));

    private static bool IsPaired(string text)
    {
        for (var i = 0; i < text.Length; i++)
        {
            if (!char.IsSurrogate(text[i]))
                continue;
            if (i + 1 >= text.Length || !char.IsSurrogatePair(text[i], text[i + 1]))
                return false;
            i++;
        }
        return true;
    }

    [GeneratedRegex(@"\A[A-Za-z][A-Za-z0-9+.\-]*:", RegexOptions.CultureInvariant)]
    private static partial Regex Scheme();

    [GeneratedRegex(@"\Amlflow-artifacts:(//[^/]*)?/*(?<path>.*)\z", RegexOptions.CultureInvariant | RegexOptions.Singleline)]
    private static partial Regex OwnUri();

    [GeneratedRegex(@"\Aruns:/+(?<id>[^/]+)/*(?<path>.*)\z", RegexOptions.CultureInvariant | RegexOptions.Singleline)]
    private static partial Regex RunUri();
}
