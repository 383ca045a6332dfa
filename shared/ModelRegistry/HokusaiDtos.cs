using System.Text.Json.Serialization;

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

/// <summary>An answer that says what was done.</summary>
public sealed record MessageResponse(string Message);

/// <summary>Serialisation of the Hokusai routes.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(ApiKeyResponse))]
[JsonSerializable(typeof(ApiKeyListResponse))]
[JsonSerializable(typeof(ApiKeyUsageResponse))]
[JsonSerializable(typeof(MessageResponse))]
public sealed partial class HokusaiJson : JsonSerializerContext;
