using System.Text.Json.Serialization;
using FunctionsRegistry.Json;

namespace FunctionsRegistry.Evolution;

/// <summary>Spec: what a trial was started with; parameters also has our <c>seed</c>, <c>selection_method</c> and <c>corpus</c>.</summary>
public sealed record TrialConfig(
    string? Repository, int Generations, int PopulationSize, double MutationRate, double CrossoverRate, double FitnessThreshold, int MaxRuntimeMinutes, RawJson Parameters);

/// <summary>Spec: a trial. Ours: result_hash and best_agent_id, null until it is completed; the agent searches with the best genome.</summary>
public sealed record TrialResponse(
    string TrialId, string Repository, TrialConfig Config, string Status, DateTimeOffset StartedAt, DateTimeOffset? CompletedAt, int CurrentGeneration, double BestFitness,
    IReadOnlyList<double> Improvements, int PatternsDiscovered, string? Error, string? ResultHash, string? BestAgentId);

/// <summary>Spec: GET /evolution/trials.</summary>
public sealed record TrialListResponse(IReadOnlyList<TrialResponse> Trials, long Total, int Limit, int Offset);

/// <summary>Spec: POST /evolution/{trial_id}/cancel; also stop, pause and resume.</summary>
public sealed record TrialActionResponse(string Status, string TrialId);

/// <summary>GET /evolution/status of DEAN's client; <c>no_active_trial</c> alone where none runs.</summary>
/// <param name="Diversity">0..1: how far the members' weights are spread; 0: all alike.</param>
public sealed record TrialProgressResponse(
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? TrialId, string Status,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] int? CurrentGeneration = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] int? TotalGenerations = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? BestFitness = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? Diversity = null);

/// <summary>Spec: a pattern: a change of a ranking weight that made searches better.</summary>
/// <param name="Confidence">0..1: of the queries whose answer it moved, the part that it moved up.</param>
/// <param name="Occurrences">Queries whose answer it moved up.</param>
/// <param name="ImpactScore">0..1: how much fitness it gave.</param>
public sealed record TrialPattern(
    string Id, string TrialId, string Name, string Type, string Description, double Confidence, int Occurrences, double ImpactScore, DateTimeOffset DiscoveredAt, int Generation,
    IReadOnlyList<string> Repositories);

/// <summary>Spec: GET /patterns.</summary>
/// <param name="Types">Count per type over all patterns.</param>
public sealed record TrialPatternListResponse(IReadOnlyList<TrialPattern> Patterns, long Total, IReadOnlyDictionary<string, long> Types);

/// <summary>Spec: a completed trial.</summary>
public sealed record TrialResult(
    string TrialId, string Repository, string Status, int GenerationsCompleted, double FinalFitness, double TotalImprovements, IReadOnlyList<TrialPattern> PatternsDiscovered,
    double ExecutionTimeSeconds, TrialResultMetadata Metadata);

/// <summary>Spec: initial_fitness and improvement_rate; the others are ours.</summary>
/// <param name="StopReason"><c>generations</c>, <c>fitness_threshold</c> or <c>max_runtime_minutes</c>.</param>
/// <param name="DefaultFitness">Of the genome that searches use without an agent.</param>
/// <param name="HeldOutDefault">The default genome's mean reciprocal rank on queries that evolution never saw.</param>
/// <param name="HeldOutBest">The best genome's.</param>
public sealed record TrialResultMetadata(
    double InitialFitness, double ImprovementRate, string StopReason, string Corpus, long Seed, string ResultHash, string BestAgentId, double DefaultFitness, double HeldOutDefault,
    double HeldOutBest);

/// <summary>Spec: GET /evolution/results.</summary>
public sealed record TrialResultListResponse(IReadOnlyList<TrialResult> Results, long Total);

/// <summary>Spec: GET /evolution/metrics.</summary>
public sealed record TrialMetricsResponse(
    long TotalTrials, long ActiveTrials, long CompletedTrials, long FailedTrials, long TotalPatterns, double AverageFitness, double AverageGenerations, double AveragePatternsPerTrial);

/// <summary>Spec: GET /health.</summary>
public sealed record EvolutionHealth(string Status, string Service, DateTimeOffset Timestamp, long UptimeSeconds, long ActiveTrials);

/// <summary>Ours: GET /evolution/live, where a client hears of all trials.</summary>
public sealed record LiveResponse(string Url);

/// <summary>Spec: the first frame of a WebSocket.</summary>
public sealed record ConnectionFrame(string Type, string Message, DateTimeOffset Timestamp);

/// <summary>Spec: what is sent of a trial.</summary>
public sealed record UpdateFrame(string Type, string TrialId, string Message, DateTimeOffset Timestamp, UpdateData Data);

/// <summary>Spec: empty, of a generation, or of a pattern.</summary>
public sealed record UpdateData(
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] int? Generation = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? Fitness = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? Improvement = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] UpdatePattern? Pattern = null);

/// <summary>Spec: the pattern of an update.</summary>
public sealed record UpdatePattern(string Id, string Type, double Confidence);

/// <summary>Serialisation of Evolution's wire records.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, Converters = [typeof(UtcTimeConverter)])]
[JsonSerializable(typeof(TrialResponse))]
[JsonSerializable(typeof(TrialListResponse))]
[JsonSerializable(typeof(TrialActionResponse))]
[JsonSerializable(typeof(TrialProgressResponse))]
[JsonSerializable(typeof(TrialPatternListResponse))]
[JsonSerializable(typeof(TrialResultListResponse))]
[JsonSerializable(typeof(TrialMetricsResponse))]
[JsonSerializable(typeof(EvolutionHealth))]
[JsonSerializable(typeof(LiveResponse))]
[JsonSerializable(typeof(ConnectionFrame))]
[JsonSerializable(typeof(UpdateFrame))]
public sealed partial class EvolutionJson : JsonSerializerContext;
