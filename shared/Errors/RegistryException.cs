namespace FunctionsRegistry.Errors;

/// <summary>What went wrong, independent of HTTP; <see cref="ErrorBodies"/> turns a kind into the status and body of a contract's family.</summary>
public enum ErrorKind
{
    /// <summary>400: the request cannot be understood as a whole (bad JSON, bad parameter).</summary>
    BadRequest,

    /// <summary>400 or 422 by family: the request is well-formed, but fields are wrong; <see cref="RegistryException.Fields"/> lists them.</summary>
    Validation,

    /// <summary>401: no caller, or one that is not known.</summary>
    Unauthorized,

    /// <summary>403: the caller is known and may not.</summary>
    Forbidden,

    /// <summary>404.</summary>
    NotFound,

    /// <summary>409: a uniqueness or state rule.</summary>
    Conflict,

    /// <summary>410: existed, and is gone for good.</summary>
    Gone,

    /// <summary>412: If-Match did not hold.</summary>
    PreconditionFailed,

    /// <summary>413: the body is over its limit.</summary>
    TooLarge,

    /// <summary>415: the body's content type.</summary>
    UnsupportedMediaType,

    /// <summary>429: <see cref="RegistryException.RetryAfter"/> says when to come back.</summary>
    RateLimited,

    /// <summary>500: a defect; the message never leaves the process.</summary>
    Internal,

    /// <summary>502: an upstream service answered wrongly.</summary>
    BadGateway,

    /// <summary>503: a dependency is down; <see cref="RegistryException.RetryAfter"/> says when to come back.</summary>
    Unavailable,
}

/// <summary>
/// One wrong field. <paramref name="Location"/> are path segments, names as string and places in a list as int (<c>body</c>, <c>tags</c>, 2);
/// <paramref name="Type"/> is a machine-readable code.
/// </summary>
public sealed record FieldError(IReadOnlyList<object> Location, string Message, string Type);

/// <summary>The only exception that services throw on purpose. Messages are written in the slices' named factories, never in place.</summary>
public sealed class RegistryException(
    ErrorKind kind, string message, IReadOnlyList<FieldError>? fields = null, TimeSpan? retryAfter = null, Exception? innerException = null)
    : Exception(message, innerException)
{
    /// <summary>Decides the HTTP status.</summary>
    public ErrorKind Kind => kind;

    /// <summary>All wrong fields at once; empty unless <see cref="ErrorKind.Validation"/>.</summary>
    public IReadOnlyList<FieldError> Fields => fields ?? [];

    /// <summary>Sent as <c>Retry-After</c> in whole seconds.</summary>
    public TimeSpan? RetryAfter => retryAfter;
}
