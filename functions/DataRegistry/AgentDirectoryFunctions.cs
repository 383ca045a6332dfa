using System.Buffers;
using FunctionsRegistry.DataRegistry;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Json;

namespace FunctionsRegistry.Functions.DataRegistry;

/// <summary>spec-dhg.md, "Agent Registry".</summary>
[Contract(Family.Dhg)]
public sealed class AgentDirectoryFunctions(AgentDirectoryStore store)
{
    private const string Base = "dhg/api/v1/agents";

    private static readonly string[] s_divisions = ["DHG CME", "DHG Studios", "DHG AI", "DHG Productions", "Streamcubation"];
    private static readonly string[] s_types = ["research_agent", "content_agent", "automation_agent", "analysis_agent", "orchestrator"];
    private static readonly string[] s_deploymentTypes = ["langsmith_cloud", "self_hosted", "local_dev"];
    private static readonly string[] s_statuses = ["healthy", "degraded", "unhealthy"];

    // Paths under /agents that are no agents.
    private static readonly string[] s_reservedIds = ["discover", "models", "register"];
    private static readonly SearchValues<char> s_idCharacters = SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789-");

    /// <summary>GET /agents: by id; {agents, total}, and our <c>next</c> where there are more.</summary>
    [Function("dhg_agents_list")]
    [Query("division?: string, type?: string, deployment_type?: string, status?: string, cursor?: string(..255)")]
    [Answers(typeof(AgentListResponse))]
    public async Task<IResult> List(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        var query = FieldReader.OfQuery(request);
        var (division, type) = (query.Filter("division"), query.Filter("type"));
        var (deploymentType, status) = (query.Filter("deployment_type"), query.Filter("status"));
        var after = query.OptionalText("cursor", maxLength: 255);
        query.ThrowIfFaulty();
        return JsonBody.Cacheable(
            await store.ListAsync(division, type, deploymentType, status, after, cancellationToken), DataRegistryJson.Default.AgentListResponse);
    }

    /// <summary>POST /agents/register: 200 whether it is new or replaces an earlier one.</summary>
    [Function("dhg_agents_register")]
    [Body(
        "service: {id: string(1..255), name: string(..255), version: string(..50), " +
        "division: DHG CME|DHG Studios|DHG AI|DHG Productions|Streamcubation, " +
        "type: research_agent|content_agent|automation_agent|analysis_agent|orchestrator, description?: string, " +
        "deployment_type?: langsmith_cloud|self_hosted|local_dev, deployment_url?: string, langsmith_deployment_id?: string(..255), " +
        "langsmith_org?: string(..255), github_repo?: string(..255), github_branch?: string(..100), github_path?: string(..255), endpoint?: string}, " +
        "capabilities?: {primary?: string[], secondary?: string[]}, io_schema?: {inputs?: object, outputs?: object}, models?: {*: {provider: string, " +
        "model_id: string, status: string, use_cases?: string[], cost?: {*: number}, context_window?: integer, max_output?: integer, " +
        "local?: boolean, requires?: string}}, external_apis?: {name: string, type: string, endpoint: string, auth_required?: boolean, " +
        "rate_limit?: string}[], observability?: {langsmith_project: string(..1000), tracing?: boolean}")]
    [Answers(typeof(AgentStatusResponse))]
    public async Task<IResult> Register(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/register")] HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var registration = ReadRegistration(fields);
        fields.ThrowIfFaulty();
        var id = registration.Service.Id;
        var answer = await store.UpsertAsync(registration, cancellationToken)
            ? new AgentStatusResponse("registered", id, $"Agent {id} registered successfully")
            : new AgentStatusResponse("updated", id, $"Agent {id} registration updated");
        return JsonBody.Create(answer, DataRegistryJson.Default.AgentStatusResponse);
    }

    /// <summary>POST /agents/{service_id}/heartbeat.</summary>
    [Function("dhg_agents_heartbeat")]
    [Body(
        "timestamp?: time, status: healthy|degraded|unhealthy, models?: object, metrics?: {requests_total?: integer(0..), " +
        "requests_success?: integer(0..), requests_failed?: integer(0..), avg_latency_ms?: number(0..), total_tokens?: integer(0..), " +
        "total_cost_usd?: number(0..)}, langsmith_deployment_status?: string(..50), langsmith_traces_count?: integer, deployment_tier?: string(..50)")]
    [Answers(typeof(HeartbeatResponse))]
    public async Task<IResult> Heartbeat(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/{serviceId}/heartbeat")] HttpRequest request,
        string serviceId, CancellationToken cancellationToken)
    {
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        // Checked and not used: the time of a heartbeat is ours.
        fields.OptionalTime("timestamp");
        var (status, models, metrics) = (fields.Choice("status", s_statuses), fields.RawObject("models"), fields.OptionalFields("metrics"));
        var beat = new AgentHeartbeat(
            status, models, metrics?.WholeNumber("requests_total", 0, 0, int.MaxValue) ?? 0, metrics?.WholeNumber("requests_success", 0, 0, int.MaxValue) ?? 0,
            metrics?.WholeNumber("requests_failed", 0, 0, int.MaxValue) ?? 0, metrics?.OptionalNumber("avg_latency_ms", 0) ?? 0,
            metrics?.WholeNumber("total_tokens", 0, 0, int.MaxValue) ?? 0, metrics?.OptionalNumber("total_cost_usd", 0) ?? 0,
            fields.OptionalText("langsmith_deployment_status", maxLength: 50), fields.OptionalInt("langsmith_traces_count"),
            fields.OptionalText("deployment_tier", maxLength: 50));
        fields.ThrowIfFaulty();
        var at = await store.InsertHeartbeatAsync(serviceId, beat, cancellationToken);
        return JsonBody.Create(new HeartbeatResponse("received", serviceId, at), DataRegistryJson.Default.HeartbeatResponse);
    }

    /// <summary>GET /agents/{service_id}.</summary>
    [Function("dhg_agents_get")]
    [Answers(typeof(RegisteredAgent))]
    public async Task<IResult> Get(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/{serviceId}")] HttpRequest request,
        string serviceId, CancellationToken cancellationToken) =>
        JsonBody.Cacheable(
            await store.FindAsync(serviceId, cancellationToken) ?? throw DataRegistryErrors.AgentNotFound(serviceId), DataRegistryJson.Default.RegisteredAgent);

    /// <summary>DELETE /agents/{service_id}.</summary>
    [Function("dhg_agents_delete")]
    [Answers(typeof(AgentStatusResponse))]
    public async Task<IResult> Delete(
        [HttpTrigger(AuthorizationLevel.Anonymous, "delete", Route = Base + "/{serviceId}")] HttpRequest request,
        string serviceId, CancellationToken cancellationToken)
    {
        await store.DeleteAsync(serviceId, cancellationToken);
        return JsonBody.Create(
            new AgentStatusResponse("deregistered", serviceId, $"Agent {serviceId} deregistered successfully"), DataRegistryJson.Default.AgentStatusResponse);
    }

    /// <summary>GET /agents/models/list: models of healthy agents.</summary>
    [Function("dhg_agents_models")]
    [Query("provider?: string, local?: boolean, status?: string")]
    [Answers(typeof(ModelListResponse))]
    public async Task<IResult> ListModels(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/models/list")] HttpRequest request, CancellationToken cancellationToken)
    {
        var query = FieldReader.OfQuery(request);
        var (provider, local, status) = (query.Filter("provider"), query.OptionalBoolean("local"), query.Filter("status"));
        query.ThrowIfFaulty();
        return JsonBody.Cacheable(await store.ListModelsAsync(provider, local, status, cancellationToken), DataRegistryJson.Default.ModelListResponse);
    }

    /// <summary>GET /agents/discover: the capability is optional here.</summary>
    [Function("dhg_agents_discover")]
    [Query("capability?: string, prefer_local?: boolean, max_cost?: number, deployment_type?: string")]
    [Answers(typeof(AgentListResponse))]
    public Task<IResult> Discover(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/discover")] HttpRequest request, CancellationToken cancellationToken)
    {
        var query = FieldReader.OfQuery(request);
        return DiscoverAsync(query, query.Filter("capability"), cancellationToken);
    }

    /// <summary>POST /agents/discover: the original's form.</summary>
    [Function("dhg_agents_discover_by_body")]
    [Body("capability: string, prefer_local?: boolean, max_cost?: number, deployment_type?: string")]
    [Answers(typeof(AgentListResponse))]
    public async Task<IResult> DiscoverByBody(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/discover")] HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        return await DiscoverAsync(fields, fields.Text("capability"), cancellationToken);
    }

    private async Task<IResult> DiscoverAsync(FieldReader fields, string? capability, CancellationToken cancellationToken)
    {
        var search = new AgentSearch(
            capability, fields.OptionalBoolean("prefer_local") ?? false, fields.OptionalNumber("max_cost"), fields.Filter("deployment_type"));
        fields.ThrowIfFaulty();
        return JsonBody.Create(await store.DiscoverAsync(search, cancellationToken), DataRegistryJson.Default.AgentListResponse);
    }

    private static AgentRegistration ReadRegistration(FieldReader fields)
    {
        // Null only with a fault, which ends the request before anybody reads it.
        var profile = fields.RequiredFields("service") is { } service ? ReadProfile(service) : null;
        var capabilities = fields.OptionalFields("capabilities");
        var observability = fields.OptionalFields("observability");
        return new AgentRegistration(
            profile!,
            capabilities is null ? null : new AgentCapabilities(capabilities.Texts("primary"), capabilities.Texts("secondary")),
            ReadSchema(fields),
            ReadModels(fields),
            [.. fields.ListOfFields("external_apis").Select(ReadExternalApi)],
            observability is null
                ? null
                : new AgentObservability(observability.Text("langsmith_project", maxLength: 1_000), observability.OptionalBoolean("tracing") ?? true));
    }

    private static AgentProfile ReadProfile(FieldReader service)
    {
        var id = service.Text("id", 1, 255);
        if (id.AsSpan().ContainsAnyExcept(s_idCharacters))
            service.Fault("id", "string does not match regex \"^[a-z0-9-]+$\"", "value_error.str.regex");
        else if (s_reservedIds.Contains(id))
            service.Fault("id", $"must not be one of {string.Join(", ", s_reservedIds)}");
        return new AgentProfile(
            id, service.Text("name", maxLength: 255), service.Text("version", maxLength: 50), service.Choice("division", s_divisions),
            service.Choice("type", s_types), service.OptionalText("description", maxLength: RegistryRequests.AnyLength),
            service.OptionalChoice("deployment_type", s_deploymentTypes) ?? "langsmith_cloud", service.OptionalText("deployment_url"),
            service.OptionalText("langsmith_deployment_id", maxLength: 255), service.OptionalText("langsmith_org", maxLength: 255),
            service.OptionalText("github_repo", maxLength: 255), service.Has("github_branch") ? service.OptionalText("github_branch", maxLength: 100) : "main",
            service.OptionalText("github_path", maxLength: 255), service.OptionalText("endpoint"));
    }

    private static RawJson? ReadSchema(FieldReader fields)
    {
        if (fields.OptionalFields("io_schema") is not { } schema)
            return null;
        var (inputs, outputs) = (schema.RawObject("inputs")?.Text ?? "{}", schema.RawObject("outputs")?.Text ?? "{}");
        return new RawJson($"{{\"inputs\":{inputs},\"outputs\":{outputs}}}");
    }

    private static Dictionary<string, AgentModel> ReadModels(FieldReader fields)
    {
        var models = new Dictionary<string, AgentModel>(StringComparer.Ordinal);
        if (fields.OptionalFields("models") is not { } all)
            return models;
        foreach (var name in all.Names())
            if (all.RequiredFields(name) is { } model)
                models[name] = ReadModel(model);
        return models;
    }

    private static AgentModel ReadModel(FieldReader model)
    {
        var cost = new Dictionary<string, double>(StringComparer.Ordinal);
        if (model.OptionalFields("cost") is { } costs)
            foreach (var name in costs.Names())
                cost[name] = costs.Number(name);
        return new AgentModel(
            model.Text("provider"), model.Text("model_id"), model.Text("status"), model.Texts("use_cases"), cost, model.OptionalInt("context_window"),
            model.OptionalInt("max_output"), model.OptionalBoolean("local") ?? false, model.OptionalText("requires"));
    }

    private static ExternalApi ReadExternalApi(FieldReader api) => new(
        api.Text("name"), api.Text("type"), api.Text("endpoint"), api.OptionalBoolean("auth_required") ?? false, api.OptionalText("rate_limit"));
}
