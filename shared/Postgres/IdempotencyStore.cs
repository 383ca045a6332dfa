using Npgsql;

namespace FunctionsRegistry.Postgres;

/// <summary>A stored answer.</summary>
public sealed record StoredAnswer(int Status, string? ContentType, string? Location, byte[] Body);

/// <summary>What became of an attempt to claim a key. Neither a claim nor an answer: the first request is still running.</summary>
/// <param name="Claim">Set for the one request that shall run: names its claim.</param>
/// <param name="SameRequest">False: the key was used with another request.</param>
public sealed record IdempotencyClaim(Guid? Claim, bool SameRequest, StoredAnswer? Answer);

/// <summary>
/// Answers kept for 24 hours, so that a repeated POST or PUT has one effect. Bodies may hold secrets that are shown once; the caller encrypts them.
/// </summary>
public sealed class IdempotencyStore(NpgsqlDataSource database, TimeProvider time)
{
    /// <summary>How long an answer is replayed.</summary>
    public static readonly TimeSpan KeptFor = TimeSpan.FromHours(24);

    /// <summary>A running request renews its claim this often.</summary>
    public static readonly TimeSpan RenewEvery = TimeSpan.FromSeconds(30);

    // A claim that was not renewed for this long is of a process that died: the next request takes over.
    private static readonly TimeSpan s_abandonedAfter = TimeSpan.FromMinutes(2);

    /// <summary>Claims the key or tells what is stored; who wins a race is decided by the primary key.</summary>
    /// <param name="id">SHA-256 of caller, route and key.</param>
    /// <param name="fingerprint">SHA-256 of the request.</param>
    public async Task<IdempotencyClaim> ClaimAsync(byte[] id, byte[] fingerprint, CancellationToken cancellationToken)
    {
        const string Sql = """
            WITH claim AS (
                INSERT INTO platform.idempotency_keys AS k (id, fingerprint, claim, locked_at, created_at) VALUES ($1, $2, $6, $3, $3)
                ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint, claim = excluded.claim, locked_at = excluded.locked_at,
                    created_at = excluded.created_at, status = NULL, content_type = NULL, location = NULL, body = NULL
                WHERE k.created_at < $4 OR (k.status IS NULL AND k.locked_at < $5)
                RETURNING 1)
            SELECT true, true, NULL::int, NULL::text, NULL::text, NULL::bytea FROM claim
            UNION ALL
            SELECT false, fingerprint = $2, status, content_type, location, body FROM platform.idempotency_keys
            WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM claim)
            """;
        var now = time.GetUtcNow();
        var claim = Guid.CreateVersion7(now);
        await using var command = database.CreateCommand(Sql);
        foreach (var value in (object[])[id, fingerprint, now, now - KeptFor, now - s_abandonedAfter, claim])
            command.Parameters.Add(new() { Value = value });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        // No row at all: another request inserted the key after this statement's snapshot was taken; it is running.
        if (!await reader.ReadAsync(cancellationToken))
            return new IdempotencyClaim(null, true, null);
        if (reader.GetBoolean(0))
            return new IdempotencyClaim(claim, true, null);
        var answer = await reader.IsDBNullAsync(2, cancellationToken)
            ? null
            : new StoredAnswer(reader.GetInt32(2), reader.GetValue(3) as string, reader.GetValue(4) as string, reader.GetFieldValue<byte[]>(5));
        return new IdempotencyClaim(null, reader.GetBoolean(1), answer);
    }

    /// <summary>Tells that the claim's request is still running.</summary>
    public Task RenewAsync(byte[] id, Guid claim, CancellationToken cancellationToken) =>
        ExecuteAsync("UPDATE platform.idempotency_keys SET locked_at = $3 WHERE id = $1 AND claim = $2", cancellationToken, id, claim, time.GetUtcNow());

    /// <summary>Stores the answer of a claimed key; nothing where somebody else took the claim over.</summary>
    public Task CompleteAsync(byte[] id, Guid claim, StoredAnswer answer, CancellationToken cancellationToken) =>
        ExecuteAsync(
            "UPDATE platform.idempotency_keys SET status = $3, content_type = $4, location = $5, body = $6 WHERE id = $1 AND claim = $2",
            cancellationToken, id, claim, answer.Status, answer.ContentType, answer.Location, answer.Body);

    /// <summary>Gives a claimed key back: the request failed and may be repeated.</summary>
    public Task ReleaseAsync(byte[] id, Guid claim, CancellationToken cancellationToken) =>
        ExecuteAsync("DELETE FROM platform.idempotency_keys WHERE id = $1 AND claim = $2 AND status IS NULL", cancellationToken, id, claim);

    /// <summary>Deletes what is older than <see cref="KeptFor"/>, in batches that lock little; returns how many.</summary>
    public async Task<int> PurgeAsync(CancellationToken cancellationToken)
    {
        const int Batch = 5000;
        const string Sql = """
            DELETE FROM platform.idempotency_keys WHERE id IN (
                SELECT id FROM platform.idempotency_keys WHERE created_at < $1 ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)
            """;
        var total = 0;
        int deleted;
        do
        {
            deleted = await ExecuteAsync(Sql, cancellationToken, time.GetUtcNow() - KeptFor, Batch);
            total += deleted;
        }
        while (deleted == Batch);
        return total;
    }

    private async Task<int> ExecuteAsync(string sql, CancellationToken cancellationToken, params object?[] values)
    {
        await using var command = database.CreateCommand(sql);
        foreach (var value in values)
            command.Parameters.Add(new() { Value = value ?? DBNull.Value });
        return await command.ExecuteNonQueryAsync(cancellationToken);
    }
}
