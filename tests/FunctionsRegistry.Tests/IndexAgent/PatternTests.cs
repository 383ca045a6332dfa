using FunctionsRegistry.IndexAgent;
using FunctionsRegistry.Tests.Marketplace;

namespace FunctionsRegistry.Tests.IndexAgent;

public sealed class PatternTests(IndexAgentApp app) : IClassFixture<IndexAgentApp>
{
    [Fact]
    public void Structure_forgets_names_and_values() =>
        PatternMiner.StructureOf(Language.Find("csharp")!, "if (order == null) // check\n    throw new OrderError(\"gone\", 42);\n{\n}\n/* x */\n").ShouldBe(
            ["if ($ == null)", "throw new $(\"\", #);"]);

    [Fact]
    public void Lines_that_many_files_share_are_a_pattern()
    {
        var miner = new PatternMiner();
        var language = Language.Find("csharp")!;
        for (var file = 0; file < 10; file++)
        {
            miner.BeginFile();
            miner.Add(language, file < 8
                ? $"public int F{file}(Order order{file})\nif (order{file} == null)\n    throw new Error{file}(\"none\", {file + 5});\nreturn order{file}.Count;\n"
                : $"public int F{file}(Order order{file})\nif (order{file} == null)\n    return {file};\n");
        }

        var found = miner.Finish();

        var guard = found.First(pattern => pattern.Lines.Contains("throw new $(\"\", #);"));
        guard.Files.ShouldBe(8);
        guard.Type.ShouldBe("bug_fix");
        guard.Confidence.ShouldBe(0.8);
        guard.Description.ShouldStartWith("csharp: ");
        found.ShouldAllBe(pattern => pattern.Confidence > 0 && pattern.Confidence <= 1 && pattern.Files >= 3);
    }

    [Fact]
    public async Task Patterns_of_a_repository_are_listed_filtered_and_applied()
    {
        await app.UploadAsync("patterned", [.. Enumerable.Range(0, 6).Select(i => ($"src/f{i}.py",
            $"async def load_{i}(client{i}):\n    async with client{i}.open() as stream{i}:\n        data{i} = await stream{i}.read({i + 2})\n    if data{i} is None:\n        raise LoadError{i}('none', {i + 9})\n    return data{i}.decode()\n"))]);
        var all = await WaitForPatternsAsync();

        var confidences = all.EnumerateArray().Select(pattern => pattern.GetProperty("confidence").GetDouble()).ToList();
        confidences.ShouldBe(confidences.OrderDescending());
        var pattern = all.EnumerateArray().First(one => one.GetProperty("type").GetString() == "bug_fix");
        pattern.GetProperty("repositories")[0].GetString().ShouldBe("patterned");
        pattern.GetProperty("occurrences").GetInt64().ShouldBe(6);
        var typed = await app.GetAsync("/patterns?pattern_type=bug_fix&min_confidence=0.5&limit=1");
        typed.GetProperty("patterns").GetArrayLength().ShouldBe(1);
        typed.GetProperty("filters").GetRawText().ShouldBe("{\"pattern_type\":\"bug_fix\",\"min_confidence\":0.5}");
        (await app.GetAsync("/patterns?type=nosuch&min_effectiveness=0.2")).GetProperty("total").GetInt64().ShouldBe(0);
        foreach (var query in new[] { "min_confidence=1.5", "limit=0", "offset=-1", "min_confidence=x" })
            await app.GetAsync("/patterns?" + query, 422);

        var id = pattern.GetProperty("id").GetString();
        var agent = (await app.PostAsync("/agents", new { name = "learner" })).GetProperty("id").GetString();
        (await app.PostAsync("/patterns/apply", new { pattern_id = id, agent_ids = new[] { agent } })).GetProperty("affected_agents").GetInt32().ShouldBe(1);
        (await app.PostAsync("/patterns/apply", new { pattern_id = id, agent_ids = new[] { agent } })).GetProperty("affected_agents").GetInt32().ShouldBe(0);
        (await app.PostAsync("/patterns/apply", new { pattern_id = id, agent_ids = Array.Empty<string>() })).GetProperty("affected_agents").GetInt32().ShouldBe(0);
        await app.PostAsync("/agents", new { name = "another learner" });
        (await app.PostAsync("/patterns/apply", new { pattern_id = id, agent_ids = (string[]?)null })).GetProperty("affected_agents").GetInt32().ShouldBe(1);
        (await app.GetAsync($"/agents/{agent}")).GetProperty("config").GetProperty("parameters").GetProperty("patterns")[0].GetString().ShouldBe(id);
        await app.PostAsync("/patterns/apply", new { pattern_id = "pattern-none" }, 404);
        await app.PostAsync("/patterns/apply", new { pattern_id = id, agent_ids = new[] { "agent-none" } }, 404);

        await (await app.Client.DeleteAsync("/indexagent/repositories/patterned")).ShouldBeAsync(200);
        (await app.GetAsync("/patterns")).GetProperty("total").GetInt64().ShouldBe(0);
    }

    private async Task<System.Text.Json.JsonElement> WaitForPatternsAsync()
    {
        // Mined after the index is ready, as the orchestration's last step.
        for (var i = 0; i < 200; i++)
        {
            var answer = await app.GetAsync("/patterns");
            if (answer.GetProperty("total").GetInt64() > 0)
                return answer.GetProperty("patterns");
            await Task.Delay(50);
        }
        throw new TimeoutException("No pattern was mined within 10 s.");
    }
}
