using FunctionsRegistry.Errors;
using Npgsql;

namespace FunctionsRegistry.Airflow;

/// <content>What callers do to runs: end, clear, delete.</content>
public sealed partial class DagRunStore
{
    /// <summary>
    /// Sets an open run to its end by hand. Failed: what runs fails, what has not begun is skipped. Success: everything open counts as a success. The run's
    /// orchestration is stopped: what it still does is refused. A run that has ended already only changes its state.
    /// </summary>
    /// <returns>The run as it was before and as it is, and what follows it; null where there is no such run.</returns>
    public async Task<(DagRun Before, DagRun After, IReadOnlyList<DagRunRef> Started)?> SetEndedAsync(
        string dagId, string runId, bool isSuccess, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        var to = isSuccess ? RunState.Success : RunState.Failed;
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        if (await LockAsync(connection, dagId, runId, cancellationToken) is not { } before)
            return null;
        await using var batch = new NpgsqlBatch(connection, transaction);
        batch.BatchCommands.Add(Command($"""
            UPDATE airflow.task_instances SET
                state = CASE WHEN $2 THEN 'success' WHEN state IN ('running', 'deferred', 'up_for_retry') THEN 'failed' ELSE 'skipped' END,
                ended_at = $3, resume_at = NULL
            WHERE run_id = $1 AND state {(isSuccess ? "<> 'success'" : "NOT IN ('success', 'failed', 'upstream_failed', 'skipped')")}
            """, before.Id, isSuccess, now));
        batch.BatchCommands.Add(Command($"""
            UPDATE airflow.dag_runs r SET state = $2, ended_at = CASE WHEN r.state IN ('queued', 'running') THEN $3 ELSE r.ended_at END, updated_at = $3,
                generation = generation + 1
            WHERE r.id = $1 RETURNING {Columns}
            """, before.Id, to.Name(), now));
        AddCount(batch, dagId, before.State, to);
        batch.BatchCommands.Add(Command(Promote, dagId, now));
        DagRun after;
        IReadOnlyList<DagRunRef> started;
        await using (var reader = await batch.ExecuteReaderAsync(cancellationToken))
        {
            await reader.ReadAsync(cancellationToken);
            after = Read(reader);
            await reader.NextResultAsync(cancellationToken);
            started = await ReadStartedAsync(reader, dagId, cancellationToken);
        }
        await transaction.CommitAsync(cancellationToken);
        return (before, after, started);
    }

    /// <summary>
    /// Resets tasks, so that they are executed again; tasks that run stay. Of the tasks behind them, those that were skipped or failed with them are judged anew,
    /// and what succeeded stays. A run that had ended gets a new orchestration as soon as there is a slot; one that is running goes on with its own.
    /// </summary>
    /// <param name="choose">Which tasks, of all tasks of the run with their definitions.</param>
    /// <returns>The run as it is, the tasks that were reset, and the runs to start; null where there is no such run.</returns>
    public async Task<(DagRun Run, IReadOnlyList<TaskInstance> Cleared, IReadOnlyList<DagRunRef> Started)?> ClearAsync(
        string dagId, string runId, DagDefinition dag, Func<IReadOnlyList<TaskInstance>, IReadOnlyCollection<string>> choose, bool isDryRun,
        CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        if (await LockAsync(connection, dagId, runId, cancellationToken) is not { } run)
            return null;
        var tasks = await ReadTasksAsync(connection, run, cancellationToken);
        var cleared = ChooseCleared(tasks, choose(tasks), dag);
        if (isDryRun || cleared.Count == 0)
            return (run, cleared, []);
        await using var batch = new NpgsqlBatch(connection, transaction);
        batch.BatchCommands.Add(Command("""
            UPDATE airflow.task_instances t SET state = 'none', output = NULL, queued_at = NULL, started_at = NULL, ended_at = NULL, resume_at = NULL,
                max_tries = t.try_number + d.max_tries
            FROM airflow.dag_tasks d
            WHERE t.run_id = $1 AND t.task_id = ANY ($2) AND d.dag_id = $3 AND d.version = $4 AND d.task_id = t.task_id
            """, run.Id, cleared.Select(task => task.TaskId).ToArray(), dagId, run.Version));
        if (run.State.IsFinal())
        {
            batch.BatchCommands.Add(Command("""
                UPDATE airflow.dag_runs SET state = 'queued', generation = generation + 1, queued_at = $2, started_at = NULL, ended_at = NULL,
                    updated_at = $2, checked_at = $2
                WHERE id = $1
                """, run.Id, now));
            AddCount(batch, dagId, run.State, RunState.Queued);
        }
        batch.BatchCommands.Add(Command(Promote, dagId, now));
        batch.BatchCommands.Add(Command($"SELECT {Columns} FROM airflow.dag_runs r WHERE r.id = $1", run.Id));
        IReadOnlyList<DagRunRef> started;
        await using (var reader = await batch.ExecuteReaderAsync(cancellationToken))
        {
            started = await ReadStartedAsync(reader, dagId, cancellationToken);
            await reader.NextResultAsync(cancellationToken);
            await reader.ReadAsync(cancellationToken);
            run = Read(reader);
        }
        await transaction.CommitAsync(cancellationToken);
        return (run, cleared, started);
    }

    /// <summary>Deletes a run with its tasks and logs; null where there is no such run.</summary>
    public async Task<(DagRun Deleted, IReadOnlyList<DagRunRef> Started)?> DeleteAsync(string dagId, string runId, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        if (await LockAsync(connection, dagId, runId, cancellationToken) is not { } run)
            return null;
        await using var batch = new NpgsqlBatch(connection, transaction);
        batch.BatchCommands.Add(Command("DELETE FROM airflow.dag_runs WHERE id = $1", run.Id));
        AddCount(batch, dagId, run.State, null);
        batch.BatchCommands.Add(Command(Promote, dagId, time.GetUtcNow()));
        IReadOnlyList<DagRunRef> started;
        await using (var reader = await batch.ExecuteReaderAsync(cancellationToken))
            started = await ReadStartedAsync(reader, dagId, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return (run, started);
    }

    private static async Task<DagRun?> LockAsync(NpgsqlConnection connection, string dagId, string runId, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection);
        batch.BatchCommands.Add(Command(LockDag, dagId));
        batch.BatchCommands.Add(Command($"SELECT {Columns} FROM airflow.dag_runs r WHERE r.dag_id = $1 AND r.run_id = $2 FOR UPDATE", dagId, runId));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.NextResultAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    private static async Task<IReadOnlyList<TaskInstance>> ReadTasksAsync(NpgsqlConnection connection, DagRun run, CancellationToken cancellationToken)
    {
        const string Sql = $"""
            SELECT {TaskInstanceStore.Columns} FROM airflow.task_instances t JOIN airflow.dag_runs r ON r.id = t.run_id
            WHERE t.run_id = $1 ORDER BY t.position FOR UPDATE OF t
            """;
        await using var command = new NpgsqlCommand(Sql, connection);
        Add(command, run.Id);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var tasks = new List<TaskInstance>();
        while (await reader.ReadAsync(cancellationToken))
            tasks.Add(TaskInstanceStore.Read(reader));
        return tasks;
    }

    private static List<TaskInstance> ChooseCleared(IReadOnlyList<TaskInstance> tasks, IReadOnlyCollection<string> chosen, DagDefinition dag)
    {
        var states = tasks.ToDictionary(task => task.TaskId, task => task.State);
        var cleared = chosen.Where(id => states[id].IsFinal()).ToHashSet();
        // Sorted by need: one pass reaches everything behind.
        foreach (var task in dag.Tasks)
            if (states.TryGetValue(task.Id, out var state) && state is TaskState.Skipped or TaskState.UpstreamFailed && task.Needs.Any(cleared.Contains))
                cleared.Add(task.Id);
        return [.. tasks.Where(task => cleared.Contains(task.TaskId))];
    }
}
