using FunctionsRegistry.RateLimits;

namespace FunctionsRegistry.Errors;

/// <summary>Errors that no slice owns; a slice's own are in its <c>*Errors</c> class.</summary>
public static class CommonErrors
{
    /// <summary>404 for a path no function has.</summary>
    public static RegistryException RouteNotFound(string method, string path) => new(ErrorKind.RouteNotFound, $"No such route: {method} {path}");

    /// <summary>401 where a caller is required.</summary>
    public static RegistryException AuthenticationRequired() => new(ErrorKind.Unauthorized, "Authentication required");

    /// <summary>429.</summary>
    public static RegistryException RateLimitExceeded(TimeSpan retryAfter) => new(ErrorKind.RateLimited, "Rate limit exceeded", retryAfter: retryAfter);

    /// <summary>429: a service answers as many requests as it may; one of them is over soon.</summary>
    public static RegistryException TooManyConnections() => RateLimitExceeded(TimeSpan.FromSeconds(1));

    /// <summary>429 of publishing: agentx's text, with the limit in force.</summary>
    public static RegistryException PublishLimitExceeded(RateLimit limit, TimeSpan retryAfter) => new(
        ErrorKind.RateLimited,
        $"Publish rate limit exceeded. Maximum {limit.Count} publishes per {(limit.Window == TimeSpan.FromHours(1) ? "hour" : $"{limit.Window.TotalSeconds:0} seconds")}.",
        retryAfter: retryAfter);

    /// <summary>413.</summary>
    public static RegistryException BodyTooLarge(long limitBytes) => new(ErrorKind.TooLarge, $"The request body is over the limit of {limitBytes} bytes.");

    /// <summary>400: not JSON at all, with the place.</summary>
    public static RegistryException InvalidJson(string place) => new(ErrorKind.BadRequest, $"Invalid JSON: {place}");

    /// <summary>400: JSON of the wrong shape, with the place.</summary>
    public static RegistryException InvalidBody(string place) => new(ErrorKind.BadRequest, $"Invalid request body: {place}");

    /// <summary>415.</summary>
    public static RegistryException NotJson(string? contentType) =>
        new(ErrorKind.UnsupportedMediaType, $"The body must be application/json, not {(string.IsNullOrEmpty(contentType) ? "without a content type" : contentType)}.");

    /// <summary>400: a query or route parameter, with its name and what it must be.</summary>
    public static RegistryException InvalidParameter(string name, string mustBe) => new(ErrorKind.BadRequest, $"Invalid query parameter '{name}': must be {mustBe}.");

    /// <summary>400: an Idempotency-Key that is empty or too long.</summary>
    public static RegistryException InvalidIdempotencyKey() => new(ErrorKind.BadRequest, "Idempotency-Key must have 1 to 255 printable characters.");

    /// <summary>The same key with another body: 422 in the FastAPI families, 409 elsewhere.</summary>
    public static RegistryException IdempotencyKeyReused(Family family) =>
        new(family is Family.AgentX or Family.Airflow or Family.Mlflow ? ErrorKind.Conflict : ErrorKind.Validation,
            "This Idempotency-Key was used before with another request body.");

    /// <summary>409: the first request with this key is still running.</summary>
    public static RegistryException IdempotencyKeyBusy() =>
        new(ErrorKind.Conflict, "A request with this Idempotency-Key is still running.", retryAfter: TimeSpan.FromSeconds(2));

    /// <summary>500: a defect; the cause is logged with the request's id.</summary>
    public static RegistryException Internal(Exception cause) => new(ErrorKind.Internal, "Internal server error", innerException: cause);

    /// <summary>503: the host stops, or the work took longer than a request may.</summary>
    public static RegistryException Interrupted(Exception cause) =>
        new(ErrorKind.Unavailable, "The request was interrupted before it was done.", retryAfter: TimeSpan.FromSeconds(5), innerException: cause);

    /// <summary>400: the client broke the transport (a chunk, a multipart boundary, an early end).</summary>
    public static RegistryException BrokenRequest(string what) => new(ErrorKind.BadRequest, what);
}
