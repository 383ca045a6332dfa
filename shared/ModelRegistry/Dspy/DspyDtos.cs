using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using FunctionsRegistry.Json;

namespace FunctionsRegistry.ModelRegistry.Dspy;

/// <summary>The fields of one signature in GET /programs.</summary>
public sealed record DspySignatureSummary(IReadOnlyList<string> InputFields, IReadOnlyList<string> OutputFields);

/// <summary>One program in GET /programs. Revision counts its PUTs; 0 for one that ships with the app.</summary>
public sealed record DspyProgramSummary(
    string ProgramId, string Name, string Version, IReadOnlyList<DspySignatureSummary> Signatures, string? Description, int Revision, DateTimeOffset? CreatedAt);

/// <summary>PUT /programs/{id}.</summary>
public sealed record DspyProgramStored(string ProgramId, string Name, string Version, IReadOnlyList<DspySignatureSummary> Signatures, string? Description, int Revision, bool Created);

/// <summary>One field in GET /programs/{id}.</summary>
public sealed record DspyFieldDetail(string Name, string Type, string? Description, bool Optional, IReadOnlyList<string>? Values);

/// <summary>One signature in GET /programs/{id}.</summary>
public sealed record DspySignatureDetail(string Name, string Instructions, IReadOnlyList<DspyFieldDetail> Inputs, IReadOnlyList<DspyFieldDetail> Outputs, int Demos);

/// <summary>GET /programs/{id}.</summary>
public sealed record DspyProgramDetail(string ProgramId, string Name, string Version, string? Description, int Revision, IReadOnlyList<DspySignatureDetail> Signatures);

/// <summary>POST /execute, and each result of a batch. Execution time in seconds.</summary>
public sealed record DspyExecution(
    Guid ExecutionId, bool Success, JsonObject? Outputs, string? Error, double ExecutionTime, string ProgramName, JsonObject Metadata)
{
    /// <summary>Why it failed, for callers that answer in another form; not on the wire.</summary>
    [JsonIgnore]
    public DspyFailure Failure { get; init; }
}

/// <summary>Kinds of failure.</summary>
public enum DspyFailure
{
    /// <summary>None, or not known.</summary>
    None,

    /// <summary>The inputs are not the program's.</summary>
    Inputs,

    /// <summary>The time was up.</summary>
    Timeout,

    /// <summary>The language model failed, or answered what does not fit.</summary>
    LanguageModel,
}

/// <summary>GET /execution/{id}.</summary>
public sealed record DspyExecutionDetail(
    Guid ExecutionId, bool Success, JsonElement? Outputs, string? Error, double ExecutionTime, string ProgramName, JsonElement Metadata, int Revision, Guid? BatchId,
    JsonElement Inputs, DateTimeOffset CreatedAt);

/// <summary>POST /execute/batch, in the order of the inputs.</summary>
public sealed record DspyBatchResponse(Guid BatchId, int Total, int Successful, int Failed, IReadOnlyList<DspyExecution> Results);

/// <summary>Counted executions: those that asked the language model. Times in seconds; null until the first. The 95th percentile is of the last 1,000.</summary>
public sealed record DspyStatistics(
    long TotalExecutions, long SuccessfulExecutions, long FailedExecutions, double SuccessRate, double AverageExecutionTime, double? MinExecutionTime,
    double? MaxExecutionTime, double? P95ExecutionTime);

/// <summary>GET /stats.</summary>
public sealed record DspyStatsResponse(DspyStatistics Statistics, bool CacheEnabled, bool MlflowTracking, long CacheEntries);

/// <summary>GET /health of the executor.</summary>
public sealed record DspyHealthResponse(string Status, long? TotalExecutions, double? SuccessRate, string? Error);

/// <summary>A part of an output's text while it arrives.</summary>
public sealed record DspyDelta(string Field, string Delta);

/// <summary>A message of the OpenAI form.</summary>
public sealed record OpenAiMessage(string Role, string Content);

/// <summary>One choice.</summary>
public sealed record OpenAiChoice(int Index, OpenAiMessage Message, string FinishReason);

/// <summary>Tokens.</summary>
public sealed record OpenAiUsage(long PromptTokens, long CompletionTokens, long TotalTokens);

/// <summary>OpenAI's chat completion. Created in seconds since 1970.</summary>
public sealed record OpenAiCompletion(
    string Id, [property: JsonPropertyName("object")] string Kind, long Created, string Model, IReadOnlyList<OpenAiChoice> Choices, OpenAiUsage Usage);

/// <summary>What a chunk adds.</summary>
public sealed record OpenAiDelta(
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Role, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Content);

/// <summary>One choice of a chunk.</summary>
public sealed record OpenAiChunkChoice(int Index, OpenAiDelta Delta, string? FinishReason);

/// <summary>OpenAI's chunk of a streamed chat completion.</summary>
public sealed record OpenAiChunk(
    string Id, [property: JsonPropertyName("object")] string Kind, long Created, string Model, IReadOnlyList<OpenAiChunkChoice> Choices,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] OpenAiUsage? Usage);

/// <summary>Serialisation of the DSPy routes.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, Converters = [typeof(UtcTimeConverter)])]
[JsonSerializable(typeof(IReadOnlyList<DspyProgramSummary>))]
[JsonSerializable(typeof(IReadOnlyList<DspySignatureSummary>))]
[JsonSerializable(typeof(DspyProgramStored))]
[JsonSerializable(typeof(DspyProgramDetail))]
[JsonSerializable(typeof(DspyExecution))]
[JsonSerializable(typeof(DspyExecutionDetail))]
[JsonSerializable(typeof(DspyBatchResponse))]
[JsonSerializable(typeof(DspyStatsResponse))]
[JsonSerializable(typeof(DspyHealthResponse))]
[JsonSerializable(typeof(DspyDelta))]
[JsonSerializable(typeof(OpenAiCompletion))]
[JsonSerializable(typeof(OpenAiChunk))]
public sealed partial class DspyJson : JsonSerializerContext;
