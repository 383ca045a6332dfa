using System.Text;
using System.Text.Json;

namespace FunctionsRegistry.Tests.Marketplace;

/// <summary>A small catalogue that all tests of the class read.</summary>
public sealed class Catalogue(Support.TestServices services) : MarketplaceApp(services)
{
    public override async ValueTask InitializeAsync()
    {
        await base.InitializeAsync();
        var token = await SignInAsync("acme");
        foreach (var (name, category, description, downloads) in ((string, string, string, int)[])
            [("mail-sorter", "productivity", "Sorts incoming messages", 3), ("calendar", "productivity", "Plans mail and meetings", 1),
             ("linter", "devtools", "Finds mistakes in code", 2), ("logbook", "monitoring", "Keeps a diary", 0)])
        {
            await (await PublishAsync(token, "@acme", name, "1.0.0", category, description, tags: [name])).ShouldBeAsync(200);
            for (var i = 0; i < downloads; i++)
                await GetJsonAsync($"/agents/@acme/{name}/download/1.0.0");
        }
        await (await SendAsync(HttpMethod.Put, "/agents/@acme/linter/star", token)).ShouldBeAsync(200);
    }
}

public sealed class DiscoveryTests(Catalogue app) : IClassFixture<Catalogue>
{
    [Theory]
    [InlineData("", "mail-sorter,linter,calendar,logbook")]
    [InlineData("?sort=downloads", "mail-sorter,linter,calendar,logbook")]
    [InlineData("?sort=newest", "logbook,linter,calendar,mail-sorter")]
    [InlineData("?category=productivity", "mail-sorter,calendar")]
    [InlineData("?category=unknown", "")]
    [InlineData("?limit=2", "mail-sorter,linter")]
    [InlineData("?limit=2&page=2", "calendar,logbook")]
    [InlineData("?q=mail", "mail-sorter,calendar")]
    [InlineData("?limit=0", "mail-sorter,linter,calendar,logbook")]
    [InlineData("?limit=-5", "mail-sorter")]
    public async Task Lists_are_sorted_filtered_and_paged(string query, string names) =>
        Names(await app.GetJsonAsync("/agents" + query)).ShouldBe(names);

    [Fact]
    public async Task The_most_starred_comes_first() => Names(await app.GetJsonAsync("/agents?sort=stars&limit=1")).ShouldBe("linter");

    [Theory]
    [InlineData("downloads")]
    [InlineData("stars")]
    [InlineData("newest")]
    public async Task The_cursor_walks_every_agent_once(string sort)
    {
        var seen = new List<string>();
        var query = $"/agents?sort={sort}&limit=1";
        for (var next = query; next is not null;)
        {
            var page = await app.GetJsonAsync(next);
            seen.Add(Names(page));
            page.GetProperty("total").GetInt64().ShouldBe(4);
            next = page.TryGetProperty("next", out var cursor) ? $"{query}&cursor={cursor.GetString()}" : null;
        }

        seen.Count.ShouldBe(4);
        seen.Distinct().Count().ShouldBe(4);
    }

    [Theory]
    [InlineData("mail", "mail-sorter,calendar")]
    [InlineData("mail+sorts", "mail-sorter")]
    [InlineData("mail -meetings", "mail-sorter")]
    [InlineData("lint", "linter")]
    [InlineData("mail+sor", "mail-sorter")]
    [InlineData("Cale", "calendar")]
    [InlineData("mistakes", "linter")]
    [InlineData("lniter", "linter")]
    [InlineData("callendar", "calendar")]
    [InlineData("zzzzqqq", "")]
    [InlineData("'; DROP TABLE marketplace.agents; --", "")]
    [InlineData("%25_%5C", "")]
    [InlineData("!!! %26%7C()", "")]
    public async Task Search_finds_words_prefixes_and_typos(string q, string names) =>
        Names(await app.GetJsonAsync("/search?q=" + q)).ShouldBe(names);

    [Fact]
    public async Task Search_honours_category_and_sort()
    {
        Names(await app.GetJsonAsync("/search?q=mail&sort=newest")).ShouldBe("calendar,mail-sorter");
        Names(await app.GetJsonAsync("/search?q=mail&category=devtools")).ShouldBe("");
    }

    [Fact]
    public async Task Trending_counts_the_downloads_of_the_period()
    {
        Names(await app.GetJsonAsync("/trending")).ShouldBe("mail-sorter,linter,calendar,logbook");
        await using var command = app.Database.CreateCommand(
            "UPDATE marketplace.download_hours SET hour = hour - interval '3 days' WHERE agent_id = (SELECT id FROM marketplace.agents WHERE name = 'mail-sorter')");
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);

        Names(await app.GetJsonAsync("/trending?period=day")).ShouldBe("linter,calendar,mail-sorter,logbook");
        Names(await app.GetJsonAsync("/trending?period=week&limit=1")).ShouldBe("mail-sorter");
    }

    [Fact]
    public async Task All_ten_categories_are_listed_with_their_counts()
    {
        var categories = (await app.GetJsonAsync("/categories")).GetProperty("categories").EnumerateArray().ToList();

        categories.Count.ShouldBe(10);
        categories[0].GetProperty("slug").GetString().ShouldBe("productivity");
        categories[0].GetProperty("name").GetString().ShouldBe("Productivity");
        categories[0].GetProperty("count").GetInt64().ShouldBe(2);
        categories.Sum(category => category.GetProperty("count").GetInt64()).ShouldBe(4);
    }

    [Fact]
    public async Task A_list_item_has_every_field_of_the_contract()
    {
        var agent = (await app.GetJsonAsync("/agents?limit=1")).GetProperty("agents")[0];

        agent.EnumerateObject().Select(member => member.Name).ShouldBe(
            ["scope", "name", "full_name", "description", "category", "tags", "latest_version", "download_count", "star_count", "is_verified", "author", "updated_at"]);
        agent.GetProperty("full_name").GetString().ShouldBe("@acme/mail-sorter");
        agent.GetProperty("author").GetProperty("username").GetString().ShouldBe("acme");
        agent.GetProperty("updated_at").GetString()!.ShouldMatch(@"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$");
    }

    [Fact]
    public async Task A_detail_has_every_field_of_the_contract()
    {
        var agent = await app.GetJsonAsync("/agents/%40acme/linter");

        foreach (var field in (string[])["scope", "name", "full_name", "description", "readme", "category", "tags", "license", "repository", "latest_version",
            "download_count", "star_count", "is_verified", "is_featured", "author", "permissions", "mcp_servers", "examples", "created_at", "updated_at",
            "homepage", "is_deprecated", "versions"])
            agent.TryGetProperty(field, out _).ShouldBeTrue(field);
        agent.GetProperty("permissions").GetProperty("execute_commands").GetBoolean().ShouldBeFalse();
        agent.GetProperty("license").GetString().ShouldBe("MIT");
        agent.GetProperty("versions")[0].GetProperty("version").GetString().ShouldBe("1.0.0");
        var versions = await app.GetJsonAsync("/agents/@acme/linter/versions");
        versions.GetProperty("versions")[0].EnumerateObject().Select(member => member.Name).ShouldBe(["version", "tarball_size", "download_count", "published_at"]);
        DateTimeOffset.Parse(agent.GetProperty("versions")[0].GetProperty("published_at").GetString()!)
            .ShouldBe(versions.GetProperty("versions")[0].GetProperty("published_at").GetDateTimeOffset());
    }

    [Fact]
    public async Task A_user_has_a_profile_and_agents()
    {
        var user = await app.GetJsonAsync("/users/ACME");
        user.EnumerateObject().Select(member => member.Name).ShouldBe(
            ["username", "display_name", "avatar_url", "bio", "website", "agent_count", "total_downloads", "created_at"]);
        user.GetProperty("agent_count").GetInt64().ShouldBe(4);
        user.GetProperty("total_downloads").GetInt64().ShouldBe(6);
        Names(await app.GetJsonAsync("/users/acme/agents")).ShouldBe("mail-sorter,linter,calendar,logbook");
        (await (await app.SendAsync(HttpMethod.Get, "/users/nobody")).ShouldBeAsync(404)).GetProperty("error").GetString().ShouldBe("User not found");
        await (await app.SendAsync(HttpMethod.Get, "/users/nobody/agents")).ShouldBeAsync(404);
    }

    [Theory]
    [InlineData("/agents?page=0", "page")]
    [InlineData("/agents?page=-1", "page")]
    [InlineData("/agents?page=x", "page")]
    [InlineData("/agents?page=99999999999", "page")]
    [InlineData("/agents?limit=many", "limit")]
    [InlineData("/agents?page=501", "Numbered pages end")]
    [InlineData("/agents?sort=size", "Invalid sort")]
    [InlineData("/agents?cursor=nonsense!", "cursor")]
    [InlineData("/search", "Missing required query parameter: q")]
    [InlineData("/search?q=%20", "Missing required query parameter: q")]
    [InlineData("/search?q=%ff%fe", "'q'")]
    [InlineData("/search?q=a%00b", "'q'")]
    [InlineData("/trending?period=year", "Invalid period. Use day, week, or month.")]
    public async Task Bad_parameters_get_400_and_say_which(string path, string text)
    {
        var error = await (await app.SendAsync(HttpMethod.Get, path)).ShouldBeAsync(400);

        error.GetProperty("error").GetString()!.ShouldContain(text);
        error.GetProperty("message").GetString().ShouldBe(error.GetProperty("error").GetString());
    }

    [Theory]
    [InlineData("/agents/@acme/none", "Agent not found")]
    [InlineData("/agents/@none/linter", "Agent not found")]
    [InlineData("/agents/@a_b/linter", "Agent not found")]
    [InlineData("/agents/@acme/none/versions", "Agent not found")]
    [InlineData("/agents/@acme/none/download/1.0.0", "Agent not found")]
    [InlineData("/agents/@acme/linter/download/9.9.9", "Version not found")]
    [InlineData("/agents/@acme/linter/download/latest", "Version not found")]
    [InlineData("/nothing", "No such route")]
    public async Task What_is_not_there_gets_404(string path, string text) =>
        (await (await app.SendAsync(HttpMethod.Get, path)).ShouldBeAsync(404)).GetProperty("error").GetString()!.ShouldContain(text);

    [Theory]
    [InlineData("""{"agent_name":"mail-sorter","agent_version":"1.0.0","success":true,"duration_ms":3500,"os":"darwin","cli_version":"0.1.0"}""")]
    [InlineData("""{"agent":"@acme/linter","version":"1.0.0","success":false,"duration_ms":0,"error_type":"timeout","more":1}""")]
    public async Task Both_telemetry_bodies_are_accepted(string body)
    {
        var answer = await (await app.SendAsync(HttpMethod.Post, "/telemetry", content: new StringContent(body, Encoding.UTF8, "application/json"))).ShouldBeAsync(200);

        answer.GetProperty("ok").GetBoolean().ShouldBeTrue();
    }

    [Theory]
    [InlineData("{", "Invalid JSON")]
    [InlineData("[]", "Invalid request body: $: the value has a wrong type")]
    [InlineData("null", "Invalid request body")]
    [InlineData("""{"agent":"a","success":true,"duration_ms":"5"}""", "$.duration_ms")]
    [InlineData("""{"agent":"a","success":true,"duration_ms":3600001}""", "Invalid telemetry event")]
    [InlineData("""{"success":true,"duration_ms":1}""", "Invalid telemetry event")]
    [InlineData("""{"agent":"a","duration_ms":1}""", "Invalid telemetry event")]
    [InlineData("""{"agent":"a\u0000","success":true,"duration_ms":1}""", "Invalid telemetry event")]
    public async Task Bad_telemetry_gets_400(string body, string text) =>
        (await (await app.SendAsync(HttpMethod.Post, "/telemetry", content: new StringContent(body, Encoding.UTF8, "application/json"))).ShouldBeAsync(400))
            .GetProperty("error").GetString()!.ShouldContain(text);

    private static string Names(JsonElement page) =>
        string.Join(',', page.GetProperty("agents").EnumerateArray().Select(agent => agent.GetProperty("name").GetString()));
}
