using Npgsql;
using static FunctionsRegistry.LocalRuntime.Durable.DurableSql;

namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>
/// Lets an instance that failed go on. Its last turn is undone, what came in then comes again, and tasks that failed are tried once more: those of the last
/// turn, and earlier ones whose failure the orchestrator has not acted on since.
/// </summary>
internal sealed class Rewind(NpgsqlDataSource database, TurnStore turns, ClientStore store, DurableWorker worker, HistoryCache cache)
{
    /// <exception cref="ArgumentException">There is no such instance.</exception>
    /// <exception cref="InvalidOperationException">It has not failed, or cannot go on.</exception>
    public async Task RunAsync(string instanceId, string reason, CancellationToken cancellationToken)
    {
        if (await turns.FindAsync(instanceId, cancellationToken) is not { } instance)
            throw new ArgumentException($"There is no instance '{instanceId}'.", nameof(instanceId));
        if (instance.Status != OrchestrationRuntimeStatus.Failed)
            throw new InvalidOperationException($"The instance '{instanceId}' is {instance.Status}: only one that failed can be rewound.");
        var history = await store.ReadHistoryAsync(instanceId, cancellationToken);
        if (history.LastOrDefault() is not { Kind: EventKind.Ended, Turn: var last })
            throw new InvalidOperationException($"The instance '{instanceId}' has no history that could be rewound.");
        var kept = history.Where(entry => entry.Turn < last).ToList();
        var again = history.Where(entry => entry.Turn == last && !IsFailure(entry) && entry.Kind is not (EventKind.Ended or EventKind.Broken)).ToList();
        foreach (var failure in kept.Where(IsFailure).Reverse().ToList())
        {
            var without = kept.Where(entry => entry != failure).ToList();
            if (await worker.CanReplayAsync(instance, without))
                kept = without;
        }
        var rest = kept.Concat(again).ToHashSet();
        var failed = history.Where(entry => IsFailure(entry) && !rest.Contains(entry)).Select(entry => entry.Task).ToHashSet();
        var children = kept.Where(entry => entry.Kind == EventKind.SubCreated && failed.Contains(entry.Task)).Select(entry => entry.Target!).ToList();
        foreach (var child in children)
            if (await store.FindAsync(child, false, false, cancellationToken) is not { RuntimeStatus: OrchestrationRuntimeStatus.Failed })
                throw new InvalidOperationException($"The sub-orchestration '{child}' did not fail by itself, so it cannot be rewound.");
        await StoreAsync(instance, kept, again, failed, last, reason, cancellationToken);
        foreach (var child in children)
            await RunAsync(child, reason, cancellationToken);
        worker.Hint(instanceId);
    }

    private static bool IsFailure(HistoryEvent entry) => entry.Kind is EventKind.TaskFailed or EventKind.SubFailed;

    private async Task StoreAsync(
        Instance instance, List<HistoryEvent> kept, List<HistoryEvent> again, HashSet<int> failed, int turn, string reason, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        var now = worker.Now();
        // As a turn's: fails as a whole where the instance is no longer what was read.
        batch.Add(
            """
            WITH owned AS (
                UPDATE durable.instances SET status = $3, failure = NULL, turns = $4, updated_at = $5, attempts = 0
                WHERE instance_id = $1 AND execution = $2 AND status = $6 AND locked_by IS NULL RETURNING 1)
            SELECT 1 / count(*)::integer FROM owned
            """,
            Of(instance.Id), Of(instance.Execution), Of(OrchestrationRuntimeStatus.Running), Of(turn), Of(now), Of(OrchestrationRuntimeStatus.Failed));
        batch.Add("DELETE FROM durable.history WHERE execution = $1", Of(instance.Execution));
        batch.Add(
            """
            INSERT INTO durable.history (execution, sequence, turn, kind, task, name, target, payload, due_at, at)
            SELECT $1, n - 1, turn, kind, task, name, target, payload, due_at, at
            FROM unnest($2, $3, $4, $5, $6, $7, $8, $9) WITH ORDINALITY AS e (turn, kind, task, name, target, payload, due_at, at, n)
            """,
            Of(instance.Execution), Of(kept.Select(entry => entry.Turn).ToArray()), Of([.. kept.Select(entry => (short)entry.Kind)]),
            Of([.. kept.Select(entry => entry.Task < 0 ? null : (int?)entry.Task)]), Of([.. kept.Select(entry => entry.Name)]),
            Of([.. kept.Select(entry => entry.Target)]), Of([.. kept.Select(entry => entry.Payload)]), Of([.. kept.Select(entry => entry.DueAt)]),
            Of([.. kept.Select(entry => (DateTime?)entry.At)]));
        for (var i = 0; i < kept.Count; i++)
            if (kept[i].Kind == EventKind.TaskScheduled && failed.Contains(kept[i].Task))
                batch.Add(
                    "INSERT INTO durable.activities (execution, task, instance_id, sequence, attempts) VALUES ($1, $2, $3, $4, 0)",
                    Of(instance.Execution), Of(kept[i].Task), Of(instance.Id), Of(i));
        // The reason comes last; it also makes sure that there is a turn.
        again.Add(new HistoryEvent(turn, EventKind.Resumed, -1, null, null, Payload.Write(reason), null, now));
        foreach (var entry in again)
            batch.Add(
                "INSERT INTO durable.messages (instance_id, execution, kind, task, name, payload, due_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
                Of(instance.Id), Of(instance.Execution), Of(entry.Kind), Of(entry.Task < 0 ? null : (int?)entry.Task), Of(entry.Name), Of(entry.Payload),
                Of(entry.DueAt ?? now));
        try
        {
            cache.Remove(instance.Id);
            await batch.ExecuteNonQueryAsync(cancellationToken);
        }
        catch (PostgresException exception) when (exception.SqlState == PostgresErrorCodes.DivisionByZero)
        {
            throw new InvalidOperationException($"The instance '{instance.Id}' was changed meanwhile.", exception);
        }
    }
}
