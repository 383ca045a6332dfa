using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.ModelRegistry;

/// <summary>Calls of one key to one endpoint with one status, in one hour.</summary>
public sealed record ApiKeyUse(Guid KeyId, DateTimeOffset Hour, string Endpoint, int Status, long Requests, double DurationMs);

/// <summary>Keys, by their hash, and how they are used.</summary>
public sealed class ApiKeyStore(NpgsqlDataSource database, TimeProvider time)
{
    private const string Columns = """
        id, name, prefix, created_at, last_used_at, revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1), expires_at, environment, scopes,
        rate_limit_per_hour, allowed_ips
        """;

    /// <summary>The key in force with this hash, or null.</summary>
    public async Task<ActiveApiKey?> FindActiveAsync(byte[] hash, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT id, name, scopes, rate_limit_per_hour, allowed_ips, expires_at FROM models.api_keys
            WHERE hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
            """);
        command.Parameters.Add(new() { Value = hash });
        command.Parameters.Add(new() { Value = time.GetUtcNow() });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken)
            ? new ActiveApiKey(reader.GetGuid(0), reader.GetString(1), reader.GetFieldValue<string[]>(2), reader.GetInt32(3), reader.GetFieldValue<string[]>(4),
                reader.IsDBNull(5) ? null : reader.GetFieldValue<DateTimeOffset>(5))
            : null;
    }

    /// <summary>Stores a new key.</summary>
    public async Task InsertAsync(ApiKeySummary key, byte[] hash, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            INSERT INTO models.api_keys (id, hash, prefix, name, environment, scopes, rate_limit_per_hour, allowed_ips, created_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            """);
        command.Parameters.Add(new() { Value = key.KeyId });
        command.Parameters.Add(new() { Value = hash });
        command.Parameters.Add(new() { Value = key.KeyPrefix });
        command.Parameters.Add(new() { Value = key.Name });
        command.Parameters.Add(new() { Value = key.Environment });
        command.Parameters.Add(new() { Value = key.Scopes.ToArray() });
        command.Parameters.Add(new() { Value = key.RateLimitPerHour });
        command.Parameters.Add(new() { Value = key.AllowedIps.ToArray() });
        command.Parameters.Add(new() { Value = key.CreatedAt });
        command.Parameters.Add(new() { Value = (object?)key.ExpiresAt ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.TimestampTz });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>A key in any state, or null.</summary>
    public async Task<ApiKeySummary?> FindAsync(Guid id, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"SELECT {Columns} FROM models.api_keys WHERE id = $2");
        command.Parameters.Add(new() { Value = time.GetUtcNow() });
        command.Parameters.Add(new() { Value = id });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    /// <summary>A page of keys, newest first, and how many there are.</summary>
    /// <param name="before">The creation time and id of the last key of the page before, or null.</param>
    public async Task<(IReadOnlyList<ApiKeySummary> Keys, long Total)> ListAsync(
        bool activeOnly, (DateTimeOffset CreatedAt, Guid Id)? before, int limit, CancellationToken cancellationToken)
    {
        const string Wanted = "FROM models.api_keys WHERE (NOT $2 OR (revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1)))";
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(Command($"SELECT count(*) {Wanted}", time.GetUtcNow(), activeOnly));
        batch.BatchCommands.Add(before is var (createdAt, id)
            ? Command($"SELECT {Columns} {Wanted} AND (created_at, id) < ($4, $5) ORDER BY created_at DESC, id DESC LIMIT $3", time.GetUtcNow(), activeOnly, limit, createdAt, id)
            : Command($"SELECT {Columns} {Wanted} ORDER BY created_at DESC, id DESC LIMIT $3", time.GetUtcNow(), activeOnly, limit));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        var total = reader.GetInt64(0);
        await reader.NextResultAsync(cancellationToken);
        var keys = new List<ApiKeySummary>();
        while (await reader.ReadAsync(cancellationToken))
            keys.Add(Read(reader));
        return (keys, total);
    }

    /// <summary>Ends a key for good; true also when it was ended before.</summary>
    public async Task<bool> RevokeAsync(Guid id, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("UPDATE models.api_keys SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1");
        command.Parameters.Add(new() { Value = id });
        command.Parameters.Add(new() { Value = time.GetUtcNow() });
        return await command.ExecuteNonQueryAsync(cancellationToken) == 1;
    }

    /// <summary>Gives a key in force another text; null where it is not in force.</summary>
    public async Task<ApiKeySummary?> ReplaceHashAsync(Guid id, byte[] hash, string prefix, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"""
            UPDATE models.api_keys SET hash = $3, prefix = $4 WHERE id = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1) RETURNING {Columns}
            """);
        command.Parameters.Add(new() { Value = time.GetUtcNow() });
        command.Parameters.Add(new() { Value = id });
        command.Parameters.Add(new() { Value = hash });
        command.Parameters.Add(new() { Value = prefix });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    /// <summary>Adds calls up, and tells the keys when they were last used.</summary>
    public async Task AddUsesAsync(IReadOnlyList<ApiKeyUse> uses, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(Command("""
            INSERT INTO models.api_key_usage AS u (key_id, hour, endpoint, status, requests, duration_ms)
            SELECT n.key_id, n.hour, n.endpoint, n.status, n.requests, n.duration_ms
            FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::integer[], $5::bigint[], $6::double precision[]) n (key_id, hour, endpoint, status, requests, duration_ms)
            JOIN models.api_keys k ON k.id = n.key_id
            ORDER BY n.key_id, n.hour, n.endpoint, n.status
            ON CONFLICT (key_id, hour, endpoint, status) DO UPDATE
            SET requests = u.requests + excluded.requests, duration_ms = u.duration_ms + excluded.duration_ms
            """,
            uses.Select(use => use.KeyId).ToArray(), uses.Select(use => use.Hour).ToArray(), uses.Select(use => use.Endpoint).ToArray(),
            uses.Select(use => use.Status).ToArray(), uses.Select(use => use.Requests).ToArray(), uses.Select(use => use.DurationMs).ToArray()));
        batch.BatchCommands.Add(Command(
            "UPDATE models.api_keys SET last_used_at = greatest(last_used_at, $2) WHERE id = ANY ($1)",
            uses.Select(use => use.KeyId).Distinct().Order().ToArray(), time.GetUtcNow()));
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>The calls of a key since a time, by hour, endpoint and status.</summary>
    public async Task<IReadOnlyList<ApiKeyUse>> ListUsesAsync(Guid id, DateTimeOffset since, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT hour, endpoint, status, requests, duration_ms FROM models.api_key_usage WHERE key_id = $1 AND hour >= $2 ORDER BY hour, endpoint, status
            """);
        command.Parameters.Add(new() { Value = id });
        command.Parameters.Add(new() { Value = since });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var uses = new List<ApiKeyUse>();
        while (await reader.ReadAsync(cancellationToken))
            uses.Add(new ApiKeyUse(id, reader.GetFieldValue<DateTimeOffset>(0), reader.GetString(1), reader.GetInt32(2), reader.GetInt64(3), reader.GetDouble(4)));
        return uses;
    }

    /// <summary>Forgets calls before a time.</summary>
    public async Task PurgeUsesAsync(DateTimeOffset before, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("DELETE FROM models.api_key_usage WHERE hour < $1");
        command.Parameters.Add(new() { Value = before });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    private static ApiKeySummary Read(NpgsqlDataReader reader) => new(
        reader.GetGuid(0), reader.GetString(1), reader.GetString(2), reader.GetFieldValue<DateTimeOffset>(3),
        reader.IsDBNull(4) ? null : reader.GetFieldValue<DateTimeOffset>(4), reader.GetBoolean(5),
        reader.IsDBNull(6) ? null : reader.GetFieldValue<DateTimeOffset>(6), reader.GetString(7), reader.GetFieldValue<string[]>(8), reader.GetInt32(9),
        reader.GetFieldValue<string[]>(10));

    private static NpgsqlBatchCommand Command(string sql, params object[] values)
    {
        var command = new NpgsqlBatchCommand(sql);
        foreach (var value in values)
            command.Parameters.Add(new() { Value = value });
        return command;
    }
}
