using System.Text.Json;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.ModelRegistry;
using FunctionsRegistry.ModelRegistry.Dspy;

namespace FunctionsRegistry.Functions.ModelRegistry;

/// <summary>spec-hokusai.md, "DSPy Pipeline Endpoints"; storing and deleting programs and event streams are our additions.</summary>
[Contract(Family.Hokusai)]
public sealed class DspyFunctions(DspyProgramService programs, DspyService dspy, DspyStore store)
{
    internal const string Base = "hokusai/api/v1/dspy";
    internal const int StandardTimeoutSeconds = 300;
    internal const int MaxTimeoutSeconds = 600;
    private const int MaxInputs = 1000;

    /// <summary>POST /execute: 200 also where the program failed. With "stream": true events "delta" with a field's next text, then "result" with the answer.</summary>
    [Function("hokusai_dspy_execute")]
    [Body("program_id?: string(..200), inputs: object, mode?: normal|dry_run|debug, timeout?: integer(1..600), stream?: boolean")]
    [Answers(typeof(DspyExecution))]
    [Answers("text/event-stream")]
    public async Task<IResult> Execute(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/execute")] HttpRequest request, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelRead);
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var id = fields.OptionalText("program_id", 0, 200);
        var inputs = fields.OptionalObject("inputs");
        if (inputs is null && !fields.Has("inputs"))
            fields.Fault("inputs", "field required", "value_error.missing");
        else if (inputs is null)
            fields.Fault("inputs", "value is not a valid dict", "type_error.dict");
        var (mode, timeout, stream) = (fields.OptionalChoice("mode", DspyService.Modes) ?? "normal", ReadTimeout(fields), fields.OptionalBoolean("stream") ?? false);
        fields.ThrowIfFaulty();
        var call = await dspy.PrepareAsync(string.IsNullOrEmpty(id) ? throw DspyErrors.ProgramRequired() : id, mode, timeout, cancellationToken);
        if (!stream)
            return JsonBody.Create(await dspy.ExecuteAsync(call, inputs!.Value, null, null, cancellationToken), DspyJson.Default.DspyExecution);
        return new EventsBody(async (write, token) =>
        {
            var execution = await dspy.ExecuteAsync(
                call, inputs!.Value, null, delta => write("delta", JsonSerializer.SerializeToUtf8Bytes(delta, DspyJson.Default.DspyDelta)), token);
            await write("result", JsonSerializer.SerializeToUtf8Bytes(execution, DspyJson.Default.DspyExecution));
        });
    }

    /// <summary>POST /execute/batch: each of the inputs by itself, in their order.</summary>
    [Function("hokusai_dspy_execute_batch")]
    [Body("program_id: string(1..200), inputs_list: object[], timeout?: integer(1..600)")]
    [Answers(typeof(DspyBatchResponse))]
    public async Task<IResult> ExecuteBatch(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/execute/batch")] HttpRequest request, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelRead);
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var id = fields.Text("program_id", 1, 200);
        if (!fields.Has("inputs_list"))
            fields.Fault("inputs_list", "field required", "value_error.missing");
        var inputs = fields.ListOfFields("inputs_list", MaxInputs).Select(one => one.Json).ToList();
        // Checked once more as a whole: a list of objects does not look into them.
        fields.OptionalJson("inputs_list");
        var timeout = ReadTimeout(fields);
        fields.ThrowIfFaulty();
        var call = await dspy.PrepareAsync(id, "normal", timeout, cancellationToken);
        return JsonBody.Create(await dspy.ExecuteBatchAsync(call, inputs, cancellationToken), DspyJson.Default.DspyBatchResponse);
    }

    /// <summary>GET /programs: a bare list, by id; limit and after (an id) page through it.</summary>
    [Function("hokusai_dspy_programs_list")]
    [Query("limit?: integer(1..1000), after?: string(..200)")]
    [Answers(typeof(IReadOnlyList<DspyProgramSummary>))]
    public async Task<IResult> ListPrograms(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/programs")] HttpRequest request, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelRead);
        var query = FieldReader.OfQuery(request);
        var (limit, after) = (query.WholeNumber("limit", 1000, 1, 1000), query.OptionalText("after", 0, 200) ?? "");
        query.ThrowIfFaulty();
        return JsonBody.Create(await programs.ListAsync(after, limit, cancellationToken), DspyJson.Default.IReadOnlyListDspyProgramSummary);
    }

    /// <summary>GET /programs/{id}: the newest revision, or that of id@revision.</summary>
    [Function("hokusai_dspy_programs_get")]
    [Answers(typeof(DspyProgramDetail))]
    public async Task<IResult> GetProgram(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/programs/{id}")] HttpRequest request, string id, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelRead);
        return JsonBody.Create(await programs.GetAsync(id, cancellationToken), DspyJson.Default.DspyProgramDetail);
    }

    /// <summary>PUT /programs/{id}: 201 with a new revision, 200 where the newest is just that.</summary>
    [Function("hokusai_dspy_programs_put")]
    [Body("*: any")]
    [Answers(typeof(DspyProgramStored)), Answers(typeof(DspyProgramStored), 201)]
    public async Task<IResult> PutProgram(
        [HttpTrigger(AuthorizationLevel.Anonymous, "put", Route = Base + "/programs/{id}")] HttpRequest request, string id, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelWrite);
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        foreach (var member in fields.Json.EnumerateObject().Select(member => member.Name).ToArray())
            fields.OptionalJson(member);
        fields.ThrowIfFaulty();
        var stored = await programs.PutAsync(id, fields.Json, request.GetCaller().Name, cancellationToken);
        return JsonBody.Create(stored, DspyJson.Default.DspyProgramStored, stored.Created ? StatusCodes.Status201Created : StatusCodes.Status200OK);
    }

    /// <summary>DELETE /programs/{id}, with all revisions.</summary>
    [Function("hokusai_dspy_programs_delete")]
    [Answers(typeof(MessageResponse))]
    public async Task<IResult> DeleteProgram(
        [HttpTrigger(AuthorizationLevel.Anonymous, "delete", Route = Base + "/programs/{id}")] HttpRequest request, string id, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelWrite);
        await programs.DeleteAsync(id, cancellationToken);
        return JsonBody.Create(new MessageResponse($"Program {id} deleted successfully"), HokusaiJson.Default.MessageResponse);
    }

    /// <summary>GET /execution/{execution_id}.</summary>
    [Function("hokusai_dspy_execution")]
    [Answers(typeof(DspyExecutionDetail))]
    public async Task<IResult> GetExecution(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/execution/{id}")] HttpRequest request, string id, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelRead);
        var execution = Guid.TryParse(id, out var parsed) ? await store.FindExecutionAsync(parsed, cancellationToken) : null;
        return JsonBody.Create(execution ?? throw DspyErrors.ExecutionNotFound(id), DspyJson.Default.DspyExecutionDetail);
    }

    /// <summary>GET /stats.</summary>
    [Function("hokusai_dspy_stats")]
    [Answers(typeof(DspyStatsResponse))]
    public async Task<IResult> Statistics(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/stats")] HttpRequest request, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelRead);
        return JsonBody.Create(await dspy.GetStatisticsAsync(cancellationToken), DspyJson.Default.DspyStatsResponse);
    }

    /// <summary>POST /cache/clear.</summary>
    [Function("hokusai_dspy_cache_clear")]
    [Answers(typeof(MessageResponse))]
    public async Task<IResult> ClearCache(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/cache/clear")] HttpRequest request, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelWrite);
        await dspy.ClearCacheAsync(cancellationToken);
        return JsonBody.Create(new MessageResponse("Cache cleared successfully"), HokusaiJson.Default.MessageResponse);
    }

    /// <summary>GET /health: 200 in any case.</summary>
    [Function("hokusai_dspy_health"), Public, Unlimited]
    [Answers(typeof(DspyHealthResponse))]
    public async Task<IResult> Health(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/health")] HttpRequest request, CancellationToken cancellationToken) =>
        JsonBody.Create(await dspy.GetHealthAsync(cancellationToken), DspyJson.Default.DspyHealthResponse);

    private static TimeSpan ReadTimeout(FieldReader fields) => TimeSpan.FromSeconds(fields.WholeNumber("timeout", StandardTimeoutSeconds, 1, MaxTimeoutSeconds));
}
