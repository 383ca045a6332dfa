using FunctionsRegistry.ModelRegistry.Mlflow;
using Microsoft.Net.Http.Headers;

namespace FunctionsRegistry.Functions.ModelRegistry.Mlflow;

/// <summary>The bytes of an artifact, whole or one range of them, streamed as they come from the storage. No public properties: see JsonBody.</summary>
internal sealed class ArtifactBody(ArtifactService artifacts, StoredArtifact artifact) : IResult
{
    public async Task ExecuteAsync(HttpContext httpContext)
    {
        var (request, response) = (httpContext.Request, httpContext.Response);
        // A blob is never rewritten: its name stands for its bytes.
        var tag = new EntityTagHeaderValue($"\"{artifact.BlobName}\"");
        response.Headers.ETag = tag.ToString();
        response.Headers.AcceptRanges = "bytes";
        response.Headers.CacheControl = "no-cache";
        response.Headers.LastModified = artifact.CreatedAt.ToString("R");
        var headers = request.GetTypedHeaders();
        if (headers.IfNoneMatch.Any(one => one.Tag == "*" || one.Compare(tag, useStrongComparison: false)))
        {
            response.StatusCode = StatusCodes.Status304NotModified;
            return;
        }
        // Whoever stored it chose the type: a page from here must not run as one of ours.
        response.ContentType = artifact.ContentType;
        response.Headers.XContentTypeOptions = "nosniff";
        response.Headers.ContentSecurityPolicy = "sandbox; default-src 'none'";
        var disposition = new ContentDispositionHeaderValue("attachment");
        disposition.SetHttpFileName(ArtifactService.FileName(artifact.Path));
        response.Headers.ContentDisposition = disposition.ToString();

        var (offset, length) = (0L, artifact.SizeBytes);
        if (ReadRange(headers, tag) is { } range)
        {
            if (range.Length == 0)
            {
                response.StatusCode = StatusCodes.Status416RangeNotSatisfiable;
                response.Headers.ContentRange = $"bytes */{artifact.SizeBytes}";
                return;
            }
            (offset, length) = range;
            response.StatusCode = StatusCodes.Status206PartialContent;
            response.Headers.ContentRange = $"bytes {offset}-{offset + length - 1}/{artifact.SizeBytes}";
        }
        if (HttpMethods.IsHead(request.Method) || length == 0)
        {
            response.ContentLength = length;
            return;
        }
        await using var content = await artifacts.OpenAsync(artifact, offset, length, httpContext.RequestAborted);
        response.ContentLength = length;
        await content.CopyToAsync(response.Body, 256 << 10, httpContext.RequestAborted);
    }

    // One range; several, another unit, or an If-Range that does not hold mean the whole. A length of 0: nothing of it exists.
    private (long Offset, long Length)? ReadRange(Microsoft.AspNetCore.Http.Headers.RequestHeaders headers, EntityTagHeaderValue tag)
    {
        if (headers.Range is not { Unit.Value: "bytes", Ranges: { Count: 1 } ranges })
            return null;
        if (headers.IfRange is { } condition && !(condition.EntityTag?.Compare(tag, useStrongComparison: true) ?? false))
            return null;
        var (from, to) = (ranges.First().From, ranges.First().To);
        if (from is null)
        {
            var last = Math.Min(to ?? 0, artifact.SizeBytes);
            return (artifact.SizeBytes - last, last);
        }
        var end = Math.Min(to ?? long.MaxValue, artifact.SizeBytes - 1);
        return from > end ? (0, 0) : (from.Value, end - from.Value + 1);
    }
}
