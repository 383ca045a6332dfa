using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Marketplace;

namespace FunctionsRegistry.Functions.Marketplace;

/// <summary>spec-agentx.md, "User Profiles".</summary>
[Contract(Family.AgentX)]
public sealed class UserFunctions(AgentListStore lists, UserStore users)
{
    /// <summary>GET /users/:username.</summary>
    [Function("users_get"), Public]
    [Answers(typeof(UserProfile))]
    public async Task<IResult> GetUser(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "agentx/api/v1/users/{username}")] HttpRequest request,
        string username, CancellationToken cancellationToken)
    {
        var found = await users.FindProfileAsync(username.TrimStart('@'), cancellationToken) ?? throw MarketplaceErrors.UserNotFound();
        return JsonBody.Cacheable(found.Profile, MarketplaceJson.Default.UserProfile);
    }

    /// <summary>GET /users/:username/agents.</summary>
    [Function("users_agents"), Public]
    [Query("page?: integer(1..), limit?: integer")]
    [Answers(typeof(AgentListResponse))]
    public async Task<IResult> ListUserAgents(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "agentx/api/v1/users/{username}/agents")] HttpRequest request,
        string username, CancellationToken cancellationToken)
    {
        var user = await users.FindProfileAsync(username.TrimStart('@'), cancellationToken) ?? throw MarketplaceErrors.UserNotFound();
        var (page, limit) = AgentQueries.ReadPage(request);
        var found = await lists.ListByAuthorAsync(user.Id, (page - 1) * limit, limit, cancellationToken);
        return JsonBody.Cacheable(new AgentListResponse(found.Agents, found.Total, page, limit, null), MarketplaceJson.Default.AgentListResponse);
    }
}
