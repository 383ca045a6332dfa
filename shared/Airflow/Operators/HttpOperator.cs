using System.Net.Http;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using FunctionsRegistry.Http;

namespace FunctionsRegistry.Airflow.Operators;

/// <summary>
/// One HTTP request; its output is <c>{status, headers, body}</c>, the body as JSON where it is some. An answer other than 2xx (or <c>expect</c>) fails the
/// try. Anything but a GET carries an <c>Idempotency-Key</c> that is the same when a try is executed again.
/// </summary>
public sealed class HttpOperator(OutboundHttp outbound) : IOperator
{
    private const int MaxAnswerBytes = 48 << 10;
    private const int MaxBodyBytes = 1 << 20;
    private static readonly string[] s_methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

    /// <inheritdoc/>
    public string Name => "http";

    /// <inheritdoc/>
    public IReadOnlyList<OperatorParameter> Parameters { get; } =
    [
        new("url", true, node => TryUrl(node, out _) ? null : "must be an http or https URL"),
        new("method", false, node => IsText(node) && s_methods.Contains(node!.GetValue<string>()) ? null : $"must be one of {string.Join(", ", s_methods)}"),
        new("headers", false, node => node is JsonObject headers && headers.All(header => IsText(header.Value) && IsHeader(header.Key, header.Value!.GetValue<string>()))
            ? null : "must map header names to texts"),
        new("body", false, ParameterChecks.Any),
        new("timeout_seconds", false, ParameterChecks.Number(0.1, 540)),
        new("expect", false, node => ParameterChecks.TryNumber(node, out var status) && status is >= 100 and <= 599 ? null : "must be a status from 100 to 599"),
    ];

    /// <inheritdoc/>
    public async Task<OperatorResult> RunAsync(OperatorCall attempt, CancellationToken cancellationToken)
    {
        TryUrl(attempt.Params["url"], out var url);
        using var request = CreateRequest(attempt, url!);
        var seconds = attempt.Params["timeout_seconds"] is { } given && ParameterChecks.TryNumber(given, out var number) ? number : 30;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(TimeSpan.FromSeconds(seconds));
        // Without query and user: they may hold secrets.
        var shown = $"{request.Method} {url!.GetLeftPart(UriPartial.Authority)}{url.AbsolutePath}";
        try
        {
            using var response = await outbound.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, limit.Token);
            var body = await ReadAsync(response, limit.Token);
            attempt.Log.Write($"{shown} answered {(int)response.StatusCode}, {body.Length} bytes.");
            var isExpected = attempt.Params["expect"] is { } expected && ParameterChecks.TryNumber(expected, out var status)
                ? (int)response.StatusCode == (int)status : response.IsSuccessStatusCode;
            return isExpected
                ? new OperatorResult(Describe(response, body))
                : throw new OperatorException($"{shown} answered {(int)response.StatusCode}: {Shorten(Encoding.UTF8.GetString(body))}");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new OperatorException($"{shown} did not answer within {seconds} s");
        }
        catch (HttpRequestException exception)
        {
            throw new OperatorException($"{shown} failed: {exception.Message}");
        }
        catch (Exception exception) when (exception is IOException or SocketException)
        {
            throw new OperatorException($"{shown} failed: {exception.Message}");
        }
    }

    private static HttpRequestMessage CreateRequest(OperatorCall attempt, Uri url)
    {
        var request = new HttpRequestMessage(new HttpMethod(attempt.Params["method"]?.GetValue<string>() ?? "GET"), url);
        if (attempt.Params["body"] is { } body)
        {
            var isText = IsText(body);
            request.Content = new StringContent(
                isText ? body.GetValue<string>() : body.ToJsonString(), new MediaTypeHeaderValue(isText ? "text/plain" : "application/json", "utf-8"));
            if (request.Content.Headers.ContentLength > MaxBodyBytes)
                throw new OperatorException($"the body is over the limit of {MaxBodyBytes} bytes");
        }
        if (request.Method != HttpMethod.Get && request.Method != HttpMethod.Head)
            request.Headers.TryAddWithoutValidation("Idempotency-Key", $"airflow-{attempt.Id}");
        foreach (var (name, value) in attempt.Params["headers"] as JsonObject ?? [])
        {
            // A content header replaces the standard one.
            request.Content?.Headers.Remove(name);
            if (!request.Headers.TryAddWithoutValidation(name, value!.GetValue<string>()))
                request.Content?.Headers.TryAddWithoutValidation(name, value!.GetValue<string>());
        }
        return request;
    }

    private static async Task<byte[]> ReadAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        await using var stream = await response.Content.ReadAsStreamAsync(cancellationToken);
        var buffer = new byte[MaxAnswerBytes + 1];
        var count = await stream.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellationToken);
        return count <= MaxAnswerBytes ? buffer[..count] : throw new OperatorException($"the answer is over the limit of {MaxAnswerBytes} bytes");
    }

    private static JsonObject Describe(HttpResponseMessage response, byte[] body)
    {
        var headers = new JsonObject();
        foreach (var (name, values) in response.Headers.Concat(response.Content.Headers))
            if (name is "Content-Type" or "Location" or "ETag" or "Last-Modified" or "Retry-After" or "X-Request-Id")
                headers[name.ToLowerInvariant()] = string.Join(", ", values);
        return new JsonObject { ["status"] = (int)response.StatusCode, ["headers"] = headers, ["body"] = ParseBody(body) };
    }

    private static JsonNode? ParseBody(byte[] body)
    {
        if (body.Length == 0)
            return null;
        try
        {
            return JsonNode.Parse(body, documentOptions: new JsonDocumentOptions { AllowDuplicateProperties = false });
        }
        catch (JsonException)
        {
            return JsonValue.Create(Encoding.UTF8.GetString(body));
        }
    }

    private static string Shorten(string text) => text.Length <= 300 ? text : text[..300] + "...";

    private static bool IsText(JsonNode? node) => node?.GetValueKind() == JsonValueKind.String;

    private static bool IsHeader(string name, string value) =>
        name.Length > 0 && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_') && !value.Any(char.IsControl)
        && !string.Equals(name, "Host", StringComparison.OrdinalIgnoreCase) && !string.Equals(name, "Content-Length", StringComparison.OrdinalIgnoreCase);

    private static bool TryUrl(JsonNode? node, out Uri? url)
    {
        url = null;
        return IsText(node) && Uri.TryCreate(node!.GetValue<string>(), UriKind.Absolute, out url) && url.Scheme is "http" or "https";
    }
}
