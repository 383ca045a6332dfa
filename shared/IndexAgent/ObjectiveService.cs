using System.Collections.Concurrent;
using FunctionsRegistry.Evolution;

namespace FunctionsRegistry.IndexAgent;

/// <summary>
/// Makes objectives: takes documentation comments and test names of a repository, hides each from the index, searches for it, and keeps what ranking
/// saw. Made once per index and seed; measuring a genome then takes no database. Texts whose symbol no search can find without them are left out.
/// </summary>
public sealed class ObjectiveService(SearchStore store, CodeSearch search, BuiltInCorpus builtIn)
{
    /// <summary>Queries that fitness is measured on, where the repository has as many: of a third, the draw would decide more than the genome.</summary>
    public const int QueryCount = 120;

    private const int HeldOutCount = 120;
    private const int MaxKept = 32;

    // A text of fewer words that tell something, or that shares fewer of them with its symbol's code and path, says nothing that a search could find the
    // symbol by: it would measure the comment's author, not the genome.
    private const int LeastWords = 3;
    private const double LeastShared = 0.4;

    // Candidates come from two searches: as the default ranks, and by code alone. What neither finds is out of any genome's reach.
    private const int CandidatesPerSearch = 64;
    private static readonly Genome[] s_searches = [Genome.Default, new([1, 0, 0, 0, 0.2, 0.5, 0, 0, 0, 0, 0, 0])];

    private readonly ConcurrentDictionary<(long Generation, long Seed), Lazy<Task<Objective>>> _kept = new();

    /// <summary>The objective on a repository, or on the built-in corpus where it is not indexed or null.</summary>
    public async Task<Objective> GetAsync(string? repository, long seed, CancellationToken cancellationToken)
    {
        var generation = repository is null ? null : await store.FindGenerationAsync(repository, cancellationToken);
        var corpus = generation is null ? RepositoryNames.BuiltIn : repository!;
        if (generation is null)
        {
            await builtIn.EnsureAsync(cancellationToken);
            generation = await store.FindGenerationAsync(RepositoryNames.BuiltIn, cancellationToken);
        }
        if (_kept.Count > MaxKept)
            _kept.Clear();
        // One maker for all who ask at the same time; it does not end with the first of them.
        var key = (generation!.Value, seed);
        var task = _kept.GetOrAdd(key, _ => new Lazy<Task<Objective>>(() => MakeAsync(corpus, key.Value, seed))).Value;
        try
        {
            return await task.WaitAsync(cancellationToken);
        }
        catch when (task.IsFaulted)
        {
            _kept.TryRemove(key, out _);
            throw;
        }
    }

    private async Task<Objective> MakeAsync(string corpus, long generation, long seed)
    {
        const int Wanted = QueryCount + HeldOutCount;
        var known = (await store.ListAnswersAsync(generation, seed, 8 * Wanted, CancellationToken.None)).Where(CanBeFound).ToList();
        var found = new List<ObjectiveQuery>(Wanted);
        for (var from = 0; from < known.Count && found.Count < Wanted; from += Wanted)
        {
            var asked = known.Skip(from).Take(Wanted).ToList();
            var queries = new ObjectiveQuery?[asked.Count];
            await Parallel.ForEachAsync(Enumerable.Range(0, asked.Count), new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (i, token) => queries[i] = await AskAsync(corpus, asked[i], token));
            found.AddRange(queries.OfType<ObjectiveQuery>().Take(Wanted - found.Count));
        }
        // Few queries: half of them.
        var count = Math.Min(QueryCount, (found.Count + 1) / 2);
        return new Objective(corpus, found[..count], found[count..]);
    }

    private async Task<ObjectiveQuery?> AskAsync(string corpus, KnownAnswer known, CancellationToken cancellationToken)
    {
        // Only its words: the text is prose, not a query.
        var words = CodeWords.IdentifiersOf(known.Text).Take(CodeQueryParser.MaxWords).ToList();
        QueryNode root = words.Count == 1 ? new WordNode(words[0]) : new AllOf([.. words.Select(word => new WordNode(word))]);
        var plan = new QueryPlan(new CodeQuery(root, words));
        var scope = new SearchScope([corpus], null, [], CandidatesPerSearch, 0, new HiddenField(known.SegmentId, known.Section, known.IsName), MatchMode.Relaxed);
        var candidates = (await search.FindCandidatesAsync(plan, scope, s_searches, cancellationToken)).ToList();
        var features = new float[candidates.Count * Genome.Length];
        for (var i = 0; i < candidates.Count; i++)
            candidates[i].Features.CopyTo(features, i * Genome.Length);
        var answer = candidates.FindIndex(section => section.Segment.Id == known.SegmentId && section.Section == known.Section);
        // Shared words that everything has do not lead to the symbol either.
        return answer < 0 || candidates[answer].Features[(int)RankingFeature.Coverage] < LeastShared ? null : new ObjectiveQuery(known.Text, answer, plan.Applicable, features);
    }

    private static bool CanBeFound(KnownAnswer known)
    {
        var asked = CodeWords.IdentifiersOf(known.Text).Where(word => !CodeWords.IsFrequent(word)).SelectMany(word => CodeWords.StemsOf(word)).Distinct().ToList();
        var shown = known.IsName ? known.Content.Replace(known.Symbol, "", StringComparison.Ordinal) : TextMatcher.WithoutComments(known.Content, known.Language);
        var has = CodeWords.StemsOf(shown).Concat(CodeWords.StemsOf(known.Path)).ToHashSet();
        return asked.Count >= LeastWords && asked.Count(has.Contains) >= LeastShared * asked.Count;
    }
}
