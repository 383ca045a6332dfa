using System.IO.Compression;
using System.Text;
using FunctionsRegistry.Archives;
using FunctionsRegistry.Errors;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace FunctionsRegistry.Marketplace;

/// <summary>What the archive's own agent.yaml says it is; a member is null where agent.yaml lacks it.</summary>
public sealed record PackageIdentity(string? Name, string? Version, string? Author, string? Repository = null, string? Homepage = null);

/// <summary>Reads a .tar.gz from somebody we do not trust: forward only, in bounded memory, nothing is unpacked to disk.</summary>
public static class PackageArchive
{
    private const int MaxManifestBytes = 256 << 10;
    private const int MaxNesting = 64;

    /// <summary>Reads to the end and checks every entry.</summary>
    /// <exception cref="RegistryException">400 that says what is wrong with which entry.</exception>
    public static async Task<PackageIdentity> InspectAsync(Stream gzip, ArchiveLimits limits, CancellationToken cancellationToken)
    {
        var packed = new GzipSource(gzip);
        await using var unpacked = new DeflateStream(packed, CompressionMode.Decompress);
        var tar = new TarReader(unpacked, limits.MaxEntries, bytes =>
        {
            packed.Append(bytes);
            limits.Check(packed.UnpackedBytes, packed.BytesRead);
        });
        byte[]? manifest = null;
        var contents = new PackageContents();
        try
        {
            await packed.ReadHeaderAsync(cancellationToken);
            while (await tar.NextAsync(cancellationToken) is { } entry)
            {
                var path = CheckPath(entry.Path);
                contents.Add(path, entry.IsDirectory);
                if (path == "agent.yaml" && !entry.IsDirectory)
                    manifest = await tar.ReadContentAsync(MaxManifestBytes, cancellationToken);
            }
            await packed.ReadTrailerAsync(cancellationToken);
        }
        catch (InvalidDataException)
        {
            throw ArchiveErrors.Wrong("is not a gzip file, or is damaged");
        }
        contents.CheckFolders();
        return manifest is null ? throw ArchiveErrors.Wrong("has no agent.yaml at its top") : ReadIdentity(manifest);
    }

    // Returns the path without "./" and a trailing slash.
    private static string CheckPath(string path)
    {
        if (path.Length is 0 or > 255)
            throw ArchiveErrors.Wrong("an entry's path must have 1 to 255 characters");
        if (path.Any(c => c is '\\' or '\uFFFD' || char.IsControl(c)))
            throw ArchiveErrors.Wrong($"entry '{Printable(path)}' has a backslash, a control character or broken UTF-8 in its path");
        if (path[0] == '/' || (path.Length > 1 && path[1] == ':'))
            throw ArchiveErrors.Wrong($"entry '{path}' is an absolute path");
        var segments = path.Split('/');
        if (segments.Contains(".."))
            throw ArchiveErrors.Wrong($"entry '{path}' leaves the package");
        return string.Join('/', segments.Where(segment => segment is not ("" or ".")));
    }

    // Only the parser's events are read, never objects: aliases are not followed, so an alias bomb is only text.
    private static PackageIdentity ReadIdentity(byte[] manifest)
    {
        var found = new Dictionary<string, string>();
        try
        {
            var parser = new Parser(new StreamReader(new MemoryStream(manifest), new UTF8Encoding(false, throwOnInvalidBytes: true)));
            parser.Consume<StreamStart>();
            parser.Consume<DocumentStart>();
            parser.Consume<MappingStart>();
            while (!parser.TryConsume<MappingEnd>(out _))
            {
                var key = parser.TryConsume<Scalar>(out var scalar) ? scalar.Value : null;
                if (key is null)
                    SkipNode(parser);
                if (key is not ("name" or "version" or "author" or "repository" or "homepage"))
                    SkipNode(parser);
                // What is no link in our form is not ours to refuse.
                else if (key is "repository" or "homepage" && parser.Current is not Scalar)
                    SkipNode(parser);
                else if (!parser.TryConsume<Scalar>(out var value))
                    throw ArchiveErrors.Wrong($"agent.yaml: '{key}' must be a string");
                else if (!found.TryAdd(key, value.Value))
                    throw ArchiveErrors.Wrong($"agent.yaml: '{key}' is there twice");
            }
            parser.Consume<DocumentEnd>();
            parser.Consume<StreamEnd>();
        }
        catch (YamlException exception)
        {
            throw ArchiveErrors.Wrong($"agent.yaml is not one YAML mapping (line {exception.Start.Line})");
        }
        catch (DecoderFallbackException)
        {
            throw ArchiveErrors.Wrong("agent.yaml is not UTF-8");
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException or OverflowException or InvalidOperationException)
        {
            // The parser's own slips: "\UFFFFFFFF" for one is no YamlException.
            throw ArchiveErrors.Wrong("agent.yaml is not one YAML mapping");
        }
        return new PackageIdentity(
            found.GetValueOrDefault("name"), found.GetValueOrDefault("version"), found.GetValueOrDefault("author"), found.GetValueOrDefault("repository"),
            found.GetValueOrDefault("homepage"));
    }

    // Not the parser's own skip: that one goes as deep as the text does.
    private static void SkipNode(Parser parser)
    {
        var depth = 0;
        do
        {
            var current = parser.Consume<ParsingEvent>();
            depth += current is MappingStart or SequenceStart ? 1 : current is MappingEnd or SequenceEnd ? -1 : 0;
            if (depth > MaxNesting)
                throw ArchiveErrors.Wrong("agent.yaml is nested too deeply");
        }
        while (depth > 0);
    }

    private static string Printable(string text) => new([.. text.Select(c => char.IsControl(c) ? '?' : c)]);
}
