using FunctionsRegistry.Errors;
using FunctionsRegistry.RateLimits;

namespace FunctionsRegistry.Functions.Http;

/// <summary>Counts the request against its contract's limit, and against the function's own, and writes the quota into the headers.</summary>
public sealed class RateLimitMiddleware(RateLimiter limiter, ClientAddress clientAddress, HttpMetrics metrics, TimeProvider time) : IFunctionsWorkerMiddleware
{
    /// <inheritdoc/>
    public async Task Invoke(FunctionContext context, FunctionExecutionDelegate next)
    {
        if (FunctionRules.Of(context) is { IsHttp: true, IsUnlimited: false } && context.GetHttpContext() is { } http)
            await TakeAsync(http, http.GetState());
        await next(context);
    }

    private async ValueTask TakeAsync(HttpContext http, RequestState state)
    {
        var caller = state.Caller is { IsPersonal: true } personal ? personal : null;
        var subject = caller?.Id.ToString() ?? clientAddress.Of(http);
        if (caller?.Limit is { } own)
            Apply(http, state, await limiter.TakeAsync(own, subject, http.RequestAborted), null);
        else if (DefaultPolicy(state) is { } policy)
            // Each of the contract's services is a server of its own there, and counts by itself.
            Apply(http, state, await limiter.TakeAsync(policy, policy.IsPerAddress() ? $"{state.Family}:{clientAddress.Of(http)}" : subject, http.RequestAborted), null);
        // Without a caller the request is refused next; it must not use up anybody's quota.
        if (state.Rules.ExtraLimit is { } extra && (state.Rules.IsPublic || state.Caller is not null))
            Apply(http, state, await limiter.TakeAsync(extra, subject, http.RequestAborted), extra);
    }

    private static RateLimitPolicy? DefaultPolicy(RequestState state) => state.Family switch
    {
        Family.AgentX => state.Caller is null ? RateLimitPolicy.AgentxAnonymous : RateLimitPolicy.AgentxUser,
        Family.Hokusai or Family.Mlflow => RateLimitPolicy.HokusaiDefault,
        Family.IndexAgent or Family.Airflow or Family.Evolution => RateLimitPolicy.DeanPerAddress,
        _ => null,
    };

    private void Apply(HttpContext http, RequestState state, RateLimitDecision? taken, RateLimitPolicy? extra)
    {
        if (taken is not { } decision)
            return;
        metrics.CountLimit(decision.Limit.Name, decision.Accepted);
        var headers = http.Response.Headers;
        var resetSeconds = (long)Math.Ceiling(decision.ResetAfter.TotalSeconds);
        headers["X-RateLimit-Limit"] = decision.Limit.Count.ToString();
        headers["X-RateLimit-Remaining"] = decision.Remaining.ToString();
        // spec-agentx.md counts seconds until the reset, spec-hokusai.md gives the reset's Unix time.
        headers["X-RateLimit-Reset"] = (state.Family is Family.Hokusai or Family.Mlflow
            ? time.GetUtcNow().ToUnixTimeSeconds() + resetSeconds
            : resetSeconds).ToString();
        headers["RateLimit-Policy"] = $"\"{decision.Limit.Name}\";q={decision.Limit.Count};w={(long)decision.Limit.Window.TotalSeconds}";
        headers["RateLimit"] = $"\"{decision.Limit.Name}\";r={decision.Remaining};t={resetSeconds}";
        if (!decision.Accepted)
            throw extra == RateLimitPolicy.AgentxPublish
                ? CommonErrors.PublishLimitExceeded(decision.Limit, decision.ResetAfter)
                : CommonErrors.RateLimitExceeded(decision.ResetAfter);
    }
}
