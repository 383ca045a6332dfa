using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Marketplace;
using FunctionsRegistry.RateLimits;

namespace FunctionsRegistry.Functions.Marketplace;

/// <summary>spec-agentx.md, "Agent Publishing".</summary>
[Contract(Family.AgentX)]
public sealed class PublishFunctions(AgentService service)
{
    /// <summary>PUT /agents: scope and name are the manifest's. What the real client sends since 0.1.1.</summary>
    [Function("agents_publish"), RateLimit(RateLimitPolicy.AgentxPublish), BodyLimit(50, Setting = "Marketplace:MaxTarballMegabytes")]
    [Body("tarball: binary, agent_yaml: string, readme: string, sha256?: string", ContentType = "multipart/form-data")]
    [Answers(typeof(PublishResponse))]
    public Task<IResult> Publish(
        [HttpTrigger(AuthorizationLevel.Anonymous, "put", Route = "agentx/api/v1/agents")] HttpRequest request, CancellationToken cancellationToken) =>
        ReadAndPublishAsync(request, null, null, cancellationToken);

    /// <summary>PUT /agents/:scope/:name: the contract's route; the path must be the manifest's.</summary>
    [Function("agents_publish_named"), RateLimit(RateLimitPolicy.AgentxPublish), BodyLimit(50, Setting = "Marketplace:MaxTarballMegabytes")]
    [Body("tarball: binary, agent_yaml: string, readme: string, sha256?: string", ContentType = "multipart/form-data")]
    [Answers(typeof(PublishResponse))]
    public Task<IResult> PublishNamed(
        [HttpTrigger(AuthorizationLevel.Anonymous, "put", Route = "agentx/api/v1/agents/{scope}/{name}")] HttpRequest request,
        string scope, string name, CancellationToken cancellationToken) => ReadAndPublishAsync(request, scope, name, cancellationToken);

    /// <summary>DELETE /agents/:scope/:name/:version.</summary>
    [Function("agents_unpublish")]
    [Answers(typeof(MessageResponse))]
    public async Task<IResult> Unpublish(
        [HttpTrigger(AuthorizationLevel.Anonymous, "delete", Route = "agentx/api/v1/agents/{scope}/{name}/{version}")] HttpRequest request,
        string scope, string name, string version, CancellationToken cancellationToken)
    {
        await service.UnpublishAsync(request.GetCaller().Name, AgentQueries.Scope(scope), name, version, cancellationToken);
        return JsonBody.Create(new MessageResponse(true, $"Version {version} unpublished"), MarketplaceJson.Default.MessageResponse);
    }

    private async Task<IResult> ReadAndPublishAsync(HttpRequest request, string? scope, string? name, CancellationToken cancellationToken)
    {
        var caller = request.GetCaller();
        StagedTarball? tarball = null;
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
            var release = new AgentRelease(caller.Id, caller.Name, manifest, readme, texts.GetValueOrDefault("sha256"), scope, name);
            return JsonBody.Create(await service.PublishAsync(release, tarball, cancellationToken), MarketplaceJson.Default.PublishResponse);
        }
        catch (RegistryException) when (tarball is not null)
        {
            // Refused, so no row points to the blob. After any other failure one may: a commit whose answer was lost. That is left to the sweep.
            await service.DiscardAsync(tarball);
            throw;
        }
    }
}
