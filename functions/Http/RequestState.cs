using FunctionsRegistry.Errors;

namespace FunctionsRegistry.Functions.Http;

/// <summary>What the middleware found out about the request in flight.</summary>
public sealed class RequestState(FunctionRules rules, Family family, string requestId)
{
    /// <summary>The invoked function's rules.</summary>
    public FunctionRules Rules => rules;

    /// <summary>The contract of the path; for the catch-all, that of the prefix.</summary>
    public Family Family => family;

    /// <summary>Sent back as <c>X-Request-Id</c>, in error bodies and in the log.</summary>
    public string RequestId => requestId;

    /// <summary>Null when nobody, or nobody known, signed the request.</summary>
    public Caller? Caller { get; set; }
}

/// <summary>Access to <see cref="RequestState"/> from functions.</summary>
public static class RequestStateExtensions
{
    /// <summary>The state that the error boundary put there.</summary>
    public static RequestState GetState(this HttpContext http) =>
        (RequestState)(http.Items[typeof(RequestState)] ?? throw new InvalidOperationException("No error boundary ran before this."));

    /// <summary>The caller of a function that is not <see cref="PublicAttribute"/>.</summary>
    public static Caller GetCaller(this HttpRequest request) => request.HttpContext.GetState().Caller ?? throw CommonErrors.AuthenticationRequired();
}
