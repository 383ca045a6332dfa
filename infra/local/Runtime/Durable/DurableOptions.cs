using System.Text.Json;
using FunctionsRegistry.LocalRuntime.Hosting;
using FunctionsRegistry.LocalRuntime.Timers;
using Microsoft.Extensions.Configuration;
using Npgsql;

namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>The engine's settings: host.json's extensions.durableTask, and <c>Durable__*</c>.</summary>
/// <param name="ConnectionString">Of the app's database, with a pool of the engine's own.</param>
/// <param name="HubName"><c>hubName</c>: only checked where a caller names a hub; a database has one.</param>
/// <param name="MaxActivities"><c>maxConcurrentActivityFunctions</c>: running at once in this process.</param>
/// <param name="MaxOrchestrators"><c>maxConcurrentOrchestratorFunctions</c>: turns at once in this process.</param>
/// <param name="ReplacesRunning"><c>overridableExistingInstanceStates</c> is AnyState: a new instance may replace a running one of the same id.</param>
/// <param name="MaxAttempts"><c>Durable__MaxAttempts</c>: begun so often without an end, an activity or turn is poison and fails.</param>
/// <param name="LeaseSeconds"><c>Durable__LeaseSeconds</c>: a worker that does not renew for so long is dead.</param>
/// <param name="SystemKey"><c>Durable__SystemKey</c>: when set, the management API requires it.</param>
internal sealed record DurableOptions(
    string ConnectionString, string HubName, int MaxActivities, int MaxOrchestrators, bool ReplacesRunning, int MaxAttempts, int LeaseSeconds, string? SystemKey)
{
    private const string Section = "durableTask";

    /// <exception cref="LocalHostException">A setting is wrong, or there is no database.</exception>
    public static DurableOptions Read(HostSettings settings, IConfiguration configuration)
    {
        var section = settings.Extensions.ValueKind == JsonValueKind.Object && settings.Extensions.TryGetProperty(Section, out var found) ? found : default;
        var maxActivities = ReadNumber(section, "maxConcurrentActivityFunctions", 10 * Environment.ProcessorCount);
        var maxOrchestrators = ReadNumber(section, "maxConcurrentOrchestratorFunctions", 10 * Environment.ProcessorCount);
        return new DurableOptions(
            ReadConnection(configuration, maxActivities + maxOrchestrators),
            ReadText(section, "hubName") ?? "TestHubName",
            maxActivities,
            maxOrchestrators,
            ReadText(section, "overridableExistingInstanceStates")?.ToUpperInvariant() switch
            {
                null or "NONRUNNINGSTATES" => false,
                "ANYSTATE" => true,
                _ => throw Wrong("overridableExistingInstanceStates", "must be NonRunningStates or AnyState"),
            },
            ReadSetting(configuration, "Durable:MaxAttempts", 5),
            ReadSetting(configuration, "Durable:LeaseSeconds", 20),
            configuration["Durable:SystemKey"] is { Length: > 0 } key ? key : null);
    }

    private static string ReadConnection(IConfiguration configuration, int concurrency)
    {
        var found = TimerLocks.FindConnectionString(configuration)
            ?? throw new LocalHostException("Durable functions need PostgreSQL: set POSTGRES_HOST or DATABASE_URL.");
        return new NpgsqlConnectionStringBuilder(found)
        {
            ApplicationName = "functionsregistry-durable",
            Pooling = true,
            MaxPoolSize = Math.Clamp(configuration.GetValue("Durable:MaxPoolSize", Math.Min(24, concurrency)), 2, 200),
            Timeout = 4,
            CommandTimeout = 30,
            CancellationTimeout = 2000,
            MaxAutoPrepare = 64,
            AutoPrepareMinUsages = 2,
            NoResetOnClose = true,
            KeepAlive = 30,
            Options = "-c statement_timeout=20000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=30000",
        }.ConnectionString;
    }

    private static string? ReadText(JsonElement section, string name) => Find(section, name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.String } text => text.GetString(),
        _ => throw Wrong(name, "must be a string"),
    };

    private static int ReadNumber(JsonElement section, string name, int otherwise) => Find(section, name) switch
    {
        null => otherwise,
        { ValueKind: JsonValueKind.Number } number when number.TryGetInt32(out var value) && value > 0 => value,
        _ => throw Wrong(name, "must be a whole number above 0"),
    };

    private static JsonElement? Find(JsonElement section, string name)
    {
        if (section.ValueKind == JsonValueKind.Undefined)
            return null;
        if (section.ValueKind != JsonValueKind.Object)
            throw new LocalHostException($"host.json: \"extensions.{Section}\" must be an object.");
        return section.EnumerateObject().Where(member => member.Name.Equals(name, StringComparison.OrdinalIgnoreCase)).Select(member => (JsonElement?)member.Value).FirstOrDefault();
    }

    private static int ReadSetting(IConfiguration configuration, string key, int otherwise)
    {
        if (configuration[key] is not { Length: > 0 } text)
            return otherwise;
        return int.TryParse(text, out var value) && value > 0 ? value : throw new LocalHostException($"{key} must be a whole number above 0, not '{text}'.");
    }

    private static LocalHostException Wrong(string name, string what) => new($"host.json: \"extensions.{Section}.{name}\" {what}.");
}
