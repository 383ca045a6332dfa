namespace FunctionsRegistry.IndexAgent;

/// <summary>Which sections of a segment have a pattern or define a symbol, and so which files.</summary>
internal sealed class LeafMatches(SegmentCatalog catalog)
{
    private readonly HashSet<int> _sections = [];
    private readonly HashSet<int> _files = [];

    public void Add(int section)
    {
        _sections.Add(section);
        _files.Add(catalog.FileOf(section));
    }

    public bool HasSection(int section) => _sections.Contains(section);

    public bool HasFile(int file) => _files.Contains(file);
}

/// <summary>How strictly a query is taken.</summary>
internal enum MatchMode
{
    /// <summary>As written.</summary>
    Strict,

    /// <summary>One bare word of a group suffices: what is done when nothing matches as written.</summary>
    Relaxed,
}

/// <summary>Turns a query's tree into a test of the file that a scan stands on.</summary>
internal sealed class FileMatcher(QueryPlan plan, SegmentScan scan, string repository, MatchMode mode, Func<int, int, bool> patternInFile, LeafMatches[] symbols, bool patternsDecided)
{
    public Func<int, bool> Compile(QueryNode node) => node switch
    {
        WordNode word => CompileWord(plan.MaskOf(word.Text)),
        AllOf all => CompileAll(all),
        AnyOf any => CompileAny(any),
        // While patterns are not decided, a file that might not have one is possible.
        NotOf not when !patternsDecided && QueryPlan.HasPattern(not.Part) => static _ => true,
        NotOf not => CompileNot(Compile(not.Part)),
        PatternNode pattern => CompilePattern(plan.IndexOf(pattern)),
        FieldNode field => CompileField(field),
        _ => throw new InvalidOperationException($"Unknown node {node.GetType().Name}."),
    };

    /// <summary>Whether a file without any of the query's words may match.</summary>
    public static bool NeedsEveryFile(QueryNode node, QueryPlan plan) => node switch
    {
        WordNode word => (plan.MaskOf(word.Text) & ~plan.IgnoredMask) == 0,
        AllOf all => all.Parts.All(part => NeedsEveryFile(part, plan)),
        AnyOf any => any.Parts.Any(part => NeedsEveryFile(part, plan)),
        _ => true,
    };

    private Func<int, bool> CompileWord(ulong mask)
    {
        var ignored = plan.IgnoredMask;
        return mode == MatchMode.Relaxed
            ? _ => mask == 0 || (scan.FileMask & mask) != 0
            : _ => ((scan.FileMask | ignored) & mask) == mask;
    }

    private Func<int, bool> CompileAll(AllOf all)
    {
        var words = all.Parts.OfType<WordNode>().Select(word => plan.MaskOf(word.Text)).Where(mask => (mask & ~plan.IgnoredMask) != 0).Select(CompileWord).ToArray();
        var others = all.Parts.Where(part => part is not WordNode).Select(Compile).ToArray();
        var needed = mode == MatchMode.Relaxed ? Math.Min(1, words.Length) : AllOf.NeededOf(words.Length);
        return file =>
        {
            foreach (var other in others)
                if (!other(file))
                    return false;
            var found = 0;
            foreach (var word in words)
                if (found < needed && word(file))
                    found++;
            return found >= needed;
        };
    }

    private Func<int, bool> CompileAny(AnyOf any)
    {
        var parts = any.Parts.Select(Compile).ToArray();
        return file =>
        {
            foreach (var part in parts)
                if (part(file))
                    return true;
            return false;
        };
    }

    private static Func<int, bool> CompileNot(Func<int, bool> part) => file => !part(file);

    private Func<int, bool> CompilePattern(int pattern) => file => patternInFile(pattern, file);

    private Func<int, bool> CompileField(FieldNode field)
    {
        var catalog = scan.Catalog;
        switch (field.Field)
        {
            case QueryField.Repository:
                var matches = field.Matches(repository);
                return _ => matches;
            case QueryField.Language:
                return file => catalog.Languages[file].Name == field.Value;
            case QueryField.Path:
                return file => field.Matches(catalog.Paths[file]);
            case QueryField.File:
                return file => field.Matches(catalog.Paths[file].AsSpan(catalog.Paths[file].LastIndexOf('/') + 1));
            default:
                var found = symbols[plan.IndexOf(field)];
                return found.HasFile;
        }
    }
}
