using FunctionsRegistry.Archives;
using FunctionsRegistry.Errors;

namespace FunctionsRegistry.Marketplace;

/// <summary>
/// The paths of an archive. Compared ignoring case: on macOS and Windows the second of two such files would silently replace the first.
/// </summary>
internal sealed class PackageContents
{
    private readonly Dictionary<string, bool> _isDirectory = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>Takes note of an entry; a directory may be named again.</summary>
    /// <exception cref="RegistryException">400: the path was there, or is none of a file.</exception>
    public void Add(string path, bool isDirectory)
    {
        if (path.Length == 0)
        {
            // "./" is how tar names the folder that it was run in.
            if (!isDirectory)
                throw ArchiveErrors.Wrong("a file has no name");
        }
        else if (!_isDirectory.TryAdd(path, isDirectory) && !(isDirectory && _isDirectory[path]))
            throw ArchiveErrors.Wrong($"entry '{path}' is there twice");
    }

    /// <summary>After the last entry: no file may be the folder of another entry. Archives need not name folders, and not before their files.</summary>
    /// <exception cref="RegistryException">400.</exception>
    public void CheckFolders()
    {
        var lookup = _isDirectory.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (var path in _isDirectory.Keys)
            for (var slash = path.IndexOf('/'); slash >= 0; slash = path.IndexOf('/', slash + 1))
                if (lookup.TryGetValue(path.AsSpan(0, slash), out var isDirectory) && !isDirectory)
                    throw ArchiveErrors.Wrong($"entry '{path}' is inside of a file");
    }
}
