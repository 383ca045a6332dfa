using FunctionsRegistry.Errors;
using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.Airflow;

/// <summary>One variable: a value that DAGs read as <c>${variables.key}</c>. Not for secrets: everybody who may call the API can read it.</summary>
public sealed record Variable(string Key, string Value, string? Description);

/// <summary>Pools and variables.</summary>
public sealed class ResourceStore(NpgsqlDataSource database)
{
    private const string PoolColumns = """
        p.name, p.slots, p.description,
        (SELECT count(*) FROM airflow.task_instances t WHERE t.pool = p.name AND t.state = 'running')::int,
        (SELECT count(*) FROM airflow.task_instances t WHERE t.pool = p.name AND t.state = 'queued')::int,
        (SELECT count(*) FROM airflow.task_instances t WHERE t.pool = p.name AND t.state = 'deferred')::int
        """;

    /// <summary>A page of pools by name.</summary>
    public Task<(IReadOnlyList<Pool> Items, long Total)> ListPoolsAsync(int offset, int limit, CancellationToken cancellationToken) =>
        ListAsync("airflow.pools", $"SELECT {PoolColumns} FROM airflow.pools p ORDER BY p.name LIMIT $1 OFFSET $2", offset, limit, ReadPool, cancellationToken);

    /// <summary>One pool, or null.</summary>
    public Task<Pool?> FindPoolAsync(string name, CancellationToken cancellationToken) =>
        FindAsync($"SELECT {PoolColumns} FROM airflow.pools p WHERE p.name = $1", ReadPool, cancellationToken, Text(name));

    /// <summary>Makes a pool.</summary>
    /// <exception cref="RegistryException">409.</exception>
    public async Task<Pool> InsertPoolAsync(string name, int slots, string? description, CancellationToken cancellationToken)
    {
        var inserted = await FindAsync(
            "INSERT INTO airflow.pools (name, slots, description) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING RETURNING name, slots, description, 0, 0, 0",
            ReadPool, cancellationToken, Text(name), new() { Value = slots }, Text(description));
        return inserted ?? throw AirflowErrors.PoolExists(name);
    }

    /// <summary>Changes a pool; null leaves a value. Null where there is no such pool.</summary>
    public Task<Pool?> UpdatePoolAsync(string name, int? slots, string? description, CancellationToken cancellationToken) => FindAsync(
        $"UPDATE airflow.pools p SET slots = coalesce($2, slots), description = coalesce($3, description) WHERE name = $1 RETURNING {PoolColumns}",
        ReadPool, cancellationToken, Text(name), new() { Value = slots ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Integer }, Text(description));

    /// <summary>Deletes a pool; false where there is none.</summary>
    public Task<bool> DeletePoolAsync(string name, CancellationToken cancellationToken) =>
        DeleteAsync("DELETE FROM airflow.pools WHERE name = $1", name, cancellationToken);

    /// <summary>A page of variables by key.</summary>
    public Task<(IReadOnlyList<Variable> Items, long Total)> ListVariablesAsync(int offset, int limit, CancellationToken cancellationToken) => ListAsync(
        "airflow.variables", "SELECT key, value, description FROM airflow.variables ORDER BY key LIMIT $1 OFFSET $2", offset, limit, ReadVariable, cancellationToken);

    /// <summary>One variable, or null.</summary>
    public Task<Variable?> FindVariableAsync(string key, CancellationToken cancellationToken) =>
        FindAsync("SELECT key, value, description FROM airflow.variables WHERE key = $1", ReadVariable, cancellationToken, Text(key));

    /// <summary>Makes a variable.</summary>
    /// <exception cref="RegistryException">409.</exception>
    public async Task<Variable> InsertVariableAsync(Variable variable, CancellationToken cancellationToken)
    {
        var inserted = await FindAsync(
            "INSERT INTO airflow.variables (key, value, description) VALUES ($1, $2, $3) ON CONFLICT (key) DO NOTHING RETURNING key, value, description",
            ReadVariable, cancellationToken, Text(variable.Key), Text(variable.Value), Text(variable.Description));
        return inserted ?? throw AirflowErrors.VariableExists(variable.Key);
    }

    /// <summary>Changes a variable; null leaves a value. Null where there is no such variable.</summary>
    public Task<Variable?> UpdateVariableAsync(string key, string? value, string? description, CancellationToken cancellationToken) => FindAsync(
        "UPDATE airflow.variables SET value = coalesce($2, value), description = coalesce($3, description) WHERE key = $1 RETURNING key, value, description",
        ReadVariable, cancellationToken, Text(key), Text(value), Text(description));

    /// <summary>Deletes a variable; false where there is none.</summary>
    public Task<bool> DeleteVariableAsync(string key, CancellationToken cancellationToken) =>
        DeleteAsync("DELETE FROM airflow.variables WHERE key = $1", key, cancellationToken);

    private async Task<(IReadOnlyList<T> Items, long Total)> ListAsync<T>(
        string table, string sql, int offset, int limit, Func<NpgsqlDataReader, T> read, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(new($"SELECT count(*) FROM {table}"));
        batch.BatchCommands.Add(new(sql) { Parameters = { new() { Value = limit }, new() { Value = offset } } });
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        var total = reader.GetInt64(0);
        await reader.NextResultAsync(cancellationToken);
        var items = new List<T>();
        while (await reader.ReadAsync(cancellationToken))
            items.Add(read(reader));
        return (items, total);
    }

    private async Task<T?> FindAsync<T>(string sql, Func<NpgsqlDataReader, T> read, CancellationToken cancellationToken, params NpgsqlParameter[] parameters)
        where T : class
    {
        await using var command = database.CreateCommand(sql);
        command.Parameters.AddRange(parameters);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? read(reader) : null;
    }

    private async Task<bool> DeleteAsync(string sql, string key, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(sql);
        command.Parameters.Add(Text(key));
        return await command.ExecuteNonQueryAsync(cancellationToken) == 1;
    }

    private static NpgsqlParameter Text(string? text) => new() { Value = text ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text };

    private static Pool ReadPool(NpgsqlDataReader reader) =>
        new(reader.GetString(0), reader.GetInt32(1), reader.GetValue(2) as string, reader.GetInt32(3), reader.GetInt32(4), reader.GetInt32(5));

    private static Variable ReadVariable(NpgsqlDataReader reader) => new(reader.GetString(0), reader.GetString(1), reader.GetValue(2) as string);
}
