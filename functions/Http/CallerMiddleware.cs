using System.Collections.Concurrent;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Marketplace;

namespace FunctionsRegistry.Functions.Http;

/// <summary>Finds out who sent the request, in the way of its contract. A secret that is unknown, expired or revoked counts as none.</summary>
public sealed class CallerMiddleware(AccountService accounts, TimeProvider time) : IFunctionsWorkerMiddleware
{
    // Saves a round trip per request; a revoked token works on for at most this long in other processes.
    private static readonly TimeSpan s_keptFor = TimeSpan.FromSeconds(5);
    private const int MaxKept = 10_000;
    private readonly ConcurrentDictionary<string, (Caller Caller, DateTimeOffset Until)> _kept = new(StringComparer.Ordinal);

    /// <inheritdoc/>
    public async Task Invoke(FunctionContext context, FunctionExecutionDelegate next)
    {
        if (FunctionRules.Of(context).IsHttp && context.GetHttpContext() is { } http)
        {
            var state = http.GetState();
            if (state.Family == Family.AgentX)
                state.Caller = await FindMarketplaceUserAsync(http.Request, http.RequestAborted);
        }
        await next(context);
    }

    private async ValueTask<Caller?> FindMarketplaceUserAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        const string Scheme = "Bearer ";
        var header = request.Headers.Authorization.ToString();
        if (!header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase))
            return null;
        var token = header[Scheme.Length..].Trim();
        if (!token.StartsWith("agentx_", StringComparison.Ordinal) || token.Length > 100)
            return null;
        var now = time.GetUtcNow();
        if (_kept.TryGetValue(token, out var kept) && kept.Until > now)
            return kept.Caller;
        if (await accounts.FindByTokenAsync(token, cancellationToken) is not var (user, expiresAt))
        {
            _kept.TryRemove(token, out _);
            return null;
        }
        if (_kept.Count >= MaxKept)
            _kept.Clear();
        var caller = new Caller(user.Id, user.Username);
        _kept[token] = (caller, expiresAt < now + s_keptFor ? expiresAt : now + s_keptFor);
        return caller;
    }
}
