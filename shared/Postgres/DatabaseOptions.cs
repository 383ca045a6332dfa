using FunctionsRegistry.Identity;
using Microsoft.Extensions.Configuration;
using Npgsql;

namespace FunctionsRegistry.Postgres;

/// <summary>Where PostgreSQL is (<see cref="PostgresSettings"/>) and how it is used.</summary>
/// <param name="ConnectionString">Npgsql's form, with this app's timeouts added.</param>
/// <param name="MigrateAtStart"><c>Database__MigrateAtStart</c>: true in the local runtime; in Azure the <c>migrate</c> command does it.</param>
/// <param name="UsesEntra"><c>POSTGRES_AUTH=entra</c>: the password is an Entra token of the process' identity.</param>
/// <param name="AppRole">
/// <c>Database__AppRole</c>: a role that <c>migrate</c> makes where it is missing and lets read and write all rows, and nothing else; null: none.
/// </param>
public sealed record DatabaseOptions(string ConnectionString, bool MigrateAtStart, bool UsesEntra = false, string? AppRole = null)
{
    // Only says how soon a token that is near its end is noticed: EntraTokens asks for a new one five minutes before.
    private static readonly TimeSpan s_lookEvery = TimeSpan.FromMinutes(2);

    /// <summary>The pool of connections; with <see cref="UsesEntra"/>, new ones sign in with a token that is never stale. Open ones live on.</summary>
    public NpgsqlDataSource CreateDataSource(EntraTokens tokens)
    {
        // The name is a label of its metrics, which would otherwise carry the connection string.
        var builder = new NpgsqlDataSourceBuilder(ConnectionString) { Name = "registry" };
        if (UsesEntra)
            builder.UsePeriodicPasswordProvider((_, cancellationToken) => GetTokenAsync(tokens, cancellationToken), s_lookEvery, TimeSpan.FromSeconds(5));
        return builder.Build();
    }

    /// <summary>Migrates with the same credentials.</summary>
    public Migrator CreateMigrator(EntraTokens tokens) =>
        new(ConnectionString, UsesEntra ? cancellationToken => GetTokenAsync(tokens, cancellationToken) : null, AppRole);

    private static async ValueTask<string> GetTokenAsync(EntraTokens tokens, CancellationToken cancellationToken) =>
        (await tokens.GetAsync(EntraTokens.PostgresScope, cancellationToken)).Token;

    /// <summary>Reads the settings named above.</summary>
    /// <exception cref="InvalidOperationException">Nothing is set, or it cannot be understood.</exception>
    public static DatabaseOptions FromConfiguration(IConfiguration configuration, bool migrateByDefault)
    {
        var builder = new NpgsqlConnectionStringBuilder();
        if (!PostgresSettings.TryRead(configuration, builder))
            throw new InvalidOperationException("No PostgreSQL is configured: set POSTGRES_HOST or DATABASE_URL.");
        builder.ApplicationName = "functionsregistry";
        // A server that is dead is answered with 503 within 2 s, one that hangs within 5: 3 for the statement, 2 for telling it to stop.
        // Work behind no request (timers, indexing) sets a longer CommandTimeout of its own; the server ends any statement after 20 s.
        builder.Timeout = 2;
        builder.CommandTimeout = 3;
        builder.CancellationTimeout = 500;
        // Asking for it costs every connection a round trip, and nobody here uses Kerberos.
        builder.GssEncryptionMode = GssEncryptionMode.Disable;
        builder.MaxPoolSize = configuration.GetValue("Database:MaxPoolSize", 64);
        builder.MaxAutoPrepare = 256;
        builder.AutoPrepareMinUsages = 2;
        // Stores leave no session state behind, so nothing needs to be discarded when a connection returns to the pool.
        builder.NoResetOnClose = true;
        builder.KeepAlive = 30;
        // Two swapped letters in a short name leave a similarity of about 0.25: PostgreSQL's own threshold of 0.3 would find no typo.
        builder.Options = "-c statement_timeout=20000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=30000 -c pg_trgm.similarity_threshold=0.2";
        var usesEntra = AuthSetting.UsesEntra(configuration, "POSTGRES_AUTH");
        if (usesEntra && builder.Password is { Length: > 0 })
            throw new InvalidOperationException(
                "POSTGRES_AUTH is entra, so a token is the password: leave POSTGRES_PASSWORD, or the password in DATABASE_URL, out.");
        return new DatabaseOptions(
            builder.ConnectionString,
            configuration.GetValue("Database:MigrateAtStart", migrateByDefault),
            usesEntra,
            configuration["Database:AppRole"] is { Length: > 0 } role ? role : null);
    }
}
