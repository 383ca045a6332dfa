using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>Commands, parameters and rows of the engine's tables.</summary>
internal static class DurableSql
{
    /// <summary>Adds a command; a batch without an explicit transaction is one: it fails as a whole.</summary>
    public static void Add(this NpgsqlBatch batch, string sql, params ReadOnlySpan<NpgsqlParameter> parameters)
    {
#pragma warning disable CA2100 // The text is a constant.
        var command = new NpgsqlBatchCommand(sql);
#pragma warning restore CA2100
        foreach (var parameter in parameters)
            command.Parameters.Add(parameter);
        batch.BatchCommands.Add(command);
    }

    public static NpgsqlParameter Of(string? value) => new() { Value = (object?)value ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text };

    public static NpgsqlParameter Of(Guid? value) => new() { Value = (object?)value ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid };

    public static NpgsqlParameter Of(DateTime? value) => new() { Value = (object?)value ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.TimestampTz };

    public static NpgsqlParameter Of(int? value) => new() { Value = (object?)value ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Integer };

    public static NpgsqlParameter Of(EventKind value) => new() { Value = (short)value, NpgsqlDbType = NpgsqlDbType.Smallint };

    public static NpgsqlParameter Of(OrchestrationRuntimeStatus value) => new() { Value = (short)value, NpgsqlDbType = NpgsqlDbType.Smallint };

    public static NpgsqlParameter Of(bool value) => new() { Value = value, NpgsqlDbType = NpgsqlDbType.Boolean };

    public static NpgsqlParameter Of(short[] values) => new() { Value = values, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Smallint };

    public static NpgsqlParameter Of(int[] values) => new() { Value = values, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Integer };

    public static NpgsqlParameter Of(int?[] values) => new() { Value = values, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Integer };

    public static NpgsqlParameter Of(long[] values) => new() { Value = values, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Bigint };

    public static NpgsqlParameter Of(string?[] values) => new() { Value = values, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text };

    public static NpgsqlParameter Of(Guid?[] values) => new() { Value = values, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Uuid };

    public static NpgsqlParameter Of(DateTime?[] values) => new() { Value = values, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.TimestampTz };

    public static string? Text(this NpgsqlDataReader reader, int column) => reader.IsDBNull(column) ? null : reader.GetString(column);

    public static DateTime Utc(this NpgsqlDataReader reader, int column) => reader.GetFieldValue<DateTime>(column);

    /// <summary>Columns of <see cref="ReadEvent"/>.</summary>
    public const string EventColumns = "h.turn, h.kind, h.task, h.name, h.target, h.payload, h.due_at, h.at";

    public static HistoryEvent ReadEvent(NpgsqlDataReader reader) => new(
        reader.GetInt32(0), (EventKind)reader.GetInt16(1), reader.IsDBNull(2) ? -1 : reader.GetInt32(2), reader.Text(3), reader.Text(4), reader.Text(5),
        reader.IsDBNull(6) ? null : reader.Utc(6), reader.Utc(7));

    /// <summary>Columns of <see cref="ReadMessage"/>.</summary>
    public const string MessageColumns = "id, execution, kind, task, name, payload, due_at";

    public static Message ReadMessage(NpgsqlDataReader reader) => new(
        reader.GetInt64(0), reader.IsDBNull(1) ? null : reader.GetGuid(1), (EventKind)reader.GetInt16(2), reader.IsDBNull(3) ? -1 : reader.GetInt32(3),
        reader.Text(4), reader.Text(5), reader.Utc(6));
}
