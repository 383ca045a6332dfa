using Npgsql;

namespace FunctionsRegistry.DataRegistry;

/// <summary>The audit log: written with what it tells of, and by clients for what happens outside.</summary>
public sealed class EventStore(RegistryDatabase database, TimeProvider time)
{
    private const string Columns = "id, event_type, entity_type, entity_id, user_id, description, meta_data::text, created_at";

    private static readonly ListQuery<RegistryEvent> s_list =
        new("list_events", Columns, "dhg.events", "created_at", "id", Read, one => TimeCursor.After(one.CreatedAt, one.Id.ToString()));

    /// <summary>Events, newest first. The filters are our addition.</summary>
    public Task<Rows<RegistryEvent>> ListAsync(
        ListPart part, string? eventType, string? entityType, Guid? entityId, CancellationToken cancellationToken) =>
        database.ListAsync(s_list, part, cancellationToken, ("event_type", eventType), ("entity_type", entityType), ("entity_id", entityId));

    /// <summary>Records a client's event.</summary>
    public async Task<RegistryEvent> InsertAsync(NewEvent added, CancellationToken cancellationToken)
    {
        const string Sql = $"""
            INSERT INTO dhg.events (id, event_type, entity_type, entity_id, user_id, description, meta_data, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {Columns}
            """;
        var now = time.GetUtcNow();
        return (await database.WriteAsync("create_event", Sql, Read, cancellationToken, Guid.CreateVersion7(now), added.EventType, added.EntityType,
            added.EntityId, added.UserId, added.Description, added.MetaData, now))!;
    }

    private static RegistryEvent Read(NpgsqlDataReader reader) => new(
        reader.GetGuid(0), reader.GetString(1), reader.GetString(2), reader.Uuid(3), reader.Text(4), reader.Text(5), reader.Json(6), reader.Time(7));
}
