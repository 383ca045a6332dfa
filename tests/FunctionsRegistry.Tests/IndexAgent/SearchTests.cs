using System.Text.Json;
using FunctionsRegistry.Tests.Marketplace;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.IndexAgent;

/// <summary>Two small repositories that all tests of the class search.</summary>
public sealed class Library(TestServices services) : IndexAgentApp(services)
{
    public override async ValueTask InitializeAsync()
    {
        await base.InitializeAsync();
        await UploadAsync("alpha",
            ("src/handlers/async_handler.py", "\"\"\"Handlers.\"\"\"\n\nclass AsyncHandler:\n    \"\"\"Handles requests one after the other.\"\"\"\n\n    async def handle_request(self, request):\n        return await self.queue.put(request)\n"),
            ("src/parser.py", "def parse_query(text):\n    \"\"\"Turns what people type into a tree.\"\"\"\n    return Tree(text)\n\n\ndef other():\n    # calls parse_query for the async part\n    return parse_query('x')\n"),
            ("tests/test_parser.py", "def test_parse_query_reads_words():\n    assert parse_query('a')\n"),
            ("README.md", "# Alpha\n\nparse_query is described here. Handles requests.\n"));
        await UploadAsync("beta",
            ("lib/Server.cs", "namespace Beta;\n\n/// <summary>Listens for connections on a socket.</summary>\npublic class Server\n{\n    /// <summary>Closes everything at once.</summary>\n    public void Shutdown()\n    {\n        _listener.Stop(); // gently\n    }\n\n    public int CountOpenSockets() => _sockets.Count;\n}\n"),
            ("lib/util.go", "package util\n\n// ReadAll reads to the end of the socket.\nfunc ReadAll(s *Socket) error {\n\treturn s.drain(\"until end\")\n}\n"));
    }
}

public sealed class SearchTests(Library app) : IClassFixture<Library>
{
    [Theory]
    [InlineData("async handler", "src/handlers/async_handler.py")]
    [InlineData("parse query", "src/parser.py")]
    [InlineData("parseQuery", "src/parser.py")]
    [InlineData("PARSE_QUERY", "src/parser.py")]
    [InlineData("sym:readall", "lib/util.go")]
    [InlineData("sym:Count*", "lib/Server.cs")]
    [InlineData("\"listener.Stop()\"", "lib/Server.cs")]
    [InlineData("\"UNTIL  END\"", "lib/util.go")]
    [InlineData("/func\\s+Read\\w+\\(s/", "lib/util.go")]
    [InlineData("lang:go", "lib/util.go")]
    [InlineData("file:*.go", "lib/util.go")]
    [InlineData("path:handlers async", "src/handlers/async_handler.py")]
    [InlineData("closes everything", "lib/Server.cs")]
    [InlineData("socket repo:beta lang:csharp", "lib/Server.cs")]
    [InlineData("closing sockets", "lib/Server.cs")]
    public async Task The_best_hit_is_the_one_meant(string query, string path) => (await app.PathsAsync(query))[0].ShouldBe(path);

    [Theory]
    [InlineData("socket -lang:go", "lib/Server.cs")]
    [InlineData("parse_query -path:tests/** -lang:markdown", "src/parser.py")]
    [InlineData("(shutdown OR drain) -\"until end\"", "lib/Server.cs")]
    [InlineData("shutdown OR drain", "lib/Server.cs lib/util.go")]
    [InlineData("repo:beta path:*.cs", "lib/Server.cs")]
    [InlineData("repo:al* lang:md", "README.md")]
    [InlineData("-lang:python -lang:md", "lib/Server.cs lib/util.go")]
    [InlineData("sym:shutdown OR sym:other", "lib/Server.cs src/parser.py")]
    [InlineData("/^def other/", "src/parser.py")]
    [InlineData("nosuchwordanywhere", "")]
    [InlineData("\"no such text\"", "")]
    [InlineData("socket path:nowhere/**", "")]
    public async Task Files_are_restricted_as_the_query_says(string query, string paths) =>
        string.Join(' ', (await app.PathsAsync(query)).Distinct().Order(StringComparer.Ordinal)).ShouldBe(paths);

    [Fact]
    public async Task A_hit_shows_where_it_is_and_what_is_around_it()
    {
        var answer = await app.SearchAsync("closes everything");

        answer.GetProperty("query").GetString().ShouldBe("closes everything");
        answer.GetProperty("execution_time_ms").ValueKind.ShouldBe(JsonValueKind.Number);
        var hit = answer.GetProperty("results")[0];
        hit.GetProperty("id").GetString()!.ShouldMatch("^result-[0-9a-f]{8}$");
        hit.GetProperty("repository").GetString().ShouldBe("beta");
        hit.GetProperty("file_path").GetString().ShouldBe("lib/Server.cs");
        hit.GetProperty("line_number").GetInt32().ShouldBe(6);
        hit.GetProperty("snippet").GetString()!.ShouldStartWith("/// <summary>Closes everything at once.</summary>\npublic void Shutdown()");
        hit.GetProperty("context").GetString().ShouldBe("method Server.Shutdown: Closes everything at once");
        hit.GetProperty("score").GetDouble().ShouldBeInRange(0.4, 1);
        answer.TryGetProperty("parameters", out _).ShouldBeFalse();
    }

    [Fact]
    public async Task The_contract_s_filters_restrict_and_combine()
    {
        var answer = await app.PostAsync("/search", new { query = "parse_query", repositories = (string[]?)null, limit = 1, filters = new { language = "py", min_score = 0.1 }, file_types = new[] { ".py" } });

        answer.GetProperty("results").GetArrayLength().ShouldBe(1);
        answer.GetProperty("total_results").GetInt64().ShouldBe(3);
        answer.GetProperty("results")[0].GetProperty("language").GetString().ShouldBe("python");
        (await app.PostAsync("/search", new { query = "parse_query", filters = new { min_score = 1.0 } })).GetProperty("total_results").GetInt64().ShouldBe(0);
        (await app.PostAsync("/search", new { query = "parse_query", limit = 0 })).GetProperty("results").GetArrayLength().ShouldBe(0);
        (await app.PostAsync("/search", new { query = "parse_query", limit = -1 })).GetProperty("total_results").GetInt64().ShouldBeGreaterThan(0);
    }

    [Fact]
    public async Task A_higher_least_score_only_takes_hits_away()
    {
        var all = (await app.PostAsync("/search", new { query = "parse_query OR socket", limit = 100 })).GetProperty("results").EnumerateArray().ToList();
        all.Count.ShouldBeGreaterThan(2);
        foreach (var least in all.Select(hit => hit.GetProperty("score").GetDouble()))
        {
            var some = await app.PostAsync("/search", new { query = "parse_query OR socket", limit = 100, filters = new { min_score = least - 0.000001 } });
            var expected = all.Where(hit => hit.GetProperty("score").GetDouble() >= least - 0.000001).Select(hit => hit.GetProperty("id").GetString()).ToList();
            some.GetProperty("results").EnumerateArray().Select(hit => hit.GetProperty("id").GetString()).ToList().ShouldBe(expected);
            some.GetProperty("total_results").GetInt64().ShouldBe(expected.Count);
        }
    }

    [Fact]
    public async Task The_parts_of_an_explained_score_add_up()
    {
        var answer = await app.PostAsync("/search", new { query = "parse query", explain = true });
        foreach (var hit in answer.GetProperty("results").EnumerateArray())
            hit.GetProperty("explain").EnumerateObject().Sum(part => part.Value.GetDouble()).ShouldBe(hit.GetProperty("score").GetDouble(), 0.0001);
        answer.GetProperty("results")[0].GetProperty("explain").GetProperty("definition").GetDouble().ShouldBeGreaterThan(0);
    }

    [Fact]
    public async Task Nothing_that_has_all_words_gives_what_has_some_and_says_so()
    {
        var answer = await app.SearchAsync("shutdown zzzunknown");

        answer.GetProperty("relaxed").GetBoolean().ShouldBeTrue();
        answer.GetProperty("results")[0].GetProperty("file_path").GetString().ShouldBe("lib/Server.cs");
        (await app.SearchAsync("shutdown")).GetProperty("relaxed").GetBoolean().ShouldBeFalse();
    }

    [Fact]
    public async Task The_same_search_gives_the_same_answer()
    {
        static string Strip(JsonElement answer) => answer.GetProperty("results").GetRawText();

        var first = Strip(await app.SearchAsync("socket request query"));
        for (var i = 0; i < 5; i++)
            Strip(await app.SearchAsync("socket request query")).ShouldBe(first);
    }

    [Fact]
    public async Task Repositories_that_are_not_indexed_are_named_and_the_built_in_corpus_stands_in()
    {
        var one = await app.SearchAsync("socket", "beta", "gamma");
        one.GetProperty("parameters").GetProperty("missing")[0].GetString().ShouldBe("gamma");
        one.GetProperty("parameters").GetProperty("corpus").GetString().ShouldBe("beta");

        var none = await app.SearchAsync("tarball intake", "gamma");
        none.GetProperty("parameters").GetProperty("corpus").GetString().ShouldBe("built-in");
        none.GetProperty("results")[0].GetProperty("file_path").GetString().ShouldBe("shared/Archives/TarballIntake.cs");
        (await app.PathsAsync("tarball intake")).ShouldBeEmpty();
    }

    [Theory]
    [InlineData("foo \"bar", "the quote is not closed at character 5. Corrected query: foo \"bar\"")]
    [InlineData("", "the query is empty at character 1. Corrected query: example")]
    public async Task A_query_that_cannot_be_read_is_answered_with_one_that_can(string query, string message)
    {
        var error = await app.PostAsync("/search", new { query }, 422);

        error.GetProperty("detail")[0].GetProperty("msg").GetString().ShouldBe(message);
        error.GetProperty("detail")[0].GetProperty("loc").GetRawText().ShouldBe("[\"body\",\"query\"]");
    }

    [Fact]
    public async Task Wrong_fields_are_told_all_at_once()
    {
        var error = await app.PostAsync("/search", new { limit = "many", filters = new { min_score = 2 }, repositories = "x" }, 422);

        error.GetProperty("detail").EnumerateArray().Select(fault => string.Join('.', fault.GetProperty("loc").EnumerateArray())).ShouldBe(
            ["body.query", "body.repositories", "body.limit", "body.filters.min_score"], ignoreOrder: true);
        var unknown = await app.PostAsync("/search", new { query = "x", filters = new { language = "klingon" } }, 422);
        unknown.GetProperty("detail")[0].GetProperty("msg").GetString()!.ShouldContain("no known language");
    }

    [Fact]
    public async Task An_agent_ranks_with_its_own_genome()
    {
        var zero = new Dictionary<string, double>
        {
            ["body"] = 0,
            ["comment"] = 4,
            ["name"] = 0,
            ["path"] = 0,
            ["file"] = 0,
            ["coverage"] = 0,
            ["identifier"] = 0,
            ["definition"] = 0,
            ["phrase"] = 0,
            ["proximity"] = 0,
            ["test"] = 0,
            ["docs"] = 0,
        };
        var agent = await app.PostAsync("/agents", new { name = "comments only", parameters = new { genome = zero } });

        var answer = await app.PostAsync($"/agents/{agent.GetProperty("id").GetString()}/search", new { query = "parse_query", explain = true });

        // The one section that mentions it in a comment.
        var hit = answer.GetProperty("results")[0];
        hit.GetProperty("symbol").GetString().ShouldBe("other");
        hit.GetProperty("explain").EnumerateObject().Select(part => part.Name).ShouldBe(["comment"]);
        (await app.SearchAsync("parse_query")).GetProperty("results")[0].GetProperty("symbol").GetString().ShouldBe("parse_query");
        await app.PostAsync("/agents/agent-none/search", new { query = "x" }, 404);
    }

    [Fact]
    public async Task Searches_and_their_time_are_counted()
    {
        var before = (await app.GetAsync("/evolution/metrics")).GetProperty("metrics");
        for (var i = 0; i < 3; i++)
            await app.SearchAsync("socket");

        var after = (await app.GetAsync("/metrics")).GetProperty("search_queries").GetInt64();

        (after - before.GetProperty("search_queries").GetInt64()).ShouldBeGreaterThanOrEqualTo(3);
        (await app.GetAsync("/metrics")).GetProperty("avg_query_time_ms").GetDouble().ShouldBeGreaterThan(0);
    }

    [Fact]
    public async Task Hostile_queries_never_break_the_service()
    {
        var random = new Random(9);
        var parts = new[] { "a", "\"", "/", "(", ")", "OR", "-", "sym:", "*", "%", "_", "\\", "'", ";--", "\u0001", "é", "\U0001F600", "[", "{", "path:", "**", "lang:go", " ", " ", "repo:'" };
        for (var round = 0; round < 150; round++)
        {
            var query = string.Concat(Enumerable.Range(0, random.Next(1, 12)).Select(_ => parts[random.Next(parts.Length)]));
            using var response = await app.Client.PostAsync("/indexagent/search", System.Net.Http.Json.JsonContent.Create(new { query }));
            ((int)response.StatusCode).ShouldBeOneOf([200, 422], $"{query}: {await response.Content.ReadAsStringAsync()}");
        }
    }

    [Fact]
    public async Task Health_and_the_index_s_state_are_told()
    {
        var health = await app.GetAsync("/health");
        health.GetProperty("status").GetString().ShouldBe("healthy");
        health.GetProperty("service").GetString().ShouldBe("indexagent-stub");
        health.GetProperty("timestamp").GetString()!.ShouldMatch(@"^[\d-]{10}T[\d:]{8}(\.\d{6})?Z$");
        var status = await app.GetAsync("/search/index/status");
        status.GetProperty("status").GetString().ShouldBe("ready");
        status.GetProperty("indexed_repositories").GetInt64().ShouldBe(3);
        status.GetProperty("total_files").GetInt64().ShouldBeGreaterThan(40);
    }
}
