using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Marketplace;

namespace FunctionsRegistry.Functions.Marketplace;

/// <summary>Stars, our addition to spec-agentx.md, which shows their count.</summary>
[Contract(Family.AgentX)]
public sealed class StarFunctions(AgentStore agents)
{
    /// <summary>PUT /agents/:scope/:name/star, our addition.</summary>
    [Function("agents_star")]
    [Answers(typeof(StarResponse))]
    public Task<IResult> Star(
        [HttpTrigger(AuthorizationLevel.Anonymous, "put", Route = "agentx/api/v1/agents/{scope}/{name}/star")] HttpRequest request,
        string scope, string name, CancellationToken cancellationToken) => SetStarAsync(request, scope, name, true, cancellationToken);

    /// <summary>DELETE /agents/:scope/:name/star, our addition. Sorts before agents_unpublish, whose route "star" would match as a version.</summary>
    [Function("agents_star_remove")]
    [Answers(typeof(StarResponse))]
    public Task<IResult> RemoveStar(
        [HttpTrigger(AuthorizationLevel.Anonymous, "delete", Route = "agentx/api/v1/agents/{scope}/{name}/star")] HttpRequest request,
        string scope, string name, CancellationToken cancellationToken) => SetStarAsync(request, scope, name, false, cancellationToken);

    private async Task<IResult> SetStarAsync(HttpRequest request, string scope, string name, bool starred, CancellationToken cancellationToken)
    {
        var count = await agents.SetStarAsync(request.GetCaller().Id, AgentQueries.Scope(scope), name, starred, cancellationToken)
            ?? throw MarketplaceErrors.AgentNotFound();
        return JsonBody.Create(new StarResponse(starred, count), MarketplaceJson.Default.StarResponse);
    }
}
