using System.Security.Cryptography;
using System.Text;
using FunctionsRegistry.Airflow;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.Airflow;

/// <summary>spec-dean.md: HTTP Basic with the configured user and password.</summary>
public sealed class BasicAuthenticator(AirflowOptions options) : IAuthenticator
{
    private const string Scheme = "Basic ";
    private readonly byte[]? _hash = options is { Username: { } username, Password: { } password } ? Hash($"{username}:{password}") : null;

    /// <inheritdoc/>
    public IReadOnlyList<Family> Families { get; } = [Family.Airflow];

    /// <inheritdoc/>
    public ValueTask<Caller?> FindAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        // Hashes are compared: neither the time nor the length tells anything of the password.
        var known = _hash is not null && ReadCredentials(request) is { } sent && CryptographicOperations.FixedTimeEquals(_hash, Hash(sent));
        return new(known ? new Caller(Guid.Empty, options.Username!) : null);
    }

    /// <inheritdoc/>
    public RegistryException Refuse(HttpRequest request) =>
        ReadCredentials(request) is null ? AirflowErrors.NotAuthenticated() : AirflowErrors.WrongCredentials();

    private static string? ReadCredentials(HttpRequest request)
    {
        var header = request.Headers.Authorization.ToString();
        if (!header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) || header.Length > 2000)
            return null;
        var bytes = new byte[header.Length];
        return Convert.TryFromBase64String(header[Scheme.Length..].Trim(), bytes, out var count) ? Encoding.UTF8.GetString(bytes, 0, count) : null;
    }

    private static byte[] Hash(string credentials) => SHA256.HashData(Encoding.UTF8.GetBytes(credentials));
}
