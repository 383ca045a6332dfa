using FunctionsRegistry.Archives;
using FunctionsRegistry.Blobs;
using FunctionsRegistry.Errors;
using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.Marketplace;

/// <summary>A tarball that was stored and checked, and that no version points to yet.</summary>
public sealed record StagedTarball(StoredTarball Stored, PackageIdentity Identity);

/// <summary>What a publisher says of a tarball.</summary>
/// <param name="ManifestJson">The form's agent_yaml, which is JSON.</param>
/// <param name="Sha256">What the client computed, or null.</param>
/// <param name="PathScope">Scope and name of the route, or null on the route without them.</param>
public sealed record AgentRelease(Guid UserId, string Username, string ManifestJson, string Readme, string? Sha256, string? PathScope, string? PathName);

/// <summary>Publishing and installing.</summary>
public sealed partial class AgentService(AgentStore agents, BlobStore blobs, MarketplaceOptions options, TimeProvider time, ILogger<AgentService> logger)
{
    // Long enough for the slowest upload that a request may take.
    private static readonly TimeSpan s_orphanAge = TimeSpan.FromHours(1);

    /// <summary>
    /// Streams a tarball into a blob while it is hashed and inspected. The real client sends it before its manifest, so its name and version are
    /// not known yet and the blob is named by the upload's id alone; the version's row points to it.
    /// </summary>
    /// <exception cref="RegistryException">400 of a bad archive, 413 over the limit; nothing is stored then.</exception>
    public async Task<StagedTarball> StageAsync(Stream tarball, CancellationToken cancellationToken)
    {
        var id = Guid.CreateVersion7(time.GetUtcNow());
        var blobName = $"agents/{id:N}.tar.gz";
        await using var intake = new TarballIntake<PackageIdentity>(
            tarball, options.MaxTarballBytes, (stream, token) => PackageArchive.InspectAsync(stream, new ArchiveLimits(), token), cancellationToken);
        try
        {
            await blobs.UploadAsync(BlobContainers.Packages, blobName, intake, "application/gzip", cancellationToken);
            var (sha256, identity) = await intake.FinishAsync();
            return new StagedTarball(new StoredTarball(id, blobName, sha256, intake.BytesRead), identity);
        }
        finally
        {
            await intake.StopAsync();
        }
    }

    /// <summary>Publishes a staged tarball.</summary>
    /// <exception cref="RegistryException">400, 403, 409 as the contract says, in the original's order; nothing is published then.</exception>
    public async Task<PublishResponse> PublishAsync(AgentRelease release, StagedTarball tarball, CancellationToken cancellationToken)
    {
        var manifest = ManifestValidator.Parse(release.ManifestJson);
        CheckPath(manifest, release.PathScope, release.PathName);
        if (!manifest.Scope[1..].Equals(release.Username, StringComparison.OrdinalIgnoreCase))
            throw MarketplaceErrors.NotYourScope(release.Username);
        CheckTarball(manifest, tarball, release.Sha256);
        if (release.Readme.Length > options.MaxReadmeCharacters)
            throw MarketplaceErrors.ValidationFailed($"readme: may have at most {options.MaxReadmeCharacters} characters");
        var readme = release.Readme.Replace("\0", "", StringComparison.Ordinal);
        await agents.InsertVersionAsync(release.UserId, manifest.WithLinksOf(tarball.Identity), readme, tarball.Stored, cancellationToken);
        var fullName = $"{manifest.Scope}/{manifest.Name}";
        LogPublished(fullName, manifest.Version, tarball.Stored.SizeBytes);
        return new PublishResponse(true, manifest.Version, fullName, $"{options.WebUrl}/agents/{fullName}");
    }

    /// <summary>Deletes a staged tarball that was not published. A failure is left to the sweep.</summary>
    public async Task DiscardAsync(StagedTarball tarball)
    {
        try
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(5));
            await blobs.DeleteAsync(BlobContainers.Packages, tarball.Stored.BlobName, limit.Token);
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            LogLeftBehind(tarball.Stored.BlobName, exception.Message);
        }
    }

    /// <summary>Where to download a version; counts one download.</summary>
    /// <exception cref="RegistryException">404.</exception>
    public async Task<DownloadResponse> GetDownloadAsync(string scope, string name, string version, CancellationToken cancellationToken)
    {
        var found = await agents.GetForDownloadAsync(scope, name, version, cancellationToken);
        var url = await blobs.GetReadUrlAsync(BlobContainers.Packages, found.BlobName, $"{found.Name}-{found.Version}.tar.gz", cancellationToken);
        return new DownloadResponse(url.AbsoluteUri, found.Sha256, found.SizeBytes, found.Version, found.Sha256, found.SizeBytes, found.PublishedAt);
    }

    /// <summary>Unpublishes a version of the caller's own scope.</summary>
    /// <exception cref="RegistryException">403, 404.</exception>
    public async Task UnpublishAsync(string username, string scope, string name, string version, CancellationToken cancellationToken)
    {
        if (!scope[1..].Equals(username, StringComparison.OrdinalIgnoreCase))
            throw MarketplaceErrors.NotYourScope(username);
        await agents.UnpublishAsync(scope, name, version, cancellationToken);
        LogUnpublished($"{scope}/{name}", version);
    }

    /// <summary>Deletes blobs that no version points to and that are older than an hour; returns how many. Repeating it is harmless.</summary>
    /// <param name="everything">True: all blobs; false: those of the last days, which costs the same however many packages there are.</param>
    public async Task<int> SweepOrphansAsync(bool everything, CancellationToken cancellationToken)
    {
        const int PageSize = 500;
        var now = time.GetUtcNow();
        var deleted = 0;
        var page = new List<string>(PageSize);
        foreach (var prefix in everything ? ["agents/"] : BlobNames.RecentPrefixes("agents/", now))
        {
            await foreach (var (name, createdAt) in blobs.ListAsync(BlobContainers.Packages, prefix, cancellationToken))
            {
                if (createdAt < now - s_orphanAge)
                    page.Add(name);
                if (page.Count == PageSize)
                    deleted += await DeleteUnreferencedAsync(page, cancellationToken);
            }
        }
        return deleted + await DeleteUnreferencedAsync(page, cancellationToken);
    }

    private async Task<int> DeleteUnreferencedAsync(List<string> page, CancellationToken cancellationToken)
    {
        var orphans = page.Count == 0 ? [] : await agents.ListUnreferencedAsync(page, cancellationToken);
        page.Clear();
        foreach (var name in orphans)
            await blobs.DeleteAsync(BlobContainers.Packages, name, cancellationToken);
        return orphans.Count;
    }

    private static void CheckPath(AgentManifest manifest, string? pathScope, string? pathName)
    {
        if (pathScope is null)
            return;
        if (!AgentNames.TryScope(pathScope, out var scope) || !scope.Equals(manifest.Scope, StringComparison.OrdinalIgnoreCase) || pathName != manifest.Name)
            throw MarketplaceErrors.ValidationFailed($"agent.yaml: author '{manifest.Scope}' and name '{manifest.Name}' do not match the path");
    }

    private static void CheckTarball(AgentManifest manifest, StagedTarball tarball, string? sha256)
    {
        var faults = new List<string>();
        if (!string.IsNullOrEmpty(sha256) && !sha256.Equals(tarball.Stored.Sha256, StringComparison.OrdinalIgnoreCase))
            faults.Add("sha256: does not match the tarball");
        var identity = tarball.Identity;
        if (identity.Name != manifest.Name)
            faults.Add($"tarball: agent.yaml has the name '{identity.Name}', not '{manifest.Name}'");
        if (identity.Version != manifest.Version)
            faults.Add($"tarball: agent.yaml has the version '{identity.Version}', not '{manifest.Version}'");
        if (!manifest.Scope.Equals(identity.Author, StringComparison.OrdinalIgnoreCase))
            faults.Add($"tarball: agent.yaml has the author '{identity.Author}', not '{manifest.Scope}'");
        if (faults.Count > 0)
            throw MarketplaceErrors.ValidationFailed(faults);
    }

    [LoggerMessage(3001, LogLevel.Information, "Published {Agent} {Version}, {SizeBytes} bytes")]
    private partial void LogPublished(string agent, string version, long sizeBytes);

    [LoggerMessage(3002, LogLevel.Information, "Unpublished {Agent} {Version}")]
    private partial void LogUnpublished(string agent, string version);

    [LoggerMessage(3003, LogLevel.Warning, "The blob {BlobName} of a refused publish was not deleted and is left to the sweep: {Reason}")]
    private partial void LogLeftBehind(string blobName, string reason);
}
