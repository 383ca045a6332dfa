using System.Text.Json;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.LocalRuntime.Hosting;

/// <summary>What host.json and local.settings.json say, read the way Core Tools does.</summary>
internal sealed record HostSettings(
    string RoutePrefix, TimeSpan FunctionTimeout, IReadOnlyDictionary<string, LogLevel> LogLevels, JsonElement Extensions,
    IReadOnlyDictionary<string, string?> Values, int LocalHttpPort)
{
    private static readonly JsonDocumentOptions s_json = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    /// <summary>Reads both files from a folder; local.settings.json may be absent.</summary>
    /// <exception cref="LocalHostException">A file is missing or wrong; says which and where.</exception>
    public static HostSettings Read(string folder)
    {
        var hostFile = Path.Combine(folder, "host.json");
        if (!File.Exists(hostFile))
            throw new LocalHostException($"{hostFile} is missing: it belongs beside the app.");
        var host = Parse(hostFile);
        if (host.ValueKind != JsonValueKind.Object || !host.TryGetProperty("version", out var version) || version.ToString() != "2.0")
            throw new LocalHostException($"{hostFile}: \"version\" must be \"2.0\".");
        var extensions = host.TryGetProperty("extensions", out var found) ? found : default;
        var (values, port) = ReadLocalSettings(Path.Combine(folder, "local.settings.json"));
        return new HostSettings(ReadPrefix(extensions), ReadTimeout(hostFile, host), ReadLogLevels(hostFile, host), extensions, values, port);
    }

    private static string ReadPrefix(JsonElement extensions) =>
        extensions.ValueKind == JsonValueKind.Object && extensions.TryGetProperty("http", out var http)
            && http.TryGetProperty("routePrefix", out var prefix) ? prefix.GetString()?.Trim('/') ?? "" : "api";

    private static TimeSpan ReadTimeout(string file, JsonElement host)
    {
        if (!host.TryGetProperty("functionTimeout", out var text) || text.ToString() == "-1")
            return Timeout.InfiniteTimeSpan;
        return TimeSpan.TryParse(text.ToString(), out var timeout) && timeout > TimeSpan.Zero
            ? timeout
            : throw new LocalHostException($"{file}: \"functionTimeout\" must look like \"00:05:00\" or be \"-1\".");
    }

    private static Dictionary<string, LogLevel> ReadLogLevels(string file, JsonElement host)
    {
        var levels = new Dictionary<string, LogLevel>();
        if (!host.TryGetProperty("logging", out var logging) || !logging.TryGetProperty("logLevel", out var section))
            return levels;
        foreach (var entry in section.EnumerateObject())
            levels[entry.NameEquals("default") ? "Default" : entry.Name] = Enum.TryParse<LogLevel>(entry.Value.ToString(), ignoreCase: true, out var level)
                ? level
                : throw new LocalHostException($"{file}: logging.logLevel.{entry.Name} is not a log level.");
        return levels;
    }

    private static (Dictionary<string, string?> Values, int Port) ReadLocalSettings(string file)
    {
        var values = new Dictionary<string, string?>(StringComparer.OrdinalIgnoreCase);
        var port = 7071;
        if (!File.Exists(file))
            return (values, port);
        var root = Parse(file);
        if (root.TryGetProperty("IsEncrypted", out var encrypted) && encrypted.ValueKind == JsonValueKind.True)
            throw new LocalHostException($"{file} is encrypted: run `func settings decrypt`.");
        if (root.TryGetProperty("Values", out var section))
            foreach (var entry in section.EnumerateObject())
                values[entry.Name.Replace("__", ConfigurationPath.KeyDelimiter, StringComparison.Ordinal)] = entry.Value.ToString();
        if (root.TryGetProperty("Host", out var host) && host.TryGetProperty("LocalHttpPort", out var chosen) && chosen.TryGetInt32(out var number))
            port = number;
        return (values, port);
    }

    private static JsonElement Parse(string file)
    {
        try
        {
            return JsonDocument.Parse(File.ReadAllBytes(file), s_json).RootElement;
        }
        catch (JsonException exception)
        {
            throw new LocalHostException($"{file}({exception.LineNumber + 1},{exception.BytePositionInLine + 1}): not valid JSON.");
        }
    }
}
