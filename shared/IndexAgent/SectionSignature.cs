namespace FunctionsRegistry.IndexAgent;

/// <summary>
/// Which trigrams a section may have, in 512 bits: each sets one. What lacks a bit of a pattern cannot match it, so that a search for a text need not read all
/// sections of the files that have its trigrams somewhere. Trigram postings per section would take more room than the source.
/// </summary>
internal static class SectionSignature
{
    /// <summary>64-bit words of a signature.</summary>
    public const int Length = 8;

    /// <summary>Sets the bit of a trigram.</summary>
    public static void Add(Span<ulong> signature, int trigram)
    {
        var bit = (int)(((uint)trigram * 2654435761u) >> 23);
        signature[bit >> 6] |= 1UL << (bit & 63);
    }

    /// <summary>The bits of a pattern's terms; null where it has none.</summary>
    public static ulong[]? Of(IReadOnlyList<long> trigramTerms)
    {
        if (trigramTerms.Count == 0)
            return null;
        var signature = new ulong[Length];
        foreach (var term in trigramTerms)
            Add(signature, CodeWords.TrigramOf(term));
        return signature;
    }

    /// <summary>Whether a section has all bits of a pattern.</summary>
    public static bool MayHave(ReadOnlySpan<ulong> section, ReadOnlySpan<ulong> pattern)
    {
        for (var i = 0; i < Length; i++)
            if ((section[i] & pattern[i]) != pattern[i])
                return false;
        return true;
    }
}
