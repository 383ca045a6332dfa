using System.Text.Json;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.ModelRegistry;
using FunctionsRegistry.ModelRegistry.Mlflow;
using FunctionsRegistry.RateLimits;

namespace FunctionsRegistry.Functions.ModelRegistry;

/// <summary>spec-hokusai.md, "Model Management Endpoints": what is not below one version.</summary>
[Contract(Family.Hokusai)]
public sealed class ModelFunctions(ModelService models, ModelStore store, ModelVersionStore versions, EvaluationStore evaluations)
{
    private const string Base = "hokusai/models";
    private static readonly string[] s_standardMetrics = ["accuracy", "precision", "recall", "f1_score"];
    private const int MaxOperations = 100;

    /// <summary>GET /models/?name: one row per version, changed last first; limit and cursor are our addition.</summary>
    [Function("hokusai_models_list")]
    [Query("name?: string(..256), limit?: integer(1..1000), cursor?: string")]
    [Answers(typeof(ModelListResponse))]
    public async Task<IResult> List(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelRead);
        var query = FieldReader.OfQuery(request);
        var name = query.OptionalText("name", 0, 256);
        var limit = query.WholeNumber("limit", 1000, 1, 1000);
        var cursor = query.OptionalText("cursor");
        query.ThrowIfFaulty();
        var filter = string.IsNullOrEmpty(name) ? [] : new[] { new FilterTerm(new FilterName(null, "name", 1), FilterOperator.Equal, name, null, null, 1) };
        var (found, next) = await versions.SearchAsync(filter, [], limit, cursor, cancellationToken);
        var items = found.Select(version => new ModelListItem(version.Name, version.Version, version.Status, version.CreationTimestamp, ModelMetrics.Tags(version)));
        return JsonBody.Create(new ModelListResponse([.. items], next), HokusaiJson.Default.ModelListResponse);
    }

    /// <summary>POST /models/register: 201.</summary>
    [Function("hokusai_models_register"), RateLimit(RateLimitPolicy.HokusaiRegister)]
    [Body("model_type: lead_scoring|classification|regression|ranking, model_name?: string(1..256), model_data: any, metadata?: object")]
    [Answers(typeof(RegisterResponse), 201)]
    public async Task<IResult> Register(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/register")] HttpRequest request, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelWrite);
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var type = fields.Choice("model_type", ModelService.ModelTypes);
        var name = fields.OptionalText("model_name", 1, 256);
        var data = fields.OptionalJson("model_data");
        // The spec has a text, the original an object: either stands for the model.
        if (data is null)
            fields.Fault("model_data", "field required", "value_error.missing");
        else if (data.Value.ValueKind is not (JsonValueKind.String or JsonValueKind.Object))
            fields.Fault("model_data", "value is neither a string nor an object", "type_error");
        var metadata = fields.OptionalObject("metadata");
        fields.ThrowIfFaulty();
        var text = data!.Value.ValueKind == JsonValueKind.String ? data.Value.GetString()! : data.Value.GetRawText();
        var answer = await models.RegisterAsync(
            new NewModel(name, text, type, metadata?.EnumerateObject().ToDictionary(member => member.Name, member => member.Value.Clone()) ?? []),
            request.GetCaller().Name, cancellationToken);
        return JsonBody.Create(answer, HokusaiJson.Default.RegisterResponse, StatusCodes.Status201Created);
    }

    /// <summary>GET /models/compare?model1&amp;model2.</summary>
    [Function("hokusai_models_compare")]
    [Query("model1: string(..500), model2: string(..500)")]
    [Answers(typeof(CompareResponse))]
    public async Task<IResult> Compare(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/compare")] HttpRequest request, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelRead);
        var query = FieldReader.OfQuery(request);
        var (first, second) = (query.Text("model1", 0, 500), query.Text("model2", 0, 500));
        query.ThrowIfFaulty();
        return JsonBody.Create(await models.CompareAsync(first, second, cancellationToken), HokusaiJson.Default.CompareResponse);
    }

    /// <summary>
    /// POST /models/evaluate: over a data set in the artifact store, mlflow-artifacts:/..., runs:/id/... or its path. 202 with a URL to ask at for a large
    /// one, or with "async": true.
    /// </summary>
    [Function("hokusai_models_evaluate")]
    [Body("model_name: string(1..256), model_version: string(1..20), dataset_path: string(1..2000), metrics?: string[], async?: boolean")]
    [Answers(typeof(EvaluateResponse)), Answers(typeof(EvaluationStartedResponse), 202)]
    public async Task<IResult> Evaluate(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/evaluate")] HttpRequest request, [DurableClient] DurableTaskClient client,
        CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelRead);
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var (name, path) = (fields.Text("model_name", 1, 256), fields.Text("dataset_path", 1, 2000));
        var version = fields.Text("model_version", 1, 20);
        var metrics = fields.OptionalTexts("metrics", 50, 100) ?? s_standardMetrics;
        foreach (var unknown in metrics.Where(metric => !EvaluationMetrics.Known.Contains(metric)).Distinct())
            fields.Fault("metrics", $"unknown metric '{unknown}'; known are {string.Join(", ", EvaluationMetrics.Known)}");
        var inBackground = fields.OptionalBoolean("async") ?? false;
        fields.ThrowIfFaulty();
        var (answer, id) = await models.EvaluateAsync(name, version, path, metrics, inBackground, cancellationToken);
        if (answer is not null)
            return JsonBody.Create(answer, HokusaiJson.Default.EvaluateResponse);
        // From here on the row is there: a timer starts what a crash keeps from being started.
        await EvaluationOrchestration.StartAsync(client, id, cancellationToken);
        var url = $"/hokusai/evaluations/{id}";
        request.HttpContext.Response.Headers.Location = url;
        return JsonBody.Create(new EvaluationStartedResponse(id, "queued", url), HokusaiJson.Default.EvaluationStartedResponse, StatusCodes.Status202Accepted);
    }

    /// <summary>GET /evaluations/{id}, our addition: what became of an evaluation in the background.</summary>
    [Function("hokusai_evaluations_get")]
    [Answers(typeof(StoredEvaluation))]
    public async Task<IResult> GetEvaluation(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "hokusai/evaluations/{id}")] HttpRequest request, string id, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelRead);
        var evaluation = Guid.TryParse(id, out var parsed) ? await evaluations.FindAsync(parsed, cancellationToken) : null;
        return JsonBody.Create(evaluation ?? throw ModelErrors.EvaluationNotFound(id), HokusaiJson.Default.StoredEvaluation);
    }

    /// <summary>POST /models/batch: transition_stage, update and delete, each by itself.</summary>
    [Function("hokusai_models_batch")]
    [Body(
        "operations: {action: transition_stage|update|delete, model: string(1..500), stage?: string(..50), archive_existing?: boolean, " +
        "description?: string, tags?: object}[]")]
    [Answers(typeof(BatchResponse))]
    public async Task<IResult> Batch(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/batch")] HttpRequest request, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelWrite);
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        if (!fields.Has("operations"))
            fields.Fault("operations", "field required", "value_error.missing");
        var operations = fields.ListOfFields("operations", MaxOperations).Select(ReadOperation).ToList();
        fields.ThrowIfFaulty();
        var results = new List<BatchResult>(operations.Count);
        foreach (var operation in operations)
            results.Add(await RunAsync(operation, cancellationToken));
        return JsonBody.Create(new BatchResponse(results), HokusaiJson.Default.BatchResponse);
    }

    /// <summary>GET /models/production, deployed last first.</summary>
    [Function("hokusai_models_production")]
    [Answers(typeof(ProductionResponse))]
    public async Task<IResult> Production(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/production")] HttpRequest request, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelRead);
        return JsonBody.Create(new ProductionResponse(await store.ListProductionAsync(cancellationToken)), HokusaiJson.Default.ProductionResponse);
    }

    /// <summary>GET /models/{model_id}/lineage: all versions. Sorts before hokusai_models_version_get, which would take "lineage" for a version.</summary>
    [Function("hokusai_models_history"), RateLimit(RateLimitPolicy.HokusaiLineage)]
    [Answers(typeof(ModelLineageResponse))]
    public async Task<IResult> History(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/{modelId}/lineage")] HttpRequest request, string modelId,
        CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelRead);
        return JsonBody.Create(await models.GetHistoryAsync(modelId, cancellationToken), HokusaiJson.Default.ModelLineageResponse);
    }

    /// <summary>GET /models/contributors/{address}/impact.</summary>
    [Function("hokusai_models_impact"), RateLimit(RateLimitPolicy.HokusaiImpact)]
    [Answers(typeof(ImpactResponse))]
    public async Task<IResult> Impact(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/contributors/{address}/impact")] HttpRequest request, string address,
        CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelRead);
        return JsonBody.Create(await models.GetImpactAsync(address, cancellationToken), HokusaiJson.Default.ImpactResponse);
    }

    private static Operation ReadOperation(FieldReader fields) => new(
        fields.Choice("action", "transition_stage", "update", "delete"), fields.Text("model", 1, 500), fields.OptionalText("stage", 0, 50) ?? "Production",
        fields.OptionalBoolean("archive_existing") ?? true, fields.OptionalText("description", 0, 100_000), VersionFunctions.ReadTags(fields));

    private async Task<BatchResult> RunAsync(Operation operation, CancellationToken cancellationToken)
    {
        try
        {
            var (name, version) = ModelService.ParseReference(operation.Model);
            await (operation.Action switch
            {
                "transition_stage" => models.TransitionAsync(name, version, operation.Stage, operation.ArchiveExisting, cancellationToken),
                "update" => models.PatchAsync(name, version, operation.Description, operation.Tags, cancellationToken),
                _ => models.DeleteAsync(name, version, cancellationToken),
            });
            return new BatchResult(operation.Action, operation.Model, "success", null);
        }
        catch (RegistryException exception) when (exception.Kind is ErrorKind.BadRequest or ErrorKind.NotFound or ErrorKind.Conflict or ErrorKind.Validation)
        {
            return new BatchResult(operation.Action, operation.Model, "error", exception.Message);
        }
    }

    private sealed record Operation(string Action, string Model, string Stage, bool ArchiveExisting, string? Description, IReadOnlyList<KeyValue> Tags);
}
