using System.Collections.Concurrent;
using Azure.Core;
using Azure.Identity;

namespace FunctionsRegistry.Identity;

/// <summary>
/// Entra tokens, for Web PubSub and as passwords of PostgreSQL and Redis: kept until shortly before they expire, and used on while a new one cannot be had.
/// </summary>
/// <param name="credential">
/// Whose tokens: in Azure the managed identity that <c>AZURE_CLIENT_ID</c> names, elsewhere whoever is signed in. Made when first asked.
/// </param>
public sealed class EntraTokens(Lazy<TokenCredential> credential, TimeProvider time)
{
    /// <summary>Scope of Azure Database for PostgreSQL.</summary>
    public const string PostgresScope = "https://ossrdbms-aad.database.windows.net/.default";

    /// <summary>Scope of Azure Managed Redis.</summary>
    public const string RedisScope = "https://redis.azure.com/.default";

    /// <summary>Scope of Azure Web PubSub.</summary>
    public const string WebPubSubScope = "https://webpubsub.azure.com/.default";

    /// <summary>A token with less life left than this is replaced.</summary>
    public static readonly TimeSpan Margin = TimeSpan.FromMinutes(5);

    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(10);
    private readonly ConcurrentDictionary<string, AccessToken> _kept = new();

    /// <summary>The process' own identity.</summary>
    public static EntraTokens OfProcess(TimeProvider time) => new(new Lazy<TokenCredential>(() => new DefaultAzureCredential()), time);

    /// <summary>A token that lives for a while yet.</summary>
    /// <exception cref="EntraTokenException">None can be had, and the last one is at its end.</exception>
    public async ValueTask<AccessToken> GetAsync(string scope, CancellationToken cancellationToken)
    {
        var hasOne = _kept.TryGetValue(scope, out var kept);
        if (hasOne && kept.ExpiresOn - Margin > time.GetUtcNow())
            return kept;
        try
        {
            // The credential has a cache and retries of its own, so two callers at once cost little; one that hangs must not hold a connection.
            var asked = credential.Value.GetTokenAsync(new TokenRequestContext([scope]), cancellationToken).AsTask();
            var token = await asked.WaitAsync(s_timeout, time, cancellationToken);
            return _kept[scope] = token;
        }
        catch (Exception exception) when (exception is AuthenticationFailedException or TimeoutException)
        {
            return hasOne && kept.ExpiresOn > time.GetUtcNow()
                ? kept
                : throw new EntraTokenException($"No Entra token for {scope}: is AZURE_CLIENT_ID the client id of this app's identity?", exception);
        }
    }
}

/// <summary>No token can be had; the message names the setting to look at.</summary>
public sealed class EntraTokenException(string message, Exception innerException) : InvalidOperationException(message, innerException);
