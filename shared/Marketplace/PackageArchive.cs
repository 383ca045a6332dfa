using System.IO.Compression;
using System.Text;
using FunctionsRegistry.Errors;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace FunctionsRegistry.Marketplace;

/// <summary>How much an archive may hold.</summary>
/// <param name="MaxUnpackedBytes">All entries and headers together.</param>
/// <param name="MaxRatio">Unpacked to packed bytes, judged beyond 10 MB unpacked.</param>
public sealed record ArchiveLimits(int MaxEntries = 10_000, long MaxUnpackedBytes = 500L << 20, int MaxRatio = 100);

/// <summary>What the archive's own agent.yaml says it is; a member is null where agent.yaml lacks it.</summary>
public sealed record PackageIdentity(string? Name, string? Version, string? Author);

/// <summary>Reads a .tar.gz from somebody we do not trust: forward only, in bounded memory, nothing is unpacked to disk.</summary>
public static class PackageArchive
{
    private const int MaxManifestBytes = 256 << 10;
    private const long RatioFrom = 10 << 20;

    /// <summary>Reads to the end and checks every entry.</summary>
    /// <exception cref="RegistryException">400 that says what is wrong with which entry.</exception>
    public static async Task<PackageIdentity> InspectAsync(Stream gzip, ArchiveLimits limits, CancellationToken cancellationToken)
    {
        var packed = new CountingStream(gzip);
        await using var unpacked = new GZipStream(packed, CompressionMode.Decompress);
        var tar = new TarReader(unpacked, total => CheckSize(total, packed.BytesRead, limits));
        byte[]? manifest = null;
        var paths = new HashSet<string>(StringComparer.Ordinal);
        try
        {
            while (await tar.NextAsync(cancellationToken) is { } entry)
            {
                if (paths.Count >= limits.MaxEntries)
                    throw Wrong($"more than {limits.MaxEntries} entries");
                var path = CheckPath(entry.Path);
                if (!entry.IsDirectory && !paths.Add(path))
                    throw Wrong($"entry '{path}' is there twice");
                if (entry.IsDirectory)
                    paths.Add(path + "/");
                if (path == "agent.yaml" && !entry.IsDirectory)
                    manifest = await tar.ReadContentAsync(MaxManifestBytes, cancellationToken);
            }
            if (packed.BytesRead == 0)
                throw Wrong("is empty");
        }
        catch (InvalidDataException)
        {
            throw Wrong("is not a gzip file, or is damaged");
        }
        return manifest is null ? throw Wrong("has no agent.yaml at its top") : ReadIdentity(manifest);
    }

    private static void CheckSize(long unpackedBytes, long packedBytes, ArchiveLimits limits)
    {
        if (unpackedBytes > limits.MaxUnpackedBytes)
            throw Wrong($"unpacks to more than {limits.MaxUnpackedBytes >> 20} MB");
        if (unpackedBytes > RatioFrom && unpackedBytes > packedBytes * limits.MaxRatio)
            throw Wrong($"unpacks to more than {limits.MaxRatio} times its size");
    }

    // Returns the path without "./" and a trailing slash.
    private static string CheckPath(string path)
    {
        if (path.Length is 0 or > 255)
            throw Wrong("an entry's path must have 1 to 255 characters");
        if (path.Any(c => c is '\\' or '\uFFFD' || char.IsControl(c)))
            throw Wrong($"entry '{Printable(path)}' has a backslash, a control character or broken UTF-8 in its path");
        if (path[0] == '/' || (path.Length > 1 && path[1] == ':'))
            throw Wrong($"entry '{path}' is an absolute path");
        var segments = path.Split('/');
        if (segments.Contains(".."))
            throw Wrong($"entry '{path}' leaves the package");
        return string.Join('/', segments.Where(segment => segment is not ("" or ".")));
    }

    // Only the parser's events are read, never objects: aliases are not followed, so an alias bomb is only text.
    private static PackageIdentity ReadIdentity(byte[] manifest)
    {
        var found = new Dictionary<string, string>();
        try
        {
            var parser = new Parser(new StringReader(Encoding.UTF8.GetString(manifest)));
            var depth = 0;
            string? key = null;
            while (parser.MoveNext())
            {
                var current = parser.Current!;
                if (depth == 1 && current is Scalar scalar && key is null)
                    key = scalar.Value;
                else if (depth == 1 && current is Scalar value)
                {
                    found.TryAdd(key!, value.Value);
                    key = null;
                }
                else if (depth == 1 && current is AnchorAlias)
                    key = key is null ? "" : null;
                depth += current.NestingIncrease is var change and not 0 && current is MappingStart or MappingEnd or SequenceStart or SequenceEnd ? change : 0;
                if (depth > 64)
                    throw Wrong("agent.yaml is nested too deeply");
                if (depth == 1 && current is MappingEnd or SequenceEnd)
                    key = null;
            }
        }
        catch (YamlException exception)
        {
            throw Wrong($"agent.yaml is not YAML (line {exception.Start.Line})");
        }
        return new PackageIdentity(found.GetValueOrDefault("name"), found.GetValueOrDefault("version"), found.GetValueOrDefault("author"));
    }

    internal static RegistryException Wrong(string what) => MarketplaceErrors.ValidationFailed("tarball: " + what);

    private static string Printable(string text) => new([.. text.Select(c => char.IsControl(c) ? '?' : c)]);

    private sealed class CountingStream(Stream inner) : Stream
    {
        public long BytesRead { get; private set; }

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            var count = await inner.ReadAsync(buffer, cancellationToken);
            BytesRead += count;
            return count;
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("Read asynchronously.");

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
