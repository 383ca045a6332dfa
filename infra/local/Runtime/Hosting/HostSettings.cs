using System.Globalization;
using System.Text.Json;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.LocalRuntime.Hosting;

/// <summary>What host.json and local.settings.json say, read the way Core Tools does.</summary>
/// <param name="Extensions">All of host.json's "extensions", for the parts of the runtime that have a section of their own; undefined when absent.</param>
/// <param name="Values">local.settings.json's "Values", with configuration keys for names.</param>
internal sealed record HostSettings(
    string RoutePrefix, TimeSpan FunctionTimeout, IReadOnlyDictionary<string, LogLevel> LogLevels, JsonElement Extensions,
    IReadOnlyDictionary<string, string?> Values, int LocalHttpPort)
{
    /// <summary>Settings with this prefix are also settings without it.</summary>
    public const string FunctionsPrefix = "AZURE_FUNCTIONS_";

    private const int DefaultPort = 7071;

    /// <summary>Reads both files from a folder; local.settings.json may be absent.</summary>
    /// <exception cref="LocalHostException">A file is missing or wrong; says which and where.</exception>
    public static HostSettings Read(string folder)
    {
        var path = Path.Combine(folder, "host.json");
        if (!File.Exists(path))
            throw new LocalHostException($"{path} is missing: it belongs beside the app.");
        var host = SettingsFile.Read(path);
        if (host.Find("version") is not { ValueKind: JsonValueKind.String } version || version.GetString() != "2.0")
            throw host.Wrong("must be \"2.0\"", "version");
        var (values, port) = ReadLocalSettings(Path.Combine(folder, "local.settings.json"));
        return new HostSettings(ReadPrefix(host), ReadTimeout(host), ReadLogLevels(host), host.Find("extensions") ?? default, values, port);
    }

    private static string ReadPrefix(SettingsFile host) => host.Find("extensions", "http", "routePrefix") switch
    {
        null => "api",
        { ValueKind: JsonValueKind.String } prefix => prefix.GetString()!.Trim('/'),
        _ => throw host.Wrong("must be a string", "extensions", "http", "routePrefix"),
    };

    private static TimeSpan ReadTimeout(SettingsFile host)
    {
        if (host.Find("functionTimeout") is not { } text || text.ToString() is "-1" or "-1.00:00:00")
            return Timeout.InfiniteTimeSpan;
        return TimeSpan.TryParse(text.ToString(), CultureInfo.InvariantCulture, out var timeout) && timeout > TimeSpan.Zero && timeout.TotalDays < 40
            ? timeout
            : throw host.Wrong("must look like \"00:05:00\" or be \"-1\"", "functionTimeout");
    }

    private static Dictionary<string, LogLevel> ReadLogLevels(SettingsFile host)
    {
        var levels = new Dictionary<string, LogLevel>();
        foreach (var entry in host.Members("logging", "logLevel"))
            levels[entry.Name.Equals("default", StringComparison.OrdinalIgnoreCase) ? "Default" : entry.Name] =
                Enum.TryParse<LogLevel>(entry.Value.ToString(), ignoreCase: true, out var level) && Enum.IsDefined(level)
                    ? level
                    : throw host.Wrong("is not a log level", "logging", "logLevel", entry.Name);
        return levels;
    }

    private static (Dictionary<string, string?> Values, int Port) ReadLocalSettings(string path)
    {
        var values = new Dictionary<string, string?>(StringComparer.OrdinalIgnoreCase);
        if (!File.Exists(path))
            return (values, DefaultPort);
        var file = SettingsFile.Read(path);
        if (file.Find("IsEncrypted") is { ValueKind: JsonValueKind.True })
            throw file.Wrong("is true, but encrypted values cannot be read: run `func settings decrypt`", "IsEncrypted");
        foreach (var entry in file.Members("Values"))
        {
            // They stand for environment variables, which are text.
            if (entry.Value.ValueKind is JsonValueKind.Object or JsonValueKind.Array)
                throw file.Wrong("must be text; write sections as Section__Name", "Values", entry.Name);
            var key = entry.Name.Replace("__", ConfigurationPath.KeyDelimiter, StringComparison.Ordinal);
            values[key] = entry.Value.ToString();
            if (key.StartsWith(FunctionsPrefix, StringComparison.OrdinalIgnoreCase))
                values.TryAdd(key[FunctionsPrefix.Length..], entry.Value.ToString());
        }
        if (file.Find("Host", "LocalHttpPort") is not { } chosen)
            return (values, DefaultPort);
        return chosen.ValueKind == JsonValueKind.Number && chosen.TryGetInt32(out var port) && port is >= 0 and <= ushort.MaxValue
            ? (values, port)
            : throw file.Wrong("must be a port number", "Host", "LocalHttpPort");
    }
}
