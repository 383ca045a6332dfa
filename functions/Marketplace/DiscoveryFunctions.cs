using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Marketplace;

namespace FunctionsRegistry.Functions.Marketplace;

/// <summary>spec-agentx.md, "Agent Discovery" beside the plain list: /search, /trending, /categories.</summary>
[Contract(Family.AgentX)]
public sealed class DiscoveryFunctions(AgentSearchService search, AgentListStore lists)
{
    /// <summary>GET /search: relevance unless a sort is asked for.</summary>
    [Function("discovery_search"), Public]
    [Query("q: string(1..1000), sort?: downloads|stars|newest|relevance, category?: string(..50), page?: integer(1..), limit?: integer, cursor?: string(..200)")]
    [Answers(typeof(AgentListResponse))]
    public Task<IResult> Search(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "agentx/api/v1/search")] HttpRequest request, CancellationToken cancellationToken)
    {
        var text = request.GetText("q");
        if (string.IsNullOrWhiteSpace(text))
            throw MarketplaceErrors.MissingQuery();
        return AgentQueries.SearchAsync(request, search, text, AgentQueries.ReadSort(request, AgentSort.Relevance), cancellationToken);
    }

    /// <summary>GET /trending.</summary>
    [Function("discovery_trending"), Public]
    [Query("period?: day|week|month, limit?: integer")]
    [Answers(typeof(AgentListResponse))]
    public async Task<IResult> Trending(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "agentx/api/v1/trending")] HttpRequest request, CancellationToken cancellationToken)
    {
        var period = request.GetText("period", 50) switch
        {
            "day" => TimeSpan.FromDays(1),
            null or "week" => TimeSpan.FromDays(7),
            "month" => TimeSpan.FromDays(30),
            _ => throw MarketplaceErrors.InvalidPeriod(),
        };
        var limit = AgentQueries.ReadLimit(request);
        var found = await lists.ListTrendingAsync(period, limit, cancellationToken);
        return JsonBody.Cacheable(new AgentListResponse(found.Agents, found.Total, 1, limit, null), MarketplaceJson.Default.AgentListResponse);
    }

    /// <summary>GET /categories: all ten, the fullest first.</summary>
    [Function("discovery_categories"), Public]
    [Answers(typeof(CategoryListResponse))]
    public async Task<IResult> ListCategories(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "agentx/api/v1/categories")] HttpRequest request, CancellationToken cancellationToken)
    {
        var counts = await lists.CountByCategoryAsync(cancellationToken);
        var categories = Categories.All.Select(pair => new CategorySummary(pair.Key, pair.Value, counts.GetValueOrDefault(pair.Key)))
            .OrderByDescending(category => category.Count).ToList();
        return JsonBody.Cacheable(new CategoryListResponse(categories), MarketplaceJson.Default.CategoryListResponse);
    }
}
