using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.IndexAgent;

namespace FunctionsRegistry.Functions.IndexAgent;

/// <summary>spec-dean.md, IndexAgent, "Agent Management"; PATCH and lineage of DEAN's client.</summary>
[Contract(Family.IndexAgent)]
public sealed class AgentFunctions(SearchAgentService service, SearchAgentStore agents)
{
    private const string Base = "indexagent/agents";

    /// <summary>GET /agents.</summary>
    [Function("indexagent_agents_list")]
    [Query("limit?: integer(1..1000), offset?: integer(0..)")]
    [Answers(typeof(AgentListResponse))]
    public async Task<IResult> List(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        var (limit, offset) = Paging.Read(request);
        var (found, total) = await agents.ListAsync(limit, offset, cancellationToken);
        return JsonBody.Create(new AgentListResponse([.. found.Select(agent => agent.ToResponse())], total, limit, offset), IndexAgentJson.Default.AgentListResponse);
    }

    /// <summary>POST /agents.</summary>
    [Function("indexagent_agents_create")]
    [Body("name: string(1..200), language?: string(1..100), capabilities?: string[], parameters?: object")]
    [Answers(typeof(AgentResponse))]
    public async Task<IResult> Create(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var change = new AgentChange(
            fields.Text("name", minLength: 1, maxLength: 200), fields.OptionalText("language", minLength: 1, maxLength: 100),
            fields.OptionalTexts("capabilities", 100, 200), fields.OptionalObject("parameters"), null);
        fields.ThrowIfFaulty();
        return JsonBody.Create((await service.CreateAsync(change, cancellationToken)).ToResponse(), IndexAgentJson.Default.AgentResponse);
    }

    /// <summary>GET /agents/{agent_id}.</summary>
    [Function("indexagent_agents_get")]
    [Answers(typeof(AgentResponse))]
    public async Task<IResult> Get(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/{agentId}")] HttpRequest request, string agentId, CancellationToken cancellationToken)
    {
        var agent = await agents.FindAsync(agentId, cancellationToken) ?? throw IndexAgentErrors.AgentNotFound();
        return JsonBody.Create(agent.ToResponse(), IndexAgentJson.Default.AgentResponse);
    }

    /// <summary>PATCH /agents/{agent_id}: members that are sent are changed, parameters one by one.</summary>
    [Function("indexagent_agents_update")]
    [Body("name?: string(1..200), language?: string(1..100), capabilities?: string[], parameters?: object, status?: active|retired")]
    [Answers(typeof(AgentResponse))]
    public async Task<IResult> Update(
        [HttpTrigger(AuthorizationLevel.Anonymous, "patch", Route = Base + "/{agentId}")] HttpRequest request, string agentId, CancellationToken cancellationToken)
    {
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var change = new AgentChange(
            fields.OptionalText("name", minLength: 1, maxLength: 200), fields.OptionalText("language", minLength: 1, maxLength: 100),
            fields.OptionalTexts("capabilities", 100, 200), fields.OptionalObject("parameters"), fields.OptionalChoice("status", "active", "retired"));
        fields.ThrowIfFaulty();
        return JsonBody.Create((await service.UpdateAsync(agentId, change, cancellationToken)).ToResponse(withUpdatedAt: true), IndexAgentJson.Default.AgentResponse);
    }

    /// <summary>DELETE /agents/{agent_id}.</summary>
    [Function("indexagent_agents_delete")]
    [Answers(typeof(AgentDeletedResponse))]
    public async Task<IResult> Delete(
        [HttpTrigger(AuthorizationLevel.Anonymous, "delete", Route = Base + "/{agentId}")] HttpRequest request, string agentId, CancellationToken cancellationToken)
    {
        if (!await agents.DeleteAsync(agentId, cancellationToken))
            throw IndexAgentErrors.AgentNotFound();
        return JsonBody.Create(new AgentDeletedResponse("deleted", agentId), IndexAgentJson.Default.AgentDeletedResponse);
    }

    /// <summary>GET /agents/{agent_id}/lineage.</summary>
    [Function("indexagent_agents_lineage")]
    [Answers(typeof(LineageResponse))]
    public async Task<IResult> Lineage(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/{agentId}/lineage")] HttpRequest request, string agentId, CancellationToken cancellationToken) =>
        JsonBody.Create(await service.GetLineageAsync(agentId, cancellationToken), IndexAgentJson.Default.LineageResponse);
}
