using System.Diagnostics;
using FunctionsRegistry.Airflow;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.Airflow;

/// <summary>spec-dean.md, "Health Check"; Airflow's health and version, and the original's metrics.</summary>
[Contract(Family.Airflow)]
public sealed class MonitorFunctions(DagStore dags, ResourceStore resources, TimeProvider time)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(2);

    // Schedulers look every five seconds.
    private static readonly TimeSpan s_schedulerSilence = TimeSpan.FromSeconds(30);
    private static readonly long s_startedAt = Stopwatch.GetTimestamp();

    /// <summary>GET /health: 503 where the database does not answer.</summary>
    [Function("airflow_health"), Public, Unlimited]
    [Answers(typeof(AirflowHealthResponse))]
    [Answers(typeof(AirflowHealthResponse), 503)]
    public Task<IResult> Health(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "airflow/health")] HttpRequest request, CancellationToken cancellationToken) =>
        CheckAsync(request, cancellationToken);

    /// <summary>GET /api/v1/health, where Airflow and DEAN's client have it.</summary>
    [Function("airflow_health_v1"), Public, Unlimited]
    [Answers(typeof(AirflowHealthResponse))]
    [Answers(typeof(AirflowHealthResponse), 503)]
    public Task<IResult> HealthV1(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = DagFunctions.Base + "/health")] HttpRequest request, CancellationToken cancellationToken) =>
        CheckAsync(request, cancellationToken);

    /// <summary>GET /version: the version of Airflow whose API this is.</summary>
    [Function("airflow_version"), Public]
    [Answers(typeof(AirflowVersionResponse))]
    public static IResult Version([HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = DagFunctions.Base + "/version")] HttpRequest request) =>
        JsonBody.Create(new AirflowVersionResponse("2.10.0+functionsregistry", null), AirflowJson.Default.AirflowVersionResponse);

    /// <summary>GET /api/v1/metrics.</summary>
    [Function("airflow_metrics")]
    [Answers(typeof(AirflowMetricsResponse))]
    public async Task<IResult> Metrics(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = DagFunctions.Base + "/metrics")] HttpRequest request, CancellationToken cancellationToken)
    {
        var counts = await dags.CountAsync(cancellationToken);
        var pool = AirflowWire.Of((await resources.FindPoolAsync(Pool.DefaultName, cancellationToken))!);
        return JsonBody.Create(
            new AirflowMetricsResponse(
                counts.Dags, counts.ActiveDags, counts.Queued + counts.Running + counts.Success + counts.Failed, counts.Success, counts.Failed, counts.Queued,
                counts.Running, pool.OpenSlots, pool.OccupiedSlots),
            AirflowJson.Default.AirflowMetricsResponse);
    }

    private async Task<IResult> CheckAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        request.HttpContext.Response.Headers.CacheControl = "no-store";
        var now = time.GetUtcNow();
        var uptime = (long)Stopwatch.GetElapsedTime(s_startedAt).TotalSeconds;
        AirflowHealthResponse answer;
        try
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            limit.CancelAfter(s_patience);
            var heartbeat = await dags.FindHeartbeatAsync(limit.Token).WaitAsync(s_patience, time, cancellationToken);
            var scheduler = heartbeat is { } at && now - at < s_schedulerSilence ? "healthy" : "unhealthy";
            answer = new AirflowHealthResponse("healthy", "airflow-stub", now, uptime, new("healthy"), new(scheduler, heartbeat));
        }
        catch (Exception) when (!cancellationToken.IsCancellationRequested)
        {
            // Why is in the log of whoever needed the database, not in a public answer.
            answer = new AirflowHealthResponse("unhealthy", "airflow-stub", now, uptime, new("unhealthy"), new("unhealthy"));
        }
        return JsonBody.Create(answer, AirflowJson.Default.AirflowHealthResponse, answer.Status == "healthy" ? 200 : 503);
    }
}
