namespace FunctionsRegistry.Functions.Http;

/// <summary>Holds the body to its function's limit; after the rate limit, whose quota is in the headers of every answer, a 413 included.</summary>
public sealed class BodyLimitMiddleware(IConfiguration configuration) : IFunctionsWorkerMiddleware
{
    /// <inheritdoc/>
    public Task Invoke(FunctionContext context, FunctionExecutionDelegate next)
    {
        if (FunctionRules.Of(context) is { IsHttp: true } rules && context.GetHttpContext() is { } http)
            RequestBody.SetLimit(http.Request, rules.BodyLimit is { } limit ? limit.ReadBytes(configuration) : RequestBody.JsonLimitBytes);
        return next(context);
    }
}
