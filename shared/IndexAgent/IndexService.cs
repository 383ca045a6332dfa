using FunctionsRegistry.Archives;
using FunctionsRegistry.Blobs;
using FunctionsRegistry.Errors;
using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.IndexAgent;

/// <summary>How far a generation is.</summary>
/// <param name="State"><c>indexing</c>, <c>ready</c>, <c>failed</c> or <c>deleted</c>.</param>
/// <param name="Entries">Files of the archive that were read.</param>
public sealed record IndexProgress(string State, int Segments, int Entries, bool IsComplete);

/// <summary>
/// Receives repositories and indexes them in steps. Every step may be repeated after a crash: what is done is in rows, and segments depend on the
/// archive alone, so that an index made with interruptions is the same as one made without.
/// </summary>
public sealed partial class IndexService(
    IndexStore store, RepositoryStore repositories, BlobStore blobs, IndexAgentOptions options, OutboundArchive outbound, TimeProvider time, ILogger<IndexService> logger)
{
    // A step fails by an error, which is answered at once, or with its worker, which nobody is left to report. Retries after errors count too, and are
    // fewer: what is begun so often died each time, of the memory that it takes for instance.
    internal const int MaxAttempts = 10;

    /// <summary>Stores an archive while it is inspected, and opens a generation for it.</summary>
    /// <returns>The generation to index.</returns>
    /// <exception cref="RegistryException">422 of a bad archive or name, 413 over the limit, 409 while the name is being indexed.</exception>
    public async Task<long> ReceiveAsync(string name, Stream archive, CancellationToken cancellationToken)
    {
        RepositoryNames.Check(name);
        var (blobName, contents, size) = await StoreAsync(archive, cancellationToken);
        try
        {
            return await store.BeginAsync(name, blobName, null, size, contents.Wrapper(name), cancellationToken);
        }
        catch
        {
            await DiscardAsync([blobName]);
            throw;
        }
    }

    /// <summary>Opens a generation for an archive that a step will fetch.</summary>
    /// <exception cref="RegistryException">422 of a bad name or URL, 409 while the name is being indexed.</exception>
    public Task<long> ReceiveUrlAsync(string name, string url, CancellationToken cancellationToken)
    {
        RepositoryNames.Check(name);
        return store.BeginAsync(name, null, OutboundArchive.Check(url).AbsoluteUri, null, "", cancellationToken);
    }

    /// <summary>Opens a generation for the archive that a repository has, to index it anew.</summary>
    /// <exception cref="RegistryException">404, or 409 while the name is being indexed.</exception>
    public async Task<long> ReceiveAgainAsync(string name, CancellationToken cancellationToken)
    {
        var (blobName, size, root) = await repositories.FindArchiveAsync(name, cancellationToken) ?? throw IndexAgentErrors.RepositoryNotFound();
        return await store.BeginAsync(name, blobName, null, size, root, cancellationToken);
    }

    /// <summary>Fetches the archive where it is not stored yet. A failure that repeating does not mend ends the generation.</summary>
    public async Task FetchAsync(long generationId, CancellationToken cancellationToken)
    {
        if (await store.FindWorkAsync(generationId, cancellationToken) is not { State: "indexing", BlobName: null, SourceUrl: { } url } work
            || await IsGivenUpAsync(generationId, 0, cancellationToken))
            return;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(options.FetchTimeout);
        try
        {
            await using var response = await outbound.OpenAsync(new Uri(url), limit.Token);
            var (blobName, contents, size) = await StoreAsync(response, limit.Token);
            if (await store.SetArchiveAsync(generationId, blobName, size, contents.Wrapper(work.RepositoryName), cancellationToken) != blobName)
                await DiscardAsync([blobName]);
        }
        catch (RegistryException exception) when (exception.Kind != ErrorKind.Unavailable)
        {
            await FailAsync(generationId, exception.Fields.Count > 0 ? exception.Fields[0].Message : exception.Message, cancellationToken);
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException || (exception is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            var reason = exception is OperationCanceledException ? $"it took more than {options.FetchTimeout.TotalMinutes:0.##} minutes" : exception.Message;
            await FailAsync(generationId, IndexAgentErrors.FetchFailed(reason), cancellationToken);
        }
    }

    /// <summary>Indexes the next part of the archive.</summary>
    public async Task<IndexProgress> IndexSegmentAsync(long generationId, CancellationToken cancellationToken)
    {
        if (await store.FindWorkAsync(generationId, cancellationToken) is not { } work)
            return new IndexProgress("deleted", 0, 0, true);
        if (work.IsComplete || work.State != "indexing")
            return new IndexProgress(work.State, work.Segments, work.NextEntry, true);
        if (work.BlobName is null)
            throw new InvalidOperationException($"Generation {generationId} has no archive yet.");
        if (await IsGivenUpAsync(generationId, work.Segments, cancellationToken))
            return new IndexProgress("failed", work.Segments, work.NextEntry, true);
        var segment = new SegmentBuilder();
        var skipped = new SortedDictionary<string, int>(StringComparer.Ordinal);
        var (next, isLast) = (work.NextEntry, true);
        await using (var archive = await blobs.OpenReadInBlocksAsync(BlobContainers.Repositories, work.BlobName, cancellationToken))
        {
            await foreach (var file in RepositoryArchive.ReadAsync(archive, options.Archive, work.NextEntry, cancellationToken))
            {
                if (segment.Bytes >= options.SegmentBytes)
                {
                    isLast = false;
                    break;
                }
                Add(segment, skipped, file.Path[work.Root.Length..], file.Bytes);
                next = file.Index + 1;
            }
        }
        await store.AddSegmentAsync(work, segment, next, isLast, skipped, cancellationToken);
        return new IndexProgress("indexing", work.Segments + 1, next, isLast);
    }

    /// <summary>Lets searches see the new index in place of the old one.</summary>
    public async Task FinishAsync(long generationId, CancellationToken cancellationToken)
    {
        await DiscardAsync(await store.FinishAsync(generationId, cancellationToken));
        LogFinished(generationId);
    }

    /// <summary>Ends a generation that cannot be indexed.</summary>
    public async Task FailAsync(long generationId, string error, CancellationToken cancellationToken)
    {
        await store.FailAsync(generationId, error, cancellationToken);
        LogFailed(generationId, error);
    }

    /// <summary>All steps in a row.</summary>
    public async Task IndexAsync(long generationId, CancellationToken cancellationToken)
    {
        await FetchAsync(generationId, cancellationToken);
        while (true)
        {
            var progress = await IndexSegmentAsync(generationId, cancellationToken);
            if (progress.State != "indexing")
                return;
            if (progress.IsComplete)
                break;
        }
        await FinishAsync(generationId, cancellationToken);
    }

    /// <summary>Deletes a repository, its index and its archives; one that is being indexed stops.</summary>
    /// <exception cref="RegistryException">404.</exception>
    public async Task DeleteAsync(string name, CancellationToken cancellationToken)
    {
        RepositoryNames.Check(name);
        await DiscardAsync(await store.DeleteAsync(name, cancellationToken) ?? throw IndexAgentErrors.RepositoryNotFound());
    }

    /// <summary>Deletes the rows of segments that are gone, until none is left or the time is up. Repeating it is harmless.</summary>
    public async Task PurgeAsync(CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested && await store.PurgeSegmentAsync(cancellationToken))
        {
        }
    }

    /// <summary>Generations that have been waiting or worked on for a minute and more.</summary>
    public Task<IReadOnlyList<long>> ListWaitingAsync(CancellationToken cancellationToken) => store.ListIndexingAsync(time.GetUtcNow() - TimeSpan.FromMinutes(1), cancellationToken);

    /// <summary>Deletes archives that no generation points to and that are older than an hour; returns how many.</summary>
    public async Task<int> SweepOrphansAsync(CancellationToken cancellationToken)
    {
        var before = time.GetUtcNow() - TimeSpan.FromHours(1);
        var names = new List<string>();
        await foreach (var (name, createdAt) in blobs.ListAsync(BlobContainers.Repositories, "archives/", cancellationToken))
            if (createdAt < before)
                names.Add(name);
        var orphans = await store.ListUnreferencedAsync(names, cancellationToken);
        await DiscardAsync(orphans);
        return orphans.Count;
    }

    internal static void Add(SegmentBuilder segment, IDictionary<string, int> skipped, string path, byte[]? bytes)
    {
        var (text, reason) = bytes is null ? (null, "too_large") : FileIntake.Read(path, bytes);
        if (text is not null)
            segment.Add(path, text, bytes!.Length);
        else
            skipped[reason!] = (skipped.TryGetValue(reason!, out var count) ? count : 0) + 1;
    }

    private async Task<bool> IsGivenUpAsync(long generationId, int segments, CancellationToken cancellationToken)
    {
        if (await store.BeginStepAsync(generationId, cancellationToken) <= MaxAttempts)
            return false;
        await FailAsync(generationId, IndexAgentErrors.GivenUp(MaxAttempts, segments), cancellationToken);
        return true;
    }

    private async Task<(string BlobName, ArchiveContents Contents, long Size)> StoreAsync(Stream archive, CancellationToken cancellationToken)
    {
        var blobName = $"archives/{Guid.CreateVersion7(time.GetUtcNow()):N}.tar.gz";
        await using var intake = new TarballIntake<ArchiveContents>(
            archive, options.MaxArchiveBytes, (stream, token) => RepositoryArchive.InspectAsync(stream, options.Archive, token), cancellationToken);
        try
        {
            await blobs.UploadAsync(BlobContainers.Repositories, blobName, intake, "application/gzip", cancellationToken);
            var (_, contents) = await intake.FinishAsync();
            return (blobName, contents, intake.BytesRead);
        }
        finally
        {
            await intake.StopAsync();
        }
    }

    private async Task DiscardAsync(IReadOnlyList<string> blobNames)
    {
        foreach (var name in blobNames)
        {
            try
            {
                using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(5));
                await blobs.DeleteAsync(BlobContainers.Repositories, name, limit.Token);
            }
            catch (Exception exception) when (exception is not OutOfMemoryException)
            {
                LogLeftBehind(name, exception.Message);
            }
        }
    }

    [LoggerMessage(5001, LogLevel.Information, "Generation {GenerationId} is indexed")]
    private partial void LogFinished(long generationId);

    [LoggerMessage(5002, LogLevel.Warning, "Generation {GenerationId} could not be indexed: {Error}")]
    private partial void LogFailed(long generationId, string error);

    [LoggerMessage(5003, LogLevel.Warning, "The archive {BlobName} was not deleted and is left to the sweep: {Reason}")]
    private partial void LogLeftBehind(string blobName, string reason);
}
