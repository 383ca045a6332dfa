using System.IO.Hashing;
using System.Reflection;

namespace FunctionsRegistry.IndexAgent;

/// <summary>This project's own C#, embedded when it was built: what is searched and measured on before anything is uploaded.</summary>
public sealed class BuiltInCorpus(IndexStore store)
{
    private const string Prefix = "Corpus/";

    private volatile bool _isThere;

    /// <summary>Indexes the corpus where it is missing or of another build. Cheap when it is there.</summary>
    public async Task EnsureAsync(CancellationToken cancellationToken)
    {
        if (_isThere)
            return;
        await store.InstallAsync(RepositoryNames.BuiltIn, Version(), Build, cancellationToken);
        _isThere = true;
    }

    // The content's hash; as the URL of the generation it tells which build an index is of.
    private static string Version()
    {
        var hash = new XxHash128();
        foreach (var (path, bytes) in Files())
        {
            hash.Append(System.Text.Encoding.UTF8.GetBytes(path));
            hash.Append(bytes);
        }
        return "embedded:" + Convert.ToHexStringLower(hash.GetCurrentHash());
    }

    private static (SegmentBuilder Segment, IReadOnlyDictionary<string, int> Skipped) Build()
    {
        var segment = new SegmentBuilder();
        var skipped = new SortedDictionary<string, int>(StringComparer.Ordinal);
        foreach (var (path, bytes) in Files())
            IndexService.Add(segment, skipped, path, bytes);
        return (segment, skipped);
    }

    private static IEnumerable<(string Path, byte[] Bytes)> Files()
    {
        var assembly = Assembly.GetExecutingAssembly();
        foreach (var name in assembly.GetManifestResourceNames().Where(name => name.StartsWith(Prefix, StringComparison.Ordinal)).Order(StringComparer.Ordinal))
        {
            using var stream = assembly.GetManifestResourceStream(name)!;
            var bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            yield return (name[Prefix.Length..].Replace('\\', '/'), bytes);
        }
    }
}
