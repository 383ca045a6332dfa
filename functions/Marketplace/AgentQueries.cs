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
    public static (int Page, int Limit) ReadPage(HttpRequest request, int standard = 20, int max = 100)
    {
        var page = request.GetInteger("page", 1, 1, int.MaxValue);
        var limit = ReadLimit(request, standard, max);
        return (long)page * limit <= DeepestRow || page == 1 ? (page, limit) : throw MarketplaceErrors.PageTooDeep(DeepestRow);
    }

    /// <summary>limit alone.</summary>
    public static int ReadLimit(HttpRequest request, int standard = 20, int max = 100)
    {
        var limit = request.GetInteger("limit", standard, int.MinValue, int.MaxValue);
        return limit == 0 ? standard : Math.Clamp(limit, 1, max);
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

    /// <summary>A page of a search; its cursor carries the row to go on from.</summary>
    public static async Task<IResult> SearchAsync(
        HttpRequest request, AgentSearchService search, string text, AgentSort sort, CancellationToken cancellationToken)
    {
        var (page, limit) = ReadPage(request);
        var offset = ReadCursor(request) is { } cursor
            ? cursor.AgentId == Guid.Empty && cursor.Value is >= 0 and <= DeepestRow ? (int)cursor.Value : throw MarketplaceErrors.InvalidCursor()
            : (page - 1) * limit;
        var found = await search.SearchAsync(text, sort, request.GetText("category", 50), offset, limit, cancellationToken);
        return JsonBody.Cacheable(new AgentListResponse(found.Agents, found.Total, page, limit, found.Next), MarketplaceJson.Default.AgentListResponse);
    }
}
