using System.Buffers;
using System.IO.Hashing;
using System.Runtime.InteropServices;

namespace FunctionsRegistry.IndexAgent;

/// <summary>What a term of the index stands for; the same word of two kinds is two terms.</summary>
public enum TermKind : byte
{
    /// <summary>A word of an identifier, a comment or a string, without its ending. Counted per section and field.</summary>
    Word,

    /// <summary>A whole identifier of several words. Counted per section.</summary>
    Identifier,

    /// <summary>The whole name of the symbol that a section defines. Counted per section.</summary>
    Symbol,

    /// <summary>A word of a file's path. Counted per file.</summary>
    Path,

    /// <summary>Three characters in a row, for substrings and regular expressions. Counted per file.</summary>
    Trigram,
}

/// <summary>Cuts code and queries into the same words: camelCase and snake_case are words in a row, case and endings do not matter.</summary>
public static class CodeWords
{
    /// <summary>Longer runs are data (hashes, base64), not words.</summary>
    public const int MaxLength = 64;

    private static readonly SearchValues<char> s_vowels = SearchValues.Create("aeiouy");

    /// <summary>Words that nearly every file has; a query leaves them out when it has others.</summary>
    private static readonly HashSet<string> s_frequent =
    [
        "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "how", "if", "in", "is", "it", "its", "not", "of", "on", "or", "that", "the", "this", "to", "was", "what",
        "when", "where", "which", "with",
    ];

    /// <summary>Whether nearly every file has this word.</summary>
    public static bool IsFrequent(string word) => s_frequent.Contains(word.ToLowerInvariant());

    /// <summary>The next run of letters, digits and underscores at or after <paramref name="at"/>; false at the end.</summary>
    public static bool NextIdentifier(ReadOnlySpan<char> text, ref int at, out Range identifier)
    {
        while (at < text.Length && !IsPart(text[at]))
            at++;
        var start = at;
        while (at < text.Length && IsPart(text[at]))
            at++;
        identifier = start..at;
        return at > start;
    }

    /// <summary>The next word of an identifier at or after <paramref name="at"/>: "HTTPServer_v2" gives HTTP, Server, v2. False at the end.</summary>
    public static bool NextWord(ReadOnlySpan<char> identifier, ref int at, out Range word)
    {
        while (at < identifier.Length && identifier[at] == '_')
            at++;
        var start = at;
        if (at < identifier.Length)
            at++;
        while (at < identifier.Length && identifier[at] != '_' && !Starts(identifier, at))
            at++;
        word = start..at;
        return at > start;
    }

    /// <summary>
    /// A word in small letters without its English ending, so that "caches", "cached" and "caching" are one. Written to <paramref name="stem"/>,
    /// which must hold <see cref="MaxLength"/> characters; returns the length.
    /// </summary>
    public static int Stem(ReadOnlySpan<char> word, Span<char> stem)
    {
        var length = Math.Min(word.Length, MaxLength);
        for (var i = 0; i < length; i++)
            stem[i] = char.ToLowerInvariant(word[i]);
        if (length < 4 || !IsEnglish(stem[..length]))
            return length;
        var found = stem[..length];
        if (found.EndsWith("ies") || found.EndsWith("ied"))
        {
            stem[length - 3] = 'y';
            return length - 2;
        }
        if (found[^1] == 's' && found[^2] is not ('s' or 'u' or 'i'))
            found = found[..^1];
        if (found.EndsWith("ing") && HasVowel(found[..^3]))
            found = Undouble(found[..^3]);
        else if (found.EndsWith("ed") && HasVowel(found[..^2]))
            found = Undouble(found[..^2]);
        // Code says validate, Validator and Validation for what a comment says in one of them. Short rests are words of their own: "act", "opt", "us".
        if (found.Length >= 7 && (found.EndsWith("tion") || found.EndsWith("sion")))
            found = found[..^3];
        else if (found.Length >= 6 && (found.EndsWith("er") || found.EndsWith("or")) && HasVowel(found[..^2]))
            found = Undouble(found[..^2]);
        return found.Length >= 4 && found[^1] == 'e' ? found.Length - 1 : found.Length;
    }

    /// <summary>A word as the index keeps it.</summary>
    public static string Stem(string word)
    {
        Span<char> stem = stackalloc char[MaxLength];
        return new string(stem[..Stem(word.AsSpan(), stem)]);
    }

    /// <summary>The words of a text as the index keeps them, in order.</summary>
    public static List<string> StemsOf(ReadOnlySpan<char> text)
    {
        var stems = new List<string>();
        Span<char> stem = stackalloc char[MaxLength];
        var at = 0;
        while (NextIdentifier(text, ref at, out var identifier))
        {
            var name = text[identifier];
            var inside = 0;
            while (name.Length <= MaxLength && NextWord(name, ref inside, out var word))
                stems.Add(new string(stem[..Stem(name[word], stem)]));
        }
        return stems;
    }

    /// <summary>The identifiers of a text in order, those too long left out.</summary>
    public static List<string> IdentifiersOf(string text)
    {
        var identifiers = new List<string>();
        var at = 0;
        while (NextIdentifier(text, ref at, out var range))
            if (text[range] is { Length: <= MaxLength } identifier && identifier.Trim('_').Length > 0)
                identifiers.Add(identifier);
        return identifiers;
    }

    /// <summary>The number of a term: 64 bits of its hash. Two of a million terms meet with a probability of 1 in 37 million.</summary>
    /// <param name="text">In small letters, and without ending where the kind is a word.</param>
    public static long Term(TermKind kind, ReadOnlySpan<char> text) =>
        (long)XxHash3.HashToUInt64(MemoryMarshal.AsBytes(text), (long)kind);

    /// <summary>The number of a trigram's term.</summary>
    public static long Trigram(int code) => ((long)TermKind.Trigram << 56) | (uint)code;

    /// <summary>The trigram of a term that <see cref="Trigram"/> made.</summary>
    public static int TrigramOf(long term) => (int)(term & 0x1F_FFFF);

    /// <summary>A character as trigrams see it: 7 bits, without case; all beyond ASCII are one, except those that equal an ASCII letter when case is ignored.</summary>
    public static int Fold(char c) => c switch
    {
        >= 'A' and <= 'Z' => c | 0x20,
        < (char)128 => c,
        '\u212A' => 'k',
        '\u0130' or '\u0131' => 'i',
        '\u017F' => 's',
        _ => 127,
    };

    private static bool IsPart(char c) => c < 128 ? char.IsAsciiLetterOrDigit(c) || c == '_' : char.IsLetterOrDigit(c);

    private static bool Starts(ReadOnlySpan<char> text, int at) =>
        char.IsUpper(text[at]) && (!char.IsUpper(text[at - 1]) || (at + 1 < text.Length && char.IsLower(text[at + 1])));

    private static bool IsEnglish(ReadOnlySpan<char> word)
    {
        foreach (var c in word)
            if (!char.IsAsciiLetterLower(c))
                return false;
        return true;
    }

    private static bool HasVowel(ReadOnlySpan<char> word) => word.Length >= 3 && word.IndexOfAny(s_vowels) >= 0;

    private static Span<char> Undouble(Span<char> word) =>
        word.Length > 3 && word[^1] == word[^2] && word[^1] is not ('l' or 's' or 'z') ? word[..^1] : word;
}
