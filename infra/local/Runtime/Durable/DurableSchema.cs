using System.Reflection;
using FunctionsRegistry.LocalRuntime.Hosting;
using Npgsql;

namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>The engine's tables: embedded scripts, in order, once each. They are the runtime's own and no part of the app's migrations.</summary>
internal static class DurableSchema
{
    // Any constant of our own: two starting processes must not do this at once.
    private const long LockKey = 0x4475726162_6c65;

    /// <exception cref="LocalHostException">The database has a newer schema than this build, or the user may not create one.</exception>
    public static async Task CreateAsync(string connectionString, CancellationToken cancellationToken)
    {
        // Not pooled: the advisory lock ends with the session.
        var builder = new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false, Options = "-c lock_timeout=0" };
        await using var connection = new NpgsqlConnection(builder.ConnectionString);
        await connection.OpenAsync(cancellationToken);
        try
        {
            await ExecuteAsync(connection, $"SELECT pg_advisory_lock({LockKey})", cancellationToken);
            await ExecuteAsync(connection, """
                CREATE SCHEMA IF NOT EXISTS durable;
                CREATE TABLE IF NOT EXISTS durable.schema_version (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())
                """, cancellationToken);
        }
        catch (PostgresException exception) when (exception.SqlState == PostgresErrorCodes.InsufficientPrivilege)
        {
            throw new LocalHostException($"The durable engine keeps its tables in a schema of its own, and the database user may not create it: {exception.MessageText}.");
        }
        await using var command = new NpgsqlCommand("SELECT coalesce(max(version), 0) FROM durable.schema_version", connection);
        var version = (int)(await command.ExecuteScalarAsync(cancellationToken))!;
        var scripts = Scripts();
        if (version > scripts.Count)
            throw new LocalHostException($"The schema durable is newer ({version}) than this build ({scripts.Count}).");
        for (; version < scripts.Count; version++)
        {
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            await ExecuteAsync(connection, scripts[version], cancellationToken);
            await ExecuteAsync(connection, $"INSERT INTO durable.schema_version (version) VALUES ({version + 1})", cancellationToken);
            await transaction.CommitAsync(cancellationToken);
        }
    }

    private static List<string> Scripts()
    {
        var assembly = Assembly.GetExecutingAssembly();
        var scripts = new List<string>();
        foreach (var name in assembly.GetManifestResourceNames().Where(name => name.StartsWith("Durable/", StringComparison.Ordinal)).Order(StringComparer.Ordinal))
        {
            using var reader = new StreamReader(assembly.GetManifestResourceStream(name)!);
            scripts.Add(reader.ReadToEnd());
        }
        return scripts;
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
#pragma warning disable CA2100 // The text is a constant or an embedded script, never input.
        await using var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
        await command.ExecuteNonQueryAsync(cancellationToken);
    }
}
