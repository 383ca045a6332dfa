using Npgsql;
using static FunctionsRegistry.LocalRuntime.Durable.DurableSql;

namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>The statements that store one turn; only those that it needs.</summary>
internal sealed class TurnCommit(NpgsqlBatch batch, ClaimedTurn turn, TurnResult result, int takes, DateTime now)
{
    // Nothing after the first statement runs unless the lock still holds: the division fails, and with it the whole batch.
    private const string AdvanceSql = """
        WITH owned AS (
            UPDATE durable.instances SET locked_by = NULL, attempts = 0, turns = turns + 1, status = $4, updated_at = $5, output = $6, failure = $7,
                custom_status = CASE WHEN $8 THEN $9 ELSE custom_status END
            WHERE instance_id = $1 AND execution = $2 AND locked_by = $3 RETURNING 1)
        SELECT 1 / count(*)::integer FROM owned
        """;

    private const string StartOverSql = """
        WITH owned AS (
            UPDATE durable.instances SET locked_by = NULL, attempts = 0, turns = 0, status = $4, updated_at = $5, execution = $6, input = $7,
                custom_status = CASE WHEN $8 THEN $9 ELSE custom_status END
            WHERE instance_id = $1 AND execution = $2 AND locked_by = $3 RETURNING 1)
        SELECT 1 / count(*)::integer FROM owned
        """;

    // A taken id whose instance is not over fails the task, and so tells the parent.
    private const string CreateChildSql = """
        WITH old AS (SELECT execution FROM durable.instances WHERE instance_id = $1),
        made AS (
            INSERT INTO durable.instances AS i (
                instance_id, execution, name, status, input, parent_id, parent_name, parent_execution, parent_task, created_at, start_at, updated_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $10)
            ON CONFLICT (instance_id) DO UPDATE SET execution = $2, name = $3, status = $4, turns = 0, input = $5, output = NULL, failure = NULL,
                custom_status = NULL, parent_id = $6, parent_name = $7, parent_execution = $8, parent_task = $9, created_at = $10, start_at = $10,
                updated_at = $10, locked_by = NULL, attempts = 0
            WHERE i.status = ANY($11) RETURNING 1),
        gone AS (DELETE FROM durable.history h USING old, made WHERE h.execution = old.execution)
        INSERT INTO durable.messages (instance_id, execution, kind, task, payload, due_at)
        SELECT CASE WHEN ok THEN $1 ELSE $6 END, CASE WHEN ok THEN $2 ELSE $8 END, CASE WHEN ok THEN 0 ELSE 8 END, CASE WHEN ok THEN NULL ELSE $9 END,
            CASE WHEN ok THEN NULL ELSE $12 END, $10
        FROM (SELECT EXISTS (SELECT FROM made) AS ok) AS outcome
        """;

    private readonly Instance _instance = turn.Instance;
    private readonly List<ActivityWork> _activities = [];
    private readonly List<string> _others = [];

    /// <summary>The new activities that this worker runs itself.</summary>
    public IReadOnlyList<ActivityWork> Activities => _activities;

    public bool LeavesActivities { get; private set; }

    /// <summary>Instances that get a message.</summary>
    public IReadOnlyList<string> Others => _others;

    public void Fill()
    {
        if (result.ContinuesAs is { } next)
        {
            StartOver(next);
            return;
        }
        var isOver = Instance.IsOverStatus(result.Status);
        batch.Add(
            AdvanceSql, Of(_instance.Id), Of(_instance.Execution), Of(turn.Worker), Of(result.Status), Of(now), Of(result.Output),
            Of(Payload.Write(result.Failure)), Of(result.CustomStatus.IsSet), Of(result.CustomStatus.Json));
        AddHistory();
        SendEvents();
        if (isOver)
        {
            Finish();
            return;
        }
        batch.Add("DELETE FROM durable.messages WHERE instance_id = $1 AND id = ANY($2)", Of(_instance.Id), Of([.. turn.Messages.Select(message => message.Id)]));
        AddActivities();
        AddTimers();
        AddChildren();
        batch.Add("SELECT EXISTS (SELECT FROM durable.messages WHERE instance_id = $1 AND due_at <= $2)", Of(_instance.Id), Of(now));
    }

    private IEnumerable<(HistoryEvent Event, int Sequence)> New(EventKind kind)
    {
        for (var i = 0; i < result.NewEvents.Count; i++)
            if (result.NewEvents[i].Kind == kind)
                yield return (result.NewEvents[i], turn.History.Count + i);
    }

    private void AddHistory()
    {
        var events = result.NewEvents;
        batch.Add(
            """
            INSERT INTO durable.history (execution, sequence, turn, kind, task, name, target, payload, due_at, at)
            SELECT $1, $2 + n - 1, $3, kind, task, name, target, payload, due_at, $4
            FROM unnest($5, $6, $7, $8, $9, $10) WITH ORDINALITY AS e (kind, task, name, target, payload, due_at, n)
            """,
            Of(_instance.Execution), Of(turn.History.Count), Of(_instance.Turns), Of(events[0].At), Of([.. events.Select(entry => (short)entry.Kind)]),
            Of([.. events.Select(entry => entry.Task < 0 ? null : (int?)entry.Task)]), Of([.. events.Select(entry => entry.Name)]),
            Of([.. events.Select(entry => entry.Target)]), Of([.. events.Select(entry => entry.Payload)]), Of([.. events.Select(entry => entry.DueAt)]));
    }

    private void AddActivities()
    {
        var all = New(EventKind.TaskScheduled).ToList();
        if (all.Count == 0)
            return;
        _activities.AddRange(all.Take(takes).Select(scheduled => new ActivityWork(
            turn.Worker, _instance.Id, _instance.Execution, scheduled.Event.Task, scheduled.Event.Name, scheduled.Event.Payload, 1)));
        LeavesActivities = all.Count > takes;
        batch.Add(
            """
            INSERT INTO durable.activities (execution, task, instance_id, sequence, locked_by, attempts)
            SELECT $1, task, $2, sequence, CASE WHEN n <= $5 THEN $6 END, CASE WHEN n <= $5 THEN 1 ELSE 0 END
            FROM unnest($3, $4) WITH ORDINALITY AS a (task, sequence, n)
            """,
            Of(_instance.Execution), Of(_instance.Id), Of(all.Select(scheduled => scheduled.Event.Task).ToArray()),
            Of(all.Select(scheduled => scheduled.Sequence).ToArray()), Of(takes), Of(turn.Worker));
    }

    private void AddTimers()
    {
        var created = New(EventKind.TimerCreated).Where(timer => !result.CancelledTimers.Contains(timer.Event.Task)).Select(timer => timer.Event).ToList();
        if (created.Count > 0)
            batch.Add(
                """
                INSERT INTO durable.messages (instance_id, execution, kind, task, due_at)
                SELECT $1, $2, $3, task, due_at FROM unnest($4, $5) AS t (task, due_at)
                """,
                Of(_instance.Id), Of(_instance.Execution), Of(EventKind.TimerFired), Of(created.Select(timer => timer.Task).ToArray()),
                Of([.. created.Select(timer => timer.DueAt)]));
        if (result.CancelledTimers.Count > 0)
            batch.Add(
                "DELETE FROM durable.messages WHERE instance_id = $1 AND execution = $2 AND kind = $3 AND task = ANY($4)",
                Of(_instance.Id), Of(_instance.Execution), Of(EventKind.TimerFired), Of(result.CancelledTimers.ToArray()));
    }

    private void AddChildren()
    {
        foreach (var (created, _) in New(EventKind.SubCreated))
        {
            var taken = new TaskFailureDetails(
                typeof(InvalidOperationException).FullName!, $"There is an orchestration with the instance id '{created.Target}' that is not over.", null, null, null);
            batch.Add(
                CreateChildSql, Of(created.Target), Of(Guid.CreateVersion7(now)), Of(created.Name), Of(OrchestrationRuntimeStatus.Pending), Of(created.Payload),
                Of(_instance.Id), Of(_instance.Name), Of(_instance.Execution), Of(created.Task), Of(now), Of(Instance.OverStatuses), Of(Payload.Write(taken)));
            _others.Add(created.Target!);
        }
    }

    private void SendEvents()
    {
        foreach (var (sent, _) in New(EventKind.EventSent))
        {
            batch.Add(
                """
                INSERT INTO durable.messages (instance_id, kind, name, payload, due_at)
                SELECT instance_id, $2, $3, $4, greatest($5, start_at) FROM durable.instances WHERE instance_id = $1 AND status <> ALL($6)
                """,
                Of(sent.Target), Of(EventKind.EventRaised), Of(sent.Name), Of(sent.Payload), Of(now), Of(Instance.OverStatuses));
            _others.Add(sent.Target!);
        }
    }

    private void Finish()
    {
        batch.Add("DELETE FROM durable.messages WHERE instance_id = $1", Of(_instance.Id));
        if (result.HasOpenTasks)
            batch.Add("DELETE FROM durable.activities WHERE execution = $1", Of(_instance.Execution));
        if (result.EndsChildren)
            batch.Add(
                """
                INSERT INTO durable.messages (instance_id, execution, kind, name, payload, due_at)
                SELECT instance_id, execution, $3, $4, $5, $6 FROM durable.instances
                WHERE parent_id = $1 AND parent_execution = $2 AND status <> ALL($7) RETURNING instance_id
                """,
                Of(_instance.Id), Of(_instance.Execution), Of(EventKind.Terminated), Of(Turn.Recursive), Of(result.Output), Of(now), Of(Instance.OverStatuses));
        if (_instance.Parent is not { } parent)
            return;
        var failure = result.Failure;
        if (result.Status == OrchestrationRuntimeStatus.Terminated)
            failure = new TaskFailureDetails(
                typeof(OperationCanceledException).FullName!, $"Sub-orchestration '{_instance.Name}' ({_instance.Id}) was terminated.", null, null, null);
        batch.Add(
            """
            INSERT INTO durable.messages (instance_id, execution, kind, task, name, payload, due_at)
            SELECT $1, $2, $3, $4, $5, $6, $7 FROM durable.instances WHERE instance_id = $1 AND execution = $2 AND status <> ALL($8)
            """,
            Of(parent.InstanceId), Of(parent.Execution), Of(failure is null ? EventKind.SubCompleted : EventKind.SubFailed), Of(parent.Task), Of(_instance.Name),
            Of(failure is null ? result.Output : Payload.Write(failure)), Of(now), Of(Instance.OverStatuses));
        _others.Add(parent.InstanceId);
    }

    private void StartOver(NewExecution next)
    {
        var execution = Guid.CreateVersion7(now);
        batch.Add(
            StartOverSql, Of(_instance.Id), Of(_instance.Execution), Of(turn.Worker), Of(OrchestrationRuntimeStatus.Running), Of(now), Of(execution),
            Of(next.Input), Of(result.CustomStatus.IsSet), Of(result.CustomStatus.Json));
        batch.Add("DELETE FROM durable.history WHERE execution = $1", Of(_instance.Execution));
        batch.Add(
            "DELETE FROM durable.messages WHERE instance_id = $1 AND (id = ANY($2) OR execution = $3)",
            Of(_instance.Id), Of([.. turn.Messages.Select(message => message.Id)]), Of(_instance.Execution));
        SendEvents();
        var kinds = next.Events.Select(_ => (short)EventKind.EventRaised).Prepend((short)EventKind.Started).ToArray();
        batch.Add(
            """
            INSERT INTO durable.messages (instance_id, execution, kind, name, payload, due_at)
            SELECT $1, $2, kind, name, payload, $3 FROM unnest($4, $5, $6) WITH ORDINALITY AS e (kind, name, payload, n) ORDER BY n
            """,
            Of(_instance.Id), Of(execution), Of(now), Of(kinds), Of([.. next.Events.Select(raised => (string?)raised.Name).Prepend(null)]),
            Of([.. next.Events.Select(raised => raised.Payload).Prepend(null)]));
    }
}
