using System.Formats.Tar;
using System.IO.Compression;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.Archives;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Marketplace;

namespace FunctionsRegistry.Tests.Marketplace;

public sealed class PackageArchiveTests
{
    [Fact]
    public async Task A_package_names_itself()
    {
        var identity = await InspectAsync(TarballBuilder.Package("@acme", "mailer", "1.2.0", extraBytes: 100_000));

        identity.ShouldBe(new PackageIdentity("mailer", "1.2.0", "@acme"));
    }

    [Fact]
    public async Task Long_paths_of_pax_and_gnu_archives_are_read()
    {
        var path = "prompts/" + new string('x', 200) + ".md";
        foreach (var format in (TarEntryFormat[])[TarEntryFormat.Pax, TarEntryFormat.Gnu])
        {
            using var output = new MemoryStream();
            using (var gzip = new GZipStream(output, CompressionLevel.Fastest, leaveOpen: true))
            using (var tar = new TarWriter(gzip, format))
            {
                System.Formats.Tar.TarEntry entry = format == TarEntryFormat.Gnu ? new GnuTarEntry(TarEntryType.RegularFile, path) : new PaxTarEntry(TarEntryType.RegularFile, path);
                tar.WriteEntry(entry);
                TarballBuilder.AddManifest(tar);
            }
            (await InspectAsync(output.ToArray())).Name.ShouldBe("a");
        }
    }

    public static TheoryData<string, string> HostileEntries => new()
    {
        { "../x", "leaves the package" },
        { "a/../../x", "leaves the package" },
        { "/etc/passwd", "absolute path" },
        { "C:/x", "absolute path" },
        { "a\\b", "backslash" },
        { "a\nb", "control character" },
    };

    [Theory, MemberData(nameof(HostileEntries))]
    public async Task A_path_that_leads_elsewhere_is_refused(string path, string reason) =>
        (await RefusalAsync(TarballBuilder.Build(tar =>
        {
            TarballBuilder.AddManifest(tar);
            TarballBuilder.AddFile(tar, path, "x");
        }))).ShouldContain(reason);

    [Theory]
    [InlineData(TarEntryType.SymbolicLink, "is a link")]
    [InlineData(TarEntryType.HardLink, "is a link")]
    [InlineData(TarEntryType.CharacterDevice, "device")]
    [InlineData(TarEntryType.BlockDevice, "device")]
    [InlineData(TarEntryType.Fifo, "device or a pipe")]
    public async Task Links_and_devices_are_refused(TarEntryType type, string reason)
    {
        var entry = new PaxTarEntry(type, "x");
        if (type is TarEntryType.SymbolicLink or TarEntryType.HardLink)
            entry.LinkName = "/etc/passwd";

        (await RefusalAsync(TarballBuilder.Build(tar => tar.WriteEntry(entry)))).ShouldContain(reason);
    }

    [Fact]
    public async Task An_archive_without_agent_yaml_is_refused() =>
        (await RefusalAsync(TarballBuilder.Build(tar => TarballBuilder.AddFile(tar, "sub/agent.yaml", "name: a")))).ShouldContain("no agent.yaml");

    [Fact]
    public async Task The_same_path_twice_is_refused() =>
        (await RefusalAsync(TarballBuilder.Build(tar =>
        {
            TarballBuilder.AddManifest(tar);
            TarballBuilder.AddManifest(tar);
        }))).ShouldContain("twice");

    [Fact]
    public async Task Too_many_entries_are_refused() =>
        (await RefusalAsync(TarballBuilder.Build(tar =>
        {
            for (var i = 0; i < 100_000; i++)
                tar.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, "f" + i));
        }))).ShouldContain("more than");

    [Fact]
    public async Task What_is_no_gzip_or_no_tar_is_refused()
    {
        (await RefusalAsync([])).ShouldContain("empty");
        (await RefusalAsync("not a gzip file at all"u8.ToArray())).ShouldContain("gzip");
        (await RefusalAsync(TarballBuilder.Gzip(Encoding.UTF8.GetBytes(new string('x', 2000))))).ShouldContain("not a tar file");
        (await RefusalAsync(TarballBuilder.Gzip([]))).ShouldContain("empty");
    }

    [Fact]
    public async Task An_archive_that_is_cut_short_is_refused()
    {
        var whole = TarballBuilder.Package("@acme", "mailer", "1.0.0", extraBytes: 20_000);

        (await RefusalAsync(whole[..(whole.Length / 2)])).ShouldContain("cut short");
        (await RefusalAsync(whole[..100])).ShouldContain("cut short");
    }

    [Fact]
    public async Task A_bomb_ends_early()
    {
        // 10 GB of zeros, made while it is read: about 10 MB of gzip.
        await using var bomb = new BombStream(10L << 30);

        var error = await Should.ThrowAsync<RegistryException>(() => PackageArchive.InspectAsync(bomb, new ArchiveLimits(), CancellationToken.None));

        error.Fields[0].Message.ShouldContain("times its size");
        bomb.BytesServed.ShouldBeLessThan(2 << 20);
    }

    [Fact]
    public async Task Aliases_of_agent_yaml_are_not_followed()
    {
        var bomb = new StringBuilder("a: &a [x,x,x,x,x,x,x,x,x]\n");
        for (var c = 'b'; c < 'p'; c++)
            bomb.Append($"{c}: &{c} [*{(char)(c - 1)},*{(char)(c - 1)},*{(char)(c - 1)},*{(char)(c - 1)},*{(char)(c - 1)},*{(char)(c - 1)}]\n");
        bomb.Append("name: bomb\nversion: 1.0.0\nauthor: '@x'\n");

        (await InspectAsync(TarballBuilder.Build(tar => TarballBuilder.AddFile(tar, "agent.yaml", bomb.ToString())))).Name.ShouldBe("bomb");
    }

    [Fact]
    public void Damaged_archives_are_refused_and_never_crash()
    {
        var whole = TarballBuilder.Package("@acme", "mailer", "1.0.0", extraBytes: 3000);
        var raw = Unzip(whole);
        var damage = from place in Gen.Choose(0, raw.Length - 1) from value in Gen.Choose(0, 255) select (place, (byte)value);

        Prop.ForAll(Arb.From(Gen.ListOf(damage)), changes =>
        {
            var copy = (byte[])raw.Clone();
            foreach (var (place, value) in changes)
                copy[place] = value;
            return EndsProperly(TarballBuilder.Gzip(copy));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(300));
    }

    [Fact]
    public void Any_bytes_are_refused_and_never_crash() =>
        Prop.ForAll<byte[]>(bytes => EndsProperly(bytes) && EndsProperly(TarballBuilder.Gzip(bytes))).Check(Config.QuickThrowOnFailure.WithMaxTest(300));

    private static bool EndsProperly(byte[] bytes)
    {
        try
        {
            return InspectAsync(bytes).Wait(TimeSpan.FromSeconds(10));
        }
        catch (AggregateException exception) when (exception.InnerException is RegistryException)
        {
            return true;
        }
    }

    private static Task<PackageIdentity> InspectAsync(byte[] bytes) => PackageArchive.InspectAsync(new MemoryStream(bytes), new ArchiveLimits(), CancellationToken.None);

    private static async Task<string> RefusalAsync(byte[] bytes)
    {
        var error = await Should.ThrowAsync<RegistryException>(() => InspectAsync(bytes));
        error.Kind.ShouldBe(ErrorKind.Validation);
        return error.Fields.ShouldHaveSingleItem().Message;
    }

    private static byte[] Unzip(byte[] bytes)
    {
        using var output = new MemoryStream();
        using var gzip = new GZipStream(new MemoryStream(bytes), CompressionMode.Decompress);
        gzip.CopyTo(output);
        return output.ToArray();
    }

    private sealed class BombStream : Stream
    {
        private readonly MemoryStream _packed = new();
        private readonly GZipStream _gzip;
        private readonly byte[] _zeros = new byte[1 << 20];
        private long _left;
        private bool _started;

        public BombStream(long bytes)
        {
            _left = bytes;
            _gzip = new GZipStream(_packed, CompressionLevel.Optimal, leaveOpen: true);
        }

        public long BytesServed { get; private set; }

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count)
        {
            if (!_started)
            {
                // The header of one file as large as a header can say, then zeros.
                using var header = new MemoryStream();
                using (var tar = new TarWriter(header, TarEntryFormat.Ustar, leaveOpen: true))
                    tar.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, "zeros"));
                var block = header.ToArray()[..512];
                Encoding.ASCII.GetBytes("77777777777\0").CopyTo(block, 124);
                Encoding.ASCII.GetBytes("        ").CopyTo(block, 148);
                Encoding.ASCII.GetBytes(Convert.ToString(block.Sum(b => b), 8).PadLeft(6, '0') + "\0 ").CopyTo(block, 148);
                _gzip.Write(block);
                _gzip.Flush();
                _packed.Position = 0;
                _started = true;
            }
            while (_packed.Position == _packed.Length && _left > 0)
            {
                _packed.SetLength(0);
                _gzip.Write(_zeros);
                _gzip.Flush();
                _left -= _zeros.Length;
                _packed.Position = 0;
            }
            var read = _packed.Read(buffer, offset, count);
            BytesServed += read;
            return read;
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            _gzip.Dispose();
            _packed.Dispose();
            base.Dispose(disposing);
        }
    }
}
