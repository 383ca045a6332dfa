using System.Formats.Tar;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.Marketplace;

public sealed class PublishTests(MarketplaceApp app) : IClassFixture<MarketplaceApp>
{
    [Fact]
    public async Task A_published_package_is_found_and_downloads_byte_equal()
    {
        var token = await app.SignInAsync("alice");
        var tarball = TarballBuilder.Package("@alice", "mailer", "1.2.0", extraBytes: 300_000);

        var published = await (await app.PublishAsync(token, "@alice", "mailer", "1.2.0", tarball: tarball)).ShouldBeAsync(200);
        published.GetProperty("success").GetBoolean().ShouldBeTrue();
        published.GetProperty("version").GetString().ShouldBe("1.2.0");
        published.GetProperty("full_name").GetString().ShouldBe("@alice/mailer");
        published.GetProperty("url").GetString().ShouldBe("https://agentx.dev/agents/@alice/mailer");

        var download = await app.GetJsonAsync("/agents/@alice/mailer/download/1.2.0");
        var bytes = await app.Client.GetByteArrayAsync(download.GetProperty("tarball_url").GetString());
        bytes.ShouldBe(tarball);
        var sha256 = Convert.ToHexStringLower(SHA256.HashData(tarball));
        download.GetProperty("sha256").GetString().ShouldBe(sha256);
        download.GetProperty("tarball_sha256").GetString().ShouldBe(sha256);
        download.GetProperty("size").GetInt64().ShouldBe(tarball.Length);
        download.GetProperty("tarball_size").GetInt64().ShouldBe(tarball.Length);
        download.GetProperty("version").GetString().ShouldBe("1.2.0");
        (await app.GetJsonAsync("/agents/@alice/mailer")).GetProperty("download_count").GetInt64().ShouldBe(1);
    }

    [Fact]
    public async Task The_download_url_is_read_only_and_without_it_nothing_is_readable()
    {
        var token = await app.SignInAsync("sasuser");
        await (await app.PublishAsync(token, "@sasuser", "private", "1.0.0")).ShouldBeAsync(200);
        var url = new Uri((await app.GetJsonAsync("/agents/@sasuser/private/download/1.0.0")).GetProperty("tarball_url").GetString()!);

        using var bare = await app.Client.GetAsync(url.GetLeftPart(UriPartial.Path));
        ((int)bare.StatusCode).ShouldBeOneOf(403, 404, 409);
        using var written = await app.Client.PutAsync(url, new ByteArrayContent([1]) { Headers = { { "x-ms-blob-type", "BlockBlob" } } });
        ((int)written.StatusCode).ShouldBe(403);
        url.Query.ShouldContain("se=");
    }

    [Theory]
    [InlineData("/agents/@bob/one", "1.0.0")]
    [InlineData("/agents/bob/one", "1.0.1")]
    [InlineData("/agents/%40bob/one", "1.0.2")]
    [InlineData("/agents/@BOB/one", "1.0.3")]
    public async Task The_named_route_takes_the_scope_in_every_form(string path, string version)
    {
        var token = await app.SignInAsync("bob");

        await (await app.PublishAsync(token, "@bob", "one", version, path: path)).ShouldBeAsync(200);
    }

    [Theory]
    [InlineData("/agents/@bob/other")]
    [InlineData("/agents/@carol/two")]
    public async Task Path_and_manifest_must_agree(string path)
    {
        var token = await app.SignInAsync("bob");

        var error = await (await app.PublishAsync(token, "@bob", "two", "1.0.0", path: path)).ShouldBeAsync(400);

        error.GetProperty("error").GetString().ShouldBe("Validation failed");
        error.Details().ShouldHaveSingleItem().ShouldContain("do not match the path");
    }

    [Fact]
    public async Task An_empty_readme_is_accepted()
    {
        var token = await app.SignInAsync("dora");

        await (await app.PublishAsync(token, "@dora", "silent", "1.0.0", readme: "")).ShouldBeAsync(200);
        (await app.GetJsonAsync("/agents/@dora/silent")).GetProperty("readme").GetString().ShouldBe("");
    }

    [Fact]
    public async Task Links_that_only_the_package_has_are_shown()
    {
        var token = await app.SignInAsync("lena");
        async Task<JsonElement> PublishAsync(string version, string yaml)
        {
            var tarball = TarballBuilder.Build(tar => TarballBuilder.AddFile(tar, "agent.yaml", $"name: linked\nversion: {version}\nauthor: \"@lena\"\n{yaml}"));
            using var response = await app.PublishAsync(token, "@lena", "linked", version, tarball: tarball);
            await response.ShouldBeAsync(200);
            return await app.GetJsonAsync("/agents/@lena/linked");
        }

        var linked = await PublishAsync("1.0.0", "repository: https://github.com/lena/linked?a=\"1\"\nhomepage: 'https://linked.example'\n");
        linked.GetProperty("repository").GetString().ShouldBe("https://github.com/lena/linked?a=\"1\"");
        linked.GetProperty("homepage").GetString().ShouldBe("https://linked.example");
        var other = await PublishAsync("1.0.1", "repository: {type: git, url: x}\nhomepage: 'javascript:alert(1)'\n");
        other.GetProperty("repository").ValueKind.ShouldBe(JsonValueKind.Null);
        other.GetProperty("homepage").ValueKind.ShouldBe(JsonValueKind.Null);
    }

    [Fact]
    public async Task Nobody_publishes_under_another_user_s_scope()
    {
        var token = await app.SignInAsync("mallory");

        var error = await (await app.PublishAsync(token, "@alice", "stolen", "1.0.0")).ShouldBeAsync(403);

        error.GetProperty("error").GetString().ShouldBe("You can only publish under @mallory scope");
        error.GetProperty("message").GetString().ShouldBe("You can only publish under @mallory scope");
    }

    [Fact]
    public async Task Without_a_known_token_nothing_is_published()
    {
        foreach (var token in (string?[])[null, "agentx_00000000000000000000000000000000", "something else"])
        {
            var response = await app.SendAsync(HttpMethod.Put, "/agents", token, MarketplaceApp.Form([], "{}"));

            (await response.ShouldBeAsync(401)).GetProperty("error").GetString().ShouldBe("Authentication required");
        }
    }

    [Fact]
    public async Task A_version_is_published_once()
    {
        var token = await app.SignInAsync("erin");
        await (await app.PublishAsync(token, "@erin", "once", "1.0.0")).ShouldBeAsync(200);

        var error = await (await app.PublishAsync(token, "@erin", "once", "1.0.0")).ShouldBeAsync(409);

        error.GetProperty("error").GetString().ShouldBe("Version 1.0.0 already exists. Bump the version number.");
        error.TryGetProperty("details", out _).ShouldBeFalse();
    }

    [Fact]
    public async Task Of_two_hundred_publishers_of_one_version_one_wins()
    {
        var token = await app.SignInAsync("frank");
        var tarball = TarballBuilder.Package("@frank", "race", "1.0.0");
        var before = await CountBlobsAsync();

        var statuses = await Task.WhenAll(Enumerable.Range(0, 200).Select(async _ =>
        {
            using var response = await app.PublishAsync(token, "@frank", "race", "1.0.0", tarball: tarball);
            return (int)response.StatusCode;
        }));

        statuses.Count(status => status == 200).ShouldBe(1);
        statuses.Count(status => status == 409).ShouldBe(199);
        (await app.ScalarAsync<long>("SELECT count(*) FROM marketplace.agent_versions v JOIN marketplace.agents a ON a.id = v.agent_id WHERE a.scope = '@frank'")).ShouldBe(1);
        (await CountBlobsAsync()).ShouldBe(before + 1);
    }

    [Fact]
    public async Task Latest_is_the_highest_release_not_the_last_one_published()
    {
        var token = await app.SignInAsync("gina");
        foreach (var version in (string[])["1.0.0", "2.0.0", "1.5.0", "3.0.0-beta-1"])
            await (await app.PublishAsync(token, "@gina", "order", version, description: "Version " + version)).ShouldBeAsync(200);

        var agent = await app.GetJsonAsync("/agents/@gina/order");
        agent.GetProperty("latest_version").GetString().ShouldBe("2.0.0");
        agent.GetProperty("description").GetString().ShouldBe("Version 2.0.0");
        var versions = await app.GetJsonAsync("/agents/@gina/order/versions");
        versions.GetProperty("versions").EnumerateArray().Select(version => version.GetProperty("version").GetString())
            .ShouldBe(["3.0.0-beta-1", "1.5.0", "2.0.0", "1.0.0"]);
    }

    [Fact]
    public async Task An_unpublished_version_is_gone_and_stays_reserved()
    {
        var token = await app.SignInAsync("henry");
        await (await app.PublishAsync(token, "@henry", "regret", "1.0.0")).ShouldBeAsync(200);
        await (await app.PublishAsync(token, "@henry", "regret", "1.1.0")).ShouldBeAsync(200);

        var answer = await (await app.SendAsync(HttpMethod.Delete, "/agents/@henry/regret/1.1.0", token)).ShouldBeAsync(200);
        answer.GetProperty("message").GetString().ShouldBe("Version 1.1.0 unpublished");
        (await app.GetJsonAsync("/agents/@henry/regret")).GetProperty("latest_version").GetString().ShouldBe("1.0.0");
        (await (await app.SendAsync(HttpMethod.Get, "/agents/@henry/regret/download/1.1.0")).ShouldBeAsync(404)).GetProperty("error").GetString().ShouldBe("Version not found");
        await (await app.PublishAsync(token, "@henry", "regret", "1.1.0")).ShouldBeAsync(409);
        await (await app.SendAsync(HttpMethod.Delete, "/agents/@henry/regret/1.1.0", token)).ShouldBeAsync(404);

        await (await app.SendAsync(HttpMethod.Delete, "/agents/@henry/regret/1.0.0", token)).ShouldBeAsync(200);
        (await (await app.SendAsync(HttpMethod.Get, "/agents/@henry/regret")).ShouldBeAsync(404)).GetProperty("error").GetString().ShouldBe("Agent not found");
    }

    [Fact]
    public async Task Whoever_takes_a_freed_login_does_not_get_its_agents()
    {
        var first = await app.SignInAsync("freed");
        await (await app.PublishAsync(first, "@freed", "mine", "1.0.0")).ShouldBeAsync(200);
        var users = app.Service<FunctionsRegistry.Marketplace.UserStore>();
        var taker = await users.UpsertAsync(new FunctionsRegistry.Marketplace.GitHubProfile(987_654_321, "freed", null, null, null), default);
        var (token, _) = await app.Service<FunctionsRegistry.Marketplace.AccountService>().IssueTokenAsync(taker.Id, default);

        await (await app.PublishAsync(token, "@freed", "mine", "1.0.1")).ShouldBeAsync(403);
        await (await app.SendAsync(HttpMethod.Delete, "/agents/@freed/mine/1.0.0", token)).ShouldBeAsync(403);
        await (await app.PublishAsync(token, "@freed", "other", "1.0.0")).ShouldBeAsync(200);
    }

    [Fact]
    public async Task Only_the_owner_unpublishes()
    {
        var owner = await app.SignInAsync("ivy");
        await (await app.PublishAsync(owner, "@ivy", "mine", "1.0.0")).ShouldBeAsync(200);

        await (await app.SendAsync(HttpMethod.Delete, "/agents/@ivy/mine/1.0.0", await app.SignInAsync("jack"))).ShouldBeAsync(403);
        await (await app.SendAsync(HttpMethod.Delete, "/agents/@ivy/mine/1.0.0")).ShouldBeAsync(401);
    }

    [Fact]
    public async Task A_manifest_s_faults_are_listed_in_the_contract_s_words()
    {
        var token = await app.SignInAsync("kate");
        using var form = MarketplaceApp.Form(TarballBuilder.Package("@kate", "x", "1.0.0"), """{"name":"x","version":"1.2","author":"@kate","category":"fun"}""");

        var error = await (await app.SendAsync(HttpMethod.Put, "/agents", token, form)).ShouldBeAsync(400);

        error.GetProperty("error").GetString().ShouldBe("Validation failed");
        var details = error.Details();
        details.ShouldContain("agent.yaml: missing required field 'description'");
        details.ShouldContain("agent.yaml: version '1.2' is not valid semver");
        details.ShouldContain(detail => detail.StartsWith("agent.yaml: category", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_broken_form_is_refused_in_the_contract_s_words()
    {
        var token = await app.SignInAsync("liam");
        const string Missing = "Missing required fields: tarball, agent_yaml, readme";

        async Task<string> RefusedAsync(HttpContent? content) =>
            (await (await app.SendAsync(HttpMethod.Put, "/agents", token, content)).ShouldBeAsync(400)).GetProperty("error").GetString()!;

        (await RefusedAsync(new StringContent("{}", Encoding.UTF8, "application/json"))).ShouldContain("multipart/form-data");
        (await RefusedAsync(new MultipartFormDataContent { { new StringContent("{}"), "agent_yaml" }, { new StringContent("x"), "readme" } })).ShouldBe(Missing);
        (await RefusedAsync(new MultipartFormDataContent { { new ByteArrayContent(TarballBuilder.Package("@liam", "x", "1.0.0")), "tarball", "x" } })).ShouldBe(Missing);
        (await RefusedAsync(MarketplaceApp.Form(TarballBuilder.Package("@liam", "x", "1.0.0"), "{"))).ShouldBe("Invalid JSON in agent_yaml field");
        var broken = new ByteArrayContent("--b\r\nContent-Disposition: form-data; name=\"tarball\"\r\n\r\nxx"u8.ToArray());
        broken.Headers.ContentType = MediaTypeHeaderValue.Parse("multipart/form-data; boundary=b");
        await RefusedAsync(broken);
    }

    [Theory]
    [InlineData("../x", "leaves the package")]
    [InlineData("/etc/passwd", "absolute path")]
    public async Task A_hostile_tarball_is_refused_and_leaves_nothing(string path, string reason)
    {
        var token = await app.SignInAsync("mona");
        var before = await CountBlobsAsync();
        var tarball = TarballBuilder.Build(tar => TarballBuilder.AddFile(tar, path, "x"));

        var error = await (await app.PublishAsync(token, "@mona", "evil", "1.0.0", tarball: tarball)).ShouldBeAsync(400);

        error.Details().ShouldHaveSingleItem().ShouldContain(reason);
        (await CountBlobsAsync()).ShouldBe(before);
        await (await app.SendAsync(HttpMethod.Get, "/agents/@mona/evil")).ShouldBeAsync(404);
    }

    [Fact]
    public async Task The_tarball_must_be_what_the_form_says()
    {
        var token = await app.SignInAsync("nina");
        var error = await (await app.PublishAsync(token, "@nina", "real", "1.0.0", tarball: TarballBuilder.Package("@other", "fake", "9.9.9"))).ShouldBeAsync(400);
        error.Details().Length.ShouldBe(3);

        using var form = MarketplaceApp.Form(TarballBuilder.Package("@nina", "real", "1.0.0"), MarketplaceApp.Manifest("@nina", "real", "1.0.0"), sha256: new string('0', 64));
        (await (await app.SendAsync(HttpMethod.Put, "/agents", token, form)).ShouldBeAsync(400)).Details().ShouldBe(["sha256: does not match the tarball"]);
    }

    [Fact]
    public async Task A_body_over_the_limit_gets_413()
    {
        var token = await app.SignInAsync("omar");
        using var form = MarketplaceApp.Form(new byte[53 << 20], "{}");

        await (await app.SendAsync(HttpMethod.Put, "/agents", token, form)).ShouldBeAsync(413);
    }

    [Fact]
    public async Task Ten_sends_with_one_idempotency_key_have_one_effect_and_one_answer()
    {
        var token = await app.SignInAsync("paul");
        var tarball = TarballBuilder.Package("@paul", "again", "1.0.0");

        var answers = await Task.WhenAll(Enumerable.Range(0, 10).Select(async _ =>
        {
            using var response = await app.PublishAsync(token, "@paul", "again", "1.0.0", tarball: tarball, idempotencyKey: "key-1");
            return ((int)response.StatusCode, await response.Content.ReadAsStringAsync(), response.Headers.Contains("Idempotent-Replayed"));
        }));

        answers.Select(answer => answer.Item1).ShouldAllBe(status => status == 200);
        answers.Select(answer => answer.Item2).Distinct().ShouldHaveSingleItem();
        answers.Count(answer => !answer.Item3).ShouldBe(1);

        using var other = await app.PublishAsync(token, "@paul", "again", "1.0.1", idempotencyKey: "key-1");
        await other.ShouldBeAsync(409);
    }

    [Fact]
    public async Task A_star_counts_once_per_user()
    {
        var token = await app.SignInAsync("quinn");
        await (await app.PublishAsync(token, "@quinn", "shiny", "1.0.0")).ShouldBeAsync(200);
        var fan = await app.SignInAsync("rosa");

        foreach (var who in (string[])[token, fan, fan])
            await (await app.SendAsync(HttpMethod.Put, "/agents/@quinn/shiny/star", who)).ShouldBeAsync(200);
        (await app.GetJsonAsync("/agents/@quinn/shiny")).GetProperty("star_count").GetInt64().ShouldBe(2);

        var removed = await (await app.SendAsync(HttpMethod.Delete, "/agents/@quinn/shiny/star", fan)).ShouldBeAsync(200);
        removed.GetProperty("star_count").GetInt64().ShouldBe(1);
        await (await app.SendAsync(HttpMethod.Put, "/agents/@quinn/none/star", fan)).ShouldBeAsync(404);
        await (await app.SendAsync(HttpMethod.Put, "/agents/@quinn/shiny/star")).ShouldBeAsync(401);
    }

    [Fact]
    public async Task An_orphan_blob_goes_and_a_published_one_stays()
    {
        var token = await app.SignInAsync("sara");
        await (await app.PublishAsync(token, "@sara", "kept", "1.0.0")).ShouldBeAsync(200);
        var blobs = app.Service<FunctionsRegistry.Blobs.BlobStore>();
        await blobs.UploadAsync("packages", "agents/orphan.tar.gz", new MemoryStream([1]), "application/gzip", default);
        var later = new FunctionsRegistry.Marketplace.AgentService(
            app.Service<FunctionsRegistry.Marketplace.AgentStore>(), blobs, app.Service<FunctionsRegistry.Marketplace.MarketplaceOptions>(),
            new LaterTime(TimeSpan.FromHours(2)), app.Service<Microsoft.Extensions.Logging.ILogger<FunctionsRegistry.Marketplace.AgentService>>());

        (await app.Service<FunctionsRegistry.Marketplace.AgentService>().SweepOrphansAsync(everything: true, default)).ShouldBe(0);
        (await later.SweepOrphansAsync(everything: true, default)).ShouldBeGreaterThanOrEqualTo(1);

        var download = await app.GetJsonAsync("/agents/@sara/kept/download/1.0.0");
        (await app.Client.GetByteArrayAsync(download.GetProperty("tarball_url").GetString())).Length.ShouldBeGreaterThan(0);
    }

    private async Task<int> CountBlobsAsync()
    {
        var count = 0;
        await foreach (var _ in app.Service<FunctionsRegistry.Blobs.BlobStore>().ListAsync("packages", "agents/", default))
            count++;
        return count;
    }
}
