using Microsoft.Extensions.Configuration;
using Npgsql;

namespace FunctionsRegistry.Postgres;

/// <summary>Where PostgreSQL is: <c>POSTGRES_HOST</c>, <c>_PORT</c>, <c>_USER</c>, <c>_PASSWORD</c>, <c>_DB</c>, or <c>DATABASE_URL</c>.</summary>
/// <param name="ConnectionString">Npgsql's form, with this app's timeouts added.</param>
/// <param name="MigrateAtStart"><c>Database__MigrateAtStart</c>: true in the local runtime; in Azure the <c>migrate</c> command does it.</param>
public sealed record DatabaseOptions(string ConnectionString, bool MigrateAtStart)
{
    /// <summary>Reads the settings named above.</summary>
    /// <exception cref="InvalidOperationException">None is set, or <c>DATABASE_URL</c> is not a postgres:// URL.</exception>
    public static DatabaseOptions FromConfiguration(IConfiguration configuration, bool migrateByDefault)
    {
        var builder = new NpgsqlConnectionStringBuilder();
        if (configuration["DATABASE_URL"] is { Length: > 0 } url)
            ReadUrl(builder, url);
        else
            ReadParts(builder, configuration);
        builder.ApplicationName = "functionsregistry";
        // A dead server answers 503 within 5 s: connecting and waiting for a pooled connection may take 4.
        builder.Timeout = 4;
        builder.CommandTimeout = 30;
        builder.CancellationTimeout = 2000;
        builder.MaxPoolSize = configuration.GetValue("Database:MaxPoolSize", 64);
        builder.MaxAutoPrepare = 256;
        builder.AutoPrepareMinUsages = 2;
        // Stores leave no session state behind, so nothing needs to be discarded when a connection returns to the pool.
        builder.NoResetOnClose = true;
        builder.KeepAlive = 30;
        // Two swapped letters in a short name leave a similarity of about 0.25: PostgreSQL's own threshold of 0.3 would find no typo.
        builder.Options = "-c statement_timeout=20000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=30000 -c pg_trgm.similarity_threshold=0.2";
        return new DatabaseOptions(builder.ConnectionString, configuration.GetValue("Database:MigrateAtStart", migrateByDefault));
    }

    private static void ReadParts(NpgsqlConnectionStringBuilder builder, IConfiguration configuration)
    {
        builder.Host = configuration["POSTGRES_HOST"] is { Length: > 0 } host
            ? host
            : throw new InvalidOperationException("No PostgreSQL is configured: set POSTGRES_HOST or DATABASE_URL.");
        builder.Port = configuration.GetValue("POSTGRES_PORT", 5432);
        builder.Username = configuration["POSTGRES_USER"] ?? "registry";
        builder.Password = configuration["POSTGRES_PASSWORD"];
        builder.Database = configuration["POSTGRES_DB"] ?? "registry";
        if (configuration["POSTGRES_SSLMODE"] is { Length: > 0 } mode)
            builder.SslMode = Enum.Parse<SslMode>(mode, ignoreCase: true);
    }

    private static void ReadUrl(NpgsqlConnectionStringBuilder builder, string text)
    {
        if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || url.Scheme is not ("postgres" or "postgresql"))
            throw new InvalidOperationException("DATABASE_URL must look like postgres://user:password@host:5432/database.");
        var user = url.UserInfo.Split(':', 2);
        builder.Host = url.Host;
        builder.Port = url.Port > 0 ? url.Port : 5432;
        builder.Username = Uri.UnescapeDataString(user[0]);
        if (user.Length > 1)
            builder.Password = Uri.UnescapeDataString(user[1]);
        builder.Database = Uri.UnescapeDataString(url.AbsolutePath.TrimStart('/'));
        if (url.Query.Contains("sslmode=require", StringComparison.OrdinalIgnoreCase))
            builder.SslMode = SslMode.Require;
    }
}
