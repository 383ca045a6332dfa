using System.Buffers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using FunctionsRegistry.Errors;
using Microsoft.AspNetCore.Http.Features;

namespace FunctionsRegistry.Functions.Http;

/// <summary>Reads request bodies under a limit, with errors that say where.</summary>
public static class RequestBody
{
    /// <summary>JSON bodies end here unless a function says otherwise: 1 MB.</summary>
    public const int JsonLimitBytes = 1 << 20;

    /// <summary>Reads one JSON value.</summary>
    /// <exception cref="RegistryException">413, 415, or 400 with the line, column or member at fault.</exception>
    public static async Task<T> ReadJsonAsync<T>(HttpRequest request, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        if (!string.IsNullOrEmpty(request.ContentType) && !request.HasJsonContentType())
            throw CommonErrors.NotJson(request.ContentType);
        var bytes = await ReadBytesAsync(request, JsonLimitBytes, cancellationToken);
        try
        {
            return JsonSerializer.Deserialize(bytes.Span, type) ?? throw CommonErrors.InvalidBody("$ must not be null.");
        }
        catch (JsonException exception)
        {
            throw Explain(bytes.Span, exception);
        }
    }

    /// <summary>Reads one JSON object field by field, for the families that tell all faults at once.</summary>
    /// <param name="limitBytes">Where the function has a <see cref="BodyLimitAttribute"/> for its JSON.</param>
    /// <exception cref="RegistryException">413, 415, or 422 where the body is no JSON object.</exception>
    public static async Task<FieldReader> ReadFieldsAsync(HttpRequest request, CancellationToken cancellationToken, int limitBytes = JsonLimitBytes)
    {
        if (!string.IsNullOrEmpty(request.ContentType) && !request.HasJsonContentType())
            throw CommonErrors.NotJson(request.ContentType);
        return FieldReader.OfBody((await ReadBytesAsync(request, limitBytes, cancellationToken)).Span);
    }

    /// <summary>Lowers or raises the server's limit for this request (null: none); a longer body then fails with 413 while it is read.</summary>
    public static void SetLimit(HttpRequest request, long? limitBytes)
    {
        if (request.ContentLength > limitBytes)
            throw CommonErrors.BodyTooLarge(limitBytes.Value);
        if (request.HttpContext.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } feature)
            feature.MaxRequestBodySize = limitBytes;
    }

    // What is read whole into memory has a limit of its own: a function's may be for files that are streamed.
    private static async Task<ReadOnlyMemory<byte>> ReadBytesAsync(HttpRequest request, int limitBytes, CancellationToken cancellationToken)
    {
        while (true)
        {
            var read = await request.BodyReader.ReadAsync(cancellationToken);
            if (read.Buffer.Length > limitBytes)
                throw CommonErrors.BodyTooLarge(limitBytes);
            if (read.IsCompleted)
            {
                var bytes = read.Buffer.ToArray();
                request.BodyReader.AdvanceTo(read.Buffer.End);
                return bytes;
            }
            request.BodyReader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
        }
    }

    // The serialiser reports a broken text and a wrong shape with the same exception; a plain pass over the text tells which it is.
    private static RegistryException Explain(ReadOnlySpan<byte> bytes, JsonException exception)
    {
        try
        {
            var reader = new Utf8JsonReader(bytes);
            while (reader.Read()) { }
        }
        catch (JsonException broken)
        {
            return CommonErrors.InvalidJson($"line {broken.LineNumber + 1}, byte {broken.BytePositionInLine + 1}.");
        }
        var message = exception.Message;
        var end = message.IndexOf(" Path: ", StringComparison.Ordinal);
        // The rest of this message names a type of ours.
        var fault = message.StartsWith("The JSON value could not be converted", StringComparison.Ordinal) ? "the value has a wrong type" : end < 0 ? message : message[..end];
        return CommonErrors.InvalidBody($"{exception.Path ?? "$"}: {fault}");
    }
}
