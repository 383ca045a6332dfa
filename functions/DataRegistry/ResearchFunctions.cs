using FunctionsRegistry.DataRegistry;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.DataRegistry;

/// <summary>spec-dhg.md, "Research Requests".</summary>
[Contract(Family.Dhg)]
public sealed class ResearchFunctions(ResearchStore store)
{
    private const string Base = "dhg/api/v1/research/requests";
    private const int MaxName = 256;

    private static readonly string[] s_statuses = ["pending", "running", "completed", "failed"];

    /// <summary>GET /research/requests: newest first, in numbered pages.</summary>
    [Function("dhg_research_list")]
    [Query("user_id?: string, status?: string, agent_type?: string, page?: integer(1..), page_size?: integer(1..100)")]
    [Answers(typeof(ResearchListResponse))]
    public async Task<IResult> List(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        var query = FieldReader.OfQuery(request);
        var (userId, status, agentType) = (query.Filter("user_id"), query.Filter("status"), query.Filter("agent_type"));
        var (page, pageSize) = (query.WholeNumber("page", 1, 1, int.MaxValue), query.WholeNumber("page_size", 50, 1, 100));
        query.ThrowIfFaulty();
        return JsonBody.Cacheable(
            await store.ListAsync(userId, status, agentType, page, pageSize, cancellationToken), DataRegistryJson.Default.ResearchListResponse);
    }

    /// <summary>POST /research/requests: 201.</summary>
    [Function("dhg_research_create")]
    [Body(
        "user_id: string(..256), agent_type?: string(1..256), input_params: {topic: string, therapeutic_area: string, query_type: string, " +
        "target_audience: string, date_range_from: string, date_range_to: string, specific_questions?: string[], minimum_evidence_level?: string, " +
        "max_results?: integer, use_local_llm?: boolean, output_format?: string, due_date?: time, curriculum_start_date?: time, " +
        "curriculum_end_date?: time, product_name?: string, product_quantity?: integer}")]
    [Answers(typeof(ResearchRequest), 201)]
    public async Task<IResult> Create(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var added = ReadRequest(fields);
        fields.ThrowIfFaulty();
        return JsonBody.Create(await store.InsertAsync(added, cancellationToken), DataRegistryJson.Default.ResearchRequest, StatusCodes.Status201Created);
    }

    /// <summary>GET /research/requests/{request_id}.</summary>
    [Function("dhg_research_get")]
    [Answers(typeof(ResearchRequest))]
    public async Task<IResult> Get(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/{requestId}")] HttpRequest request,
        string requestId, CancellationToken cancellationToken) =>
        JsonBody.Cacheable(
            await store.FindAsync(requestId, cancellationToken) ?? throw DataRegistryErrors.ResearchRequestNotFound(),
            DataRegistryJson.Default.ResearchRequest);

    /// <summary>PATCH /research/requests/{request_id}: what the agent reports; null clears.</summary>
    [Function("dhg_research_update")]
    [Body(
        "status?: pending|running|completed|failed, output_summary?: {gaps_identified?: integer, key_findings_count?: integer, " +
        "citations_count?: integer, evidence_levels?: {*: integer}, output_format_used?: string}, processing_metadata?: {model_used?: string, " +
        "total_tokens?: integer, total_cost?: number, processing_time_seconds?: number, pubmed_results_count?: integer, " +
        "perplexity_results_count?: integer}, error_message?: string, completed_at?: time")]
    [Answers(typeof(ResearchRequest))]
    public async Task<IResult> Update(
        [HttpTrigger(AuthorizationLevel.Anonymous, "patch", Route = Base + "/{requestId}")] HttpRequest request,
        string requestId, CancellationToken cancellationToken)
    {
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var patch = new ResearchPatch(
            fields.Has("status") ? fields.Choice("status", s_statuses) : null,
            fields.Change("output_summary", ReadOutput), fields.Change("processing_metadata", ReadProcessing),
            fields.Change("error_message", (reader, name) => reader.OptionalText(name, maxLength: RegistryRequests.AnyLength)),
            fields.Change("completed_at", (reader, name) => reader.OptionalTime(name)));
        fields.ThrowIfFaulty();
        return JsonBody.Create(await store.UpdateAsync(requestId, patch, cancellationToken), DataRegistryJson.Default.ResearchRequest);
    }

    /// <summary>DELETE /research/requests/{request_id}: 204.</summary>
    [Function("dhg_research_delete")]
    [Answers(204)]
    public async Task<IResult> Delete(
        [HttpTrigger(AuthorizationLevel.Anonymous, "delete", Route = Base + "/{requestId}")] HttpRequest request,
        string requestId, CancellationToken cancellationToken)
    {
        await store.DeleteAsync(requestId, cancellationToken);
        return Results.NoContent();
    }

    /// <summary>The body of a new request; the WebSocket takes the same.</summary>
    internal static NewResearchRequest ReadRequest(FieldReader fields)
    {
        var (userId, agentType) = (fields.Text("user_id", maxLength: MaxName), fields.OptionalText("agent_type", 1, MaxName) ?? "cme_research");
        // Null only with a fault, which ends the request before anybody reads it.
        var input = fields.RequiredFields("input_params") is { } sent ? ReadInput(sent) : null;
        return new NewResearchRequest(userId, agentType, input!);
    }

    private static ResearchInput ReadInput(FieldReader input) => new(
        Text(input, "topic"), Text(input, "therapeutic_area"), Text(input, "query_type"), Text(input, "target_audience"), Text(input, "date_range_from"),
        Text(input, "date_range_to"), input.Texts("specific_questions", maxLength: 10_000), input.OptionalText("minimum_evidence_level") ?? "LEVEL_3",
        input.OptionalInt("max_results") ?? 50, input.OptionalBoolean("use_local_llm") ?? false, input.OptionalText("output_format") ?? "cme_proposal",
        input.OptionalTime("due_date"), input.OptionalTime("curriculum_start_date"), input.OptionalTime("curriculum_end_date"),
        input.OptionalText("product_name"), input.OptionalInt("product_quantity"));

    private static string Text(FieldReader input, string name) => input.Text(name, maxLength: RegistryRequests.AnyLength);

    private static ResearchOutput? ReadOutput(FieldReader fields, string name)
    {
        if (fields.OptionalFields(name) is not { } output)
            return null;
        Dictionary<string, int>? levels = null;
        if (output.OptionalFields("evidence_levels") is { } sent)
        {
            levels = new(StringComparer.Ordinal);
            foreach (var level in sent.Names())
                levels[level] = (int)sent.WholeNumber(level);
        }
        return new ResearchOutput(
            output.OptionalInt("gaps_identified"), output.OptionalInt("key_findings_count"), output.OptionalInt("citations_count"), levels,
            output.OptionalText("output_format_used"));
    }

    private static ResearchProcessing? ReadProcessing(FieldReader fields, string name) =>
        fields.OptionalFields(name) is not { } sent ? null : new ResearchProcessing(
            sent.OptionalText("model_used"), sent.OptionalInt("total_tokens"), sent.OptionalNumber("total_cost"),
            sent.OptionalNumber("processing_time_seconds"), sent.OptionalInt("pubmed_results_count"), sent.OptionalInt("perplexity_results_count"));
}
