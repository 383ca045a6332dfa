using System.Text.Json;
using System.Text.Json.Nodes;
using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.ModelRegistry.Dspy;

/// <summary>A revision of a program as its row has it.</summary>
public sealed record DspyRevision(DspyProgramSummary Summary, string BlobName, byte[] Hash);

/// <summary>An execution to store. <paramref name="IsCounted"/>: it asked the language model.</summary>
public sealed record NewExecution(DspyExecution Execution, Guid? BatchId, int Revision, string Mode, JsonElement Inputs, bool IsCounted, DateTimeOffset CreatedAt);

/// <summary>Programs, executions, their statistics, and answers that are kept.</summary>
public sealed class DspyStore(NpgsqlDataSource database)
{
    private const string Columns = "r.program_id, r.name, r.version, r.signatures, r.description, r.revision, r.created_at, r.blob_name, r.hash";

    /// <summary>Adds a revision, unless the newest has the same hash; the number, and whether it is new.</summary>
    public async Task<(int Revision, bool IsNew)> InsertAsync(DspyRevision revision, string createdBy, CancellationToken cancellationToken)
    {
        var program = revision.Summary;
        await using var batch = database.CreateBatch();
        // One transaction. The first statement locks the program, so that the second sees the revision of a PUT that came at the same time.
        batch.BatchCommands.Add(new("""
            INSERT INTO models.dspy_programs AS p (id, last_revision) VALUES ($1, 0) ON CONFLICT (id) DO UPDATE SET last_revision = p.last_revision
            """) { Parameters = { new() { Value = program.ProgramId } } });
        var insert = new NpgsqlBatchCommand("""
            WITH newest AS (
                SELECT p.last_revision, r.hash FROM models.dspy_programs p
                LEFT JOIN models.dspy_revisions r ON r.program_id = p.id AND r.revision = p.last_revision WHERE p.id = $1),
            program AS (
                UPDATE models.dspy_programs p SET last_revision = p.last_revision + 1 FROM newest WHERE p.id = $1 AND newest.hash IS DISTINCT FROM $7
                RETURNING p.last_revision),
            added AS (
                INSERT INTO models.dspy_revisions (program_id, revision, name, version, description, signatures, blob_name, hash, created_at, created_by)
                SELECT $1, last_revision, $2, $3, $4, $5::json, $6, $7, $8, $9 FROM program
                RETURNING revision)
            SELECT revision, true FROM added UNION ALL SELECT last_revision, false FROM newest WHERE NOT EXISTS (SELECT 1 FROM added)
            """);
        insert.Parameters.Add(new() { Value = program.ProgramId });
        insert.Parameters.Add(new() { Value = program.Name });
        insert.Parameters.Add(new() { Value = program.Version });
        insert.Parameters.Add(new() { Value = (object?)program.Description ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        insert.Parameters.Add(new() { Value = JsonSerializer.Serialize(program.Signatures, DspyJson.Default.IReadOnlyListDspySignatureSummary) });
        insert.Parameters.Add(new() { Value = revision.BlobName });
        insert.Parameters.Add(new() { Value = revision.Hash });
        insert.Parameters.Add(new() { Value = program.CreatedAt!.Value });
        insert.Parameters.Add(new() { Value = createdBy });
        batch.BatchCommands.Add(insert);
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return (reader.GetInt32(0), reader.GetBoolean(1));
    }

    /// <summary>A revision, the newest where none is named; null when there is none.</summary>
    public async Task<DspyRevision?> FindAsync(string id, int? revision, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"""
            SELECT {Columns} FROM models.dspy_revisions r WHERE r.program_id = $1 AND ($2::integer IS NULL OR r.revision = $2) ORDER BY r.revision DESC LIMIT 1
            """);
        command.Parameters.Add(new() { Value = id });
        command.Parameters.Add(new() { Value = (object?)revision ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Integer });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    /// <summary>The newest revision of each program after an id, by id.</summary>
    public async Task<IReadOnlyList<DspyProgramSummary>> ListAsync(string after, int limit, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"""
            SELECT {Columns} FROM models.dspy_programs p JOIN models.dspy_revisions r ON r.program_id = p.id AND r.revision = p.last_revision
            WHERE p.id > $1 ORDER BY p.id LIMIT $2
            """);
        command.Parameters.Add(new() { Value = after });
        command.Parameters.Add(new() { Value = limit });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var programs = new List<DspyProgramSummary>();
        while (await reader.ReadAsync(cancellationToken))
            programs.Add(Read(reader).Summary);
        return programs;
    }

    /// <summary>Removes a program with all revisions; the names of its blobs, none where there was no program.</summary>
    public async Task<IReadOnlyList<string>> DeleteAsync(string id, CancellationToken cancellationToken)
    {
        // The program's row is locked first, so no revision is added in between; both statements are one transaction.
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(new("SELECT 1 FROM models.dspy_programs WHERE id = $1 FOR UPDATE") { Parameters = { new() { Value = id } } });
        batch.BatchCommands.Add(new("DELETE FROM models.dspy_revisions WHERE program_id = $1 RETURNING blob_name") { Parameters = { new() { Value = id } } });
        batch.BatchCommands.Add(new("DELETE FROM models.dspy_programs WHERE id = $1") { Parameters = { new() { Value = id } } });
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.NextResultAsync(cancellationToken);
        var names = new List<string>();
        while (await reader.ReadAsync(cancellationToken))
            names.Add(reader.GetString(0));
        return names;
    }

    /// <summary>Those of some blobs that no revision points to.</summary>
    public async Task<IReadOnlyList<string>> ListOrphansAsync(string[] blobNames, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(
            "SELECT n.name FROM unnest($1::text[]) n (name) WHERE NOT EXISTS (SELECT 1 FROM models.dspy_revisions r WHERE r.blob_name = n.name)");
        command.Parameters.Add(new() { Value = blobNames });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var names = new List<string>();
        while (await reader.ReadAsync(cancellationToken))
            names.Add(reader.GetString(0));
        return names;
    }

    /// <summary>Stores an execution, adds it to the statistics, and keeps its outputs under a key where one is given.</summary>
    public async Task RecordAsync(NewExecution added, byte[]? cacheKey, int maxCached, CancellationToken cancellationToken)
    {
        var execution = added.Execution;
        var outputs = execution.Outputs?.ToJsonString();
        await using var batch = database.CreateBatch();
        var insert = new NpgsqlBatchCommand("""
            INSERT INTO models.dspy_executions (id, batch_id, program_id, revision, mode, success, inputs, outputs, error, metadata, is_counted, duration_ms, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7::json, $8::json, $9, $10::json, $11, $12, $13)
            """);
        insert.Parameters.Add(new() { Value = execution.ExecutionId });
        insert.Parameters.Add(new() { Value = (object?)added.BatchId ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid });
        insert.Parameters.Add(new() { Value = execution.ProgramName });
        insert.Parameters.Add(new() { Value = added.Revision });
        insert.Parameters.Add(new() { Value = added.Mode });
        insert.Parameters.Add(new() { Value = execution.Success });
        insert.Parameters.Add(new() { Value = added.Inputs.GetRawText() });
        insert.Parameters.Add(new() { Value = (object?)outputs ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        insert.Parameters.Add(new() { Value = (object?)execution.Error ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        insert.Parameters.Add(new() { Value = execution.Metadata.ToJsonString() });
        insert.Parameters.Add(new() { Value = added.IsCounted });
        insert.Parameters.Add(new() { Value = execution.ExecutionTime * 1000 });
        insert.Parameters.Add(new() { Value = added.CreatedAt });
        batch.BatchCommands.Add(insert);
        if (cacheKey is not null && outputs is not null)
        {
            batch.BatchCommands.Add(new("""
                INSERT INTO models.dspy_cache (key, outputs, created_at) VALUES ($1, $2::json, $3)
                ON CONFLICT (key) DO UPDATE SET outputs = excluded.outputs, created_at = excluded.created_at
                """)
            { Parameters = { new() { Value = cacheKey }, new() { Value = outputs }, new() { Value = added.CreatedAt } } });
            // The oldest go; whoever else does the same at this moment is left to it.
            batch.BatchCommands.Add(new("""
                DELETE FROM models.dspy_cache WHERE key IN (
                    SELECT key FROM models.dspy_cache
                    WHERE created_at <= (SELECT created_at FROM models.dspy_cache ORDER BY created_at DESC OFFSET $1 LIMIT 1) FOR UPDATE SKIP LOCKED)
                """)
            { Parameters = { new() { Value = maxCached } } });
        }
        // Last: everybody waits for this row until the commit.
        if (added.IsCounted)
            batch.BatchCommands.Add(new("""
                UPDATE models.dspy_totals SET executions = executions + 1, successes = successes + CASE WHEN $1 THEN 1 ELSE 0 END, duration_ms = duration_ms + $2,
                    min_ms = least(min_ms, $2), max_ms = greatest(max_ms, $2)
                """)
            { Parameters = { new() { Value = execution.Success }, new() { Value = execution.ExecutionTime * 1000 } } });
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>An execution, or null.</summary>
    public async Task<DspyExecutionDetail?> FindExecutionAsync(Guid id, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT success, outputs, error, duration_ms, program_id, metadata, revision, batch_id, inputs, created_at FROM models.dspy_executions WHERE id = $1
            """);
        command.Parameters.Add(new() { Value = id });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken)
            ? new DspyExecutionDetail(
                id, reader.GetBoolean(0), reader.IsDBNull(1) ? null : JsonElement.Parse(reader.GetString(1)), reader.IsDBNull(2) ? null : reader.GetString(2),
                Math.Round(reader.GetDouble(3) / 1000, 3), reader.GetString(4), JsonElement.Parse(reader.GetString(5)), reader.GetInt32(6),
                reader.IsDBNull(7) ? null : reader.GetGuid(7), JsonElement.Parse(reader.GetString(8)), reader.GetFieldValue<DateTimeOffset>(9))
            : null;
    }

    /// <summary>Outputs that were kept after a time, or null.</summary>
    public async Task<JsonObject?> FindCachedAsync(byte[] key, DateTimeOffset after, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("SELECT outputs FROM models.dspy_cache WHERE key = $1 AND created_at > $2");
        command.Parameters.Add(new() { Value = key });
        command.Parameters.Add(new() { Value = after });
        return await command.ExecuteScalarAsync(cancellationToken) is string json ? JsonNode.Parse(json)!.AsObject() : null;
    }

    /// <summary>Forgets every answer that was kept, in all processes.</summary>
    public async Task ClearCacheAsync(CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("DELETE FROM models.dspy_cache");
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Statistics, and how many answers are kept since a time.</summary>
    public async Task<(DspyStatistics Statistics, long Cached)> ReadStatisticsAsync(DateTimeOffset cachedAfter, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT t.executions, t.successes, t.duration_ms, t.min_ms, t.max_ms,
                (SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY last.duration_ms)
                 FROM (SELECT duration_ms FROM models.dspy_executions WHERE is_counted ORDER BY created_at DESC LIMIT 1000) last),
                (SELECT count(*) FROM models.dspy_cache WHERE created_at > $1)
            FROM models.dspy_totals t
            """);
        command.Parameters.Add(new() { Value = cachedAfter });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        var (total, successes) = (reader.GetInt64(0), reader.GetInt64(1));
        return (new DspyStatistics(
            total, successes, total - successes, total == 0 ? 0 : Math.Round((double)successes / total, 6), total == 0 ? 0 : Math.Round(reader.GetDouble(2) / total / 1000, 3),
            Seconds(3), Seconds(4), Seconds(5)), reader.GetInt64(6));

        double? Seconds(int column) => reader.IsDBNull(column) ? null : Math.Round(reader.GetDouble(column) / 1000, 3);
    }

    /// <summary>Removes executions and kept answers of before a time each.</summary>
    public async Task PurgeAsync(DateTimeOffset executionsBefore, DateTimeOffset cachedBefore, CancellationToken cancellationToken)
    {
        await using (var command = database.CreateCommand("DELETE FROM models.dspy_cache WHERE created_at < $1"))
        {
            command.Parameters.Add(new() { Value = cachedBefore });
            await command.ExecuteNonQueryAsync(cancellationToken);
        }
        int deleted;
        do
        {
            await using var command = database.CreateCommand(
                "DELETE FROM models.dspy_executions WHERE id IN (SELECT id FROM models.dspy_executions WHERE created_at < $1 ORDER BY created_at LIMIT 5000)");
            command.Parameters.Add(new() { Value = executionsBefore });
            deleted = await command.ExecuteNonQueryAsync(cancellationToken);
        }
        while (deleted == 5000);
    }

    private static DspyRevision Read(NpgsqlDataReader reader) => new(
        new DspyProgramSummary(
            reader.GetString(0), reader.GetString(1), reader.GetString(2),
            JsonSerializer.Deserialize(reader.GetString(3), DspyJson.Default.IReadOnlyListDspySignatureSummary)!,
            reader.IsDBNull(4) ? null : reader.GetString(4), reader.GetInt32(5), reader.GetFieldValue<DateTimeOffset>(6)),
        reader.GetString(7), reader.GetFieldValue<byte[]>(8));
}
