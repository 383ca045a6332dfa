using FunctionsRegistry.DataRegistry;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Metrics;

namespace FunctionsRegistry.Functions.DataRegistry;

/// <summary>spec-dhg.md, "Health &amp; Metrics" and "WebSocket".</summary>
[Contract(Family.Dhg)]
public sealed class RegistryHealthFunctions(
    RegistryDatabase database, RegistryMetrics counts, PrometheusMetrics metrics, ProcessMetrics process, RegistrySockets sockets, TimeProvider time)
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(2);
    private readonly IReadOnlyList<string> _meters = [RegistryMetrics.MeterName, process.Meter];

    /// <summary>GET /healthz: the text OK, or 503.</summary>
    [Function("dhg_health"), Public, Unlimited]
    [Answers("text/plain")]
    public async Task<IResult> Health(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "dhg/healthz")] HttpRequest request, CancellationToken cancellationToken)
    {
        try
        {
            await database.PingAsync(cancellationToken).WaitAsync(s_timeout, time, cancellationToken);
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            counts.CountDatabaseError();
            throw DataRegistryErrors.DatabaseUnavailable(exception);
        }
        request.HttpContext.Response.Headers.CacheControl = "no-store";
        return Results.Text("OK");
    }

    /// <summary>GET /metrics: Prometheus text.</summary>
    [Function("dhg_metrics"), Unlimited]
    [Answers("text/plain")]
    public IResult GetMetrics([HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "dhg/metrics")] HttpRequest request) =>
        Results.Bytes(metrics.Write(_meters), PrometheusMetrics.ContentType);

    /// <summary>GET /ws/status: sockets of this process.</summary>
    [Function("dhg_socket_status")]
    [Answers(typeof(SocketStatusResponse))]
    public IResult SocketStatus([HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "dhg/api/v1/ws/status")] HttpRequest request) =>
        JsonBody.Create(new SocketStatusResponse(sockets.Connections, sockets.Sessions), DataRegistryJson.Default.SocketStatusResponse);
}
