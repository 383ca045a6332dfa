using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.IndexAgent;

namespace FunctionsRegistry.Functions.IndexAgent;

/// <summary>Repositories to search: our addition to spec-dean.md.</summary>
[Contract(Family.IndexAgent)]
public sealed class RepositoryFunctions(IndexService index, RepositoryStore repositories)
{
    private const string Base = "indexagent/repositories";

    /// <summary>PUT /repositories/{name}: a .tar.gz, or JSON <c>{"url": "https://..."}</c>. Answers 202; searches see the old index until the new one is whole.</summary>
    [Function("indexagent_repositories_put"), BodyLimit(256, Setting = "IndexAgent:MaxArchiveMegabytes")]
    [Body("url: string(1..2000)")]
    [Body("binary", ContentType = "application/gzip")]
    [Answers(typeof(RepositoryResponse), 202)]
    public async Task<IResult> Put(
        [HttpTrigger(AuthorizationLevel.Anonymous, "put", Route = Base + "/{name}")] HttpRequest request,
        string name, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken)
    {
        long generation;
        if (request.HasJsonContentType())
        {
            var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
            var url = fields.Text("url", 1, 2000);
            fields.ThrowIfFaulty();
            generation = await index.ReceiveUrlAsync(name, url, cancellationToken);
        }
        else
        {
            generation = await index.ReceiveAsync(name, request.Body, cancellationToken);
        }
        // From here on the row is there: a sweep starts what a crash keeps from being started.
        await IndexOrchestration.StartAsync(client, generation, cancellationToken);
        var repository = await repositories.FindAsync(name, cancellationToken) ?? throw IndexAgentErrors.RepositoryNotFound();
        return JsonBody.Create(repository, IndexAgentJson.Default.RepositoryResponse, StatusCodes.Status202Accepted);
    }

    /// <summary>GET /repositories.</summary>
    [Function("indexagent_repositories_list")]
    [Query("limit?: integer(1..1000), offset?: integer(0..)")]
    [Answers(typeof(RepositoryListResponse))]
    public async Task<IResult> List(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        var (limit, offset) = Paging.Read(request);
        var (found, total) = await repositories.ListAsync(limit, offset, cancellationToken);
        return JsonBody.Create(new RepositoryListResponse(found, total, limit, offset), IndexAgentJson.Default.RepositoryListResponse);
    }

    /// <summary>GET /repositories/{name}.</summary>
    [Function("indexagent_repositories_get")]
    [Answers(typeof(RepositoryResponse))]
    public async Task<IResult> Get(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/{name}")] HttpRequest request, string name, CancellationToken cancellationToken)
    {
        var repository = await repositories.FindAsync(name, cancellationToken) ?? throw IndexAgentErrors.RepositoryNotFound();
        return JsonBody.Create(repository, IndexAgentJson.Default.RepositoryResponse);
    }

    /// <summary>DELETE /repositories/{name}: its index and its archives.</summary>
    [Function("indexagent_repositories_delete")]
    [Answers(typeof(RepositoryDeletedResponse))]
    public async Task<IResult> Delete(
        [HttpTrigger(AuthorizationLevel.Anonymous, "delete", Route = Base + "/{name}")] HttpRequest request, string name, CancellationToken cancellationToken)
    {
        await index.DeleteAsync(name, cancellationToken);
        return JsonBody.Create(new RepositoryDeletedResponse("deleted", name), IndexAgentJson.Default.RepositoryDeletedResponse);
    }
}
