using Npgsql;

namespace FunctionsRegistry.Postgres;

/// <summary>A stored answer.</summary>
public sealed record StoredAnswer(int Status, string? ContentType, string? Location, byte[] Body);

/// <summary>What became of an attempt to claim a key. With <see cref="Claimed"/> false and no answer, the first request is still running.</summary>
/// <param name="SameRequest">Whether the key's first request had the same body.</param>
public sealed record IdempotencyClaim(bool Claimed, bool SameRequest, StoredAnswer? Answer);

/// <summary>Answers kept for 24 hours, so that a repeated POST or PUT has one effect.</summary>
public sealed class IdempotencyStore(NpgsqlDataSource database, TimeProvider time)
{
    /// <summary>How long an answer is replayed.</summary>
    public static readonly TimeSpan KeptFor = TimeSpan.FromHours(24);

    // A claim without an answer this long after is of a process that died: the next request takes over.
    private static readonly TimeSpan s_abandonedAfter = TimeSpan.FromMinutes(2);

    /// <summary>Claims the key or tells what is stored; who wins a race is decided by the primary key.</summary>
    public async Task<IdempotencyClaim> ClaimAsync(byte[] id, byte[] fingerprint, CancellationToken cancellationToken)
    {
        const string Sql = """
            WITH claim AS (
                INSERT INTO platform.idempotency_keys AS k (id, fingerprint, locked_at, created_at) VALUES ($1, $2, $3, $3)
                ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint, locked_at = excluded.locked_at, created_at = excluded.created_at,
                    status = NULL, content_type = NULL, location = NULL, body = NULL
                WHERE k.created_at < $4 OR (k.status IS NULL AND k.locked_at < $5)
                RETURNING 1)
            SELECT true, true, NULL::int, NULL::text, NULL::text, NULL::bytea FROM claim
            UNION ALL
            SELECT false, fingerprint = $2, status, content_type, location, body FROM platform.idempotency_keys
            WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM claim)
            """;
        var now = time.GetUtcNow();
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = id });
        command.Parameters.Add(new() { Value = fingerprint });
        command.Parameters.Add(new() { Value = now });
        command.Parameters.Add(new() { Value = now - KeptFor });
        command.Parameters.Add(new() { Value = now - s_abandonedAfter });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        // No row at all: another request inserted the key after this statement's snapshot was taken; it is running.
        if (!await reader.ReadAsync(cancellationToken))
            return new IdempotencyClaim(false, true, null);
        var answer = await reader.IsDBNullAsync(2, cancellationToken)
            ? null
            : new StoredAnswer(reader.GetInt32(2), reader.GetValue(3) as string, reader.GetValue(4) as string, reader.GetFieldValue<byte[]>(5));
        return new IdempotencyClaim(reader.GetBoolean(0), reader.GetBoolean(1), answer);
    }

    /// <summary>Stores the answer of a claimed key.</summary>
    public async Task CompleteAsync(byte[] id, StoredAnswer answer, CancellationToken cancellationToken)
    {
        const string Sql = "UPDATE platform.idempotency_keys SET status = $2, content_type = $3, location = $4, body = $5 WHERE id = $1";
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = id });
        command.Parameters.Add(new() { Value = answer.Status });
        command.Parameters.Add(new() { Value = (object?)answer.ContentType ?? DBNull.Value });
        command.Parameters.Add(new() { Value = (object?)answer.Location ?? DBNull.Value });
        command.Parameters.Add(new() { Value = answer.Body });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Gives a claimed key back: the request failed and may be repeated.</summary>
    public async Task ReleaseAsync(byte[] id, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("DELETE FROM platform.idempotency_keys WHERE id = $1 AND status IS NULL");
        command.Parameters.Add(new() { Value = id });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Deletes what is older than <see cref="KeptFor"/>; returns how many.</summary>
    public async Task<int> PurgeAsync(CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("DELETE FROM platform.idempotency_keys WHERE created_at < $1");
        command.Parameters.Add(new() { Value = time.GetUtcNow() - KeptFor });
        return await command.ExecuteNonQueryAsync(cancellationToken);
    }
}
