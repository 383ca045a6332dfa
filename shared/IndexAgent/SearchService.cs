using System.Diagnostics;
using System.IO.Hashing;
using System.Text;
using FunctionsRegistry.Errors;

namespace FunctionsRegistry.IndexAgent;

/// <summary>A search as it was asked for.</summary>
/// <param name="Repositories">Null or empty: all.</param>
/// <param name="Language">A name, an alias, or null.</param>
/// <param name="FileTypes">Languages or extensions; empty: all.</param>
public sealed record SearchRequest(
    string Query, IReadOnlyList<string> Repositories, int Limit, string? Language, double MinScore, IReadOnlyList<string> FileTypes, bool Explain);

/// <summary>Code search.</summary>
public sealed class SearchService(CodeSearch search, SearchStore store, SearchCounters counters, BuiltInCorpus builtIn)
{
    /// <summary>More hits are not given.</summary>
    public const int MaxLimit = 200;

    /// <summary>Searches with a genome.</summary>
    /// <exception cref="RegistryException">422 of a query that cannot be read, or of an unknown language.</exception>
    public async Task<SearchResponse> SearchAsync(SearchRequest request, Genome genome, CancellationToken cancellationToken)
    {
        var start = Stopwatch.GetTimestamp();
        var query = CodeQueryParser.Parse(request.Query);
        Language? language = null;
        if (request.Language is { Length: > 0 } name)
            language = Language.Find(name)
                ?? throw IndexAgentErrors.Invalid(["body", "filters", "language"], $"'{name}' is no known language; did you mean '{Language.Nearest(name)}'?");
        await builtIn.EnsureAsync(cancellationToken);
        var limit = Math.Clamp(request.Limit, 0, MaxLimit);
        var scope = new SearchScope(request.Repositories.Count == 0 ? null : request.Repositories, language, request.FileTypes, limit, request.MinScore);
        var found = await search.RankAsync(new QueryPlan(query), scope, genome, cancellationToken);
        var hits = found.Sections.Where(section => section.Text is not null).Select(section => ToHit(section, genome, found.Applicable, request.Explain)).ToList();
        var missing = request.Repositories.Count == 0 ? [] : request.Repositories.Where(one => !found.Searched.Contains(one)).Distinct().ToList();
        var elapsed = Stopwatch.GetElapsedTime(start);
        await counters.AddAsync(elapsed, cancellationToken);
        return new SearchResponse(
            request.Query, hits, found.Total, (long)Math.Ceiling(elapsed.TotalMilliseconds), found.IsRelaxed, found.IsPartial,
            missing.Count == 0 ? null : new SearchParameters(string.Join(',', found.Searched), missing));
    }

    /// <summary>The state of the whole index.</summary>
    public async Task<IndexStatusResponse> GetStatusAsync(CancellationToken cancellationToken)
    {
        await builtIn.EnsureAsync(cancellationToken);
        return await store.GetStatusAsync(cancellationToken);
    }

    private static SearchHit ToHit(RankedSection section, Genome genome, int applicable, bool explain)
    {
        var text = section.Text!;
        var path = section.Catalog.Paths[section.File];
        var line = text.FirstLine + section.BestLine;
        var id = XxHash32.HashToUInt32(Encoding.UTF8.GetBytes($"{section.Segment.Repository}\n{path}\n{line}"));
        return new SearchHit(
            $"result-{id:x8}", Math.Round(section.Score, 6), section.Segment.Repository, path, line, TextMatcher.Snippet(text.Text, section.BestLine), ContextOf(text, path),
            section.Catalog.Languages[section.File].Name, text.Symbol, explain ? genome.Explain(section.Features, applicable) : null);
    }

    private static string ContextOf(SectionText text, string path)
    {
        if (text.Symbol is null)
            return text.FirstLine == 1 ? $"top of {path}" : $"{path} from line {text.FirstLine} on";
        var name = text.Container is null ? text.Symbol : $"{text.Container}.{text.Symbol}";
        return text.Doc is null ? $"{text.Kind} {name}" : $"{text.Kind} {name}: {text.Doc}";
    }
}
