using System.Text.Json;
using static FunctionsRegistry.Tests.ModelRegistry.HokusaiApp;

namespace FunctionsRegistry.Tests.ModelRegistry;

/// <summary>Search over runs, experiments and models, against PostgreSQL.</summary>
public sealed class SearchTests(HokusaiApp app) : IClassFixture<HokusaiApp>
{
    private async Task<string> RunAsync(string experiment, string name, double? loss = null, string? optimizer = null, long start = 0, string? tag = null)
    {
        var run = (await app.PostAsync("runs/create", $$"""{"experiment_id": "{{experiment}}", "run_name": "{{name}}", "start_time": {{start}}}"""))
            .GetProperty("run").GetProperty("info").Str("run_id")!;
        await app.PostAsync("runs/log-batch", JsonSerializer.Serialize(new
        {
            run_id = run,
            metrics = loss is null ? [] : new[] { new { key = "loss", value = double.IsFinite(loss.Value) ? (object)loss.Value : "NaN", timestamp = 1 } },
            @params = optimizer is null ? [] : new[] { new { key = "optimizer", value = optimizer } },
            tags = tag is null ? [] : new[] { new { key = "team's tag", value = tag } }.Select(pair => new { key = "team", pair.value }).ToArray(),
        }));
        return run;
    }

    private async Task<string[]> FindAsync(string experiment, string filter, params string[] orderBy)
    {
        var found = await app.PostAsync("runs/search", JsonSerializer.Serialize(new { experiment_ids = new[] { experiment }, filter, order_by = orderBy }));
        return found.GetProperty("runs").Each("info", "run_name");
    }

    [Fact]
    public async Task Filters_choose_runs()
    {
        var e = await app.CreateExperimentAsync();
        var a = await RunAsync(e, "a", 0.1, "adam", 1, "red");
        await RunAsync(e, "b", 0.2, "ADAM%", 2, "blue");
        await RunAsync(e, "c", double.NaN, "sgd", 3);
        await RunAsync(e, "d", start: 4);
        await app.PostAsync("runs/update", $$"""{"run_id": "{{a}}", "status": "FINISHED", "end_time": 9}""");

        (await FindAsync(e, "")).ShouldBe(["d", "c", "b", "a"]);
        (await FindAsync(e, "metrics.loss > 0.15")).ShouldBe(["b"]);
        (await FindAsync(e, "metrics.loss != 0.1")).ShouldBe(["c", "b"]);
        (await FindAsync(e, "metrics.loss < 1 and params.optimizer = 'adam'")).ShouldBe(["a"]);
        (await FindAsync(e, "params.optimizer LIKE 'ad%'")).ShouldBe(["a"]);
        (await FindAsync(e, "params.optimizer ILIKE 'ad%'")).ShouldBe(["b", "a"]);
        (await FindAsync(e, "params.optimizer != 'adam'")).ShouldBe(["c", "b"]);
        (await FindAsync(e, "params.optimizer LIKE 'a\\'")).ShouldBe([]);
        (await FindAsync(e, "tags.team IS NULL")).ShouldBe(["d", "c"]);
        (await FindAsync(e, "tags.team IS NOT NULL AND tags.`team` IN ('red', 'green')")).ShouldBe(["a"]);
        (await FindAsync(e, "attributes.status = 'FINISHED'")).ShouldBe(["a"]);
        (await FindAsync(e, "start_time >= 3")).ShouldBe(["d", "c"]);
        (await FindAsync(e, "end_time = 9")).ShouldBe(["a"]);
        (await FindAsync(e, $"run_id = '{a}'")).ShouldBe(["a"]);
        (await FindAsync(e, $"attributes.run_id IN ('{a}', 'no-such-id')")).ShouldBe(["a"]);
        (await FindAsync(e, $"run_id NOT IN ('{a}')")).ShouldBe(["d", "c", "b"]);
        (await FindAsync(e, "attributes.`Run name` = 'b'")).ShouldBe(["b"]);
        (await FindAsync(e, $"artifact_uri LIKE '%{a}/artifacts'")).ShouldBe(["a"]);
    }

    [Fact]
    public async Task Sorting_puts_missing_values_last_in_both_directions()
    {
        var e = await app.CreateExperimentAsync();
        await RunAsync(e, "high", 0.9, "b", 1);
        await RunAsync(e, "low", -1, "a", 2);
        await RunAsync(e, "nan", double.NaN, start: 3);
        await RunAsync(e, "none", start: 4);

        (await FindAsync(e, "", "metrics.loss ASC")).ShouldBe(["low", "high", "nan", "none"]);
        (await FindAsync(e, "", "metrics.loss DESC")).ShouldBe(["high", "low", "nan", "none"]);
        (await FindAsync(e, "", "params.optimizer DESC", "start_time ASC")).ShouldBe(["high", "low", "nan", "none"]);
        (await FindAsync(e, "", "attributes.start_time ASC")).ShouldBe(["high", "low", "nan", "none"]);
        (await FindAsync(e, "", "run_name DESC")).ShouldBe(["none", "nan", "low", "high"]);
    }

    [Theory]
    [InlineData("metrics.loss ASC")]
    [InlineData("metrics.loss DESC", "params.optimizer")]
    [InlineData("end_time")]
    [InlineData("tags.team DESC", "run_name DESC")]
    [InlineData()]
    public async Task Pages_join_to_the_whole_list(params string[] orderBy)
    {
        var e = await app.CreateExperimentAsync();
        for (var i = 0; i < 23; i++)
            await RunAsync(e, "r" + i, i % 5 == 0 ? double.NaN : i % 3 == 0 ? null : i % 4, i % 2 == 0 ? "o" + i % 3 : null, i % 6, i % 7 == 0 ? "t" : null);
        var whole = await FindAsync(e, "", orderBy);
        whole.Length.ShouldBe(23);

        var pages = new List<string>();
        string? token = null;
        do
        {
            var page = await app.PostAsync("runs/search", JsonSerializer.Serialize(new { experiment_ids = new[] { e }, order_by = orderBy, max_results = 4, page_token = token }));
            pages.AddRange(page.GetProperty("runs").Each("info", "run_name"));
            token = page.TryGetProperty("next_page_token", out var next) ? next.GetString() : null;
        }
        while (token is not null);

        pages.ShouldBe(whole);
    }

    [Theory]
    [InlineData("metrics.loss > 'a'", "position 16")]
    [InlineData("metrics.loss LIKE 5", "position 19")]
    [InlineData("params.a > 'x'", "position 12")]
    [InlineData("params.a = 5", "position 12")]
    [InlineData("status = 5", "position 10")]
    [InlineData("colour = 'red'", "unknown name 'colour'")]
    [InlineData("things.a = 'red'", "unknown name 'things.a'")]
    [InlineData("attributes.run_id > 'x'", "allows =, !=, LIKE, ILIKE, IN or NOT IN only")]
    [InlineData("start_time IS NULL", "allows =, !=, <, <=, > or >= only")]
    [InlineData("datasets.colour = 'x'", "unknown name")]
    [InlineData("tags.a = 'x' OR tags.b = 'y'", "position 14")]
    public async Task A_filter_that_makes_no_sense_is_told_where(string filter, string place)
    {
        var error = await app.PostAsync("runs/search", JsonSerializer.Serialize(new { experiment_ids = new[] { "0" }, filter }), 400);

        error.Code().ShouldBe("INVALID_PARAMETER_VALUE");
        error.Message().ShouldContain(place);
    }

    [Fact]
    public async Task Bad_orders_tokens_and_sizes_are_refused()
    {
        async Task<string> Refused(object search)
        {
            var error = await app.PostAsync("runs/search", JsonSerializer.Serialize(search), 400);
            error.Code().ShouldBe("INVALID_PARAMETER_VALUE");
            return error.Message();
        }

        (await Refused(new { experiment_ids = new[] { "0" }, order_by = new[] { "colour" } })).ShouldContain("order_by");
        (await Refused(new { experiment_ids = new[] { "0" }, page_token = "x" })).ShouldContain("page token");
        (await Refused(new { experiment_ids = new[] { "0" }, page_token = "WyJhIiwiYiJd" })).ShouldContain("page token");
        (await Refused(new { experiment_ids = new[] { "0" }, max_results = 50_001 })).ShouldContain("max_results");
        (await Refused(new { experiment_ids = new[] { "0" }, max_results = 0 })).ShouldContain("max_results");
        (await Refused(new { experiment_ids = new[] { "0" }, run_view_type = "SOME" })).ShouldContain("view type");
        (await app.PostAsync("runs/search", """{"experiment_ids": []}""")).GetProperty("runs").GetArrayLength().ShouldBe(0);
        (await app.PostAsync("runs/search", """{"experiment_ids": ["12345678", "'; DROP TABLE mlflow.runs"]}""")).GetProperty("runs").GetArrayLength().ShouldBe(0);
    }

    [Fact]
    public async Task Values_and_keys_with_quotes_are_only_text()
    {
        var e = await app.CreateExperimentAsync();
        var run = await app.CreateRunAsync(e);
        foreach (var value in new[] { "it's", "a\"b`c", "x'; DROP TABLE mlflow.runs; --", "100%_\\", "名前" })
        {
            await app.PostAsync("runs/set-tag", JsonSerializer.Serialize(new { run_id = run, key = "k", value }));
            var found = await app.PostAsync("runs/search", JsonSerializer.Serialize(new
            {
                experiment_ids = new[] { e },
                filter = $"tags.k = '{value.Replace("'", "''", StringComparison.Ordinal)}'",
            }));
            found.GetProperty("runs").GetArrayLength().ShouldBe(1, value);
        }
    }

    [Fact]
    public async Task Views_show_the_active_the_deleted_or_all()
    {
        var e = await app.CreateExperimentAsync();
        await RunAsync(e, "kept");
        await app.PostAsync("runs/delete", $$"""{"run_id": "{{await RunAsync(e, "gone")}}"}""");
        async Task<int> CountAsync(string view) =>
            (await app.PostAsync("runs/search", JsonSerializer.Serialize(new { experiment_ids = new[] { e }, run_view_type = view }))).GetProperty("runs").GetArrayLength();

        (await CountAsync("ACTIVE_ONLY"), await CountAsync("DELETED_ONLY"), await CountAsync("ALL")).ShouldBe((1, 1, 2));
    }

    [Fact]
    public async Task Experiments_are_searched_by_name_and_tag_over_get_and_post()
    {
        var mark = Guid.CreateVersion7().ToString("N");
        var id = (await app.PostAsync("experiments/create", $$"""{"name": "one-{{mark}}", "tags": [{"key": "m", "value": "{{mark}}"}]}""")).Str("experiment_id")!;
        await app.CreateExperimentAsync("two-" + mark);

        (await app.GetAsync("experiments/search?max_results=1000&filter=" + Uri.EscapeDataString($"name LIKE '%{mark}'") + "&order_by=name%20DESC&order_by=experiment_id"))
            .GetProperty("experiments").Each("name").ShouldBe(["two-" + mark, "one-" + mark]);
        (await app.PostAsync("experiments/search", JsonSerializer.Serialize(new { filter = $"tags.m = '{mark}'", view_type = "ALL", max_results = 5 })))
            .GetProperty("experiments").Each("experiment_id").ShouldBe([id]);
        (await app.GetAsync("experiments/search?max_results=abc", 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE");
        (await app.GetAsync("experiments/search?filter=colour%20%3D%20'x'", 400)).Message().ShouldContain("position 1");
    }
}
