using System.Text.Json;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.ModelRegistry;
using FunctionsRegistry.ModelRegistry.Mlflow;

namespace FunctionsRegistry.Functions.ModelRegistry;

/// <summary>spec-hokusai.md, "Model Management Endpoints": one version.</summary>
[Contract(Family.Hokusai)]
public sealed class VersionFunctions(ModelService models, ArtifactService artifacts, TimeProvider time)
{
    private const string Version = "hokusai/models/{name}/{version}";
    private const int MaxPredictions = 10_000;

    /// <summary>GET /models/{name}/{version}.</summary>
    [Function("hokusai_models_version_get")]
    [Answers(typeof(ModelDetailResponse))]
    public async Task<IResult> Get(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Version)] HttpRequest request, string name, string version, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelRead);
        var found = await models.GetAsync(name, version, cancellationToken);
        return JsonBody.Create(
            new ModelDetailResponse(found.Name, found.Version, found.Status, found.Description, ModelMetrics.Tags(found), found.CurrentStage),
            HokusaiJson.Default.ModelDetailResponse);
    }

    /// <summary>PATCH /models/{name}/{version}: description, and tags that are added or replaced.</summary>
    [Function("hokusai_models_version_patch")]
    [Body("description?: string, tags?: object")]
    [Answers(typeof(MessageResponse))]
    public async Task<IResult> Patch(
        [HttpTrigger(AuthorizationLevel.Anonymous, "patch", Route = Version)] HttpRequest request, string name, string version, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelWrite);
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var (description, tags) = (fields.OptionalText("description", 0, 100_000), ReadTags(fields));
        fields.ThrowIfFaulty();
        await models.PatchAsync(name, version, description, tags, cancellationToken);
        return Message("Model updated successfully");
    }

    /// <summary>DELETE /models/{name}/{version}.</summary>
    [Function("hokusai_models_version_delete")]
    [Answers(typeof(MessageResponse))]
    public async Task<IResult> Delete(
        [HttpTrigger(AuthorizationLevel.Anonymous, "delete", Route = Version)] HttpRequest request, string name, string version, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelWrite);
        await models.DeleteAsync(name, version, cancellationToken);
        return Message($"Model {name}:{version} deleted successfully");
    }

    /// <summary>POST /models/{name}/{version}/transition.</summary>
    [Function("hokusai_models_version_transition")]
    [Body("stage?: string(1..50), archive_existing?: boolean")]
    [Answers(typeof(MessageResponse))]
    public async Task<IResult> Transition(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Version + "/transition")] HttpRequest request, string name, string version,
        CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelWrite);
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var (stage, archive) = (fields.OptionalText("stage", 1, 50) ?? "Production", fields.OptionalBoolean("archive_existing") ?? true);
        fields.ThrowIfFaulty();
        return Message($"Model {name}:{version} transitioned to {await models.TransitionAsync(name, version, stage, archive, cancellationToken)}");
    }

    /// <summary>GET /models/{name}/{version}/metrics.</summary>
    [Function("hokusai_models_version_metrics")]
    [Answers(typeof(ModelMetricsResponse))]
    public async Task<IResult> Metrics(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Version + "/metrics")] HttpRequest request, string name, string version,
        CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelRead);
        return JsonBody.Create(await models.GetMetricsAsync(name, version, cancellationToken), HokusaiJson.Default.ModelMetricsResponse);
    }

    /// <summary>GET /models/{name}/{version}/lineage.</summary>
    [Function("hokusai_models_version_lineage"), RateLimit(RateLimits.RateLimitPolicy.HokusaiLineage)]
    [Answers(typeof(VersionLineageResponse))]
    public async Task<IResult> Lineage(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Version + "/lineage")] HttpRequest request, string name, string version,
        CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelRead);
        return JsonBody.Create(await models.GetLineageAsync(name, version, cancellationToken), HokusaiJson.Default.VersionLineageResponse);
    }

    /// <summary>GET /models/{name}/{version}/download: a URL of the storage for a file, a zip for a directory.</summary>
    [Function("hokusai_models_version_download")]
    [Answers("application/zip")]
    [Answers(307)]
    public async Task<IResult> Download(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Version + "/download")] HttpRequest request, string name, string version,
        CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelRead);
        var (file, directory, files) = await models.ListFilesAsync(name, version, cancellationToken);
        return file is not null
            ? Results.Redirect((await artifacts.GetReadUrlAsync(file, cancellationToken)).AbsoluteUri, permanent: false, preserveMethod: true)
            : new ZipBody(artifacts, $"{name}-{version}.zip", directory, files);
    }

    /// <summary>GET /models/{name}/{version}/predictions.</summary>
    [Function("hokusai_models_version_predictions")]
    [Answers(typeof(PredictionsResponse))]
    public async Task<IResult> Predictions(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Version + "/predictions")] HttpRequest request, string name, string version,
        CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelRead);
        return JsonBody.Create(await models.GetPredictionsAsync(name, version, cancellationToken), HokusaiJson.Default.PredictionsResponse);
    }

    /// <summary>
    /// POST /models/{name}/{version}/predictions, our addition: <c>{"batch_id", "predictions": [{"timestamp"?, "latency_ms"?, "error"?, "label"?,
    /// "prediction"?}]}</c>, at most 10,000; a batch with the same id counts once.
    /// </summary>
    [Function("hokusai_models_version_predictions_record")]
    [Body(
        "batch_id?: string(1..200), predictions: {timestamp?: time, latency_ms?: number(0..), error?: boolean, label?: string(..1000), " +
        "prediction?: string(..1000)}[]")]
    [Answers(typeof(PredictionsRecordedResponse), 201)]
    public async Task<IResult> RecordPredictions(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Version + "/predictions")] HttpRequest request, string name, string version,
        CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelWrite);
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var batchId = fields.OptionalText("batch_id", 1, 200);
        if (!fields.Has("predictions"))
            fields.Fault("predictions", "field required", "value_error.missing");
        var now = time.GetUtcNow();
        var predictions = fields.ListOfFields("predictions", MaxPredictions).Select(one => new ReportedPrediction(
            one.OptionalTime("timestamp") ?? now, one.OptionalNumber("latency_ms", 0, 1e9), one.OptionalBoolean("error") ?? false,
            one.OptionalText("label", 0, 1000), one.OptionalText("prediction", 0, 1000))).ToList();
        fields.ThrowIfFaulty();
        var counted = await models.RecordPredictionsAsync(name, version, batchId ?? Guid.CreateVersion7(now).ToString("N"), predictions, cancellationToken);
        return JsonBody.Create(
            new PredictionsRecordedResponse(counted ? predictions.Count : 0, !counted), HokusaiJson.Default.PredictionsRecordedResponse, StatusCodes.Status201Created);
    }

    /// <summary>The member <c>tags</c>, a map of texts.</summary>
    internal static IReadOnlyList<KeyValue> ReadTags(FieldReader fields)
    {
        var tags = new List<KeyValue>();
        foreach (var member in fields.OptionalObject("tags")?.EnumerateObject().ToArray() ?? [])
        {
            if (member.Value.ValueKind == JsonValueKind.String)
                tags.Add(new KeyValue(member.Name, member.Value.GetString()));
            else if (member.Value.ValueKind is JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False)
                tags.Add(new KeyValue(member.Name, member.Value.GetRawText()));
            else
                fields.Fault("tags", $"the value of '{member.Name}' is not a string", "type_error.str");
        }
        return tags;
    }

    private static JsonBody Message(string text) => JsonBody.Create(new MessageResponse(text), HokusaiJson.Default.MessageResponse);
}
