using System.Text;
using System.Text.Encodings.Web;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Marketplace;

namespace FunctionsRegistry.Functions.Marketplace;

/// <summary>spec-agentx.md, "Authentication" and "Telemetry".</summary>
[Contract(Family.AgentX)]
public sealed class AccountFunctions(AccountService accounts, TelemetryService telemetry)
{
    private const string DevelopmentRoute = "agentx/api/v1/auth/development";

    /// <summary>POST /auth/github.</summary>
    [Function("auth_github"), Public]
    public async Task<IResult> StartSignIn(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "agentx/api/v1/auth/github")] HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await RequestBody.ReadJsonAsync(request, MarketplaceJson.Default.SignInRequest, cancellationToken);
        var page = RuntimeFlavour.IsLocal ? new Uri($"{request.Scheme}://{request.Host}/{DevelopmentRoute}") : null;
        return JsonBody.Create(await accounts.StartAsync(body, page, cancellationToken), MarketplaceJson.Default.SignInResponse);
    }

    /// <summary>GET /auth/callback.</summary>
    [Function("auth_callback"), Public]
    public async Task<IResult> FinishSignIn(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "agentx/api/v1/auth/callback")] HttpRequest request, CancellationToken cancellationToken)
    {
        var answer = await accounts.FinishAsync(request.GetText("code"), request.GetText("state"), cancellationToken);
        request.HttpContext.Response.Headers.CacheControl = "no-store";
        return JsonBody.Create(answer, MarketplaceJson.Default.CallbackResponse);
    }

    /// <summary>The development sign-in page, our addition: exists in the local runtime only, for work without GitHub.</summary>
    [Function("auth_development"), Public]
    public async Task<IResult> DevelopmentSignIn(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", "post", Route = DevelopmentRoute)] HttpRequest request, CancellationToken cancellationToken)
    {
        if (!RuntimeFlavour.IsLocal)
            throw CommonErrors.RouteNotFound(request.Method, request.Path);
        if (!HttpMethods.IsPost(request.Method))
            return Results.Content(Page(request.GetText("state") ?? ""), "text/html; charset=utf-8", Encoding.UTF8);
        RequestBody.SetLimit(request, RequestBody.JsonLimitBytes);
        if (!request.HasFormContentType)
            throw CommonErrors.BrokenRequest("The request body must be a form with the fields state and username.");
        var form = await request.ReadFormAsync(cancellationToken);
        return Results.Redirect(await accounts.ApproveDevelopmentAsync(form["state"], form["username"], cancellationToken));
    }

    /// <summary>POST /telemetry: the spec's body, or the real client's.</summary>
    [Function("telemetry_submit"), Public]
    public async Task<IResult> SubmitTelemetry(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "agentx/api/v1/telemetry")] HttpRequest request, CancellationToken cancellationToken)
    {
        await telemetry.RecordAsync(await RequestBody.ReadJsonAsync(request, MarketplaceJson.Default.TelemetryRequest, cancellationToken), cancellationToken);
        return JsonBody.Create(new TelemetryResponse(true), MarketplaceJson.Default.TelemetryResponse);
    }

    private static string Page(string state) => $$"""
        <!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Development sign-in</title><style>
        :root { color-scheme: light dark; } body { font: 16px/1.5 system-ui, sans-serif; max-width: 30rem; margin: 3rem auto; padding: 0 1rem; }
        input, button { font: inherit; padding: .4rem .6rem; }
        </style></head><body><main><h1>Development sign-in</h1>
        <p>No GitHub client is configured, so this local registry takes your word for who you are.</p>
        <form method="post"><input type="hidden" name="state" value="{{HtmlEncoder.Default.Encode(state)}}">
        <label>GitHub user name <input name="username" required maxlength="40" autofocus></label> <button>Sign in</button></form>
        </main></body></html>
        """;
}
