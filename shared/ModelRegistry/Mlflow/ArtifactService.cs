using FunctionsRegistry.Blobs;
using FunctionsRegistry.Errors;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>Artifacts: the blob first, then the row that points to it; a crash leaves at most a blob that the sweep removes.</summary>
public sealed class ArtifactService(ArtifactStore store, BlobStore blobs, TimeProvider time)
{
    /// <summary>Most bytes of one artifact sent in one request: 5 GB, as S3's.</summary>
    public const long MaxBytes = 5L << 30;

    /// <summary>Most entries of a directory that one answer lists.</summary>
    public const int MaxListed = 50_000;

    private const int MaxParts = 10_000;
    private static readonly TimeSpan s_uploadLifetime = TimeSpan.FromHours(12);

    /// <summary>Stores a stream at a path, in place of what was there.</summary>
    public async Task PutAsync(string path, Stream content, long? sizeBytes, string contentType, CancellationToken cancellationToken)
    {
        var blobName = Guid.CreateVersion7(time.GetUtcNow()).ToString("N");
        await blobs.UploadAsync(BlobContainers.Artifacts, blobName, content, contentType, cancellationToken);
        await PlaceAsync(path, blobName, sizeBytes, contentType, cancellationToken);
    }

    /// <summary>The artifact at a path.</summary>
    /// <exception cref="RegistryException">RESOURCE_DOES_NOT_EXIST.</exception>
    public async Task<StoredArtifact> GetAsync(string path, CancellationToken cancellationToken) =>
        await store.FindAsync(path, cancellationToken) ?? throw MlflowErrors.ArtifactNotFound(path);

    /// <summary>The artifact at a path, or null.</summary>
    public Task<StoredArtifact?> FindAsync(string path, CancellationToken cancellationToken) => store.FindAsync(path, cancellationToken);

    /// <summary>All artifacts below a directory, in path order.</summary>
    public Task<IReadOnlyList<StoredArtifact>> ListBelowAsync(string directory, CancellationToken cancellationToken) =>
        store.ListBelowAsync(directory, MaxListed, cancellationToken);

    /// <summary>Part of an artifact's bytes.</summary>
    public async Task<Stream> OpenAsync(StoredArtifact artifact, long offset, long length, CancellationToken cancellationToken) =>
        await blobs.OpenReadAsync(BlobContainers.Artifacts, artifact.BlobName, offset, length, cancellationToken) ?? throw MlflowErrors.ArtifactNotFound(artifact.Path);

    /// <summary>A URL that ends soon, to download the artifact from the storage itself.</summary>
    public ValueTask<Uri> GetReadUrlAsync(StoredArtifact artifact, CancellationToken cancellationToken) =>
        blobs.GetReadUrlAsync(BlobContainers.Artifacts, artifact.BlobName, HeaderSafe(FileName(artifact.Path)), cancellationToken);

    /// <summary>Deletes the artifact at a path, or all below it; no error when there is none.</summary>
    public async Task DeleteAsync(string path, CancellationToken cancellationToken) =>
        await DeleteBlobsAsync(await store.DeleteAsync(path, cancellationToken), cancellationToken);

    /// <summary>Begins a multipart upload: the client PUTs each part to its URL, straight into the storage.</summary>
    public async Task<CreateUploadResponse> StartUploadAsync(string path, int? parts, CancellationToken cancellationToken)
    {
        if (parts is not (>= 1 and <= MaxParts))
            throw MlflowErrors.Invalid($"num_parts must be an integer from 1 to {MaxParts}.");
        var upload = new ArtifactUpload(Guid.CreateVersion7(time.GetUtcNow()), path, Guid.CreateVersion7(time.GetUtcNow()).ToString("N"), parts.Value);
        await store.StartUploadAsync(upload, cancellationToken);
        var credentials = new List<UploadCredential>(upload.Parts);
        for (var part = 1; part <= upload.Parts; part++)
        {
            var url = await blobs.GetBlockUrlAsync(BlobContainers.Artifacts, upload.BlobName, part, s_uploadLifetime, cancellationToken);
            credentials.Add(new UploadCredential(url.AbsoluteUri, part, new Dictionary<string, string>()));
        }
        return new CreateUploadResponse(upload.Id.ToString("N"), credentials);
    }

    /// <summary>Makes an artifact of the parts; sending it again after it was done is 404.</summary>
    public async Task CompleteUploadAsync(string path, string? uploadId, string contentType, CancellationToken cancellationToken)
    {
        var upload = await GetUploadAsync(path, uploadId, cancellationToken);
        if (!await blobs.CommitBlocksAsync(BlobContainers.Artifacts, upload.BlobName, upload.Parts, contentType, cancellationToken))
            throw MlflowErrors.Invalid($"Not all of the {upload.Parts} parts of this upload have arrived.");
        await PlaceAsync(path, upload.BlobName, null, contentType, cancellationToken);
        await store.EndUploadAsync(upload.Id, cancellationToken);
    }

    /// <summary>Ends a multipart upload without an artifact; its parts disappear with the sweep or the storage's own.</summary>
    public async Task AbortUploadAsync(string path, string? uploadId, CancellationToken cancellationToken)
    {
        var upload = await GetUploadAsync(path, uploadId, cancellationToken);
        await store.EndUploadAsync(upload.Id, cancellationToken);
        await blobs.DeleteAsync(BlobContainers.Artifacts, upload.BlobName, cancellationToken);
    }

    /// <summary>Deletes blobs that nothing points to. Young ones may belong to a request under way.</summary>
    public async Task SweepAsync(CancellationToken cancellationToken)
    {
        var before = time.GetUtcNow() - TimeSpan.FromDays(1);
        await store.PurgeUploadsAsync(before, cancellationToken);
        var names = new List<string>();
        await foreach (var (name, createdAt) in blobs.ListAsync(BlobContainers.Artifacts, "", cancellationToken))
        {
            if (createdAt < before)
                names.Add(name);
            if (names.Count < 1000)
                continue;
            await SweepAsync(names, cancellationToken);
            names.Clear();
        }
        await SweepAsync(names, cancellationToken);
    }

    /// <summary>Deletes blobs that rows no longer point to.</summary>
    public Task DeleteBlobsAsync(IEnumerable<string> names, CancellationToken cancellationToken) =>
        Parallel.ForEachAsync(
            names, new ParallelOptions { MaxDegreeOfParallelism = 8, CancellationToken = cancellationToken },
            async (name, token) => await blobs.DeleteAsync(BlobContainers.Artifacts, name, token));

    /// <summary>The last name of a path.</summary>
    public static string FileName(string path) => path[(path.LastIndexOf('/') + 1)..];

    // The storage puts the name into a header as it is.
    private static string HeaderSafe(string name) => string.Concat(name.Select(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_' or ' ' ? c : '_'));

    private async Task SweepAsync(List<string> names, CancellationToken cancellationToken) =>
        await DeleteBlobsAsync(await store.ListOrphansAsync([.. names], cancellationToken), cancellationToken);

    private async Task PlaceAsync(string path, string blobName, long? sizeBytes, string contentType, CancellationToken cancellationToken)
    {
        var size = sizeBytes ?? await blobs.GetSizeAsync(BlobContainers.Artifacts, blobName, cancellationToken);
        if (await store.PutAsync(path, blobName, size, contentType, cancellationToken) is { } replaced && replaced != blobName)
            await blobs.DeleteAsync(BlobContainers.Artifacts, replaced, cancellationToken);
    }

    private async Task<ArtifactUpload> GetUploadAsync(string path, string? uploadId, CancellationToken cancellationToken)
    {
        if (string.IsNullOrEmpty(uploadId))
            throw MlflowErrors.Missing("upload_id");
        return Guid.TryParseExact(uploadId, "N", out var id) && await store.FindUploadAsync(id, cancellationToken) is { } upload && upload.Path == path
            ? upload
            : throw MlflowErrors.UploadNotFound(uploadId);
    }
}
