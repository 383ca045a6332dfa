using System.Text.Json.Serialization;
using FunctionsRegistry.Json;

namespace FunctionsRegistry.DataRegistry;

/// <summary>A media file as the caller describes it (spec: POST /api/v1/media).</summary>
public sealed record NewMedia(string Filename, string Filepath, long FileSizeBytes, string MimeType, double? DurationSeconds, RawJson? MetaData);

/// <summary>Spec: media. <paramref name="Status"/> is pending until a transcript exists, then completed.</summary>
public sealed record MediaFile(
    Guid Id, string Filename, string Filepath, long FileSizeBytes, string MimeType, double? DurationSeconds, string Status, RawJson? MetaData,
    DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt);

/// <summary>Spec: POST /api/v1/transcripts.</summary>
public sealed record NewTranscript(
    Guid MediaId, string FullText, string? Language, double? ConfidenceScore, string? ModelName, string? ModelVersion, double ProcessingTimeSeconds,
    RawJson? MetaData);

/// <summary>Spec: transcripts.</summary>
public sealed record Transcript(
    Guid Id, Guid MediaId, string FullText, string? Language, double? ConfidenceScore, string? ModelName, string? ModelVersion,
    double ProcessingTimeSeconds, RawJson? MetaData, DateTimeOffset CreatedAt);

/// <summary>Spec: POST /api/v1/segments. Times in seconds from the beginning of the media.</summary>
public sealed record NewSegment(
    Guid TranscriptId, int SegmentIndex, double StartTimeSeconds, double EndTimeSeconds, string Text, double? ConfidenceScore, string? SpeakerId,
    RawJson? MetaData);

/// <summary>Spec: segments.</summary>
public sealed record Segment(
    Guid Id, Guid TranscriptId, int SegmentIndex, double StartTimeSeconds, double EndTimeSeconds, string Text, double? ConfidenceScore, string? SpeakerId,
    RawJson? MetaData, DateTimeOffset CreatedAt);

/// <summary>Spec: POST /api/v1/events.</summary>
public sealed record NewEvent(string EventType, string EntityType, Guid? EntityId, string? UserId, string? Description, RawJson? MetaData);

/// <summary>Spec: events.</summary>
public sealed record RegistryEvent(
    Guid Id, string EventType, string EntityType, Guid? EntityId, string? UserId, string? Description, RawJson? MetaData, DateTimeOffset CreatedAt);

/// <summary>Spec: POST /api/v1/projects. <paramref name="ProjectId"/> is the id in the system it came from; unique.</summary>
public sealed record NewProject(
    string Name, string? ProjectId, string? Description, string? CustomInstructions, RawJson? KnowledgeFiles, RawJson? MetaData);

/// <summary>Spec: projects.</summary>
public sealed record Project(
    Guid Id, string Name, string? ProjectId, string? Description, string? CustomInstructions, RawJson? KnowledgeFiles, DateTimeOffset CreatedAt,
    DateTimeOffset UpdatedAt, long ConversationCount);

/// <summary>Spec: POST /api/v1/conversations. <paramref name="ConversationId"/> is the id in the system it came from; unique.</summary>
public sealed record NewConversation(
    string Title, string? ConversationId, string ExportSource, string? ModelName, Guid? ProjectId, RawJson? MetaData, DateTimeOffset? CreatedAt,
    IReadOnlyList<NewMessage> Messages);

/// <summary>One message of a new conversation; <paramref name="MessageIndex"/> is its place when the caller names none.</summary>
public sealed record NewMessage(int MessageIndex, string Role, string Content, RawJson? Attachments, RawJson? MetaData, DateTimeOffset? CreatedAt);

/// <summary>Spec: conversations, with true counts.</summary>
public sealed record Conversation(
    Guid Id, string Title, string? ConversationId, string ExportSource, string? ModelName, Guid? ProjectId, DateTimeOffset CreatedAt,
    DateTimeOffset UpdatedAt, long MessageCount, long ArtifactCount);

/// <summary>Spec: messages. Attachments are any JSON.</summary>
public sealed record Message(
    Guid Id, Guid ConversationId, int MessageIndex, string Role, string Content, RawJson? Attachments, DateTimeOffset CreatedAt);

/// <summary>Spec: POST /api/v1/artifacts.</summary>
public sealed record NewArtifact(
    Guid ConversationId, Guid? MessageId, string Title, string ArtifactType, string? Language, string Content, string? FilePath, string? PublishedUrl,
    RawJson? MetaData);

/// <summary>Spec: artifacts.</summary>
public sealed record Artifact(
    Guid Id, Guid ConversationId, Guid? MessageId, string Title, string ArtifactType, string? Language, string Content, string? FilePath,
    string? PublishedUrl, DateTimeOffset CreatedAt);

/// <summary>What an agent says of itself; the spec's <c>service</c>.</summary>
public sealed record AgentProfile(
    string Id, string Name, string Version, string Division, string Type, string? Description, string DeploymentType, string? DeploymentUrl,
    string? LangsmithDeploymentId, string? LangsmithOrg, string? GithubRepo, string? GithubBranch, string? GithubPath, string? Endpoint);

/// <summary>What an agent can do.</summary>
public sealed record AgentCapabilities(IReadOnlyList<string> Primary, IReadOnlyList<string> Secondary);

/// <summary>One model that an agent uses. <paramref name="Cost"/>: keys input and output, in the unit of its provider's price list.</summary>
public sealed record AgentModel(
    string Provider, string ModelId, string Status, IReadOnlyList<string> UseCases, IReadOnlyDictionary<string, double> Cost, int? ContextWindow,
    int? MaxOutput, bool Local, string? Requires);

/// <summary>Something outside that an agent calls.</summary>
public sealed record ExternalApi(string Name, string Type, string Endpoint, bool AuthRequired, string? RateLimit);

/// <summary>Where an agent's traces go.</summary>
public sealed record AgentObservability(string LangsmithProject, bool Tracing);

/// <summary>Spec: POST /api/v1/agents/register. It replaces all of an earlier one.</summary>
public sealed record AgentRegistration(
    AgentProfile Service, AgentCapabilities? Capabilities, RawJson? IoSchema, IReadOnlyDictionary<string, AgentModel> Models,
    IReadOnlyList<ExternalApi> ExternalApis, AgentObservability? Observability);

/// <summary>Spec: the answer to a registration. <paramref name="Status"/>: registered or updated.</summary>
public sealed record AgentStatusResponse(string Status, string AgentId, string Message);

/// <summary>Spec: POST /api/v1/agents/{service_id}/heartbeat.</summary>
public sealed record AgentHeartbeat(
    string Status, RawJson? Models, int RequestsTotal, int RequestsSuccess, int RequestsFailed, double AvgLatencyMs, int TotalTokens, double TotalCostUsd,
    string? LangsmithDeploymentStatus, int? LangsmithTracesCount, string? DeploymentTier);

/// <summary>Spec: the answer to a heartbeat.</summary>
public sealed record HeartbeatResponse(string Status, string AgentId, DateTimeOffset Timestamp);

/// <summary>Spec: one agent.</summary>
public sealed record RegisteredAgent(
    AgentProfile Service, RawJson? Capabilities, RawJson Models, string Status, DateTimeOffset? LastHeartbeat, DateTimeOffset RegisteredAt,
    DateTimeOffset UpdatedAt)
{
    /// <summary>Also outside <see cref="Service"/>.</summary>
    [JsonPropertyOrder(-1)]
    public string Id => Service.Id;
}

/// <summary>Spec: GET /api/v1/agents and discover. <paramref name="Next"/> is our addition, where there are more.</summary>
public sealed record AgentListResponse(
    IReadOnlyList<RegisteredAgent> Agents, long Total, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Next = null);

/// <summary>Spec: GET /api/v1/agents/models/list: each with agent_id, agent_name, model_name and the model's own fields.</summary>
public sealed record ModelListResponse(IReadOnlyList<RawJson> Models, int Total);

/// <summary>Which agents are looked for. Costs are the mean of a model's input and output.</summary>
public sealed record AgentSearch(string? Capability, bool PreferLocal, double? MaxCost, string? DeploymentType);

/// <summary>Spec: POST /api/v1/antigravity/chats: creates or updates by conversation_id; what is empty keeps the old value.</summary>
public sealed record ChatUpsert(string ConversationId, string? Title, string? Summary, string? UserObjective, IReadOnlyList<string> Tags, RawJson? Metadata);

/// <summary>One field of a PATCH: whether it was sent, and its value; null clears.</summary>
public readonly record struct Change<T>(bool IsSent, T? Value);

/// <summary>Spec: PATCH /api/v1/antigravity/chats/{conversation_id}. Numbers and status are set or left alone, texts and tags also cleared.</summary>
public sealed record ChatPatch(
    Change<string> Title, Change<string> Summary, Change<string> UserObjective, int? MessageCount, int? TotalTokens, double? TotalCostUsd, string? Status,
    Change<string[]> Tags, Change<RawJson?> ProcessingMetadata);

/// <summary>Spec: Antigravity Chat; metadata is our addition.</summary>
public sealed record AntigravityChat(
    Guid Id, string ConversationId, string? Title, string? Summary, string? UserObjective, DateTimeOffset CreatedAt, DateTimeOffset LastModified,
    int MessageCount, int TotalTokens, double TotalCostUsd, string Status, IReadOnlyList<string> Tags, long FileCount, RawJson? Metadata);

/// <summary>Spec: POST /api/v1/antigravity/files.</summary>
public sealed record NewAntigravityFile(
    string ConversationId, string FilePath, string? FileType, long? FileSizeBytes, string? ArtifactType, string? Summary, RawJson? Metadata);

/// <summary>Spec: Antigravity File; last_modified and metadata are additions.</summary>
public sealed record AntigravityFile(
    Guid Id, string ConversationId, string FilePath, string? FileType, long? FileSizeBytes, string? ArtifactType, string? Summary,
    DateTimeOffset CreatedAt, DateTimeOffset LastModified, RawJson? Metadata);

/// <summary>What is to be researched. Dates are texts: clients send any form.</summary>
public sealed record ResearchInput(
    string Topic, string TherapeuticArea, string QueryType, string TargetAudience, string DateRangeFrom, string DateRangeTo,
    IReadOnlyList<string> SpecificQuestions, string MinimumEvidenceLevel, int MaxResults, bool UseLocalLlm, string OutputFormat,
    DateTimeOffset? DueDate, DateTimeOffset? CurriculumStartDate, DateTimeOffset? CurriculumEndDate, string? ProductName, int? ProductQuantity);

/// <summary>What a research run found.</summary>
public sealed record ResearchOutput(
    int? GapsIdentified, int? KeyFindingsCount, int? CitationsCount, IReadOnlyDictionary<string, int>? EvidenceLevels, string? OutputFormatUsed);

/// <summary>What a research run took.</summary>
public sealed record ResearchProcessing(
    string? ModelUsed, int? TotalTokens, double? TotalCost, double? ProcessingTimeSeconds, int? PubmedResultsCount, int? PerplexityResultsCount);

/// <summary>Spec: POST /api/v1/research/requests.</summary>
public sealed record NewResearchRequest(string UserId, string AgentType, ResearchInput InputParams);

/// <summary>PATCH /api/v1/research/requests/{request_id}; null clears, except the status, which cannot be null.</summary>
public sealed record ResearchPatch(
    string? Status, Change<ResearchOutput> OutputSummary, Change<ResearchProcessing> ProcessingMetadata, Change<string> ErrorMessage,
    Change<DateTimeOffset?> CompletedAt);

/// <summary>Spec: research requests. <paramref name="Status"/>: pending, running, completed or failed.</summary>
public sealed record ResearchRequest(
    string RequestId, string UserId, string AgentType, string Status, RawJson InputParams, RawJson? OutputSummary, RawJson? ProcessingMetadata,
    DateTimeOffset CreatedAt, DateTimeOffset? StartedAt, DateTimeOffset? CompletedAt, string? ErrorMessage);

/// <summary>Spec: GET /api/v1/research/requests.</summary>
public sealed record ResearchListResponse(IReadOnlyList<ResearchRequest> Requests, long Total, int Page, int PageSize);

/// <summary>Spec: GET /api/v1/ws/status, of this process.</summary>
public sealed record SocketStatusResponse(int ActiveConnections, int Sessions);

/// <summary>One frame of the WebSocket, in either direction.</summary>
public sealed record SocketMessage(string Type, RawJson Data);

/// <summary>connection.ack.</summary>
public sealed record SocketAcknowledgement(string SessionId, string ServerVersion, IReadOnlyList<string> Capabilities);

/// <summary>error; details are the faults of a refused request.</summary>
public sealed record SocketError(
    string Code, string Message, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<SocketFault>? Details = null);

/// <summary>One fault of a refused request.</summary>
public sealed record SocketFault(string Loc, string Msg, string Type);

/// <summary>request.accepted; the estimate in seconds is null where no such request was ever completed.</summary>
public sealed record SocketRequestAccepted(string RequestId, double? EstimatedTime);

/// <summary>request.cancelled.</summary>
public sealed record SocketRequestCancelled(string RequestId);

/// <summary>agent.status: a submitted request's status changed.</summary>
public sealed record SocketAgentStatus(string RequestId, string Agent, string Status, string? Message);

/// <summary>content.complete: a submitted request was completed.</summary>
public sealed record SocketContentComplete(
    string RequestId, string ContentId, string? Title, RawJson? OutputSummary, RawJson? ProcessingMetadata, SocketContentMetadata Metadata);

/// <summary>Of content.complete.</summary>
public sealed record SocketContentMetadata(DateTimeOffset? GeneratedAt, string Agent);

/// <summary>request.failed: a submitted request failed.</summary>
public sealed record SocketRequestFailed(string RequestId, string? Error);

/// <summary>chat.response: says that the message arrived.</summary>
public sealed record SocketChatResponse(string Content, string? RequestId);

/// <summary>pong.</summary>
public sealed record SocketPong;

/// <summary>Serialisation of the data registry's wire records.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, Converters = [typeof(UtcTimeConverter)])]
[JsonSerializable(typeof(MediaFile))]
[JsonSerializable(typeof(IReadOnlyList<MediaFile>))]
[JsonSerializable(typeof(Transcript))]
[JsonSerializable(typeof(IReadOnlyList<Transcript>))]
[JsonSerializable(typeof(Segment))]
[JsonSerializable(typeof(IReadOnlyList<Segment>))]
[JsonSerializable(typeof(RegistryEvent))]
[JsonSerializable(typeof(IReadOnlyList<RegistryEvent>))]
[JsonSerializable(typeof(Project))]
[JsonSerializable(typeof(IReadOnlyList<Project>))]
[JsonSerializable(typeof(Conversation))]
[JsonSerializable(typeof(IReadOnlyList<Conversation>))]
[JsonSerializable(typeof(IReadOnlyList<Message>))]
[JsonSerializable(typeof(Artifact))]
[JsonSerializable(typeof(IReadOnlyList<Artifact>))]
[JsonSerializable(typeof(AgentCapabilities))]
[JsonSerializable(typeof(IReadOnlyDictionary<string, AgentModel>))]
[JsonSerializable(typeof(IReadOnlyList<ExternalApi>))]
[JsonSerializable(typeof(AgentObservability))]
[JsonSerializable(typeof(AgentStatusResponse))]
[JsonSerializable(typeof(HeartbeatResponse))]
[JsonSerializable(typeof(RegisteredAgent))]
[JsonSerializable(typeof(AgentListResponse))]
[JsonSerializable(typeof(ModelListResponse))]
[JsonSerializable(typeof(AntigravityChat))]
[JsonSerializable(typeof(IReadOnlyList<AntigravityChat>))]
[JsonSerializable(typeof(AntigravityFile))]
[JsonSerializable(typeof(IReadOnlyList<AntigravityFile>))]
[JsonSerializable(typeof(ResearchInput))]
[JsonSerializable(typeof(ResearchOutput))]
[JsonSerializable(typeof(ResearchProcessing))]
[JsonSerializable(typeof(ResearchRequest))]
[JsonSerializable(typeof(ResearchListResponse))]
[JsonSerializable(typeof(SocketStatusResponse))]
[JsonSerializable(typeof(SocketMessage))]
[JsonSerializable(typeof(SocketAcknowledgement))]
[JsonSerializable(typeof(SocketError))]
[JsonSerializable(typeof(SocketRequestAccepted))]
[JsonSerializable(typeof(SocketRequestCancelled))]
[JsonSerializable(typeof(SocketAgentStatus))]
[JsonSerializable(typeof(SocketContentComplete))]
[JsonSerializable(typeof(SocketRequestFailed))]
[JsonSerializable(typeof(SocketChatResponse))]
[JsonSerializable(typeof(SocketPong))]
public sealed partial class DataRegistryJson : JsonSerializerContext;
