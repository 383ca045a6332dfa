using System.Text.Json;
using System.Text.Json.Serialization;
using FunctionsRegistry.Json;

namespace FunctionsRegistry.IndexAgent;

/// <summary>Spec: an agent's configuration. <c>parameters.genome</c> (weight per ranking feature) and <c>parameters.corpus</c> (what fitness was measured on) are ours.</summary>
public sealed record AgentConfig(string Name, string Language, IReadOnlyList<string> Capabilities, JsonElement Parameters);

/// <summary>Spec: an agent. <paramref name="UpdatedAt"/> only in the answer to PATCH.</summary>
public sealed record AgentResponse(
    string Id, string Name, AgentConfig Config, double FitnessScore, int Generation, DateTimeOffset CreatedAt, string Status,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] DateTimeOffset? UpdatedAt = null);

/// <summary>Spec: GET /agents.</summary>
public sealed record AgentListResponse(IReadOnlyList<AgentResponse> Agents, long Total, int Limit, int Offset);

/// <summary>Spec: DELETE /agents/{id}.</summary>
public sealed record AgentDeletedResponse(string Status, string AgentId);

/// <summary>One ancestor; parents are ids.</summary>
public sealed record AncestorResponse(string Id, string Name, int Generation, double FitnessScore, IReadOnlyList<string> Parents);

/// <summary>GET /agents/{id}/lineage of DEAN's client: ancestors, the nearest generation first.</summary>
public sealed record LineageResponse(string AgentId, int Generation, IReadOnlyList<string> Parents, IReadOnlyList<AncestorResponse> Ancestors);

/// <summary>Spec: a population's configuration; seed and repository are ours.</summary>
public sealed record PopulationConfig(int Size, double MutationRate, double CrossoverRate, string SelectionMethod, long Seed, string? Repository, string Corpus);

/// <summary>Spec: POST /evolution/population.</summary>
public sealed record PopulationResponse(
    string PopulationId, PopulationConfig Config, IReadOnlyList<AgentResponse> Agents, int Generation, double BestFitness, double AvgFitness, DateTimeOffset CreatedAt);

/// <summary>Spec: how a generation compares with the one before.</summary>
public sealed record GenerationStats(double BestFitness, double AvgFitness, double Improvement);

/// <summary>Spec: POST /evolution/generation.</summary>
public sealed record GenerationResponse(int Generation, AgentResponse BestAgent, IReadOnlyList<AgentResponse> Population, GenerationStats Stats);

/// <summary>Spec: counters since the database was made.</summary>
public sealed record CounterMetrics(long AgentsCreated, long PatternsExtracted, long SearchQueries, double AvgQueryTimeMs);

/// <summary>Spec: GET /evolution/metrics.</summary>
public sealed record MetricsResponse(long TotalAgents, long ActivePopulations, long PatternsDiscovered, double AverageFitness, CounterMetrics Metrics);

/// <summary>Spec: one hit. From language on: ours.</summary>
/// <param name="Context">The symbol around: its kind, its name with its container's, and what its comment says.</param>
/// <param name="Explain">Each feature's part of the score, where it was asked for.</param>
public sealed record SearchHit(
    string Id, double Score, string Repository, string FilePath, int LineNumber, string Snippet, string Context, string Language,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Symbol,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyDictionary<string, double>? Explain);

/// <summary>Ours: what was searched instead of what was asked for.</summary>
public sealed record SearchParameters(string Corpus, IReadOnlyList<string> Missing);

/// <summary>Spec: POST /search.</summary>
/// <param name="Relaxed">Nothing has all that was asked for; the hits have a part of it.</param>
/// <param name="Partial">Time ran out; there may be more.</param>
/// <param name="Parameters">Where a named repository is not indexed.</param>
public sealed record SearchResponse(
    string Query, IReadOnlyList<SearchHit> Results, long TotalResults, long ExecutionTimeMs, bool Relaxed, bool Partial,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] SearchParameters? Parameters);

/// <summary>Ours: a repository. Counts are those of the index that searches see.</summary>
/// <param name="State">indexing, ready or failed: of the newest upload.</param>
/// <param name="Skipped">Files left out, by reason: too_large, binary, minified, generated, empty.</param>
/// <param name="Error">Why the newest upload failed.</param>
/// <param name="Progress">While one is indexed: its files and lines so far.</param>
public sealed record RepositoryResponse(
    string Name, string State, int Files, long Lines, long Bytes, RawJson Languages, RawJson Skipped,
    string? Error, string? Url, DateTimeOffset CreatedAt, DateTimeOffset? IndexedAt,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] RepositoryProgress? Progress);

/// <summary>Ours: files and lines so far.</summary>
public sealed record RepositoryProgress(int Files, long Lines);

/// <summary>Ours: GET /repositories.</summary>
public sealed record RepositoryListResponse(IReadOnlyList<RepositoryResponse> Repositories, long Total, int Limit, int Offset);

/// <summary>Ours: DELETE /repositories/{name}.</summary>
public sealed record RepositoryDeletedResponse(string Status, string Name);

/// <summary>GET /search/index/status of DEAN's client.</summary>
public sealed record IndexStatusResponse(string Status, long IndexedRepositories, long TotalFiles, DateTimeOffset? LastUpdate);

/// <summary>POST /search/index/trigger of DEAN's client.</summary>
public sealed record IndexTriggerResponse(string Status, IReadOnlyList<string> Repositories);

/// <summary>Spec: a pattern.</summary>
public sealed record PatternResponse(
    string Id, string Type, double Confidence, string Description, long Occurrences, IReadOnlyList<string> Repositories, DateTimeOffset CreatedAt);

/// <summary>Spec: the filters in force.</summary>
public sealed record PatternFilters(string? PatternType, double MinConfidence);

/// <summary>Spec: GET /patterns.</summary>
public sealed record PatternListResponse(IReadOnlyList<PatternResponse> Patterns, long Total, PatternFilters Filters);

/// <summary>POST /patterns/apply of DEAN's client.</summary>
public sealed record PatternAppliedResponse(string Status, string PatternId, int AffectedAgents, DateTimeOffset Timestamp);

/// <summary>Spec: GET /health.</summary>
public sealed record ServiceHealth(string Status, string Service, DateTimeOffset Timestamp, long UptimeSeconds);

/// <summary>Serialisation of IndexAgent's wire records.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, Converters = [typeof(UtcTimeConverter)])]
[JsonSerializable(typeof(AgentResponse))]
[JsonSerializable(typeof(AgentListResponse))]
[JsonSerializable(typeof(AgentDeletedResponse))]
[JsonSerializable(typeof(LineageResponse))]
[JsonSerializable(typeof(PopulationResponse))]
[JsonSerializable(typeof(GenerationResponse))]
[JsonSerializable(typeof(MetricsResponse))]
[JsonSerializable(typeof(SearchResponse))]
[JsonSerializable(typeof(RepositoryListResponse))]
[JsonSerializable(typeof(RepositoryDeletedResponse))]
[JsonSerializable(typeof(IndexStatusResponse))]
[JsonSerializable(typeof(IndexTriggerResponse))]
[JsonSerializable(typeof(PatternListResponse))]
[JsonSerializable(typeof(PatternAppliedResponse))]
[JsonSerializable(typeof(ServiceHealth))]
[JsonSerializable(typeof(IReadOnlyDictionary<string, int>))]
[JsonSerializable(typeof(IReadOnlyDictionary<string, double>))]
public sealed partial class IndexAgentJson : JsonSerializerContext;
