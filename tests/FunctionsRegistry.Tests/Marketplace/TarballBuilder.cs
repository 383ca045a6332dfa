using System.Formats.Tar;
using System.IO.Compression;
using System.Text;

namespace FunctionsRegistry.Tests.Marketplace;

/// <summary>Makes packages, good and hostile.</summary>
internal static class TarballBuilder
{
    public static byte[] Package(string author, string name, string version, int extraBytes = 0) => Build(tar =>
    {
        AddFile(tar, "agent.yaml", $"name: {name}\nversion: {version}\ndescription: Test\nauthor: \"{author}\"\n");
        AddFile(tar, "README.md", "# Test");
        if (extraBytes > 0)
        {
            var noise = new byte[extraBytes];
            new Random(extraBytes).NextBytes(noise);
            AddFile(tar, "prompts/noise.bin", noise);
        }
    });

    public static byte[] Build(Action<TarWriter> fill)
    {
        using var output = new MemoryStream();
        using (var gzip = new GZipStream(output, CompressionLevel.Fastest, leaveOpen: true))
        using (var tar = new TarWriter(gzip, TarEntryFormat.Pax))
            fill(tar);
        return output.ToArray();
    }

    public static void AddFile(TarWriter tar, string path, string text) => AddFile(tar, path, Encoding.UTF8.GetBytes(text));

    public static void AddFile(TarWriter tar, string path, byte[] bytes)
    {
        using var data = new MemoryStream(bytes);
        tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, path) { DataStream = data });
    }

    public static void AddManifest(TarWriter tar) => AddFile(tar, "agent.yaml", "name: a\nversion: 1.0.0\nauthor: \"@b\"\n");

    public static byte[] Gzip(byte[] bytes)
    {
        using var output = new MemoryStream();
        using (var gzip = new GZipStream(output, CompressionLevel.Fastest, leaveOpen: true))
            gzip.Write(bytes);
        return output.ToArray();
    }
}
