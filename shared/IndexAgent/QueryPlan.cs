namespace FunctionsRegistry.IndexAgent;

/// <summary>Several words of the query side by side, as one identifier.</summary>
/// <param name="Share">The part of the query's words that it is made of.</param>
internal sealed record NameTerms(long Identifier, long Symbol, float Share);

/// <summary>A query as the terms that it needs of the index. Each distinct word is one bit of a mask.</summary>
internal sealed class QueryPlan
{
    private const int MaxJoined = 5;

    private readonly Dictionary<string, int> _bits = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ulong> _masks = new(StringComparer.OrdinalIgnoreCase);

    public QueryPlan(CodeQuery query)
    {
        Query = query;
        var words = new List<string>();
        foreach (var word in query.Words)
        {
            var mask = MaskOf(word);
            ScoreMask |= mask;
            words.AddRange(CodeWords.StemsOf(word));
        }
        // Frequent words are everywhere: they neither tell sections apart nor may a file be missed for them. A query of nothing else keeps them.
        var frequent = 0UL;
        foreach (var word in query.Words)
            if (CodeWords.IsFrequent(word))
                frequent |= MaskOf(word);
        if ((ScoreMask & ~frequent) != 0)
        {
            ScoreMask &= ~frequent;
            IgnoredMask = frequent;
        }
        Sequence = [.. words.Where(stem => (ScoreMask & (1UL << _bits[stem])) != 0)];
        Names = JoinNames(query.Words);
        Collect(query.Root);
        Patterns = [.. _patterns];
        Trigrams = [.. _patterns.Select(TrigramPlan.Of)];
    }

    public CodeQuery Query { get; }

    /// <summary>Bits of the words that ranking is about.</summary>
    public ulong ScoreMask { get; }

    /// <summary>Bits of words that every file is taken to have.</summary>
    public ulong IgnoredMask { get; }

    /// <summary>The ranked words in the query's order, as the index keeps them.</summary>
    public IReadOnlyList<string> Sequence { get; }

    public IReadOnlyList<NameTerms> Names { get; }

    public IReadOnlyList<PatternNode> Patterns { get; }

    /// <summary>Per pattern.</summary>
    public IReadOnlyList<IReadOnlyList<long>> Trigrams { get; }

    public IReadOnlyList<FieldNode> Symbols => _symbols;

    /// <summary>Words by bit.</summary>
    public IReadOnlyCollection<string> Words => _bits.Keys;

    /// <summary>Gains that this query can have, as bits of <see cref="RankingFeature"/>.</summary>
    public int Applicable
    {
        get
        {
            var bits = 0;
            if (ScoreMask != 0)
                bits |= 0b1111_1111;
            if (Sequence.Count > 1)
                bits |= (1 << (int)RankingFeature.Phrase) | (1 << (int)RankingFeature.Proximity);
            if (PositivePatterns.Count > 0)
                bits |= 1 << (int)RankingFeature.Phrase;
            if (PositiveSymbols.Count > 0)
                bits |= 1 << (int)RankingFeature.Definition;
            return bits;
        }
    }

    /// <summary>Indices of the patterns that are not negated.</summary>
    public List<int> PositivePatterns { get; } = [];

    /// <summary>Indices of the <c>sym:</c> that are not negated.</summary>
    public List<int> PositiveSymbols { get; } = [];

    private readonly List<PatternNode> _patterns = [];
    private readonly List<FieldNode> _symbols = [];

    /// <summary>All terms to fetch.</summary>
    public long[] Terms() =>
    [
        .. _bits.Keys.Select(stem => CodeWords.Term(TermKind.Word, stem)),
        .. _bits.Keys.Select(stem => CodeWords.Term(TermKind.Path, stem)),
        .. Names.Select(name => name.Identifier),
        .. Names.Select(name => name.Symbol),
        .. Trigrams.SelectMany(trigrams => trigrams),
        .. Symbols.Where(symbol => !symbol.IsGlob).Select(SymbolTerm),
    ];

    public static long SymbolTerm(FieldNode symbol) => CodeWords.Term(TermKind.Symbol, symbol.Value.ToLowerInvariant());

    /// <summary>The bits of a bare word: of all words that it is made of.</summary>
    public ulong MaskOf(string word)
    {
        if (_masks.TryGetValue(word, out var mask))
            return mask;
        foreach (var stem in CodeWords.StemsOf(word))
        {
            if (!_bits.TryGetValue(stem, out var bit))
            {
                // The bits are used up only by words of many words; the rest of them then counts as found.
                if (_bits.Count == 64)
                    continue;
                _bits[stem] = bit = _bits.Count;
            }
            mask |= 1UL << bit;
        }
        return _masks[word] = mask;
    }

    public int IndexOf(PatternNode pattern) => _patterns.FindIndex(one => ReferenceEquals(one, pattern));

    public int IndexOf(FieldNode symbol) => _symbols.FindIndex(one => ReferenceEquals(one, symbol));

    /// <summary>Whether the node's truth depends on a pattern, which only a section's text decides.</summary>
    public static bool HasPattern(QueryNode node) => node switch
    {
        PatternNode => true,
        NotOf not => HasPattern(not.Part),
        AllOf all => all.Parts.Any(HasPattern),
        AnyOf any => any.Parts.Any(HasPattern),
        _ => false,
    };

    private void Collect(QueryNode node, bool negated = false)
    {
        switch (node)
        {
            case WordNode word:
                MaskOf(word.Text);
                break;
            case PatternNode pattern:
                if (!negated)
                    PositivePatterns.Add(_patterns.Count);
                _patterns.Add(pattern);
                break;
            case FieldNode { Field: QueryField.Symbol } symbol:
                if (!negated)
                    PositiveSymbols.Add(_symbols.Count);
                _symbols.Add(symbol);
                break;
            case NotOf not:
                Collect(not.Part, !negated);
                break;
            case AllOf all:
                foreach (var part in all.Parts)
                    Collect(part, negated);
                break;
            case AnyOf any:
                foreach (var part in any.Parts)
                    Collect(part, negated);
                break;
        }
    }

    // "async handler" is also asyncHandler; "read json value" also readJson, jsonValue and readJsonValue.
    private static List<NameTerms> JoinNames(IReadOnlyList<string> words)
    {
        var names = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var start = 0; start < words.Count; start++)
        {
            var name = "";
            for (var count = 1; count <= Math.Min(MaxJoined, words.Count - start); count++)
            {
                name += words[start + count - 1].ToLowerInvariant();
                if (name.Length > CodeWords.MaxLength || names.Count >= 64)
                    break;
                names[name] = Math.Max(count, names.GetValueOrDefault(name));
                // The same words in snake_case are another whole identifier.
                if (count > 1 && string.Join('_', words.Skip(start).Take(count)).ToLowerInvariant() is { Length: <= CodeWords.MaxLength } snake)
                    names[snake] = Math.Max(count, names.GetValueOrDefault(snake));
            }
        }
        return [.. names.Select(pair => new NameTerms(
            CodeWords.Term(TermKind.Identifier, pair.Key), CodeWords.Term(TermKind.Symbol, pair.Key), (float)pair.Value / words.Count))];
    }
}
