using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using FunctionsRegistry.Errors;
using FunctionsRegistry.RateLimits;

namespace FunctionsRegistry.Functions.Http;

/// <summary>Who sent the request, as far as rules and limits care.</summary>
/// <param name="Id">The user's or key's id in its slice; empty for credentials that many share.</param>
/// <param name="Name">The user name or key name; never a secret.</param>
/// <param name="Scopes">What a key may do; empty where its contract knows no scopes.</param>
/// <param name="Limit">A key's own rate instead of its contract's, or null.</param>
public sealed record Caller(Guid Id, string Name, IReadOnlyList<string> Scopes, RateLimit? Limit = null)
{
    /// <summary>A caller without scopes.</summary>
    public Caller(Guid id, string name)
        : this(id, name, [])
    {
    }

    /// <summary>Anybody, where a contract is open.</summary>
    public static Caller Anyone { get; } = new(Guid.Empty, "anyone");

    /// <summary>Whether limits and keys of requests can be told apart by this caller; otherwise they go by address.</summary>
    public bool IsPersonal => Id != Guid.Empty;
}

/// <summary>Finds the caller in the way of one or more contracts; one class per way, registered in <see cref="RegistryServices"/>.</summary>
public interface IAuthenticator
{
    /// <summary>The contracts it serves.</summary>
    IReadOnlyList<Family> Families { get; }

    /// <summary>The caller; null where the request carries no secret, or one that is unknown, expired or revoked.</summary>
    ValueTask<Caller?> FindAsync(HttpRequest request, CancellationToken cancellationToken);

    /// <summary>What a request without a caller is told, in the contract's words.</summary>
    RegistryException Refuse(HttpRequest request) => CommonErrors.AuthenticationRequired();
}

/// <summary>
/// Remembers whose secret one is, by its SHA-256, for five seconds: saves a round trip per request, and a revoked secret works on in other processes for
/// at most that long.
/// </summary>
public sealed class SecretCache(TimeProvider time)
{
    private static readonly TimeSpan s_keptFor = TimeSpan.FromSeconds(5);
    private const int MaxKept = 10_000;
    private readonly ConcurrentDictionary<UInt128, (Caller Caller, DateTimeOffset Until)> _kept = new();

    /// <summary>The caller of a secret, remembered or found.</summary>
    /// <param name="find">Asks the store, by the secret's SHA-256; tells when the secret expires.</param>
    public async ValueTask<Caller?> FindAsync(
        string secret, Func<byte[], CancellationToken, Task<(Caller Caller, DateTimeOffset ExpiresAt)?>> find, CancellationToken cancellationToken)
    {
        var hash = SHA256.HashData(Encoding.UTF8.GetBytes(secret));
        var key = Key(hash);
        var now = time.GetUtcNow();
        if (_kept.TryGetValue(key, out var kept) && kept.Until > now)
            return kept.Caller;
        if (await find(hash, cancellationToken) is not var (caller, expiresAt))
        {
            _kept.TryRemove(key, out _);
            return null;
        }
        if (_kept.Count >= MaxKept)
            _kept.Clear();
        _kept[key] = (caller, expiresAt < now + s_keptFor ? expiresAt : now + s_keptFor);
        return caller;
    }

    /// <summary>Forgets everything: called when a secret was revoked or changed.</summary>
    public void Clear() => _kept.Clear();

    // Half of the hash: nobody finds a second secret with the same 128 bits.
    private static UInt128 Key(byte[] hash) => System.Buffers.Binary.BinaryPrimitives.ReadUInt128LittleEndian(hash);
}

/// <summary>
/// DHG, IndexAgent, Evolution and the app's own metrics: open as their contracts are, unless <c>InternalApiKey</c> is set; then it must come in <c>X-API-Key</c>.
/// </summary>
public sealed class InternalKeyAuthenticator(IConfiguration configuration) : IAuthenticator
{
    private readonly byte[]? _hash = configuration["InternalApiKey"] is { Length: > 0 } key ? SHA256.HashData(Encoding.UTF8.GetBytes(key)) : null;

    /// <inheritdoc/>
    public IReadOnlyList<Family> Families { get; } = [Family.Dhg, Family.IndexAgent, Family.Evolution, Family.Platform];

    /// <inheritdoc/>
    public ValueTask<Caller?> FindAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        // Hashes are compared: neither the time nor the length tells anything of the key.
        var known = _hash is null || CryptographicOperations.FixedTimeEquals(_hash, SHA256.HashData(Encoding.UTF8.GetBytes(request.Headers["X-API-Key"].ToString())));
        return new(known ? Caller.Anyone : null);
    }
}

/// <summary>Puts the caller into the request's state, in the way of its contract.</summary>
public sealed class CallerMiddleware(IEnumerable<IAuthenticator> authenticators) : IFunctionsWorkerMiddleware
{
    private readonly Dictionary<Family, IAuthenticator> _authenticators =
        authenticators.SelectMany(one => one.Families, (one, family) => (one, family)).ToDictionary(pair => pair.family, pair => pair.one);

    /// <inheritdoc/>
    public async Task Invoke(FunctionContext context, FunctionExecutionDelegate next)
    {
        if (FunctionRules.Of(context).IsHttp && context.GetHttpContext() is { } http)
        {
            var state = http.GetState();
            if (_authenticators.TryGetValue(state.Family, out var authenticator))
                state.Caller = await authenticator.FindAsync(http.Request, http.RequestAborted);
        }
        await next(context);
    }
}

/// <summary>Refuses a request without a caller where the function needs one; after the limit, so that guessing secrets is limited, too.</summary>
public sealed class RequireCallerMiddleware(IEnumerable<IAuthenticator> authenticators) : IFunctionsWorkerMiddleware
{
    /// <inheritdoc/>
    public Task Invoke(FunctionContext context, FunctionExecutionDelegate next)
    {
        if (FunctionRules.Of(context) is { IsHttp: true, IsPublic: false } && context.GetHttpContext() is { } http && http.GetState() is { Caller: null, Family: var family })
            throw authenticators.FirstOrDefault(one => one.Families.Contains(family))?.Refuse(http.Request) ?? CommonErrors.AuthenticationRequired();
        return next(context);
    }
}
