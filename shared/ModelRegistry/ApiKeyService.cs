using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using FunctionsRegistry.Errors;
using FunctionsRegistry.RateLimits;

namespace FunctionsRegistry.ModelRegistry;

/// <summary>What a new key is to be. Times of validity in days.</summary>
public sealed record NewApiKey(
    string Name, string Environment = "production", int? ExpiresInDays = null, int RateLimitPerHour = 1000, IReadOnlyList<string>? AllowedIps = null,
    IReadOnlyList<string>? Scopes = null);

/// <summary>A key as it is listed; never the key itself.</summary>
public sealed record ApiKeySummary(
    Guid KeyId, string Name, string KeyPrefix, DateTimeOffset CreatedAt, DateTimeOffset? LastUsedAt, bool IsActive, DateTimeOffset? ExpiresAt, string Environment,
    IReadOnlyList<string> Scopes, int RateLimitPerHour, IReadOnlyList<string> AllowedIps);

/// <summary>A key in force, as requests are checked against it.</summary>
public sealed record ActiveApiKey(Guid Id, string Name, IReadOnlyList<string> Scopes, int RateLimitPerHour, IReadOnlyList<string> AllowedIps, DateTimeOffset? ExpiresAt)
{
    /// <summary>The key's own rate.</summary>
    public RateLimit Limit => new("hokusai-key", RateLimitPerHour, TimeSpan.FromHours(1));
}

/// <summary>Keys of the model registry: hk_live_, hk_test_ or hk_dev_ and 40 random letters and digits, stored as SHA-256 only.</summary>
public sealed partial class ApiKeyService(ApiKeyStore store, TimeProvider time)
{
    /// <summary>What the key from the configuration alone may do: administer keys. Never granted to another.</summary>
    public const string AdminScope = "keys:admin";

    /// <summary>What a key may do unless its maker says otherwise.</summary>
    public static readonly IReadOnlyList<string> StandardScopes = ["model:read", "model:write", "mlflow:access"];

    /// <summary>Every scope that can be granted.</summary>
    public static readonly IReadOnlyList<string> KnownScopes =
        ["model:read", "model:write", "mlflow:access", "mlflow:read", "mlflow:write", "dspy:execute", "admin"];

    /// <summary>Every environment, and how keys of it begin.</summary>
    public static readonly IReadOnlyDictionary<string, string> Environments =
        new Dictionary<string, string> { ["production"] = "hk_live", ["test"] = "hk_test", ["development"] = "hk_dev" };

    private const string Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

    /// <summary>Makes a key. The returned text is shown once and stored nowhere.</summary>
    /// <exception cref="RegistryException">422 with every wrong field.</exception>
    public async Task<(string Key, ApiKeySummary Summary)> CreateAsync(NewApiKey request, CancellationToken cancellationToken)
    {
        var faults = Check(request);
        if (faults.Count > 0)
            throw ApiKeyErrors.InvalidFields(faults);
        var now = time.GetUtcNow();
        var (key, prefix) = MakeKey(request.Environment);
        var summary = new ApiKeySummary(
            Guid.CreateVersion7(now), request.Name, prefix, now, null, true, request.ExpiresInDays is { } days ? now.AddDays(days) : null, request.Environment,
            request.Scopes ?? StandardScopes, request.RateLimitPerHour, request.AllowedIps ?? []);
        await store.InsertAsync(summary, Hash(key), cancellationToken);
        return (key, summary);
    }

    /// <summary>A new text for a key in force; the old one ends at once.</summary>
    public async Task<(string Key, ApiKeySummary Summary)> RotateAsync(Guid id, CancellationToken cancellationToken)
    {
        var old = await store.FindAsync(id, cancellationToken) ?? throw ApiKeyErrors.KeyNotFound();
        var (key, prefix) = MakeKey(old.Environment);
        return await store.ReplaceHashAsync(id, Hash(key), prefix, cancellationToken) is { } summary ? (key, summary) : throw ApiKeyErrors.KeyNotActive();
    }

    /// <summary>The SHA-256 that a key is stored and found by; the key is random enough to need no salt.</summary>
    public static byte[] Hash(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));

    /// <summary>Whether a text can be a key at all.</summary>
    public static bool LooksLikeKey(string text) => KeyForm().IsMatch(text);

    /// <summary>Whether an address is among the allowed ones; every one is where none are listed.</summary>
    public static bool IsAllowed(IReadOnlyList<string> allowed, string address) => allowed.Count == 0
        || (IPAddress.TryParse(address, out var parsed) && allowed.Any(one => TryParseNetwork(one, out var network) && network.Contains(parsed)));

    private static (string Key, string Prefix) MakeKey(string environment)
    {
        var random = RandomNumberGenerator.GetString(Alphabet, 40);
        return ($"{Environments[environment]}_{random}", $"{Environments[environment]}_{random[..3]}");
    }

    private static List<FieldError> Check(NewApiKey request)
    {
        var faults = new List<FieldError>();
        if (string.IsNullOrWhiteSpace(request.Name) || request.Name.Length > 100 || request.Name.Any(char.IsControl))
            Fault("name", "ensure this value has 1 to 100 characters, none of them control characters");
        if (!Environments.ContainsKey(request.Environment))
            Fault("environment", $"value is not a valid enumeration member; permitted: {string.Join(", ", Environments.Keys.Select(one => $"'{one}'"))}");
        if (request.ExpiresInDays is < 1 or > 365)
            Fault("expires_in_days", "ensure this value is from 1 to 365");
        if (request.RateLimitPerHour is < 1 or > 100_000)
            Fault("rate_limit_per_hour", "ensure this value is from 1 to 100000");
        if (request.AllowedIps is { Count: > 20 })
            Fault("allowed_ips", "ensure this value has at most 20 items");
        for (var i = 0; i < (request.AllowedIps?.Count ?? 0); i++)
            if (!TryParseNetwork(request.AllowedIps![i], out _))
                faults.Add(new FieldError(["body", "allowed_ips", i], "value is not an address or a network like 10.0.0.0/8", "value_error"));
        for (var i = 0; i < (request.Scopes?.Count ?? 0); i++)
            if (!KnownScopes.Contains(request.Scopes![i]))
                faults.Add(new FieldError(["body", "scopes", i], $"unknown scope; permitted: {string.Join(", ", KnownScopes)}", "value_error"));
        return faults;

        void Fault(string field, string message) => faults.Add(new FieldError(["body", field], message, "value_error"));
    }

    private static bool TryParseNetwork(string text, out IPNetwork network)
    {
        if (IPNetwork.TryParse(text, out network))
            return true;
        if (!IPAddress.TryParse(text, out var address))
            return false;
        network = new IPNetwork(address, address.GetAddressBytes().Length * 8);
        return true;
    }

    [GeneratedRegex(@"\Ahk_(live|test|dev)_[A-Za-z0-9]{40}\z", RegexOptions.CultureInvariant)]
    private static partial Regex KeyForm();
}
