using System.Text;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.Platform;

/// <summary>What belongs to no contract: health, the front page, and the answer to every path that no function has.</summary>
public sealed class PlatformFunctions(HealthChecks health)
{
    /// <summary>GET /health: 200 healthy or degraded, 503 unhealthy.</summary>
    [Function("platform_health"), Public, Unlimited]
    public async Task<IResult> Health(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "health")] HttpRequest request, CancellationToken cancellationToken)
    {
        var answer = await health.CheckAsync(cancellationToken);
        request.HttpContext.Response.Headers.CacheControl = "no-store";
        return JsonBody.Create(answer, PlatformJson.Default.HealthResponse, answer.Status == "unhealthy" ? 503 : 200);
    }

    /// <summary>
    /// Sorts after every other function, so it sees what none of them takes. No parameter for the path: the front page is the empty one,
    /// and a function's route cannot be empty in the real host (it would become the function's name).
    /// </summary>
    [Function("zz_fallback"), Public]
    public async Task<IResult> Fallback(
        [HttpTrigger(AuthorizationLevel.Anonymous, Route = "{*path}")] HttpRequest request, CancellationToken cancellationToken)
    {
        var path = request.Path.Value ?? "/";
        if (path == "/" && (HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method)))
            return FrontPage.Create(await health.CheckAsync(cancellationToken));
        if (HttpMethods.IsOptions(request.Method) && request.Headers.ContainsKey("Access-Control-Request-Method"))
            return Preflight(request.HttpContext.Response);
        // Clients that add "/api/v1" to a base URL with a trailing slash.
        if (path.Contains("//", StringComparison.Ordinal))
            return Results.Redirect(Collapse(request.Path) + request.QueryString, permanent: false, preserveMethod: true);
        throw CommonErrors.RouteNotFound(request.Method, path);
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
