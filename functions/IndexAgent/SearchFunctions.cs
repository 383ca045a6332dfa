using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.IndexAgent;

namespace FunctionsRegistry.Functions.IndexAgent;

/// <summary>spec-dean.md, IndexAgent, "Search Operations"; the index's state and trigger of DEAN's client.</summary>
[Contract(Family.IndexAgent)]
public sealed class SearchFunctions(SearchService search, SearchAgentStore agents, IndexService index, RepositoryStore repositories)
{
    /// <summary>POST /search.</summary>
    [Function("indexagent_search")]
    [Body(
        "query: string(..10000), repositories?: string[], limit?: integer, filters?: {language?: string(..100), min_score?: number(0..1)}, " +
        "file_types?: string[], explain?: boolean")]
    [Answers(typeof(SearchResponse))]
    public async Task<IResult> Search(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "indexagent/search")] HttpRequest request, CancellationToken cancellationToken) =>
        JsonBody.Create(
            await search.SearchAsync(await ReadAsync(request, cancellationToken), Genome.Default, cancellationToken), IndexAgentJson.Default.SearchResponse);

    /// <summary>POST /agents/{agent_id}/search, our addition: ranked with the agent's genome.</summary>
    [Function("indexagent_agents_search")]
    [Body(
        "query: string(..10000), repositories?: string[], limit?: integer, filters?: {language?: string(..100), min_score?: number(0..1)}, " +
        "file_types?: string[], explain?: boolean")]
    [Answers(typeof(SearchResponse))]
    public async Task<IResult> SearchAsAgent(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "indexagent/agents/{agentId}/search")] HttpRequest request,
        string agentId, CancellationToken cancellationToken)
    {
        var wanted = await ReadAsync(request, cancellationToken);
        var agent = await agents.FindAsync(agentId, cancellationToken) ?? throw IndexAgentErrors.AgentNotFound();
        return JsonBody.Create(await search.SearchAsync(wanted, agent.Genome, cancellationToken), IndexAgentJson.Default.SearchResponse);
    }

    /// <summary>GET /search/index/status.</summary>
    [Function("indexagent_search_index_status")]
    [Answers(typeof(IndexStatusResponse))]
    public async Task<IResult> Status(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "indexagent/search/index/status")] HttpRequest request, CancellationToken cancellationToken) =>
        JsonBody.Create(await search.GetStatusAsync(cancellationToken), IndexAgentJson.Default.IndexStatusResponse);

    /// <summary>POST /search/index/trigger: indexes the named repositories anew from their archives, or all of them.</summary>
    [Function("indexagent_search_index_trigger")]
    [Body("repositories?: string[], repository?: string(1..100)", IsOptional = true)]
    [Answers(typeof(IndexTriggerResponse))]
    public async Task<IResult> Trigger(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "indexagent/search/index/trigger")] HttpRequest request,
        [DurableClient] DurableTaskClient client, CancellationToken cancellationToken)
    {
        IReadOnlyList<string> wanted = [];
        if (request.ContentLength != 0 && request.HasJsonContentType())
        {
            var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
            wanted = [.. fields.Texts("repositories", 1000, 100), .. fields.OptionalText("repository", 1, 100) is { } one ? [one] : Array.Empty<string>()];
            fields.ThrowIfFaulty();
        }
        IReadOnlyList<string> names = wanted.Count > 0 ? wanted : await repositories.ListNamesAsync(cancellationToken);
        var triggered = new List<string>();
        foreach (var name in names.Distinct())
        {
            try
            {
                await IndexOrchestration.StartAsync(client, await index.ReceiveAgainAsync(name, cancellationToken), cancellationToken);
                triggered.Add(name);
            }
            catch (RegistryException exception) when (exception.Kind == ErrorKind.Conflict && wanted.Count == 0)
            {
                // It is being indexed: what was asked for.
                triggered.Add(name);
            }
        }
        return JsonBody.Create(new IndexTriggerResponse("triggered", triggered), IndexAgentJson.Default.IndexTriggerResponse);
    }

    private static async Task<SearchRequest> ReadAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var query = fields.Text("query", maxLength: 10_000);
        var filters = fields.OptionalFields("filters");
        var wanted = new SearchRequest(
            query, fields.Texts("repositories", 1000, 500), fields.WholeNumber("limit", 10, int.MinValue, int.MaxValue),
            filters?.OptionalText("language", 0, 100), filters?.OptionalNumber("min_score", 0, 1) ?? 0,
            fields.Texts("file_types", 100, 100), fields.OptionalBoolean("explain") ?? false);
        fields.ThrowIfFaulty();
        return wanted;
    }
}
