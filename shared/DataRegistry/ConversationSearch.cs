using System.Globalization;
using System.Text;

namespace FunctionsRegistry.DataRegistry;

/// <summary>
/// Finds conversations by their titles and by what was said in them: those whose title holds every term that was typed (anywhere in it, as the original
/// does) or that have a message with all of them (words by stem, where none has them the last word as a beginning; a term with punctuation as it was
/// typed). Titles come before messages, then the better matching messages, then the newer conversation.
/// </summary>
public sealed class ConversationSearch(RegistryDatabase database)
{
    // A frequent word must not cost more than a rare one: so many matches are ranked and no more.
    private const int MaxTitlesRead = 10_000;
    private const int MaxTitles = 500;
    private const int MaxTitlesWalked = 20_000;
    private const int MaxMessages = 1_000;

    /// <summary>A part of the ranked matches.</summary>
    public Task<List<Conversation>> FindAsync(string text, int skip, int limit, CancellationToken cancellationToken)
    {
        var query = ConversationQuery.Parse(text);
        object?[] values = [query.Words, query.AsTyped, text, limit, skip, .. query.Terms, .. query.Literals];
        var inTitle = Conditions("title", 6, query.Terms.Count);
        var inMessage = Conditions("content", 6 + query.Terms.Count, query.Literals.Count);
        // Two letters have no trigrams: as a word they are found everywhere, as a part of one in the newest titles.
        var titles = query.HasTrigrams
            ? $"SELECT id, created_at FROM dhg.conversations WHERE {inTitle} LIMIT {MaxTitlesRead}"
            : $"""
               SELECT id, created_at FROM (
                   SELECT id, created_at, title FROM dhg.conversations WHERE dhg.words(title) @@ (SELECT words FROM query) LIMIT {MaxTitlesRead}) w WHERE {inTitle}
               UNION
               SELECT id, created_at FROM (
                   SELECT id, created_at, title FROM dhg.conversations ORDER BY created_at DESC, id DESC LIMIT {MaxTitlesWalked}) n WHERE {inTitle}
               """;
        var sql = $"""
            WITH query AS (
                SELECT to_tsquery('pg_catalog.english', dhg.fold($1)) AS words, to_tsquery('pg_catalog.english', nullif(dhg.fold($1), '') || ':*') AS beginning),
            titles AS MATERIALIZED (SELECT id FROM ({titles}) t ORDER BY created_at DESC, id DESC LIMIT {MaxTitles}),
            hits AS MATERIALIZED (SELECT f.* FROM query, dhg.find_messages(query.words, {MaxMessages}) f),
            beginnings AS MATERIALIZED (
                SELECT f.* FROM query, dhg.find_messages(CASE WHEN NOT EXISTS (SELECT 1 FROM hits) THEN query.beginning END, {MaxMessages}) f),
            matches AS (SELECT * FROM hits UNION SELECT * FROM beginnings),
            messages AS (
                SELECT conversation_id AS id, sum(rank) AS rank
                FROM {(query.Literals.Count == 0 ? "matches" : $"(SELECT f.* FROM matches f JOIN dhg.messages m ON m.id = f.id WHERE {inMessage}) m")}
                GROUP BY conversation_id),
            found AS (
                SELECT id, max(title) AS title, max(rank) AS rank FROM (
                    SELECT id, 1 AS title, 0 AS rank FROM titles UNION ALL SELECT id, 0, rank FROM messages) f
                GROUP BY id),
            page AS (
                SELECT t.*, f.title AS in_title, (dhg.fold(t.title) LIKE dhg.fold($2))::int + (dhg.fold(t.title) = dhg.fold($3))::int AS as_typed, f.rank
                FROM found f JOIN dhg.conversations t ON t.id = f.id
                ORDER BY in_title DESC, as_typed DESC, rank DESC, t.created_at DESC, t.id DESC LIMIT $4 OFFSET $5)
            SELECT {ConversationStore.ConversationColumns} FROM page t ORDER BY in_title DESC, as_typed DESC, rank DESC, t.created_at DESC, t.id DESC
            """;
        return database.ReadAsync("search_conversations", sql, ConversationStore.ReadConversation, cancellationToken, values);
    }

    private static string Conditions(string column, int first, int count) =>
        string.Join(" AND ", Enumerable.Range(first, count).Select(number => $"dhg.fold({column}) LIKE dhg.fold(${number})"));
}

/// <summary>What was typed, as the database needs it.</summary>
/// <param name="Words">A tsquery of all words; well-formed whatever was typed, empty where there is no word.</param>
/// <param name="AsTyped">A LIKE pattern of the whole text, its wildcards escaped.</param>
/// <param name="Terms">A LIKE pattern for each part between spaces.</param>
/// <param name="Literals">Those of them with punctuation: a message must hold them as they are, because its words do not tell.</param>
/// <param name="HasTrigrams">Whether a trigram index finds one of the terms.</param>
public sealed record ConversationQuery(
    string Words, string AsTyped, IReadOnlyList<string> Terms, IReadOnlyList<string> Literals, bool HasTrigrams)
{
    private const int MaxTerms = 16;

    // What people put around a word without meaning it.
    private const string Surrounding = ".,;:!?\"'`()[]{}<>«»“”„…";

    /// <summary>Splits into terms at white space, and these into words where <c>dhg.words</c> does: at what is no letter and no digit.</summary>
    public static ConversationQuery Parse(string text)
    {
        var terms = text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Take(MaxTerms)
            .Select(term => term.Trim(Surrounding.ToCharArray()) is { Length: > 0 } inner ? inner : term).ToList();
        var words = terms.SelectMany(Split).Take(MaxTerms).ToList();
        return new ConversationQuery(
            string.Join(" & ", words),
            Pattern(text.Trim()),
            [.. terms.Select(Pattern)],
            [.. terms.Where(term => !Split(term).SequenceEqual([term])).Select(Pattern)],
            words.Any(word => word.EnumerateRunes().Count() >= 3));
    }

    private static string Pattern(string text)
    {
        var pattern = new StringBuilder("%", text.Length + 2);
        foreach (var c in text)
            pattern.Append(c is '%' or '_' or '\\' ? $"\\{c}" : c.ToString());
        return pattern.Append('%').ToString();
    }

    private static List<string> Split(string text)
    {
        var words = new List<string>();
        var word = new StringBuilder();
        foreach (var rune in text.EnumerateRunes())
        {
            // A mark belongs to the letter before it.
            var isMark = Rune.GetUnicodeCategory(rune) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark;
            if (Rune.IsLetterOrDigit(rune) || (isMark && word.Length > 0))
                word.Append(rune.ToString());
            else
                End();
        }
        End();
        return words;

        void End()
        {
            if (word.Length > 0)
                words.Add(word.ToString());
            word.Clear();
        }
    }
}
