using System.Globalization;
using System.Text;

namespace FunctionsRegistry.Archives;

/// <summary>A regular file or a directory of an archive, or a link where those are reported; nothing else gets through.</summary>
/// <param name="LinkTarget">Where a link points; null otherwise.</param>
internal readonly record struct TarEntry(string Path, bool IsDirectory, long SizeBytes, string? LinkTarget = null);

/// <summary>
/// Reads ustar, pax and GNU headers from a stream that may hold anything. Our own, because the framework's reader takes extended headers of any
/// size into memory and follows what we refuse: links, devices, sparse files.
/// </summary>
/// <param name="reportsLinks">Links are entries without content, for a caller that judges their targets; otherwise they are refused.</param>
internal sealed class TarReader(Stream stream, int maxEntries, Action<ReadOnlySpan<byte>> onBytes, bool reportsLinks = false)
{
    private const int BlockSize = 512;
    private const int MaxExtendedHeaderBytes = 64 << 10;
    private const int MaxExtendedHeaders = 4;
    // What twelve octal digits can say; a larger number would overflow when it is rounded up to blocks.
    private const long MaxEntryBytes = 1L << 36;

    private readonly byte[] _block = new byte[BlockSize];
    private readonly byte[] _skip = new byte[64 << 10];
    private int _entries;
    private bool _started;
    private long _unread;
    private long _padding;
    private bool _ended;

    /// <summary>The next entry, or null after the end mark, when the rest was read too.</summary>
    /// <exception cref="Errors.RegistryException">400: not a tar file, or an entry of a refused kind.</exception>
    public async ValueTask<TarEntry?> NextAsync(CancellationToken cancellationToken)
    {
        string? longPath = null;
        long? longSize = null;
        string? longTarget = null;
        for (var extended = 0; !_ended; extended++)
        {
            await SkipAsync(cancellationToken);
            if (!await ReadBlockAsync(cancellationToken))
                throw ArchiveErrors.Wrong(_started ? "is cut short" : "is empty");
            _started = true;
            if (_block.AsSpan().IndexOfAnyExcept((byte)0) < 0)
            {
                if (longPath is not null || longSize is not null || longTarget is not null)
                    throw ArchiveErrors.Wrong("ends with a header that belongs to no entry");
                await DrainAsync(cancellationToken);
                break;
            }
            if (extended > MaxExtendedHeaders)
                throw ArchiveErrors.Wrong($"has an entry with more than {MaxExtendedHeaders} extended headers");
            var header = ReadHeader();
            _unread = header.Size;
            _padding = (BlockSize - (header.Size % BlockSize)) % BlockSize;
            switch (header.Kind)
            {
                case 'x':
                    (longPath, longSize, longTarget) = ReadPax(await ReadContentAsync(MaxExtendedHeaderBytes, cancellationToken), longPath, longSize, longTarget);
                    continue;
                case 'g':
                    // A global header may name a commit; a path for all entries makes no sense.
                    if (ReadPax(await ReadContentAsync(MaxExtendedHeaderBytes, cancellationToken), null, null, null) is not (null, null, null))
                        throw ArchiveErrors.Wrong("has a global header that names a path or a size");
                    continue;
                case 'L':
                    longPath = Text(await ReadContentAsync(MaxExtendedHeaderBytes, cancellationToken));
                    continue;
                case 'K' when reportsLinks:
                    longTarget = Text(await ReadContentAsync(MaxExtendedHeaderBytes, cancellationToken));
                    continue;
                case '1' or '2' when reportsLinks && _unread == 0 && longSize is null or 0:
                    if (++_entries > maxEntries)
                        throw ArchiveErrors.Wrong($"more than {maxEntries} entries");
                    return new TarEntry(longPath ?? header.Path, false, 0, longTarget ?? Text(_block.AsSpan(157, 100)));
                case '0' or '\0' or '5':
                    if (longSize is { } size)
                        (_unread, _padding) = (size, (BlockSize - (size % BlockSize)) % BlockSize);
                    var path = longPath ?? header.Path;
                    var isDirectory = header.Kind == '5' || path.EndsWith('/');
                    // Readers differ in whether content follows then, so what comes next would be a header to one and content to another.
                    if (isDirectory && _unread > 0)
                        throw ArchiveErrors.Wrong($"entry '{path}' is a directory with content");
                    if (++_entries > maxEntries)
                        throw ArchiveErrors.Wrong($"more than {maxEntries} entries");
                    return new TarEntry(path, isDirectory, _unread);
                case '1' or '2' or 'K':
                    throw ArchiveErrors.Wrong($"entry '{longPath ?? header.Path}' is a link");
                case '3' or '4' or '6':
                    throw ArchiveErrors.Wrong($"entry '{longPath ?? header.Path}' is a device or a pipe");
                default:
                    throw ArchiveErrors.Wrong($"entry '{longPath ?? header.Path}' is of an unknown kind");
            }
        }
        return null;
    }

    /// <summary>The present entry's content.</summary>
    public async ValueTask<byte[]> ReadContentAsync(int maxBytes, CancellationToken cancellationToken)
    {
        if (_unread > maxBytes)
            throw ArchiveErrors.Wrong($"has an agent.yaml or a header of more than {maxBytes} bytes");
        var content = new byte[_unread];
        await FillAsync(content, cancellationToken);
        _unread = 0;
        return content;
    }

    private (char Kind, string Path, long Size) ReadHeader()
    {
        // The sum over the header with its own field as blanks; some old tars summed signed bytes, none that we accept.
        var sum = 0;
        for (var i = 0; i < BlockSize; i++)
            sum += i is >= 148 and < 156 ? ' ' : _block[i];
        if (ReadOctal(_block.AsSpan(148, 8)) != sum)
            throw ArchiveErrors.Wrong("is not a tar file, or is damaged");
        var path = Text(_block.AsSpan(0, 100));
        if (_block.AsSpan(257, 6).SequenceEqual("ustar\0"u8) && Text(_block.AsSpan(345, 155)) is { Length: > 0 } prefix)
            path = prefix + "/" + path;
        return ((char)_block[156], path, ReadNumber(_block.AsSpan(124, 12)));
    }

    private static (string? Path, long? Size, string? Target) ReadPax(byte[] records, string? path, long? size, string? target)
    {
        // Each record: "<length> <key>=<value>\n", the length counting all of it.
        var rest = records.AsSpan();
        while (rest.Length > 0 && rest[0] != 0)
        {
            var space = rest.IndexOf((byte)' ');
            if (space is < 1 or > 10 || !int.TryParse(rest[..space], NumberStyles.None, CultureInfo.InvariantCulture, out var length)
                || length <= space + 1 || length > rest.Length || rest[length - 1] != '\n')
                throw ArchiveErrors.Wrong("has a damaged extended header");
            var record = rest[(space + 1)..(length - 1)];
            var equals = record.IndexOf((byte)'=');
            if (equals < 1)
                throw ArchiveErrors.Wrong("has a damaged extended header");
            var value = record[(equals + 1)..];
            if (record[..equals].SequenceEqual("path"u8))
                path = Encoding.UTF8.GetString(value);
            else if (record[..equals].SequenceEqual("linkpath"u8))
                target = Encoding.UTF8.GetString(value);
            else if (record[..equals].SequenceEqual("size"u8))
                size = long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number <= MaxEntryBytes
                    ? number
                    : throw ArchiveErrors.Wrong("has a damaged extended header");
            else if (record.StartsWith("GNU.sparse"u8))
                throw ArchiveErrors.Wrong("has a sparse file");
            rest = rest[length..];
        }
        return (path, size, target);
    }

    private static long ReadNumber(ReadOnlySpan<byte> field)
    {
        if ((field[0] & 0x80) == 0)
            return ReadOctal(field) is >= 0 and var octal ? octal : throw ArchiveErrors.Wrong("is not a tar file, or is damaged");
        // Base 256, for files over 8 GB: none that we could accept.
        throw ArchiveErrors.Wrong("has an entry of more than 8 GB");
    }

    private static long ReadOctal(ReadOnlySpan<byte> field)
    {
        var value = 0L;
        var digits = 0;
        foreach (var b in field)
        {
            if (b is (byte)' ' or 0)
            {
                if (digits > 0)
                    break;
                continue;
            }
            if (b is < (byte)'0' or > (byte)'7')
                return -1;
            value = (value << 3) + (b - '0');
            digits++;
        }
        return digits == 0 ? 0 : value;
    }

    private static string Text(ReadOnlySpan<byte> field)
    {
        var end = field.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? field : field[..end]);
    }

    private async ValueTask<bool> ReadBlockAsync(CancellationToken cancellationToken)
    {
        var count = await stream.ReadAtLeastAsync(_block, BlockSize, throwOnEndOfStream: false, cancellationToken);
        onBytes(_block.AsSpan(0, count));
        return count == BlockSize;
    }

    private async ValueTask FillAsync(Memory<byte> target, CancellationToken cancellationToken)
    {
        var count = await stream.ReadAtLeastAsync(target, target.Length, throwOnEndOfStream: false, cancellationToken);
        onBytes(target.Span[..count]);
        if (count < target.Length)
            throw ArchiveErrors.Wrong("is cut short");
    }

    private async ValueTask SkipAsync(CancellationToken cancellationToken)
    {
        for (var left = _unread + _padding; left > 0;)
        {
            var part = (int)Math.Min(left, _skip.Length);
            await FillAsync(_skip.AsMemory(0, part), cancellationToken);
            left -= part;
        }
        (_unread, _padding) = (0, 0);
    }

    // Behind the end mark there may be zeros only; reading them also makes the gzip stream check its own sum.
    private async ValueTask DrainAsync(CancellationToken cancellationToken)
    {
        _ended = true;
        int count;
        while ((count = await stream.ReadAsync(_skip, cancellationToken)) > 0)
        {
            onBytes(_skip.AsSpan(0, count));
            if (_skip.AsSpan(0, count).IndexOfAnyExcept((byte)0) >= 0)
                throw ArchiveErrors.Wrong("has data behind its end mark");
        }
    }
}
