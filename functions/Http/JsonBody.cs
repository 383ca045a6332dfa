using System.IO.Hashing;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace FunctionsRegistry.Functions.Http;

/// <summary>A JSON answer. It has no public properties on purpose: the worker serialises returned results once more for the host.</summary>
public sealed class JsonBody : IResult
{
    private readonly byte[] _bytes;
    private readonly int _status;
    private readonly bool _cacheable;

    private JsonBody(byte[] bytes, int status, bool cacheable) => (_bytes, _status, _cacheable) = (bytes, status, cacheable);

    // Written for JSON readers, not for pages: "&" in a URL stays "&".
    private static readonly JsonWriterOptions s_writerOptions = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>An answer that changes something or is personal: not cached.</summary>
    public static JsonBody Create<T>(T value, JsonTypeInfo<T> type, int status = StatusCodes.Status200OK) =>
        new(Serialise(value, type), status, cacheable: false);

    /// <summary>A public read: carries an ETag, answers 304 to a matching If-None-Match.</summary>
    public static JsonBody Cacheable<T>(T value, JsonTypeInfo<T> type) => new(Serialise(value, type), StatusCodes.Status200OK, cacheable: true);

    /// <inheritdoc/>
    public Task ExecuteAsync(HttpContext httpContext)
    {
        var response = httpContext.Response;
        response.StatusCode = _status;
        if (httpContext.GetState().Rules.IsPublic)
            response.Headers.AccessControlAllowOrigin = "*";
        if (_cacheable)
        {
            var tag = $"\"{XxHash128.HashToUInt128(_bytes):x32}\"";
            response.Headers.ETag = tag;
            response.Headers.CacheControl = "no-cache";
            if (Matches(httpContext.Request.Headers.IfNoneMatch.ToString(), tag))
            {
                response.StatusCode = StatusCodes.Status304NotModified;
                return Task.CompletedTask;
            }
        }
        response.ContentType = "application/json; charset=utf-8";
        response.ContentLength = _bytes.Length;
        return HttpMethods.IsHead(httpContext.Request.Method)
            ? Task.CompletedTask
            : response.Body.WriteAsync(_bytes, httpContext.RequestAborted).AsTask();
    }

    private static byte[] Serialise<T>(T value, JsonTypeInfo<T> type)
    {
        var buffer = new System.Buffers.ArrayBufferWriter<byte>(1024);
        using var writer = new Utf8JsonWriter(buffer, s_writerOptions);
        JsonSerializer.Serialize(writer, value, type);
        return buffer.WrittenSpan.ToArray();
    }

    private static bool Matches(string ifNoneMatch, string tag) =>
        ifNoneMatch.Length > 0 && (ifNoneMatch == "*" || ifNoneMatch.Split(',').Any(one => one.Trim().TrimStart('W', '/') == tag));
}
