using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.Airflow;

/// <summary>A task in one run.</summary>
/// <param name="RunRowId">The run's row.</param>
/// <param name="MaxTries">Airflow's meaning: retries after the first try; the last try is this plus one.</param>
/// <param name="Output">JSON, or null.</param>
public sealed record TaskInstance(
    long RunRowId, string DagId, string RunId, DateTimeOffset LogicalAt, string TaskId, int Position, string Operator, string Pool, TaskState State, int TryNumber,
    int MaxTries, DateTimeOffset? QueuedAt, DateTimeOffset? StartedAt, DateTimeOffset? EndedAt, string? Note);

/// <summary>What a list of task instances is narrowed by.</summary>
/// <param name="DagId">Null: all.</param>
/// <param name="RunId">Null: all runs.</param>
public sealed record TaskInstanceFilter(
    string? DagId, string? RunId, IReadOnlyList<TaskState> States, IReadOnlyList<string> Pools, TimeRange Logical, TimeRange Started, TimeRange Ended,
    double? DurationFrom, double? DurationTo, int Offset, int Limit);

/// <summary>What an activity finds when it begins a try.</summary>
/// <param name="State">As it was found; Running where this try may go on.</param>
/// <param name="IsClaimed">This try may be executed.</param>
/// <param name="IsCurrent">The run is still this orchestration's.</param>
/// <param name="Slots">Of the task's pool; null where the pool does not exist.</param>
/// <param name="Conf">JSON.</param>
/// <param name="Outputs">JSON of the tasks asked for.</param>
public sealed record ClaimedTry(
    bool IsCurrent, bool IsClaimed, TaskState State, int TryNumber, int MaxTries, int? Slots, DateTimeOffset? ResumeAt, string? Output, string Conf, string RunId,
    IReadOnlyDictionary<string, string?> Outputs, IReadOnlyDictionary<string, string> Variables);

/// <summary>Tasks' rows, moved by activities. A row moves only for its run's present orchestration and its present try.</summary>
public sealed class TaskInstanceStore(NpgsqlDataSource database, TimeProvider time)
{
    internal const string Columns = """
        t.run_id, r.dag_id, r.run_id, r.logical_at, t.task_id, t.position, t.operator, t.pool, t.state, t.try_number, t.max_tries, t.queued_at, t.started_at,
        t.ended_at, t.note
        """;

    // Lists over all runs stop counting here behind their page.
    private const int CountedAhead = 10_000;

    /// <summary>A page and how many there are: exact within one run, else at least that many. Newest runs first, tasks in their order.</summary>
    public async Task<(IReadOnlyList<TaskInstance> Tasks, long Total)> ListAsync(TaskInstanceFilter filter, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        var count = new NpgsqlBatchCommand();
        var from = From(count, filter);
        count.CommandText = $"SELECT count(*) FROM (SELECT 1 {from} LIMIT {filter.Offset + (long)filter.Limit + CountedAhead}) c";
        var page = new NpgsqlBatchCommand();
        page.CommandText = $"SELECT {Columns} {From(page, filter)} ORDER BY t.run_id DESC, t.position LIMIT {filter.Limit} OFFSET {filter.Offset}";
        batch.BatchCommands.Add(count);
        batch.BatchCommands.Add(page);
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        var total = reader.GetInt64(0);
        await reader.NextResultAsync(cancellationToken);
        var tasks = new List<TaskInstance>();
        while (await reader.ReadAsync(cancellationToken))
            tasks.Add(Read(reader));
        return (tasks, total);
    }

    /// <summary>One task of one run, or null.</summary>
    public async Task<TaskInstance?> FindAsync(string dagId, string runId, string taskId, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(
            $"SELECT {Columns} FROM airflow.dag_runs r JOIN airflow.task_instances t ON t.run_id = r.id WHERE r.dag_id = $1 AND r.run_id = $2 AND t.task_id = $3");
        Add(command, dagId, runId, taskId);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    /// <summary>Sets a task's note; false where there is no such task.</summary>
    public async Task<bool> SetNoteAsync(string dagId, string runId, string taskId, string? note, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(
            "UPDATE airflow.task_instances t SET note = $4 FROM airflow.dag_runs r WHERE r.id = t.run_id AND r.dag_id = $1 AND r.run_id = $2 AND t.task_id = $3");
        Add(command, dagId, runId, taskId, new NpgsqlParameter { Value = note ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        return await command.ExecuteNonQueryAsync(cancellationToken) == 1;
    }

    /// <summary>The log of one try, or null.</summary>
    public async Task<string?> FindLogAsync(long runRowId, string taskId, int tryNumber, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("SELECT content FROM airflow.task_logs WHERE run_id = $1 AND task_id = $2 AND try_number = $3");
        Add(command, runRowId, taskId, tryNumber);
        return await command.ExecuteScalarAsync(cancellationToken) as string;
    }

    /// <summary>All tasks' states for the orchestration; null where the run is not its any more. One round trip.</summary>
    public async Task<IReadOnlyDictionary<string, (TaskState State, int TryNumber, int MaxTries, string? Output)>?> ListForRunAsync(
        DagRunRef run, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT t.task_id, t.state, t.try_number, t.max_tries, CASE WHEN t.operator = 'branch' THEN t.output::text END
            FROM airflow.dag_runs r JOIN airflow.task_instances t ON t.run_id = r.id WHERE r.id = $1 AND r.generation = $2 AND r.state = 'running'
            """);
        Add(command, run.RunId, run.Generation);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var tasks = new Dictionary<string, (TaskState, int, int, string?)>();
        while (await reader.ReadAsync(cancellationToken))
        {
            StateNames.TryTask(reader.GetString(1), out var state);
            tasks[reader.GetString(0)] = (state, reader.GetInt32(2), reader.GetInt32(3), reader.GetValue(4) as string);
        }
        return tasks.Count == 0 ? null : tasks;
    }

    /// <summary>
    /// Begins a try, where the pool has a slot, and reads what its parameters refer to; one round trip. A try that is executed again after a crash is claimed
    /// again; one whose end is recorded is not.
    /// </summary>
    public async Task<ClaimedTry?> ClaimAsync(
        TaskTry attempt, string pool, IReadOnlyCollection<string> outputsOf, IReadOnlyCollection<string> variables, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        // That a task has begun need not survive a power failure, and the pool's lock is not held while the disk is waited for.
        batch.BatchCommands.Add(new("SELECT set_config('synchronous_commit', 'off', true)"));
        batch.BatchCommands.Add(Command("SELECT slots FROM airflow.pools WHERE name = $1 FOR NO KEY UPDATE", pool));
        batch.BatchCommands.Add(Command("""
            UPDATE airflow.task_instances t SET state = 'running', try_number = $4, ended_at = NULL, resume_at = NULL,
                started_at = CASE WHEN t.state = 'running' THEN t.started_at ELSE $5 END
            FROM airflow.dag_runs r, airflow.pools p
            WHERE t.run_id = $1 AND t.task_id = $2 AND r.id = t.run_id AND r.generation = $3 AND r.state = 'running' AND p.name = t.pool
                AND (t.state = 'running' AND t.try_number = $4
                    OR t.try_number < $4 AND t.state NOT IN ('success', 'failed', 'upstream_failed', 'skipped')
                        AND (p.slots < 0 OR (SELECT count(*) FROM airflow.task_instances x WHERE x.pool = p.name AND x.state = 'running') < p.slots))
            RETURNING 1
            """, attempt.Run.RunId, attempt.TaskId, attempt.Run.Generation, attempt.TryNumber, time.GetUtcNow()));
        batch.BatchCommands.Add(Command("""
            SELECT r.generation = $3 AND r.state = 'running', t.state, t.try_number, t.max_tries, p.slots, t.resume_at, t.output::text, r.conf::text, r.run_id
            FROM airflow.dag_runs r JOIN airflow.task_instances t ON t.run_id = r.id LEFT JOIN airflow.pools p ON p.name = t.pool
            WHERE r.id = $1 AND t.task_id = $2
            """, attempt.Run.RunId, attempt.TaskId, attempt.Run.Generation));
        batch.BatchCommands.Add(Command(
            "SELECT task_id, output::text FROM airflow.task_instances WHERE run_id = $1 AND task_id = ANY ($2)", attempt.Run.RunId, outputsOf.ToArray()));
        batch.BatchCommands.Add(Command("SELECT key, value FROM airflow.variables WHERE key = ANY ($1)", [variables.ToArray()]));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.NextResultAsync(cancellationToken);
        await reader.NextResultAsync(cancellationToken);
        var isClaimed = await reader.ReadAsync(cancellationToken);
        await reader.NextResultAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            return null;
        StateNames.TryTask(reader.GetString(1), out var state);
        var found = new ClaimedTry(
            reader.GetBoolean(0), isClaimed, state, reader.GetInt32(2), reader.GetInt32(3), reader.GetValue(4) as int?,
            reader.IsDBNull(5) ? null : reader.GetFieldValue<DateTimeOffset>(5), reader.GetValue(6) as string, reader.GetString(7), reader.GetString(8),
            new Dictionary<string, string?>(), new Dictionary<string, string>());
        await reader.NextResultAsync(cancellationToken);
        var outputs = new Dictionary<string, string?>();
        while (await reader.ReadAsync(cancellationToken))
            outputs[reader.GetString(0)] = reader.GetValue(1) as string;
        await reader.NextResultAsync(cancellationToken);
        var values = new Dictionary<string, string>();
        while (await reader.ReadAsync(cancellationToken))
            values[reader.GetString(0)] = reader.GetString(1);
        return found with { Outputs = outputs, Variables = values };
    }

    /// <summary>Says that a task waits for a slot.</summary>
    public async Task SetQueuedAsync(TaskTry attempt, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            UPDATE airflow.task_instances t SET state = 'queued', queued_at = coalesce(t.queued_at, $4)
            FROM airflow.dag_runs r
            WHERE t.run_id = $1 AND t.task_id = $2 AND r.id = t.run_id AND r.generation = $3 AND r.state = 'running' AND t.state IN ('none', 'up_for_retry')
            """);
        Add(command, attempt.Run.RunId, attempt.TaskId, attempt.Run.Generation, time.GetUtcNow());
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Records how a try ended, with its log; false where the try had ended already, or is nobody's any more. One round trip.</summary>
    public async Task<bool> FinishAsync(
        TaskTry attempt, TaskState state, string? output, DateTimeOffset? resumeAt, string log, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            WITH done AS (
                UPDATE airflow.task_instances t SET state = $5, try_number = $4, output = $6, resume_at = $7,
                    started_at = coalesce(t.started_at, $8), ended_at = CASE WHEN $5 = 'deferred' THEN NULL ELSE $8 END
                FROM airflow.dag_runs r
                WHERE t.run_id = $1 AND t.task_id = $2 AND r.id = t.run_id AND r.generation = $3 AND r.state = 'running'
                    AND t.state <> $5 AND (t.try_number = $4 AND t.state IN ('running', 'deferred')
                        OR t.try_number < $4 AND t.state IN ('none', 'queued', 'up_for_retry'))
                RETURNING t.run_id, t.task_id),
            logged AS (
                INSERT INTO airflow.task_logs AS l (run_id, task_id, try_number, content) SELECT run_id, task_id, $4, $9 FROM done
                ON CONFLICT (run_id, task_id, try_number) DO UPDATE SET content = l.content || excluded.content)
            SELECT count(*) FROM done
            """);
        Add(
            command, attempt.Run.RunId, attempt.TaskId, attempt.Run.Generation, attempt.TryNumber, state.Name(),
            new NpgsqlParameter { Value = output ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Json },
            new NpgsqlParameter { Value = resumeAt ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.TimestampTz }, time.GetUtcNow(), log);
        return (long)(await command.ExecuteScalarAsync(cancellationToken))! == 1;
    }

    /// <summary>Records tasks that end without running.</summary>
    public async Task SettleAsync(SettledTasks settled, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            UPDATE airflow.task_instances t SET state = s.state, ended_at = $5
            FROM airflow.dag_runs r, unnest($3::text[], $4::text[]) AS s (task_id, state)
            WHERE t.run_id = $1 AND r.id = t.run_id AND r.generation = $2 AND r.state = 'running' AND t.task_id = s.task_id AND t.state = 'none'
            """);
        Add(
            command, settled.Run.RunId, settled.Run.Generation, settled.Tasks.Select(task => task.Id).ToArray(),
            settled.Tasks.Select(task => task.State.Name()).ToArray(), time.GetUtcNow());
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    internal static TaskInstance Read(NpgsqlDataReader reader)
    {
        StateNames.TryTask(reader.GetString(8), out var state);
        return new TaskInstance(
            reader.GetInt64(0), reader.GetString(1), reader.GetString(2), reader.GetFieldValue<DateTimeOffset>(3), reader.GetString(4), reader.GetInt32(5),
            reader.GetString(6), reader.GetString(7), state, reader.GetInt32(9), reader.GetInt32(10), Time(11), Time(12), Time(13), reader.GetValue(14) as string);

        DateTimeOffset? Time(int column) => reader.IsDBNull(column) ? null : reader.GetFieldValue<DateTimeOffset>(column);
    }

    private static string From(NpgsqlBatchCommand command, TaskInstanceFilter filter)
    {
        var where = new List<string>();
        if (filter.DagId is not null)
            where.Add($"r.dag_id = ${Parameter(filter.DagId)}");
        if (filter.RunId is not null)
            where.Add($"r.run_id = ${Parameter(filter.RunId)}");
        if (filter.States.Count > 0)
            where.Add($"t.state = ANY (${Parameter(filter.States.Select(state => state.Name()).ToArray())})");
        if (filter.Pools.Count > 0)
            where.Add($"t.pool = ANY (${Parameter(filter.Pools.ToArray())})");
        AddRange("r.logical_at", filter.Logical);
        AddRange("t.started_at", filter.Started);
        AddRange("t.ended_at", filter.Ended);
        if (filter.DurationFrom is { } from)
            where.Add($"extract(epoch FROM t.ended_at - t.started_at) >= ${Parameter(from)}");
        if (filter.DurationTo is { } to)
            where.Add($"extract(epoch FROM t.ended_at - t.started_at) <= ${Parameter(to)}");
        return "FROM airflow.task_instances t JOIN airflow.dag_runs r ON r.id = t.run_id" + (where.Count == 0 ? "" : " WHERE " + string.Join(" AND ", where));

        void AddRange(string column, TimeRange range)
        {
            if (range.From is { } first)
                where.Add($"{column} >= ${Parameter(first)}");
            if (range.To is { } last)
                where.Add($"{column} <= ${Parameter(last)}");
        }

        int Parameter(object value)
        {
            command.Parameters.Add(new() { Value = value });
            return command.Parameters.Count;
        }
    }

    private static NpgsqlBatchCommand Command(string sql, params object[] parameters)
    {
        var command = new NpgsqlBatchCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(new() { Value = parameter });
        return command;
    }

    private static void Add(NpgsqlCommand command, params object[] parameters)
    {
        foreach (var parameter in parameters)
            command.Parameters.Add(parameter as NpgsqlParameter ?? new NpgsqlParameter { Value = parameter });
    }
}
