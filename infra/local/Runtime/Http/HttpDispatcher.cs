using FunctionsRegistry.LocalRuntime.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Mvc.Abstractions;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.LocalRuntime.Http;

/// <summary>The end of the ASP.NET Core pipeline: from a request to a function and back.</summary>
internal sealed partial class HttpDispatcher(
    HttpRouter router, FunctionInvoker invoker, HostSettings settings, ILogger<HttpDispatcher> logger, CancellationToken stopping)
{
    public async Task DispatchAsync(HttpContext http)
    {
        if (router.Match(http) is not { } function)
        {
            http.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }
        // The function's time and the client's patience end the same token; a request that does neither needs no source of its own.
        using var limit = settings.FunctionTimeout == Timeout.InfiniteTimeSpan
            ? null
            : CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted, stopping);
        limit?.CancelAfter(settings.FunctionTimeout);
        var context = new LocalFunctionContext(function, http.RequestServices, limit?.Token ?? http.RequestAborted) { Http = http };
        try
        {
            await invoker.InvokeAsync(context);
            await WriteResultAsync(http, function, context.Result.Value);
        }
        catch (Exception exception) when (!http.Response.HasStarted)
        {
            // The app answers its own errors; what arrives here is a defect of its middleware, and the real host says 500 without a body.
            LogFailure(exception, function.Name);
            http.Response.Clear();
            http.Response.StatusCode = StatusCodes.Status500InternalServerError;
        }
    }

    private Task WriteResultAsync(HttpContext http, LocalFunction function, object? value)
    {
        switch (value)
        {
            case null:
                return Task.CompletedTask;
            case IResult result:
                return result.ExecuteAsync(http);
            case IActionResult result:
                return result.ExecuteResultAsync(new ActionContext(http, new RouteData(http.Request.RouteValues), new ActionDescriptor()));
            default:
                // As the real worker: 200 without a body.
                LogUnsupported(function.Name, value.GetType().Name);
                return Task.CompletedTask;
        }
    }

    [LoggerMessage(101, LogLevel.Error, "Function {Function} failed")]
    private partial void LogFailure(Exception exception, string function);

    [LoggerMessage(102, LogLevel.Warning, "Function {Function} returned a {Type}, which is no HTTP result: the body is empty")]
    private partial void LogUnsupported(string function, string type);
}
