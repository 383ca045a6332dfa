using System.Text.Json;
using System.Text.Json.Serialization;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>A param or tag. Both must be there in requests that write them; see <see cref="MlflowNames"/>.</summary>
public sealed record KeyValue(string? Key, string? Value);

/// <summary>One point of a metric; times in milliseconds since 1970.</summary>
public sealed record Metric(string Key, double Value, long Timestamp, long Step, string? RunId = null);

/// <summary>MLflow: Experiment.</summary>
public sealed record Experiment(
    string ExperimentId, string Name, string ArtifactLocation, string LifecycleStage, long LastUpdateTime, long CreationTime, IReadOnlyList<KeyValue> Tags);

/// <summary>MLflow: RunInfo. <paramref name="RunUuid"/> repeats the id for old clients.</summary>
public sealed record RunInfo(
    string RunId, string RunUuid, string RunName, string ExperimentId, string UserId, string Status, long StartTime, long? EndTime, string ArtifactUri, string LifecycleStage);

/// <summary>MLflow: RunData. Metrics are the latest of each key.</summary>
public sealed record RunData(IReadOnlyList<Metric> Metrics, IReadOnlyList<KeyValue> Params, IReadOnlyList<KeyValue> Tags);

/// <summary>MLflow: Dataset.</summary>
public sealed record Dataset(string? Name, string? Digest, string? SourceType, string? Source, string? Schema = null, string? Profile = null);

/// <summary>MLflow: DatasetInput.</summary>
public sealed record DatasetInput(IReadOnlyList<KeyValue>? Tags, Dataset? Dataset);

/// <summary>MLflow 3: a logged model that a run read.</summary>
public sealed record ModelInput(string? ModelId);

/// <summary>MLflow 3: a logged model that a run made.</summary>
public sealed record ModelOutput(string? ModelId, long Step = 0);

/// <summary>MLflow: RunInputs.</summary>
public sealed record RunInputs(IReadOnlyList<DatasetInput> DatasetInputs, IReadOnlyList<ModelInput> ModelInputs);

/// <summary>MLflow 3: RunOutputs.</summary>
public sealed record RunOutputs(IReadOnlyList<ModelOutput> ModelOutputs);

/// <summary>MLflow: Run.</summary>
public sealed record Run(RunInfo Info, RunData Data, RunInputs Inputs, RunOutputs Outputs);

/// <summary>MLflow: FileInfo.</summary>
public sealed record ArtifactFile(string Path, bool IsDir, long? FileSize = null);

/// <summary>An alias of a version of a registered model.</summary>
public sealed record ModelAlias(string Alias, string Version);

/// <summary>MLflow: ModelVersion.</summary>
public sealed record ModelVersion(
    string Name, string Version, long CreationTimestamp, long LastUpdatedTimestamp, string UserId, string CurrentStage, string? Description, string Source,
    string? RunId, string? RunLink, string Status, string StatusMessage, IReadOnlyList<KeyValue> Tags, IReadOnlyList<string> Aliases, string? ModelId);

/// <summary>MLflow: RegisteredModel. <paramref name="LatestVersions"/>: the newest of each stage.</summary>
public sealed record RegisteredModel(
    string Name, long CreationTimestamp, long LastUpdatedTimestamp, string? Description, IReadOnlyList<ModelVersion> LatestVersions, IReadOnlyList<KeyValue> Tags,
    IReadOnlyList<ModelAlias> Aliases);

/// <summary>An answer without members.</summary>
public sealed record EmptyResponse;

/// <summary>experiments/create.</summary>
public sealed record CreateExperimentRequest(string? Name = null, string? ArtifactLocation = null, IReadOnlyList<KeyValue>? Tags = null);

/// <summary>experiments/create.</summary>
public sealed record CreateExperimentResponse(string ExperimentId);

/// <summary>experiments/get and get-by-name.</summary>
public sealed record ExperimentResponse(Experiment Experiment);

/// <summary>experiments/update, delete, restore, purge, set-experiment-tag, delete-experiment-tag.</summary>
public sealed record ExperimentRequest(string? ExperimentId = null, string? NewName = null, string? Key = null, string? Value = null);

/// <summary>Every search; <paramref name="Filter"/> of models and experiments has the same name on the wire.</summary>
public sealed record SearchRequest(
    IReadOnlyList<string>? ExperimentIds = null, string? Filter = null, string? RunViewType = null, string? ViewType = null, long? MaxResults = null,
    IReadOnlyList<string>? OrderBy = null, string? PageToken = null);

/// <summary>experiments/search.</summary>
public sealed record SearchExperimentsResponse(IReadOnlyList<Experiment> Experiments, string? NextPageToken);

/// <summary>runs/create.</summary>
public sealed record CreateRunRequest(
    string? ExperimentId = null, string? UserId = null, string? RunName = null, long? StartTime = null, IReadOnlyList<KeyValue>? Tags = null);

/// <summary>runs/create and get.</summary>
public sealed record RunResponse(Run Run);

/// <summary>runs/update.</summary>
public sealed record UpdateRunRequest(string? RunId = null, string? RunUuid = null, string? Status = null, long? EndTime = null, string? RunName = null);

/// <summary>runs/update.</summary>
public sealed record UpdateRunResponse(RunInfo RunInfo);

/// <summary>runs/delete, restore, purge, delete-tag.</summary>
public sealed record RunRequest(string? RunId = null, string? RunUuid = null, string? Key = null);

/// <summary>runs/search.</summary>
public sealed record SearchRunsResponse(IReadOnlyList<Run> Runs, string? NextPageToken);

/// <summary>One point in a request.</summary>
public sealed record MetricRequest(
    string? Key = null, double? Value = null, long? Timestamp = null, long? Step = null, string? ModelId = null, string? DatasetName = null, string? DatasetDigest = null);

/// <summary>runs/log-metric.</summary>
public sealed record LogMetricRequest(
    string? RunId = null, string? RunUuid = null, string? Key = null, double? Value = null, long? Timestamp = null, long? Step = null, string? ModelId = null,
    string? DatasetName = null, string? DatasetDigest = null);

/// <summary>runs/log-parameter and set-tag.</summary>
public sealed record LogTextRequest(string? RunId = null, string? RunUuid = null, string? Key = null, string? Value = null);

/// <summary>runs/log-batch.</summary>
public sealed record LogBatchRequest(
    string? RunId = null, IReadOnlyList<MetricRequest>? Metrics = null, IReadOnlyList<KeyValue>? Params = null, IReadOnlyList<KeyValue>? Tags = null);

/// <summary>runs/log-model: the model's MLmodel file as JSON.</summary>
public sealed record LogModelRequest(string? RunId = null, string? ModelJson = null);

/// <summary>runs/log-inputs; MLflow 3's runs/outputs has <paramref name="Models"/> with a step.</summary>
public sealed record LogInputsRequest(string? RunId = null, IReadOnlyList<DatasetInput>? Datasets = null, IReadOnlyList<ModelOutput>? Models = null);

/// <summary>metrics/get-history and get-history-bulk.</summary>
public sealed record MetricHistoryResponse(IReadOnlyList<Metric> Metrics, string? NextPageToken);

/// <summary>artifacts/list.</summary>
public sealed record ListArtifactsResponse(string RootUri, IReadOnlyList<ArtifactFile> Files, string? NextPageToken);

/// <summary>mlflow-artifacts/artifacts?path=.</summary>
public sealed record ListFilesResponse(IReadOnlyList<ArtifactFile> Files);

/// <summary>mlflow-artifacts/mpu/create.</summary>
public sealed record CreateUploadRequest(string? Path = null, int? NumParts = null);

/// <summary>Where one part goes.</summary>
public sealed record UploadCredential(string Url, int PartNumber, IReadOnlyDictionary<string, string> Headers);

/// <summary>mlflow-artifacts/mpu/create.</summary>
public sealed record CreateUploadResponse(string UploadId, IReadOnlyList<UploadCredential> Credentials);

/// <summary>A part that the client sent.</summary>
public sealed record UploadedPart(int? PartNumber = null, string? Etag = null, string? Url = null);

/// <summary>mlflow-artifacts/mpu/complete and abort.</summary>
public sealed record FinishUploadRequest(string? Path = null, string? UploadId = null, IReadOnlyList<UploadedPart>? Parts = null);

/// <summary>registered-models/create, update, rename, delete, tags, aliases, get-latest-versions.</summary>
public sealed record RegisteredModelRequest(
    string? Name = null, string? NewName = null, string? Description = null, IReadOnlyList<KeyValue>? Tags = null, string? Key = null, string? Value = null,
    string? Alias = null, string? Version = null, IReadOnlyList<string>? Stages = null);

/// <summary>One registered model.</summary>
public sealed record RegisteredModelResponse(RegisteredModel RegisteredModel);

/// <summary>registered-models/search.</summary>
public sealed record SearchModelsResponse(IReadOnlyList<RegisteredModel> RegisteredModels, string? NextPageToken);

/// <summary>model-versions/create, update, delete, tags, transition-stage, purge.</summary>
public sealed record ModelVersionRequest(
    string? Name = null, string? Version = null, string? Source = null, string? RunId = null, IReadOnlyList<KeyValue>? Tags = null, string? RunLink = null,
    string? Description = null, string? Key = null, string? Value = null, string? Stage = null, bool? ArchiveExistingVersions = null, string? ModelId = null);

/// <summary>One version.</summary>
public sealed record ModelVersionResponse(ModelVersion ModelVersion);

/// <summary>model-versions/search and get-latest-versions.</summary>
public sealed record SearchVersionsResponse(IReadOnlyList<ModelVersion> ModelVersions, string? NextPageToken);

/// <summary>model-versions/get-download-uri.</summary>
public sealed record DownloadUriResponse(string ArtifactUri);

/// <summary>A metric of a logged model, MLflow 3.</summary>
public sealed record LoggedModelMetric(
    string Key, double Value, long Timestamp, long Step, string ModelId, string RunId, string? DatasetName, string? DatasetDigest);

/// <summary>MLflow 3: LoggedModelInfo.</summary>
public sealed record LoggedModelInfo(
    string ModelId, string ExperimentId, string Name, long CreationTimestampMs, long LastUpdatedTimestampMs, string ArtifactUri, string Status, string? ModelType,
    string? SourceRunId, IReadOnlyList<KeyValue> Tags);

/// <summary>MLflow 3: LoggedModelData.</summary>
public sealed record LoggedModelData(IReadOnlyList<KeyValue> Params, IReadOnlyList<LoggedModelMetric> Metrics);

/// <summary>MLflow 3: LoggedModel.</summary>
public sealed record LoggedModel(LoggedModelInfo Info, LoggedModelData Data);

/// <summary>One logged model.</summary>
public sealed record LoggedModelResponse(LoggedModel Model);

/// <summary>logged-models: create, finalize, params, tags.</summary>
public sealed record LoggedModelRequest(
    string? ExperimentId = null, string? Name = null, string? ModelType = null, string? SourceRunId = null, string? Status = null,
    IReadOnlyList<KeyValue>? Params = null, IReadOnlyList<KeyValue>? Tags = null);

/// <summary>A sort key of logged-models/search.</summary>
public sealed record LoggedModelOrder(string? FieldName = null, bool? Ascending = null);

/// <summary>logged-models/search.</summary>
public sealed record SearchLoggedModelsRequest(
    IReadOnlyList<string>? ExperimentIds = null, string? Filter = null, long? MaxResults = null, IReadOnlyList<LoggedModelOrder>? OrderBy = null, string? PageToken = null);

/// <summary>logged-models/search.</summary>
public sealed record SearchLoggedModelsResponse(IReadOnlyList<LoggedModel> Models, string? NextPageToken);

/// <summary>Where an experiment's traces are.</summary>
public sealed record TraceExperiment(string? ExperimentId = null);

/// <summary>MLflow 3: TraceLocation; only experiments are served.</summary>
public sealed record TraceLocation(string? Type = null, TraceExperiment? MlflowExperiment = null);

/// <summary>MLflow 3: TraceInfoV3. Times as protobuf's JSON has them: RFC 3339, and seconds such as <c>1.5s</c>.</summary>
public sealed record TraceInfo(
    string? TraceId = null, string? ClientRequestId = null, TraceLocation? TraceLocation = null, string? RequestPreview = null, string? ResponsePreview = null,
    string? RequestTime = null, string? ExecutionDuration = null, string? State = null, IReadOnlyDictionary<string, string>? TraceMetadata = null,
    IReadOnlyDictionary<string, string>? Tags = null);

/// <summary>A trace without its spans, which are its artifact <c>traces.json</c>.</summary>
public sealed record Trace(TraceInfo? TraceInfo = null);

/// <summary>traces: create and get.</summary>
public sealed record TraceResponse(Trace Trace);

/// <summary>traces: create.</summary>
public sealed record StartTraceRequest(Trace? Trace = null);

/// <summary>traces/search.</summary>
public sealed record SearchTracesRequest(
    IReadOnlyList<TraceLocation>? Locations = null, IReadOnlyList<string>? ExperimentIds = null, string? Filter = null, long? MaxResults = null,
    IReadOnlyList<string>? OrderBy = null, string? PageToken = null);

/// <summary>traces/search.</summary>
public sealed record SearchTracesResponse(IReadOnlyList<TraceInfo> Traces, string? NextPageToken);

/// <summary>traces/delete-traces.</summary>
public sealed record DeleteTracesRequest(
    string? ExperimentId = null, long? MaxTimestampMillis = null, int? MaxTraces = null, IReadOnlyList<string>? RequestIds = null);

/// <summary>traces/delete-traces.</summary>
public sealed record DeleteTracesResponse(int TracesDeleted);

/// <summary>
/// Serialisation of the MLflow routes: int64 as numbers (texts are read, too), NaN and infinities as texts, absent members left out,
/// unknown ones ignored, as MLflow's clients expect.
/// </summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    NumberHandling = JsonNumberHandling.AllowReadingFromString | JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(EmptyResponse))]
[JsonSerializable(typeof(LoggedModelRequest))]
[JsonSerializable(typeof(LoggedModelResponse))]
[JsonSerializable(typeof(SearchLoggedModelsRequest))]
[JsonSerializable(typeof(SearchLoggedModelsResponse))]
[JsonSerializable(typeof(StartTraceRequest))]
[JsonSerializable(typeof(TraceResponse))]
[JsonSerializable(typeof(SearchTracesRequest))]
[JsonSerializable(typeof(SearchTracesResponse))]
[JsonSerializable(typeof(DeleteTracesRequest))]
[JsonSerializable(typeof(DeleteTracesResponse))]
[JsonSerializable(typeof(Dictionary<string, string>))]
[JsonSerializable(typeof(string[]))]
[JsonSerializable(typeof(DatasetInput[]))]
[JsonSerializable(typeof(ModelOutput[]))]
[JsonSerializable(typeof(CreateExperimentRequest))]
[JsonSerializable(typeof(CreateExperimentResponse))]
[JsonSerializable(typeof(ExperimentRequest))]
[JsonSerializable(typeof(ExperimentResponse))]
[JsonSerializable(typeof(SearchRequest))]
[JsonSerializable(typeof(SearchExperimentsResponse))]
[JsonSerializable(typeof(CreateRunRequest))]
[JsonSerializable(typeof(RunResponse))]
[JsonSerializable(typeof(UpdateRunRequest))]
[JsonSerializable(typeof(UpdateRunResponse))]
[JsonSerializable(typeof(RunRequest))]
[JsonSerializable(typeof(SearchRunsResponse))]
[JsonSerializable(typeof(LogMetricRequest))]
[JsonSerializable(typeof(LogTextRequest))]
[JsonSerializable(typeof(LogBatchRequest))]
[JsonSerializable(typeof(LogModelRequest))]
[JsonSerializable(typeof(LogInputsRequest))]
[JsonSerializable(typeof(MetricHistoryResponse))]
[JsonSerializable(typeof(ListArtifactsResponse))]
[JsonSerializable(typeof(ListFilesResponse))]
[JsonSerializable(typeof(CreateUploadRequest))]
[JsonSerializable(typeof(CreateUploadResponse))]
[JsonSerializable(typeof(FinishUploadRequest))]
[JsonSerializable(typeof(RegisteredModelRequest))]
[JsonSerializable(typeof(RegisteredModelResponse))]
[JsonSerializable(typeof(SearchModelsResponse))]
[JsonSerializable(typeof(ModelVersionRequest))]
[JsonSerializable(typeof(ModelVersionResponse))]
[JsonSerializable(typeof(SearchVersionsResponse))]
[JsonSerializable(typeof(DownloadUriResponse))]
public sealed partial class MlflowJson : JsonSerializerContext;
