using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Marketplace;

namespace FunctionsRegistry.Functions.Marketplace;

/// <summary>spec-agentx.md, "Agent Discovery" and "Agent Details".</summary>
[Contract(Family.AgentX)]
public sealed class AgentFunctions(AgentStore agents, AgentListStore lists, AgentSearchService search, AgentService service)
{
    /// <summary>GET /agents: paged by number, or from a cursor.</summary>
    [Function("agents_list"), Public]
    [Query("q?: string(..1000), sort?: downloads|stars|newest|relevance, category?: string(..50), page?: integer(1..), limit?: integer, cursor?: string(..200)")]
    [Answers(typeof(AgentListResponse))]
    public async Task<IResult> List(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "agentx/api/v1/agents")] HttpRequest request, CancellationToken cancellationToken)
    {
        if (request.GetText("q") is { } text)
            return await AgentQueries.SearchAsync(request, search, text, AgentQueries.ReadSort(request, AgentSort.Downloads), cancellationToken);
        var category = request.GetText("category", 50);
        var (page, limit) = AgentQueries.ReadPage(request);
        var offset = (page - 1) * limit;
        var cursor = AgentQueries.ReadCursor(request);
        var found = await lists.ListAsync(AgentQueries.ReadSort(request, AgentSort.Downloads), category, offset, cursor, limit, cancellationToken);
        return JsonBody.Cacheable(new AgentListResponse(found.Agents, found.Total, page, limit, found.Next), MarketplaceJson.Default.AgentListResponse);
    }

    /// <summary>GET /agents/:scope/:name.</summary>
    [Function("agents_detail"), Public]
    [Answers(typeof(AgentDetail))]
    public async Task<IResult> Detail(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "agentx/api/v1/agents/{scope}/{name}")] HttpRequest request,
        string scope, string name, CancellationToken cancellationToken) =>
        JsonBody.Cacheable(
            await agents.FindAsync(AgentQueries.Scope(scope), name, cancellationToken) ?? throw MarketplaceErrors.AgentNotFound(),
            MarketplaceJson.Default.AgentDetail);

    /// <summary>GET /agents/:scope/:name/versions, newest first; page and limit, our addition, for agents of more than 1,000 versions.</summary>
    [Function("agents_versions"), Public]
    [Query("page?: integer(1..), limit?: integer")]
    [Answers(typeof(VersionListResponse))]
    public async Task<IResult> Versions(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "agentx/api/v1/agents/{scope}/{name}/versions")] HttpRequest request,
        string scope, string name, CancellationToken cancellationToken)
    {
        var (page, limit) = AgentQueries.ReadPage(request, standard: 1000, max: 1000);
        var versions = await agents.ListVersionsAsync(AgentQueries.Scope(scope), name, (page - 1) * limit, limit, cancellationToken)
            ?? throw MarketplaceErrors.AgentNotFound();
        return JsonBody.Cacheable(new VersionListResponse(versions), MarketplaceJson.Default.VersionListResponse);
    }

    /// <summary>GET /agents/:scope/:name/download/:version: a download URL; each answer counts as one download.</summary>
    [Function("agents_download"), Public]
    [Answers(typeof(DownloadResponse))]
    public async Task<IResult> Download(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "agentx/api/v1/agents/{scope}/{name}/download/{version}")] HttpRequest request,
        string scope, string name, string version, CancellationToken cancellationToken) =>
        JsonBody.Create(
            await service.GetDownloadAsync(AgentQueries.Scope(scope), name, version, cancellationToken), MarketplaceJson.Default.DownloadResponse);
}
