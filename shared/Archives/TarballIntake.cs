using System.IO.Pipelines;
using System.Security.Cryptography;
using FunctionsRegistry.Errors;

namespace FunctionsRegistry.Archives;

/// <summary>
/// A read-once stream that hashes and inspects what passes through to the blob upload: three readers of one upload in bounded memory.
/// A fault found by the inspection ends the upload at once.
/// </summary>
/// <typeparam name="T">What the inspection finds out.</typeparam>
internal sealed class TarballIntake<T> : ForwardStream
{
    private readonly Stream _source;
    private readonly long _limitBytes;
    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly Pipe _pipe = new(new PipeOptions(pauseWriterThreshold: 1 << 20, resumeWriterThreshold: 1 << 19));
    private readonly Task<T> _inspection;

    public TarballIntake(Stream source, long limitBytes, Func<Stream, CancellationToken, Task<T>> inspect, CancellationToken cancellationToken)
    {
        _source = source;
        _limitBytes = limitBytes;
        _inspection = InspectAsync(inspect, cancellationToken);
    }

    public long BytesRead { get; private set; }

    /// <summary>After the source was read to its end: what it was.</summary>
    public async Task<(string Sha256, T Found)> FinishAsync()
    {
        var found = await _inspection;
        return (Convert.ToHexStringLower(_hash.GetHashAndReset()), found);
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var count = await _source.ReadAsync(buffer, cancellationToken);
        BytesRead += count;
        if (BytesRead > _limitBytes)
            throw CommonErrors.BodyTooLarge(_limitBytes);
        if (count == 0)
        {
            await _pipe.Writer.CompleteAsync();
            // Before the upload commits its blob: an archive that is wrong at its very end must not be stored either.
            await _inspection;
            return 0;
        }
        _hash.AppendData(buffer.Span[..count]);
        var flushed = await _pipe.Writer.WriteAsync(buffer[..count], cancellationToken);
        if (flushed.IsCompleted)
            await _inspection;
        return count;
    }

    /// <summary>Ends the inspection whatever became of the upload.</summary>
    public async ValueTask StopAsync()
    {
        await _pipe.Writer.CompleteAsync(new OperationCanceledException());
        await _inspection.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        _hash.Dispose();
    }

    private async Task<T> InspectAsync(Func<Stream, CancellationToken, Task<T>> inspect, CancellationToken cancellationToken)
    {
        // Off the reader's stack: the first read of the pipe would otherwise run inside the constructor.
        await Task.Yield();
        try
        {
            return await inspect(_pipe.Reader.AsStream(leaveOpen: true), cancellationToken);
        }
        finally
        {
            await _pipe.Reader.CompleteAsync();
        }
    }
}
