using System.Text;

namespace FunctionsRegistry.IndexAgent;

/// <summary>What a section's text says about a query: how near its words are, and which line shows it best.</summary>
/// <param name="BestLine">0-based, in the section.</param>
internal readonly record struct TextMatch(float Phrase, float Proximity, int BestLine);

/// <summary>Reads the texts of the best sections.</summary>
internal static class TextMatcher
{
    // The line that defines a symbol shows a hit better than a line that uses it.
    private const float DefinitionBonus = 1.6f;

    /// <summary>Finds the query's words in a text.</summary>
    /// <param name="symbolLine">0-based, in the section.</param>
    /// <param name="weights">Per distinct word of the sequence, in the order of first appearance.</param>
    public static TextMatch Match(ReadOnlySpan<char> text, IReadOnlyList<string> sequence, IReadOnlyDictionary<string, float> weights, int symbolLine)
    {
        if (sequence.Count == 0)
            return new TextMatch(0, 0, symbolLine);
        var indices = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var stem in sequence)
            indices.TryAdd(stem, indices.Count);
        var lookup = indices.GetAlternateLookup<ReadOnlySpan<char>>();
        var weightOf = indices.OrderBy(pair => pair.Value).Select(pair => weights.GetValueOrDefault(pair.Key)).ToArray();
        Span<int> run = stackalloc int[sequence.Count];
        Span<int> next = stackalloc int[sequence.Count];
        Span<char> stemmed = stackalloc char[CodeWords.MaxLength];
        var places = new List<(int Position, int Word)>();
        var (longest, bestLine, bestLineScore) = (0, symbolLine, 0f);
        var (position, lineNumber) = (0, 0);
        foreach (var line in text.EnumerateLines())
        {
            var (seen, lineScore, at) = (0UL, 0f, 0);
            while (CodeWords.NextIdentifier(line, ref at, out var range))
            {
                var identifier = line[range];
                var inside = 0;
                while (identifier.Length <= CodeWords.MaxLength && CodeWords.NextWord(identifier, ref inside, out var word))
                {
                    position++;
                    next.Clear();
                    if (lookup.TryGetValue(stemmed[..CodeWords.Stem(identifier[word], stemmed)], out var index))
                    {
                        places.Add((position, index));
                        if ((seen & (1UL << (index & 63))) == 0)
                            lineScore += weightOf[index];
                        seen |= 1UL << (index & 63);
                        for (var j = 0; j < sequence.Count; j++)
                            if (indices[sequence[j]] == index)
                                longest = Math.Max(longest, next[j] = (j > 0 ? run[j - 1] : 0) + 1);
                    }
                    next.CopyTo(run);
                }
            }
            if (lineNumber == symbolLine)
                lineScore *= DefinitionBonus;
            if (lineScore > bestLineScore)
                (bestLine, bestLineScore) = (lineNumber, lineScore);
            lineNumber++;
        }
        var phrase = sequence.Count > 1 && longest > 1 ? (longest - 1f) / (sequence.Count - 1) : 0;
        return new TextMatch(phrase, Proximity(places, indices.Count), bestLine);
    }

    /// <summary>
    /// How much of a symbol's name the query's words are, 0..1: the weight of those that it has, to that of all its words and one more. A word that the
    /// query lacks weighs as much as one of the query's on average; the one more keeps names of one word behind those of several.
    /// </summary>
    /// <param name="sequence">The ranked words of the query, as the index keeps them.</param>
    public static float ShareOfName(string symbol, IReadOnlyDictionary<string, float> weights, IReadOnlyList<string> sequence)
    {
        var asked = sequence.Distinct().ToDictionary(stem => stem, stem => weights.GetValueOrDefault(stem), StringComparer.Ordinal);
        var average = asked.Count == 0 ? 0 : asked.Values.Average();
        if (average <= 0)
            return 0;
        var (had, all) = (0f, average);
        foreach (var stem in CodeWords.StemsOf(symbol).Distinct())
        {
            var weight = asked.GetValueOrDefault(stem);
            had += weight;
            all += weight > 0 ? weight : average;
        }
        return had / all;
    }

    /// <summary>A few lines from the best one on, without their common indentation.</summary>
    public static string Snippet(string text, int line)
    {
        const int MaxLines = 3, MaxLength = 400;
        var lines = text.Split('\n').Skip(line).Take(MaxLines).Select(one => one.TrimEnd()).ToList();
        while (lines.Count > 1 && lines[^1].Length == 0)
            lines.RemoveAt(lines.Count - 1);
        var indent = lines.Where(one => one.Length > 0).Select(one => one.Length - one.TrimStart().Length).DefaultIfEmpty(0).Min();
        var snippet = new StringBuilder();
        foreach (var one in lines)
            snippet.Append(snippet.Length > 0 ? "\n" : "").Append(one.Length >= indent ? one[indent..] : one);
        if (snippet.Length <= MaxLength)
            return snippet.ToString();
        // Not in the middle of a character of two units.
        return snippet.ToString(0, char.IsHighSurrogate(snippet[MaxLength - 1]) ? MaxLength - 1 : MaxLength) + "…";
    }

    /// <summary>The text with its comments blanked, for a search that must not see them.</summary>
    public static string WithoutComments(string text, Language language)
    {
        var lexer = new LineLexer(language.Syntax);
        var spans = new List<LexedSpan>();
        var kept = new StringBuilder(text.Length);
        foreach (var line in text.AsSpan().EnumerateLines())
        {
            lexer.Read(line, spans);
            foreach (var span in spans)
                if (!span.IsComment)
                    kept.Append(line.Slice(span.Start, span.Length));
            kept.Append('\n');
        }
        return kept.ToString();
    }

    // 1 where all words of the query stand side by side; less the wider the narrowest window with all that the section has of them is.
    private static float Proximity(List<(int Position, int Word)> places, int words)
    {
        if (words < 2)
            return 0;
        Span<int> counts = words <= 128 ? stackalloc int[words] : new int[words];
        var distinct = 0;
        foreach (var (_, word) in places)
            if (counts[word]++ == 0)
                distinct++;
        if (distinct < 2)
            return 0;
        counts.Clear();
        var (narrowest, inside, from) = (int.MaxValue, 0, 0);
        for (var to = 0; to < places.Count; to++)
        {
            if (counts[places[to].Word]++ == 0)
                inside++;
            while (inside == distinct)
            {
                narrowest = Math.Min(narrowest, places[to].Position - places[from].Position);
                if (--counts[places[from++].Word] == 0)
                    inside--;
            }
        }
        return (distinct - 1f) / Math.Max(narrowest, distinct - 1) * distinct / words;
    }
}
