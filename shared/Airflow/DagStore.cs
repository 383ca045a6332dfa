using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.Airflow;

/// <summary>A DAG's row.</summary>
/// <param name="Version">Of the file that is in force.</param>
/// <param name="IsActive">Its file is there.</param>
/// <param name="NextRunAt">When the schedule fires next.</param>
public sealed record Dag(
    string DagId, string Version, string FileName, string Description, IReadOnlyList<string> Owners, IReadOnlyList<string> Tags, string? Schedule,
    int MaxActiveRuns, bool IsActive, bool IsPaused, DateTimeOffset? NextRunAt, DateTimeOffset ParsedAt);

/// <summary>What a list of DAGs is narrowed by; null: not.</summary>
/// <param name="Tags">Any of them.</param>
/// <param name="Pattern">A part of the id, ignoring case.</param>
public sealed record DagFilter(IReadOnlyList<string> Tags, bool OnlyActive, bool? IsPaused, string? Pattern, string OrderBy, bool Descending, int Offset, int Limit);

/// <summary>How many runs there are, by state.</summary>
public sealed record RunCounts(long Dags, long ActiveDags, long Queued, long Running, long Success, long Failed);

/// <summary>DAGs' rows.</summary>
public sealed class DagStore(NpgsqlDataSource database, TimeProvider time)
{
    private const string Columns =
        "dag_id, version, file_name, description, owners, tags, schedule, max_active_runs, is_active, is_paused, next_run_at, parsed_at";

    /// <summary>The fields that a list may be ordered by.</summary>
    public static IReadOnlyList<string> OrderFields { get; } = ["dag_id", "is_active", "is_paused"];

    /// <summary>
    /// Makes the rows what the files say: new and changed DAGs are written, those without a file become inactive. Whether a DAG is paused is kept. A schedule
    /// that is new or changed fires next at its next time.
    /// </summary>
    public async Task SyncAsync(IReadOnlyCollection<DagDefinition> dags, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await using var batch = new NpgsqlBatch(connection, transaction);
        // By id: two processes that start together must not wait for each other.
        foreach (var dag in dags.OrderBy(dag => dag.Id, StringComparer.Ordinal))
            AddSync(batch, dag, now);
        batch.BatchCommands.Add(new("UPDATE airflow.dags SET is_active = false, next_run_at = NULL WHERE is_active AND dag_id <> ALL ($1)")
        {
            Parameters = { new() { Value = dags.Select(dag => dag.Id).ToArray() } },
        });
        await batch.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
    }

    /// <summary>A page, and how many there are.</summary>
    public async Task<(IReadOnlyList<Dag> Dags, long Total)> ListAsync(DagFilter filter, CancellationToken cancellationToken)
    {
        const string Where = """
            ($1 = '{}' OR tags && $1) AND (is_active OR NOT $2) AND ($3 IS NULL OR is_paused = $3) AND ($4 IS NULL OR position(lower($4) IN lower(dag_id)) > 0)
            """;
        var direction = filter.Descending ? "DESC" : "ASC";
        var order = filter.OrderBy == "dag_id" ? $"dag_id {direction}" : $"{OrderFields.Single(field => field == filter.OrderBy)} {direction}, dag_id {direction}";
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(WithFilter($"SELECT count(*) FROM airflow.dags WHERE {Where}"));
        var page = WithFilter($"SELECT {Columns} FROM airflow.dags WHERE {Where} ORDER BY {order} LIMIT $5 OFFSET $6");
        page.Parameters.Add(new() { Value = filter.Limit });
        page.Parameters.Add(new() { Value = filter.Offset });
        batch.BatchCommands.Add(page);
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        var total = reader.GetInt64(0);
        await reader.NextResultAsync(cancellationToken);
        var dags = new List<Dag>();
        while (await reader.ReadAsync(cancellationToken))
            dags.Add(Read(reader));
        return (dags, total);

        NpgsqlBatchCommand WithFilter(string sql) => new(sql)
        {
            Parameters =
            {
                new() { Value = filter.Tags.ToArray() },
                new() { Value = filter.OnlyActive },
                new() { Value = filter.IsPaused ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Boolean },
                new() { Value = filter.Pattern ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text },
            },
        };
    }

    /// <summary>One DAG, or null.</summary>
    public async Task<Dag?> FindAsync(string dagId, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"SELECT {Columns} FROM airflow.dags WHERE dag_id = $1");
        command.Parameters.Add(new() { Value = dagId });
        return await ReadOneAsync(command, cancellationToken);
    }

    /// <summary>Pauses or resumes; null where the DAG is unknown.</summary>
    public async Task<Dag?> SetPausedAsync(string dagId, bool isPaused, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"UPDATE airflow.dags SET is_paused = $2 WHERE dag_id = $1 RETURNING {Columns}");
        command.Parameters.Add(new() { Value = dagId });
        command.Parameters.Add(new() { Value = isPaused });
        return await ReadOneAsync(command, cancellationToken);
    }

    /// <summary>A version's file name and text, or null.</summary>
    public async Task<(string FileName, string Source)?> FindVersionAsync(string dagId, string version, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("SELECT file_name, source FROM airflow.dag_versions WHERE dag_id = $1 AND version = $2");
        command.Parameters.Add(new() { Value = dagId });
        command.Parameters.Add(new() { Value = version });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? (reader.GetString(0), reader.GetString(1)) : null;
    }

    /// <summary>The text of a DAG's file, or null.</summary>
    public async Task<string?> FindSourceAsync(string fileName, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT v.source FROM airflow.dags d JOIN airflow.dag_versions v ON v.dag_id = d.dag_id AND v.version = d.version
            WHERE d.file_name = $1 ORDER BY d.is_active DESC, d.dag_id LIMIT 1
            """);
        command.Parameters.Add(new() { Value = fileName });
        return await command.ExecuteScalarAsync(cancellationToken) as string;
    }

    /// <summary>
    /// DAGs whose schedule is due, the longest due first; and says that a scheduler looked. A DAG whose runs wait already is not due: its schedule must not
    /// pile up runs while one hangs.
    /// </summary>
    public async Task<IReadOnlyList<Dag>> ListDueAsync(CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(new("""
            INSERT INTO airflow.scheduler AS s (heartbeat_at) VALUES ($1) ON CONFLICT (id) DO UPDATE SET heartbeat_at = greatest(s.heartbeat_at, $1)
            """)
        {
            Parameters = { new() { Value = now } },
        });
        batch.BatchCommands.Add(new($"""
            SELECT {Columns} FROM airflow.dags WHERE next_run_at <= $1 AND is_active AND NOT is_paused AND runs_queued = 0 ORDER BY next_run_at, dag_id
            """)
        {
            Parameters = { new() { Value = now } },
        });
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        var due = new List<Dag>();
        while (await reader.ReadAsync(cancellationToken))
            due.Add(Read(reader));
        return due;
    }

    /// <summary>When a scheduler last looked, or null; fails where the database does.</summary>
    public async Task<DateTimeOffset?> FindHeartbeatAsync(CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("SELECT heartbeat_at FROM airflow.scheduler");
        return await command.ExecuteScalarAsync(cancellationToken) is DateTime at ? new DateTimeOffset(at) : null;
    }

    /// <summary>The counters of all DAGs together.</summary>
    public async Task<RunCounts> CountAsync(CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT count(*), count(*) FILTER (WHERE is_active AND NOT is_paused), coalesce(sum(runs_queued), 0)::bigint, coalesce(sum(runs_running), 0)::bigint,
                coalesce(sum(runs_success), 0)::bigint, coalesce(sum(runs_failed), 0)::bigint
            FROM airflow.dags
            """);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return new RunCounts(reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2), reader.GetInt64(3), reader.GetInt64(4), reader.GetInt64(5));
    }

    private static void AddSync(NpgsqlBatch batch, DagDefinition dag, DateTimeOffset now)
    {
        batch.BatchCommands.Add(new("""
            WITH version AS (
                INSERT INTO airflow.dag_versions (dag_id, version, file_name, source, created_at) VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT (dag_id, version) DO NOTHING RETURNING dag_id, version)
            INSERT INTO airflow.dag_tasks (dag_id, version, position, task_id, operator, pool, max_tries)
            SELECT version.dag_id, version.version, t.position - 1, t.task_id, t.operator, t.pool, t.max_tries
            FROM version, unnest($6::text[], $7::text[], $8::text[], $9::int[]) WITH ORDINALITY AS t (task_id, operator, pool, max_tries, position)
            """)
        {
            Parameters =
            {
                new() { Value = dag.Id }, new() { Value = dag.Version }, new() { Value = dag.FileName }, new() { Value = dag.Source }, new() { Value = now },
                new() { Value = dag.Tasks.Select(task => task.Id).ToArray() },
                new() { Value = dag.Tasks.Select(task => task.Operator).ToArray() },
                new() { Value = dag.Tasks.Select(task => task.Pool).ToArray() },
                new() { Value = dag.Tasks.Select(task => task.Retries).ToArray() },
            },
        });
        batch.BatchCommands.Add(new("""
            INSERT INTO airflow.dags AS d (dag_id, version, file_name, description, owners, tags, schedule, max_active_runs, is_active, next_run_at, parsed_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, true, $9, $10)
            ON CONFLICT (dag_id) DO UPDATE SET
                version = $2, file_name = $3, description = $4, owners = $5, tags = $6, schedule = $7, max_active_runs = $8, is_active = true, parsed_at = $10,
                next_run_at = CASE WHEN d.schedule IS NOT DISTINCT FROM $7 AND d.is_active THEN d.next_run_at ELSE $9 END
            """)
        {
            Parameters =
            {
                new() { Value = dag.Id }, new() { Value = dag.Version }, new() { Value = dag.FileName }, new() { Value = dag.Description },
                new() { Value = dag.Owners.ToArray() }, new() { Value = dag.Tags.ToArray() },
                new() { Value = dag.Schedule?.Text ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text },
                new() { Value = dag.MaxActiveRuns },
                new() { Value = dag.Schedule?.Next(now) ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.TimestampTz },
                new() { Value = now },
            },
        });
    }

    private static async Task<Dag?> ReadOneAsync(NpgsqlCommand command, CancellationToken cancellationToken)
    {
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    private static Dag Read(NpgsqlDataReader reader) => new(
        reader.GetString(0), reader.GetString(1), reader.GetString(2), reader.GetString(3), reader.GetFieldValue<string[]>(4), reader.GetFieldValue<string[]>(5),
        reader.GetValue(6) as string, reader.GetInt32(7), reader.GetBoolean(8), reader.GetBoolean(9),
        reader.IsDBNull(10) ? null : reader.GetFieldValue<DateTimeOffset>(10), reader.GetFieldValue<DateTimeOffset>(11));
}
