using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using FunctionsRegistry.Json;

namespace FunctionsRegistry.ModelRegistry;

/// <summary>POST /api/v1/auth/keys and rotate. The key is shown here and never again.</summary>
public sealed record ApiKeyResponse(string Key, Guid KeyId, string Name, DateTimeOffset CreatedAt, DateTimeOffset? ExpiresAt, string Message);

/// <summary>GET /api/v1/auth/keys.</summary>
public sealed record ApiKeyListResponse(IReadOnlyList<ApiKeySummary> Keys, long Total, string? Next);

/// <summary>One line of a key's usage.</summary>
public sealed record ApiKeyUsageLine(DateTimeOffset Hour, string Endpoint, int StatusCode, long Requests, double AverageResponseTimeMs);

/// <summary>GET /api/v1/auth/keys/{id}/usage.</summary>
public sealed record ApiKeyUsageResponse(
    Guid KeyId, int PeriodHours, long TotalRequests, long Errors, double AverageResponseTimeMs, IReadOnlyList<ApiKeyUsageLine> Usage);

/// <summary>One version in GET /models/. Times in milliseconds since 1970.</summary>
public sealed record ModelListItem(string Name, string Version, string Status, long CreatedAt, IReadOnlyDictionary<string, string> Tags);

/// <summary>GET /models/.</summary>
public sealed record ModelListResponse(IReadOnlyList<ModelListItem> Models, string? Next);

/// <summary>GET /models/{name}/{version}.</summary>
public sealed record ModelDetailResponse(string Name, string Version, string Status, string? Description, IReadOnlyDictionary<string, string> Tags, string Stage);

/// <summary>POST /models/register.</summary>
public sealed record RegisterResponse(string ModelId, string ModelName, string Version, DateTimeOffset RegistrationTimestamp, string Status);

/// <summary>GET /models/compare. The models are name, version and their metrics.</summary>
public sealed record CompareResponse(JsonObject Model1, JsonObject Model2, IReadOnlyDictionary<string, double> Delta, string Recommendation, string Reason);

/// <summary>POST /models/evaluate. A metric that the data does not have is null.</summary>
public sealed record EvaluateResponse(string Model, IReadOnlyDictionary<string, double?> Results, long Rows);

/// <summary>POST /models/evaluate where nobody waits: 202. The URL answers with the evaluation.</summary>
public sealed record EvaluationStartedResponse(Guid EvaluationId, string Status, string Url);

/// <summary>GET /models/{name}/{version}/metrics.</summary>
public sealed record ModelMetricsResponse(
    IReadOnlyDictionary<string, double> TrainingMetrics, IReadOnlyDictionary<string, double> ValidationMetrics, IReadOnlyDictionary<string, double> ProductionMetrics);

/// <summary>GET /models/{name}/{version}/lineage.</summary>
public sealed record VersionLineageResponse(string Model, IReadOnlyList<string> Parents, IReadOnlyList<string> TrainingData, IReadOnlyList<string> Experiments);

/// <summary>One version of a model's history.</summary>
public sealed record LineageItem(
    string Version, IReadOnlyDictionary<string, double> Metrics, DateTimeOffset CreatedAt, string? RunId, bool IsBaseline, string? Contributor, string? BaselineId,
    IReadOnlyDictionary<string, double>? CumulativeImprovement);

/// <summary>GET /models/{model_id}/lineage.</summary>
public sealed record ModelLineageResponse(string ModelId, IReadOnlyList<LineageItem> Lineage, int TotalVersions, string LatestVersion);

/// <summary>One improvement of a contributor.</summary>
public sealed record Contribution(string ModelId, double ImprovementScore, DateTimeOffset ContributedAt);

/// <summary>GET /models/contributors/{address}/impact.</summary>
public sealed record ImpactResponse(
    string Address, int TotalModelsImproved, double TotalImprovementScore, IReadOnlyList<Contribution> Contributions, DateTimeOffset? FirstContribution,
    DateTimeOffset? LastContribution);

/// <summary>First and last day.</summary>
public sealed record DateRange(DateOnly? Start, DateOnly? End);

/// <summary>Predictions of a day.</summary>
public sealed record DailyCount(DateOnly Date, long Count);

/// <summary>GET /models/{name}/{version}/predictions.</summary>
public sealed record PredictionsResponse(long TotalPredictions, DateRange DateRange, IReadOnlyList<DailyCount> DailyCounts);

/// <summary>POST /models/{name}/{version}/predictions, our addition.</summary>
public sealed record PredictionsRecordedResponse(long Recorded, bool Repeated);

/// <summary>One operation of a batch: success, or an error with its reason.</summary>
public sealed record BatchResult(string Action, string Model, string Status, string? Error);

/// <summary>POST /models/batch.</summary>
public sealed record BatchResponse(IReadOnlyList<BatchResult> Results);

/// <summary>One model in production.</summary>
public sealed record ProductionModel(string Name, string Version, string Stage, DateTimeOffset DeployedAt);

/// <summary>GET /models/production.</summary>
public sealed record ProductionResponse(IReadOnlyList<ProductionModel> Models);

/// <summary>An answer that says what was done.</summary>
public sealed record MessageResponse(string Message);

/// <summary>Serialisation of the Hokusai routes.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals, Converters = [typeof(UtcTimeConverter)])]
[JsonSerializable(typeof(ApiKeyResponse))]
[JsonSerializable(typeof(ApiKeyListResponse))]
[JsonSerializable(typeof(ApiKeyUsageResponse))]
[JsonSerializable(typeof(MessageResponse))]
[JsonSerializable(typeof(ModelListResponse))]
[JsonSerializable(typeof(ModelDetailResponse))]
[JsonSerializable(typeof(RegisterResponse))]
[JsonSerializable(typeof(CompareResponse))]
[JsonSerializable(typeof(EvaluateResponse))]
[JsonSerializable(typeof(EvaluationStartedResponse))]
[JsonSerializable(typeof(StoredEvaluation))]
[JsonSerializable(typeof(Dictionary<string, double?>))]
[JsonSerializable(typeof(ModelMetricsResponse))]
[JsonSerializable(typeof(VersionLineageResponse))]
[JsonSerializable(typeof(ModelLineageResponse))]
[JsonSerializable(typeof(ImpactResponse))]
[JsonSerializable(typeof(PredictionsResponse))]
[JsonSerializable(typeof(PredictionsRecordedResponse))]
[JsonSerializable(typeof(BatchResponse))]
[JsonSerializable(typeof(ProductionResponse))]
[JsonSerializable(typeof(Dictionary<string, double>))]
[JsonSerializable(typeof(JsonObject))]
public sealed partial class HokusaiJson : JsonSerializerContext;
