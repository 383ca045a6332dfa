using System.Collections.Concurrent;
using System.IO.Compression;
using System.IO.Hashing;

namespace FunctionsRegistry.Functions.Platform;

/// <summary>The files of the folder <c>assets</c>: read and compressed once, then served from memory.</summary>
public sealed class PageAssets
{
    private static readonly string s_folder = Path.Combine(AppContext.BaseDirectory, "assets");

    private static readonly Dictionary<string, string> s_types = new() { [".js"] = "text/javascript; charset=utf-8", [".css"] = "text/css; charset=utf-8" };

    private readonly ConcurrentDictionary<string, Asset?> _assets = new(StringComparer.Ordinal);

    /// <summary>One file; null where there is none of that name.</summary>
    public Asset? Find(string name) => s_types.ContainsKey(Path.GetExtension(name)) && Path.GetFileName(name) == name && File.Exists(Path.Combine(s_folder, name))
        ? _assets.GetOrAdd(name, Read)
        : null;

    /// <summary>Its address relative to a page: it changes with the content, so it may be kept for ever.</summary>
    public string Address(string name) => $"page-assets/{name}?v={Find(name)!.Hash}";

    private static Asset Read(string name)
    {
        var bytes = File.ReadAllBytes(Path.Combine(s_folder, name));
        using var compressed = new MemoryStream();
        using (var gzip = new GZipStream(compressed, CompressionLevel.Optimal))
            gzip.Write(bytes);
        return new Asset(s_types[Path.GetExtension(name)], bytes, compressed.ToArray(), XxHash3.HashToUInt64(bytes).ToString("x16"));
    }
}

/// <summary>A file of a page.</summary>
public sealed record Asset(string ContentType, byte[] Bytes, byte[] Compressed, string Hash);
