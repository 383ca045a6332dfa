using System.Text;
using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.Archives;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Marketplace;

namespace FunctionsRegistry.Tests.Marketplace;

/// <summary>What an archive may hold: the refusals by table, the rest by random damage.</summary>
public sealed class HostileArchiveTests
{
    private static readonly ArchiveLimits s_limits = new();

    [Fact]
    public async Task A_valid_package_tells_who_it_is()
    {
        var identity = await InspectAsync(RawTarball.Valid("mailer", "@you", "1.2.3-beta.1+b-7"));

        identity.ShouldBe(new PackageIdentity("mailer", "1.2.3-beta.1+b-7", "@you"));
    }

    [Fact]
    public async Task Names_of_pax_gnu_and_ustar_prefix_are_read()
    {
        var deep = string.Join('/', Enumerable.Repeat("directory", 20)) + "/file.md";
        var packed = Package().Pax('x', ("path", deep), ("mtime", "1700000000.5")).File("short", "x")
            .LongName(deep + "2").File("short", "y").Directory("./tools/").Directory("./").File("./tools/a.md", "z").Build();

        (await InspectAsync(packed)).Name.ShouldBe("mailer");
    }

    [Fact]
    public async Task A_commit_comment_for_all_entries_is_no_fault() =>
        (await InspectAsync(new RawTarball().Pax('g', ("comment", "0123abc")).Manifest("mailer", "@you", "1.0.0").Build())).Name.ShouldBe("mailer");

    [Fact]
    public async Task The_frameworks_own_writer_is_understood()
    {
        foreach (var format in (System.Formats.Tar.TarEntryFormat[])[System.Formats.Tar.TarEntryFormat.V7, System.Formats.Tar.TarEntryFormat.Ustar,
            System.Formats.Tar.TarEntryFormat.Pax, System.Formats.Tar.TarEntryFormat.Gnu])
        {
            using var tar = new MemoryStream();
            await using (var writer = new System.Formats.Tar.TarWriter(tar, format, leaveOpen: true))
            {
                await writer.WriteEntryAsync(Entry(format, "agent.yaml", "name: mailer\nversion: 1.0.0\nauthor: '@you'\n"), TestContext.Current.CancellationToken);
                if (format != System.Formats.Tar.TarEntryFormat.V7)
                    await writer.WriteEntryAsync(Entry(format, new string('d', 90) + "/" + new string('f', 90), "deep"), TestContext.Current.CancellationToken);
            }
            (await InspectAsync(RawTarball.Gzip(tar.ToArray()))).Name.ShouldBe("mailer");
        }
    }

    public static TheoryData<string, byte[], string> Refused() => new()
    {
        { "nothing", [], "is empty" },
        { "no gzip", Encoding.UTF8.GetBytes("hello, this is plain text"), "gzip" },
        { "gzip of text", RawTarball.Gzip(Encoding.UTF8.GetBytes(new string('x', 2000))), "tar" },
        { "gzip of nothing", RawTarball.Gzip([]), "empty" },
        { "no manifest", new RawTarball().File("README.md", "x").Build(), "agent.yaml" },
        { "manifest below the top", new RawTarball().File("package/agent.yaml", "name: mailer").Build(), "agent.yaml" },
        { "manifest is a directory", new RawTarball().Directory("agent.yaml").Build(), "agent.yaml" },
        { "absolute path", Package().File("/etc/passwd", "x").Build(), "'/etc/passwd'" },
        { "drive letter", Package().File("C:/windows", "x").Build(), "'C:/windows'" },
        { "parent", Package().File("../x", "x").Build(), "'../x' leaves the package" },
        { "parent inside", Package().File("a/../../x", "x").Build(), "leaves the package" },
        { "parent at the end", Package().Directory("a/..").Build(), "leaves the package" },
        { "parent by pax", Package().Pax('x', ("path", "../x")).File("fine", "x").Build(), "leaves the package" },
        { "parent by long name", Package().LongName("../x").File("fine", "x").Build(), "leaves the package" },
        { "backslash", Package().File("..\\x", "x").Build(), "backslash" },
        { "control character", Package().File("a\u0007b", "x").Build(), "control character" },
        { "NUL by pax", Package().Pax('x', ("path", "a\0b")).File("fine", "x").Build(), "control character" },
        { "broken UTF-8", Package().Raw(BadName()).Build(), "UTF-8" },
        { "symbolic link", Package().Entry('2', "link", [], "/etc/passwd").Build(), "link" },
        { "hard link", Package().Entry('1', "link", [], "agent.yaml").Build(), "link" },
        { "GNU long link", Package().Entry('K', "././@LongLink", "/etc/passwd\0"u8.ToArray()).Build(), "link" },
        { "character device", Package().Entry('3', "tty", []).Build(), "device" },
        { "block device", Package().Entry('4', "sda", []).Build(), "device" },
        { "pipe", Package().Entry('6', "pipe", []).Build(), "device or a pipe" },
        { "GNU sparse", Package().Entry('S', "sparse", []).Build(), "kind" },
        { "pax sparse", Package().Pax('x', ("GNU.sparse.major", "1")).File("fine", "x").Build(), "sparse" },
        { "unknown kind", Package().Entry('Z', "what", []).Build(), "kind" },
        { "twice", Package().File("a", "1").File("a", "2").Build(), "twice" },
        { "twice, spelled differently", Package().File("a/b", "1").File("./a//b", "2").Build(), "twice" },
        { "manifest twice", Package().Manifest("other", "@you", "1.0.0").Build(), "twice" },
        { "path too long", Package().Pax('x', ("path", new string('a', 256))).File("fine", "x").Build(), "255" },
        { "pax header too large", Package().Pax('x', ("comment", new string('a', 70_000))).File("fine", "x").Build(), "more than 65536 bytes" },
        { "long name too large", Package().LongName(new string('a', 70_000)).File("fine", "x").Build(), "more than 65536 bytes" },
        { "pax header damaged", Package().Entry('x', "p", "9999 path=x\n"u8.ToArray()).File("fine", "x").Build(), "damaged" },
        { "pax header without a line end", Package().Entry('x', "p", "11 path=abcd"u8.ToArray()).File("fine", "x").Build(), "damaged" },
        { "pax size negative", Package().Pax('x', ("size", "-1")).File("fine", "x").Build(), "damaged" },
        { "global path", Package().Pax('g', ("path", "x")).File("fine", "x").Build(), "global" },
        { "content cut short", Package().Entry('0', "big", [1, 2, 3], claimedSize: 1 << 20).Build(endMark: false), "cut short" },
        { "no end mark", Package().Build(endMark: false), "cut short" },
        { "data after the end", RawTarball.Gzip([.. Package().BuildTar(), .. "more"u8]), "behind its end" },
        { "header damaged", Damaged(), "damaged" },
        { "size not octal", Package().Raw(BadSize("zzzzzzzzzzz")).Build(), "damaged" },
        { "yaml is not yaml", new RawTarball().File("agent.yaml", "x: [\n}").Build(), "YAML" },
        { "yaml nested", new RawTarball().File("agent.yaml", new string('[', 200)).Build(), "agent.yaml" },
        { "yaml list", Yaml("[name, mailer]"), "mapping" },
        { "yaml empty", Yaml(""), "mapping" },
        { "yaml key twice", Yaml("name: mailer\nname: other\n"), "'name' is there twice" },
        { "yaml name by alias", Yaml("x: &a mailer\nname: *a\n"), "'name' must be a string" },
        { "yaml name as a list", Yaml("name: [mailer]\n"), "'name' must be a string" },
        { "yaml twice", Yaml("name: mailer\n---\nname: other\n"), "mapping" },
        { "yaml escape that is no character", Yaml("name: \"\\UFFFFFFFF\"\n"), "agent.yaml" },
        { "bytes after gzip", [.. Package().Build(), 0], "behind its end" },
        { "zeros after gzip", [.. Package().Build(), .. new byte[5000]], "behind its end" },
        { "a second gzip member", [.. Package().Build(), .. Package().Build()], "behind its end" },
        { "the trailer again", [.. Package().Build(), .. new byte[100], .. Package().Build()[^8..]], "behind its end" },
        { "gzip checksum", Flip(Package().Build(), 6), "checksum" },
        { "gzip length", Flip(Package().Build(), 1), "checksum" },
        { "gzip header bits", Flip(Package().Build(), index: 3), "gzip" },
        { "pax size that overflows", Package().Pax('x', ("size", "9223372036854775807")).File("fine", "x").Build(), "damaged" },
        { "pax size with a sign", Package().Pax('x', ("size", "+1")).File("fine", "x").Build(), "damaged" },
        { "directory with content", Package().Entry('5', "folder", new byte[512]).Build(), "directory with content" },
        { "file in a file", Package().File("a", "x").File("a/b", "x").Build(), "'a/b' is inside of a file" },
        { "file in a file, later", Package().File("a/b/c", "x").File("a/b", "x").Build(), "'a/b/c' is inside of a file" },
        { "file and directory", Package().File("a", "x").Directory("a/").Build(), "twice" },
        { "directory and file", Package().Directory("a/").File("a", "x").Build(), "twice" },
        { "twice but for case", Package().File("README.md", "x").File("readme.MD", "x").Build(), "twice" },
        { "file without a name", Package().File("./.", "x").Build(), "no name" },
        { "extended headers without end", Endless(), "extended headers" },
        { "extended header of no entry", Package().Pax('x', ("path", "x")).Build(), "belongs to no entry" },
        { "manifest too large", new RawTarball().File("agent.yaml", "#" + new string('x', 2 << 20)).Build(), "agent.yaml" },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public async Task An_archive_is_refused_with_its_reason(string what, byte[] packed, string reason)
    {
        var error = await Should.ThrowAsync<RegistryException>(() => InspectAsync(packed), what);

        error.Kind.ShouldBe(ErrorKind.Validation);
        error.Message.ShouldBe("Validation failed");
        error.Fields.ShouldHaveSingleItem().Message.ShouldStartWith("tarball: ");
        error.Fields[0].Message.ShouldContain(reason);
    }

    [Fact]
    public async Task Too_many_entries_are_refused()
    {
        var builder = Package();
        for (var i = 0; i < 100_000; i++)
            builder.Entry('0', $"f{i}", []);

        (await RefusalAsync(builder.Build())).ShouldContain("10000 entries");
    }

    [Fact]
    public async Task A_bomb_is_refused_before_it_unpacks()
    {
        var packed = new CountedStream(RawTarball.Bomb(1L << 30));

        var error = await Should.ThrowAsync<RegistryException>(() => PackageArchive.InspectAsync(packed, s_limits, TestContext.Current.CancellationToken));

        error.Fields[0].Message.ShouldContain("times its size");
        packed.BytesRead.ShouldBeLessThan(200_000);
    }

    [Fact]
    public async Task Aliases_in_agent_yaml_are_not_expanded()
    {
        var bomb = new StringBuilder("name: mailer\nversion: 1.0.0\nauthor: '@you'\na0: &a0 [x, x]\n");
        for (var i = 1; i < 40; i++)
            bomb.Append($"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}, *a{i - 1}]\n");

        (await InspectAsync(new RawTarball().File("agent.yaml", bomb.ToString()).Build())).Name.ShouldBe("mailer");
    }

    [Fact]
    public async Task A_file_that_arrives_byte_by_byte_is_read_the_same()
    {
        var identity = await PackageArchive.InspectAsync(new CountedStream(RawTarball.Valid("mailer", "@you", "1.0.0"), 1), s_limits, TestContext.Current.CancellationToken);

        identity.Name.ShouldBe("mailer");
    }

    [Fact]
    public async Task Every_cut_is_noticed()
    {
        var packed = RawTarball.Valid("mailer", "@you", "1.0.0");
        for (var length = 0; length < packed.Length; length++)
            await Should.ThrowAsync<RegistryException>(() => InspectAsync(packed[..length]), $"cut to {length} of {packed.Length}");
    }

    [Fact]
    public async Task Damage_is_refused_or_harmless_but_never_a_defect()
    {
        var random = new Random(20261121);
        byte[][] seeds = [RawTarball.Valid("mailer", "@you", "1.0.0"), Package().Pax('x', ("path", "a/b")).File("c", "d").LongName("e/f").File("g", "h").Build()];
        for (var round = 0; round < 3_000; round++)
        {
            var packed = (byte[])seeds[round % 2].Clone();
            for (var change = random.Next(1, 6); change > 0; change--)
                packed[random.Next(packed.Length)] = (byte)random.Next(256);
            await SurviveAsync(packed, $"gzip, round {round}");
        }
    }

    [Fact]
    public async Task Damaged_headers_are_refused_or_harmless_but_never_a_defect()
    {
        var random = new Random(1121);
        var seed = Package().Pax('x', ("path", "a/b"), ("size", "1")).File("c", "d").LongName("e/f").File("g", "h").Directory("i").BuildTar();
        for (var round = 0; round < 3_000; round++)
        {
            var tar = (byte[])seed.Clone();
            var block = random.Next(tar.Length / 512) * 512;
            for (var change = random.Next(1, 6); change > 0; change--)
                tar[block + random.Next(512)] = (byte)random.Next(256);
            // Every second one with a good checksum, so that the damage gets behind it.
            if (round % 2 == 0)
                RawTarball.Sign(tar[block..(block + 512)]).CopyTo(tar, block);
            await SurviveAsync(RawTarball.Gzip(tar), $"tar, round {round}");
        }
    }

    [Fact]
    public void Random_bytes_never_are_a_defect() =>
        Prop.ForAll<byte[]>(bytes =>
        {
            SurviveAsync(bytes, "raw").GetAwaiter().GetResult();
            SurviveAsync(RawTarball.Gzip(bytes), "packed").GetAwaiter().GetResult();
            SurviveAsync(new RawTarball().Entry('x', "p", bytes).File("agent.yaml", "a").Build(), "pax").GetAwaiter().GetResult();
            SurviveAsync(new RawTarball().Entry('0', "agent.yaml", bytes).Build(), "yaml").GetAwaiter().GetResult();
        }).Check(Config.QuickThrowOnFailure);

    [Fact]
    public async Task A_large_package_is_read_in_little_memory()
    {
        var random = new Random(7);
        var noise = new byte[1 << 20];
        var builder = Package();
        for (var i = 0; i < 40; i++)
        {
            random.NextBytes(noise);
            builder.Entry('0', $"noise{i}", noise);
        }
        var packed = builder.Build();
        // Other tests allocate at the same time: only this thread counts, on which an inspection of bytes in memory runs to its end.
        var before = GC.GetAllocatedBytesForCurrentThread();
        var inspection = InspectAsync(packed);
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        inspection.IsCompletedSuccessfully.ShouldBeTrue();
        await inspection;
        allocated.ShouldBeLessThan(20 << 20);
    }

    [Fact]
    public async Task Archives_of_any_length_end_exactly_where_they_end()
    {
        var random = new Random(42);
        for (var round = 0; round < 400; round++)
        {
            var content = new byte[random.Next(0, 5000)];
            if (round % 3 == 0)
                random.NextBytes(content);
            else
                content.AsSpan().Fill((byte)round);
            var packed = Package().Entry('0', "f", content).Build();

            (await InspectAsync(packed)).Name.ShouldBe("mailer");
            (await RefusalAsync([.. packed, 7])).ShouldContain("behind its end");
            await RefusalAsync(packed[..^1]);
        }
    }

    [Fact]
    public async Task A_gzip_header_with_every_optional_part_is_read()
    {
        var packed = Package().Build();

        (await InspectAsync([0x1F, 0x8B, 8, 2 | 4 | 8 | 16, 0, 0, 0, 0, 0, 3, 3, 0, 1, 2, 3, .. "name\0comment\0"u8, 9, 9, .. packed[10..]])).Name.ShouldBe("mailer");
    }

    [Fact]
    public async Task An_agent_yaml_with_a_byte_order_mark_is_read() =>
        (await InspectAsync(new RawTarball().Entry('0', "agent.yaml", [0xEF, 0xBB, 0xBF, .. "name: mailer\nauthor: '@you'\n"u8]).Build())).Name.ShouldBe("mailer");

    [Fact]
    public async Task Damaged_yaml_is_refused_or_harmless_but_never_a_defect()
    {
        var random = new Random(3);
        var seed = "name: mailer\nversion: 1.0.0\nauthor: '@you'\nx: &a [1, {b: \"c\\u0041\"}]\ny: *a\nz: |\n  text\n? {k: v}\n: !!str w\n"u8.ToArray();
        for (var round = 0; round < 5_000; round++)
        {
            var text = (byte[])seed.Clone();
            for (var change = random.Next(1, 6); change > 0; change--)
                text[random.Next(text.Length)] = (byte)random.Next(round % 2 == 0 ? 256 : 128);
            await SurviveAsync(new RawTarball().Entry('0', "agent.yaml", text).Build(), $"yaml, round {round}");
        }
    }

    private static byte[] Yaml(string text) => new RawTarball().File("agent.yaml", text).Build();

    private static byte[] Flip(byte[] packed, int fromEnd = 0, int index = -1)
    {
        packed[index >= 0 ? index : packed.Length - fromEnd] ^= 0xE0;
        return packed;
    }

    private static byte[] Endless()
    {
        var builder = Package();
        for (var i = 0; i < 1000; i++)
            builder.Pax('g', ("comment", "x"));
        return builder.Build();
    }

    private static RawTarball Package() => new RawTarball().Manifest("mailer", "@you", "1.0.0");

    private static System.Formats.Tar.TarEntry Entry(System.Formats.Tar.TarEntryFormat format, string path, string text)
    {
        var content = new MemoryStream(Encoding.UTF8.GetBytes(text));
        return format switch
        {
            System.Formats.Tar.TarEntryFormat.V7 => new System.Formats.Tar.V7TarEntry(System.Formats.Tar.TarEntryType.V7RegularFile, path) { DataStream = content },
            System.Formats.Tar.TarEntryFormat.Ustar => new System.Formats.Tar.UstarTarEntry(System.Formats.Tar.TarEntryType.RegularFile, path) { DataStream = content },
            System.Formats.Tar.TarEntryFormat.Pax => new System.Formats.Tar.PaxTarEntry(System.Formats.Tar.TarEntryType.RegularFile, path) { DataStream = content },
            _ => new System.Formats.Tar.GnuTarEntry(System.Formats.Tar.TarEntryType.RegularFile, path) { DataStream = content },
        };
    }

    private static byte[] Damaged()
    {
        var tar = Package().File("second", "x").BuildTar();
        tar[1024] ^= 1;
        return RawTarball.Gzip(tar);
    }

    private static byte[] BadName()
    {
        var header = new RawTarball().File("xx", "").BuildTar(endMark: false);
        (header[0], header[1]) = (0xC3, 0x28);
        return RawTarball.Sign(header);
    }

    private static byte[] BadSize(string size)
    {
        var header = new RawTarball().File("x", "").BuildTar(endMark: false);
        Encoding.ASCII.GetBytes(size, header.AsSpan(124));
        return RawTarball.Sign(header);
    }

    private static Task<PackageIdentity> InspectAsync(byte[] packed) =>
        PackageArchive.InspectAsync(new CountedStream(packed), s_limits, TestContext.Current.CancellationToken);

    private static async Task<string> RefusalAsync(byte[] packed) => (await Should.ThrowAsync<RegistryException>(() => InspectAsync(packed))).Fields[0].Message;

    private static async Task SurviveAsync(byte[] packed, string what)
    {
        try
        {
            await InspectAsync(packed);
        }
        catch (RegistryException)
        {
            // Refused: that is the point.
        }
        catch (Exception exception)
        {
            throw new InvalidOperationException($"{what}: {Convert.ToBase64String(packed)}", exception);
        }
    }

    // Read once, forward only, asynchronously only, as a request's body is.
    private sealed class CountedStream(byte[] bytes, int chunk = 1000) : Stream
    {
        public int BytesRead { get; private set; }

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            var count = Math.Min(Math.Min(chunk, buffer.Length), bytes.Length - BytesRead);
            bytes.AsSpan(BytesRead, count).CopyTo(buffer.Span);
            BytesRead += count;
            return ValueTask.FromResult(count);
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
