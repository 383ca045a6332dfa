using FunctionsRegistry.LocalRuntime.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Mvc.Abstractions;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.LocalRuntime.Http;

/// <summary>The end of the ASP.NET Core pipeline: from a request to a function and back.</summary>
internal sealed partial class HttpDispatcher : IDisposable
{
    // Requests in flight when the host stops get this long to end by themselves; then streams that never would are told to.
    private static readonly TimeSpan s_drainTime = TimeSpan.FromSeconds(2);

    private readonly HttpRouter _router;
    private readonly FunctionInvoker _invoker;
    private readonly HostSettings _settings;
    private readonly ILogger<HttpDispatcher> _logger;
    private readonly CancellationTokenSource _drained = new();
    private readonly CancellationTokenRegistration _stopping;

    public HttpDispatcher(HttpRouter router, FunctionInvoker invoker, HostSettings settings, IHostApplicationLifetime lifetime, ILogger<HttpDispatcher> logger)
    {
        (_router, _invoker, _settings, _logger) = (router, invoker, settings, logger);
        _stopping = lifetime.ApplicationStopping.Register(() => _drained.CancelAfter(s_drainTime));
    }

    public void Dispose()
    {
        _stopping.Dispose();
        _drained.Dispose();
    }

    public async Task DispatchAsync(HttpContext http)
    {
        if (_router.Match(http) is not { } function)
        {
            http.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted, _drained.Token);
        limit.CancelAfter(_settings.FunctionTimeout);
        var context = new LocalFunctionContext(function, http.RequestServices, limit.Token) { Http = http };
        try
        {
            await _invoker.InvokeAsync(context);
            await WriteResultAsync(http, function, context.Result.Value);
        }
        catch (Exception) when (http.RequestAborted.IsCancellationRequested)
        {
            // The client hung up: nobody reads the answer, and nothing failed.
        }
        catch (Exception exception) when (!http.Response.HasStarted)
        {
            // The app answers its own errors; what arrives here is a defect of its middleware, and the real host says 500 without a body.
            LogFailure(exception, function.Name);
            http.Response.Clear();
            http.Response.StatusCode = StatusCodes.Status500InternalServerError;
        }
        if (limit.IsCancellationRequested && !http.RequestAborted.IsCancellationRequested && !_drained.IsCancellationRequested)
            LogTimeout(function.Name, _settings.FunctionTimeout);
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

    [LoggerMessage(103, LogLevel.Warning, "Function {Function} ran out of its time of {Timeout} (functionTimeout in host.json)")]
    private partial void LogTimeout(string function, TimeSpan timeout);
}
