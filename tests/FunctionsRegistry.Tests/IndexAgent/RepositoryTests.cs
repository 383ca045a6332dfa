using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.Http;
using FunctionsRegistry.IndexAgent;
using FunctionsRegistry.Tests.Marketplace;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.IndexAgent;

public sealed class RepositoryTests(IndexAgentApp app) : IClassFixture<IndexAgentApp>
{
    [Fact]
    public async Task An_upload_is_indexed_and_counted()
    {
        var repository = await app.UploadAsync("counted",
            ("counted-1.0/src/a.cs", "class A\n{\n}\n"), ("counted-1.0/src/b.py", "x = 1\n"), ("counted-1.0/bin/c.dll", "\0\0"), ("counted-1.0/package-lock.json", "{}"), ("counted-1.0/empty.txt", ""));

        repository.GetProperty("state").GetString().ShouldBe("ready");
        repository.GetProperty("files").GetInt32().ShouldBe(2);
        repository.GetProperty("lines").GetInt64().ShouldBe(4);
        repository.GetProperty("languages").GetRawText().Replace(" ", "").ShouldBe("{\"csharp\":1,\"python\":1}");
        repository.GetProperty("skipped").GetRawText().Replace(" ", "").ShouldBe("{\"empty\":1,\"binary\":1,\"generated\":1}");
        repository.GetProperty("error").ValueKind.ShouldBe(JsonValueKind.Null);
        (await app.PathsAsync("path:src/", "counted")).ShouldBe(["src/a.cs", "src/b.py"]);
        (await app.GetAsync("/repositories")).GetProperty("repositories").EnumerateArray().Select(one => one.GetProperty("name").GetString()).ShouldContain("counted");
    }

    [Fact]
    public async Task A_new_upload_replaces_the_old_one_and_its_rows_go()
    {
        await app.UploadAsync("replaced", ("a.py", "def old_function(): pass\n"));
        (await app.PathsAsync("old_function", "replaced")).ShouldBe(["a.py"]);

        await app.UploadAsync("replaced", ("b.py", "def new_function(): pass\n"));

        (await app.PathsAsync("sym:old_function", "replaced")).ShouldBeEmpty();
        (await app.PathsAsync("new_function", "replaced")).ShouldBe(["b.py"]);
        await app.Service<IndexService>().PurgeAsync(CancellationToken.None);
        foreach (var table in new[] { "files", "sections", "postings" })
            (await app.ScalarAsync<long>($"SELECT count(*) FROM indexagent.{table} t WHERE NOT EXISTS (SELECT 1 FROM indexagent.segments s WHERE s.id = t.segment_id)")).ShouldBe(0);
    }

    [Fact]
    public async Task An_archive_that_every_worker_dies_of_is_given_up_and_says_so()
    {
        var index = app.Service<IndexService>();
        var store = app.Service<IndexStore>();
        async Task<long> ReceiveAsync()
        {
            using var archive = new MemoryStream(IndexAgentApp.Archive(("a.py", "def deadly(): pass\n")));
            return await index.ReceiveAsync("deadly", archive, CancellationToken.None);
        }
        async Task DieAsync(long generation)
        {
            // All that a worker leaves behind that dies in a step.
            for (var i = 0; i < IndexService.MaxAttempts; i++)
                await store.BeginStepAsync(generation, CancellationToken.None);
        }

        var first = await ReceiveAsync();
        await DieAsync(first);
        (await index.IndexSegmentAsync(first, CancellationToken.None)).State.ShouldBe("failed");

        var repository = await app.GetAsync("/repositories/deadly");
        repository.GetProperty("state").GetString().ShouldBe("failed");
        repository.GetProperty("error").GetString()!.ShouldContain("10 attempts at part 1");
        (await index.ListWaitingAsync(CancellationToken.None)).ShouldNotContain(first);
        // One attempt fewer, and the next upload is indexed; a step that ended leaves the count at none.
        var second = await ReceiveAsync();
        for (var i = 1; i < IndexService.MaxAttempts; i++)
            await store.BeginStepAsync(second, CancellationToken.None);
        (await index.IndexSegmentAsync(second, CancellationToken.None)).State.ShouldBe("indexing");
        (await app.ScalarAsync<int>("SELECT attempts FROM indexagent.generations WHERE id = $1", second)).ShouldBe(0);
        await index.FinishAsync(second, CancellationToken.None);
        (await app.GetAsync("/repositories/deadly")).GetProperty("state").GetString().ShouldBe("ready");
    }

    [Fact]
    public async Task Searches_see_the_old_index_while_the_new_one_grows()
    {
        await app.UploadAsync("busy", ("a.py", "def first_version(): pass\n"));
        var index = app.Service<IndexService>();
        using var archive = new MemoryStream(IndexAgentApp.Archive(("b.py", "def second_version(): pass\n")));

        // The steps by hand: what an orchestration does between two of them can take as long as it wants.
        var generation = await index.ReceiveAsync("busy", archive, CancellationToken.None);
        await (await app.PutAsync("busy", IndexAgentApp.Archive(("c.py", "x = 1\n")))).ShouldBeAsync(409);
        (await app.GetAsync("/repositories/busy")).GetProperty("state").GetString().ShouldBe("indexing");
        (await app.PathsAsync("first_version", "busy")).ShouldBe(["a.py"]);
        await index.IndexSegmentAsync(generation, CancellationToken.None);
        (await app.GetAsync("/repositories/busy")).GetProperty("progress").GetProperty("files").GetInt32().ShouldBe(1);
        (await app.PathsAsync("sym:second_version", "busy")).ShouldBeEmpty();
        await index.FinishAsync(generation, CancellationToken.None);

        (await app.PathsAsync("second_version", "busy")).ShouldBe(["b.py"]);
        (await app.PathsAsync("sym:first_version", "busy")).ShouldBeEmpty();
    }

    [Fact]
    public async Task Steps_that_run_twice_or_at_once_change_nothing()
    {
        var index = app.Service<IndexService>();
        using var archive = new MemoryStream(IndexAgentApp.Archive(("a.py", "def again(): pass\n"), ("b.py", "def again_too(): pass\n")));
        var generation = await index.ReceiveAsync("again", archive, CancellationToken.None);

        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => index.IndexSegmentAsync(generation, CancellationToken.None)));
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => index.FinishAsync(generation, CancellationToken.None)));
        (await index.IndexSegmentAsync(generation, CancellationToken.None)).State.ShouldBe("ready");

        var repository = await app.GetAsync("/repositories/again");
        repository.GetProperty("files").GetInt32().ShouldBe(2);
        (await app.SearchAsync("again", "again")).GetProperty("total_results").GetInt64().ShouldBe(2);
        (await app.ScalarAsync<long>("SELECT count(*) FROM indexagent.segments WHERE generation_id = $1", generation)).ShouldBe(1);
    }

    [Fact]
    public async Task A_deleted_repository_is_gone_with_its_archive()
    {
        await app.UploadAsync("doomed", ("a.py", "def doomed_function(): pass\n"));

        await (await app.Client.DeleteAsync("/indexagent/repositories/doomed")).ShouldBeAsync(200);

        await app.GetAsync("/repositories/doomed", 404);
        (await app.SearchAsync("doomed_function", "doomed")).GetProperty("parameters").GetProperty("corpus").GetString().ShouldBe("built-in");
        await (await app.Client.DeleteAsync("/indexagent/repositories/doomed")).ShouldBeAsync(404);
        await (await app.Client.DeleteAsync("/indexagent/repositories/built-in")).ShouldBeAsync(422);
    }

    [Fact]
    public async Task A_repository_deleted_while_it_is_indexed_stops()
    {
        var index = app.Service<IndexService>();
        using var archive = new MemoryStream(IndexAgentApp.Archive(("a.py", "x = 1\n")));
        var generation = await index.ReceiveAsync("stopped", archive, CancellationToken.None);
        await index.DeleteAsync("stopped", CancellationToken.None);

        (await index.IndexSegmentAsync(generation, CancellationToken.None)).State.ShouldBe("deleted");
        await index.FinishAsync(generation, CancellationToken.None);
        await app.GetAsync("/repositories/stopped", 404);
    }

    [Fact]
    public async Task The_trigger_indexes_the_stored_archive_anew()
    {
        await app.UploadAsync("anew", ("a.py", "def anew_function(): pass\n"));
        var before = (await app.GetAsync("/repositories/anew")).GetProperty("indexed_at").GetDateTimeOffset();

        (await app.PostAsync("/search/index/trigger", new { repository = "anew" })).GetProperty("repositories")[0].GetString().ShouldBe("anew");

        (await app.WaitAsync("anew")).GetProperty("indexed_at").GetDateTimeOffset().ShouldBeGreaterThan(before);
        (await app.PathsAsync("anew_function", "anew")).ShouldBe(["a.py"]);
        // The archive is still there for the next time.
        await app.PostAsync("/search/index/trigger", new { repositories = new[] { "anew" } });
        (await app.WaitAsync("anew")).GetProperty("state").GetString().ShouldBe("ready");
        await app.PostAsync("/search/index/trigger", new { repository = "nowhere" }, 404);
    }

    [Theory]
    [InlineData("a/b")]
    [InlineData("..")]
    [InlineData("-x")]
    [InlineData("a b")]
    [InlineData("a\u0001")]
    [InlineData("built-in")]
    [InlineData("ünïcode")]
    public async Task Bad_names_are_refused(string name) => ((int)(await app.PutAsync(name, IndexAgentApp.Archive(("a.py", "x")))).StatusCode).ShouldBeOneOf(404, 422);

    public static TheoryData<string, byte[], string> HostileArchives => new()
    {
        { "not gzip", Encoding.ASCII.GetBytes("hello, this is no archive at all"), "is not a gzip file" },
        { "empty", [], "is empty" },
        { "no file", new RawTarball().Directory("a/").Build(), "has no file" },
        { "traversal", new RawTarball().File("../x.py", "x").Build(), "leaves the archive" },
        { "absolute", new RawTarball().File("/etc/passwd", "x").Build(), "is an absolute path" },
        { "backslash", new RawTarball().File("a\\b", "x").Build(), "backslash" },
        { "control", new RawTarball().File("a\u0007b", "x").Build(), "control character" },
        { "link out", new RawTarball().File("a.py", "x").Entry('2', "b", [], "../../etc/passwd").Build(), "is a link that leaves the archive" },
        { "absolute link", new RawTarball().File("a.py", "x").Entry('2', "b", [], "/etc/passwd").Build(), "is a link that leaves the archive" },
        { "device", new RawTarball().Entry('3', "dev", []).Build(), "is a device or a pipe" },
        { "twice", new RawTarball().File("a.py", "x").File("a.py", "y").Build(), "is there twice" },
        { "cut short", RawTarball.Gzip(new RawTarball().File("a.py", "x").BuildTar(endMark: false)), "is cut short" },
        { "truncated gzip", IndexAgentApp.Archive(("a.py", "some text"))[..^12], "" },
        { "bomb", RawTarball.Bomb(200L << 20), "times its size" },
    };

    [Theory]
    [MemberData(nameof(HostileArchives))]
    public async Task Hostile_archives_are_refused_with_the_reason(string name, byte[] archive, string reason)
    {
        var error = await (await app.PutAsync("hostile", archive)).ShouldBeAsync(422);

        error.GetProperty("detail")[0].GetProperty("msg").GetString()!.ShouldContain(reason, Case.Sensitive, name);
        await app.GetAsync("/repositories/hostile", 404);
    }

    [Fact]
    public async Task Links_inside_are_left_out_and_large_files_counted()
    {
        var archive = new RawTarball().File("src/a.py", "def real(): pass\n").Entry('2', "src/b.py", [], "a.py").Entry('2', "top.py", [], "src/a.py")
            .File("data.txt", string.Concat(Enumerable.Range(0, 300_000).Select(i => $"{i}\n"))).Build();
        await (await app.PutAsync("linked", archive)).ShouldBeAsync(202);

        var repository = await app.WaitAsync("linked");

        repository.GetProperty("files").GetInt32().ShouldBe(1);
        repository.GetProperty("skipped").GetProperty("too_large").GetInt32().ShouldBe(1);
    }

    [Fact]
    public async Task Damaged_archives_never_break_the_service()
    {
        var random = new Random(4);
        var seed = new RawTarball().File("src/a.py", "def real(): pass\n").Entry('2', "b", [], "src/a.py").LongName(new string('n', 150)).File("x", "y").BuildTar();
        for (var round = 0; round < 40; round++)
        {
            var tar = (byte[])seed.Clone();
            for (var change = random.Next(1, 4); change > 0; change--)
                tar[random.Next(tar.Length)] = (byte)random.Next(256);
            ((int)(await app.PutAsync($"damaged{round}", RawTarball.Gzip(tar))).StatusCode).ShouldBeOneOf([202, 422], round.ToString());
        }
    }

    [Fact]
    public async Task Text_of_any_kind_is_indexed()
    {
        await app.UploadAsync("texts",
            ("latin.c", "int x; // \xE9\xE8 caf\xE9\n"), ("emoji.py", "# \U0001F600 smile\nsmile = 1\n"), ("long.txt", string.Join('\n', Enumerable.Repeat("word another", 500))),
            ("nested.js", "function a(){function b(){function c(){}}}\n"), ("odd.cs", "\"\"\"\n/* never closed\n"));

        (await app.WaitAsync("texts")).GetProperty("files").GetInt32().ShouldBe(5);
        (await app.PathsAsync("smile", "texts"))[0].ShouldBe("emoji.py");
    }

    [Theory]
    [InlineData("ftp://example.com/a.tar.gz")]
    [InlineData("file:///etc/passwd")]
    [InlineData("not a url")]
    [InlineData("http://user:secret@example.com/a.tar.gz")]
    public async Task Only_web_addresses_are_fetched(string url) =>
        await (await app.Client.PutAsJsonAsync("/indexagent/repositories/fetched", new { url })).ShouldBeAsync(422);

    [Theory]
    [InlineData("http://127.0.0.1:{0}/a.tar.gz")]
    [InlineData("http://localhost:{0}/a.tar.gz")]
    [InlineData("http://[::1]:{0}/a.tar.gz")]
    [InlineData("http://[::ffff:127.0.0.1]:{0}/a.tar.gz")]
    public async Task Addresses_of_this_machine_are_not_fetched_from(string url)
    {
        await (await app.Client.PutAsJsonAsync("/indexagent/repositories/private", new { url = string.Format(url, app.Client.BaseAddress!.Port) })).ShouldBeAsync(202);

        var repository = await app.WaitAsync("private");

        repository.GetProperty("state").GetString().ShouldBe("failed");
        repository.GetProperty("error").GetString()!.ShouldContain("no public address");
    }

    [Theory]
    [InlineData("8.8.8.8", true)]
    [InlineData("2606:4700:4700::1111", true)]
    [InlineData("10.1.2.3", false)]
    [InlineData("172.31.255.255", false)]
    [InlineData("172.32.0.1", true)]
    [InlineData("192.168.1.1", false)]
    [InlineData("169.254.169.254", false)]
    [InlineData("100.64.0.1", false)]
    [InlineData("0.0.0.0", false)]
    [InlineData("224.0.0.1", false)]
    [InlineData("fe80::1", false)]
    [InlineData("fd00::1", false)]
    [InlineData("::", false)]
    [InlineData("64:ff9b::7f00:1", false)]
    [InlineData("2002:7f00:1::", false)]
    [InlineData("::ffff:10.0.0.1", false)]
    public void Only_public_addresses_are_public(string address, bool isPublic) => OutboundHttp.IsPublic(IPAddress.Parse(address)).ShouldBe(isPublic);
}

/// <summary>Fetching from this machine is allowed here: the archives lie on a listener of the test.</summary>
public sealed class FetchingApp(TestServices services) : IndexAgentApp(services)
{
    protected override IReadOnlyDictionary<string, string> Settings =>
        new Dictionary<string, string> { ["Outbound:AllowedPrivateNetworks"] = "127.0.0.0/8, ::1", ["IndexAgent:FetchMinutes"] = "0.05", ["IndexAgent:MaxArchiveMegabytes"] = "2" };
}

public sealed class FetchTests(FetchingApp app) : IClassFixture<FetchingApp>
{
    [Fact]
    public async Task An_archive_is_fetched_and_indexed()
    {
        await using var server = await ArchiveServer.StartAsync(IndexAgentApp.Archive(("a.py", "def fetched(): pass\n")));
        await (await app.Client.PutAsJsonAsync("/indexagent/repositories/fetched", new { url = server.Address + "ok" })).ShouldBeAsync(202);

        var repository = await app.WaitAsync("fetched");

        repository.GetProperty("state").GetString().ShouldBe("ready", repository.GetRawText());
        repository.GetProperty("url").GetString().ShouldBe(server.Address + "ok");
        (await app.PathsAsync("fetched", "fetched")).ShouldBe(["a.py"]);
    }

    [Theory]
    [InlineData("missing", "404")]
    [InlineData("endless", "")]
    [InlineData("huge", "over the limit")]
    [InlineData("text", "is not a gzip file")]
    public async Task A_fetch_that_fails_says_why(string path, string reason)
    {
        await using var server = await ArchiveServer.StartAsync([]);
        await (await app.Client.PutAsJsonAsync($"/indexagent/repositories/{path}", new { url = server.Address + path })).ShouldBeAsync(202);

        var repository = await app.WaitAsync(path);

        repository.GetProperty("state").GetString().ShouldBe("failed");
        repository.GetProperty("error").GetString()!.ShouldContain(reason);
    }
}
