using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Functions.ModelRegistry.Mlflow;
using FunctionsRegistry.Metrics;
using FunctionsRegistry.ModelRegistry;
using FunctionsRegistry.ModelRegistry.Mlflow;

namespace FunctionsRegistry.Functions.ModelRegistry;

/// <summary>spec-hokusai.md, all its health endpoints: public, never cached, never a 500 for a dependency.</summary>
[Contract(Family.Hokusai)]
public sealed class HealthFunctions(
    HokusaiHealth health, MlflowServerOptions server, MlflowProxy proxy, SharedBreaker breaker, PrometheusMetrics metrics, ProcessMetrics process)
{
    private const string Experiments = "/api/2.0/mlflow/experiments/search?max_results=1";
    private const string Models = "/api/2.0/mlflow/registered-models/search?max_results=1";
    private const string History = "/api/2.0/mlflow/metrics/get-history?run_id=0&metric_key=none";
    private const string Artifacts = "/api/2.0/mlflow-artifacts/artifacts";
    private static readonly TimeSpan s_probeTime = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_connectivityTime = TimeSpan.FromSeconds(3);

    /// <summary>GET /health?detailed: always 200.</summary>
    [Function("hokusai_health"), Public, Unlimited]
    [Query("detailed?: boolean")]
    [Answers(typeof(JsonObject))]
    public async Task<IResult> Overall(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "hokusai/health")] HttpRequest request, [DurableClient] DurableTaskClient queue,
        CancellationToken cancellationToken)
    {
        var query = FieldReader.OfQuery(request);
        var detailed = query.OptionalBoolean("detailed") ?? false;
        query.ThrowIfFaulty();
        return Answer(request, await health.GetOverallAsync(detailed, queue, cancellationToken));
    }

    /// <summary>GET /ready: 503 only when no traffic can be served.</summary>
    [Function("hokusai_health_ready"), Public, Unlimited]
    [Answers(typeof(JsonObject))]
    [Answers(typeof(JsonObject), 503)]
    public async Task<IResult> Ready(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "hokusai/ready")] HttpRequest request, CancellationToken cancellationToken)
    {
        var (canServe, body) = await health.GetReadinessAsync(cancellationToken);
        return Answer(request, body, canServe ? 200 : 503);
    }

    /// <summary>GET /live.</summary>
    [Function("hokusai_health_live"), Public, Unlimited]
    [Answers(typeof(JsonObject))]
    public IResult Live([HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "hokusai/live")] HttpRequest request) =>
        Answer(request, health.GetLiveness());

    /// <summary>GET /version.</summary>
    [Function("hokusai_health_version"), Public, Unlimited]
    [Answers(typeof(JsonObject))]
#pragma warning disable CA1822 // Both runtimes make an instance and call its method.
    public IResult Version([HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "hokusai/version")] HttpRequest request) =>
#pragma warning restore CA1822
        Answer(request, HokusaiHealth.GetVersion());

    /// <summary>GET /metrics: the connection to MLflow, and this process.</summary>
    [Function("hokusai_health_metrics"), Public, Unlimited]
    [Answers("text/plain")]
    public async Task<IResult> Metrics(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "hokusai/metrics")] HttpRequest request, CancellationToken cancellationToken)
    {
        // Looks at MLflow, so that what is told is of now.
        await health.CheckMlflowAsync(cancellationToken);
        return Results.Bytes(metrics.Write(MlflowMetrics.MeterName, process.Meter), PrometheusMetrics.ContentType);
    }

    /// <summary>GET /health/mlflow: 503 while the breaker is open.</summary>
    [Function("hokusai_health_mlflow"), Public, Unlimited]
    [Answers(typeof(JsonObject))]
    [Answers(typeof(JsonObject), 503)]
    public async Task<IResult> Mlflow(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "hokusai/health/mlflow")] HttpRequest request, CancellationToken cancellationToken)
    {
        var state = await health.CheckMlflowAsync(cancellationToken);
        var body = new JsonObject { ["connected"] = state.Connected, ["circuit_breaker_state"] = state.Breaker.Name };
        if (state.Error is not null)
            body["error"] = state.Error;
        body["tracking_uri"] = server.Name;
        if (state.ResponseMs is { } ms)
            body["response_time_ms"] = ms;
        body["timestamp"] = health.Now();
        return Answer(request, body, state.Breaker.State == BreakerState.Open ? 503 : 200);
    }

    /// <summary>POST /health/mlflow/reset: public as in the contract; it counts against the default limit.</summary>
    [Function("hokusai_health_mlflow_reset"), Public]
    [Answers(typeof(JsonObject))]
    public async Task<IResult> Reset(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "hokusai/health/mlflow/reset")] HttpRequest request, CancellationToken cancellationToken)
    {
        await breaker.ResetAsync();
        return Answer(request, new JsonObject
        {
            ["message"] = "Circuit breaker reset successfully",
            ["timestamp"] = health.Now(),
            ["reset_by"] = "manual_api_call",
        });
    }

    /// <summary>GET /health/status.</summary>
    [Function("hokusai_health_status"), Public, Unlimited]
    [Answers(typeof(JsonObject))]
    public async Task<IResult> Status(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "hokusai/health/status")] HttpRequest request, CancellationToken cancellationToken) =>
        Answer(request, await health.GetStatusAsync(cancellationToken));

    /// <summary>GET /mlflow/health/mlflow: unhealthy is still 200. Sorts before mlflow_rest, which has the rest of the prefix.</summary>
    [Function("hokusai_health_proxy"), Public, Unlimited]
    [Answers(typeof(JsonObject))]
    public async Task<IResult> Proxy(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "hokusai/mlflow/health/mlflow")] HttpRequest request, CancellationToken cancellationToken) =>
        Answer(request, (await ReportAsync(cancellationToken)).Body);

    /// <summary>GET /mlflow/health/mlflow/detailed.</summary>
    [Function("hokusai_health_proxy_detailed"), Public, Unlimited]
    [Answers(typeof(JsonObject))]
    public async Task<IResult> ProxyDetailed(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "hokusai/mlflow/health/mlflow/detailed")] HttpRequest request, CancellationToken cancellationToken) =>
        Answer(request, await TestAsync(cancellationToken));

    /// <summary>GET /api/health/mlflow: unhealthy is 503.</summary>
    [Function("hokusai_health_api_mlflow"), Public, Unlimited]
    [Answers(typeof(JsonObject))]
    [Answers(typeof(JsonObject), 503)]
    public async Task<IResult> ApiMlflow(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "hokusai/api/health/mlflow")] HttpRequest request, CancellationToken cancellationToken)
    {
        var (healthy, body) = await ReportAsync(cancellationToken);
        return healthy ? Answer(request, body) : Answer(request, new JsonObject { ["detail"] = body }, 503);
    }

    /// <summary>GET /api/health/mlflow/detailed.</summary>
    [Function("hokusai_health_api_mlflow_detailed"), Public, Unlimited]
    [Answers(typeof(JsonObject))]
    public async Task<IResult> ApiMlflowDetailed(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "hokusai/api/health/mlflow/detailed")] HttpRequest request, CancellationToken cancellationToken) =>
        Answer(request, await TestAsync(cancellationToken));

    /// <summary>GET /api/health/mlflow/connectivity: always 200.</summary>
    [Function("hokusai_health_api_mlflow_connectivity"), Public, Unlimited]
    [Answers(typeof(JsonObject))]
    public async Task<IResult> Connectivity(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "hokusai/api/health/mlflow/connectivity")] HttpRequest request, CancellationToken cancellationToken)
    {
        var (status, ms, error) = await ProbeAsync("/health", s_connectivityTime, cancellationToken);
        var body = new JsonObject
        {
            ["status"] = status is not null ? "connected" : error!.StartsWith("Connection timeout", StringComparison.Ordinal) ? "timeout" : "error",
            ["mlflow_server"] = server.Name,
        };
        if (status is not null)
            body["response_code"] = status;
        body["response_time_ms"] = ms;
        if (error is not null)
            body["error"] = error;
        return Answer(request, body);
    }

    private async Task<(bool Healthy, JsonObject Body)> ReportAsync(CancellationToken cancellationToken)
    {
        var connectivity = ProbeAsync("/health", s_probeTime, cancellationToken);
        var experiments = ProbeAsync(Experiments, s_probeTime, cancellationToken);
        var artifacts = server.ServeArtifacts ? ProbeAsync(Artifacts, s_probeTime, cancellationToken) : null;
        var checks = new JsonObject
        {
            ["connectivity"] = Describe(await connectivity, "MLflow server is reachable", "Unexpected status code: {0}", 200, 404),
            ["experiments_api"] = Describe(await experiments, "Experiments API is functional", "API returned status {0}", 200),
            ["artifacts_api"] = artifacts is null
                ? new JsonObject { ["status"] = "disabled", ["message"] = "Artifact storage is not configured" }
                : Describe(await artifacts, "Artifact API is accessible", "API returned status {0}", 200, 404),
        };
        var healthy = checks.All(check => check.Value!["status"]!.GetValue<string>() is "healthy" or "disabled");
        return (healthy, new JsonObject { ["status"] = healthy ? "healthy" : "unhealthy", ["mlflow_server"] = server.Name, ["checks"] = checks });

        static JsonObject Describe((int? Status, double Ms, string? Error) probe, string good, string bad, params int[] accepted)
        {
            var passed = probe.Status is { } status && accepted.Contains(status);
            var message = passed ? good : probe.Error ?? string.Format(CultureInfo.InvariantCulture, bad, probe.Status);
            return new JsonObject { ["status"] = passed ? "healthy" : "unhealthy", ["message"] = message };
        }
    }

    private async Task<JsonObject> TestAsync(CancellationToken cancellationToken)
    {
        var tests = new JsonArray();
        // The history of no run at all: 400 and 404 come from an API that works.
        foreach (var (name, path, accepted) in new (string, string, int[])[]
        {
            ("experiments_list", Experiments, [200]), ("models_list", Models, [200]), ("metrics_history", History, [200, 400, 404]), ("artifacts_api", Artifacts, [200, 404]),
        })
        {
            if (name == "artifacts_api" && !server.ServeArtifacts)
                continue;
            var (status, ms, error) = await ProbeAsync(path, s_probeTime, cancellationToken);
            var test = new JsonObject { ["endpoint"] = name, ["url"] = server.Name + path.Split('?')[0] };
            if (status is not null)
                test["status_code"] = status;
            test["success"] = status is { } code && accepted.Contains(code);
            test["response_time_ms"] = ms;
            if (error is not null)
                test["error"] = error;
            tests.Add(test);
        }
        return new JsonObject
        {
            ["mlflow_server"] = server.Name,
            ["timestamp"] = health.Now(),
            ["environment"] = new JsonObject
            {
                ["MLFLOW_SERVER_URL"] = server.Server is null ? "" : server.Name,
                ["MLFLOW_SERVE_ARTIFACTS"] = server.ServeArtifacts ? "true" : "false",
                ["PROXY_DEBUG"] = false,
            },
            ["overall_health"] = tests.All(test => test!["success"]!.GetValue<bool>()),
            ["tests"] = tests,
        };
    }

    // Our own store answers when what it stands on does; a server is asked over HTTP.
    private async Task<(int? Status, double Ms, string? Error)> ProbeAsync(string path, TimeSpan atMost, CancellationToken cancellationToken)
    {
        if (proxy.IsOn)
            return await proxy.ProbeAsync(path, atMost, cancellationToken);
        var state = await health.CheckMlflowAsync(cancellationToken);
        return state.Connected ? (200, state.ResponseMs ?? 0, null) : (null, state.ResponseMs ?? 0, state.Error);
    }

    private static JsonBody Answer(HttpRequest request, JsonObject body, int status = 200)
    {
        request.HttpContext.Response.Headers.CacheControl = "no-store";
        return JsonBody.Create(body, HokusaiJson.Default.JsonObject, status);
    }
}
