using System.Buffers;
using System.Diagnostics;
using System.Net;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.ModelRegistry.Mlflow;
using Microsoft.AspNetCore.Http.Features;

namespace FunctionsRegistry.Functions.ModelRegistry.Mlflow;

/// <summary>spec-hokusai.md, "MLflow Proxy Endpoints", where <c>MLFLOW_SERVER_URL</c> is set: any method and body, streamed both ways.</summary>
public sealed class MlflowProxy(MlflowServerOptions options, SharedBreaker breaker, MlflowMetrics metrics, IHttpClientFactory clients)
{
    /// <summary>Name of the client: no redirects followed, no cookies, nothing unpacked.</summary>
    public const string ClientName = "mlflow-server";

    // RFC 9110, 7.6.1; Host and Content-Length are the client library's.
    private static readonly HashSet<string> s_dropped = new(StringComparer.OrdinalIgnoreCase)
    {
        "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Host",
        // Ours to check, not the server's to see.
        "Authorization", "X-API-Key", "Cookie",
    };

    private static readonly HashSet<string> s_droppedAnswers = new(StringComparer.OrdinalIgnoreCase)
    {
        "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Set-Cookie", "Server", "X-Request-Id",
    };

    /// <summary>Whether a server is configured.</summary>
    public bool IsOn => options.Server is not null;

    /// <summary>Sends the request on and the answer back.</summary>
    /// <param name="path">Below the proxy's prefix, as it came.</param>
    public async Task<IResult> ForwardAsync(HttpRequest request, string path, CancellationToken cancellationToken)
    {
        ArtifactPaths.CheckTarget(path);
        if (!options.ServeArtifacts && path.Contains("mlflow-artifacts", StringComparison.OrdinalIgnoreCase))
            throw ProxyErrors.ArtifactsDisabled();
        if (!await breaker.TryEnterAsync())
            throw ProxyErrors.BreakerOpen(breaker.Snapshot.RetryAfter);
        var start = Stopwatch.GetTimestamp();
        HttpResponseMessage response;
        try
        {
            using var message = CreateMessage(request, path);
            response = await SendAsync(message, cancellationToken);
        }
        catch (Exception exception) when (exception is HttpRequestException or TimeoutException)
        {
            await ReportAsync(failed: true, start);
            throw exception is TimeoutException ? ProxyErrors.Timeout(options.Timeout, exception) : ProxyErrors.ConnectionFailed(options.Name, exception);
        }
        catch
        {
            // The client went away, or its own body broke.
            breaker.Leave();
            throw;
        }
        var failed = response.StatusCode is HttpStatusCode.BadGateway or HttpStatusCode.ServiceUnavailable or HttpStatusCode.GatewayTimeout;
        await ReportAsync(failed, start);
        if (response.StatusCode == HttpStatusCode.NotFound && response.Content.Headers.ContentType?.MediaType == "text/html")
        {
            response.Dispose();
            throw ProxyErrors.NotFound(path);
        }
        return new ProxyBody(response, options);
    }

    /// <summary>A GET of the server's, for health reports: past the breaker, which traffic alone feeds.</summary>
    public async Task<(int? Status, double Ms, string? Error)> ProbeAsync(string path, TimeSpan atMost, CancellationToken cancellationToken)
    {
        var start = Stopwatch.GetTimestamp();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(atMost);
        try
        {
            using var response = await clients.CreateClient(ClientName).GetAsync(new Uri(options.Server!.AbsoluteUri.TrimEnd('/') + path), HttpCompletionOption.ResponseHeadersRead, limit.Token);
            return ((int)response.StatusCode, Elapsed(), null);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return (null, Elapsed(), $"Connection timeout after {atMost.TotalSeconds:0} seconds");
        }
        catch (HttpRequestException exception)
        {
            return (null, Elapsed(), exception.HttpRequestError == HttpRequestError.Unknown ? "Connection failed" : $"Connection failed: {exception.HttpRequestError}");
        }

        double Elapsed() => Math.Round(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 1);
    }

    private async Task<HttpResponseMessage> SendAsync(HttpRequestMessage message, CancellationToken cancellationToken)
    {
        // Until the answer begins. A long upload is no hanging server: the time runs from the end of the body.
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        if (message.Content is UploadContent upload)
            upload.Finished = () => limit.CancelAfter(options.Timeout);
        else
            limit.CancelAfter(options.Timeout);
        try
        {
            return await clients.CreateClient(ClientName).SendAsync(message, HttpCompletionOption.ResponseHeadersRead, limit.Token);
        }
        catch (OperationCanceledException exception) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException("The server did not answer.", exception);
        }
        catch (HttpRequestException exception) when (exception.InnerException is BadHttpRequestException client)
        {
            // Not the server's fault: the client sent half a body.
            throw client;
        }
    }

    private async ValueTask ReportAsync(bool failed, long start)
    {
        metrics.RecordCall(failed, Stopwatch.GetElapsedTime(start));
        await (failed ? breaker.ReportFailureAsync() : breaker.ReportSuccessAsync());
    }

    private HttpRequestMessage CreateMessage(HttpRequest request, string path)
    {
        // Exactly as it came: a URL that is parsed and written again would lose or decode something.
        var target = $"{options.Server!.AbsoluteUri.TrimEnd('/')}/{path}{QueryWithoutKey(request)}";
        var message = new HttpRequestMessage(new HttpMethod(request.Method), new Uri(target, new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true }));
        var listed = request.Headers.Connection.SelectMany(value => (value ?? "").Split(',', StringSplitOptions.TrimEntries)).ToHashSet(StringComparer.OrdinalIgnoreCase);
        // DELETE bodies, too: MLflow's registry has them.
        if (request.ContentLength > 0 || request.Headers.TransferEncoding.Count > 0)
            message.Content = new UploadContent(request.Body, request.ContentLength);
        foreach (var (name, values) in request.Headers)
        {
            // Who the caller is, is said by us alone.
            if (s_dropped.Contains(name) || listed.Contains(name) || name.StartsWith("X-Hokusai-", StringComparison.OrdinalIgnoreCase))
                continue;
            if (!message.Headers.TryAddWithoutValidation(name, values.AsEnumerable()) && !name.Equals("Content-Length", StringComparison.OrdinalIgnoreCase))
                message.Content?.Headers.TryAddWithoutValidation(name, values.AsEnumerable());
        }
        var caller = request.GetCaller();
        message.Headers.TryAddWithoutValidation("X-Hokusai-User-Id", Uri.EscapeDataString(caller.Name));
        message.Headers.TryAddWithoutValidation("X-Hokusai-API-Key-Id", caller.Id.ToString());
        return message;
    }

    // The raw query keeps repeated names and their order; only the key goes.
    private static string QueryWithoutKey(HttpRequest request)
    {
        var query = request.QueryString.Value ?? "";
        if (!query.Contains("api_key", StringComparison.OrdinalIgnoreCase) && !query.Contains('%', StringComparison.Ordinal))
            return query;
        var kept = query.TrimStart('?').Split('&').Where(pair => !Uri.UnescapeDataString(pair.Split('=')[0].Replace('+', ' ')).Equals("api_key", StringComparison.OrdinalIgnoreCase)).ToArray();
        return kept.Length == 0 || kept is [""] ? "" : "?" + string.Join('&', kept);
    }

    /// <summary>The request's body, sent as it arrives.</summary>
    private sealed class UploadContent(Stream body, long? length) : HttpContent
    {
        public Action? Finished { get; set; }

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, CancellationToken.None);

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
        {
            await body.CopyToAsync(stream, 64 << 10, cancellationToken);
            Finished?.Invoke();
        }

        protected override bool TryComputeLength(out long computed)
        {
            computed = length ?? 0;
            return length is not null;
        }
    }

    /// <summary>The server's answer, sent as it arrives. No public properties: see JsonBody.</summary>
    private sealed class ProxyBody(HttpResponseMessage answer, MlflowServerOptions options) : IResult
    {
        public async Task ExecuteAsync(HttpContext httpContext)
        {
            using var _ = answer;
            var response = httpContext.Response;
            response.StatusCode = (int)answer.StatusCode;
            foreach (var (name, values) in answer.Headers.NonValidated.Concat(answer.Content.Headers.NonValidated))
                if (!s_droppedAnswers.Contains(name))
                    response.Headers[name] = values.ToArray();
            if (HttpMethods.IsHead(httpContext.Request.Method) || answer.StatusCode is HttpStatusCode.NoContent or HttpStatusCode.NotModified)
                return;
            await using var body = await answer.Content.ReadAsStreamAsync(httpContext.RequestAborted);
            await CopyAsync(body, response.Body, httpContext.RequestAborted);
        }

        // A server that stops in the middle: the boundary breaks the connection, which alone tells that the answer is not whole.
        private async Task CopyAsync(Stream from, Stream to, CancellationToken cancellationToken)
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            var buffer = ArrayPool<byte>.Shared.Rent(64 << 10);
            try
            {
                while (true)
                {
                    limit.CancelAfter(options.Timeout);
                    var count = await from.ReadAsync(buffer, limit.Token);
                    if (count == 0)
                        return;
                    // The client may take as long as it likes.
                    limit.CancelAfter(Timeout.InfiniteTimeSpan);
                    await to.WriteAsync(buffer.AsMemory(0, count), cancellationToken);
                }
            }
            catch (OperationCanceledException exception) when (!cancellationToken.IsCancellationRequested)
            {
                throw ProxyErrors.Timeout(options.Timeout, exception);
            }
            catch (HttpIOException exception)
            {
                throw ProxyErrors.ConnectionFailed(options.Name, exception);
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(buffer);
            }
        }
    }
}
