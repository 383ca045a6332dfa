using FunctionsRegistry.Errors;
using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.IndexAgent;

/// <summary>Mined patterns of repositories.</summary>
public sealed class PatternService(NpgsqlDataSource database, TimeProvider time)
{
    // Larger repositories are mined from an even sample of their files, so that mining stays within some ten megabytes.
    private const int MaxFiles = 3000;

    /// <summary>Mines a generation's files and replaces what its repository had; nothing when the generation is not current any more.</summary>
    public async Task MineAsync(long generationId, CancellationToken cancellationToken)
    {
        var miner = new PatternMiner();
        foreach (var (segment, every) in await ListSegmentsAsync(generationId, cancellationToken))
            await MineSegmentAsync(miner, segment, every, cancellationToken);
        await WriteAsync(generationId, miner.Finish(), cancellationToken);
    }

    /// <summary>A page of patterns over all repositories, the most certain first.</summary>
    public async Task<(IReadOnlyList<PatternResponse> Patterns, long Total)> ListAsync(
        string? type, double minConfidence, int limit, int offset, CancellationToken cancellationToken)
    {
        const string Found = """
            SELECT p.id, p.type, sum(r.files)::double precision / sum(r.begun_files) AS confidence, p.description, sum(r.occurrences)::bigint AS occurrences,
                array_agg(o.name ORDER BY o.name COLLATE "C") AS repositories, p.created_at
            FROM indexagent.patterns p JOIN indexagent.pattern_repositories r ON r.pattern_id = p.id JOIN indexagent.repositories o ON o.id = r.repository_id
            WHERE $1::text IS NULL OR p.type = $1 GROUP BY p.id HAVING sum(r.files)::double precision / sum(r.begun_files) >= $2
            """;
        await using var batch = database.CreateBatch();
        var filter = IndexStore.Nullable(type, NpgsqlDbType.Text);
        // Of the confidence as it is answered, with four digits.
        var least = minConfidence - 0.00005;
        batch.BatchCommands.Add(IndexStore.Command($"SELECT count(*) FROM ({Found}) f", filter, least));
        batch.BatchCommands.Add(IndexStore.Command($"{Found} ORDER BY confidence DESC, occurrences DESC, p.id LIMIT $3 OFFSET $4", filter.Clone(), least, limit, offset));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        var total = reader.GetInt64(0);
        await reader.NextResultAsync(cancellationToken);
        var patterns = new List<PatternResponse>();
        while (await reader.ReadAsync(cancellationToken))
            patterns.Add(new PatternResponse(
                reader.GetString(0), reader.GetString(1), Math.Round(reader.GetDouble(2), 4), reader.GetString(3), reader.GetInt64(4), reader.GetFieldValue<string[]>(5),
                reader.GetFieldValue<DateTimeOffset>(6)));
        return (patterns, total);
    }

    /// <summary>Notes a pattern in agents' parameters (<c>patterns</c>); in those named, or in all active ones.</summary>
    /// <returns>How many agents did not have it before.</returns>
    /// <exception cref="RegistryException">404 of an unknown pattern or agent.</exception>
    public async Task<int> ApplyAsync(string patternId, IReadOnlyList<string>? agentIds, CancellationToken cancellationToken)
    {
        var ids = IndexStore.Nullable(agentIds?.Distinct().ToArray(), NpgsqlDbType.Array | NpgsqlDbType.Text);
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(IndexStore.Command("SELECT EXISTS (SELECT 1 FROM indexagent.patterns WHERE id = $1), (SELECT count(*) FROM indexagent.agents WHERE id = ANY($2))", patternId, ids));
        batch.BatchCommands.Add(IndexStore.Command("""
            WITH changed AS (
                UPDATE indexagent.agents SET updated_at = $4, parameters = jsonb_set(
                    parameters, '{patterns}', (CASE WHEN jsonb_typeof(parameters -> 'patterns') = 'array' THEN parameters -> 'patterns' ELSE '[]' END) || to_jsonb($1::text))
                WHERE EXISTS (SELECT 1 FROM indexagent.patterns WHERE id = $1) AND ($2::text[] IS NULL AND status = 'active' OR id = ANY($2))
                    AND ($2::text[] IS NULL OR (SELECT count(*) FROM indexagent.agents WHERE id = ANY($2)) = $3)
                    AND NOT coalesce(parameters -> 'patterns' @> to_jsonb(ARRAY[$1::text]), false)
                RETURNING 1)
            SELECT count(*) FROM changed
            """, patternId, ids.Clone(), (long)(agentIds?.Distinct().Count() ?? 0), time.GetUtcNow()));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        if (!reader.GetBoolean(0))
            throw IndexAgentErrors.PatternNotFound();
        if (agentIds is not null && reader.GetInt64(1) != agentIds.Distinct().Count())
            throw IndexAgentErrors.AgentNotFound();
        await reader.NextResultAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return (int)reader.GetInt64(0);
    }

    private async Task<List<(long Segment, int Every)>> ListSegmentsAsync(long generationId, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(
            "SELECT id, sum(file_count) OVER ()::integer FROM indexagent.segments WHERE generation_id = $1 ORDER BY number");
        command.Parameters.Add(new() { Value = generationId });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var segments = new List<(long, int)>();
        while (await reader.ReadAsync(cancellationToken))
            segments.Add((reader.GetInt64(0), Math.Max(1, (reader.GetInt32(1) + MaxFiles - 1) / MaxFiles)));
        return segments;
    }

    private async Task MineSegmentAsync(PatternMiner miner, long segment, int every, CancellationToken cancellationToken)
    {
        // As SearchStore.ListAnswersAsync: mining follows right on indexing, when nothing is analysed.
        await using var command = database.CreateCommand("""
            SELECT f.number, f.language, s.text
            FROM (SELECT *, lead(first_section, 1, 2147483647) OVER (ORDER BY number) AS end_section FROM indexagent.files WHERE segment_id = $1) f
            CROSS JOIN LATERAL (SELECT number, text FROM indexagent.sections WHERE segment_id = $1 AND number >= f.first_section AND number < f.end_section OFFSET 0) s
            WHERE f.role IN (0, 1) AND f.number % $2 = 0 ORDER BY s.number
            """);
        command.Parameters.Add(new() { Value = segment });
        command.Parameters.Add(new() { Value = every });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var file = -1;
        while (await reader.ReadAsync(cancellationToken))
        {
            if (reader.GetInt32(0) != file)
                miner.BeginFile();
            file = reader.GetInt32(0);
            if (Language.Find(reader.GetString(1)) is { } language && SymbolScanner.Knows(language))
                miner.Add(language, reader.GetString(2));
        }
    }

    private async Task WriteAsync(long generationId, IReadOnlyList<MinedPattern> patterns, CancellationToken cancellationToken)
    {
        // Patterns in the order of their ids: two repositories that share some do not wait for each other crosswise.
        patterns = [.. patterns.OrderBy(pattern => pattern.Id, StringComparer.Ordinal)];
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(IndexStore.Command(
            "DELETE FROM indexagent.pattern_repositories p USING indexagent.repositories r WHERE r.current_generation = $1 AND p.repository_id = r.id", generationId));
        foreach (var pattern in patterns)
            batch.BatchCommands.Add(IndexStore.Command("""
                INSERT INTO indexagent.patterns (id, language, type, description, shingle, created_at)
                SELECT $2, $3, $4, $5, $6, $7 FROM indexagent.repositories WHERE current_generation = $1 ON CONFLICT (id) DO NOTHING
                """, generationId, pattern.Id, pattern.Language, pattern.Type, pattern.Description, pattern.Lines.ToArray(), time.GetUtcNow()));
        foreach (var pattern in patterns)
            batch.BatchCommands.Add(IndexStore.Command("""
                INSERT INTO indexagent.pattern_repositories (pattern_id, repository_id, files, begun_files, occurrences)
                SELECT $2, id, $3, $4, $5 FROM indexagent.repositories WHERE current_generation = $1
                """, generationId, pattern.Id, pattern.Files, pattern.BegunFiles, pattern.Occurrences));
        batch.BatchCommands.Add(new("DELETE FROM indexagent.patterns p WHERE NOT EXISTS (SELECT 1 FROM indexagent.pattern_repositories r WHERE r.pattern_id = p.id)"));
        batch.BatchCommands.Add(SearchAgentStore.CountCommand("patterns_extracted", patterns.Count));
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }
}
