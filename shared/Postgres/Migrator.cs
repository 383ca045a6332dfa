using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using Npgsql;

namespace FunctionsRegistry.Postgres;

/// <summary>One embedded <c>NNNN_what.sql</c>. <paramref name="Sha256"/> is hex over the text with LF line ends.</summary>
public sealed record Migration(int Number, string Name, string Sql, string Sha256)
{
    /// <summary>A first line <c>-- no-transaction</c>: for statements that cannot run in one, such as CREATE INDEX CONCURRENTLY.</summary>
    public bool InTransaction => !Sql.StartsWith("-- no-transaction", StringComparison.Ordinal);
}

/// <summary>Brings the schema up to the code: embedded scripts, in order, once each, under an advisory lock, with their checksums recorded.</summary>
/// <param name="password">Gives the password of a new connection; null: it is in the connection string.</param>
/// <param name="appRole">A role that may read and write rows after migrating; null: none.</param>
public sealed class Migrator(string connectionString, Func<CancellationToken, ValueTask<string>>? password = null, string? appRole = null)
{
    // Any constant of our own: it keeps two starting processes from migrating at once.
    private const long LockKey = 0x46756e63526567;

    /// <summary>All scripts of this build in order.</summary>
    public static IReadOnlyList<Migration> Embedded { get; } = ReadEmbedded();

    /// <summary>Applies what is missing and returns the names of what it applied.</summary>
    /// <exception cref="SchemaMismatchException">A recorded script differs from this build's, or the schema is newer than this build.</exception>
    public async Task<IReadOnlyList<string>> MigrateAsync(CancellationToken cancellationToken)
    {
        await using var connection = await OpenAsync(cancellationToken);
        await LockAsync(connection, cancellationToken);
        await ExecuteAsync(connection, """
            CREATE SCHEMA IF NOT EXISTS platform;
            CREATE TABLE IF NOT EXISTS platform.schema_migrations (
                number integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())
            """, cancellationToken);
        var applied = await ReadAppliedAsync(connection, cancellationToken);
        RefuseMismatch(applied);
        var names = new List<string>();
        foreach (var migration in Embedded.Where(migration => !applied.ContainsKey(migration.Number)))
        {
            await ApplyAsync(connection, migration, cancellationToken);
            names.Add(migration.Name);
        }
        // Also without a new migration: the role may be.
        if (appRole is not null)
            await AppRole.GrantAsync(connection, appRole, database => OpenAsync(cancellationToken, database), cancellationToken);
        return names;
    }

    /// <summary>What production does at start instead of migrating: the schema must be exactly this build's.</summary>
    /// <exception cref="SchemaMismatchException">The schema is older, newer or different.</exception>
    public async Task CheckAsync(CancellationToken cancellationToken)
    {
        await using var connection = await OpenAsync(cancellationToken);
        await using var exists = new NpgsqlCommand("SELECT to_regclass('platform.schema_migrations') IS NOT NULL", connection);
        if (!(bool)(await exists.ExecuteScalarAsync(cancellationToken))!)
            throw new SchemaMismatchException("The database has no schema yet: run the `migrate` command first.");
        var applied = await ReadAppliedAsync(connection, cancellationToken);
        RefuseMismatch(applied);
        if (Embedded.FirstOrDefault(migration => !applied.ContainsKey(migration.Number)) is { } missing)
            throw new SchemaMismatchException($"The schema is older than this build ({missing.Name} is missing): run the `migrate` command first.");
    }

    private async Task<NpgsqlConnection> OpenAsync(CancellationToken cancellationToken, string? database = null)
    {
        // Not pooled: the advisory lock and the relaxed timeouts end with the session.
        // lock_timeout: a migration that waits for a table stops everybody who comes after it, so it gives up and can be run again.
        var builder = new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false, CommandTimeout = 0, Options = "-c statement_timeout=0 -c lock_timeout=10000" };
        if (database is not null)
            builder.Database = database;
        if (password is not null)
            builder.Password = await password(cancellationToken);
        var connection = new NpgsqlConnection(builder.ConnectionString);
        await connection.OpenAsync(cancellationToken);
        return connection;
    }

    // Asked for again and again instead of waited for: a waiting statement holds a snapshot, and CREATE INDEX CONCURRENTLY waits for all of those.
    private static async Task LockAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand("SELECT pg_try_advisory_lock($1)", connection);
        command.Parameters.Add(new() { Value = LockKey });
        while (await command.ExecuteScalarAsync(cancellationToken) is not true)
            await Task.Delay(200, cancellationToken);
    }

    private static async Task ApplyAsync(NpgsqlConnection connection, Migration migration, CancellationToken cancellationToken)
    {
        const string Record = "INSERT INTO platform.schema_migrations (number, name, sha256) VALUES ($1, $2, $3)";
        await using var transaction = migration.InTransaction ? await connection.BeginTransactionAsync(cancellationToken) : null;
        await ExecuteAsync(connection, migration.Sql, cancellationToken);
        await using var record = new NpgsqlCommand(Record, connection, transaction);
        record.Parameters.Add(new() { Value = migration.Number });
        record.Parameters.Add(new() { Value = migration.Name });
        record.Parameters.Add(new() { Value = migration.Sha256 });
        await record.ExecuteNonQueryAsync(cancellationToken);
        if (transaction is not null)
            await transaction.CommitAsync(cancellationToken);
    }

    private static void RefuseMismatch(Dictionary<int, string> applied)
    {
        foreach (var migration in Embedded)
            if (applied.TryGetValue(migration.Number, out var sha256) && sha256 != migration.Sha256)
                throw new SchemaMismatchException($"{migration.Name} was changed after it was applied: released migrations are never edited.");
        var newest = Embedded.Count == 0 ? 0 : Embedded[^1].Number;
        if (applied.Keys.Any(number => number > newest))
            throw new SchemaMismatchException($"The schema is newer than this build (migration {applied.Keys.Max()}, this build knows {newest}).");
    }

    private static async Task<Dictionary<int, string>> ReadAppliedAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand("SELECT number, sha256 FROM platform.schema_migrations", connection);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var applied = new Dictionary<int, string>();
        while (await reader.ReadAsync(cancellationToken))
            applied.Add(reader.GetInt32(0), reader.GetString(1));
        return applied;
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
#pragma warning disable CA2100 // The text is a constant or an embedded script, never input.
        await using var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    private static List<Migration> ReadEmbedded()
    {
        const string Prefix = "Migrations/";
        var assembly = Assembly.GetExecutingAssembly();
        var migrations = new List<Migration>();
        foreach (var resource in assembly.GetManifestResourceNames().Where(name => name.StartsWith(Prefix, StringComparison.Ordinal)).Order(StringComparer.Ordinal))
        {
            using var reader = new StreamReader(assembly.GetManifestResourceStream(resource)!, Encoding.UTF8);
            var sql = reader.ReadToEnd().ReplaceLineEndings("\n");
            var name = resource[Prefix.Length..];
            migrations.Add(new(int.Parse(name[..4]), name, sql, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(sql)))));
        }
        return migrations;
    }
}

/// <summary>The database's schema is not this build's; the message says which way and what to run.</summary>
public sealed class SchemaMismatchException(string message) : Exception(message);
