using System.Buffers.Text;
using System.Globalization;
using System.Text;
using FunctionsRegistry.Json;
using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.DataRegistry;

/// <summary>A place in a list that is sorted by time, newest first: the last row's time in microseconds since 1970, and its id. Opaque to clients.</summary>
public sealed record TimeCursor(long Microseconds, string Id)
{
    /// <summary>The cursor after a row.</summary>
    public static TimeCursor After(DateTimeOffset time, string id) => new((time - DateTimeOffset.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond, id);

    /// <summary>The row's time.</summary>
    public DateTimeOffset Time => DateTimeOffset.UnixEpoch.AddTicks(Microseconds * TimeSpan.TicksPerMicrosecond);

    /// <summary>The text given to clients.</summary>
    public override string ToString() => Base64Url.EncodeToString(Encoding.UTF8.GetBytes($"{Microseconds}.{Id}"));

    /// <summary>Null where the text is none of ours.</summary>
    public static TimeCursor? Parse(string text)
    {
        // PostgreSQL's and .NET's times both reach over this range.
        const long Most = 4_000L * 366 * 86_400 * 1_000_000;
        if (!Base64Url.IsValid(text))
            return null;
        var parts = Encoding.UTF8.GetString(Base64Url.DecodeFromChars(text)).Split('.', 2);
        return parts.Length == 2 && long.TryParse(parts[0], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var time)
            && time is > -Most / 4 and < Most && parts[1].Length is > 0 and <= 255 && !parts[1].Contains('\0', StringComparison.Ordinal)
                ? new TimeCursor(time, parts[1])
                : null;
    }
}

/// <summary>The part of a list that is asked for: the contract's skip (or offset) and limit; a cursor, our addition, starts after a row instead.</summary>
public sealed record ListPart(int Skip, int Limit, TimeCursor? After);

/// <summary>Rows, and the cursor (or the skip) of those that follow, or null at the end.</summary>
public sealed record Rows<T>(IReadOnlyList<T> Items, string? Next);

/// <summary>One list: which columns of which table, in which order.</summary>
/// <param name="Operation">Its name in the metrics.</param>
/// <param name="Columns">Of <c>t</c>; subqueries run for the rows of the page only.</param>
/// <param name="Time">The column that it is sorted by, descending; <paramref name="Id"/> decides among equals.</param>
public sealed record ListQuery<T>(
    string Operation, string Columns, string Table, string Time, string Id, Func<NpgsqlDataReader, T> Read, Func<T, TimeCursor> Cursor);

/// <summary>One statement, one round trip, measured: all of this slice's stores go through here.</summary>
public sealed class RegistryDatabase(NpgsqlDataSource database, RegistryMetrics metrics)
{
    /// <summary>All rows of a query.</summary>
    public Task<List<T>> ReadAsync<T>(
        string operation, string sql, Func<NpgsqlDataReader, T> read, CancellationToken cancellationToken, params object?[] values) =>
        metrics.ReadAsync(operation, () => QueryAsync(sql, read, values, cancellationToken));

    /// <summary>The first row of a query, or null.</summary>
    public async Task<T?> FindAsync<T>(
        string operation, string sql, Func<NpgsqlDataReader, T> read, CancellationToken cancellationToken, params object?[] values) where T : class =>
        (await ReadAsync(operation, sql, read, cancellationToken, values)).FirstOrDefault();

    /// <summary>The row that a changing statement returns, or null where it changed nothing.</summary>
    public async Task<T?> WriteAsync<T>(
        string operation, string sql, Func<NpgsqlDataReader, T> read, CancellationToken cancellationToken, params object?[] values) where T : class =>
        (await metrics.WriteAsync(operation, () => QueryAsync(sql, read, values, cancellationToken))).FirstOrDefault();

    /// <summary>The same for text whose words the database indexes while it stores them: a second more for each million characters.</summary>
    public async Task<T?> WriteTextAsync<T>(
        string operation, string sql, long characters, Func<NpgsqlDataReader, T> read, CancellationToken cancellationToken, params object?[] values) where T : class =>
        (await metrics.WriteAsync(operation, () => QueryAsync(sql, read, values, cancellationToken, (int)(characters / 1_000_000)))).FirstOrDefault();

    /// <summary>Throws where the database does not answer. Not counted: it is no operation of the registry.</summary>
    public Task PingAsync(CancellationToken cancellationToken) => QueryAsync("SELECT 1", reader => reader.GetInt32(0), [], cancellationToken);

    /// <summary>A part of a list, newest first.</summary>
    /// <param name="filters">Columns and the values that they must have; null is no filter.</param>
    public async Task<Rows<T>> ListAsync<T>(
        ListQuery<T> query, ListPart part, CancellationToken cancellationToken, params (string Column, object? Value)[] filters)
    {
        if (part.Limit == 0)
            return new([], null);
        var values = new List<object?> { part.Limit + 1, part.After is null ? part.Skip : 0 };
        var conditions = new List<string>();
        foreach (var (column, value) in filters)
        {
            if (value is null)
                continue;
            values.Add(value);
            conditions.Add($"{column} = ${values.Count}");
        }
        if (part.After is { } after)
        {
            values.Add(after.Time);
            values.Add(after.Id);
            // The id's own type, so that the comparison is the index's.
            conditions.Add($"({query.Time}, {query.Id}) < (${values.Count - 1}, ${values.Count}{(query.Id == "id" ? "::text::uuid" : "")})");
        }
        var where = conditions.Count == 0 ? "" : "WHERE " + string.Join(" AND ", conditions);
        var sql = $"""
            SELECT {query.Columns} FROM (
                SELECT * FROM {query.Table} {where} ORDER BY {query.Time} DESC, {query.Id} DESC LIMIT $1 OFFSET $2) t
            ORDER BY t.{query.Time} DESC, t.{query.Id} DESC
            """;
        var rows = await ReadAsync(query.Operation, sql, query.Read, cancellationToken, [.. values]);
        if (rows.Count <= part.Limit)
            return new(rows, null);
        rows.RemoveAt(part.Limit);
        return new(rows, query.Cursor(rows[^1]).ToString());
    }

    /// <summary>
    /// The rows of one parent, which the contract lists whole: at most so many, and from which row (our skip) the rest follows. One that is larger is no
    /// longer an answer to read at once.
    /// </summary>
    /// <param name="sql">With the parent as $1, sorted by an index that begins with it.</param>
    public async Task<Rows<T>> ListOfParentAsync<T>(
        string operation, string sql, Func<NpgsqlDataReader, T> read, object parent, int skip, CancellationToken cancellationToken)
    {
        const int Most = 10_000;
        var rows = await ReadAsync(operation, $"{sql} LIMIT {Most + 1} OFFSET $2", read, cancellationToken, parent, skip);
        if (rows.Count <= Most)
            return new(rows, null);
        rows.RemoveAt(Most);
        return new(rows, ((long)skip + Most).ToString(CultureInfo.InvariantCulture));
    }

    private async Task<List<T>> QueryAsync<T>(
        string sql, Func<NpgsqlDataReader, T> read, object?[] values, CancellationToken cancellationToken, int moreSeconds = 0)
    {
        await using var command = database.CreateCommand(sql);
        command.CommandTimeout += moreSeconds;
        foreach (var value in values)
            command.Parameters.Add(Parameter(value));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var rows = new List<T>();
        while (await reader.ReadAsync(cancellationToken))
            rows.Add(read(reader));
        return rows;
    }

    private static NpgsqlParameter Parameter(object? value) => value switch
    {
        null => new NpgsqlParameter { Value = DBNull.Value },
        RawJson json => new NpgsqlParameter { Value = json.Text, NpgsqlDbType = NpgsqlDbType.Jsonb },
        DateTimeOffset time => new NpgsqlParameter<DateTimeOffset> { TypedValue = time.ToUniversalTime() },
        _ => new NpgsqlParameter { Value = value },
    };
}

/// <summary>Columns as C# values; null columns as null.</summary>
internal static class ReaderExtensions
{
    public static string? Text(this NpgsqlDataReader reader, int column) => reader.IsDBNull(column) ? null : reader.GetString(column);

    public static double? Number(this NpgsqlDataReader reader, int column) => reader.IsDBNull(column) ? null : reader.GetDouble(column);

    public static long? Integer(this NpgsqlDataReader reader, int column) => reader.IsDBNull(column) ? null : reader.GetInt64(column);

    public static Guid? Uuid(this NpgsqlDataReader reader, int column) => reader.IsDBNull(column) ? null : reader.GetGuid(column);

    public static RawJson? Json(this NpgsqlDataReader reader, int column) => reader.IsDBNull(column) ? null : new RawJson(reader.GetString(column));

    public static DateTimeOffset Time(this NpgsqlDataReader reader, int column) => reader.GetFieldValue<DateTimeOffset>(column);

    public static DateTimeOffset? OptionalTime(this NpgsqlDataReader reader, int column) => reader.IsDBNull(column) ? null : reader.Time(column);
}
