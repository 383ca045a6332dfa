using System.Diagnostics;

namespace FunctionsRegistry.IndexAgent;

/// <summary>What to search, and how.</summary>
/// <param name="Repositories">Null: all.</param>
/// <param name="FileTypes">Languages, or extensions with or without the dot; empty: all.</param>
/// <param name="Keep">How many hits are wanted.</param>
/// <param name="MinScore">Hits below it are no hits.</param>
/// <param name="Mode">Relaxed: one word of the query suffices from the start.</param>
internal sealed record SearchScope(
    IReadOnlyList<string>? Repositories, Language? Language, IReadOnlyList<string> FileTypes, int Keep, double MinScore, HiddenField? Hidden = null,
    MatchMode Mode = MatchMode.Strict);

/// <summary>A section as it was ranked.</summary>
/// <param name="Order">Segment and section: repositories by name, files as in the archive. Decides between equal scores.</param>
internal sealed record RankedSection(SearchedSegment Segment, SegmentCatalog Catalog, int File, int Section, (int Segment, int Section) Order, float[] Features)
{
    public double Score { get; set; }

    public SectionText? Text { get; set; }

    public int BestLine { get; set; }
}

/// <summary>The best sections and what is to be said of the search.</summary>
/// <param name="Total">Sections that match, whether they were kept or not.</param>
/// <param name="IsRelaxed">Nothing matched as written, so that one word sufficed.</param>
/// <param name="IsPartial">Time ran out while texts were read for patterns.</param>
/// <param name="Searched">The repositories that were looked at.</param>
internal sealed record RankedSections(
    IReadOnlyList<RankedSection> Sections, long Total, bool IsRelaxed, bool IsPartial, IReadOnlyList<string> Searched, int Applicable);

/// <summary>Searches the index: candidates by postings, then the texts of the best.</summary>
public sealed class CodeSearch(SearchStore store, IndexAgentOptions options)
{
    // Texts are read of at least so many sections: word order and nearness can still change their order.
    private const int MinReranked = 64;

    private sealed record Prepared(
        QueryPlan Plan, SearchScope Scope, IReadOnlyList<SearchedSegment> Segments, IReadOnlyDictionary<long, SegmentCatalog> Catalogs, FoundPostings Found,
        float[] Weights, float AverageLength);

    internal async Task<RankedSections> RankAsync(QueryPlan plan, SearchScope scope, Genome genome, CancellationToken cancellationToken)
    {
        var prepared = await PrepareAsync(plan, scope, cancellationToken);
        var segments = prepared.Segments;
        var patterns = OpenPatterns(prepared);
        var isPartial = plan.Patterns.Count > 0 && !await FindPatternsAsync(prepared, patterns, cancellationToken);
        var mode = scope.Mode;
        var (best, total) = Scan(prepared, patterns, mode, genome);
        if (total == 0 && mode == MatchMode.Strict && plan.ScoreMask != 0 && !isPartial)
        {
            mode = MatchMode.Relaxed;
            (best, total) = Scan(prepared, patterns, mode, genome);
            if (total == 0)
                mode = MatchMode.Strict;
        }
        var (ranked, added) = await RerankAsync(prepared, best, genome, cancellationToken);
        return new RankedSections(
            ranked, total + added, mode == MatchMode.Relaxed, isPartial, [.. segments.Select(segment => segment.Repository).Distinct()], plan.Applicable);
    }

    /// <summary>What any of some genomes finds best, with all features, in the index's order: the postings and texts are read once for all.</summary>
    internal async Task<IReadOnlyList<RankedSection>> FindCandidatesAsync(QueryPlan plan, SearchScope scope, IReadOnlyList<Genome> genomes, CancellationToken cancellationToken)
    {
        var prepared = await PrepareAsync(plan, scope, cancellationToken);
        var patterns = OpenPatterns(prepared);
        var best = genomes.SelectMany(genome => Scan(prepared, patterns, scope.Mode, genome).Best).DistinctBy(section => section.Order).ToList();
        await RerankAsync(prepared, best, genomes[0], cancellationToken);
        return [.. best.Where(section => section.Text is not null).OrderBy(section => section.Order)];
    }

    private async Task<Prepared> PrepareAsync(QueryPlan plan, SearchScope scope, CancellationToken cancellationToken)
    {
        var found = await store.FindAsync(scope.Repositories, plan, cancellationToken);
        var segments = ChooseSegments(found.Segments, scope.Repositories);
        var catalogs = await store.GetCatalogsAsync(segments.Select(segment => segment.Id), cancellationToken);
        return Prepare(plan, scope, found, [.. segments.Where(segment => catalogs.ContainsKey(segment.Id))], catalogs);
    }

    private static LeafMatches[][] OpenPatterns(Prepared prepared) =>
        [.. prepared.Segments.Select(segment => prepared.Plan.Patterns.Select(_ => new LeafMatches(prepared.Catalogs[segment.Id])).ToArray())];

    // The built-in corpus stands in where nothing else is there.
    private static IReadOnlyList<SearchedSegment> ChooseSegments(IReadOnlyList<SearchedSegment> found, IReadOnlyList<string>? repositories) =>
        (repositories is null || !repositories.Contains(RepositoryNames.BuiltIn)) && found.Any(segment => segment.Repository != RepositoryNames.BuiltIn)
            ? [.. found.Where(segment => segment.Repository != RepositoryNames.BuiltIn)]
            : found;

    private static Prepared Prepare(
        QueryPlan plan, SearchScope scope, FoundPostings found, IReadOnlyList<SearchedSegment> segments, IReadOnlyDictionary<long, SegmentCatalog> catalogs)
    {
        var sections = segments.Sum(segment => (long)segment.SectionCount);
        var average = sections == 0 ? 1 : (float)segments.Sum(segment => segment.WordCount) / sections;
        var weights = new float[64];
        var bit = 0;
        foreach (var word in plan.Words)
        {
            var term = CodeWords.Term(TermKind.Word, word);
            var count = 0L;
            foreach (var segment in segments)
                if (found.Postings.TryGetValue((segment.Id, term), out var postings))
                    count += PostingsCursor.CountOf(postings);
            // A word that is nowhere weighs nothing: it would only lower every score.
            weights[bit++] = count == 0 ? 0 : (float)Math.Log(1 + ((sections - count + 0.5) / (count + 0.5)));
        }
        return new Prepared(plan, scope, segments, catalogs, found, weights, average);
    }

    private static SegmentScan OpenScan(Prepared prepared, SearchedSegment segment)
    {
        var plan = prepared.Plan;
        var hidden = prepared.Scope.Hidden is { } field && field.SegmentId == segment.Id ? field : null;
        var scan = new SegmentScan(
            prepared.Catalogs[segment.Id], prepared.AverageLength, FileMatcher.NeedsEveryFile(plan.Query.Root, plan), hidden?.Section ?? -1, hidden?.IsName ?? false);
        byte[]? Find(long term) => prepared.Found.Postings.GetValueOrDefault((segment.Id, term));
        var bit = 0;
        foreach (var word in plan.Words)
        {
            var weight = (plan.ScoreMask & (1UL << bit)) == 0 ? 0 : prepared.Weights[bit];
            scan.AddWord(bit++, weight, Find(CodeWords.Term(TermKind.Word, word)), Find(CodeWords.Term(TermKind.Path, word)));
        }
        foreach (var name in plan.Names)
            scan.AddName(name.Share, Find(name.Identifier), Find(name.Symbol));
        return scan;
    }

    private static LeafMatches[] FindSymbols(Prepared prepared, SearchedSegment segment)
    {
        var matches = new LeafMatches[prepared.Plan.Symbols.Count];
        for (var i = 0; i < matches.Length; i++)
        {
            matches[i] = new LeafMatches(prepared.Catalogs[segment.Id]);
            if (prepared.Found.Symbols.TryGetValue((segment.Id, i), out var numbers))
                foreach (var number in numbers)
                    matches[i].Add(number);
            if (prepared.Plan.Symbols[i].IsGlob || !prepared.Found.Postings.TryGetValue((segment.Id, QueryPlan.SymbolTerm(prepared.Plan.Symbols[i])), out var bytes))
                continue;
            for (var postings = new PostingsCursor(bytes, hasFields: false); postings.Number != PostingsCursor.End; postings.Next())
                matches[i].Add(postings.Number);
        }
        return matches;
    }

    // Reads the texts of the files that may have a pattern, and notes the sections that have it. False when the time ran out.
    private async Task<bool> FindPatternsAsync(Prepared prepared, LeafMatches[][] matches, CancellationToken cancellationToken)
    {
        var clock = Stopwatch.StartNew();
        for (var i = 0; i < prepared.Segments.Count; i++)
        {
            var (segment, plan) = (prepared.Segments[i], prepared.Plan);
            var catalog = prepared.Catalogs[segment.Id];
            var candidates = plan.Trigrams.Select(trigrams => FilesWithAll(trigrams, segment, prepared.Found, catalog.FileCount)).ToArray();
            var signatures = plan.Trigrams.Select(SectionSignature.Of).ToArray();
            var ranges = new List<(int First, int End)>();
            var scan = OpenScan(prepared, segment);
            var matcher = new FileMatcher(
                plan, scan, segment.Repository, MatchMode.Strict, (pattern, file) => candidates[pattern]?[file] ?? true, FindSymbols(prepared, segment), patternsDecided: false);
            var possible = matcher.Compile(plan.Query.Root);
            var allowed = CompileScope(prepared.Scope, catalog);
            while (scan.NextFile())
            {
                if (!allowed(scan.File) || !Array.Exists(candidates, one => one?[scan.File] ?? true) || !possible(scan.File))
                    continue;
                for (var section = scan.First; section < scan.End; section++)
                {
                    var wanted = false;
                    for (var pattern = 0; pattern < signatures.Length && !wanted; pattern++)
                        wanted = (candidates[pattern]?[scan.File] ?? true) && catalog.MayHave(section, signatures[pattern]);
                    if (!wanted)
                        continue;
                    if (ranges.Count > 0 && ranges[^1].End == section)
                        ranges[^1] = (ranges[^1].First, section + 1);
                    else
                        ranges.Add((section, section + 1));
                }
            }
            await store.ReadTextsAsync(segment.Id, ranges, (section, text) =>
            {
                for (var pattern = 0; pattern < plan.Patterns.Count; pattern++)
                    if (IsMatch(plan.Patterns[pattern], text))
                        matches[i][pattern].Add(section);
                return clock.Elapsed < options.RegexBudget;
            }, cancellationToken);
            if (clock.Elapsed >= options.RegexBudget)
                return false;
        }
        return true;
    }

    private static bool[]? FilesWithAll(IReadOnlyList<long> trigrams, SearchedSegment segment, FoundPostings found, int files)
    {
        if (trigrams.Count == 0)
            return null;
        var counts = new byte[files];
        foreach (var trigram in trigrams)
        {
            if (!found.Postings.TryGetValue((segment.Id, trigram), out var bytes))
                return new bool[files];
            for (var postings = new PostingsCursor(bytes, hasFields: false); postings.Number != PostingsCursor.End; postings.Next())
                counts[postings.Number]++;
        }
        return Array.ConvertAll(counts, count => count == trigrams.Count);
    }

    private static bool IsMatch(PatternNode pattern, string text)
    {
        if (!pattern.IsPhrase)
            return pattern.Pattern.IsMatch(text);
        // A plain search for the longest word is many times faster than the expression.
        var words = pattern.Source.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        return text.Contains(words.MaxBy(word => word.Length)!, StringComparison.OrdinalIgnoreCase) && (words.Length == 1 || pattern.Pattern.IsMatch(text));
    }

    private static Func<int, bool> CompileScope(SearchScope scope, SegmentCatalog catalog)
    {
        var types = scope.FileTypes.Select(type => (Language: Language.Find(type.TrimStart('.')), Extension: "." + type.TrimStart('.'))).ToArray();
        return file => (scope.Language is null || catalog.Languages[file] == scope.Language)
            && (types.Length == 0 || Array.Exists(types, type => catalog.Languages[file] == type.Language || catalog.Paths[file].EndsWith(type.Extension, StringComparison.OrdinalIgnoreCase)));
    }

    // All sections that match are scored by what the postings tell; the best are kept with their features.
    private static (List<RankedSection> Best, long Total) Scan(Prepared prepared, LeafMatches[][] patterns, MatchMode mode, Genome genome)
    {
        var plan = prepared.Plan;
        var scorer = new SectionScorer(genome, plan.Applicable, prepared.Weights, plan.ScoreMask);
        var best = new BestSections(Math.Max(MinReranked, prepared.Scope.Keep), (float)(prepared.Scope.MinScore * prepared.Scope.MinScore));
        for (var i = 0; i < prepared.Segments.Count; i++)
        {
            var segment = prepared.Segments[i];
            var scan = OpenScan(prepared, segment);
            var (catalog, found, symbols) = (scan.Catalog, patterns[i], FindSymbols(prepared, segment));
            var matches = new FileMatcher(plan, scan, segment.Repository, mode, (pattern, file) => found[pattern].HasFile(file), symbols, patternsDecided: true).Compile(plan.Query.Root);
            var allowed = CompileScope(prepared.Scope, catalog);
            // What only patterns and sym: decide is asked for where there are some.
            var leaves = plan.PositivePatterns.Count + plan.PositiveSymbols.Count > 0;
            while (scan.NextFile())
            {
                if (!allowed(scan.File) || !matches(scan.File))
                    continue;
                var hits = 0;
                for (var section = scan.First; section < scan.End; section++)
                {
                    var pattern = leaves && plan.PositivePatterns.Exists(index => found[index].HasSection(section));
                    var symbol = leaves && plan.PositiveSymbols.Exists(index => symbols[index].HasSection(section));
                    if (!pattern && !symbol && (scan.MaskOf(section) & plan.ScoreMask) == 0)
                        continue;
                    hits++;
                    Consider(section, pattern, symbol);
                }
                // The path alone, or what must not be there, made the file match.
                if (hits == 0 && scan.First < scan.End)
                    Consider(scan.First, pattern: false, symbol: false);
            }

            void Consider(int section, bool pattern, bool symbol)
            {
                var gain = plan.Applicable == 0 ? 1 : scan.BaseGain(section, scorer);
                if (leaves)
                    gain += ((pattern ? scorer.Phrase : 0) + (symbol ? scorer.Definition : 0)) * scorer.Kept[(int)catalog.Roles[scan.File]];
                if (!best.IsBetter(gain))
                    return;
                var features = scan.Features(section, scorer);
                if (pattern)
                    features[(int)RankingFeature.Phrase] = 1;
                if (symbol)
                    features[(int)RankingFeature.Definition] = 1;
                best.Add(gain, new RankedSection(segment, catalog, scan.File, section, (i, section), features) { Score = Math.Sqrt(gain) });
            }
        }
        return (best.ToList(), best.Total);
    }

    // Adds what only the text tells. Scores can only rise, so that hits that were not kept stay behind.
    private async Task<(IReadOnlyList<RankedSection> Ranked, long Added)> RerankAsync(Prepared prepared, List<RankedSection> best, Genome genome, CancellationToken cancellationToken)
    {
        if (best.Count == 0)
            return ([], 0);
        var plan = prepared.Plan;
        var texts = (await store.ReadSectionsAsync([.. best.Select(hit => (hit.Segment.Id, hit.Section))], cancellationToken)).ToDictionary(text => (text.SegmentId, text.Number));
        var weights = new Dictionary<string, float>();
        foreach (var word in plan.Words)
            weights[word] = prepared.Weights[weights.Count];
        var added = 0L;
        var ranked = new List<RankedSection>(best.Count);
        foreach (var hit in best)
        {
            if (!texts.TryGetValue((hit.Segment.Id, hit.Section), out var text))
                continue;
            var shown = prepared.Scope.Hidden is { } hidden && hidden.SegmentId == hit.Segment.Id && hidden.Section == hit.Section ? Hide(text, hidden, hit) : text.Text;
            var symbolLine = text.IsDefinition ? text.SymbolLine - text.FirstLine : 0;
            var match = TextMatcher.Match(shown, plan.Sequence, weights, symbolLine);
            ref var phrase = ref hit.Features[(int)RankingFeature.Phrase];
            phrase = Math.Max(phrase, match.Phrase);
            hit.Features[(int)RankingFeature.Proximity] = match.Proximity;
            if (text is { IsDefinition: true, Symbol: { } symbol } && !IsNameHidden(prepared.Scope.Hidden, hit))
            {
                ref var definition = ref hit.Features[(int)RankingFeature.Definition];
                definition = Math.Max(definition, TextMatcher.ShareOfName(symbol, weights, plan.Sequence));
            }
            var before = hit.Score;
            hit.Score = genome.Score(hit.Features, plan.Applicable);
            hit.Text = text;
            hit.BestLine = LineOf(plan, text, match, symbolLine);
            if (hit.Score < prepared.Scope.MinScore)
                continue;
            if (before < prepared.Scope.MinScore)
                added++;
            ranked.Add(hit);
        }
        ranked.Sort(static (a, b) => a.Score != b.Score ? b.Score.CompareTo(a.Score) : a.Order.CompareTo(b.Order));
        return (ranked.Count > prepared.Scope.Keep ? ranked[..prepared.Scope.Keep] : ranked, added);
    }

    private static bool IsNameHidden(HiddenField? hidden, RankedSection hit) => hidden is { IsName: true } && hidden.SegmentId == hit.Segment.Id && hidden.Section == hit.Section;

    private static string Hide(SectionText text, HiddenField hidden, RankedSection hit) =>
        hidden.IsName
            ? text.Symbol is { } symbol ? text.Text.Replace(symbol, "_", StringComparison.Ordinal) : text.Text
            : TextMatcher.WithoutComments(text.Text, hit.Catalog.Languages[hit.File]);

    private static int LineOf(QueryPlan plan, SectionText text, TextMatch match, int symbolLine)
    {
        foreach (var index in plan.PositivePatterns)
        {
            var found = plan.Patterns[index].Pattern.Match(text.Text);
            if (found.Success)
                return text.Text.AsSpan(0, found.Index).Count('\n');
        }
        return plan.ScoreMask == 0 ? symbolLine : match.BestLine;
    }
}
