using System.Buffers.Binary;
using System.IO.Hashing;

namespace FunctionsRegistry.Archives;

/// <summary>
/// The deflate data of exactly one gzip member. The framework's GZipStream takes a file without its trailer, and anything behind it, for whole;
/// neither may become an immutable version. So the frame is read here and only the data inside goes to a DeflateStream.
/// </summary>
internal sealed class GzipSource(Stream inner) : ForwardStream
{
    private const int TrailerBytes = 8;
    // The end of the data is known only to the inflater, which does not say how much it took. It gets the last bytes of the file one at a time.
    private const int HeldBack = 32;
    private const int MaxHeaderBytes = 64 << 10;

    private readonly byte[] _buffer = new byte[64 << 10];
    private readonly Crc32 _crc = new();
    private int _start;
    private int _end;
    private bool _innerEnded;

    /// <summary>Packed bytes handed out so far.</summary>
    public long BytesRead { get; private set; }

    /// <summary>Unpacked bytes noted so far.</summary>
    public long UnpackedBytes { get; private set; }

    /// <summary>Reads the member's header (RFC 1952); before any data.</summary>
    public async ValueTask ReadHeaderAsync(CancellationToken cancellationToken)
    {
        const int HeaderCrc = 2, Extra = 4, Name = 8, Comment = 16, Reserved = 0xE0;
        if (!await FillAsync(1, cancellationToken))
            throw ArchiveErrors.Wrong("is empty");
        if (await NextAsync(cancellationToken) != 0x1F || await NextAsync(cancellationToken) != 0x8B || await NextAsync(cancellationToken) != 8)
            throw ArchiveErrors.Wrong("is not a gzip file");
        var flags = await NextAsync(cancellationToken);
        if ((flags & Reserved) != 0)
            throw ArchiveErrors.Wrong("is not a gzip file, or is damaged");
        await SkipAsync(6, cancellationToken);
        if ((flags & Extra) != 0)
            await SkipAsync(await NextAsync(cancellationToken) | (await NextAsync(cancellationToken) << 8), cancellationToken);
        if ((flags & Name) != 0)
            await SkipTextAsync(cancellationToken);
        if ((flags & Comment) != 0)
            await SkipTextAsync(cancellationToken);
        if ((flags & HeaderCrc) != 0)
            await SkipAsync(2, cancellationToken);
    }

    /// <summary>Takes note of unpacked bytes; the trailer holds their sum.</summary>
    public void Append(ReadOnlySpan<byte> unpacked)
    {
        _crc.Append(unpacked);
        UnpackedBytes += unpacked.Length;
    }

    /// <summary>After the data: only the right trailer may be left.</summary>
    public async ValueTask ReadTrailerAsync(CancellationToken cancellationToken)
    {
        // More left than a trailer: what was handed out in one piece may have held the true one, so nothing here is worth comparing.
        if (await FillAsync(TrailerBytes + 1, cancellationToken))
            throw ArchiveErrors.Wrong("has data behind its end");
        if (_end - _start < TrailerBytes)
            throw ArchiveErrors.Wrong("is cut short");
        var trailer = _buffer.AsSpan(_start, TrailerBytes);
        if (BinaryPrimitives.ReadUInt32LittleEndian(trailer) != _crc.GetCurrentHashAsUInt32()
            || BinaryPrimitives.ReadUInt32LittleEndian(trailer[4..]) != (uint)UnpackedBytes)
            throw ArchiveErrors.Wrong("is damaged: its checksum is wrong");
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var free = await FillAsync(HeldBack + 1, cancellationToken) ? _end - _start - HeldBack : Math.Min(1, _end - _start);
        var count = Math.Min(free, buffer.Length);
        _buffer.AsSpan(_start, count).CopyTo(buffer.Span);
        _start += count;
        BytesRead += count;
        return count;
    }

    // Whether at least so many bytes are buffered; false only at the end of the file.
    private async ValueTask<bool> FillAsync(int wanted, CancellationToken cancellationToken)
    {
        while (_end - _start < wanted && !_innerEnded)
        {
            if (_start > 0)
            {
                _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
                (_start, _end) = (0, _end - _start);
            }
            var count = await inner.ReadAsync(_buffer.AsMemory(_end), cancellationToken);
            _end += count;
            _innerEnded = count == 0;
        }
        return _end - _start >= wanted;
    }

    private async ValueTask<int> NextAsync(CancellationToken cancellationToken)
    {
        if (!await FillAsync(1, cancellationToken))
            throw ArchiveErrors.Wrong("is cut short");
        BytesRead++;
        return _buffer[_start++];
    }

    private async ValueTask SkipAsync(int count, CancellationToken cancellationToken)
    {
        for (; count > 0; count--)
            await NextAsync(cancellationToken);
    }

    private async ValueTask SkipTextAsync(CancellationToken cancellationToken)
    {
        for (var length = 0; await NextAsync(cancellationToken) != 0; length++)
            if (length > MaxHeaderBytes)
                throw ArchiveErrors.Wrong("has a gzip header of more than 64 KB");
    }
}
