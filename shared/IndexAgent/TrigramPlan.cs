using System.Text.RegularExpressions;

namespace FunctionsRegistry.IndexAgent;

/// <summary>Which trigrams a file must have so that a pattern can match in it. Rather none than a wrong one: what is not plain text counts as anything.</summary>
public static class TrigramPlan
{
    private const int MaxTrigrams = 24;

    /// <summary>Terms that every matching file has; empty where the pattern says too little.</summary>
    public static IReadOnlyList<long> Of(PatternNode pattern) =>
        [.. (pattern.IsPhrase ? [.. pattern.Source.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)] : Literals(pattern.Source))
            .SelectMany(TrigramsOf).Distinct().Take(MaxTrigrams)];

    private static IEnumerable<long> TrigramsOf(string literal)
    {
        for (var i = 0; i + 3 <= literal.Length; i++)
            yield return CodeWords.Trigram((CodeWords.Fold(literal[i]) << 14) | (CodeWords.Fold(literal[i + 1]) << 7) | CodeWords.Fold(literal[i + 2]));
    }

    // Runs of plain characters outside of groups, classes and alternations. A quantifier takes the character before it out of its run.
    private static List<string> Literals(string source)
    {
        var literals = new List<string>();
        var run = new System.Text.StringBuilder();
        void End()
        {
            if (run.Length >= 3)
                literals.Add(run.ToString());
            run.Clear();
        }
        var depth = 0;
        for (var i = 0; i < source.Length; i++)
        {
            var c = source[i];
            switch (c)
            {
                case '|' when depth == 0:
                    // Either side may match alone.
                    return [];
                case '(':
                    // Inline options such as (?x) or (?i) may change how the rest is read.
                    if (source.AsSpan(i).StartsWith("(?") && !source.AsSpan(i).StartsWith("(?:"))
                        return [];
                    End();
                    depth++;
                    break;
                case ')':
                    depth--;
                    End();
                    break;
                case '[':
                    End();
                    i = SkipClass(source, i);
                    break;
                case '*' or '?' or '{':
                    // The character before may be missing; a run behind a counted one may not follow at once.
                    if (run.Length > 0)
                        run.Length--;
                    End();
                    while (c == '{' && i + 1 < source.Length && (char.IsAsciiDigit(source[i + 1]) || source[i + 1] is ',' or '}'))
                        i++;
                    break;
                case '+':
                    End();
                    break;
                case '.' or '^' or '$':
                    End();
                    break;
                case '\\':
                    i++;
                    if (depth == 0 && i < source.Length && !char.IsLetterOrDigit(source[i]))
                    {
                        run.Append(source[i]);
                        break;
                    }
                    End();
                    i = SkipEscape(source, i);
                    break;
                default:
                    if (depth == 0)
                        run.Append(c);
                    break;
            }
        }
        End();
        return literals;
    }

    private static int SkipClass(string source, int open)
    {
        // "[]a]" and "[^]a]" begin with a bracket that does not close.
        var i = open + 1;
        if (i < source.Length && source[i] == '^')
            i++;
        if (i < source.Length && source[i] == ']')
            i++;
        for (; i < source.Length && source[i] != ']'; i++)
        {
            if (source[i] == '\\')
                i++;
            else if (source[i] == '[' && source[i - 1] == '-')
                i = SkipClass(source, i);
        }
        return i;
    }

    // \x41, \u0041, \p{Lu}, \cA and the like: the characters that belong to the escape are none of the text.
    private static int SkipEscape(string source, int at) => at >= source.Length ? at : source[at] switch
    {
        'x' => at + 2,
        'u' => at + 4,
        'c' => at + 1,
        'p' or 'P' => Math.Max(at, source.IndexOf('}', at)),
        >= '0' and <= '9' => SkipDigits(source, at),
        _ => at,
    };

    private static int SkipDigits(string source, int at)
    {
        while (at + 1 < source.Length && char.IsAsciiDigit(source[at + 1]))
            at++;
        return at;
    }
}
