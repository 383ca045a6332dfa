using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Marketplace;

namespace FunctionsRegistry.Tests.Marketplace;

public sealed class ManifestTests
{
    private const string Good = """
        {"name":"mailer","version":"1.2.0","description":"Reads mail","author":"@acme","license":"MIT","tags":["a"],"category":"productivity",
         "requires":{"claude_cli":">=1","node":">=18","os":["linux"]},"mcp_servers":{"gmail":{"command":"npx","args":["x"],"env":{"A":"b"}}},
         "secrets":[{"name":"KEY","required":true}],"permissions":{"filesystem":false,"network":true},"config":[{"key":"k","default":""}],
         "examples":[{"prompt":"p","description":"d"}],"allowed_tools":["Read"],"schedule":[{"name":"n","cron":"0 9 * * 1-5","prompt":"p"}],
         "pre_run":[{"command":"c","args":["a"],"background":true}],"repository":"https://example.org/x","unknown":{"kept":1}}
        """;

    [Fact]
    public void A_full_manifest_is_read()
    {
        var manifest = ManifestValidator.Parse(Good);

        manifest.Scope.ShouldBe("@acme");
        manifest.McpServers.ShouldBe(["gmail"]);
        manifest.Repository.ShouldBe("https://example.org/x");
        manifest.Json.ShouldContain("unknown");
    }

    public static TheoryData<string, string, string> Faults => new()
    {
        { "name", "null", "agent.yaml: name must be a string" },
        { "name", "\"\"", "agent.yaml: name must not be empty" },
        { "name", "\"Mail_er\"", "agent.yaml: name 'Mail_er' may hold only lower-case letters, digits and hyphens" },
        { "name", "\"" + new string('a', 101) + "\"", "agent.yaml: name may have at most 100 characters" },
        { "version", "\"1.2\"", "agent.yaml: version '1.2' is not valid semver" },
        { "version", "\"v1.0.0\"", "agent.yaml: version 'v1.0.0' is not valid semver" },
        { "version", "\"01.2.3\"", "agent.yaml: version '01.2.3' is not valid semver" },
        { "version", "\"1.0.0-..\"", "agent.yaml: version '1.0.0-..' is not valid semver" },
        { "description", "7", "agent.yaml: description must be a string" },
        { "description", "\"a\\u0000\"", "agent.yaml: description must be text without NUL and lone surrogates" },
        { "description", "\"\\ud800\"", "agent.yaml: description must be text without NUL and lone surrogates" },
        { "author", "\"acme\"", "agent.yaml: author 'acme' must be @ and a GitHub user name" },
        { "author", "\"@\"", "agent.yaml: author '@' must be @ and a GitHub user name" },
        { "author", "\"@A/../b\"", "agent.yaml: author '@A/../b' must be @ and a GitHub user name" },
        { "license", "null", "agent.yaml: license must be a string" },
        { "tags", "\"x\"", "agent.yaml: tags must be a list of strings" },
        { "tags", "[\"a\",1]", "agent.yaml: tags[1] must be a string" },
        { "tags", "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\"]", "agent.yaml: tags may have at most 10 entries" },
        { "mcp_servers", "{\"a\":{}}", "agent.yaml: missing required field 'mcp_servers.a.command'" },
        { "mcp_servers", "[]", "agent.yaml: mcp_servers must be an object" },
        { "secrets", "[{}]", "agent.yaml: missing required field 'secrets[0].name'" },
        { "permissions", "{\"network\":\"yes\"}", "agent.yaml: permissions.network must be true or false" },
        { "examples", "[{\"prompt\":1}]", "agent.yaml: examples[0].prompt must be a string" },
        { "schedule", "[{\"cron\":\"daily at 9\",\"prompt\":\"p\"}]", "agent.yaml: schedule[0].cron 'daily at 9' is not a cron expression" },
        { "pre_run", "[{\"command\":\"c\",\"background\":1}]", "agent.yaml: pre_run[0].background must be true or false" },
        { "repository", "\"ftp://x\"", "agent.yaml: repository must be an http or https URL" },
        { "requires", "7", "agent.yaml: requires must be an object" },
    };

    [Theory, MemberData(nameof(Faults))]
    public void Each_rule_has_its_own_words(string member, string value, string fault)
    {
        var members = JsonSerializer.Deserialize<Dictionary<string, JsonElement>>(Good)!;
        var json = "{" + string.Join(",", members.Select(pair => $"\"{pair.Key}\":{(pair.Key == member ? value : pair.Value.GetRawText())}")) + "}";

        Refusal(json).ShouldBe([fault]);
    }

    [Fact]
    public void All_faults_come_at_once() => Refusal("{}").ShouldBe(
    [
        "agent.yaml: missing required field 'name'", "agent.yaml: missing required field 'version'",
        "agent.yaml: missing required field 'description'", "agent.yaml: missing required field 'author'",
    ]);

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("name: x")]
    [InlineData("""{"name":"a","name":"b"}""")]
    public void What_is_no_json_is_refused_as_such(string json) =>
        Should.Throw<RegistryException>(() => ManifestValidator.Parse(json)).Message.ShouldBe("Invalid JSON in agent_yaml field");

    [Fact]
    public void Any_json_is_accepted_or_refused_and_never_crashes()
    {
        var scalar = Gen.Elements("1", "null", "true", "\"x\"", "\"@a\"", "\"1.0.0\"", "[]", "{}", "[[]]", "{\"a\":{}}", "\"\\ud800\"", "[{}]", "1e400");
        var names = JsonSerializer.Deserialize<Dictionary<string, JsonElement>>(Good)!.Keys.ToArray();
        var value = from names1 in Gen.SubListOf(names) from values in Gen.ListOf(scalar, names1.Count) select "{" + string.Join(",", names1.Zip(values, (n, v) => $"\"{n}\":{v}")) + "}";

        Prop.ForAll(Arb.From(value), json =>
        {
            try
            {
                return ManifestValidator.Parse(json) is not null;
            }
            catch (RegistryException)
            {
                return true;
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));
    }

    [Fact]
    public void The_version_order_is_total_and_follows_semver()
    {
        var part = Gen.Choose(0, 12).Select(number => number.ToString());
        var pre = Gen.Elements("", "", "-alpha", "-alpha.1", "-beta-2", "-1", "+b1", "-rc.1+x");
        var version = from a in part from b in part from c in part from suffix in pre select $"{a}.{b}.{c}{suffix}";
        var three = from a in version from b in version from c in version select (a, b, c);

        Prop.ForAll(Arb.From(three), versions =>
        {
            var (a, b, c) = versions;
            var antisymmetric = Math.Sign(PackageVersion.Compare(a, b)) == -Math.Sign(PackageVersion.Compare(b, a));
            var transitive = !(PackageVersion.Compare(a, b) <= 0 && PackageVersion.Compare(b, c) <= 0) || PackageVersion.Compare(a, c) <= 0;
            var same = (PackageVersion.Compare(a, b) == 0) == (a == b);
            return antisymmetric && transitive && same && PackageVersion.Latest([a, b, c]) == PackageVersion.Latest([c, b, a]);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(1000));
    }

    [Theory]
    [InlineData("1.0.0,2.0.0,1.5.0", "2.0.0")]
    [InlineData("1.0.0,2.0.0-rc.1", "1.0.0")]
    [InlineData("1.0.0-a,1.0.0-b", "1.0.0-b")]
    [InlineData("1.9.0,1.10.0", "1.10.0")]
    [InlineData("", null)]
    public void Latest_is_the_highest_release_or_else_the_highest(string versions, string? latest) =>
        PackageVersion.Latest(versions.Split(',', StringSplitOptions.RemoveEmptyEntries)).ShouldBe(latest);

    [Theory]
    [InlineData("acme", "@acme")]
    [InlineData("@acme", "@acme")]
    [InlineData("@a-b", "@a-b")]
    [InlineData("@a--b", null)]
    [InlineData("@-a", null)]
    [InlineData("@a_b", null)]
    [InlineData("", null)]
    [InlineData("@", null)]
    public void Scopes_are_github_logins(string text, string? scope)
    {
        AgentNames.TryScope(text, out var found);
        found.ShouldBe(scope);
    }

    [Theory]
    [InlineData("gmail Agent", "gmail & Agent", "agent")]
    [InlineData("a:b|c", "a & b & c", "c")]
    [InlineData("mail -spam", "mail & !spam", null)]
    [InlineData("-only", null, null)]
    [InlineData("!!!", null, null)]
    public void A_search_becomes_a_query_that_cannot_be_malformed(string text, string? query, string? beginning)
    {
        SearchQuery.ToTsQuery(text).ShouldBe(query);
        SearchQuery.ToBeginning(text).ShouldBe(beginning);
    }

    [Fact]
    public void What_is_still_being_typed_becomes_any_of_the_words_that_begin_so() =>
        SearchQuery.ToTsQuery("read ma", ["mail", "map"]).ShouldBe("read & (mail | map)");

    private static string[] Refusal(string json)
    {
        var error = Should.Throw<RegistryException>(() => ManifestValidator.Parse(json));
        error.Message.ShouldBe("Validation failed");
        return [.. error.Fields.Select(field => field.Message)];
    }
}
