using System.Text.Json;
using static FunctionsRegistry.Tests.ModelRegistry.HokusaiApp;

namespace FunctionsRegistry.Tests.ModelRegistry;

/// <summary>MLflow's model registry (contracts/hokusai.md, section 5).</summary>
public sealed class RegistryTests(HokusaiApp app) : IClassFixture<HokusaiApp>
{
    private async Task<string> ModelAsync(int versions = 0)
    {
        var name = "model " + Guid.CreateVersion7();
        await app.PostAsync("registered-models/create", $$"""{"name": "{{name}}"}""");
        for (var i = 0; i < versions; i++)
            await VersionAsync(name);
        return name;
    }

    private async Task<string> VersionAsync(string name, string source = "mlflow-artifacts:/models/x") =>
        (await app.PostAsync("model-versions/create", $$"""{"name": "{{name}}", "source": "{{source}}"}""")).GetProperty("model_version").Str("version")!;

    [Fact]
    public async Task A_model_is_made_described_tagged_renamed_and_deleted()
    {
        var name = "m-" + Guid.CreateVersion7();
        var made = (await app.PostAsync("registered-models/create", $$"""{"name": "{{name}}", "description": "d", "tags": [{"key": "a", "value": "1"}]}""")).GetProperty("registered_model");
        made.GetProperty("creation_timestamp").ValueKind.ShouldBe(JsonValueKind.Number);
        (await app.PostAsync("registered-models/create", $$"""{"name": "{{name}}"}""", 400)).Code().ShouldBe("RESOURCE_ALREADY_EXISTS");

        await app.SendAsync(HttpMethod.Patch, "registered-models/update", $$"""{"name": "{{name}}", "description": "better"}""");
        await app.PostAsync("registered-models/set-tag", $$"""{"name": "{{name}}", "key": "b", "value": "2"}""");
        await app.SendAsync(HttpMethod.Delete, "registered-models/delete-tag", $$"""{"name": "{{name}}", "key": "a"}""");
        await app.PostAsync("registered-models/rename", $$"""{"name": "{{name}}", "new_name": "{{name}}-2"}""");
        var found = (await app.GetAsync($"registered-models/get?name={name}-2")).GetProperty("registered_model");
        found.Str("description").ShouldBe("better");
        found.GetProperty("tags").GetRawText().ShouldBe("""[{"key":"b","value":"2"}]""");

        await app.SendAsync(HttpMethod.Delete, "registered-models/delete", $$"""{"name": "{{name}}-2"}""");
        (await app.GetAsync($"registered-models/get?name={name}-2", 404)).Code().ShouldBe("RESOURCE_DOES_NOT_EXIST");
        (await app.SendAsync(HttpMethod.Delete, "registered-models/delete", $$"""{"name": "{{name}}-2"}""", 404)).Code().ShouldBe("RESOURCE_DOES_NOT_EXIST");
    }

    [Fact]
    public async Task A_hundred_creates_at_once_make_a_hundred_consecutive_versions()
    {
        var name = await ModelAsync();
        var versions = await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => VersionAsync(name)));

        versions.Select(int.Parse).Order().ShouldBe(Enumerable.Range(1, 100));
    }

    [Fact]
    public async Task The_number_of_a_deleted_version_is_not_given_again()
    {
        var name = await ModelAsync(2);
        await app.SendAsync(HttpMethod.Delete, "model-versions/delete", $$"""{"name": "{{name}}", "version": "2"}""");

        (await VersionAsync(name)).ShouldBe("3");
        (await app.GetAsync($"model-versions/get?name={name}&version=2", 404)).Code().ShouldBe("RESOURCE_DOES_NOT_EXIST");
    }

    [Fact]
    public async Task A_version_says_where_it_comes_from()
    {
        var (name, run) = (await ModelAsync(), await app.CreateRunAsync());
        var made = (await app.PostAsync("model-versions/create", $$"""
            {"name": "{{name}}", "source": "runs:/{{run}}/model", "run_id": "{{run}}", "run_link": "http://x", "description": "first", "tags": [{"key": "k", "value": "v"}]}
            """)).GetProperty("model_version");
        (made.Str("version"), made.Str("current_stage"), made.Str("status"), made.Str("run_id")).ShouldBe(("1", "None", "READY", run));

        await app.SendAsync(HttpMethod.Patch, "model-versions/update", $$"""{"name": "{{name}}", "version": "1", "description": "changed"}""");
        await app.PostAsync("model-versions/set-tag", $$"""{"name": "{{name}}", "version": "1", "key": "k2", "value": "v2"}""");
        await app.SendAsync(HttpMethod.Delete, "model-versions/delete-tag", $$"""{"name": "{{name}}", "version": "1", "key": "k"}""");
        var found = (await app.GetAsync($"model-versions/get?name={name}&version=1")).GetProperty("model_version");
        found.Str("description").ShouldBe("changed");
        found.GetProperty("tags").Each("key").ShouldBe(["k2"]);
        (await app.GetAsync($"model-versions/get-download-uri?name={name}&version=1")).Str("artifact_uri").ShouldBe($"mlflow-artifacts:/0/{run}/artifacts/model");
        (await app.GetAsync($"model-versions/get?name={name}&version=x", 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE");
    }

    [Fact]
    public async Task Stages_move_and_archive()
    {
        var name = await ModelAsync(3);
        async Task<JsonElement> MoveAsync(string version, string stage, bool archive, int status = 200) => await app.PostAsync(
            "model-versions/transition-stage",
            $$"""{"name": "{{name}}", "version": "{{version}}", "stage": "{{stage}}", "archive_existing_versions": {{(archive ? "true" : "false")}}}""", status);

        (await MoveAsync("1", "production", false)).GetProperty("model_version").Str("current_stage").ShouldBe("Production");
        await MoveAsync("2", "Staging", false);
        await MoveAsync("3", "Production", true);

        (await app.GetAsync($"model-versions/get?name={name}&version=1")).GetProperty("model_version").Str("current_stage").ShouldBe("Archived");
        var latest = (await app.PostAsync("registered-models/get-latest-versions", $$"""{"name": "{{name}}"}""")).GetProperty("model_versions");
        latest.EnumerateArray().ToDictionary(version => version.Str("current_stage")!, version => version.Str("version"))
            .ShouldBe(new Dictionary<string, string?> { ["Archived"] = "1", ["Production"] = "3", ["Staging"] = "2" }, ignoreOrder: true);
        (await app.GetAsync($"registered-models/get-latest-versions?name={name}&stages=Production&stages=Staging")).GetProperty("model_versions").Each("version").Order().ShouldBe(["2", "3"]);
        (await MoveAsync("1", "Live", false, 400)).Message().ShouldContain("None, Staging, Production, Archived");
        (await MoveAsync("1", "None", true, 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE");
        (await MoveAsync("9", "Staging", false, 404)).Code().ShouldBe("RESOURCE_DOES_NOT_EXIST");
    }

    [Fact]
    public async Task Concurrent_transitions_with_archiving_leave_one_version_in_the_stage()
    {
        var name = await ModelAsync(8);
        await Task.WhenAll(Enumerable.Range(1, 8).Select(version => app.PostAsync(
            "model-versions/transition-stage", $$"""{"name": "{{name}}", "version": "{{version}}", "stage": "Production", "archive_existing_versions": true}""")));

        var found = (await app.GetAsync($"model-versions/search?filter={Uri.EscapeDataString($"name='{name}'")}")).GetProperty("model_versions");
        found.Each("current_stage").Count(stage => stage == "Production").ShouldBe(1);
    }

    [Fact]
    public async Task Aliases_point_at_one_version_and_go_with_it()
    {
        var name = await ModelAsync(2);
        await app.PostAsync("registered-models/alias", $$"""{"name": "{{name}}", "alias": "champion", "version": "1"}""");
        await app.PostAsync("registered-models/alias", $$"""{"name": "{{name}}", "alias": "champion", "version": "2"}""");
        (await app.GetAsync($"registered-models/alias?name={name}&alias=champion")).GetProperty("model_version").Str("version").ShouldBe("2");
        (await app.GetAsync($"registered-models/get?name={name}")).GetProperty("registered_model").GetProperty("aliases").GetRawText().ShouldBe("""[{"alias":"champion","version":"2"}]""");

        foreach (var alias in new[] { "latest", "LATEST", "v1", "V22", "a b", "a/b", "" })
            (await app.PostAsync("registered-models/alias", $$"""{"name": "{{name}}", "alias": "{{alias}}", "version": "1"}""", 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE");
        (await app.PostAsync("registered-models/alias", $$"""{"name": "{{name}}", "alias": "x", "version": "9"}""", 404)).Code().ShouldBe("RESOURCE_DOES_NOT_EXIST");
        (await app.GetAsync($"registered-models/alias?name={name}&alias=none", 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE");

        await app.SendAsync(HttpMethod.Delete, "model-versions/delete", $$"""{"name": "{{name}}", "version": "2"}""");
        (await app.GetAsync($"registered-models/get?name={name}")).GetProperty("registered_model").GetProperty("aliases").GetArrayLength().ShouldBe(0);
        await app.SendAsync(HttpMethod.Delete, "registered-models/alias", $$"""{"name": "{{name}}", "alias": "champion"}""");
    }

    [Fact]
    public async Task Models_and_versions_are_searched_and_paged()
    {
        var mark = Guid.CreateVersion7().ToString("N");
        for (var i = 0; i < 5; i++)
            await app.PostAsync("registered-models/create", $$"""{"name": "{{mark}}-{{i}}", "tags": [{"key": "even", "value": "{{i % 2 == 0}}"}]}""");
        for (var i = 0; i < 3; i++)
            await VersionAsync(mark + "-0");

        var filter = Uri.EscapeDataString($"name LIKE '{mark}%'");
        var first = await app.GetAsync($"registered-models/search?filter={filter}&max_results=3&order_by=name%20DESC");
        first.GetProperty("registered_models").Each("name").ShouldBe([$"{mark}-4", $"{mark}-3", $"{mark}-2"]);
        var second = await app.GetAsync($"registered-models/search?filter={filter}&max_results=3&order_by=name%20DESC&page_token={first.Str("next_page_token")}");
        second.GetProperty("registered_models").Each("name").ShouldBe([$"{mark}-1", $"{mark}-0"]);
        second.TryGetProperty("next_page_token", out _).ShouldBeFalse();
        second.GetProperty("registered_models")[1].GetProperty("latest_versions").Each("version").ShouldBe(["3"]);
        (await app.GetAsync("registered-models/search?filter=" + Uri.EscapeDataString($"name ILIKE '{mark.ToUpperInvariant()}%' AND tags.even = 'True'")))
            .GetProperty("registered_models").GetArrayLength().ShouldBe(3);
        (await app.GetAsync("model-versions/search?order_by=version_number%20ASC&filter=" + Uri.EscapeDataString($"name = '{mark}-0' and version_number > 1")))
            .GetProperty("model_versions").Each("version").ShouldBe(["2", "3"]);
        (await app.GetAsync("registered-models/search?filter=colour%3D'x'", 400)).Message().ShouldContain("position 1");
        (await app.GetAsync("registered-models/search?max_results=1001", 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE");
    }

    [Theory]
    [InlineData("a/b", 400)]
    [InlineData("a:1", 400)]
    [InlineData("..", 400)]
    [InlineData("a\\b", 400)]
    [InlineData("", 400)]
    [InlineData("it's \"quoted\" `x` %", 200)]
    [InlineData("模型 é 🦊", 200)]
    public async Task Names_are_taken_or_refused_as_a_whole(string name, int status)
    {
        await app.SendAsync(HttpMethod.Delete, "registered-models/delete", JsonSerializer.Serialize(new { name = "none" }), 404);
        var answer = await app.PostAsync("registered-models/create", JsonSerializer.Serialize(new { name }), status);
        if (status == 200)
            (await app.GetAsync("registered-models/get?name=" + Uri.EscapeDataString(name))).GetProperty("registered_model").Str("name").ShouldBe(name);
        else
            answer.Code().ShouldBe("INVALID_PARAMETER_VALUE");
    }

    [Fact]
    public async Task Names_may_be_long_but_not_too_long()
    {
        var name = Guid.CreateVersion7().ToString("N");
        await app.PostAsync("registered-models/create", JsonSerializer.Serialize(new { name = name + new string('名', 256 - name.Length) }));
        (await app.PostAsync("registered-models/create", JsonSerializer.Serialize(new { name = new string('x', 257) }), 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE");
        await app.CreateExperimentAsync(name + new string('名', 500 - name.Length));
        (await app.PostAsync("experiments/create", JsonSerializer.Serialize(new { name = new string('x', 501) }), 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE");
    }
}
