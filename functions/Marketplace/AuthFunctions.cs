using System.Net;
using System.Text;
using System.Text.Encodings.Web;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Marketplace;

namespace FunctionsRegistry.Functions.Marketplace;

/// <summary>spec-agentx.md, "Authentication".</summary>
[Contract(Family.AgentX)]
public sealed class AuthFunctions(AccountService accounts, SecretCache cache)
{
    /// <summary>POST /auth/github.</summary>
    [Function("auth_github"), Public]
    [Body("redirect_uri: string, state?: string(..500)")]
    [Answers(typeof(SignInResponse))]
    public async Task<IResult> StartSignIn(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "agentx/api/v1/auth/github")] HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await RequestBody.ReadJsonAsync(request, MarketplaceJson.Default.SignInRequest, cancellationToken);
        var page = RuntimeFlavour.IsLocal && IsOnThisMachine(request) ? new Uri($"{request.Scheme}://{request.Host}/agentx/api/v1/auth/development") : null;
        return JsonBody.Create(await accounts.StartAsync(body, page, cancellationToken), MarketplaceJson.Default.SignInResponse);
    }

    /// <summary>GET /auth/callback.</summary>
    [Function("auth_callback"), Public]
    [Query("code: string(1..1000), state: string(1..1000)")]
    [Answers(typeof(CallbackResponse))]
    public async Task<IResult> FinishSignIn(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "agentx/api/v1/auth/callback")] HttpRequest request, CancellationToken cancellationToken)
    {
        var answer = await accounts.FinishAsync(request.GetText("code"), request.GetText("state"), cancellationToken);
        request.HttpContext.Response.Headers.CacheControl = "no-store";
        return JsonBody.Create(answer, MarketplaceJson.Default.CallbackResponse);
    }

    /// <summary>The development sign-in page, our addition: exists in the local runtime only, for work without GitHub.</summary>
    [Function("auth_development"), Public]
    [Undescribed]
    public async Task<IResult> DevelopmentSignIn(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", "post", Route = "agentx/api/v1/auth/development")] HttpRequest request, CancellationToken cancellationToken)
    {
        if (!RuntimeFlavour.IsLocal || !IsOnThisMachine(request))
            throw CommonErrors.RouteNotFound(request.Method, request.Path);
        if (!HttpMethods.IsPost(request.Method))
            return Results.Content(Page(request.GetText("state") ?? ""), "text/html; charset=utf-8", Encoding.UTF8);
        if (!request.HasFormContentType)
            throw CommonErrors.BrokenRequest("The request body must be a form with the fields state and username.");
        var form = await request.ReadFormAsync(cancellationToken);
        return Results.Redirect(await accounts.ApproveDevelopmentAsync(form["state"], form["username"], cancellationToken));
    }

    /// <summary>DELETE /auth/token, our addition: revokes the token that signs the request.</summary>
    [Function("auth_token_revoke")]
    [Answers(204)]
    public async Task<IResult> RevokeToken(
        [HttpTrigger(AuthorizationLevel.Anonymous, "delete", Route = "agentx/api/v1/auth/token")] HttpRequest request, CancellationToken cancellationToken)
    {
        await accounts.RevokeAsync(MarketplaceAuthenticator.ReadToken(request)!, cancellationToken);
        cache.Clear();
        return Results.NoContent();
    }

    // A page of another site can make a browser send this form, but neither from this machine's own address nor under its own name.
    private static bool IsOnThisMachine(HttpRequest request) =>
        request.HttpContext.Connection.RemoteIpAddress is { } peer && IPAddress.IsLoopback(peer)
        && (request.Host.Host == "localhost" || (IPAddress.TryParse(request.Host.Host.Trim('[', ']'), out var host) && IPAddress.IsLoopback(host)));

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
