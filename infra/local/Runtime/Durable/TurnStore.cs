using Npgsql;
using static FunctionsRegistry.LocalRuntime.Durable.DurableSql;

namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>An instance that this worker has locked, with its whole history and what is new.</summary>
internal sealed record ClaimedTurn(Guid Worker, Instance Instance, List<HistoryEvent> History, List<Message> Messages);

/// <summary>An activity that this worker has locked.</summary>
/// <param name="Name">Null when its instance was removed meanwhile.</param>
/// <param name="Attempt">How often it was begun, this time included.</param>
internal sealed record ActivityWork(Guid Worker, string InstanceId, Guid Execution, int Task, string? Name, string? Input, int Attempt);

/// <summary>How an activity ended.</summary>
internal sealed record ActivityResult(string? Output, TaskFailureDetails? Failure);

/// <summary>What a committed turn left to do.</summary>
/// <param name="HasMore">The instance has more messages.</param>
/// <param name="Activities">Locked for this worker.</param>
/// <param name="LeavesActivities">There are more than those.</param>
/// <param name="Others">Instances that got a message.</param>
internal sealed record CommittedTurn(bool HasMore, IReadOnlyList<ActivityWork> Activities, bool LeavesActivities, IReadOnlyList<string> Others);

/// <summary>The lock was lost: another worker has taken the instance, or it was replaced. Nothing was stored, and nothing is to be done.</summary>
internal sealed class LockLostException(Exception cause) : Exception("The lock was lost.", cause);

/// <summary>Turns and activities in the database: claimed and committed in one round trip each.</summary>
internal sealed class TurnStore(NpgsqlDataSource database, HistoryCache cache)
{
    private const string LockReturning = """
         RETURNING execution, name, status, turns, attempts, CASE WHEN execution = $3 THEN NULL ELSE input END,
             parent_id, parent_name, parent_execution, parent_task, created_at
        """;

    // Its own, too: whoever locks has reserved the instance in this process, so a lock of this worker is one that was stored while the connection broke.
    private const string LockSql = """
        UPDATE durable.instances SET locked_by = $2, attempts = attempts + 1 WHERE instance_id = $1 AND (locked_by IS NULL OR locked_by = $2)
        """ + LockReturning;

    private const string LockIfMessagesSql = """
        UPDATE durable.instances SET locked_by = $2, attempts = attempts + 1 WHERE instance_id = $1 AND (locked_by IS NULL OR locked_by = $2)
            AND EXISTS (SELECT FROM durable.messages m WHERE m.instance_id = $1 AND m.due_at <= $4)
        """ + LockReturning;

    private const string MessagesSql =
        $"SELECT {MessageColumns} FROM durable.messages WHERE instance_id = $1 AND due_at <= $2 ORDER BY id LIMIT 1000";

    // What the cache has is a prefix of the history, unless the execution is another.
    private const string TailSql = $"""
        SELECT {EventColumns} FROM durable.history h JOIN durable.instances i ON i.execution = h.execution
        WHERE i.instance_id = $1 AND h.sequence >= CASE WHEN i.execution = $2 THEN $3 ELSE 0 END ORDER BY h.sequence
        """;

    private const string TakeActivitiesSql = """
        WITH free AS (
            SELECT execution, task FROM durable.activities WHERE locked_by IS NULL ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED),
        taken AS (
            UPDATE durable.activities a SET locked_by = $1, attempts = a.attempts + 1 FROM free
            WHERE a.execution = free.execution AND a.task = free.task
            RETURNING a.execution, a.task, a.instance_id, a.sequence, a.attempts)
        SELECT t.instance_id, t.execution, t.task, h.name, h.payload, t.attempts
        FROM taken t LEFT JOIN durable.history h ON h.execution = t.execution AND h.sequence = t.sequence
        """;

    /// <summary>Locks an instance that has messages; null when it is locked or has none.</summary>
    public async Task<ClaimedTurn?> ClaimAsync(string instanceId, Guid worker, DateTime now, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        var cached = cache.Find(instanceId);
        AddLock(batch, LockIfMessagesSql, instanceId, worker, cached, Of(now));
        AddLoad(batch, instanceId, now, cached);
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        var locked = await ReadLockAsync(reader, instanceId, cached, cancellationToken);
        await reader.NextResultAsync(cancellationToken);
        return await ReadLoadAsync(reader, worker, locked, cached, cancellationToken);
    }

    /// <summary>
    /// Records an activity's result, unless it has one; for <paramref name="locker"/>, also locks its instance for the turn that follows, and where
    /// <paramref name="takes"/> is not 0, takes as many free activities.
    /// </summary>
    public async Task<(ClaimedTurn? Turn, List<ActivityWork> Activities)> CompleteActivityAsync(
        ActivityWork work, ActivityResult result, Guid? locker, int takes, DateTime now, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        var cached = locker is null ? null : cache.Find(work.InstanceId);
        // The instance first, as turns do, or the two could wait for each other.
        if (locker is { } worker)
            AddLock(batch, LockSql, work.InstanceId, worker, cached);
        batch.Add(
            """
            WITH done AS (DELETE FROM durable.activities WHERE execution = $1 AND task = $2 AND locked_by = $3 RETURNING instance_id)
            INSERT INTO durable.messages (instance_id, execution, kind, task, name, payload, due_at) SELECT instance_id, $1, $4, $2, $5, $6, $7 FROM done
            """,
            Of(work.Execution), Of(work.Task), Of(work.Worker), Of(result.Failure is null ? EventKind.TaskCompleted : EventKind.TaskFailed),
            Of(work.Name), Of(result.Failure is null ? result.Output : Payload.Write(result.Failure)), Of(now));
        if (locker is not null)
            AddLoad(batch, work.InstanceId, now, cached);
        if (takes > 0)
            batch.Add(TakeActivitiesSql, Of(work.Worker), Of(takes));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        var turn = default(ClaimedTurn);
        var activities = new List<ActivityWork>();
        if (locker is { } me)
        {
            var locked = await ReadLockAsync(reader, work.InstanceId, cached, cancellationToken);
            await reader.NextResultAsync(cancellationToken);
            turn = await ReadLoadAsync(reader, me, locked, cached, cancellationToken);
            await reader.NextResultAsync(cancellationToken);
        }
        if (takes > 0)
            await ReadActivitiesAsync(reader, work.Worker, activities, cancellationToken);
        // Reads to the end: a statement that failed must be heard of.
        while (await reader.NextResultAsync(cancellationToken))
        {
        }
        return (turn, activities);
    }

    /// <summary>Takes free activities, and finds instances that wait for a turn and when the next timer is due.</summary>
    public async Task<(List<ActivityWork> Activities, List<string> Instances, DateTime? NextDue)> PollAsync(
        Guid worker, int activities, int instances, DateTime now, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.Add(TakeActivitiesSql, Of(worker), Of(activities));
        batch.Add(
            """
            SELECT DISTINCT m.instance_id FROM durable.messages m JOIN durable.instances i ON i.instance_id = m.instance_id
            WHERE m.due_at <= $1 AND i.locked_by IS NULL LIMIT $2
            """,
            Of(now), Of(instances));
        batch.Add("SELECT min(due_at) FROM durable.messages WHERE due_at > $1", Of(now));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        var taken = new List<ActivityWork>();
        await ReadActivitiesAsync(reader, worker, taken, cancellationToken);
        await reader.NextResultAsync(cancellationToken);
        var waiting = new List<string>();
        while (await reader.ReadAsync(cancellationToken))
            waiting.Add(reader.GetString(0));
        await reader.NextResultAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return (taken, waiting, reader.IsDBNull(0) ? null : reader.Utc(0));
    }

    /// <summary>Stores a turn, if the lock still holds.</summary>
    /// <param name="turn">As claimed.</param>
    /// <param name="result">What to store.</param>
    /// <param name="takes">How many of the new activities this worker runs itself.</param>
    /// <param name="now">UTC.</param>
    /// <param name="cancellationToken">Ends the wait; whether it was stored is then not known.</param>
    /// <exception cref="LockLostException">It does not.</exception>
    public async Task<CommittedTurn> CommitAsync(ClaimedTurn turn, TurnResult result, int takes, DateTime now, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        var commit = new TurnCommit(batch, turn, result, takes, now);
        commit.Fill();
        try
        {
            await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
            var others = new List<string>(commit.Others);
            var hasMore = false;
            do
            {
                while (await reader.ReadAsync(cancellationToken))
                    if (reader.FieldCount == 1 && reader.GetFieldType(0) == typeof(bool))
                        hasMore = reader.GetBoolean(0);
                    else if (reader.GetFieldType(0) == typeof(string))
                        others.Add(reader.GetString(0));
            }
            while (await reader.NextResultAsync(cancellationToken));
            Remember(turn, result);
            return new CommittedTurn(hasMore || result.ContinuesAs is not null, commit.Activities, commit.LeavesActivities, others);
        }
        // An event that is there already is this very turn's, stored while the connection broke: since then a late lock of this worker came through.
        catch (PostgresException exception) when (exception.SqlState == PostgresErrorCodes.DivisionByZero || exception.ConstraintName == "history_pkey")
        {
            cache.Remove(turn.Instance.Id);
            throw new LockLostException(exception);
        }
    }

    /// <summary>Gives a turn back without having done anything; messages that are for nobody go.</summary>
    public async Task ReleaseTurnAsync(ClaimedTurn turn, IEnumerable<long> useless, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.Add(
            "UPDATE durable.instances SET locked_by = NULL, attempts = attempts - 1 WHERE instance_id = $1 AND locked_by = $2",
            Of(turn.Instance.Id), Of(turn.Worker));
        batch.Add("DELETE FROM durable.messages WHERE instance_id = $1 AND id = ANY($2)", Of(turn.Instance.Id), Of([.. useless]));
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Gives an activity back that was not run to its end.</summary>
    public async Task ReleaseActivityAsync(ActivityWork work, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.Add(
            "UPDATE durable.activities SET locked_by = NULL, attempts = attempts - 1 WHERE execution = $1 AND task = $2 AND locked_by = $3",
            Of(work.Execution), Of(work.Task), Of(work.Worker));
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>An instance as a turn sees it, without a lock; null when there is none.</summary>
    public async Task<Instance?> FindAsync(string instanceId, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.Add(
            """
            SELECT execution, name, status, turns, attempts, input, parent_id, parent_name, parent_execution, parent_task, created_at
            FROM durable.instances WHERE instance_id = $1
            """,
            Of(instanceId));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        return await ReadLockAsync(reader, instanceId, null, cancellationToken);
    }

    /// <summary>What a worker has locked: instances that have something to do, and activities.</summary>
    public async Task<(List<string> Instances, List<ActivityWork> Activities)> ListLocksAsync(Guid worker, DateTime now, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.Add(
            "SELECT instance_id FROM durable.instances WHERE locked_by = $1 AND instance_id IN (SELECT instance_id FROM durable.messages WHERE due_at <= $2)",
            Of(worker), Of(now));
        batch.Add("SELECT instance_id, execution, task, NULL::text, NULL::text, attempts FROM durable.activities WHERE locked_by = $1", Of(worker));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        var (instances, activities) = (new List<string>(), new List<ActivityWork>());
        while (await reader.ReadAsync(cancellationToken))
            instances.Add(reader.GetString(0));
        await reader.NextResultAsync(cancellationToken);
        await ReadActivitiesAsync(reader, worker, activities, cancellationToken);
        return (instances, activities);
    }

    /// <summary>Tells an instance something that is no answer to a task.</summary>
    public async Task TellAsync(string instanceId, Guid execution, EventKind kind, DateTime now, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.Add(
            """
            INSERT INTO durable.messages (instance_id, execution, kind, due_at)
            SELECT $1, $2, $3, $4 FROM durable.instances WHERE instance_id = $1 AND execution = $2 AND status <> ALL($5)
            """,
            Of(instanceId), Of(execution), Of(kind), Of(now), Of(Instance.OverStatuses));
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    private void Remember(ClaimedTurn turn, TurnResult result)
    {
        if (Instance.IsOverStatus(result.Status) || result.ContinuesAs is not null)
        {
            cache.Remove(turn.Instance.Id);
            return;
        }
        turn.History.AddRange(result.NewEvents);
        cache.Put(turn.Instance.Id, turn.Instance.Execution, turn.Instance.Input, turn.History);
    }

    private static void AddLock(
        NpgsqlBatch batch, string sql, string instanceId, Guid worker, HistoryCache.Entry? cached, params ReadOnlySpan<NpgsqlParameter> more) =>
        batch.Add(sql, [Of(instanceId), Of(worker), Of(cached?.Execution), .. more]);

    private static void AddLoad(NpgsqlBatch batch, string instanceId, DateTime now, HistoryCache.Entry? cached)
    {
        batch.Add(MessagesSql, Of(instanceId), Of(now));
        batch.Add(TailSql, Of(instanceId), Of(cached?.Execution), Of(cached?.Events.Count ?? 0));
    }

    private static async Task<Instance?> ReadLockAsync(
        NpgsqlDataReader reader, string instanceId, HistoryCache.Entry? cached, CancellationToken cancellationToken)
    {
        if (!await reader.ReadAsync(cancellationToken))
            return null;
        var execution = reader.GetGuid(0);
        var parent = reader.IsDBNull(6) ? null : new ParentTask(reader.GetString(6), reader.GetString(7), reader.GetGuid(8), reader.GetInt32(9));
        return new Instance(
            instanceId, execution, reader.GetString(1), (OrchestrationRuntimeStatus)reader.GetInt16(2), reader.GetInt32(3), reader.GetInt32(4),
            cached?.Execution == execution ? cached.Input : reader.Text(5), parent, reader.Utc(10));
    }

    private static async Task<ClaimedTurn?> ReadLoadAsync(
        NpgsqlDataReader reader, Guid worker, Instance? locked, HistoryCache.Entry? cached, CancellationToken cancellationToken)
    {
        var messages = new List<Message>();
        while (await reader.ReadAsync(cancellationToken))
            messages.Add(ReadMessage(reader));
        await reader.NextResultAsync(cancellationToken);
        // A copy: the list in the cache must not grow before the turn is stored.
        var history = locked is not null && cached?.Execution == locked.Execution ? new List<HistoryEvent>(cached.Events) : [];
        while (await reader.ReadAsync(cancellationToken))
            history.Add(ReadEvent(reader));
        return locked is null ? null : new ClaimedTurn(worker, locked, history, messages);
    }

    private static async Task ReadActivitiesAsync(NpgsqlDataReader reader, Guid worker, List<ActivityWork> into, CancellationToken cancellationToken)
    {
        while (await reader.ReadAsync(cancellationToken))
            into.Add(new ActivityWork(
                worker, reader.GetString(0), reader.GetGuid(1), reader.GetInt32(2), reader.Text(3), reader.Text(4), reader.GetInt32(5)));
    }
}
