using System.IO.Compression;
using System.Runtime.CompilerServices;
using FunctionsRegistry.Archives;
using FunctionsRegistry.Errors;

namespace FunctionsRegistry.IndexAgent;

/// <summary>What an archive holds, found while it was stored.</summary>
/// <param name="Root">The one folder that all files are in, with its slash; empty without one.</param>
public sealed record ArchiveContents(int Files, string Root)
{
    /// <summary>
    /// What is taken off every path: the folder that archives of releases and commits are packed in, known by the repository's name in it or by a version or
    /// commit at its end. Another folder that everything is in, such as "src", is part of the repository.
    /// </summary>
    public string Wrapper(string repository)
    {
        var folder = Root.TrimEnd('/');
        var dash = folder.LastIndexOf('-');
        var isVersioned = dash > 0 && dash + 1 < folder.Length && folder[(dash + 1)..].TrimStart('v').All(c => char.IsAsciiHexDigitLower(c) || c == '.');
        return folder.Length > 0 && (isVersioned || folder.Contains(repository, StringComparison.OrdinalIgnoreCase)) ? Root : "";
    }
}

/// <summary>A regular file of an archive.</summary>
/// <param name="Index">Its place among the files.</param>
/// <param name="Bytes">Null where the file is larger than <see cref="FileIntake.MaxBytes"/>.</param>
internal readonly record struct ArchiveFile(int Index, string Path, byte[]? Bytes);

/// <summary>
/// Reads a repository's .tar.gz from somebody we do not trust: forward only, in bounded memory, nothing is unpacked to disk. Links are left out,
/// those that leave the archive refuse it.
/// </summary>
internal static class RepositoryArchive
{
    private const int MaxPath = 512;

    /// <summary>Reads to the end and checks every entry.</summary>
    /// <exception cref="RegistryException">422 that says what is wrong with which entry.</exception>
    public static async Task<ArchiveContents> InspectAsync(Stream gzip, ArchiveLimits limits, CancellationToken cancellationToken)
    {
        var paths = new HashSet<string>(StringComparer.Ordinal);
        string? root = null;
        await foreach (var path in WalkAsync(gzip, limits, static (_, _, path, _) => ValueTask.FromResult(path), cancellationToken))
        {
            if (!paths.Add(path))
                throw ArchiveErrors.Wrong($"entry '{path}' is there twice");
            var top = path[..(path.IndexOf('/') + 1)];
            root = root is null || root == top ? top : "";
        }
        return paths.Count == 0 ? throw ArchiveErrors.Wrong("has no file") : new ArchiveContents(paths.Count, root!);
    }

    /// <summary>The files from a place on, with their content.</summary>
    public static IAsyncEnumerable<ArchiveFile> ReadAsync(Stream gzip, ArchiveLimits limits, int from, CancellationToken cancellationToken) =>
        WalkAsync(gzip, limits, async (tar, entry, path, index) =>
            new ArchiveFile(index, path, index >= from && entry.SizeBytes <= FileIntake.MaxBytes ? await tar.ReadContentAsync(FileIntake.MaxBytes, cancellationToken) : null), cancellationToken)
            .Where(file => file.Index >= from);

    private static async IAsyncEnumerable<T> WalkAsync<T>(
        Stream gzip, ArchiveLimits limits, Func<TarReader, TarEntry, string, int, ValueTask<T>> read, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var packed = new GzipSource(gzip);
        await using var unpacked = new DeflateStream(packed, CompressionMode.Decompress);
        var tar = new TarReader(unpacked, limits.MaxEntries, bytes =>
        {
            packed.Append(bytes);
            limits.Check(packed.UnpackedBytes, packed.BytesRead);
        }, reportsLinks: true);
        await CheckedAsync(packed.ReadHeaderAsync(cancellationToken));
        for (var index = 0; await CheckedAsync(tar.NextAsync(cancellationToken)) is { } entry;)
        {
            var path = CheckPath(entry.Path);
            if (entry.LinkTarget is { } target)
                CheckLink(entry.Path, path, target);
            else if (!entry.IsDirectory)
                yield return path.Length == 0 ? throw ArchiveErrors.Wrong("a file has no name") : await CheckedAsync(read(tar, entry, path, index++));
        }
        await CheckedAsync(packed.ReadTrailerAsync(cancellationToken));
    }

    // An iterator cannot catch around its yields.
    private static async ValueTask<T> CheckedAsync<T>(ValueTask<T> step)
    {
        try
        {
            return await step;
        }
        catch (InvalidDataException)
        {
            throw ArchiveErrors.Wrong("is not a gzip file, or is damaged");
        }
    }

    private static async ValueTask CheckedAsync(ValueTask step)
    {
        try
        {
            await step;
        }
        catch (InvalidDataException)
        {
            throw ArchiveErrors.Wrong("is not a gzip file, or is damaged");
        }
    }

    private static string CheckPath(string path)
    {
        if (path.Length is 0 or > MaxPath)
            throw ArchiveErrors.Wrong($"an entry's path must have 1 to {MaxPath} characters");
        if (path.Any(c => c is '\\' or '\uFFFD' || char.IsControl(c) || char.IsSurrogate(c)))
            throw ArchiveErrors.Wrong($"entry '{Printable(path)}' has a backslash, a control character or broken UTF-8 in its path");
        if (path[0] == '/' || (path.Length > 1 && path[1] == ':'))
            throw ArchiveErrors.Wrong($"entry '{path}' is an absolute path");
        var segments = path.Split('/');
        if (segments.Contains(".."))
            throw ArchiveErrors.Wrong($"entry '{path}' leaves the archive");
        return string.Join('/', segments.Where(segment => segment is not ("" or ".")));
    }

    private static void CheckLink(string entry, string path, string target)
    {
        var depth = path.Count(c => c == '/');
        foreach (var segment in target.Split('/'))
        {
            depth += segment switch { ".." => -1, "" or "." => 0, _ => 1 };
            if (depth < 0)
                break;
        }
        if (depth < 0 || target.Length == 0 || target[0] == '/' || target.Contains('\\', StringComparison.Ordinal) || (target.Length > 1 && target[1] == ':'))
            throw ArchiveErrors.Wrong($"entry '{entry}' is a link that leaves the archive");
    }

    private static string Printable(string text) => new([.. text.Select(c => char.IsControl(c) || char.IsSurrogate(c) ? '?' : c)]);
}
