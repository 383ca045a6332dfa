using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Marketplace;
using FunctionsRegistry.RateLimits;

namespace FunctionsRegistry.Functions.Marketplace;

/// <summary>spec-agentx.md, "Agent Publishing", and stars.</summary>
[Contract(Family.AgentX)]
public sealed class PublishFunctions(AgentService service, AgentStore agents)
{
    private const string Base = "agentx/api/v1/agents";

    /// <summary>PUT /agents: scope and name are the manifest's. What the real client sends since 0.1.1.</summary>
    [Function("agents_publish"), RateLimit(RateLimitPolicy.AgentxPublish)]
    public Task<IResult> Publish(
        [HttpTrigger(AuthorizationLevel.Anonymous, "put", Route = Base)] HttpRequest request, CancellationToken cancellationToken) =>
        PublishAsync(request, null, null, cancellationToken);

    /// <summary>PUT /agents/:scope/:name: the contract's route; the path must be the manifest's.</summary>
    [Function("agents_publish_named"), RateLimit(RateLimitPolicy.AgentxPublish)]
    public Task<IResult> PublishNamed(
        [HttpTrigger(AuthorizationLevel.Anonymous, "put", Route = Base + "/{scope}/{name}")] HttpRequest request,
        string scope, string name, CancellationToken cancellationToken) => PublishAsync(request, scope, name, cancellationToken);

    /// <summary>DELETE /agents/:scope/:name/:version.</summary>
    [Function("agents_unpublish")]
    public async Task<IResult> Unpublish(
        [HttpTrigger(AuthorizationLevel.Anonymous, "delete", Route = Base + "/{scope}/{name}/{version}")] HttpRequest request,
        string scope, string name, string version, CancellationToken cancellationToken)
    {
        await service.UnpublishAsync(request.GetCaller().Name, AgentQueries.Scope(scope), name, version, cancellationToken);
        return JsonBody.Create(new MessageResponse(true, $"Version {version} unpublished"), MarketplaceJson.Default.MessageResponse);
    }

    /// <summary>PUT /agents/:scope/:name/star, our addition.</summary>
    [Function("agents_star")]
    public Task<IResult> Star(
        [HttpTrigger(AuthorizationLevel.Anonymous, "put", Route = Base + "/{scope}/{name}/star")] HttpRequest request,
        string scope, string name, CancellationToken cancellationToken) => SetStarAsync(request, scope, name, true, cancellationToken);

    /// <summary>DELETE /agents/:scope/:name/star, our addition. Sorts before agents_unpublish, whose route "star" would match as a version.</summary>
    [Function("agents_star_remove")]
    public Task<IResult> RemoveStar(
        [HttpTrigger(AuthorizationLevel.Anonymous, "delete", Route = Base + "/{scope}/{name}/star")] HttpRequest request,
        string scope, string name, CancellationToken cancellationToken) => SetStarAsync(request, scope, name, false, cancellationToken);

    private async Task<IResult> SetStarAsync(HttpRequest request, string scope, string name, bool starred, CancellationToken cancellationToken)
    {
        var count = await agents.SetStarAsync(request.GetCaller().Id, AgentQueries.Scope(scope), name, starred, cancellationToken)
            ?? throw MarketplaceErrors.AgentNotFound();
        return JsonBody.Create(new StarResponse(starred, count), MarketplaceJson.Default.StarResponse);
    }

    private async Task<IResult> PublishAsync(HttpRequest request, string? scope, string? name, CancellationToken cancellationToken)
    {
        var caller = request.GetCaller();
        RequestBody.SetLimit(request, RequestBody.UploadLimitBytes);
        StagedTarball? tarball = null;
        var published = false;
        try
        {
            var texts = new Dictionary<string, string>();
            await foreach (var (field, body) in MultipartForm.ReadAsync(request, cancellationToken))
            {
                if (field == "tarball" && tarball is null)
                    tarball = await service.StageAsync(body, cancellationToken);
                else if (field is "agent_yaml" or "readme" or "sha256")
                    texts[field] = await MultipartForm.ReadTextAsync(field, body, cancellationToken);
            }
            if (tarball is null || !texts.TryGetValue("agent_yaml", out var manifest) || manifest.Length == 0 || !texts.TryGetValue("readme", out var readme))
                throw MarketplaceErrors.MissingPublishFields();
            var answer = await service.PublishAsync(
                caller.Id, caller.Name, tarball, manifest, readme, texts.GetValueOrDefault("sha256"), scope, name, cancellationToken);
            published = true;
            return JsonBody.Create(answer, MarketplaceJson.Default.PublishResponse);
        }
        finally
        {
            if (tarball is not null && !published)
                await service.DiscardAsync(tarball);
        }
    }
}
