using System.Collections.Concurrent;
using System.Security.Cryptography;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.ModelRegistry;

namespace FunctionsRegistry.Functions.ModelRegistry;

/// <summary>
/// spec-hokusai.md, "Authentication": Authorization with Bearer or ApiKey, then X-API-Key, then the query's api_key. The key of the configuration
/// (<c>Hokusai__AdminKey</c>) administers keys and may do everything else, too.
/// </summary>
public sealed class HokusaiAuthenticator(ApiKeyStore keys, SecretCache cache, ClientAddress clientAddress, IConfiguration configuration) : IAuthenticator
{
    private static readonly string[] s_schemes = ["Bearer ", "ApiKey "];
    private readonly byte[]? _adminHash = configuration["Hokusai:AdminKey"] is { Length: > 0 } key ? ApiKeyService.Hash(key) : null;

    // Of the keys that the cache remembers; those that may be used from anywhere are not here.
    private readonly ConcurrentDictionary<Guid, IReadOnlyList<string>> _addresses = new();

    /// <inheritdoc/>
    public IReadOnlyList<Family> Families { get; } = [Family.Hokusai, Family.Mlflow];

    /// <inheritdoc/>
    public async ValueTask<Caller?> FindAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        if (ReadKey(request) is not { } key)
            return null;
        if (_adminHash is not null && CryptographicOperations.FixedTimeEquals(_adminHash, ApiKeyService.Hash(key)))
            return new Caller(Guid.Empty, "admin", [ApiKeyService.AdminScope, "admin"]);
        if (!ApiKeyService.LooksLikeKey(key) || await cache.FindAsync(key, FindAsync, cancellationToken) is not { } caller)
            return null;
        return !_addresses.TryGetValue(caller.Id, out var allowed) || ApiKeyService.IsAllowed(allowed, clientAddress.Of(request.HttpContext))
            ? caller
            : throw ApiKeyErrors.AddressNotAllowed();
    }

    /// <inheritdoc/>
    public RegistryException Refuse(HttpRequest request) => ReadKey(request) is null ? ApiKeyErrors.KeyRequired() : ApiKeyErrors.InvalidKey();

    // Schemes are case-sensitive in the original, and another scheme leaves the word to the next place.
    private static string? ReadKey(HttpRequest request)
    {
        var header = request.Headers.Authorization.ToString();
        foreach (var scheme in s_schemes)
            if (header.StartsWith(scheme, StringComparison.Ordinal))
                return NotEmpty(header[scheme.Length..].Trim());
        return NotEmpty(request.Headers["X-API-Key"].ToString()) ?? NotEmpty(request.Query["api_key"].ToString());
    }

    private static string? NotEmpty(string text) => text.Length is > 0 and <= 500 ? text : null;

    private async Task<(Caller, DateTimeOffset)?> FindAsync(byte[] hash, CancellationToken cancellationToken)
    {
        if (await keys.FindActiveAsync(hash, cancellationToken) is not { } key)
            return null;
        if (key.AllowedIps.Count > 0)
            _addresses[key.Id] = key.AllowedIps;
        return (new Caller(key.Id, key.Name, key.Scopes, key.Limit), key.ExpiresAt ?? DateTimeOffset.MaxValue);
    }
}
