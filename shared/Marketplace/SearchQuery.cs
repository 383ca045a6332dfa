namespace FunctionsRegistry.Marketplace;

/// <summary>Turns what people type into a tsquery that cannot be malformed: only letters and digits are left of each word.</summary>
public static class SearchQuery
{
    private const int MaxWords = 16;

    /// <summary>All words, <c>-word</c> as a negation; null where no word is left.</summary>
    public static string? ToTsQuery(string text) => Terms(text) is { } terms ? string.Join(" & ", terms) : null;

    /// <summary>What is still being typed: the last word, lower case; null where it is a negation or there is none.</summary>
    public static string? ToBeginning(string text) => Terms(text) is [.., var last] && last[0] != '!' ? last.ToLowerInvariant() : null;

    /// <summary>The query of <see cref="ToTsQuery(string)"/> with the last word replaced by any of the words that begin with it.</summary>
    public static string ToTsQuery(string text, IReadOnlyList<string> completions) =>
        string.Join(" & ", Terms(text)!.SkipLast(1).Append($"({string.Join(" | ", completions)})"));

    private static List<string>? Terms(string text)
    {
        var terms = new List<string>();
        foreach (var part in text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
        {
            var words = Words(part);
            var negated = part.Length > 1 && part[0] == '-';
            foreach (var word in words)
                if (terms.Count < MaxWords)
                    terms.Add(negated ? $"!{word}" : word);
        }
        return terms.All(term => term[0] == '!') ? null : terms;
    }

    private static IEnumerable<string> Words(string part)
    {
        var start = -1;
        for (var i = 0; i <= part.Length; i++)
        {
            if (i < part.Length && char.IsLetterOrDigit(part[i]))
            {
                if (start < 0)
                    start = i;
            }
            else if (start >= 0)
            {
                yield return part[start..i];
                start = -1;
            }
        }
    }
}
