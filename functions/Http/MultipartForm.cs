using System.Runtime.CompilerServices;
using System.Text;
using FunctionsRegistry.Archives;
using FunctionsRegistry.Errors;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Net.Http.Headers;

namespace FunctionsRegistry.Functions.Http;

/// <summary>Reads multipart/form-data part by part as it arrives; nothing is kept unless its reader keeps it.</summary>
public static class MultipartForm
{
    private const int MaxParts = 20;
    private const int TextLimitBytes = 2 << 20;

    /// <summary>The parts in the order in which they were sent. Each body is good until the next part is asked for.</summary>
    /// <exception cref="RegistryException">400: not multipart/form-data, or broken; 413.</exception>
    public static async IAsyncEnumerable<(string Field, Stream Body)> ReadAsync(HttpRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (!MediaTypeHeaderValue.TryParse(request.ContentType, out var type) || !type.MediaType.Equals("multipart/form-data", StringComparison.OrdinalIgnoreCase))
            throw CommonErrors.BrokenRequest("The request body must be multipart/form-data.");
        var boundary = HeaderUtilities.RemoveQuotes(type.Boundary).ToString();
        if (boundary.Length is 0 or > 200)
            throw CommonErrors.BrokenRequest("The content type must have a boundary of 1 to 200 characters.");
        var reader = new MultipartReader(boundary, request.Body) { HeadersLengthLimit = 16 << 10 };
        for (var count = 0; await NextAsync(reader, cancellationToken) is { } section; count++)
        {
            if (count == MaxParts)
                throw CommonErrors.BrokenRequest($"The multipart body has more than {MaxParts} parts.");
            if (section.GetContentDispositionHeader() is { } disposition && disposition.Name.Length > 0)
                yield return (HeaderUtilities.RemoveQuotes(disposition.Name).ToString(), new PartStream(section.Body));
        }
    }

    /// <summary>A part as UTF-8 text of at most 2 MB.</summary>
    /// <exception cref="RegistryException">400: not UTF-8; 413.</exception>
    public static async Task<string> ReadTextAsync(string field, Stream body, CancellationToken cancellationToken)
    {
        using var copy = new MemoryStream();
        var chunk = new byte[16 << 10];
        int count;
        while ((count = await body.ReadAsync(chunk, cancellationToken)) > 0)
        {
            if (copy.Length + count > TextLimitBytes)
                throw CommonErrors.BodyTooLarge(TextLimitBytes);
            copy.Write(chunk, 0, count);
        }
        try
        {
            return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(copy.GetBuffer(), 0, (int)copy.Length);
        }
        catch (DecoderFallbackException)
        {
            throw CommonErrors.BrokenRequest($"The form field '{field}' is not valid UTF-8.");
        }
    }

    private static async Task<MultipartSection?> NextAsync(MultipartReader reader, CancellationToken cancellationToken)
    {
        try
        {
            return await reader.ReadNextSectionAsync(cancellationToken);
        }
        catch (Exception exception) when (exception is InvalidDataException || (exception is IOException && exception is not BadHttpRequestException))
        {
            throw CommonErrors.BrokenRequest("The multipart body is broken: " + exception.Message);
        }
    }

    // A part that ends in the middle is the client's fault wherever its reader notices: it must not look like a failure of ours.
    private sealed class PartStream(Stream inner) : ForwardStream
    {
        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            try
            {
                return await inner.ReadAsync(buffer, cancellationToken);
            }
            catch (Exception exception) when (exception is InvalidDataException || (exception is IOException && exception is not BadHttpRequestException))
            {
                throw CommonErrors.BrokenRequest("The multipart body is broken: " + exception.Message);
            }
        }
    }
}
