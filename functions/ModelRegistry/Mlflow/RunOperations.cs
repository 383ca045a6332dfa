using System.Text.Json;
using System.Text.Json.Nodes;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Json;
using FunctionsRegistry.ModelRegistry.Mlflow;
using static FunctionsRegistry.Functions.ModelRegistry.Mlflow.MlflowRequests;

namespace FunctionsRegistry.Functions.ModelRegistry.Mlflow;

/// <summary>MLflow REST 2.0, <c>runs/*</c>; <c>runs/purge</c> is our addition.</summary>
public sealed class RunOperations(RunStore runs, RunLogStore log, PurgeService purge, TimeProvider time)
{
    private static readonly string[] s_statuses = ["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"];

    private static readonly string[] s_modelFields = ["artifact_path", "flavors", "utc_time_created", "run_id"];

    // MLflow's own limit of a log-batch body.
    private const int MaxBatchBytes = 1_000_000;

    /// <summary>The operations by method and path.</summary>
    public IEnumerable<MlflowOperation> All =>
    [
        new("post", "runs/create", true, CreateAsync) { Body = typeof(CreateRunRequest), Answer = typeof(RunResponse) },
        new("get", "runs/get", false, GetAsync) { Query = "run_id?: string, run_uuid?: string", Answer = typeof(RunResponse) },
        new("post", "runs/update", true, UpdateAsync) { Body = typeof(UpdateRunRequest), Answer = typeof(UpdateRunResponse) },
        new("post", "runs/delete", true, (request, token) => ChangeAsync(request, (id, ct) => runs.SetDeletedAsync(id, isDeleted: true, ct), token))
        {
            Body = typeof(RunRequest),
        },
        new("post", "runs/restore", true, (request, token) => ChangeAsync(request, (id, ct) => runs.SetDeletedAsync(id, isDeleted: false, ct), token))
        {
            Body = typeof(RunRequest),
        },
        new("post", "runs/purge", true, (request, token) => ChangeAsync(request, purge.PurgeRunAsync, token)) { Body = typeof(RunRequest) },
        new("post", "runs/search", false, SearchAsync) { Body = typeof(SearchRequest), Answer = typeof(SearchRunsResponse) },
        new("post", "runs/log-metric", true, LogMetricAsync) { Body = typeof(LogMetricRequest) },
        new("post", "runs/log-parameter", true, LogParameterAsync) { Body = typeof(LogTextRequest) },
        new("post", "runs/log-batch", true, LogBatchAsync) { Body = typeof(LogBatchRequest) },
        new("post", "runs/log-model", true, LogModelAsync) { Body = typeof(LogModelRequest) },
        new("post", "runs/log-inputs", true, (request, token) => LogInputsAsync(request, areOutputs: false, token)) { Body = typeof(LogInputsRequest) },
        new("post", "runs/outputs", true, (request, token) => LogInputsAsync(request, areOutputs: true, token)) { Body = typeof(LogInputsRequest) },
        new("post", "runs/set-tag", true, SetTagAsync) { Body = typeof(LogTextRequest) },
        new("post", "runs/delete-tag", true, DeleteTagAsync) { Body = typeof(RunRequest) },
    ];

    private async Task<IResult> CreateAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.CreateRunRequest, cancellationToken);
        var tags = RunBatches.ReadTags(body.Tags);
        if (tags.Count > RunBatches.MaxMetrics)
            throw MlflowErrors.BatchTooLarge("tags", RunBatches.MaxMetrics, tags.Count);
        var tagged = tags.FirstOrDefault(tag => tag.Key == "mlflow.runName")?.Value;
        var name = MlflowNames.CheckLength("Run name", body.RunName, MlflowNames.MaxTagLength);
        if (name.Length > 0 && tagged is { Length: > 0 } && tagged != name)
            throw MlflowErrors.Invalid("Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
                + $"(run_name='{name}', mlflow.runName='{tagged}').");
        if (name.Length == 0)
            name = tagged is { Length: > 0 } ? tagged : RunNames.Create();
        if (tagged is null)
            tags = [.. tags.Append(new KeyValue("mlflow.runName", name)).OrderBy(tag => tag.Key, StringComparer.Ordinal)];
        var start = body.StartTime ?? time.GetUtcNow().ToUnixTimeMilliseconds();
        // Clients that name no experiment mean the one that always exists.
        var experiment = string.IsNullOrEmpty(body.ExperimentId) ? 0 : MlflowNames.ParseExperimentId(body.ExperimentId);
        var run = await runs.CreateAsync(experiment, name, MlflowNames.CheckLength("user_id", body.UserId, 256), start, tags, cancellationToken);
        return Answer(new RunResponse(run), MlflowJson.Default.RunResponse);
    }

    private async Task<IResult> GetAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var id = MlflowNames.ParseRunId(request.GetText("run_id") ?? request.GetText("run_uuid"));
        return Answer(new RunResponse(await runs.GetAsync(id, cancellationToken)), MlflowJson.Default.RunResponse);
    }

    private async Task<IResult> UpdateAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.UpdateRunRequest, cancellationToken);
        if (body.Status is not null && !s_statuses.Contains(body.Status))
            throw MlflowErrors.Invalid($"Invalid run status '{body.Status}': it must be one of {string.Join(", ", s_statuses)}.");
        var name = MlflowNames.CheckLength("Run name", body.RunName, MlflowNames.MaxTagLength);
        var info = await runs.UpdateAsync(
            MlflowNames.ParseRunId(body.RunId ?? body.RunUuid), body.Status, body.EndTime, name.Length == 0 ? null : name, cancellationToken);
        return Answer(new UpdateRunResponse(info), MlflowJson.Default.UpdateRunResponse);
    }

    private async Task<IResult> SearchAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var search = await ReadSearchAsync(request, cancellationToken);
        var (filter, order) = (FilterParser.Parse(search.Filter), Order(search.OrderBy));
        var limit = Limit(search.MaxResults, 1000, RunStore.MaxPage);
        // An id that cannot be one of ours has no runs.
        var ids = (search.ExperimentIds ?? []).Select(id => long.TryParse(id, out var parsed) ? parsed : -1).Where(id => id >= 0).Distinct().ToArray();
        var (found, next) = await runs.SearchAsync(ids, filter, order, View(search.RunViewType), limit, search.PageToken, cancellationToken);
        return Answer(new SearchRunsResponse(found, next), MlflowJson.Default.SearchRunsResponse);
    }

    private async Task<IResult> LogMetricAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.LogMetricRequest, cancellationToken);
        var id = MlflowNames.ParseRunId(body.RunId ?? body.RunUuid);
        if (body.Value is null)
            throw MlflowErrors.Missing("value");
        if (body.Timestamp is null)
            throw MlflowErrors.Missing("timestamp");
        var metric = new MetricRequest(body.Key, body.Value, body.Timestamp, body.Step, body.ModelId, body.DatasetName, body.DatasetDigest);
        await log.LogAsync(id, RunBatches.Create([metric], null, null), cancellationToken);
        return Done();
    }

    private async Task<IResult> LogParameterAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.LogTextRequest, cancellationToken);
        var id = MlflowNames.ParseRunId(body.RunId ?? body.RunUuid);
        await log.LogAsync(id, RunBatches.Create(null, [new KeyValue(body.Key, body.Value)], null), cancellationToken);
        return Done();
    }

    private async Task<IResult> SetTagAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.LogTextRequest, cancellationToken);
        var id = MlflowNames.ParseRunId(body.RunId ?? body.RunUuid);
        await log.LogAsync(id, RunBatches.Create(null, null, [new KeyValue(body.Key, body.Value)]), cancellationToken);
        return Done();
    }

    private async Task<IResult> DeleteTagAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.RunRequest, cancellationToken);
        await runs.DeleteTagAsync(MlflowNames.ParseRunId(body.RunId ?? body.RunUuid), MlflowNames.CheckKey("tag", body.Key), cancellationToken);
        return Done();
    }

    private async Task<IResult> LogBatchAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        if (request.ContentLength > MaxBatchBytes)
            throw MlflowErrors.BatchBodyTooLarge(MaxBatchBytes, request.ContentLength.Value);
        var body = await ReadAsync(request, MlflowJson.Default.LogBatchRequest, cancellationToken);
        await log.LogAsync(MlflowNames.ParseRunId(body.RunId), RunBatches.Create(body.Metrics, body.Params, body.Tags), cancellationToken);
        return Done();
    }

    private async Task<IResult> LogModelAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.LogModelRequest, cancellationToken);
        var id = MlflowNames.ParseRunId(body.RunId);
        if (string.IsNullOrEmpty(body.ModelJson))
            throw MlflowErrors.Missing("model_json");
        JsonNode? model;
        try
        {
            model = JsonNodes.Of(JsonElement.Parse(body.ModelJson));
        }
        catch (JsonException exception)
        {
            throw MlflowErrors.Invalid($"Malformed model info: line {exception.LineNumber + 1}, byte {exception.BytePositionInLine + 1} is not JSON.");
        }
        if (model is not JsonObject info)
            throw MlflowErrors.Invalid("Malformed model info: it must be a JSON object.");
        var missing = s_modelFields.Where(key => !info.ContainsKey(key)).ToArray();
        if (missing.Length > 0)
            throw MlflowErrors.Invalid($"Model json is missing mandatory fields: {string.Join(", ", missing)}");
        await log.LogModelAsync(id, info, cancellationToken);
        return Done();
    }

    private async Task<IResult> LogInputsAsync(HttpRequest request, bool areOutputs, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.LogInputsRequest, cancellationToken);
        var id = MlflowNames.ParseRunId(body.RunId);
        var models = body.Models ?? [];
        if (models.Any(model => string.IsNullOrEmpty(model?.ModelId)))
            throw MlflowErrors.Missing("models[].model_id");
        await log.LogInputsAsync(id, [.. (body.Datasets ?? []).Select(CheckInput)], models, areOutputs, cancellationToken);
        return Done();
    }

    private static DatasetInput CheckInput(DatasetInput? input, int index)
    {
        if (input?.Dataset is not { } dataset)
            throw MlflowErrors.Missing($"datasets[{index}].dataset");
        if (string.IsNullOrEmpty(dataset.Name) || string.IsNullOrEmpty(dataset.Digest) || string.IsNullOrEmpty(dataset.SourceType) || string.IsNullOrEmpty(dataset.Source))
            throw MlflowErrors.Missing($"datasets[{index}].dataset: name, digest, source_type and source");
        MlflowNames.CheckLength("Dataset name", dataset.Name, 500);
        MlflowNames.CheckLength("Dataset digest", dataset.Digest, 36);
        MlflowNames.CheckLength("Dataset source", dataset.Source, 65_535);
        foreach (var tag in input.Tags ?? [])
        {
            if (string.IsNullOrEmpty(tag?.Key))
                throw MlflowErrors.Missing($"datasets[{index}].tags[].key");
            MlflowNames.CheckLength("Input tag key", tag.Key, 255);
            MlflowNames.CheckLength("Input tag value", tag.Value, 500);
        }
        return input;
    }

    private static async Task<IResult> ChangeAsync(HttpRequest request, Func<Guid, CancellationToken, Task> change, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.RunRequest, cancellationToken);
        await change(MlflowNames.ParseRunId(body.RunId ?? body.RunUuid), cancellationToken);
        return Done();
    }
}

/// <summary>Names for runs that got none: two words and a number, as MLflow gives them.</summary>
internal static class RunNames
{
    private static readonly string[] s_adjectives =
        ["able", "bold", "brave", "bright", "calm", "clean", "clever", "crisp", "eager", "fair", "fast", "fine", "gentle", "glad", "grand", "keen", "kind", "light",
         "lively", "loud", "lucky", "mild", "neat", "noble", "proud", "quick", "quiet", "rapid", "sharp", "shy", "smart", "steady", "swift", "wise", "worthy", "young"];

    private static readonly string[] s_nouns =
        ["ant", "bear", "bee", "bird", "boar", "carp", "cat", "colt", "cow", "crab", "crane", "crow", "deer", "dog", "dove", "duck", "eel", "elk", "fawn", "finch",
         "fish", "fox", "frog", "goat", "grouse", "hare", "hawk", "horse", "jay", "koi", "lamb", "lark", "lynx", "mole", "moth", "newt", "otter", "owl", "ram", "robin",
         "seal", "shad", "snail", "sow", "squid", "stag", "stork", "swan", "toad", "trout", "vole", "wolf", "wren", "yak"];

    public static string Create() =>
        $"{s_adjectives[Random.Shared.Next(s_adjectives.Length)]}-{s_nouns[Random.Shared.Next(s_nouns.Length)]}-{Random.Shared.Next(1000)}";
}
