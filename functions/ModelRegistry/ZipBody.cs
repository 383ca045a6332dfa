using System.IO.Compression;
using FunctionsRegistry.ModelRegistry.Mlflow;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Net.Http.Headers;

namespace FunctionsRegistry.Functions.ModelRegistry;

/// <summary>All files below a directory as a zip that is made while it is sent: no file is whole in memory or on disk. No public properties: see JsonBody.</summary>
internal sealed class ZipBody(ArtifactService artifacts, string fileName, string directory, IReadOnlyList<StoredArtifact> files) : IResult
{
    public async Task ExecuteAsync(HttpContext httpContext)
    {
        var (response, cancelled) = (httpContext.Response, httpContext.RequestAborted);
        response.ContentType = "application/zip";
        var disposition = new ContentDispositionHeaderValue("attachment");
        disposition.SetHttpFileName(fileName);
        response.Headers.ContentDisposition = disposition.ToString();
        response.Headers.XContentTypeOptions = "nosniff";
        if (HttpMethods.IsHead(httpContext.Request.Method))
            return;
        // ZipArchive writes the few bytes around each file without waiting, asynchronous or not.
        if (httpContext.Features.Get<IHttpBodyControlFeature>() is { } control)
            control.AllowSynchronousIO = true;
        // The first file is opened before the first byte goes out: a storage that is down is still a 503.
        await using var first = await artifacts.OpenAsync(files[0], 0, files[0].SizeBytes, cancelled);
        await using var zip = await ZipArchive.CreateAsync(response.Body, ZipArchiveMode.Create, leaveOpen: true, entryNameEncoding: null, cancelled);
        for (var i = 0; i < files.Count; i++)
        {
            // Models are mostly floats: the fastest level is nearly as small.
            var entry = zip.CreateEntry(files[i].Path[(directory.Length + 1)..], CompressionLevel.Fastest);
            entry.LastWriteTime = files[i].CreatedAt;
            await using var target = await entry.OpenAsync(cancelled);
            if (i == 0)
            {
                await first.CopyToAsync(target, 128 << 10, cancelled);
                continue;
            }
            await using var content = await artifacts.OpenAsync(files[i], 0, files[i].SizeBytes, cancelled);
            await content.CopyToAsync(target, 128 << 10, cancelled);
        }
    }
}
