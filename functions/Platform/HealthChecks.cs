using System.Diagnostics;
using System.Text.Json.Serialization;
using FunctionsRegistry.Blobs;
using FunctionsRegistry.Json;
using FunctionsRegistry.RateLimits;
using Npgsql;

namespace FunctionsRegistry.Functions.Platform;

/// <summary>One dependency. <paramref name="Status"/>: healthy, degraded (the app does without) or unhealthy.</summary>
public sealed record DependencyHealth(string Status, double DurationMs, string? Detail);

/// <summary>The whole app: unhealthy when a dependency that it cannot do without is.</summary>
public sealed record HealthResponse(string Status, IReadOnlyDictionary<string, DependencyHealth> Services, DateTimeOffset CheckedAt);

/// <summary>Serialisation of the platform's own answers.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, Converters = [typeof(UtcTimeConverter)])]
[JsonSerializable(typeof(HealthResponse))]
[JsonSerializable(typeof(FrontPageResponse))]
public sealed partial class PlatformJson : JsonSerializerContext;

/// <summary>Asks the real dependencies, each for at most two seconds, and keeps the answer for one.</summary>
public sealed class HealthChecks(NpgsqlDataSource database, BlobStore blobs, RateLimiter limiter, TimeProvider time)
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_keptFor = TimeSpan.FromSeconds(1);
    private volatile HealthResponse? _last;

    /// <summary>The present state; never throws for a dependency that is down.</summary>
    public async Task<HealthResponse> CheckAsync(CancellationToken cancellationToken)
    {
        if (_last is { } last && time.GetUtcNow() - last.CheckedAt < s_keptFor)
            return last;
        var postgres = MeasureAsync(PingDatabaseAsync, cancellationToken);
        var storage = MeasureAsync(blobs.PingAsync, cancellationToken);
        var services = new Dictionary<string, DependencyHealth>
        {
            ["postgresql"] = await postgres,
            ["blob_storage"] = await storage,
            ["redis"] = limiter.IsDistributed
                ? new DependencyHealth("healthy", 0, null)
                : new DependencyHealth("degraded", 0, "rate limits are counted in each process by itself"),
        };
        var status = services.Values.Any(service => service.Status == "unhealthy") ? "unhealthy"
            : services.Values.Any(service => service.Status == "degraded") ? "degraded" : "healthy";
        return _last = new HealthResponse(status, services, time.GetUtcNow());
    }

    private async Task PingDatabaseAsync(CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("SELECT 1");
        await command.ExecuteScalarAsync(cancellationToken);
    }

    private async Task<DependencyHealth> MeasureAsync(Func<CancellationToken, Task> ping, CancellationToken cancellationToken)
    {
        var start = Stopwatch.GetTimestamp();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(s_timeout);
        try
        {
            // Some clients finish a retry before they look at the token; the check does not wait for that.
            await ping(limit.Token).WaitAsync(s_timeout, time, cancellationToken);
            return new DependencyHealth("healthy", Elapsed(start), null);
        }
        catch (Exception) when (!cancellationToken.IsCancellationRequested)
        {
            // The reason may hold host names or users: it is in the log of whoever needed the dependency, not in a public answer.
            return new DependencyHealth("unhealthy", Elapsed(start), "does not answer");
        }
    }

    private static double Elapsed(long start) => Math.Round(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 2);
}
