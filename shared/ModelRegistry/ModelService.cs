using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using FunctionsRegistry.Errors;
using FunctionsRegistry.ModelRegistry.Mlflow;

namespace FunctionsRegistry.ModelRegistry;

/// <summary>What is registered: <paramref name="ModelData"/> is a URI of the files, or any text or JSON that stands for the model.</summary>
public sealed record NewModel(string? ModelName, string ModelData, string ModelType, IReadOnlyDictionary<string, JsonElement> Metadata);

/// <summary>One prediction that was made; times are UTC.</summary>
public sealed record ReportedPrediction(DateTimeOffset At, double? LatencyMs, bool IsError, string? Label, string? Prediction);

/// <summary>The Hokusai model routes over MLflow's rows: comparison, evaluation, lineage, contributions, predictions.</summary>
public sealed partial class ModelService(
    ModelStore store, RegisteredModelStore models, ModelVersionStore versions, RunStore runs, RunLogStore log, ArtifactService artifacts, PurgeService sources,
    EvaluationStore evaluations, TimeProvider time)
{
    /// <summary>A data set of up to so many bytes is evaluated while the caller waits: some seconds.</summary>
    public const long MaxWaitBytes = 64 << 20;

    /// <summary>What a model may be.</summary>
    public static readonly IReadOnlyList<string> ModelTypes = ["lead_scoring", "classification", "regression", "ranking"];

    /// <summary>A version by the texts of a path; a version that is no number is one that is not there.</summary>
    /// <exception cref="RegistryException">404 in the spec's words.</exception>
    public async Task<ModelVersion> GetAsync(string name, string version, CancellationToken cancellationToken) =>
        ParseVersion(version) is { } number && await versions.FindAsync(name, number, cancellationToken) is { } found
            ? found
            : throw ModelErrors.VersionNotFound(name, version);

    /// <summary><c>name:version</c>.</summary>
    /// <exception cref="RegistryException">400: not exactly one colon.</exception>
    public static (string Name, string Version) ParseReference(string text)
    {
        var parts = text.Split(':');
        return parts.Length == 2 && parts[0].Length > 0 && parts[1].Length > 0 ? (parts[0], parts[1]) : throw ModelErrors.InvalidReference();
    }

    /// <summary>Registers a model with a run that holds what is known of it: numbers of the metadata are metrics, the rest params.</summary>
    public async Task<RegisterResponse> RegisterAsync(NewModel model, string userId, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        var name = MlflowNames.CheckModelName(model.ModelName ?? $"hokusai_{model.ModelType}_baseline", "model_name");
        var metrics = model.Metadata.Where(pair => pair.Value.ValueKind == JsonValueKind.Number)
            .Select(pair => new MetricRequest(pair.Key, pair.Value.GetDouble(), now.ToUnixTimeMilliseconds(), 0)).ToList();
        var parameters = model.Metadata.Where(pair => pair.Value.ValueKind != JsonValueKind.Number)
            .Select(pair => new KeyValue("metadata_" + pair.Key, Plain(pair.Value)))
            .Append(new KeyValue("model_type", model.ModelType)).Append(new KeyValue("registration_time", now.ToString("O"))).ToList();
        // Checked as a whole before anything is written.
        var batch = RunBatches.Create(metrics, parameters, null);
        var tags = RunBatches.ReadTags([new KeyValue("model_type", model.ModelType), new KeyValue("is_baseline", "true"), new KeyValue("model_data", model.ModelData)]);

        var run = await runs.CreateAsync(
            0, $"register-{name}", userId, now.ToUnixTimeMilliseconds(), RunBatches.ReadTags([new KeyValue("mlflow.runName", $"register-{name}")]), cancellationToken);
        var runId = Guid.ParseExact(run.Info.RunId, "N");
        await log.LogAsync(runId, batch, cancellationToken);
        await runs.UpdateAsync(runId, "FINISHED", now.ToUnixTimeMilliseconds(), null, cancellationToken);
        if (await models.FindAsync(name, cancellationToken) is null)
            await CreateModelAsync(name, cancellationToken);
        var source = IsSource(model.ModelData) ? model.ModelData : $"{run.Info.ArtifactUri}/model";
        var created = await versions.CreateAsync(new NewModelVersion(name, source, runId, null, null, userId, null, tags), cancellationToken);
        return new RegisterResponse(name, name, created.Version, now, "registered");
    }

    /// <summary>Compares two versions metric by metric.</summary>
    public async Task<CompareResponse> CompareAsync(string first, string second, CancellationToken cancellationToken)
    {
        var (one, two) = (ParseReference(first), ParseReference(second));
        var (model1, model2) = (await GetAsync(one.Name, one.Version, cancellationToken), await GetAsync(two.Name, two.Version, cancellationToken));
        var (metrics1, metrics2) = ((await MetricsOfAsync(model1, cancellationToken)).Effective, (await MetricsOfAsync(model2, cancellationToken)).Effective);
        var comparison = ModelComparison.Of(metrics1, metrics2, ModelMetrics.Tags(model2).GetValueOrDefault("benchmark_metric"));
        string Use(ModelVersion version) => model1.Name == model2.Name ? $"Use version {version.Version}" : $"Use {version.Name}:{version.Version}";
        var recommendation = comparison.Preferred switch
        {
            1 => Use(model1),
            2 => Use(model2),
            _ => comparison.Delta.Count == 0 ? "No recommendation" : $"{Use(model1)}: the other is no better",
        };
        return new CompareResponse(Describe(model1, metrics1), Describe(model2, metrics2), comparison.Delta, recommendation, comparison.Reason);
    }

    /// <summary>
    /// Reads a data set of labels, predictions and scores, and answers the metrics asked for; one over <see cref="MaxWaitBytes"/>, or where
    /// <paramref name="inBackground"/> says so, is only noted: the id is that of the evaluation to start then.
    /// </summary>
    public async Task<(EvaluateResponse? Answer, Guid Id)> EvaluateAsync(
        string name, string version, string datasetPath, IReadOnlyList<string> metrics, bool inBackground, CancellationToken cancellationToken)
    {
        await GetAsync(name, version, cancellationToken);
        var artifact = await GetDatasetAsync(datasetPath, cancellationToken);
        if (!inBackground && artifact.SizeBytes <= MaxWaitBytes)
            return (await EvaluateAsync($"{name}:{version}", artifact, metrics, cancellationToken), Guid.Empty);
        var now = time.GetUtcNow();
        var id = Guid.CreateVersion7(now);
        await evaluations.InsertAsync(id, name, version, datasetPath, metrics, now, cancellationToken);
        return (null, id);
    }

    /// <summary>Does what was noted, and notes the results or what is wrong with the data set; nothing where that was done already.</summary>
    public async Task RunEvaluationAsync(Guid id, CancellationToken cancellationToken)
    {
        if (await evaluations.FindAsync(id, cancellationToken) is not { Status: "queued" } evaluation)
            return;
        try
        {
            var answer = await EvaluateAsync(evaluation.Model, await GetDatasetAsync(evaluation.DatasetPath, cancellationToken), evaluation.Metrics, cancellationToken);
            await evaluations.FinishAsync(id, answer, null, time.GetUtcNow(), cancellationToken);
        }
        catch (RegistryException exception) when (exception.Kind is ErrorKind.BadRequest or ErrorKind.NotFound or ErrorKind.Validation)
        {
            await evaluations.FinishAsync(id, null, exception.Message, time.GetUtcNow(), cancellationToken);
        }
    }

    private async Task<StoredArtifact> GetDatasetAsync(string datasetPath, CancellationToken cancellationToken)
    {
        var path = await sources.FindPathAsync(datasetPath, cancellationToken) ?? ArtifactPaths.Check(datasetPath.TrimStart('/'));
        return await artifacts.FindAsync(path, cancellationToken) ?? throw ModelErrors.DatasetNotFound(datasetPath);
    }

    private async Task<EvaluateResponse> EvaluateAsync(string model, StoredArtifact artifact, IReadOnlyList<string> metrics, CancellationToken cancellationToken)
    {
        await using var content = await artifacts.OpenAsync(artifact, 0, artifact.SizeBytes, cancellationToken);
        using var text = new StreamReader(content, Encoding.UTF8, detectEncodingFromByteOrderMarks: true, 64 << 10);
        var evaluation = await Evaluation.ReadAsync(new DatasetReader(text), metrics, cancellationToken);
        return new EvaluateResponse(model, metrics.Distinct().ToDictionary(metric => metric, evaluation.Read), evaluation.Rows);
    }

    /// <summary>Training and validation metrics of the run, production metrics of reported predictions.</summary>
    public async Task<ModelMetricsResponse> GetMetricsAsync(string name, string version, CancellationToken cancellationToken)
    {
        var found = await GetAsync(name, version, cancellationToken);
        var metrics = await MetricsOfAsync(found, cancellationToken);
        var validation = new SortedDictionary<string, double>(metrics.Validation.ToDictionary(), StringComparer.Ordinal);
        // What the SDK writes with a version is measured on held-out data.
        foreach (var (metric, value) in metrics.Tagged)
            validation[metric] = value;
        return new ModelMetricsResponse(
            metrics.Training, validation, Production(await store.ListPredictionDaysAsync(name, int.Parse(found.Version, CultureInfo.InvariantCulture), cancellationToken)));
    }

    /// <summary>Where a version comes from: its baseline or the version before, its run's data sets, its experiment.</summary>
    public async Task<VersionLineageResponse> GetLineageAsync(string name, string version, CancellationToken cancellationToken)
    {
        var found = await GetAsync(name, version, cancellationToken);
        var run = await RunOfAsync(found, cancellationToken);
        var parents = new List<string>();
        if (ModelMetrics.Tags(found).GetValueOrDefault("baseline_id") is { Length: > 0 } baseline)
            parents.Add(baseline.Replace('/', ':'));
        else if (await store.FindPreviousAsync(name, int.Parse(found.Version, CultureInfo.InvariantCulture), cancellationToken) is { } previous)
            parents.Add($"{name}:{previous}");
        var data = (run?.Inputs.DatasetInputs.Select(input => input.Dataset!.Name!) ?? [])
            .Concat(run?.Data.Params.Where(param => param.Key is "dataset" or "metadata_dataset").Select(param => param.Value!) ?? []);
        return new VersionLineageResponse($"{name}:{found.Version}", parents, [.. data.Distinct()], run is null ? [] : [run.Info.ExperimentId]);
    }

    /// <summary>The versions of a model with what each improved.</summary>
    public async Task<ModelLineageResponse> GetHistoryAsync(string modelId, CancellationToken cancellationToken)
    {
        if (await store.ListVersionsAsync(modelId, cancellationToken) is not var (found, total))
            throw ModelErrors.ModelNotFound(modelId);
        var byRun = await runs.ListMetricsAsync([.. found.Where(version => version.RunId is not null).Select(version => Guid.ParseExact(version.RunId!, "N"))], cancellationToken);
        var items = new List<LineageItem>();
        var improvements = new SortedDictionary<string, double>(StringComparer.Ordinal);
        foreach (var version in found)
        {
            var tags = ModelMetrics.Tags(version);
            var metrics = ModelMetrics.Of(version, version.RunId is null ? [] : byRun[Guid.ParseExact(version.RunId, "N")]).Effective;
            var isBaseline = tags.GetValueOrDefault("is_baseline") == "true";
            if (items.Count > 0)
                foreach (var (metric, value) in metrics)
                    if (items[^1].Metrics.TryGetValue(metric, out var before) && ModelComparison.Gain(metric, value - before) is > 0 and var gain)
                        improvements[metric] = Math.Round(improvements.GetValueOrDefault(metric) + gain, 6);
            items.Add(new LineageItem(
                version.Version, metrics, DateTimeOffset.FromUnixTimeMilliseconds(version.CreationTimestamp), version.RunId, isBaseline,
                tags.GetValueOrDefault("contributor_address"), tags.GetValueOrDefault("baseline_id"), null));
        }
        if (items.Count > 1)
            items[^1] = items[^1] with { CumulativeImprovement = improvements };
        return new ModelLineageResponse(modelId, items, total, items.Count == 0 ? "0" : items[^1].Version);
    }

    /// <summary>What an address improved: per version the mean gain over its metrics, as the SDK recorded it or against its baseline.</summary>
    public async Task<ImpactResponse> GetImpactAsync(string address, CancellationToken cancellationToken)
    {
        if (!Address().IsMatch(address))
            throw ModelErrors.InvalidAddress();
        var contributions = new List<Contribution>();
        foreach (var version in await store.ListContributionsAsync(address, cancellationToken))
        {
            var score = await ScoreAsync(version, cancellationToken);
            contributions.Add(new Contribution(version.Name, score, DateTimeOffset.FromUnixTimeMilliseconds(version.CreationTimestamp)));
        }
        return new ImpactResponse(
            address, contributions.Where(one => one.ImprovementScore > 0).Select(one => one.ModelId).Distinct().Count(),
            Math.Round(contributions.Sum(one => one.ImprovementScore), 6), contributions, contributions.FirstOrDefault()?.ContributedAt, contributions.LastOrDefault()?.ContributedAt);
    }

    /// <summary>Counts reported predictions; false where the batch was counted before.</summary>
    public async Task<bool> RecordPredictionsAsync(
        string name, string version, string batchId, IReadOnlyList<ReportedPrediction> predictions, CancellationToken cancellationToken)
    {
        var days = predictions.GroupBy(one => DateOnly.FromDateTime(one.At.UtcDateTime)).OrderBy(day => day.Key).Select(day => new PredictionDay(
            day.Key, day.LongCount(), day.LongCount(one => one.IsError), day.Sum(one => one.LatencyMs ?? 0), day.LongCount(one => one.LatencyMs is not null),
            day.LongCount(IsLabelled), day.LongCount(one => IsLabelled(one) && one.Label == one.Prediction), day.Min(one => one.At), day.Max(one => one.At))).ToList();
        var number = ParseVersion(version) ?? throw ModelErrors.VersionNotFound(name, version);
        return await store.AddPredictionsAsync(name, number, batchId, days, cancellationToken) ?? throw ModelErrors.VersionNotFound(name, version);

        static bool IsLabelled(ReportedPrediction one) => one.Label is not null && one.Prediction is not null;
    }

    /// <summary>How many predictions were reported, by day.</summary>
    public async Task<PredictionsResponse> GetPredictionsAsync(string name, string version, CancellationToken cancellationToken)
    {
        var found = await GetAsync(name, version, cancellationToken);
        var days = await store.ListPredictionDaysAsync(name, int.Parse(found.Version, CultureInfo.InvariantCulture), cancellationToken);
        return new PredictionsResponse(
            days.Sum(day => day.Predictions), new DateRange(days.Count == 0 ? null : days[0].Day, days.Count == 0 ? null : days[^1].Day),
            [.. days.Select(day => new DailyCount(day.Day, day.Predictions))]);
    }

    /// <summary>Moves a version to a stage; others there go to Archived where the stage is one that serves.</summary>
    public async Task<string> TransitionAsync(string name, string version, string stage, bool archiveExisting, CancellationToken cancellationToken)
    {
        var canonical = MlflowNames.CheckStage(stage);
        var found = await GetAsync(name, version, cancellationToken);
        await versions.TransitionAsync(
            name, int.Parse(found.Version, CultureInfo.InvariantCulture), canonical, archiveExisting && (canonical is "Staging" or "Production"), cancellationToken);
        return canonical;
    }

    /// <summary>Changes description and tags.</summary>
    public async Task PatchAsync(string name, string version, string? description, IReadOnlyList<KeyValue> tags, CancellationToken cancellationToken)
    {
        var checkedTags = RunBatches.ReadTags(tags);
        var found = await GetAsync(name, version, cancellationToken);
        await versions.PatchAsync(name, int.Parse(found.Version, CultureInfo.InvariantCulture), description, checkedTags, cancellationToken);
    }

    /// <summary>Deletes a version.</summary>
    public async Task DeleteAsync(string name, string version, CancellationToken cancellationToken)
    {
        var found = await GetAsync(name, version, cancellationToken);
        await versions.DeleteAsync(name, int.Parse(found.Version, CultureInfo.InvariantCulture), cancellationToken);
    }

    /// <summary>The files of a version: one, or all below a directory.</summary>
    /// <exception cref="RegistryException">404: there are none here.</exception>
    public async Task<(StoredArtifact? File, string Directory, IReadOnlyList<StoredArtifact> Files)> ListFilesAsync(string name, string version, CancellationToken cancellationToken)
    {
        var found = await GetAsync(name, version, cancellationToken);
        if (await sources.FindPathAsync(found.Source, cancellationToken) is not { Length: > 0 } path)
            throw ModelErrors.NothingToDownload(name, version);
        if (await artifacts.FindAsync(path, cancellationToken) is { } file)
            return (file, "", []);
        var files = await artifacts.ListBelowAsync(path, cancellationToken);
        return files.Count > 0 ? (null, path, files) : throw ModelErrors.NothingToDownload(name, version);
    }

    private async Task<double> ScoreAsync(ModelVersion version, CancellationToken cancellationToken)
    {
        var tags = ModelMetrics.Tags(version);
        var deltas = ModelMetrics.ReadNumbers(tags.GetValueOrDefault("delta_metrics")).Where(pair => !pair.Key.EndsWith("_pct", StringComparison.Ordinal)).ToDictionary();
        if (deltas.Count == 0 && tags.GetValueOrDefault("baseline_id")?.Split('/', ':') is [{ Length: > 0 } name, { Length: > 0 } number]
            && ParseVersion(number) is { } baseline && await versions.FindAsync(name, baseline, cancellationToken) is { } found)
            deltas = ModelComparison.Of(
                (await MetricsOfAsync(found, cancellationToken)).Effective, (await MetricsOfAsync(version, cancellationToken)).Effective, null).Delta.ToDictionary();
        return deltas.Count == 0 ? 0 : Math.Max(0, Math.Round(deltas.Average(pair => ModelComparison.Gain(pair.Key, pair.Value)), 6));
    }

    private async Task CreateModelAsync(string name, CancellationToken cancellationToken)
    {
        try
        {
            await models.CreateAsync(name, null, [], cancellationToken);
        }
        catch (RegistryException exception) when (exception.Kind == ErrorKind.Conflict)
        {
            // Somebody registered the same name at the same time: this is the next version of that model.
        }
    }

    private async Task<ModelMetrics> MetricsOfAsync(ModelVersion version, CancellationToken cancellationToken) =>
        ModelMetrics.Of(version, (await RunOfAsync(version, cancellationToken))?.Data.Metrics ?? []);

    private async Task<Run?> RunOfAsync(ModelVersion version, CancellationToken cancellationToken) =>
        version.RunId is null ? null : await runs.FindAsync(Guid.ParseExact(version.RunId, "N"), cancellationToken);

    private static JsonObject Describe(ModelVersion version, IReadOnlyDictionary<string, double> metrics)
    {
        var model = new JsonObject { ["name"] = version.Name, ["version"] = version.Version };
        foreach (var (name, value) in metrics)
            if (name is not ("name" or "version"))
                model[name] = value;
        return model;
    }

    private static SortedDictionary<string, double> Production(IReadOnlyList<PredictionDay> days)
    {
        var metrics = new SortedDictionary<string, double>(StringComparer.Ordinal);
        if (days.Count == 0)
            return metrics;
        var (predictions, latencies, labelled) = (days.Sum(day => day.Predictions), days.Sum(day => day.Latencies), days.Sum(day => day.Labelled));
        metrics["predictions"] = predictions;
        metrics["error_rate"] = Math.Round((double)days.Sum(day => day.Errors) / predictions, 6);
        if (latencies > 0)
            metrics["latency_ms"] = Math.Round(days.Sum(day => day.LatencyMs) / latencies, 3);
        if (labelled > 0)
            metrics["accuracy"] = Math.Round((double)days.Sum(day => day.Correct) / labelled, 6);
        var seconds = (days.Max(day => day.LastAt) - days.Min(day => day.FirstAt)).TotalSeconds;
        if (seconds > 0)
            metrics["throughput_rps"] = Math.Round(predictions / seconds, 6);
        return metrics;
    }

    private static bool IsSource(string text)
    {
        try
        {
            ArtifactPaths.CheckSource(text);
            return true;
        }
        catch (RegistryException)
        {
            return false;
        }
    }

    private static string Plain(JsonElement value) => value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText();

    private static int? ParseVersion(string text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0 ? number : null;

    [GeneratedRegex(@"\A0x[0-9a-fA-F]{40}\z", RegexOptions.CultureInvariant)]
    private static partial Regex Address();
}
