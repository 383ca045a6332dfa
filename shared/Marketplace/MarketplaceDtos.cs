using System.Text.Json.Serialization;
using FunctionsRegistry.Json;

namespace FunctionsRegistry.Marketplace;

/// <summary>Who published an agent.</summary>
public sealed record AuthorSummary(string Username, string DisplayName, string? AvatarUrl);

/// <summary>One agent in a list (spec: GET /agents).</summary>
public sealed record AgentSummary(
    string Scope, string Name, string FullName, string Description, string? Category, IReadOnlyList<string> Tags, string LatestVersion,
    long DownloadCount, long StarCount, bool IsVerified, AuthorSummary Author, DateTimeOffset UpdatedAt);

/// <summary>A page of agents; <paramref name="Next"/> is our addition: the cursor of the rows after these.</summary>
public sealed record AgentListResponse(
    IReadOnlyList<AgentSummary> Agents, long Total, int Page, int Limit,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Next);

/// <summary>One agent (spec: GET /agents/:scope/:name); homepage, is_deprecated and versions are what the real client prints beside.</summary>
public sealed record AgentDetail(
    string Scope, string Name, string FullName, string Description, string Readme, string? Category, IReadOnlyList<string> Tags, string License,
    string? Repository, string? Homepage, string LatestVersion, long DownloadCount, long StarCount, bool IsVerified, bool IsFeatured, bool IsDeprecated,
    AuthorSummary Author, RawJson Permissions, IReadOnlyList<string> McpServers, RawJson Examples, RawJson Versions, long VersionsTotal,
    DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt);

/// <summary>One published version.</summary>
public sealed record VersionSummary(string Version, long TarballSize, long DownloadCount, DateTimeOffset PublishedAt);

/// <summary>Spec: GET /agents/:scope/:name/versions.</summary>
public sealed record VersionListResponse(IReadOnlyList<VersionSummary> Versions);

/// <summary>Spec fields (tarball_url, sha256, size) and those that the real clients read.</summary>
public sealed record DownloadResponse(
    string TarballUrl, string Sha256, long Size, string Version, string TarballSha256, long TarballSize, DateTimeOffset PublishedAt);

/// <summary>Spec: PUT /agents/:scope/:name.</summary>
public sealed record PublishResponse(bool Success, string Version, string FullName, string Url);

/// <summary>Spec: DELETE /agents/:scope/:name/:version.</summary>
public sealed record MessageResponse(bool Success, string Message);

/// <summary>Our addition: the answer to a star.</summary>
public sealed record StarResponse(bool Starred, long StarCount);

/// <summary>One category.</summary>
public sealed record CategorySummary(string Slug, string Name, long Count);

/// <summary>Spec: GET /categories.</summary>
public sealed record CategoryListResponse(IReadOnlyList<CategorySummary> Categories);

/// <summary>Spec: GET /users/:username.</summary>
public sealed record UserProfile(
    string Username, string? DisplayName, string? AvatarUrl, string? Bio, string? Website, long AgentCount, long TotalDownloads, DateTimeOffset CreatedAt);

/// <summary>Spec: POST /auth/github; the client also sends its own state.</summary>
public sealed record SignInRequest(string? RedirectUri = null, string? State = null);

/// <summary>Spec: auth_url; state as the original adds.</summary>
public sealed record SignInResponse(string AuthUrl, string State);

/// <summary>The signed-in user.</summary>
public sealed record SignedInUser(string Username, string DisplayName, string? AvatarUrl, long GithubId);

/// <summary>Spec: GET /auth/callback. The token is shown here and never again.</summary>
public sealed record CallbackResponse(string Token, SignedInUser User, DateTimeOffset ExpiresAt);

/// <summary>Both telemetry bodies: the spec's (agent_name, agent_version, os, cli_version) and the real client's (agent, version, error_type).</summary>
public sealed record TelemetryRequest(
    string? AgentName = null, string? Agent = null, string? AgentVersion = null, string? Version = null, bool? Success = null, long? DurationMs = null,
    string? Os = null, string? CliVersion = null, string? ErrorType = null);

/// <summary>Spec: POST /telemetry.</summary>
public sealed record TelemetryResponse(bool Ok);

/// <summary>Serialisation of the marketplace's wire records.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, Converters = [typeof(UtcTimeConverter)])]
[JsonSerializable(typeof(AgentListResponse))]
[JsonSerializable(typeof(AgentDetail))]
[JsonSerializable(typeof(VersionListResponse))]
[JsonSerializable(typeof(DownloadResponse))]
[JsonSerializable(typeof(PublishResponse))]
[JsonSerializable(typeof(MessageResponse))]
[JsonSerializable(typeof(StarResponse))]
[JsonSerializable(typeof(CategoryListResponse))]
[JsonSerializable(typeof(UserProfile))]
[JsonSerializable(typeof(SignInRequest))]
[JsonSerializable(typeof(SignInResponse))]
[JsonSerializable(typeof(CallbackResponse))]
[JsonSerializable(typeof(TelemetryRequest))]
[JsonSerializable(typeof(TelemetryResponse))]
[JsonSerializable(typeof(VersionSummary[]))]
public sealed partial class MarketplaceJson : JsonSerializerContext;
