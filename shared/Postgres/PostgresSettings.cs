using Microsoft.Extensions.Configuration;
using Npgsql;

namespace FunctionsRegistry.Postgres;

/// <summary>
/// Reads where PostgreSQL is: <c>DATABASE_URL</c> as postgres://user:password@host:5432/database?sslmode=..., else <c>POSTGRES_HOST</c>, <c>_PORT</c>,
/// <c>_USER</c>, <c>_PASSWORD</c>, <c>_DB</c>, <c>_SSLMODE</c>. The embedded runtime compiles this file, too.
/// </summary>
internal static class PostgresSettings
{
    /// <summary>Fills in server, user, password, database and TLS; false where nothing is set.</summary>
    /// <exception cref="InvalidOperationException">The URL or the TLS mode cannot be understood.</exception>
    public static bool TryRead(IConfiguration configuration, NpgsqlConnectionStringBuilder builder)
    {
        if (configuration["DATABASE_URL"] is { Length: > 0 } url)
        {
            ReadUrl(builder, url);
            return true;
        }
        if (configuration["POSTGRES_HOST"] is not { Length: > 0 } host)
            return false;
        builder.Host = host;
        builder.Port = configuration.GetValue("POSTGRES_PORT", 5432);
        builder.Username = configuration["POSTGRES_USER"] ?? "registry";
        builder.Password = configuration["POSTGRES_PASSWORD"];
        builder.Database = configuration["POSTGRES_DB"] ?? "registry";
        if (configuration["POSTGRES_SSLMODE"] is { Length: > 0 } mode)
            builder.SslMode = ParseSslMode("POSTGRES_SSLMODE", mode);
        return true;
    }

    private static void ReadUrl(NpgsqlConnectionStringBuilder builder, string text)
    {
        // The message never shows the text: it holds the password.
        if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || url.Scheme is not ("postgres" or "postgresql") || url.Host.Length == 0)
            throw new InvalidOperationException("DATABASE_URL must look like postgres://user:password@host:5432/database?sslmode=require.");
        var user = url.UserInfo.Split(':', 2);
        builder.Host = url.Host;
        builder.Port = url.Port > 0 ? url.Port : 5432;
        builder.Username = Uri.UnescapeDataString(user[0]);
        if (user.Length > 1)
            builder.Password = Uri.UnescapeDataString(user[1]);
        builder.Database = Uri.UnescapeDataString(url.AbsolutePath.TrimStart('/'));
        foreach (var pair in url.Query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            var (name, value) = pair.Split('=', 2) is [var left, var right] ? (left, Uri.UnescapeDataString(right)) : (pair, "");
            switch (name.ToLowerInvariant())
            {
                case "sslmode":
                    builder.SslMode = ParseSslMode("DATABASE_URL", value);
                    break;
                case "sslrootcert":
                    builder.RootCertificate = value;
                    break;
                default:
                    // Ignoring it could mean a connection that is less safe than the URL asks for.
                    throw new InvalidOperationException($"DATABASE_URL has the parameter '{name}', which is not known: use sslmode and sslrootcert only.");
            }
        }
    }

    private static SslMode ParseSslMode(string setting, string text) => text.ToLowerInvariant() switch
    {
        "disable" => SslMode.Disable,
        "allow" => SslMode.Allow,
        "prefer" => SslMode.Prefer,
        "require" => SslMode.Require,
        "verify-ca" or "verifyca" => SslMode.VerifyCA,
        "verify-full" or "verifyfull" => SslMode.VerifyFull,
        _ => throw new InvalidOperationException($"{setting}: sslmode must be disable, allow, prefer, require, verify-ca or verify-full."),
    };
}
