using Npgsql;
using static FunctionsRegistry.LocalRuntime.Durable.DurableSql;

namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>A new instance.</summary>
/// <param name="Worker">Who has locked it for its first turn, or null.</param>
/// <param name="ReplacedStatuses">An instance of the same id in one of these is replaced; null when the id is new for sure.</param>
internal sealed record NewInstance(string Id, Guid Execution, string Name, string? Input, DateTime CreatedAt, DateTime StartAt, Guid? Worker, short[]? ReplacedStatuses);

/// <summary>Which instances to list.</summary>
/// <param name="After">The last of the page before.</param>
internal sealed record InstanceQuery(
    DateTime? CreatedFrom, DateTime? CreatedTo, short[]? Statuses, string? IdPrefix, bool WithInput, bool WithOutput, int Limit, (DateTime CreatedAt, string Id)? After);

/// <summary>What the client asks of the database.</summary>
internal sealed class ClientStore(NpgsqlDataSource database)
{
    private const string MetadataColumns = "instance_id, name, status, created_at, updated_at, failure";

    /// <summary>Stores a new instance; returns its first message, or null when the id is taken.</summary>
    public async Task<Message?> InsertAsync(NewInstance made, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        if (made.ReplacedStatuses is { } replaced)
            AddRemoval(batch, made.Id, replaced);
        batch.Add(
            """
            WITH made AS (
                INSERT INTO durable.instances AS i (instance_id, execution, name, status, input, created_at, start_at, updated_at, locked_by, attempts)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $6, $8, CASE WHEN $8 IS NULL THEN 0 ELSE 1 END)
                ON CONFLICT (instance_id) DO UPDATE SET execution = $2, name = $3, status = $4, turns = 0, input = $5, output = NULL, failure = NULL,
                    custom_status = NULL, parent_id = NULL, parent_name = NULL, parent_execution = NULL, parent_task = NULL, created_at = $6, start_at = $7,
                    updated_at = $6, locked_by = $8, attempts = CASE WHEN $8 IS NULL THEN 0 ELSE 1 END
                WHERE i.status = ANY($9) RETURNING 1)
            INSERT INTO durable.messages (instance_id, execution, kind, due_at) SELECT $1, $2, $10, $7 FROM made RETURNING id
            """,
            Of(made.Id), Of(made.Execution), Of(made.Name), Of(OrchestrationRuntimeStatus.Pending), Of(made.Input), Of(made.CreatedAt), Of(made.StartAt),
            Of(made.Worker), Of(made.ReplacedStatuses ?? []), Of(EventKind.Started));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        while (reader.FieldCount == 0 && await reader.NextResultAsync(cancellationToken))
        {
        }
        return await reader.ReadAsync(cancellationToken)
            ? new Message(reader.GetInt64(0), made.Execution, EventKind.Started, -1, null, null, made.StartAt)
            : null;
    }

    /// <summary>Sends a message to an instance that is not over; returns its status, or null when there is none.</summary>
    public async Task<OrchestrationRuntimeStatus?> SendAsync(
        string instanceId, EventKind kind, string? name, string? payload, DateTime now, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        // What comes before a later start waits for it, except the end.
        batch.Add(
            """
            WITH target AS (SELECT status, start_at FROM durable.instances WHERE instance_id = $1),
            sent AS (
                INSERT INTO durable.messages (instance_id, kind, name, payload, due_at)
                SELECT $1, $2, $3, $4, CASE WHEN $7 THEN $5 ELSE greatest($5, start_at) END FROM target WHERE status <> ALL($6))
            SELECT status FROM target
            """,
            Of(instanceId), Of(kind), Of(name), Of(payload), Of(now), Of(Instance.OverStatuses), Of(kind == EventKind.Terminated));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? (OrchestrationRuntimeStatus)reader.GetInt16(0) : null;
    }

    public async Task<OrchestrationMetadata?> FindAsync(string instanceId, bool withInput, bool withOutput, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(
            $"""
            SELECT {MetadataColumns}, CASE WHEN $2 THEN input END, CASE WHEN $3 THEN output END, CASE WHEN $3 THEN custom_status END
            FROM durable.instances WHERE instance_id = $1
            """);
        command.Parameters.Add(Of(instanceId));
        command.Parameters.Add(Of(withInput));
        command.Parameters.Add(Of(withOutput));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader, withInput || withOutput) : null;
    }

    /// <summary>One page, by creation.</summary>
    public async Task<List<OrchestrationMetadata>> ListAsync(InstanceQuery query, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(
            $"""
            SELECT {MetadataColumns}, CASE WHEN $1 THEN input END, CASE WHEN $2 THEN output END, CASE WHEN $2 THEN custom_status END
            FROM durable.instances
            WHERE created_at >= coalesce($3, '-infinity') AND created_at <= coalesce($4, 'infinity') AND ($5 IS NULL OR status = ANY($5))
                AND ($6 IS NULL OR starts_with(instance_id, $6)) AND (created_at, instance_id) > ($7, $8)
            ORDER BY created_at, instance_id LIMIT $9
            """);
        command.Parameters.Add(Of(query.WithInput));
        command.Parameters.Add(Of(query.WithOutput));
        command.Parameters.Add(Of(query.CreatedFrom));
        command.Parameters.Add(Of(query.CreatedTo));
        command.Parameters.Add(new() { Value = (object?)query.Statuses ?? DBNull.Value, NpgsqlDbType = NpgsqlTypes.NpgsqlDbType.Array | NpgsqlTypes.NpgsqlDbType.Smallint });
        command.Parameters.Add(Of(query.IdPrefix));
        command.Parameters.Add(Of(query.After?.CreatedAt ?? DateTime.UnixEpoch));
        command.Parameters.Add(Of(query.After?.Id ?? ""));
        command.Parameters.Add(Of(query.Limit));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var found = new List<OrchestrationMetadata>();
        while (await reader.ReadAsync(cancellationToken))
            found.Add(Read(reader, query.WithInput || query.WithOutput));
        return found;
    }

    /// <summary>An instance's history in order; empty when there is none.</summary>
    public async Task<List<HistoryEvent>> ReadHistoryAsync(string instanceId, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(
            $"SELECT {EventColumns} FROM durable.history h JOIN durable.instances i ON i.execution = h.execution WHERE i.instance_id = $1 ORDER BY h.sequence");
        command.Parameters.Add(Of(instanceId));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var events = new List<HistoryEvent>();
        while (await reader.ReadAsync(cancellationToken))
            events.Add(ReadEvent(reader));
        return events;
    }

    /// <summary>Removes an instance that is over, and where asked for its sub-orchestrations that are; returns how many.</summary>
    public async Task<int> PurgeAsync(string instanceId, bool recursive, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(PurgeSql(
            """
            SELECT instance_id, execution FROM durable.instances WHERE instance_id = $1 AND status = ANY($2)
            UNION SELECT c.instance_id, c.execution FROM durable.instances c JOIN doomed d ON c.parent_id = d.instance_id WHERE $3 AND c.status = ANY($2)
            """));
        command.Parameters.Add(Of(instanceId));
        command.Parameters.Add(Of(Instance.OverStatuses));
        command.Parameters.Add(Of(recursive));
        return (int)(long)(await command.ExecuteScalarAsync(cancellationToken))!;
    }

    /// <summary>Removes at most 1,000 instances that are over and match; returns how many.</summary>
    public async Task<int> PurgeSomeAsync(DateTime? createdFrom, DateTime? createdTo, short[] statuses, bool recursive, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(PurgeSql(
            """
            (SELECT instance_id, execution FROM durable.instances
            WHERE status = ANY($1) AND status = ANY($2) AND created_at >= coalesce($3, '-infinity') AND created_at <= coalesce($4, 'infinity')
            ORDER BY created_at, instance_id LIMIT 1000)
            UNION SELECT c.instance_id, c.execution FROM durable.instances c JOIN doomed d ON c.parent_id = d.instance_id WHERE $5 AND c.status = ANY($2)
            """));
        command.Parameters.Add(Of(statuses));
        command.Parameters.Add(Of(Instance.OverStatuses));
        command.Parameters.Add(Of(createdFrom));
        command.Parameters.Add(Of(createdTo));
        command.Parameters.Add(Of(recursive));
        return (int)(long)(await command.ExecuteScalarAsync(cancellationToken))!;
    }

    // The status is checked again by the deletion: one that was started anew meanwhile stays.
    private static string PurgeSql(string doomed) => $"""
        WITH RECURSIVE doomed AS ({doomed}),
        gone AS (
            DELETE FROM durable.instances i USING doomed d WHERE i.instance_id = d.instance_id AND i.execution = d.execution AND i.status IN (1, 3, 4, 5)
            RETURNING i.instance_id, i.execution),
        events AS (DELETE FROM durable.history h USING gone g WHERE h.execution = g.execution),
        letters AS (DELETE FROM durable.messages m USING gone g WHERE m.instance_id = g.instance_id),
        work AS (DELETE FROM durable.activities a USING gone g WHERE a.execution = g.execution)
        SELECT count(*) FROM gone
        """;

    // What is left of an instance that is about to be replaced.
    private static void AddRemoval(NpgsqlBatch batch, string instanceId, short[] replaced)
    {
        batch.Add(
            "DELETE FROM durable.history h USING durable.instances i WHERE i.instance_id = $1 AND i.status = ANY($2) AND h.execution = i.execution",
            Of(instanceId), Of(replaced));
        batch.Add(
            "DELETE FROM durable.activities a USING durable.instances i WHERE i.instance_id = $1 AND i.status = ANY($2) AND a.execution = i.execution",
            Of(instanceId), Of(replaced));
        batch.Add(
            "DELETE FROM durable.messages m USING durable.instances i WHERE i.instance_id = $1 AND i.status = ANY($2) AND m.instance_id = i.instance_id",
            Of(instanceId), Of(replaced));
    }

    private static OrchestrationMetadata Read(NpgsqlDataReader reader, bool hasPayloads) => new(reader.GetString(1), reader.GetString(0))
    {
        RuntimeStatus = (OrchestrationRuntimeStatus)reader.GetInt16(2),
        CreatedAt = reader.GetFieldValue<DateTimeOffset>(3),
        LastUpdatedAt = reader.GetFieldValue<DateTimeOffset>(4),
        FailureDetails = Payload.Read<TaskFailureDetails>(reader.Text(5)),
        SerializedInput = reader.Text(6),
        SerializedOutput = reader.Text(7),
        SerializedCustomStatus = reader.Text(8),
        HasPayloads = hasPayloads,
    };
}
