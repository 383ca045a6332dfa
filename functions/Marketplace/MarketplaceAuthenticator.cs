using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Marketplace;

namespace FunctionsRegistry.Functions.Marketplace;

/// <summary>spec-agentx.md: <c>Authorization: Bearer agentx_...</c>.</summary>
public sealed class MarketplaceAuthenticator(UserStore users, SecretCache cache) : IAuthenticator
{
    private const string Scheme = "Bearer ";

    /// <inheritdoc/>
    public IReadOnlyList<Family> Families { get; } = [Family.AgentX];

    /// <summary>The token that a request carries; null where there is none, or none of our form.</summary>
    public static string? ReadToken(HttpRequest request)
    {
        var header = request.Headers.Authorization.ToString();
        if (!header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase))
            return null;
        var token = header[Scheme.Length..].Trim();
        return token.StartsWith("agentx_", StringComparison.Ordinal) && token.Length <= 100 ? token : null;
    }

    /// <inheritdoc/>
    public ValueTask<Caller?> FindAsync(HttpRequest request, CancellationToken cancellationToken) =>
        ReadToken(request) is { } token ? cache.FindAsync(token, FindAsync, cancellationToken) : default;

    private async Task<(Caller, DateTimeOffset)?> FindAsync(byte[] hash, CancellationToken cancellationToken) =>
        await users.FindByTokenAsync(hash, cancellationToken) is var (user, expiresAt) ? (new Caller(user.Id, user.Username), expiresAt) : null;
}
