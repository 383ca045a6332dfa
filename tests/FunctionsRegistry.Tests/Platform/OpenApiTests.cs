using System.Net;
using System.Reflection;
using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Functions.OpenApi;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.Platform;

public sealed class OpenApiTests(RegistryApp app) : IClassFixture<RegistryApp>
{
    [Fact]
    public void Every_function_says_what_it_answers_or_that_it_is_no_operation() =>
        OpenApiDocuments.Functions()
            .Where(function => !function.Method.DeclaringType!.IsDefined(typeof(SameOperationsAttribute)) && !function.Method.IsDefined(typeof(AnswersAttribute)))
            .Select(function => function.Name).ShouldBeEmpty();

    [Fact]
    public void Every_reader_of_a_body_says_what_it_reads() =>
        OpenApiDocuments.Functions().Where(function => function.Trigger.Methods!.Any(method => method is "put" or "patch") && !function.Method.IsDefined(typeof(BodyAttribute))
                && !function.Method.DeclaringType!.IsDefined(typeof(SameOperationsAttribute)))
            .Select(function => function.Name).ShouldBe(["agents_star"]);

    [Theory]
    [InlineData("")]
    [InlineData("/agentx")]
    [InlineData("/dhg")]
    [InlineData("/hokusai")]
    [InlineData("/indexagent")]
    [InlineData("/evolution")]
    [InlineData("/airflow")]
    public async Task A_document_is_whole(string prefix)
    {
        var document = JsonNode.Parse(await app.Client.GetStringAsync(prefix + "/openapi.json"))!;

        document["openapi"]!.GetValue<string>().ShouldBe("3.1.0");
        var operations = document["paths"]!.AsObject().SelectMany(path => path.Value!.AsObject()).Where(member => member.Value is JsonObject).Select(member => member.Value!).ToList();
        operations.Count.ShouldBeGreaterThan(12);
        operations.Select(operation => operation["operationId"]!.GetValue<string>()).ShouldBeUnique();
        operations.ShouldAllBe(operation => operation["responses"]!.AsObject().Count > 1);
        // Every reference leads somewhere, and every component is referred to.
        var text = document.ToJsonString();
        foreach (var (name, _) in document["components"]!["schemas"]!.AsObject())
            text.ShouldContain($"#/components/schemas/{name}\"");
        var check = new JsonSchemaCheck(document);
        Walk(document, node => check.Resolve(node).ShouldNotBeNull());
        foreach (var path in document["paths"]!.AsObject())
            path.Key.Split('{').Skip(1).Select(part => part.Split('}')[0]).ShouldBe(
                path.Value!["parameters"]?.AsArray().Select(parameter => parameter!["name"]!.GetValue<string>()) ?? [], path.Key);
    }

    // Answers have more members than the contracts show; what they do show has its place.
    [Fact]
    public async Task The_contracts_examples_are_shown_and_every_member_of_theirs_is_described()
    {
        var document = JsonNode.Parse(await app.Client.GetStringAsync("/openapi.json"))!;
        var check = new JsonSchemaCheck(document);
        var (shown, faults) = (new HashSet<string>(), new List<string>());
        foreach (var (path, item) in document["paths"]!.AsObject())
            foreach (var (verb, operation) in item!.AsObject().Where(member => member.Value is JsonObject))
            {
                var media = (operation!["responses"]!.AsObject().Select(answer => answer.Value!["content"]?["application/json"]) ?? []).Append(operation["requestBody"]?["content"]?["application/json"]);
                foreach (var one in media.Where(one => one?["example"] is not null))
                {
                    shown.Add($"{verb.ToUpperInvariant()} {System.Text.RegularExpressions.Regex.Replace(path, @"\{\w+\}", "{}")}");
                    faults.AddRange(check.Check(one!["example"], one["schema"]).Where(fault => !fault.EndsWith(" is missing", StringComparison.Ordinal)).Select(fault => $"{verb} {path}: {fault}"));
                }
            }

        // Of areas that are served.
        OpenApiDocuments.Examples.Select(example => example.Key).Where(key => document["paths"]!.AsObject().Any(path => path.Key.StartsWith(Area(key), StringComparison.Ordinal)))
            .Except(shown).ShouldBeEmpty();
        shown.Count.ShouldBeGreaterThan(40);
        faults.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_page_and_a_document_of_an_unknown_contract_are_404()
    {
        foreach (var path in (string[])["/nothing/docs", "/nothing/openapi.json", "/nothing/redoc", "/page-assets/README.md", "/page-assets/..%2Fhost.json", "/nothing/page-assets/page.css"])
            (await app.Client.GetAsync(path)).StatusCode.ShouldBe(HttpStatusCode.NotFound, path);
    }

    [Fact]
    public async Task Pages_load_nothing_from_elsewhere_and_their_files_may_be_kept_for_ever()
    {
        foreach (var page in (string[])["/docs", "/redoc", "/airflow/docs", "/hokusai/redoc", "/"])
        {
            var response = await app.Client.GetAsync(page);
            response.StatusCode.ShouldBe(HttpStatusCode.OK);
            response.Headers.GetValues("Content-Security-Policy").Single().ShouldStartWith("default-src 'none'");
            var html = await response.Content.ReadAsStringAsync();
            var files = System.Text.RegularExpressions.Regex.Matches(html, "(?:src|href)=\"([^\"]*page-assets[^\"]*)\"").Select(match => match.Groups[1].Value).ToList();
            files.ShouldNotBeEmpty();
            html.ShouldNotContain("src=\"http");
            foreach (var file in files)
            {
                var asset = await app.Client.GetAsync(new Uri(new Uri(app.Client.BaseAddress!, page), file));
                asset.StatusCode.ShouldBe(HttpStatusCode.OK);
                asset.Headers.CacheControl!.ToString().ShouldContain("immutable");
                using var again = new HttpRequestMessage(HttpMethod.Get, new Uri(new Uri(app.Client.BaseAddress!, page), file)) { Headers = { IfNoneMatch = { asset.Headers.ETag! } } };
                (await app.Client.SendAsync(again)).StatusCode.ShouldBe(HttpStatusCode.NotModified);
            }
        }
    }

    [Fact]
    public async Task The_front_page_is_json_for_programs()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/") { Headers = { { "Accept", "application/json" } } };
        var state = JsonNode.Parse(await (await app.Client.SendAsync(request)).Content.ReadAsStringAsync())!;

        state["health"]!["status"]!.GetValue<string>().ShouldBe("healthy");
        state["counts"]!["dag_runs"]!.GetValue<long>().ShouldBe(await app.ScalarAsync<long>("SELECT count(*) FROM airflow.dag_runs"));
        state["contracts"]!.AsArray().Select(contract => contract!["docs"]!.GetValue<string>()).ShouldContain("/airflow/docs");
    }

    [Theory]
    [InlineData("name")]
    [InlineData("name:")]
    [InlineData("name: text")]
    [InlineData("a: string(1)")]
    [InlineData("a: boolean(1..2)")]
    [InlineData("a: {b: string")]
    [InlineData("a: string b: string]")]
    public void A_wrong_notation_is_refused(string text) => Should.Throw<FormatException>(() => FieldNotation.Parse(text));

    [Fact]
    public void Names_types_and_what_is_optional_are_read_back() => Prop.ForAll(
        ArbMap.Default.GeneratorFor<bool>().Zip(Gen.Elements("string", "integer", "number", "boolean", "uuid", "time", "object", "string[]", "a|b", "{x: string}[]")).ListOf().ToArbitrary(),
        fields =>
        {
            var schema = FieldNotation.Parse(string.Join(", ", fields.Select((field, place) => $"f{place}{(field.Item1 ? "?" : "")}: {field.Item2}")));
            var required = schema["required"]?.AsArray().Select(one => one!.GetValue<string>()) ?? [];
            return schema["properties"]!.AsObject().Count == fields.Count
                && required.SequenceEqual(fields.Select((field, place) => (field.Item1, Name: $"f{place}")).Where(field => !field.Item1).Select(field => field.Name));
        }).QuickCheckThrowOnFailure();

    private static string Area(string key) => string.Join('/', key.Split(' ')[1].Split("/{")[0].Split('/').Take(5));

    private static void Walk(JsonNode? node, Action<JsonNode> visit)
    {
        if (node is JsonObject members)
        {
            if (members["$ref"] is JsonValue)
                visit(members);
            foreach (var (_, member) in members)
                Walk(member, visit);
        }
        else if (node is JsonArray items)
        {
            foreach (var item in items)
                Walk(item, visit);
        }
    }
}
