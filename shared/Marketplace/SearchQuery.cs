namespace FunctionsRegistry.Marketplace;

/// <summary>Turns what people type into a tsquery that cannot be malformed: only letters and digits are left of each word.</summary>
public static class SearchQuery
{
    private const int MaxWords = 16;

    /// <summary>All words, <c>-word</c> as a negation; null where no word is left.</summary>
    /// <param name="lastIsPrefix">Whether the last word may go on: what is still being typed.</param>
    public static string? ToTsQuery(string text, bool lastIsPrefix)
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
        if (terms.All(term => term[0] == '!'))
            return null;
        if (lastIsPrefix && terms[^1][0] != '!')
            terms[^1] += ":*";
        return string.Join(" & ", terms);
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
