using System.Buffers.Text;
using System.Globalization;
using System.Text;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.ModelRegistry;

namespace FunctionsRegistry.Functions.ModelRegistry;

/// <summary>API keys (contracts/hokusai.md, "API keys"): for the holder of <c>Hokusai__AdminKey</c> only.</summary>
[Contract(Family.Hokusai)]
public sealed class KeyFunctions(ApiKeyService service, ApiKeyStore keys, SecretCache cache, TimeProvider time)
{
    private const string Base = "hokusai/api/v1/auth/keys";
    private const string ShownOnce = "Store this key now: it is not shown again.";

    /// <summary>POST /api/v1/auth/keys: 201 with the key, once.</summary>
    [Function("hokusai_keys_create")]
    [Body(
        "name: string(1..100), environment?: test|development|production, expires_in_days?: integer(1..365), " +
        "rate_limit_per_hour?: integer(1..100000), allowed_ips?: string[], scopes?: string[]")]
    [Answers(typeof(ApiKeyResponse), 201)]
    public async Task<IResult> Create(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.Keys);
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var wanted = new NewApiKey(
            fields.Text("name", 1, 100), fields.OptionalChoice("environment", [.. ApiKeyService.Environments.Keys]) ?? "production",
            (int?)fields.OptionalWholeNumber("expires_in_days", 1, 365), fields.WholeNumber("rate_limit_per_hour", 1000, 1, 100_000),
            fields.Texts("allowed_ips", 20, 100), fields.OptionalTexts("scopes", 50, 100));
        fields.ThrowIfFaulty();
        var (key, summary) = await service.CreateAsync(wanted, cancellationToken);
        return Answer(key, summary, StatusCodes.Status201Created);
    }

    /// <summary>GET /api/v1/auth/keys?active_only: newest first; limit and cursor are our addition.</summary>
    [Function("hokusai_keys_list")]
    [Query("active_only?: boolean, limit?: integer(1..1000), cursor?: string(..200)")]
    [Answers(typeof(ApiKeyListResponse))]
    public async Task<IResult> List(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.Keys);
        var query = FieldReader.OfQuery(request);
        var activeOnly = query.OptionalBoolean("active_only") ?? false;
        var limit = query.WholeNumber("limit", 100, 1, 1000);
        var cursor = query.OptionalText("cursor", 0, 200);
        var before = cursor is null ? null : ReadCursor(cursor);
        if (cursor is not null && before is null)
            query.Fault("cursor", "use the `next` value of an earlier answer");
        query.ThrowIfFaulty();
        var (found, total) = await keys.ListAsync(activeOnly, before, limit + 1, cancellationToken);
        var page = found.Take(limit).ToList();
        var next = found.Count > limit ? WriteCursor(page[^1]) : null;
        return JsonBody.Create(new ApiKeyListResponse(page, total, next), HokusaiJson.Default.ApiKeyListResponse);
    }

    /// <summary>DELETE /api/v1/auth/keys/{id}: ends the key.</summary>
    [Function("hokusai_keys_revoke")]
    [Answers(typeof(MessageResponse))]
    public async Task<IResult> Revoke(
        [HttpTrigger(AuthorizationLevel.Anonymous, "delete", Route = Base + "/{id}")] HttpRequest request, string id, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.Keys);
        if (!await keys.RevokeAsync(ParseId(id), cancellationToken))
            throw ApiKeyErrors.KeyNotFound();
        cache.Clear();
        return JsonBody.Create(new MessageResponse("API key revoked successfully"), HokusaiJson.Default.MessageResponse);
    }

    /// <summary>POST /api/v1/auth/keys/{id}/rotate: a new key in place of the old one, which ends at once.</summary>
    [Function("hokusai_keys_rotate")]
    [Answers(typeof(ApiKeyResponse))]
    public async Task<IResult> Rotate(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/{id}/rotate")] HttpRequest request, string id, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.Keys);
        var (key, summary) = await service.RotateAsync(ParseId(id), cancellationToken);
        cache.Clear();
        return Answer(key, summary, StatusCodes.Status200OK);
    }

    /// <summary>GET /api/v1/auth/keys/{id}/usage?hours=24: counted calls, a few seconds behind.</summary>
    [Function("hokusai_keys_usage")]
    [Query("hours?: integer(1..2160)")]
    [Answers(typeof(ApiKeyUsageResponse))]
    public async Task<IResult> Usage(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/{id}/usage")] HttpRequest request, string id, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.Keys);
        var query = FieldReader.OfQuery(request);
        var hours = query.WholeNumber("hours", 24, 1, 24 * 90);
        query.ThrowIfFaulty();
        var key = await keys.FindAsync(ParseId(id), cancellationToken) ?? throw ApiKeyErrors.KeyNotFound();
        var uses = await keys.ListUsesAsync(key.KeyId, time.GetUtcNow().AddHours(-hours), cancellationToken);
        var total = uses.Sum(use => use.Requests);
        var lines = uses.Select(use => new ApiKeyUsageLine(use.Hour, use.Endpoint, use.Status, use.Requests, Average(use.DurationMs, use.Requests)));
        return JsonBody.Create(
            new ApiKeyUsageResponse(
                key.KeyId, hours, total, uses.Where(use => use.Status >= 400).Sum(use => use.Requests), Average(uses.Sum(use => use.DurationMs), total), [.. lines]),
            HokusaiJson.Default.ApiKeyUsageResponse);
    }

    private static double Average(double sum, long count) => count == 0 ? 0 : Math.Round(sum / count, 2);

    private static JsonBody Answer(string key, ApiKeySummary summary, int status) => JsonBody.Create(
        new ApiKeyResponse(key, summary.KeyId, summary.Name, summary.CreatedAt, summary.ExpiresAt, ShownOnce), HokusaiJson.Default.ApiKeyResponse, status);

    private static Guid ParseId(string id) => Guid.TryParse(id, out var parsed) ? parsed : throw ApiKeyErrors.KeyNotFound();

    private static string WriteCursor(ApiKeySummary last) =>
        Base64Url.EncodeToString(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{last.CreatedAt.UtcTicks}.{last.KeyId:N}")));

    private static (DateTimeOffset, Guid)? ReadCursor(string text)
    {
        var parts = Base64Url.IsValid(text) ? Encoding.ASCII.GetString(Base64Url.DecodeFromChars(text)).Split('.') : [];
        return parts.Length == 2 && long.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var ticks)
            && ticks <= DateTimeOffset.MaxValue.UtcTicks && Guid.TryParseExact(parts[1], "N", out var id)
                ? (new DateTimeOffset(ticks, TimeSpan.Zero), id)
                : null;
    }
}
