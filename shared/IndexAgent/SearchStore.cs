using System.Runtime.InteropServices;
using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.IndexAgent;

/// <summary>A segment that a search looks at.</summary>
internal sealed record SearchedSegment(string Repository, long Id, int SectionCount, long WordCount);

/// <summary>A section with all that an answer shows of it.</summary>
internal sealed record SectionText(
    long SegmentId, int Number, int FirstLine, int SymbolLine, string? Symbol, string? Kind, bool IsDefinition, string? Container, string? Doc, string Text);

/// <summary>The segments of the repositories to search, and where the query's terms occur in them.</summary>
internal sealed record FoundPostings(
    IReadOnlyList<SearchedSegment> Segments, IReadOnlyDictionary<(long Segment, long Term), byte[]> Postings, IReadOnlyDictionary<(long Segment, int Symbol), HashSet<int>> Symbols);

/// <summary>A text that says what a symbol is, for asking the index about it.</summary>
/// <param name="IsName">The text is the symbol's own name (a test's); otherwise its documentation comment.</param>
/// <param name="Content">The whole section.</param>
internal sealed record KnownAnswer(long SegmentId, int Section, string Text, bool IsName, string Path, Language Language, string Symbol, string Content);

/// <summary>Reads of the index. Searching takes two round trips: terms, then the texts of the best sections.</summary>
public sealed class SearchStore(NpgsqlDataSource database)
{
    private const string CurrentSegments = "indexagent.repositories r JOIN indexagent.segments s ON s.generation_id = r.current_generation";

    private readonly SegmentCatalogs _catalogs = new();

    /// <summary>Postings of the terms in the repositories named, and in the built-in corpus; in all when none is named.</summary>
    internal async Task<FoundPostings> FindAsync(IReadOnlyList<string>? repositories, QueryPlan plan, CancellationToken cancellationToken)
    {
        var names = IndexStore.Nullable(repositories is null ? null : (string[])[.. repositories, RepositoryNames.BuiltIn], NpgsqlDbType.Array | NpgsqlDbType.Text);
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(IndexStore.Command($"""
            SELECT r.name, s.id, s.section_count, s.word_count FROM {CurrentSegments}
            WHERE $1::text[] IS NULL OR r.name = ANY($1) ORDER BY r.name COLLATE "C", s.number
            """, names));
        batch.BatchCommands.Add(IndexStore.Command($"""
            SELECT p.segment_id, p.term, p.data FROM {CurrentSegments} JOIN indexagent.postings p ON p.segment_id = s.id AND p.term = ANY($2)
            WHERE $1::text[] IS NULL OR r.name = ANY($1)
            """, names.Clone(), plan.Terms()));
        var globs = plan.Symbols.Select((symbol, index) => (symbol, index)).Where(pair => pair.symbol.IsGlob).ToList();
        foreach (var (symbol, _) in globs)
            batch.BatchCommands.Add(IndexStore.Command($"""
                SELECT t.segment_id, t.number FROM {CurrentSegments} JOIN indexagent.sections t ON t.segment_id = s.id
                WHERE ($1::text[] IS NULL OR r.name = ANY($1)) AND t.is_definition AND lower(t.symbol) COLLATE "C" LIKE $2
                """, names.Clone(), Glob.ToLike(symbol.Value.ToLowerInvariant())));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        var segments = new List<SearchedSegment>();
        while (await reader.ReadAsync(cancellationToken))
            segments.Add(new SearchedSegment(reader.GetString(0), reader.GetInt64(1), reader.GetInt32(2), reader.GetInt64(3)));
        await reader.NextResultAsync(cancellationToken);
        var postings = new Dictionary<(long, long), byte[]>();
        while (await reader.ReadAsync(cancellationToken))
            postings[(reader.GetInt64(0), reader.GetInt64(1))] = reader.GetFieldValue<byte[]>(2);
        var symbols = new Dictionary<(long, int), HashSet<int>>();
        foreach (var (_, index) in globs)
        {
            await reader.NextResultAsync(cancellationToken);
            while (await reader.ReadAsync(cancellationToken))
            {
                ref var numbers = ref CollectionsMarshal.GetValueRefOrAddDefault(symbols, (reader.GetInt64(0), index), out _);
                (numbers ??= []).Add(reader.GetInt32(1));
            }
        }
        return new FoundPostings(segments, postings, symbols);
    }

    /// <summary>Catalogues of segments, from memory where they were read before; a segment deleted meanwhile is missing.</summary>
    internal async Task<IReadOnlyDictionary<long, SegmentCatalog>> GetCatalogsAsync(IEnumerable<long> segmentIds, CancellationToken cancellationToken)
    {
        var found = new Dictionary<long, SegmentCatalog>();
        var missing = new List<long>();
        foreach (var id in segmentIds)
        {
            if (_catalogs.Find(id) is { } catalog)
                found[id] = catalog;
            else
                missing.Add(id);
        }
        foreach (var id in missing)
        {
            if (await ReadCatalogAsync(id, cancellationToken) is not { } catalog)
                continue;
            _catalogs.Add(catalog);
            found[id] = catalog;
        }
        return found;
    }

    /// <summary>Sections by segment and number; those deleted meanwhile are missing.</summary>
    internal async Task<List<SectionText>> ReadSectionsAsync(IReadOnlyList<(long Segment, int Number)> sections, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT s.segment_id, s.number, s.first_line, s.symbol_line, s.symbol, s.kind, s.is_definition, s.container, s.doc, s.text
            FROM unnest($1, $2) AS wanted (segment_id, number) JOIN indexagent.sections s USING (segment_id, number)
            """);
        command.Parameters.Add(new() { Value = sections.Select(section => section.Segment).ToArray() });
        command.Parameters.Add(new() { Value = sections.Select(section => section.Number).ToArray() });
        var found = new List<SectionText>(sections.Count);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
            found.Add(new SectionText(
                reader.GetInt64(0), reader.GetInt32(1), reader.GetInt32(2), reader.GetInt32(3), reader.GetValue(4) as string, reader.GetValue(5) as string, reader.GetBoolean(6),
                reader.GetValue(7) as string, reader.GetValue(8) as string, reader.GetString(9)));
        return found;
    }

    /// <summary>Texts of ranges of sections of one segment, in order, while <paramref name="take"/> wants more.</summary>
    internal async Task ReadTextsAsync(long segmentId, IReadOnlyList<(int First, int End)> ranges, Func<int, string, bool> take, CancellationToken cancellationToken)
    {
        const int Page = 200;
        for (var from = 0; from < ranges.Count; from += Page)
        {
            var page = ranges.Skip(from).Take(Page).ToList();
            // Each range by the primary key: a planner that is free to join otherwise may compare every section of the segment with every range.
            await using var command = database.CreateCommand("""
                SELECT s.number, s.text FROM unnest($2, $3) AS wanted (first_number, end_number)
                CROSS JOIN LATERAL (
                    SELECT t.number, t.text FROM indexagent.sections t WHERE t.segment_id = $1 AND t.number >= first_number AND t.number < end_number OFFSET 0) s
                """);
            command.Parameters.Add(new() { Value = segmentId });
            command.Parameters.Add(new() { Value = page.Select(range => range.First).ToArray() });
            command.Parameters.Add(new() { Value = page.Select(range => range.End).ToArray() });
            await using var reader = await command.ExecuteReaderAsync(cancellationToken);
            while (await reader.ReadAsync(cancellationToken))
                if (!take(reader.GetInt32(0), reader.GetString(1)))
                    return;
        }
    }

    /// <summary>The state of the whole index.</summary>
    public async Task<IndexStatusResponse> GetStatusAsync(CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT count(g.id), coalesce(sum(g.files), 0)::bigint, max(g.finished_at), EXISTS (SELECT 1 FROM indexagent.generations WHERE state = 'indexing')
            FROM indexagent.repositories r JOIN indexagent.generations g ON g.id = r.current_generation
            """);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return new IndexStatusResponse(
            reader.GetBoolean(3) ? "indexing" : "ready", reader.GetInt64(0), reader.GetInt64(1),
            await reader.IsDBNullAsync(2, cancellationToken) ? null : reader.GetFieldValue<DateTimeOffset>(2));
    }

    /// <summary>What searches of a repository see, or null where it is not indexed.</summary>
    public async Task<long?> FindGenerationAsync(string repository, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("SELECT current_generation FROM indexagent.repositories WHERE name = $1");
        command.Parameters.Add(new() { Value = repository });
        return await command.ExecuteScalarAsync(cancellationToken) as long?;
    }

    /// <summary>
    /// Documentation comments of three words and more, and names of tests of four and more; in an order that depends on the seed and on the repository's
    /// content, not on when it was indexed.
    /// </summary>
    internal async Task<List<KnownAnswer>> ListAnswersAsync(long generation, long seed, int limit, CancellationToken cancellationToken)
    {
        // Each file's sections by the primary key, whatever the planner believes of tables just filled: with the join left to it, one of 20,000 sections took
        // more than 30 s until they were analysed.
        await using var command = database.CreateCommand("""
            SELECT t.segment_id, t.number, CASE WHEN f.role = 1 THEN t.symbol ELSE t.doc END, f.role = 1, f.path, f.language, t.symbol, t.text
            FROM (
                SELECT f.*, lead(f.first_section, 1, 2147483647) OVER (PARTITION BY f.segment_id ORDER BY f.number) AS end_section
                FROM indexagent.segments s JOIN indexagent.files f ON f.segment_id = s.id WHERE s.generation_id = $1) f
            CROSS JOIN LATERAL (
                SELECT * FROM indexagent.sections s WHERE s.segment_id = f.segment_id AND s.number >= f.first_section AND s.number < f.end_section OFFSET 0) t
            WHERE t.is_definition
                AND (f.role = 0 AND array_length(string_to_array(t.doc, ' '), 1) >= 3 OR f.role = 1 AND t.kind IN ('method', 'function') AND t.symbol ~ '([a-z]_[a-z]|[a-z][A-Z]).*([a-z]_[a-z]|[a-z][A-Z]).*([a-z]_[a-z]|[a-z][A-Z])')
            ORDER BY md5($2::text || f.path || ' ' || t.first_line), f.path COLLATE "C", t.first_line LIMIT $3
            """);
        command.Parameters.Add(new() { Value = generation });
        command.Parameters.Add(new() { Value = seed.ToString(System.Globalization.CultureInfo.InvariantCulture) });
        command.Parameters.Add(new() { Value = limit });
        var found = new List<KnownAnswer>();
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
            found.Add(new KnownAnswer(
                reader.GetInt64(0), reader.GetInt32(1), reader.GetString(2), reader.GetBoolean(3), reader.GetString(4), Language.Find(reader.GetString(5))!, reader.GetString(6), reader.GetString(7)));
        return found;
    }

    private async Task<SegmentCatalog?> ReadCatalogAsync(long id, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(IndexStore.Command("SELECT file_count, section_count, lengths, signatures FROM indexagent.segments WHERE id = $1", id));
        batch.BatchCommands.Add(IndexStore.Command("SELECT path, language, role, first_section FROM indexagent.files WHERE segment_id = $1 ORDER BY number", id));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            return null;
        var count = reader.GetInt32(0);
        var lengths = MemoryMarshal.Cast<byte, ushort>(reader.GetFieldValue<byte[]>(2)).ToArray();
        var signatures = MemoryMarshal.Cast<byte, ulong>(reader.GetFieldValue<byte[]>(3)).ToArray();
        var (paths, languages, roles, first) = (new string[count], new Language[count], new FileRole[count], new int[count + 1]);
        first[count] = reader.GetInt32(1);
        await reader.NextResultAsync(cancellationToken);
        var i = 0;
        for (; await reader.ReadAsync(cancellationToken); i++)
        {
            paths[i] = reader.GetString(0);
            languages[i] = Language.Find(reader.GetString(1))!;
            roles[i] = (FileRole)reader.GetInt16(2);
            first[i] = reader.GetInt32(3);
        }
        // Purged between the two statements' snapshots.
        return i == count ? new SegmentCatalog(id, paths, languages, roles, first, lengths, signatures) : null;
    }
}
