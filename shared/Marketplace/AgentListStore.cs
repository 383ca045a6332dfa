using System.Buffers.Text;
using System.Globalization;
using System.Text;
using Npgsql;

namespace FunctionsRegistry.Marketplace;

/// <summary>Orders of a list; relevance only where something is searched.</summary>
public enum AgentSort
{
    /// <summary>Most downloaded first.</summary>
    Downloads,

    /// <summary>Most starred first.</summary>
    Stars,

    /// <summary>Newest first.</summary>
    Newest,

    /// <summary>Best match first.</summary>
    Relevance,
}

/// <summary>One page of a list.</summary>
/// <param name="Total">Of all pages.</param>
/// <param name="Next">The cursor of the page after this one, or null after the last.</param>
public sealed record AgentPage(IReadOnlyList<AgentSummary> Agents, long Total, string? Next);

/// <summary>A place in a list: the last row's sort value and id; in a search, how many rows came before, with an empty id. Opaque to clients.</summary>
public sealed record AgentCursor(long Value, Guid AgentId)
{
    /// <summary>The text given to clients.</summary>
    public override string ToString() => Base64Url.EncodeToString(Encoding.ASCII.GetBytes($"{Value}.{AgentId:N}"));

    /// <summary>Null where the text is none of ours.</summary>
    public static AgentCursor? Parse(string text)
    {
        if (!Base64Url.IsValid(text))
            return null;
        var parts = Encoding.ASCII.GetString(Base64Url.DecodeFromChars(text)).Split('.');
        return parts.Length == 2 && long.TryParse(parts[0], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) && Guid.TryParseExact(parts[1], "N", out var id)
            ? new AgentCursor(value, id)
            : null;
    }
}

/// <summary>Lists of agents: plain, searched, trending, of a user. Each is one round trip; totals are counters or capped.</summary>
public sealed class AgentListStore(NpgsqlDataSource database)
{
    /// <summary>A search's total stops counting here.</summary>
    public const int MaxCounted = 10_000;

    /// <summary>Ranking looks at this many matches, the most downloaded ones: a frequent word must not cost more than a rare one.</summary>
    public const int MaxRanked = 500;

    private const int MaxWalked = 2_000;

    private const int MaxCompletions = 64;

    private static readonly TimeSpan s_guess = TimeSpan.FromMilliseconds(500);

    private const string Columns = """
        a.scope, a.name, a.description, a.category, a.tags, a.latest_version, c.download_count, c.star_count, a.is_verified,
        u.username, u.display_name, u.avatar_url, a.updated_at, c.agent_id
        """;

    private const string Joins = "JOIN marketplace.agents a ON a.id = c.agent_id JOIN marketplace.users u ON u.id = a.author_id";

    /// <summary>A page of listed agents; after a cursor, or from an offset. The total is exact.</summary>
    public async Task<AgentPage> ListAsync(
        AgentSort sort, string? category, int offset, AgentCursor? after, int limit, CancellationToken cancellationToken)
    {
        var key = SortKey(sort);
        var sql = $"""
            SELECT {Columns}, {SortValue(sort)} FROM (
                SELECT * FROM marketplace.agent_counters c
                WHERE is_listed {(category is null ? "" : "AND category = $5")} {(after is null ? "" : $"AND ({key}, agent_id) < ({SortParameter(sort)}, $2)")}
                ORDER BY {key} DESC, agent_id DESC LIMIT $3 OFFSET $4) c
            {Joins} ORDER BY c.{key} DESC, c.agent_id DESC
            """;
        const string Count = "SELECT coalesce(sum(agents), 0)::bigint FROM marketplace.category_counts WHERE $1::text IS NULL OR category = $1";
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(Command(Count, (object?)category ?? DBNull.Value));
        batch.BatchCommands.Add(Command(sql, after?.Value ?? 0L, after?.AgentId ?? Guid.Empty, limit + 1, after is null ? offset : 0, (object?)category ?? DBNull.Value));
        return await ReadPageAsync(batch, limit, cancellationToken);
    }

    /// <summary>Agents that match all words. The total is exact up to <see cref="MaxCounted"/>.</summary>
    /// <param name="tsquery">From <see cref="SearchQuery"/>; never raw input.</param>
    public async Task<AgentPage> SearchAsync(
        string tsquery, AgentSort sort, string? category, int offset, int limit, CancellationToken cancellationToken)
    {
        var key = SortKey(sort);
        // A word of more than MaxCounted agents: the index gives any MaxCounted of them, so the best by the list's order are found by walking that
        // order, where a frequent word is met soon. Otherwise the walk's condition is false before it starts.
        var candidates = $"""
            WITH query AS (SELECT to_tsquery('english', $1) AS words, to_tsquery('english', $1)
                {(category is null ? "" : "&& array_to_tsvector(ARRAY['§' || $2::text])::text::tsquery")} AS filtered),
            hits AS MATERIALIZED (SELECT id FROM marketplace.search_agents((SELECT filtered FROM query), {MaxCounted}) AS id),
            total AS MATERIALIZED (SELECT count(*) AS agents FROM hits),
            walked AS MATERIALIZED (
                SELECT c.agent_id FROM (
                    SELECT agent_id FROM marketplace.agent_counters WHERE is_listed {(category is null ? "" : "AND category = $2")}
                        AND (SELECT agents FROM total) = {MaxCounted} ORDER BY {key} DESC, agent_id DESC LIMIT {MaxWalked}) c
                JOIN marketplace.agents a ON a.id = c.agent_id WHERE a.search @@ (SELECT filtered FROM query)),
            candidates AS (
                SELECT agent_id FROM walked
                UNION
                (SELECT id FROM hits LIMIT (SELECT CASE WHEN agents = {MaxCounted} THEN {MaxRanked} ELSE {MaxCounted} END FROM total))),
            """;
        var page = sort == AgentSort.Relevance
            ? $"""
               page AS (
                   SELECT c.*, ts_rank('{"{0.1, 0.3, 0.6, 1.0}"}', a.search, (SELECT words FROM query)) AS rank
                   FROM (SELECT c.* FROM candidates JOIN marketplace.agent_counters c USING (agent_id)
                         WHERE c.is_listed ORDER BY c.download_count DESC, c.agent_id DESC LIMIT {MaxRanked}) c
                   JOIN marketplace.agents a ON a.id = c.agent_id
                   ORDER BY rank DESC, c.download_count DESC, c.agent_id DESC LIMIT $3 OFFSET $4)
               """
            : $"""
               page AS (
                   SELECT c.*, c.{key} AS rank FROM candidates JOIN marketplace.agent_counters c USING (agent_id)
                   WHERE c.is_listed ORDER BY c.{key} DESC, c.agent_id DESC LIMIT $3 OFFSET $4)
               """;
        await using var command = database.CreateCommand($"""
            {candidates}
            {page}
            SELECT {Columns}, total.agents FROM total LEFT JOIN (page c {Joins}) ON true ORDER BY c.rank DESC, c.download_count DESC, c.agent_id DESC
            """);
        command.Parameters.Add(new() { Value = tsquery });
        command.Parameters.Add(new() { Value = (object?)category ?? DBNull.Value, NpgsqlDbType = NpgsqlTypes.NpgsqlDbType.Text });
        command.Parameters.Add(new() { Value = limit });
        command.Parameters.Add(new() { Value = offset });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var agents = new List<AgentSummary>(limit);
        var total = 0L;
        while (await reader.ReadAsync(cancellationToken))
        {
            total = reader.GetInt64(14);
            if (!await reader.IsDBNullAsync(0, cancellationToken))
                agents.Add(Read(reader));
        }
        var end = sort == AgentSort.Relevance ? Math.Min(total, MaxRanked) : total;
        return new(agents, total, agents.Count == limit && offset + limit < end ? new AgentCursor(offset + limit, Guid.Empty).ToString() : null);
    }

    /// <summary>The first words of names, tags and descriptions that begin like this, in their order.</summary>
    /// <param name="beginning">Letters and digits, lower case.</param>
    public async Task<IReadOnlyList<string>> ListWordsAsync(string beginning, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"SELECT word FROM marketplace.words WHERE word >= $1 AND word < $1 || chr(1114111) ORDER BY word LIMIT {MaxCompletions}");
        command.Parameters.Add(new() { Value = beginning });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var words = new List<string>();
        while (await reader.ReadAsync(cancellationToken))
            words.Add(reader.GetString(0));
        return words;
    }

    /// <summary>
    /// What a mistyped name may have meant: names by trigram similarity. A guess has its price: names that are all alike are not compared for longer than
    /// half a second, and then nothing is found.
    /// </summary>
    public async Task<AgentPage> SearchSimilarAsync(
        string text, string? category, int offset, int limit, CancellationToken cancellationToken)
    {
        const string Sql = $"""
            WITH found AS MATERIALIZED (
                SELECT c.*, similarity(a.name, $1) AS rank FROM marketplace.agents a JOIN marketplace.agent_counters c ON c.agent_id = a.id
                WHERE a.name % $1 AND c.is_listed AND ($2::text IS NULL OR c.category = $2)),
            total AS (SELECT count(*) AS agents FROM found),
            page AS (SELECT * FROM found ORDER BY rank DESC, download_count DESC, agent_id DESC LIMIT $3 OFFSET $4)
            SELECT {Columns}, total.agents FROM total LEFT JOIN (page c {Joins}) ON true ORDER BY c.rank DESC, c.download_count DESC, c.agent_id DESC
            """;
        using var budget = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        budget.CancelAfter(s_guess);
        try
        {
            await using var command = database.CreateCommand(Sql);
            command.Parameters.Add(new() { Value = text });
            command.Parameters.Add(new() { Value = (object?)category ?? DBNull.Value, NpgsqlDbType = NpgsqlTypes.NpgsqlDbType.Text });
            command.Parameters.Add(new() { Value = limit });
            command.Parameters.Add(new() { Value = offset });
            await using var reader = await command.ExecuteReaderAsync(budget.Token);
            var agents = new List<AgentSummary>(limit);
            var total = 0L;
            while (await reader.ReadAsync(budget.Token))
            {
                total = reader.GetInt64(14);
                if (!await reader.IsDBNullAsync(0, budget.Token))
                    agents.Add(Read(reader));
            }
            return new(agents, total, offset + agents.Count < total && agents.Count == limit ? new AgentCursor(offset + limit, Guid.Empty).ToString() : null);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return new([], 0, null);
        }
    }

    /// <summary>Listed agents by downloads in the last period, kept up to the hour; those without any follow by their lifetime total.</summary>
    /// <param name="period">1 day, 7 or 30 days.</param>
    public async Task<AgentPage> ListTrendingAsync(TimeSpan period, int limit, CancellationToken cancellationToken)
    {
        var column = period.TotalDays switch
        {
            <= 1 => "day",
            <= 7 => "week",
            _ => "month",
        };
        // The surplus makes up for agents that are not listed any more.
        var sql = $"""
            WITH recent AS (
                SELECT t.agent_id, t.downloads FROM (
                    SELECT agent_id, {column} AS downloads FROM marketplace.agent_trends WHERE {column} > 0 ORDER BY {column} DESC, agent_id DESC LIMIT $1 + 200) t
                JOIN marketplace.agent_counters c ON c.agent_id = t.agent_id AND c.is_listed),
            chosen AS (
                SELECT agent_id, downloads FROM recent
                UNION ALL
                (SELECT agent_id, 0 FROM marketplace.agent_counters c WHERE is_listed AND NOT EXISTS (SELECT 1 FROM recent r WHERE r.agent_id = c.agent_id)
                 ORDER BY download_count DESC, agent_id DESC LIMIT $1))
            SELECT {Columns}, 0::bigint FROM chosen JOIN marketplace.agent_counters c ON c.agent_id = chosen.agent_id
            {Joins} ORDER BY chosen.downloads DESC, c.download_count DESC, c.agent_id DESC LIMIT $1
            """;
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(new("SELECT coalesce(sum(agents), 0)::bigint FROM marketplace.category_counts"));
        batch.BatchCommands.Add(Command(sql, limit));
        return await ReadPageAsync(batch, limit, cancellationToken);
    }

    /// <summary>A user's listed agents, most downloaded first.</summary>
    public async Task<AgentPage> ListByAuthorAsync(
        Guid authorId, int offset, int limit, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(Command("SELECT count(*) FROM marketplace.agent_counters WHERE author_id = $1 AND is_listed", authorId));
        batch.BatchCommands.Add(Command($"""
            SELECT {Columns}, c.download_count FROM (
                SELECT * FROM marketplace.agent_counters WHERE author_id = $1 AND is_listed ORDER BY download_count DESC, agent_id DESC LIMIT $2 OFFSET $3) c
            {Joins} ORDER BY c.download_count DESC, c.agent_id DESC
            """, authorId, limit + 1, offset));
        var page = await ReadPageAsync(batch, limit, cancellationToken);
        return page with { Next = null };
    }

    /// <summary>Listed agents per category slug.</summary>
    public async Task<IReadOnlyDictionary<string, long>> CountByCategoryAsync(CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("SELECT category, sum(agents)::bigint FROM marketplace.category_counts GROUP BY category");
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var counts = new Dictionary<string, long>();
        while (await reader.ReadAsync(cancellationToken))
            counts[reader.GetString(0)] = reader.GetInt64(1);
        return counts;
    }

    private static string SortKey(AgentSort sort) => sort switch
    {
        AgentSort.Stars => "star_count",
        AgentSort.Newest => "created_at",
        _ => "download_count",
    };

    // Microseconds are PostgreSQL's own resolution, so a cursor is exact.
    private static string SortValue(AgentSort sort) =>
        sort == AgentSort.Newest ? "(extract(epoch FROM c.created_at) * 1000000)::bigint" : "c." + SortKey(sort);

    private static string SortParameter(AgentSort sort) =>
        sort == AgentSort.Newest ? "'epoch'::timestamptz + $1::bigint * interval '1 microsecond'" : "$1";

    private static async Task<AgentPage> ReadPageAsync(
        NpgsqlBatch batch, int limit, CancellationToken cancellationToken)
    {
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        var total = reader.GetInt64(0);
        await reader.NextResultAsync(cancellationToken);
        var agents = new List<AgentSummary>(limit);
        AgentCursor? last = null;
        while (await reader.ReadAsync(cancellationToken))
        {
            if (agents.Count == limit)
                return new(agents, total, last?.ToString());
            agents.Add(Read(reader));
            last = new AgentCursor(reader.GetInt64(14), reader.GetGuid(13));
        }
        return new(agents, total, null);
    }

    private static AgentSummary Read(NpgsqlDataReader reader)
    {
        var (scope, name, username) = (reader.GetString(0), reader.GetString(1), reader.GetString(9));
        return new AgentSummary(
            scope, name, $"{scope}/{name}", reader.GetString(2), reader.GetValue(3) as string, reader.GetFieldValue<string[]>(4), reader.GetString(5),
            reader.GetInt64(6), reader.GetInt64(7), reader.GetBoolean(8),
            new AuthorSummary(username, reader.GetValue(10) as string ?? username, reader.GetValue(11) as string), reader.GetFieldValue<DateTimeOffset>(12));
    }

    private static NpgsqlBatchCommand Command(string sql, params object[] parameters)
    {
        var command = new NpgsqlBatchCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(parameter is DBNull
                ? new NpgsqlParameter { Value = parameter, NpgsqlDbType = NpgsqlTypes.NpgsqlDbType.Text }
                : new NpgsqlParameter { Value = parameter });
        return command;
    }
}
