using System.Text;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Metrics;
using FunctionsRegistry.Postgres;

namespace FunctionsRegistry.Functions.Platform;

/// <summary>What belongs to no contract: health, the front page, and the answer to every path that no function has.</summary>
public sealed class PlatformFunctions(HealthChecks health, RegistryCounts counts, PageAssets assets, PrometheusMetrics metrics, HttpMetrics requests)
{
    /// <summary>GET /health: 200 healthy or degraded, 503 unhealthy.</summary>
    [Function("platform_health"), Public, Unlimited]
    [Answers(typeof(HealthResponse))]
    [Answers(typeof(HealthResponse), 503)]
    public async Task<IResult> Health(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "health")] HttpRequest request, CancellationToken cancellationToken)
    {
        var answer = await health.CheckAsync(cancellationToken);
        request.HttpContext.Response.Headers.CacheControl = "no-store";
        return JsonBody.Create(answer, PlatformJson.Default.HealthResponse, answer.Status == "unhealthy" ? 503 : 200);
    }

    /// <summary>GET /metrics: everything that this process measures, as Prometheus text.</summary>
    [Function("platform_metrics"), Unlimited]
    [Answers("text/plain")]
    public IResult Metrics([HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "metrics")] HttpRequest request) =>
        Results.Bytes(metrics.Write(), PrometheusMetrics.ContentType);

    /// <summary>
    /// Sorts after every other function, so it sees what none of them takes. No parameter for the path: the front page is the empty one,
    /// and a function's route cannot be empty in the real host (it would become the function's name).
    /// </summary>
    [Function("zz_fallback"), Public]
    [Undescribed]
    public async Task<IResult> Fallback(
        [HttpTrigger(AuthorizationLevel.Anonymous, Route = "{*path}")] HttpRequest request, CancellationToken cancellationToken)
    {
        var path = request.Path.Value ?? "/";
        if (path == "/" && (HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method)))
            return await ShowAsync(request, cancellationToken);
        if (HttpMethods.IsOptions(request.Method) && request.Headers.ContainsKey("Access-Control-Request-Method"))
            return Preflight(request.HttpContext.Response);
        // Clients that add "/api/v1" to a base URL with a trailing slash.
        if (path.Contains("//", StringComparison.Ordinal))
            return Results.Redirect(Collapse(request.Path) + request.QueryString, permanent: false, preserveMethod: true);
        throw CommonErrors.RouteNotFound(request.Method, path);
    }

    private async Task<IResult> ShowAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var state = FrontPage.Create(request, await health.CheckAsync(cancellationToken), await counts.GetAsync(cancellationToken), requests.Requests);
        var headers = request.HttpContext.Response.Headers;
        (headers.CacheControl, headers.Vary) = ("no-store", "Accept");
        if (request.Headers.Accept.ToString().Contains("application/json", StringComparison.OrdinalIgnoreCase))
            return JsonBody.Create(state, PlatformJson.Default.FrontPageResponse);
        PageFunctions.Protect(request.HttpContext.Response);
        return FrontPage.Show(state, assets);
    }

    // Reads that need no caller may come from any page; nothing else may, and no cookies exist that a page could misuse.
    private static IResult Preflight(HttpResponse response)
    {
        response.Headers.AccessControlAllowOrigin = "*";
        response.Headers.AccessControlAllowMethods = "GET, HEAD";
        response.Headers.AccessControlAllowHeaders = "Accept, If-None-Match, X-Request-Id, traceparent";
        response.Headers.AccessControlMaxAge = "86400";
        return Results.NoContent();
    }

    private static string Collapse(PathString path)
    {
        var encoded = path.ToUriComponent();
        var collapsed = new StringBuilder(encoded.Length);
        foreach (var c in encoded)
            if (c != '/' || collapsed.Length == 0 || collapsed[^1] != '/')
                collapsed.Append(c);
        return collapsed.ToString();
    }
}
