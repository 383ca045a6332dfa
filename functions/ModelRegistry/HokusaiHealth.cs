using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Text;
using System.Text.Json.Nodes;
using FunctionsRegistry.Functions.ModelRegistry.Mlflow;
using FunctionsRegistry.Functions.Platform;
using FunctionsRegistry.ModelRegistry.Mlflow;

namespace FunctionsRegistry.Functions.ModelRegistry;

/// <summary>What the health endpoints of spec-hokusai.md report: the platform's own checks under the contract's names, and MLflow's, whichever it is.</summary>
public sealed class HokusaiHealth(
    HealthChecks checks, MlflowServerOptions server, MlflowProxy proxy, SharedBreaker breaker, MlflowMetrics metrics, IConfiguration configuration, TimeProvider time)
{
    /// <summary>The version of the contract that is served.</summary>
    public const string ApiVersion = "1.0.0";

    private static readonly TimeSpan s_keptFor = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_probeTime = TimeSpan.FromSeconds(2);
    private readonly Lock _gate = new();
    private volatile MlflowState? _mlflow;
    private volatile QueueState? _queue;
    private (DateTimeOffset At, TimeSpan Used) _cpu = (time.GetUtcNow(), Environment.CpuUsage.TotalTime);
    private double _cpuPercent;

    /// <summary>MLflow at one moment.</summary>
    public sealed record MlflowState(bool Connected, BreakerSnapshot Breaker, string? Error, double? ResponseMs, DateTimeOffset At);

    /// <summary>MLflow: our own store is there when its database and blobs are; a server is asked, unless its breaker is open.</summary>
    public async Task<MlflowState> CheckMlflowAsync(CancellationToken cancellationToken)
    {
        if (_mlflow is { } last && time.GetUtcNow() - last.At < s_keptFor && last.Breaker.State == breaker.Snapshot.State)
            return last;
        var state = await LookAsync(cancellationToken);
        metrics.RecordLook(state.Connected, state.ResponseMs is { } ms ? TimeSpan.FromMilliseconds(ms) : null);
        return _mlflow = state;
    }

    /// <summary>Whether the hub of the durable functions answers: in PostgreSQL locally, in the storage account or the scheduler on Azure.</summary>
    public async Task<bool> CheckQueueAsync(DurableTaskClient queue, CancellationToken cancellationToken)
    {
        if (_queue is { } last && time.GetUtcNow() - last.At < s_keptFor)
            return last.Answers;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(s_probeTime);
        var answers = true;
        try
        {
            // An instance that nobody has: the hub has to look for it all the same.
            await queue.GetInstanceAsync("health-check", limit.Token).WaitAsync(s_probeTime, time, cancellationToken);
        }
        catch (Exception) when (!cancellationToken.IsCancellationRequested)
        {
            // The reason may name hosts, and is in the log of whoever needed the hub.
            answers = false;
        }
        _queue = new QueueState(answers, time.GetUtcNow());
        return answers;
    }

    /// <summary>GET /health.</summary>
    public async Task<JsonObject> GetOverallAsync(bool detailed, DurableTaskClient queue, CancellationToken cancellationToken)
    {
        var queueAnswers = CheckQueueAsync(queue, cancellationToken);
        var services = await GetServicesAsync(cancellationToken);
        services["message_queue"] = await queueAnswers ? "healthy" : "unhealthy";
        var answer = new JsonObject
        {
            ["status"] = Overall(services),
            ["version"] = ApiVersion,
            ["services"] = services,
            ["timestamp"] = Now(),
        };
        if (detailed)
            answer["system_info"] = SystemInfo();
        return answer;
    }

    /// <summary>GET /ready: whether traffic can be served, and the answer.</summary>
    public async Task<(bool CanServe, JsonObject Body)> GetReadinessAsync(CancellationToken cancellationToken)
    {
        var platform = await checks.CheckAsync(cancellationToken);
        var mlflow = await CheckMlflowAsync(cancellationToken);
        var database = platform.Services["postgresql"].Status == "healthy";
        var mlflowCheck = Check("mlflow", mlflow.Connected || mlflow.Breaker.State == BreakerState.HalfOpen,
            mlflow.Breaker.State == BreakerState.Open ? "Circuit breaker open - MLflow temporarily unavailable" : mlflow.Error, critical: false);
        if (mlflow.Breaker.State == BreakerState.HalfOpen)
            mlflowCheck["recovering"] = true;
        var checksList = new JsonArray(
            Check("database", database, database ? null : "does not answer", critical: true),
            mlflowCheck,
            Check("redis", platform.Services["redis"].Status == "healthy", platform.Services["redis"].Detail, critical: false));
        var ready = checksList.All(check => check!["passed"]!.GetValue<bool>());
        return (database, new JsonObject
        {
            ["ready"] = ready,
            ["can_serve_traffic"] = database,
            ["checks"] = checksList,
            ["degraded_mode"] = !ready && database,
        });

        static JsonObject Check(string name, bool passed, string? error, bool critical) =>
            new() { ["name"] = name, ["passed"] = passed, ["error"] = passed ? null : error, ["critical"] = critical };
    }

    /// <summary>GET /live.</summary>
    public JsonObject GetLiveness() => new()
    {
        ["alive"] = true,
        ["uptime"] = Uptime(),
        ["memory_usage_mb"] = Math.Round(Environment.WorkingSet / 1048576.0, 1),
    };

    /// <summary>GET /version.</summary>
    public static JsonObject GetVersion()
    {
        var assembly = typeof(HokusaiHealth).Assembly;
        var informational = assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "";
        var plus = informational.IndexOf('+', StringComparison.Ordinal);
        var file = new FileInfo(assembly.Location);
        return new JsonObject
        {
            ["version"] = ApiVersion,
            ["build_date"] = (file.Exists ? file.LastWriteTimeUtc : DateTime.UnixEpoch).ToString("yyyy-MM-dd", CultureInfo.InvariantCulture),
            ["git_commit"] = plus < 0 ? "unknown" : informational[(plus + 1)..],
            ["api_version"] = "v1",
        };
    }

    /// <summary>GET /health/status.</summary>
    public async Task<JsonObject> GetStatusAsync(CancellationToken cancellationToken)
    {
        var services = await GetServicesAsync(cancellationToken);
        var mlflow = await CheckMlflowAsync(cancellationToken);
        return new JsonObject
        {
            ["timestamp"] = Now(),
            ["api_version"] = ApiVersion,
            ["service_name"] = "hokusai-registry",
            ["overall_health"] = Overall(services),
            ["services"] = services,
            ["mlflow"] = new JsonObject
            {
                ["status"] = new JsonObject { ["connected"] = mlflow.Connected, ["circuit_breaker_state"] = mlflow.Breaker.Name },
                ["circuit_breaker"] = new JsonObject
                {
                    ["state"] = mlflow.Breaker.Name,
                    ["failure_count"] = mlflow.Breaker.FailureCount,
                    ["last_failure_time"] = mlflow.Breaker.LastFailureAt is { } at ? Write(at) : null,
                    ["time_until_retry"] = Math.Round(mlflow.Breaker.RetryAfter.TotalSeconds, 1),
                    ["failure_threshold"] = server.FailureThreshold,
                    ["recovery_timeout"] = server.RecoveryTimeout.TotalSeconds,
                },
            },
            ["system_info"] = SystemInfo(),
            ["uptime_seconds"] = Uptime(),
            // The host's own setting of this name is written "Development", the contract's "development".
            ["environment"] = configuration["ENVIRONMENT"] is { Length: > 0 } environment ? environment.ToLowerInvariant() : RuntimeFlavour.IsLocal ? "development" : "production",
        };
    }

    /// <summary>Now, as the contract writes it.</summary>
    public string Now() => Write(time.GetUtcNow());

    private async Task<MlflowState> LookAsync(CancellationToken cancellationToken)
    {
        if (!proxy.IsOn)
        {
            var platform = await checks.CheckAsync(cancellationToken);
            var down = platform.Services.Where(pair => pair.Key is "postgresql" or "blob_storage" && pair.Value.Status != "healthy").Select(pair => pair.Key).ToArray();
            return new MlflowState(
                down.Length == 0, breaker.Snapshot, down.Length == 0 ? null : $"{string.Join(" and ", down)} unavailable", platform.Services["postgresql"].DurationMs, time.GetUtcNow());
        }
        if (breaker.Snapshot is { State: BreakerState.Open } open)
            return new MlflowState(false, open, "MLflow server unavailable", null, time.GetUtcNow());
        var (status, ms, error) = await proxy.ProbeAsync("/health", s_probeTime, cancellationToken);
        return new MlflowState(
            status is 200 or 404, breaker.Snapshot, error ?? (status is 200 or 404 ? null : $"Unexpected status code: {status}"), ms, time.GetUtcNow());
    }

    private async Task<JsonObject> GetServicesAsync(CancellationToken cancellationToken)
    {
        var platform = await checks.CheckAsync(cancellationToken);
        var mlflow = await CheckMlflowAsync(cancellationToken);
        return new JsonObject
        {
            ["mlflow"] = mlflow.Breaker.State switch
            {
                BreakerState.Open => "degraded",
                BreakerState.HalfOpen => "recovering",
                _ => mlflow.Connected ? "healthy" : "unhealthy",
            },
            ["postgres"] = platform.Services["postgresql"].Status,
            ["redis"] = platform.Services["redis"].Status,
        };
    }

    private static string Overall(JsonObject services)
    {
        var states = services.Select(pair => pair.Value!.GetValue<string>()).Where(state => state != "disabled").ToArray();
        return states.All(state => state == "healthy") ? "healthy" : states.Contains("healthy") ? "degraded" : "unhealthy";
    }

    private JsonObject SystemInfo()
    {
        lock (_gate)
        {
            var (now, used) = (time.GetUtcNow(), Environment.CpuUsage.TotalTime);
            // Over less than half a second the number would be noise.
            if (now - _cpu.At >= TimeSpan.FromMilliseconds(500))
            {
                _cpuPercent = (used - _cpu.Used) / (now - _cpu.At) / Environment.ProcessorCount * 100;
                _cpu = (now, used);
            }
            return new JsonObject
            {
                ["cpu_percent"] = Math.Round(_cpuPercent, 1),
                ["memory_percent"] = Math.Round(100.0 * Environment.WorkingSet / Math.Max(1, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes), 1),
            };
        }
    }

    private sealed record QueueState(bool Answers, DateTimeOffset At);

    private static string Write(DateTimeOffset at) => at.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture);

    private double Uptime() => Math.Round((time.GetUtcNow() - Process.GetCurrentProcess().StartTime.ToUniversalTime()).TotalSeconds, 1);
}
