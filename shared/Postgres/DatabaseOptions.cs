using Microsoft.Extensions.Configuration;
using Npgsql;

namespace FunctionsRegistry.Postgres;

/// <summary>Where PostgreSQL is (<see cref="PostgresSettings"/>) and how it is used.</summary>
/// <param name="ConnectionString">Npgsql's form, with this app's timeouts added.</param>
/// <param name="MigrateAtStart"><c>Database__MigrateAtStart</c>: true in the local runtime; in Azure the <c>migrate</c> command does it.</param>
public sealed record DatabaseOptions(string ConnectionString, bool MigrateAtStart)
{
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
        return new DatabaseOptions(builder.ConnectionString, configuration.GetValue("Database:MigrateAtStart", migrateByDefault));
    }
}
