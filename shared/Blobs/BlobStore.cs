using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Azure;
using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Identity;
using Azure.Storage;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;
using Azure.Storage.Blobs.Specialized;
using Azure.Storage.Sas;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Metrics;
using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.Blobs;

/// <summary>Names of the private containers, before the configured prefix.</summary>
public static class BlobContainers
{
    /// <summary>Agent tarballs.</summary>
    public const string Packages = "packages";

    /// <summary>MLflow's artifacts.</summary>
    public const string Artifacts = "artifacts";

    /// <summary>DSPy programs.</summary>
    public const string Programs = "programs";

    /// <summary>Archives of repositories to index.</summary>
    public const string Repositories = "repositories";
}

/// <summary>Where blobs are.</summary>
/// <param name="ConnectionString"><c>BLOB_CONNECTION</c>, else <c>AzureWebJobsStorage</c>; null where an identity is used.</param>
/// <param name="ServiceUri"><c>BLOB_SERVICE_URI</c>, else <c>AzureWebJobsStorage__blobServiceUri</c>, or made of <c>AzureWebJobsStorage__accountName</c>.</param>
/// <param name="ClientId"><c>AzureWebJobsStorage__clientId</c> of the user-assigned identity.</param>
/// <param name="ContainerPrefix"><c>Blobs__ContainerPrefix</c>: in front of every container's name; lets several systems share one account.</param>
/// <param name="UrlLifetime"><c>Blobs__UrlMinutes</c>: life of a download URL, 15 minutes.</param>
public sealed record BlobOptions(string? ConnectionString, Uri? ServiceUri, string? ClientId, string ContainerPrefix, TimeSpan UrlLifetime)
{
    /// <summary>Reads the settings named above.</summary>
    /// <exception cref="InvalidOperationException">Neither a connection string nor an account is configured.</exception>
    public static BlobOptions FromConfiguration(IConfiguration configuration)
    {
        var connection = configuration["BLOB_CONNECTION"] ?? configuration["AzureWebJobsStorage"];
        var service = configuration["BLOB_SERVICE_URI"] ?? configuration["AzureWebJobsStorage:blobServiceUri"]
            ?? (configuration["AzureWebJobsStorage:accountName"] is { } account ? $"https://{account}.blob.core.windows.net" : null);
        if (string.IsNullOrEmpty(connection) && string.IsNullOrEmpty(service))
            throw new InvalidOperationException("No blob storage is configured: set BLOB_CONNECTION, AzureWebJobsStorage or BLOB_SERVICE_URI.");
        return new BlobOptions(
            string.IsNullOrEmpty(connection) ? null : connection,
            string.IsNullOrEmpty(service) ? null : new Uri(service),
            configuration["AzureWebJobsStorage:clientId"],
            configuration["Blobs:ContainerPrefix"] ?? "",
            TimeSpan.FromMinutes(configuration.GetValue("Blobs:UrlMinutes", 15)));
    }
}

/// <summary>Private containers, streaming uploads, read-only download URLs with a short life.</summary>
public sealed class BlobStore(BlobOptions options, TimeProvider time)
{
    private static readonly TimeSpan s_shortCall = TimeSpan.FromSeconds(3);
    private readonly BlobServiceClient _service = CreateClient(options);
    private readonly ConcurrentDictionary<string, BlobContainerClient> _ready = new();
    private volatile UserDelegationKey? _delegationKey;

    /// <summary>Creates or replaces a blob; a stream of any length in blocks of 4 MB, never whole in memory.</summary>
    public async Task UploadAsync(string container, string name, Stream content, string contentType, CancellationToken cancellationToken)
    {
        var client = await GetContainerAsync(container, cancellationToken);
        var upload = new BlobUploadOptions
        {
            HttpHeaders = new BlobHttpHeaders { ContentType = contentType },
            TransferOptions = new StorageTransferOptions { InitialTransferSize = 4 << 20, MaximumTransferSize = 4 << 20, MaximumConcurrency = 1 },
        };
        await client.GetBlobClient(name).UploadAsync(content, upload, cancellationToken);
    }

    /// <summary>Reads a blob from <paramref name="offset"/> on, as it arrives; null when there is none.</summary>
    public async Task<Stream?> OpenReadAsync(string container, string name, long offset, long length, CancellationToken cancellationToken)
    {
        var client = await GetContainerAsync(container, cancellationToken);
        try
        {
            // The content that follows is read under the caller's token, not under that of the short call.
            var download = new BlobDownloadOptions { Range = length > 0 ? new HttpRange(offset, length) : default };
            return (await SoonAsync(_ => client.GetBlobClient(name).DownloadStreamingAsync(download, cancellationToken), cancellationToken)).Value.Content;
        }
        catch (RequestFailedException exception) when (exception.Status == 404)
        {
            return null;
        }
    }

    /// <summary>The size of a blob in bytes.</summary>
    public async Task<long> GetSizeAsync(string container, string name, CancellationToken cancellationToken)
    {
        var client = await GetContainerAsync(container, cancellationToken);
        return (await SoonAsync(token => client.GetBlobClient(name).GetPropertiesAsync(cancellationToken: token), cancellationToken)).Value.ContentLength;
    }

    /// <summary>A URL that one block of a blob may be PUT to, without a credential, until it ends after <paramref name="lifetime"/>.</summary>
    public async ValueTask<Uri> GetBlockUrlAsync(string container, string name, int block, TimeSpan lifetime, CancellationToken cancellationToken)
    {
        var blob = (await GetContainerAsync(container, cancellationToken)).GetBlobClient(name);
        var now = time.GetUtcNow();
        var sas = new BlobSasBuilder(BlobSasPermissions.Create | BlobSasPermissions.Write, now + lifetime)
        {
            BlobContainerName = blob.BlobContainerName,
            BlobName = name,
            Resource = "b",
            StartsOn = now - TimeSpan.FromMinutes(5),
        };
        var uri = blob.CanGenerateSasUri
            ? blob.GenerateSasUri(sas)
            : new BlobUriBuilder(blob.Uri) { Sas = sas.ToSasQueryParameters(await GetDelegationKeyAsync(now, cancellationToken), _service.AccountName) }.ToUri();
        return new Uri($"{uri.AbsoluteUri}&comp=block&blockid={Uri.EscapeDataString(BlockId(block))}");
    }

    /// <summary>Makes a blob of its blocks 1 to <paramref name="blocks"/>; false where one is missing.</summary>
    public async Task<bool> CommitBlocksAsync(string container, string name, int blocks, string contentType, CancellationToken cancellationToken)
    {
        var client = (await GetContainerAsync(container, cancellationToken)).GetBlockBlobClient(name);
        try
        {
            var options = new CommitBlockListOptions { HttpHeaders = new BlobHttpHeaders { ContentType = contentType } };
            await SoonAsync(token => client.CommitBlockListAsync(Enumerable.Range(1, blocks).Select(BlockId), options, token), cancellationToken);
            return true;
        }
        catch (RequestFailedException exception) when (exception.Status is 400 or 404)
        {
            return false;
        }
    }

    // All ids of a blob must have the same length.
    private static string BlockId(int block) => Convert.ToBase64String(System.Text.Encoding.ASCII.GetBytes($"part-{block:00000}"));

    /// <summary>A blob's content as a forward-only stream, fetched in blocks of 4 MB as it is read.</summary>
    /// <exception cref="RequestFailedException">There is none.</exception>
    public async Task<Stream> OpenReadInBlocksAsync(string container, string name, CancellationToken cancellationToken)
    {
        var client = await GetContainerAsync(container, cancellationToken);
        return await client.GetBlobClient(name).OpenReadAsync(new BlobOpenReadOptions(allowModifications: false) { BufferSize = 4 << 20 }, cancellationToken);
    }

    /// <summary>Deletes a blob; no error when there is none.</summary>
    public async Task DeleteAsync(string container, string name, CancellationToken cancellationToken)
    {
        var client = await GetContainerAsync(container, cancellationToken);
        await SoonAsync(token => client.GetBlobClient(name).DeleteIfExistsAsync(cancellationToken: token), cancellationToken);
    }

    /// <summary>Names and creation times of the blobs under a prefix, in name order.</summary>
    public async IAsyncEnumerable<(string Name, DateTimeOffset CreatedAt)> ListAsync(
        string container, string prefix, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var client = await GetContainerAsync(container, cancellationToken);
        await foreach (var blob in client.GetBlobsAsync(prefix: prefix, cancellationToken: cancellationToken))
            yield return (blob.Name, blob.Properties.CreatedOn ?? blob.Properties.LastModified ?? DateTimeOffset.MaxValue);
    }

    /// <summary>A read-only URL that names the file for the client and ends after <see cref="BlobOptions.UrlLifetime"/>.</summary>
    public async ValueTask<Uri> GetReadUrlAsync(string container, string name, string downloadFileName, CancellationToken cancellationToken)
    {
        var blob = _service.GetBlobContainerClient(options.ContainerPrefix + container).GetBlobClient(name);
        var now = time.GetUtcNow();
        var sas = new BlobSasBuilder(BlobSasPermissions.Read, now + options.UrlLifetime)
        {
            BlobContainerName = blob.BlobContainerName,
            BlobName = name,
            Resource = "b",
            // Clocks differ a little between machines.
            StartsOn = now - TimeSpan.FromMinutes(5),
            ContentDisposition = $"attachment; filename=\"{downloadFileName}\"",
        };
        if (blob.CanGenerateSasUri)
            return blob.GenerateSasUri(sas);
        var key = await GetDelegationKeyAsync(now, cancellationToken);
        return new BlobUriBuilder(blob.Uri) { Sas = sas.ToSasQueryParameters(key, _service.AccountName) }.ToUri();
    }

    /// <summary>One cheap call, for health checks.</summary>
    public Task PingAsync(CancellationToken cancellationToken) =>
        _service.GetBlobContainerClient(options.ContainerPrefix + BlobContainers.Packages).ExistsAsync(cancellationToken);

    /// <summary>The error to answer when storage failed, or null where the failure is a defect.</summary>
    public static RegistryException? Translate(Exception exception) => exception switch
    {
        RequestFailedException { Status: 0 or 429 or >= 500 } or AggregateException { InnerException: RequestFailedException { Status: 0 or >= 500 } } => Unavailable(exception),
        // The client's own timeout of one try.
        AggregateException { InnerException: OperationCanceledException } => Unavailable(exception),
        HttpRequestException { InnerException: SocketException } =>
            new RegistryException(ErrorKind.Unavailable, "A service behind this one is not available right now.", retryAfter: TimeSpan.FromSeconds(5), innerException: exception),
        _ => null,
    };

    private async ValueTask<UserDelegationKey> GetDelegationKeyAsync(DateTimeOffset now, CancellationToken cancellationToken)
    {
        var key = _delegationKey;
        if (key is not null && key.SignedExpiresOn > now + options.UrlLifetime + TimeSpan.FromMinutes(5))
            return key;
        // Two requests may both fetch one; either key is good.
        return _delegationKey = await SoonAsync(
            token => _service.GetUserDelegationKeyAsync(now - TimeSpan.FromMinutes(5), now + TimeSpan.FromHours(6), token), cancellationToken);
    }

    private async ValueTask<BlobContainerClient> GetContainerAsync(string container, CancellationToken cancellationToken)
    {
        if (_ready.TryGetValue(container, out var ready))
            return ready;
        var client = _service.GetBlobContainerClient(options.ContainerPrefix + container);
        await SoonAsync(token => client.CreateIfNotExistsAsync(PublicAccessType.None, cancellationToken: token), cancellationToken);
        return _ready[container] = client;
    }

    // Calls without content: a storage that accepts and never answers is a 503 within 5 s. The client may finish a retry before it looks at its token,
    // so it is not waited for.
    private static async Task<Response<T>> SoonAsync<T>(Func<CancellationToken, Task<Response<T>>> call, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(s_shortCall);
        try
        {
            return await call(limit.Token).WaitAsync(s_shortCall, cancellationToken);
        }
        catch (Exception exception) when (exception is TimeoutException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
        {
            throw Unavailable(exception);
        }
    }

    private static RegistryException Unavailable(Exception cause) =>
        new(ErrorKind.Unavailable, "The blob storage is not available right now.", retryAfter: TimeSpan.FromSeconds(5), innerException: cause);

    private static BlobServiceClient CreateClient(BlobOptions options)
    {
        var handler = new SocketsHttpHandler
        {
            ConnectTimeout = TimeSpan.FromSeconds(2),
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            UseProxy = options.ServiceUri is not null,
        };
        var client = new BlobClientOptions(BlobClientOptions.ServiceVersion.V2021_12_02)
        {
            Transport = new HttpClientTransport(new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan }),
        };
        client.AddPolicy(new Measurement(), HttpPipelinePosition.PerRetry);
        client.Retry.MaxRetries = 1;
        client.Retry.Delay = TimeSpan.FromMilliseconds(200);
        client.Retry.Mode = RetryMode.Fixed;
        // For one try of one block of 4 MB, which is in memory by then: how slow the sender is does not count.
        client.Retry.NetworkTimeout = s_shortCall;
        if (options.ConnectionString is not null)
            return new BlobServiceClient(options.ConnectionString, client);
        var credential = new DefaultAzureCredential(new DefaultAzureCredentialOptions { ManagedIdentityClientId = options.ClientId });
        return new BlobServiceClient(options.ServiceUri, credential, client);
    }

    private sealed class Measurement : HttpPipelinePolicy
    {
        public override void Process(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline)
        {
            var start = Stopwatch.GetTimestamp();
            try
            {
                ProcessNext(message, pipeline);
            }
            finally
            {
                DependencyMetrics.RecordBlobs(start, message.Request.Method.Method, message.HasResponse ? message.Response.Status : 0);
            }
        }

        public override async ValueTask ProcessAsync(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline)
        {
            var start = Stopwatch.GetTimestamp();
            try
            {
                await ProcessNextAsync(message, pipeline);
            }
            finally
            {
                DependencyMetrics.RecordBlobs(start, message.Request.Method.Method, message.HasResponse ? message.Response.Status : 0);
            }
        }
    }
}
