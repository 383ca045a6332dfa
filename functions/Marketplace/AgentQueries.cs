using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Marketplace;

namespace FunctionsRegistry.Functions.Marketplace;

/// <summary>What the marketplace's lists have in common: their parameters and the search behind two of them.</summary>
internal static class AgentQueries
{
    private const int DeepestRow = 10_000;

    /// <summary>A route's scope with its '@'; one that no user can have is an agent that is not there.</summary>
    public static string Scope(string text) => AgentNames.TryScope(text, out var scope) ? scope : throw MarketplaceErrors.AgentNotFound();

    /// <summary>page and limit; a limit is clamped to 1..100 and 0 means the default, as the original does for all its lists.</summary>
    public static (int Page, int Limit) ReadPage(HttpRequest request)
    {
        var page = request.GetInteger("page", 1, 1, int.MaxValue);
        var limit = ReadLimit(request);
        return (long)page * limit <= DeepestRow || page == 1 ? (page, limit) : throw MarketplaceErrors.PageTooDeep(DeepestRow);
    }

    /// <summary>limit alone.</summary>
    public static int ReadLimit(HttpRequest request)
    {
        var limit = request.GetInteger("limit", 20, int.MinValue, int.MaxValue);
        return limit == 0 ? 20 : Math.Clamp(limit, 1, 100);
    }

    /// <summary>sort, or the list's own order.</summary>
    public static AgentSort ReadSort(HttpRequest request, AgentSort standard) => request.GetText("sort", 50) switch
    {
        null => standard,
        "downloads" => AgentSort.Downloads,
        "stars" => AgentSort.Stars,
        "newest" => AgentSort.Newest,
        "relevance" => AgentSort.Relevance,
        _ => throw MarketplaceErrors.InvalidSort(),
    };

    /// <summary>cursor, our addition: the <c>next</c> of an earlier answer with the same sort.</summary>
    public static AgentCursor? ReadCursor(HttpRequest request) =>
        request.GetText("cursor", 200) is { } text ? AgentCursor.Parse(text) ?? throw MarketplaceErrors.InvalidCursor() : null;

    /// <summary>Full text; where nothing matches, names that look alike.</summary>
    public static async Task<IResult> SearchAsync(
        AgentListStore lists, string text, AgentSort sort, string? category, int page, int limit, CancellationToken cancellationToken)
    {
        var found = SearchQuery.ToTsQuery(text) is { } query
            ? await lists.SearchAsync(query, sort, category, (page - 1) * limit, limit, cancellationToken)
            : ([], 0, null);
        if (found.Total == 0)
            found = await lists.SearchSimilarAsync(text, category, limit, cancellationToken);
        return JsonBody.Cacheable(new AgentListResponse(found.Agents, found.Total, page, limit, null), MarketplaceJson.Default.AgentListResponse);
    }
}
