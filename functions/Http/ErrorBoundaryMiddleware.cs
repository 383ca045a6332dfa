using System.Diagnostics;
using FunctionsRegistry.Blobs;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Postgres;

namespace FunctionsRegistry.Functions.Http;

/// <summary>The outermost middleware: gives the request its id, runs the function's result, and turns any failure into its family's body.</summary>
public sealed partial class ErrorBoundaryMiddleware(
    HttpMetrics metrics, ConnectionLimit connections, TimeProvider time, ILogger<ErrorBoundaryMiddleware> logger) : IFunctionsWorkerMiddleware
{
    private const string RequestIdHeader = "X-Request-Id";

    /// <inheritdoc/>
    public async Task Invoke(FunctionContext context, FunctionExecutionDelegate next)
    {
        var rules = FunctionRules.Of(context);
        // Orchestrators are replayed on their own thread and may await nothing of ours; timers have no response.
        if (!rules.IsHttp || context.GetHttpContext() is not { } http)
        {
            await next(context);
            return;
        }

        // Null, or of no interest, unless traces are exported.
        if (Activity.Current is { IsAllDataRequested: true } trace)
            trace.SetTag("http.route", rules.Route).DisplayName = $"{http.Request.Method} {rules.Route}";
        var begin = metrics.Begin();
        var requestId = ReadRequestId(http.Request);
        var family = Families.OfPath(http.Request.Path) ?? rules.Family;
        http.Items[typeof(RequestState)] = new RequestState(rules, family, requestId);
        http.Response.Headers[RequestIdHeader] = requestId;
        var entered = false;
        try
        {
            entered = connections.Enter(family, rules);
            await next(context);
            await ExecuteResultAsync(context, http);
        }
        catch (Exception) when (http.RequestAborted.IsCancellationRequested)
        {
            // The client hung up: nobody reads the answer, and nothing of ours failed.
            if (!http.Response.HasStarted)
                http.Response.StatusCode = 499;
        }
        catch (Exception exception)
        {
            await WriteErrorAsync(http, rules, family, requestId, exception);
        }
        finally
        {
            if (entered)
                connections.Leave(family);
            metrics.End(begin, http.Request.Method, rules.Route, http.Response.StatusCode);
        }
    }

    /// <summary>Runs the function's IResult here, inside the boundary: the worker would run it outside and then serialise it once more for the host.</summary>
    public static async Task ExecuteResultAsync(FunctionContext context, HttpContext http)
    {
        var invocation = context.GetInvocationResult();
        if (invocation.Value is not IResult result)
            return;
        // Before it runs: one that fails half-way must not be run once more by the host.
        invocation.Value = null;
        await result.ExecuteAsync(http);
    }

    private async Task WriteErrorAsync(HttpContext http, FunctionRules rules, Family family, string requestId, Exception exception)
    {
        var error = Translate(http, exception);
        if (error.Kind == ErrorKind.Internal)
            LogDefect(exception, http.Request.Method, http.Request.Path, requestId);
        else if (error.Kind is ErrorKind.Unavailable or ErrorKind.BadGateway or ErrorKind.GatewayTimeout)
            LogDependency(http.Request.Method, http.Request.Path, ErrorBodies.Status(family, error.Kind), requestId, error.InnerException?.Message ?? error.Message);
        if (http.Response.HasStarted)
        {
            // Half an answer is out: only a broken connection tells the client that it is not whole.
            http.Abort();
            return;
        }

        var asProblem = http.Request.Headers.Accept.ToString().Contains("application/problem+json", StringComparison.OrdinalIgnoreCase);
        var body = ErrorBodies.Create(family, error, requestId, asProblem);
        http.Response.Headers.Remove("ETag");
        http.Response.StatusCode = body.Status;
        http.Response.ContentType = body.ContentType;
        http.Response.Headers.CacheControl = "no-store";
        if (error.RetryAfter is { } wait)
            http.Response.Headers.RetryAfter = Math.Max(1, (long)Math.Ceiling(wait.TotalSeconds)).ToString();
        if (error.Kind == ErrorKind.Unauthorized)
            http.Response.Headers.WWWAuthenticate = family == Family.Airflow ? "Basic realm=\"Airflow\"" : "Bearer";
        if (rules.IsPublic)
            http.Response.Headers.AccessControlAllowOrigin = "*";
        http.Response.ContentLength = body.Bytes.Length;
        if (!HttpMethods.IsHead(http.Request.Method))
            await http.Response.Body.WriteAsync(body.Bytes, http.RequestAborted);
    }

    private static RegistryException Translate(HttpContext http, Exception exception) => exception switch
    {
        RegistryException known => known,
        _ when (PostgresErrors.Translate(exception) ?? BlobStore.Translate(exception)) is { } dependency => dependency,
        BadHttpRequestException { StatusCode: StatusCodes.Status413PayloadTooLarge } =>
            CommonErrors.BodyTooLarge(http.Features.Get<Microsoft.AspNetCore.Http.Features.IHttpMaxRequestBodySizeFeature>()?.MaxRequestBodySize ?? 0),
        BadHttpRequestException broken => CommonErrors.BrokenRequest(broken.Message),
        // The client still waits, so it was the host that stops, or a function that took too long.
        OperationCanceledException or TimeoutException => CommonErrors.Interrupted(exception),
        _ => CommonErrors.Internal(exception),
    };

    private string ReadRequestId(HttpRequest request)
    {
        var sent = request.Headers[RequestIdHeader].ToString();
        return sent.Length is > 0 and <= 128 && sent.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or ':')
            ? sent
            : Activity.Current is { IdFormat: ActivityIdFormat.W3C } activity ? activity.TraceId.ToHexString() : Guid.CreateVersion7(time.GetUtcNow()).ToString("N");
    }

    [LoggerMessage(2001, LogLevel.Error, "{Method} {Path} failed, request {RequestId}")]
    private partial void LogDefect(Exception exception, string method, string path, string requestId);

    [LoggerMessage(2002, LogLevel.Warning, "{Method} {Path} answered {Status}, request {RequestId}: {Reason}")]
    private partial void LogDependency(string method, string path, int status, string requestId, string reason);
}
