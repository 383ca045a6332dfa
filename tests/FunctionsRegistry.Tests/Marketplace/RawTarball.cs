using System.IO.Compression;
using System.Text;
using System.Text.Json;

namespace FunctionsRegistry.Tests.Marketplace;

/// <summary>Writes .tar.gz packages header by header, so that hostile ones can be made too: no library would write those.</summary>
public sealed class RawTarball
{
    private const int BlockSize = 512;

    private readonly List<byte> _tar = [];

    /// <summary>The bytes of a package that the registry accepts, with further files if wanted.</summary>
    public static byte[] Valid(string name, string author, string version, params (string Path, string Text)[] more)
    {
        var builder = new RawTarball().Manifest(name, author, version).File("README.md", $"# {name}\n").File("prompts/main.md", "Be helpful.\n");
        foreach (var (path, text) in more)
            builder.File(path, text);
        return builder.Build();
    }

    /// <summary>The agent_yaml form field that goes with <see cref="Valid"/>; <paramref name="extra"/> members are added or replace the usual ones.</summary>
    public static string ManifestJson(string name, string author, string version, object? extra = null)
    {
        var members = new Dictionary<string, object?>
        {
            ["name"] = name,
            ["version"] = version,
            ["description"] = $"What {name} does",
            ["author"] = author,
            ["license"] = "MIT",
            ["category"] = "productivity",
            ["tags"] = new[] { "email", "test" },
            ["permissions"] = new Dictionary<string, bool> { ["network"] = true },
        };
        if (extra is not null)
            foreach (var property in JsonSerializer.SerializeToElement(extra).EnumerateObject())
                members[property.Name] = property.Value;
        return JsonSerializer.Serialize(members);
    }

    /// <summary>A gzip of a gigabyte per ten megabytes of zeros; <paramref name="unpackedBytes"/> long inside one entry.</summary>
    public static byte[] Bomb(long unpackedBytes)
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true))
        {
            gzip.Write(Header('0', "zeros", unpackedBytes));
            var zeros = new byte[1 << 20];
            for (var left = unpackedBytes; left > 0; left -= zeros.Length)
                gzip.Write(zeros.AsSpan(0, (int)Math.Min(left, zeros.Length)));
        }
        return packed.ToArray();
    }

    /// <summary>Adds an agent.yaml as the real client's users write it.</summary>
    public RawTarball Manifest(string name, string author, string version) =>
        File("agent.yaml", $"name: {name}\nversion: {version}\ndescription: What {name} does\nauthor: \"{author}\"\nlicense: MIT\n");

    /// <summary>Adds a regular file.</summary>
    public RawTarball File(string path, string text) => Entry('0', path, Encoding.UTF8.GetBytes(text));

    /// <summary>Adds a directory.</summary>
    public RawTarball Directory(string path) => Entry('5', path, []);

    /// <summary>Adds any kind of entry: its header, its content and the padding.</summary>
    public RawTarball Entry(char kind, string path, byte[] content, string link = "", long? claimedSize = null)
    {
        _tar.AddRange(Header(kind, path, claimedSize ?? content.Length, link));
        _tar.AddRange(content);
        _tar.AddRange(new byte[(BlockSize - (content.Length % BlockSize)) % BlockSize]);
        return this;
    }

    /// <summary>Adds a pax header: 'x' for the entry that follows, 'g' for all.</summary>
    public RawTarball Pax(char kind, params (string Key, string Value)[] records)
    {
        var text = new StringBuilder();
        foreach (var (key, value) in records)
        {
            // The length counts its own digits.
            var rest = Encoding.UTF8.GetByteCount(key) + Encoding.UTF8.GetByteCount(value) + 3;
            var length = rest + 1;
            while (length.ToString().Length + rest != length)
                length++;
            text.Append(length).Append(' ').Append(key).Append('=').Append(value).Append('\n');
        }
        return Entry(kind, "PaxHeaders/entry", Encoding.UTF8.GetBytes(text.ToString()));
    }

    /// <summary>Adds a GNU long name for the entry that follows.</summary>
    public RawTarball LongName(string path) => Entry('L', "././@LongLink", Encoding.UTF8.GetBytes(path + "\0"));

    /// <summary>Adds bytes as they are.</summary>
    public RawTarball Raw(byte[] bytes)
    {
        _tar.AddRange(bytes);
        return this;
    }

    /// <summary>The tar alone.</summary>
    public byte[] BuildTar(bool endMark = true) => endMark ? [.. _tar, .. new byte[2 * BlockSize]] : [.. _tar];

    /// <summary>The .tar.gz.</summary>
    public byte[] Build(bool endMark = true) => Gzip(BuildTar(endMark));

    /// <summary>Packs bytes as one gzip member.</summary>
    public static byte[] Gzip(byte[] bytes)
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true))
            gzip.Write(bytes);
        return packed.ToArray();
    }

    private static byte[] Header(char kind, string path, long size, string link = "")
    {
        var header = new byte[BlockSize];
        var name = Encoding.UTF8.GetBytes(path);
        name.AsSpan(0, Math.Min(name.Length, 100)).CopyTo(header);
        Octal(header.AsSpan(100, 8), 420);
        Octal(header.AsSpan(108, 8), 0);
        Octal(header.AsSpan(116, 8), 0);
        Octal(header.AsSpan(124, 12), size);
        Octal(header.AsSpan(136, 12), 1_700_000_000);
        header[156] = (byte)kind;
        Encoding.UTF8.GetBytes(link, header.AsSpan(157, 100));
        "ustar\000"u8.CopyTo(header.AsSpan(257));
        return Sign(header);
    }

    /// <summary>Writes a header's checksum.</summary>
    public static byte[] Sign(byte[] header)
    {
        header.AsSpan(148, 8).Fill((byte)' ');
        var sum = 0;
        foreach (var b in header)
            sum += b;
        Octal(header.AsSpan(148, 7), sum);
        return header;
    }

    // Digits, then a NUL in the field's last byte.
    private static void Octal(Span<byte> field, long value)
    {
        field[^1] = 0;
        for (var i = field.Length - 2; i >= 0; i--, value >>= 3)
            field[i] = (byte)('0' + (value & 7));
    }
}
