using System.Buffers.Text;
using System.Text;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.ModelRegistry.Mlflow;
using Microsoft.AspNetCore.Http.Features;
using static FunctionsRegistry.Functions.ModelRegistry.Mlflow.MlflowRequests;

namespace FunctionsRegistry.Functions.ModelRegistry.Mlflow;

/// <summary>Artifacts: <c>artifacts/list</c> of MLflow REST 2.0, and the byte transfer below <c>mlflow-artifacts</c>.</summary>
public sealed class ArtifactOperations(ArtifactService artifacts, ArtifactStore store, RunStore runs)
{
    private const int RunPage = 1000;
    private const int MaxTokenLength = 20_000;

    /// <summary>The operations below /api/2.0/mlflow.</summary>
    public IEnumerable<MlflowOperation> All =>
    [
        new("get", "artifacts/list", false, ListRunAsync)
        { Query = "run_id?: string, run_uuid?: string, path?: string, page_token?: string", Answer = typeof(ListArtifactsResponse) },
    ];

    /// <summary>The operations below /api/2.0/mlflow-artifacts.</summary>
    public IEnumerable<MlflowOperation> Transfers =>
    [
        new("get", "artifacts", false, ListAsync) { Query = "path?: string", Answer = typeof(ListFilesResponse) },
        new("get", "artifacts/*", false, GetAsync) { IsBinaryAnswer = true },
        new("put", "artifacts/*", true, PutAsync) { IsBinaryBody = true },
        new("delete", "artifacts/*", true, DeleteAsync),
        new("post", "mpu/create/*", true, StartUploadAsync) { Body = typeof(CreateUploadRequest), Answer = typeof(CreateUploadResponse) },
        new("post", "mpu/complete/*", true, CompleteUploadAsync) { Body = typeof(FinishUploadRequest) },
        new("post", "mpu/abort/*", true, AbortUploadAsync) { Body = typeof(FinishUploadRequest) },
    ];

    private async Task<IResult> ListRunAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var run = await runs.GetAsync(MlflowNames.ParseRunId(request.GetText("run_id") ?? request.GetText("run_uuid")), cancellationToken);
        var below = ArtifactPaths.Check(request.GetText("path", ArtifactPaths.MaxBytes + 1), allowRoot: true);
        var root = ArtifactPaths.OfUri(run.Info.ArtifactUri)
            ?? throw MlflowErrors.Invalid($"The artifacts of this run are kept by its clients at {run.Info.ArtifactUri}, not by this server.");
        var after = request.GetText("page_token", MaxTokenLength) is { } token ? ReadToken(token) : null;
        var (files, more) = await store.ListAsync(below.Length == 0 ? root : $"{root}/{below}", after, RunPage, cancellationToken);
        var prefix = below.Length == 0 ? "" : below + "/";
        return Answer(
            new ListArtifactsResponse(run.Info.ArtifactUri, [.. files.Select(file => file with { Path = prefix + file.Path })], more ? WriteToken(files[^1]) : null),
            MlflowJson.Default.ListArtifactsResponse);
    }

    private async Task<IResult> ListAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var path = ArtifactPaths.Check(request.GetText("path", ArtifactPaths.MaxBytes + 1), allowRoot: true);
        var (files, _) = await store.ListAsync(path, null, ArtifactService.MaxListed, cancellationToken);
        return Answer(new ListFilesResponse(files), MlflowJson.Default.ListFilesResponse);
    }

    private async Task<IResult> GetAsync(HttpRequest request, CancellationToken cancellationToken) =>
        new ArtifactBody(artifacts, await artifacts.GetAsync(Path(request), cancellationToken));

    private async Task<IResult> PutAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var path = Path(request);
        RequestBody.SetLimit(request, ArtifactService.MaxBytes);
        // A slow client is no reason to break an upload of gigabytes.
        if (request.HttpContext.Features.Get<Microsoft.AspNetCore.Server.Kestrel.Core.Features.IHttpMinRequestBodyDataRateFeature>() is { } rate)
            rate.MinDataRate = null;
        await artifacts.PutAsync(path, request.Body, request.ContentLength, ContentType(request), cancellationToken);
        return Done();
    }

    private async Task<IResult> DeleteAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        await artifacts.DeleteAsync(Path(request), cancellationToken);
        return Done();
    }

    // The route names the directory or the file, the body's path the file, by the client's version.
    private async Task<IResult> StartUploadAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.CreateUploadRequest, cancellationToken);
        return Answer(await artifacts.StartUploadAsync(UploadPath(request, body.Path), body.NumParts, cancellationToken), MlflowJson.Default.CreateUploadResponse);
    }

    private async Task<IResult> CompleteUploadAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.FinishUploadRequest, cancellationToken);
        await artifacts.CompleteUploadAsync(UploadPath(request, body.Path), body.UploadId, "application/octet-stream", cancellationToken);
        return Done();
    }

    private async Task<IResult> AbortUploadAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.FinishUploadRequest, cancellationToken);
        await artifacts.AbortUploadAsync(UploadPath(request, body.Path), body.UploadId, cancellationToken);
        return Done();
    }

    private static string UploadPath(HttpRequest request, string? file)
    {
        if (string.IsNullOrEmpty(file))
            throw MlflowErrors.Missing("path");
        var directory = Path(request);
        var name = ArtifactPaths.Check(file);
        // The client sends the file's name, or a local path of which only the name counts.
        return $"{directory}/{ArtifactService.FileName(name)}";
    }

    private static string Path(HttpRequest request)
    {
        if (request.HttpContext.Features.Get<IHttpRequestFeature>() is { RawTarget: { Length: > 0 } target })
            ArtifactPaths.CheckTarget(target);
        return ArtifactPaths.Check(request.RouteValues["rest"] as string);
    }

    private static string ContentType(HttpRequest request) =>
        request.ContentType is { Length: > 0 and <= 200 } type && Microsoft.Net.Http.Headers.MediaTypeHeaderValue.TryParse(type, out _) ? type : "application/octet-stream";

    private static string WriteToken(ArtifactFile last) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes((last.IsDir ? "d" : "f") + last.Path));

    private static ArtifactFile ReadToken(string token)
    {
        var text = Base64Url.IsValid(token) ? Encoding.UTF8.GetString(Base64Url.DecodeFromChars(token)) : "";
        return text.Length > 1 && text[0] is 'd' or 'f' && !text.Contains('\0', StringComparison.Ordinal)
            ? new ArtifactFile(text[1..], text[0] == 'd')
            : throw MlflowErrors.InvalidPageToken();
    }
}
