using FunctionsRegistry.Errors;
using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.Airflow;

/// <summary>A run's row.</summary>
/// <param name="LogicalAt">Airflow's logical date: what the run is for.</param>
/// <param name="Conf">JSON as it was sent.</param>
public sealed record DagRun(
    long Id, string DagId, string RunId, string Version, int Generation, RunState State, bool ExternalTrigger, DateTimeOffset LogicalAt, DateTimeOffset IntervalEndAt,
    DateTimeOffset QueuedAt, DateTimeOffset? StartedAt, DateTimeOffset? EndedAt, DateTimeOffset UpdatedAt, string Conf, string? Note)
{
    /// <summary>The run's present orchestration.</summary>
    public DagRunRef Ref => new(Id, Generation, DagId, Version);
}

/// <summary>A run to be made.</summary>
/// <param name="RunId">Null: made from the logical date, with the first free number behind.</param>
public sealed record NewDagRun(
    string DagId, string? RunId, DateTimeOffset LogicalAt, DateTimeOffset IntervalEndAt, bool ExternalTrigger, string Conf, string? Note);

/// <summary>
/// Moves runs between states. A DAG's row is locked first, by every method that changes a run's state: so max_active_runs and the counters are exact, and
/// the oldest queued run follows when one ends.
/// </summary>
public sealed partial class DagRunStore(NpgsqlDataSource database, TimeProvider time)
{
    internal const string Columns = """
        r.id, r.dag_id, r.run_id, r.version, r.generation, r.state, r.external_trigger, r.logical_at, r.interval_end_at, r.queued_at, r.started_at, r.ended_at,
        r.updated_at, r.conf::text, r.note
        """;

    private const string LockDag = "SELECT 1 FROM airflow.dags WHERE dag_id = $1 FOR NO KEY UPDATE";

    // What is queued starts where a slot is free and the DAG is not paused. Runs under the DAG's lock, in a statement of its own, so it sees what was committed.
    private const string Promote = """
        WITH started AS (
            UPDATE airflow.dag_runs SET state = 'running', started_at = $2, updated_at = $2, checked_at = $2
            WHERE id IN (
                SELECT q.id FROM airflow.dag_runs q
                WHERE q.dag_id = $1 AND q.state = 'queued' ORDER BY q.id
                LIMIT (SELECT CASE WHEN is_paused OR NOT is_active THEN 0 ELSE greatest(0, max_active_runs - runs_running) END FROM airflow.dags WHERE dag_id = $1))
            RETURNING id, generation, version),
        counted AS (
            UPDATE airflow.dags SET runs_running = runs_running + n, runs_queued = runs_queued - n
            FROM (SELECT count(*) AS n FROM started) c WHERE dag_id = $1 AND n > 0)
        SELECT id, generation, version FROM started ORDER BY id
        """;

    /// <summary>Makes a run, running where <c>max_active_runs</c> allows and nothing waits already, else queued. One round trip.</summary>
    /// <param name="nextRunAt">Of a schedule: when it fires after this. Only the one who moves it from <paramref name="dueAt"/> makes the run.</param>
    /// <exception cref="RegistryException">404, or 409: paused, inactive, or the run id is taken.</exception>
    public async Task<DagRun?> InsertAsync(NewDagRun run, DateTimeOffset? dueAt, DateTimeOffset? nextRunAt, CancellationToken cancellationToken)
    {
        for (var number = 1; number <= 20; number++)
        {
            var runId = run.RunId ?? $"manual__{run.LogicalAt.UtcDateTime:yyyy-MM-ddTHH:mm:ss.ffffff}__{number}";
            try
            {
                return await InsertAsync(run, runId, dueAt, nextRunAt, cancellationToken);
            }
            catch (PostgresException exception) when (exception is { SqlState: PostgresErrorCodes.UniqueViolation, ConstraintName: "dag_runs_run_id" })
            {
                if (run.RunId is not null)
                    throw AirflowErrors.RunExists(run.DagId, run.RunId);
                number = Math.Max(number, await CountNumberedAsync(run, cancellationToken));
            }
        }
        throw AirflowErrors.RunIdTaken(run.DagId);
    }

    /// <summary>Moves a schedule on without a run, because the run is there already.</summary>
    public async Task SkipScheduledAsync(string dagId, DateTimeOffset dueAt, DateTimeOffset? nextRunAt, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("UPDATE airflow.dags SET next_run_at = $3 WHERE dag_id = $1 AND next_run_at = $2");
        Add(command, dagId, dueAt, Time(nextRunAt));
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>One run, or null.</summary>
    public async Task<DagRun?> FindAsync(string dagId, string runId, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"SELECT {Columns} FROM airflow.dag_runs r WHERE r.dag_id = $1 AND r.run_id = $2");
        Add(command, dagId, runId);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    /// <summary>Sets a run's note; null where there is no such run.</summary>
    public async Task<DagRun?> SetNoteAsync(string dagId, string runId, string? note, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(
            $"UPDATE airflow.dag_runs r SET note = $3, updated_at = $4 WHERE r.dag_id = $1 AND r.run_id = $2 RETURNING {Columns}");
        Add(command, dagId, runId, Text(note), time.GetUtcNow());
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    /// <summary>Ends a run whose orchestration saw all its tasks end, and starts what waits. One round trip.</summary>
    public async Task<(RunEndOutcome Outcome, IReadOnlyList<DagRunRef> Started)> EndAsync(DagRunRef run, bool isSuccess, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        var state = (isSuccess ? RunState.Success : RunState.Failed).Name();
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(Command(LockDag, run.DagId));
        batch.BatchCommands.Add(Command($"""
            WITH ended AS (
                UPDATE airflow.dag_runs SET state = $3, ended_at = $4, updated_at = $4
                WHERE id = $1 AND generation = $2 AND state = 'running' AND NOT EXISTS (
                    SELECT 1 FROM airflow.task_instances WHERE run_id = $1 AND state NOT IN ('success', 'failed', 'upstream_failed', 'skipped'))
                RETURNING dag_id)
            UPDATE airflow.dags d SET runs_running = runs_running - 1, runs_{state} = runs_{state} + 1 FROM ended WHERE d.dag_id = ended.dag_id
            RETURNING 1
            """, run.RunId, run.Generation, state, now));
        batch.BatchCommands.Add(Command(Promote, run.DagId, now));
        batch.BatchCommands.Add(Command("SELECT generation, state FROM airflow.dag_runs WHERE id = $1", run.RunId));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.NextResultAsync(cancellationToken);
        var hasEnded = await reader.ReadAsync(cancellationToken);
        await reader.NextResultAsync(cancellationToken);
        var started = await ReadStartedAsync(reader, run.DagId, cancellationToken);
        await reader.NextResultAsync(cancellationToken);
        var outcome = hasEnded ? RunEndOutcome.Ended
            : await reader.ReadAsync(cancellationToken) && reader.GetInt32(0) == run.Generation && reader.GetString(1) == "running" ? RunEndOutcome.NotFinished
            : RunEndOutcome.NotCurrent;
        return (outcome, started);
    }

    /// <summary>Starts what waits, where a slot has become free in another way than by the end of a run.</summary>
    public async Task<IReadOnlyList<DagRunRef>> PromoteAsync(string dagId, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(Command(LockDag, dagId));
        batch.BatchCommands.Add(Command(Promote, dagId, time.GetUtcNow()));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.NextResultAsync(cancellationToken);
        return await ReadStartedAsync(reader, dagId, cancellationToken);
    }

    /// <summary>Running runs that nobody has looked at for a while, the longest first; they count as looked at from now on.</summary>
    public async Task<IReadOnlyList<DagRunRef>> TakeUncheckedAsync(TimeSpan age, int limit, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            UPDATE airflow.dag_runs r SET checked_at = $2
            WHERE r.id IN (SELECT id FROM airflow.dag_runs WHERE state = 'running' AND checked_at < $1
                ORDER BY checked_at, id LIMIT $3 FOR UPDATE SKIP LOCKED)
            RETURNING r.id, r.generation, r.dag_id, r.version
            """);
        var now = time.GetUtcNow();
        Add(command, now - age, now, limit);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var runs = new List<DagRunRef>();
        while (await reader.ReadAsync(cancellationToken))
            runs.Add(new DagRunRef(reader.GetInt64(0), reader.GetInt32(1), reader.GetString(2), reader.GetString(3)));
        return runs;
    }

    /// <summary>DAGs with runs that wait although a slot is free.</summary>
    public async Task<IReadOnlyList<string>> ListPromotableAsync(CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(
            "SELECT dag_id FROM airflow.dags WHERE runs_queued > 0 AND runs_running < max_active_runs AND is_active AND NOT is_paused ORDER BY dag_id");
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var dags = new List<string>();
        while (await reader.ReadAsync(cancellationToken))
            dags.Add(reader.GetString(0));
        return dags;
    }

    /// <summary>The id of a run's present generation, or null.</summary>
    public async Task<string?> FindRunIdAsync(DagRunRef run, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("SELECT run_id FROM airflow.dag_runs WHERE id = $1 AND generation = $2 AND state = 'running'");
        Add(command, run.RunId, run.Generation);
        return await command.ExecuteScalarAsync(cancellationToken) as string;
    }

    internal static DagRun Read(NpgsqlDataReader reader)
    {
        StateNames.TryRun(reader.GetString(5), out var state);
        return new DagRun(
            reader.GetInt64(0), reader.GetString(1), reader.GetString(2), reader.GetString(3), reader.GetInt32(4), state, reader.GetBoolean(6),
            reader.GetFieldValue<DateTimeOffset>(7), reader.GetFieldValue<DateTimeOffset>(8), reader.GetFieldValue<DateTimeOffset>(9),
            reader.IsDBNull(10) ? null : reader.GetFieldValue<DateTimeOffset>(10), reader.IsDBNull(11) ? null : reader.GetFieldValue<DateTimeOffset>(11),
            reader.GetFieldValue<DateTimeOffset>(12), reader.GetString(13), reader.GetValue(14) as string);
    }

    private async Task<DagRun?> InsertAsync(NewDagRun run, string runId, DateTimeOffset? dueAt, DateTimeOffset? nextRunAt, CancellationToken cancellationToken)
    {
        // A run is admitted only where none waits, so after the update "admitted" and "none waits" are the same.
        const string Sql = $"""
            WITH dag AS (
                UPDATE airflow.dags SET
                    runs_running = runs_running + CASE WHEN runs_queued = 0 AND runs_running < max_active_runs THEN 1 ELSE 0 END,
                    runs_queued = runs_queued + CASE WHEN runs_queued = 0 AND runs_running < max_active_runs THEN 0 ELSE 1 END,
                    next_run_at = CASE WHEN $9::timestamptz IS NULL THEN next_run_at ELSE $10 END
                WHERE dag_id = $1 AND is_active AND NOT is_paused AND ($9::timestamptz IS NULL OR next_run_at = $9)
                RETURNING dag_id, version, runs_queued = 0 AS admitted),
            r AS (
                INSERT INTO airflow.dag_runs
                    (dag_id, run_id, version, state, external_trigger, logical_at, interval_end_at, queued_at, started_at, updated_at, checked_at, conf, note)
                SELECT dag_id, $2, version, CASE WHEN admitted THEN 'running' ELSE 'queued' END, $3, $4, $5, $6, CASE WHEN admitted THEN $6 END, $6, $6, $7, $8
                FROM dag RETURNING *),
            tasks AS (
                INSERT INTO airflow.task_instances (run_id, task_id, position, operator, pool, max_tries)
                SELECT r.id, t.task_id, t.position, t.operator, t.pool, t.max_tries FROM r JOIN airflow.dag_tasks t ON t.dag_id = r.dag_id AND t.version = r.version)
            SELECT {Columns} FROM r
            """;
        await using (var command = database.CreateCommand(Sql))
        {
            Add(
                command, run.DagId, runId, run.ExternalTrigger, run.LogicalAt, run.IntervalEndAt, time.GetUtcNow(), Json(run.Conf), Text(run.Note), Time(dueAt),
                Time(nextRunAt));
            await using var reader = await command.ExecuteReaderAsync(cancellationToken);
            if (await reader.ReadAsync(cancellationToken))
                return Read(reader);
        }
        // Somebody else made the scheduled run.
        if (dueAt is not null)
            return null;
        await using var why = database.CreateCommand("SELECT is_active FROM airflow.dags WHERE dag_id = $1");
        Add(why, run.DagId);
        throw await why.ExecuteScalarAsync(cancellationToken) switch
        {
            null => AirflowErrors.DagNotFound(),
            true => AirflowErrors.DagPaused(),
            _ => AirflowErrors.DagInactive(run.DagId),
        };
    }

    private async Task<int> CountNumberedAsync(NewDagRun run, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT coalesce(max(substring(run_id FROM '__([0-9]{1,9})$')::int), 0) FROM airflow.dag_runs
            WHERE dag_id = $1 AND logical_at = $2 AND state IN ('queued', 'running', 'success', 'failed') AND run_id LIKE 'manual\_\_%'
            """);
        Add(command, run.DagId, run.LogicalAt);
        return (int)(await command.ExecuteScalarAsync(cancellationToken))!;
    }

    private static async Task<IReadOnlyList<DagRunRef>> ReadStartedAsync(NpgsqlDataReader reader, string dagId, CancellationToken cancellationToken)
    {
        var started = new List<DagRunRef>();
        while (await reader.ReadAsync(cancellationToken))
            started.Add(new DagRunRef(reader.GetInt64(0), reader.GetInt32(1), dagId, reader.GetString(2)));
        return started;
    }

    private static void AddCount(NpgsqlBatch batch, string dagId, RunState from, RunState? to)
    {
        var more = to is { } added ? $", runs_{added.Name()} = runs_{added.Name()} + 1" : "";
        if (from != to)
            batch.BatchCommands.Add(Command($"UPDATE airflow.dags SET runs_{from.Name()} = runs_{from.Name()} - 1{more} WHERE dag_id = $1", dagId));
    }

    private static NpgsqlBatchCommand Command(string sql, params object[] parameters)
    {
        var command = new NpgsqlBatchCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(parameter as NpgsqlParameter ?? new NpgsqlParameter { Value = parameter });
        return command;
    }

    private static void Add(NpgsqlCommand command, params object[] parameters)
    {
        foreach (var parameter in parameters)
            command.Parameters.Add(parameter as NpgsqlParameter ?? new NpgsqlParameter { Value = parameter });
    }

    private static NpgsqlParameter Text(string? text) => new() { Value = text ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text };

    private static NpgsqlParameter Json(string text) => new() { Value = text, NpgsqlDbType = NpgsqlDbType.Json };

    private static NpgsqlParameter Time(DateTimeOffset? at) => new() { Value = at?.ToUniversalTime() ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.TimestampTz };
}
