using System.Runtime.InteropServices;
using System.Text.Json;
using FunctionsRegistry.Errors;
using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.IndexAgent;

/// <summary>What indexing needs to know of a generation.</summary>
/// <param name="NextEntry">The first file of the archive that no segment has.</param>
/// <param name="IsComplete">Whether the last segment is there.</param>
internal sealed record GenerationWork(
    long Id, string RepositoryName, string State, string? BlobName, string? SourceUrl, string Root, int Segments, int NextEntry, bool IsComplete);

/// <summary>Generations and segments of the index: each method is one transaction, and repeating one changes nothing.</summary>
public sealed class IndexStore(NpgsqlDataSource database, TimeProvider time)
{
    /// <summary>Opens a generation; the repository is made with its first.</summary>
    /// <exception cref="RegistryException">409: another one is being indexed.</exception>
    public async Task<long> BeginAsync(string name, string? blobName, string? sourceUrl, long? archiveBytes, string root, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(Command(
            "INSERT INTO indexagent.repositories (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING", Guid.CreateVersion7(now), name, now));
        batch.BatchCommands.Add(Command("""
            INSERT INTO indexagent.generations (repository_id, state, blob_name, source_url, archive_bytes, root, created_at)
            SELECT id, 'indexing', $2, $3, $4, $5, $6 FROM indexagent.repositories WHERE name = $1 RETURNING id
            """, name, Nullable(blobName, NpgsqlDbType.Text), Nullable(sourceUrl, NpgsqlDbType.Text), Nullable(archiveBytes, NpgsqlDbType.Bigint), root, now));
        try
        {
            // A repository deleted between the two statements leaves nothing to index.
            return await batch.ExecuteScalarAsync(cancellationToken) as long? ?? throw IndexAgentErrors.RepositoryNotFound();
        }
        catch (PostgresException exception) when (exception.ConstraintName == "generations_indexing_key")
        {
            throw IndexAgentErrors.RepositoryBusy(name);
        }
    }

    /// <summary>Null when the repository was deleted meanwhile.</summary>
    internal async Task<GenerationWork?> FindWorkAsync(long generationId, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT g.id, r.name, g.state, g.blob_name, g.source_url, g.root, count(s.id)::integer, coalesce(max(s.end_entry), 0), coalesce(bool_or(s.is_last), false)
            FROM indexagent.generations g JOIN indexagent.repositories r ON r.id = g.repository_id LEFT JOIN indexagent.segments s ON s.generation_id = g.id
            WHERE g.id = $1 GROUP BY g.id, r.name
            """);
        command.Parameters.Add(new() { Value = generationId });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken)
            ? new GenerationWork(
                reader.GetInt64(0), reader.GetString(1), reader.GetString(2), reader.GetValue(3) as string, reader.GetValue(4) as string, reader.GetString(5),
                reader.GetInt32(6), reader.GetInt32(7), reader.GetBoolean(8))
            : null;
    }

    /// <summary>Counts a step that begins; the one that completes it sets the count back. Returns how often it was begun, this time included.</summary>
    internal async Task<int> BeginStepAsync(long generationId, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("UPDATE indexagent.generations SET attempts = attempts + 1 WHERE id = $1 AND state = 'indexing' RETURNING attempts");
        command.Parameters.Add(new() { Value = generationId });
        return await command.ExecuteScalarAsync(cancellationToken) as int? ?? 0;
    }

    /// <summary>Notes where a fetched archive was stored; the first of two fetches wins. Returns the name that is there now, or null without a generation.</summary>
    public async Task<string?> SetArchiveAsync(long generationId, string blobName, long archiveBytes, string root, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(Command(
            "UPDATE indexagent.generations SET blob_name = $2, archive_bytes = $3, root = $4, attempts = 0 WHERE id = $1 AND blob_name IS NULL AND state = 'indexing'",
            generationId, blobName, archiveBytes, root));
        batch.BatchCommands.Add(Command("SELECT blob_name FROM indexagent.generations WHERE id = $1", generationId));
        return await batch.ExecuteScalarAsync(cancellationToken) as string;
    }

    /// <summary>Stores a segment; nothing where it is there already, or its generation is not being indexed any more.</summary>
    internal async Task AddSegmentAsync(
        GenerationWork work, SegmentBuilder segment, int endEntry, bool isLast, IReadOnlyDictionary<string, int> skipped, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        if (await InsertSegmentAsync(connection, work, segment, endEntry, isLast, skipped, cancellationToken) is not { } id)
            return;
        await CopyFilesAsync(connection, id, segment, cancellationToken);
        await CopySectionsAsync(connection, id, segment, cancellationToken);
        await CopyPostingsAsync(connection, id, segment, cancellationToken);
        await using var count = new NpgsqlCommand(
            "UPDATE indexagent.generations SET files = files + $2, lines = lines + $3, bytes = bytes + $4, attempts = 0 WHERE id = $1", connection);
        count.Parameters.Add(new() { Value = work.Id });
        count.Parameters.Add(new() { Value = segment.Files.Count });
        count.Parameters.Add(new() { Value = segment.Files.Sum(file => (long)file.Lines) });
        count.Parameters.Add(new() { Value = segment.Bytes });
        await count.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
    }

    /// <summary>Indexes something that is no archive, in one transaction, where its version is not there yet. Several processes may try at once.</summary>
    internal async Task InstallAsync(
        string name, string version, Func<(SegmentBuilder Segment, IReadOnlyDictionary<string, int> Skipped)> build, CancellationToken cancellationToken)
    {
        await using (var find = database.CreateCommand("""
            SELECT 1 FROM indexagent.repositories r JOIN indexagent.generations g ON g.id = r.current_generation WHERE r.name = $1 AND g.source_url = $2
            """))
        {
            find.Parameters.Add(new() { Value = name });
            find.Parameters.Add(new() { Value = version });
            if (await find.ExecuteScalarAsync(cancellationToken) is not null)
                return;
        }
        long id;
        try
        {
            id = await BeginAsync(name, null, version, null, "", cancellationToken);
        }
        catch (RegistryException exception) when (exception.Kind == ErrorKind.Conflict)
        {
            // Another process began it, or one died over it: the generation that is there is completed, by whoever is first.
            if (await FindIndexingAsync(name, cancellationToken) is not { } other)
                return;
            id = other;
        }
        if (await FindWorkAsync(id, cancellationToken) is not { } work)
            return;
        if (!work.IsComplete)
        {
            var (segment, skipped) = build();
            await AddSegmentAsync(work, segment, segment.Files.Count, isLast: true, skipped, cancellationToken);
        }
        await FinishAsync(id, cancellationToken);
    }

    private async Task<long?> FindIndexingAsync(string name, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(
            "SELECT g.id FROM indexagent.generations g JOIN indexagent.repositories r ON r.id = g.repository_id WHERE r.name = $1 AND g.state = 'indexing'");
        command.Parameters.Add(new() { Value = name });
        return await command.ExecuteScalarAsync(cancellationToken) as long?;
    }

    /// <summary>Makes the generation what searches see, and the one before it old. Returns the blobs that nothing points to any more.</summary>
    public async Task<IReadOnlyList<string>> FinishAsync(long generationId, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(Command("""
            UPDATE indexagent.generations g SET state = 'ready', finished_at = $2,
                languages = coalesce((SELECT jsonb_object_agg(language, files ORDER BY language) FROM (
                    SELECT f.language, count(*) AS files FROM indexagent.segments s JOIN indexagent.files f ON f.segment_id = s.id
                    WHERE s.generation_id = g.id GROUP BY f.language) l), '{}'),
                skipped = coalesce((SELECT jsonb_object_agg(reason, files ORDER BY reason) FROM (
                    SELECT k.key AS reason, sum(k.value::bigint) AS files FROM indexagent.segments s CROSS JOIN jsonb_each_text(s.skipped) k
                    WHERE s.generation_id = g.id GROUP BY k.key) r), '{}')
            WHERE id = $1 AND state = 'indexing' AND EXISTS (SELECT 1 FROM indexagent.segments s WHERE s.generation_id = g.id AND s.is_last)
            """, generationId, time.GetUtcNow()));
        batch.BatchCommands.Add(Command("""
            UPDATE indexagent.repositories r SET current_generation = $1 FROM indexagent.generations g
            WHERE g.id = $1 AND g.state = 'ready' AND r.id = g.repository_id AND coalesce(r.current_generation, 0) < $1
            """, generationId));
        batch.BatchCommands.Add(Command("""
            DELETE FROM indexagent.generations old USING indexagent.repositories r
            WHERE r.current_generation = $1 AND old.repository_id = r.id AND old.id < $1
            RETURNING (SELECT old.blob_name WHERE NOT EXISTS (SELECT 1 FROM indexagent.generations g WHERE g.id = $1 AND g.blob_name = old.blob_name))
            """, generationId));
        return await ReadNamesAsync(batch, cancellationToken);
    }

    /// <summary>Ends a generation that cannot be indexed; searches go on with the one before it. Its segments and those of earlier failures go.</summary>
    public async Task FailAsync(long generationId, string error, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(Command(
            "UPDATE indexagent.generations SET state = 'failed', error = $2, finished_at = $3 WHERE id = $1 AND state = 'indexing'", generationId, error, time.GetUtcNow()));
        batch.BatchCommands.Add(Command(
            "DELETE FROM indexagent.segments s USING indexagent.generations g WHERE s.generation_id = g.id AND g.id = $1 AND g.state = 'failed'", generationId));
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Deletes a repository with all that belongs to it; returns its blobs, or null where there is none.</summary>
    public async Task<IReadOnlyList<string>?> DeleteAsync(string name, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await using var batch = new NpgsqlBatch(connection);
        batch.BatchCommands.Add(Command("SELECT g.blob_name FROM indexagent.generations g JOIN indexagent.repositories r ON r.id = g.repository_id WHERE r.name = $1", name));
        batch.BatchCommands.Add(Command("DELETE FROM indexagent.repositories WHERE name = $1", name));
        var names = new List<string>();
        int deleted;
        await using (var reader = await batch.ExecuteReaderAsync(cancellationToken))
        {
            while (await reader.ReadAsync(cancellationToken))
                if (!await reader.IsDBNullAsync(0, cancellationToken))
                    names.Add(reader.GetString(0));
            await reader.NextResultAsync(cancellationToken);
            deleted = reader.RecordsAffected;
        }
        await transaction.CommitAsync(cancellationToken);
        return deleted > 0 ? names : null;
    }

    /// <summary>Generations being indexed that were opened before a time; the built-in corpus has no steps.</summary>
    internal async Task<IReadOnlyList<long>> ListIndexingAsync(DateTimeOffset before, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT g.id FROM indexagent.generations g WHERE g.state = 'indexing' AND g.created_at < $1 AND (g.blob_name IS NOT NULL OR g.source_url LIKE 'http%') ORDER BY g.id LIMIT 100
            """);
        command.Parameters.Add(new() { Value = before });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var ids = new List<long>();
        while (await reader.ReadAsync(cancellationToken))
            ids.Add(reader.GetInt64(0));
        return ids;
    }

    /// <summary>Those of the names that no generation has.</summary>
    internal async Task<IReadOnlyList<string>> ListUnreferencedAsync(IReadOnlyList<string> blobNames, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(
            "SELECT n FROM unnest($1) n WHERE NOT EXISTS (SELECT 1 FROM indexagent.generations g WHERE g.blob_name = n) ORDER BY n");
        command.Parameters.Add(new() { Value = blobNames.ToArray() });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var names = new List<string>();
        while (await reader.ReadAsync(cancellationToken))
            names.Add(reader.GetString(0));
        return names;
    }

    /// <summary>Deletes the rows of one segment that is gone; false when none is left.</summary>
    public async Task<bool> PurgeSegmentAsync(CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await using var take = new NpgsqlCommand("SELECT id FROM indexagent.dropped_segments ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED", connection);
        if (await take.ExecuteScalarAsync(cancellationToken) is not long id)
            return false;
        await using var batch = new NpgsqlBatch(connection);
        batch.BatchCommands.Add(Command("DELETE FROM indexagent.postings WHERE segment_id = $1", id));
        batch.BatchCommands.Add(Command("DELETE FROM indexagent.sections WHERE segment_id = $1", id));
        batch.BatchCommands.Add(Command("DELETE FROM indexagent.files WHERE segment_id = $1", id));
        batch.BatchCommands.Add(Command("DELETE FROM indexagent.dropped_segments WHERE id = $1", id));
        await batch.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return true;
    }

    private static async Task<long?> InsertSegmentAsync(
        NpgsqlConnection connection, GenerationWork work, SegmentBuilder segment, int endEntry, bool isLast, IReadOnlyDictionary<string, int> skipped, CancellationToken cancellationToken)
    {
        // The lock keeps a deletion of the generation waiting until this segment is there, to be deleted with it.
        await using var command = new NpgsqlCommand("""
            INSERT INTO indexagent.segments (generation_id, number, first_entry, end_entry, is_last, file_count, section_count, lengths, word_count, skipped, signatures)
            SELECT id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM indexagent.generations WHERE id = $1 AND state = 'indexing' FOR NO KEY UPDATE
            ON CONFLICT (generation_id, number) DO NOTHING RETURNING id
            """, connection);
        command.Parameters.Add(new() { Value = work.Id });
        command.Parameters.Add(new() { Value = work.Segments });
        command.Parameters.Add(new() { Value = work.NextEntry });
        command.Parameters.Add(new() { Value = endEntry });
        command.Parameters.Add(new() { Value = isLast });
        command.Parameters.Add(new() { Value = segment.Files.Count });
        command.Parameters.Add(new() { Value = segment.Sections.Count });
        command.Parameters.Add(new() { Value = MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(segment.Lengths)).ToArray() });
        command.Parameters.Add(new() { Value = segment.Lengths.Sum(length => (long)length) });
        command.Parameters.Add(new() { Value = JsonSerializer.Serialize(skipped, IndexAgentJson.Default.IReadOnlyDictionaryStringInt32), NpgsqlDbType = NpgsqlDbType.Jsonb });
        command.Parameters.Add(new() { Value = MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(segment.Signatures)).ToArray() });
        return await command.ExecuteScalarAsync(cancellationToken) as long?;
    }

    private static async Task CopyFilesAsync(NpgsqlConnection connection, long id, SegmentBuilder segment, CancellationToken cancellationToken)
    {
        await using var writer = await connection.BeginBinaryImportAsync(
            "COPY indexagent.files (segment_id, number, path, language, role, first_section, lines, bytes) FROM STDIN (FORMAT BINARY)", cancellationToken);
        for (var i = 0; i < segment.Files.Count; i++)
        {
            var file = segment.Files[i];
            await writer.StartRowAsync(cancellationToken);
            await writer.WriteAsync(id, cancellationToken);
            await writer.WriteAsync(i, cancellationToken);
            await writer.WriteAsync(file.Path, cancellationToken);
            await writer.WriteAsync(file.Language.Name, cancellationToken);
            await writer.WriteAsync((short)file.Role, cancellationToken);
            await writer.WriteAsync(file.FirstSection, cancellationToken);
            await writer.WriteAsync(file.Lines, cancellationToken);
            await writer.WriteAsync(file.Bytes, cancellationToken);
        }
        await writer.CompleteAsync(cancellationToken);
    }

    private static async Task CopySectionsAsync(NpgsqlConnection connection, long id, SegmentBuilder segment, CancellationToken cancellationToken)
    {
        await using var writer = await connection.BeginBinaryImportAsync(
            "COPY indexagent.sections (segment_id, number, file, first_line, symbol_line, symbol, kind, is_definition, container, doc, text) FROM STDIN (FORMAT BINARY)",
            cancellationToken);
        var file = 0;
        for (var i = 0; i < segment.Sections.Count; i++)
        {
            while (file + 1 < segment.Files.Count && segment.Files[file + 1].FirstSection <= i)
                file++;
            var section = segment.Sections[i];
            await writer.StartRowAsync(cancellationToken);
            await writer.WriteAsync(id, cancellationToken);
            await writer.WriteAsync(i, cancellationToken);
            await writer.WriteAsync(file, cancellationToken);
            await writer.WriteAsync(section.FirstLine, cancellationToken);
            await writer.WriteAsync(section.SymbolLine, cancellationToken);
            await writer.WriteAsync(section.Symbol, NpgsqlDbType.Text, cancellationToken);
            await writer.WriteAsync(section.Kind, NpgsqlDbType.Text, cancellationToken);
            await writer.WriteAsync(section.IsDefinition, cancellationToken);
            await writer.WriteAsync(section.Container, NpgsqlDbType.Text, cancellationToken);
            await writer.WriteAsync(section.Doc, NpgsqlDbType.Text, cancellationToken);
            await writer.WriteAsync(section.Text, cancellationToken);
        }
        await writer.CompleteAsync(cancellationToken);
    }

    private static async Task CopyPostingsAsync(NpgsqlConnection connection, long id, SegmentBuilder segment, CancellationToken cancellationToken)
    {
        // In the order of the primary key, which so grows at its end only.
        var terms = segment.Postings.Keys.ToArray();
        Array.Sort(terms);
        await using var writer = await connection.BeginBinaryImportAsync("COPY indexagent.postings (segment_id, term, data) FROM STDIN (FORMAT BINARY)", cancellationToken);
        foreach (var term in terms)
        {
            await writer.StartRowAsync(cancellationToken);
            await writer.WriteAsync(id, cancellationToken);
            await writer.WriteAsync(term, cancellationToken);
            await writer.WriteAsync(segment.Postings[term].ToArray(), cancellationToken);
        }
        await writer.CompleteAsync(cancellationToken);
    }

    private static async Task<IReadOnlyList<string>> ReadNamesAsync(NpgsqlBatch batch, CancellationToken cancellationToken)
    {
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        var names = new List<string>();
        while (await reader.ReadAsync(cancellationToken))
            if (!await reader.IsDBNullAsync(0, cancellationToken))
                names.Add(reader.GetString(0));
        return names;
    }

    internal static NpgsqlParameter Nullable(object? value, NpgsqlDbType type) => new() { Value = value ?? DBNull.Value, NpgsqlDbType = type };

    internal static NpgsqlBatchCommand Command(string sql, params object[] parameters)
    {
        var command = new NpgsqlBatchCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(parameter as NpgsqlParameter ?? new NpgsqlParameter { Value = parameter });
        return command;
    }
}
