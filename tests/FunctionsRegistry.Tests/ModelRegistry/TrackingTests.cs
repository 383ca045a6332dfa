using System.Text.Json;
using static FunctionsRegistry.Tests.ModelRegistry.HokusaiApp;

namespace FunctionsRegistry.Tests.ModelRegistry;

/// <summary>Experiments and runs as MLflow's client drives them (contracts/hokusai.md, section 5).</summary>
public sealed class TrackingTests(HokusaiApp app) : IClassFixture<HokusaiApp>
{
    [Fact]
    public async Task The_default_experiment_exists()
    {
        var experiment = (await app.GetAsync("experiments/get?experiment_id=0")).GetProperty("experiment");

        experiment.Str("name").ShouldBe("Default");
        experiment.Str("artifact_location").ShouldBe("mlflow-artifacts:/0");
        experiment.Str("lifecycle_stage").ShouldBe("active");
    }

    [Fact]
    public async Task An_experiment_is_made_found_renamed_deleted_and_restored()
    {
        var name = "exp " + Guid.CreateVersion7();
        (await app.GetAsync("experiments/get-by-name?experiment_name=" + Uri.EscapeDataString(name), 404)).Code().ShouldBe("RESOURCE_DOES_NOT_EXIST");

        var id = (await app.PostAsync("experiments/create", $$"""{"name": {{Text(name)}}, "tags": [{"key": "team", "value": "a"}]}""")).Str("experiment_id")!;
        await app.PostAsync("experiments/set-experiment-tag", $$"""{"experiment_id": "{{id}}", "key": "team", "value": "b"}""");
        await app.PostAsync("experiments/update", $$"""{"experiment_id": "{{id}}", "new_name": {{Text(name + "2")}}}""");
        var found = (await app.GetAsync("experiments/get-by-name?experiment_name=" + Uri.EscapeDataString(name + "2"))).GetProperty("experiment");
        found.Str("experiment_id").ShouldBe(id);
        found.GetProperty("tags")[0].Str("value").ShouldBe("b");

        var run = await app.CreateRunAsync(id);
        await app.PostAsync("experiments/delete", $$"""{"experiment_id": "{{id}}"}""");
        (await app.GetAsync("experiments/get?experiment_id=" + id)).GetProperty("experiment").Str("lifecycle_stage").ShouldBe("deleted");
        (await app.GetRunAsync(run)).GetProperty("info").Str("lifecycle_stage").ShouldBe("deleted");
        var taken = await app.PostAsync("experiments/create", $$"""{"name": {{Text(name + "2")}}}""", 400);
        taken.Code().ShouldBe("RESOURCE_ALREADY_EXISTS");
        taken.Message().ShouldContain("deleted state");
        (await app.PostAsync("runs/create", $$"""{"experiment_id": "{{id}}"}""", 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE");

        await app.PostAsync("experiments/restore", $$"""{"experiment_id": "{{id}}"}""");
        (await app.GetRunAsync(run)).GetProperty("info").Str("lifecycle_stage").ShouldBe("active");
    }

    [Fact]
    public async Task A_run_logs_and_shows_the_latest_of_each_metric()
    {
        var id = await app.CreateRunAsync(more: """, "run_name": "first", "user_id": "me", "run_uuid": "ignored", "tags": [{"key": "mlflow.user", "value": "me"}]""");
        await app.PostAsync("runs/log-metric", $$"""{"run_id": "{{id}}", "run_uuid": "{{id}}", "key": "loss", "value": 0.5, "timestamp": 1000, "step": 2, "model_id": ""}""");
        await app.PostAsync("runs/log-metric", $$"""{"run_id": "{{id}}", "key": "loss", "value": 9, "timestamp": "2000", "step": "1"}""");
        await app.PostAsync("runs/log-parameter", $$"""{"run_id": "{{id}}", "key": "depth", "value": "3"}""");
        await app.PostAsync("runs/set-tag", $$"""{"run_id": "{{id}}", "key": "mlflow.runName", "value": "renamed"}""");
        var updated = await app.PostAsync("runs/update", $$"""{"run_id": "{{id}}", "status": "FINISHED", "end_time": 1700000001000}""");
        updated.GetProperty("run_info").GetProperty("end_time").GetInt64().ShouldBe(1700000001000);

        var run = await app.GetRunAsync(id);

        var info = run.GetProperty("info");
        (info.Str("run_name"), info.Str("status"), info.Str("user_id")).ShouldBe(("renamed", "FINISHED", "me"));
        info.Str("artifact_uri").ShouldBe($"mlflow-artifacts:/0/{id}/artifacts");
        run.GetProperty("data").GetProperty("metrics").GetRawText().ShouldBe("""[{"key":"loss","value":0.5,"timestamp":1000,"step":2}]""");
        run.GetProperty("data").GetProperty("params").GetRawText().ShouldBe("""[{"key":"depth","value":"3"}]""");
        run.GetProperty("data").GetProperty("tags").Each("key").ShouldBe(["mlflow.runName", "mlflow.user"]);
    }

    [Fact]
    public async Task NaN_and_infinities_go_both_ways_as_texts()
    {
        var id = await app.CreateRunAsync();
        await app.PostAsync("runs/log-batch", $$"""
            {"run_id": "{{id}}", "metrics": [{"key": "a", "value": "NaN", "timestamp": 1, "step": 0}, {"key": "b", "value": "Infinity", "timestamp": 1},
             {"key": "c", "value": "-Infinity", "timestamp": 1, "step": -5}]}
            """);

        (await app.GetRunAsync(id)).GetProperty("data").GetProperty("metrics").Each("value").ShouldBe(["NaN", "Infinity", "-Infinity"]);
        (await app.GetAsync($"metrics/get-history?run_id={id}&metric_key=a")).GetProperty("metrics").Each("value").ShouldBe(["NaN"]);
    }

    [Fact]
    public async Task A_batch_sent_again_is_stored_once()
    {
        var id = await app.CreateRunAsync();
        var batch = $$"""
            {"run_id": "{{id}}", "metrics": [{"key": "m", "value": 1, "timestamp": 5, "step": 1}, {"key": "m", "value": 1, "timestamp": 5, "step": 1},
             {"key": "m", "value": 2, "timestamp": 6, "step": 2}], "params": [{"key": "p", "value": "x"}], "tags": [{"key": "t", "value": "1"}, {"key": "t", "value": "2"}]}
            """;
        for (var i = 0; i < 3; i++)
            await app.PostAsync("runs/log-batch", batch);

        (await app.GetAsync($"metrics/get-history?run_id={id}&metric_key=m")).GetProperty("metrics").Each("step").ShouldBe(["1", "2"]);
        (await app.GetRunAsync(id)).GetProperty("data").GetProperty("tags").EnumerateArray().Single(tag => tag.Str("key") == "t").Str("value").ShouldBe("2");
    }

    [Fact]
    public async Task A_param_with_another_value_refuses_the_whole_batch()
    {
        var id = await app.CreateRunAsync();
        await app.PostAsync("runs/log-parameter", $$"""{"run_id": "{{id}}", "key": "lr", "value": "0.1"}""");
        await app.PostAsync("runs/log-parameter", $$"""{"run_id": "{{id}}", "key": "lr", "value": "0.1"}""");

        var error = await app.PostAsync("runs/log-batch", $$"""
            {"run_id": "{{id}}", "metrics": [{"key": "m", "value": 1, "timestamp": 5}], "params": [{"key": "lr", "value": "0.2"}, {"key": "new", "value": "1"}]}
            """, 400);

        error.Code().ShouldBe("INVALID_PARAMETER_VALUE");
        error.Message().ShouldContain("Param with key='lr' was already logged with value='0.1'");
        error.Message().ShouldContain("Attempted logging new value '0.2'");
        var data = (await app.GetRunAsync(id)).GetProperty("data");
        data.GetProperty("metrics").GetArrayLength().ShouldBe(0);
        data.GetProperty("params").GetArrayLength().ShouldBe(1);
    }

    [Fact]
    public async Task One_of_many_writers_of_a_param_wins_and_the_others_are_told()
    {
        var id = await app.CreateRunAsync();
        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(async i =>
        {
            using var content = new StringContent($$"""{"run_id": "{{id}}", "key": "p", "value": "{{i}}"}""", System.Text.Encoding.UTF8, "application/json");
            using var response = await app.Client.PostAsync(Mlflow + "runs/log-parameter", content);
            return (i, (int)response.StatusCode);
        }));

        var winner = answers.Single(answer => answer.Item2 == 200).i;
        answers.Count(answer => answer.Item2 == 400).ShouldBe(19);
        (await app.GetRunAsync(id)).GetProperty("data").GetProperty("params")[0].Str("value").ShouldBe(winner.ToString());
    }

    [Fact]
    public async Task A_history_is_paged_in_order_without_gaps()
    {
        var id = await app.CreateRunAsync();
        for (var from = 0; from < 2500; from += 500)
            await app.PostAsync("runs/log-batch", JsonSerializer.Serialize(new
            {
                run_id = id,
                metrics = Enumerable.Range(from, 500).Select(i => new { key = "m", value = i * 0.5, timestamp = 1000 + i / 3, step = i }),
            }));

        var steps = new List<string>();
        for (string? token = ""; token is not null;)
        {
            var page = await app.GetAsync($"metrics/get-history?run_id={id}&metric_key=m&max_results=999&page_token={token}");
            steps.AddRange(page.GetProperty("metrics").Each("step"));
            token = page.TryGetProperty("next_page_token", out var next) ? next.GetString() : null;
        }
        steps.ShouldBe(Enumerable.Range(0, 2500).Select(i => i.ToString()));
        (await app.GetAsync($"metrics/get-history?run_id={id}&metric_key=m&page_token=%24%24", 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE");
    }

    [Fact]
    public async Task A_deleted_run_refuses_logs_and_comes_back()
    {
        var id = await app.CreateRunAsync();
        await app.PostAsync("runs/delete", $$"""{"run_id": "{{id}}"}""");
        (await app.PostAsync("runs/log-metric", $$"""{"run_id": "{{id}}", "key": "m", "value": 1, "timestamp": 1}""", 400)).Message().ShouldContain("must be in the 'active' state");
        (await app.PostAsync("runs/update", $$"""{"run_id": "{{id}}", "status": "FAILED"}""", 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE");
        await app.PostAsync("runs/restore", $$"""{"run_id": "{{id}}"}""");
        await app.PostAsync("runs/log-metric", $$"""{"run_id": "{{id}}", "key": "m", "value": 1, "timestamp": 1}""");
    }

    [Theory]
    [InlineData("""{"key": "m", "value": 1, "timestamp": 1}""", "run_id")]
    [InlineData("""{"run_id": "RUN", "value": 1, "timestamp": 1}""", "key")]
    [InlineData("""{"run_id": "RUN", "key": "m", "timestamp": 1}""", "value")]
    [InlineData("""{"run_id": "RUN", "key": "m", "value": 1}""", "timestamp")]
    [InlineData("""{"run_id": "RUN", "key": "m", "value": "abc", "timestamp": 1}""", "$.value")]
    [InlineData("""{"run_id": "RUN", "key": "m", "value": 1, "timestamp": -1}""", "nonnegative")]
    [InlineData("""{"run_id": "RUN", "key": "../m", "value": 1, "timestamp": 1}""", "Invalid metric name")]
    [InlineData("""{"run_id": "RUN", "key": "a\u0000b", "value": 1, "timestamp": 1}""", "Invalid metric name")]
    [InlineData("""{"run_id": "RUN", "key": "m'; DROP TABLE runs --", "value": 1, "timestamp": 1}""", "Invalid metric name")]
    [InlineData("""{"run_id": "../../etc", "key": "m", "value": 1, "timestamp": 1}""", "Invalid run ID")]
    [InlineData("""{"run_id": "RUN", "key": """, "line 1")]
    [InlineData("""[]""", "$")]
    [InlineData("""null""", "$")]
    public async Task A_bad_metric_is_told_where_it_is_bad(string body, string place)
    {
        var id = await app.CreateRunAsync();
        var error = await app.PostAsync("runs/log-metric", body.Replace("RUN", id, StringComparison.Ordinal), 400);

        error.Code().ShouldBe("INVALID_PARAMETER_VALUE");
        error.Message().ShouldContain(place);
        error.TryGetProperty("request_id", out _).ShouldBeTrue();
    }

    [Fact]
    public async Task Limits_of_a_batch_are_mlflow_s()
    {
        var id = await app.CreateRunAsync();
        async Task<string> Refused(object batch) => (await app.PostAsync("runs/log-batch", JsonSerializer.Serialize(batch), 400)).Message();

        (await Refused(new { run_id = id, metrics = Enumerable.Range(0, 1001).Select(i => new { key = "m", value = i, timestamp = 1 }) })).ShouldContain("at most 1000 metrics");
        (await Refused(new { run_id = id, @params = Enumerable.Range(0, 101).Select(i => new { key = "p" + i, value = "1" }) })).ShouldContain("at most 100 params");
        (await Refused(new { run_id = id, tags = Enumerable.Range(0, 101).Select(i => new { key = "t" + i, value = "1" }) })).ShouldContain("at most 100 tags");
        (await Refused(new
        {
            run_id = id,
            metrics = Enumerable.Range(0, 950).Select(i => new { key = "m", value = i, timestamp = 1 }),
            @params = Enumerable.Range(0, 51).Select(i => new { key = "p" + i, value = "1" }),
        })).ShouldContain("metrics, params, and tags");
        (await Refused(new { run_id = id, @params = new[] { new { key = "a", value = "1" }, new { key = "a", value = "1" } } })).ShouldContain("Duplicate parameter keys");
        (await Refused(new { run_id = id, @params = new[] { new { key = "a", value = new string('x', 6001) } } })).ShouldContain("length limit of 6000");
        (await Refused(new { run_id = id, tags = new[] { new { key = "a", value = new string('x', 8001) } } })).ShouldContain("length limit of 8000");
        (await Refused(new { run_id = id, tags = new[] { new { key = new string('k', 251), value = "1" } } })).ShouldContain("length limit of 250");
        (await Refused(new { run_id = id, metrics = new object?[] { null } })).ShouldContain("metrics[0]");
        (await Refused(new { run_id = id, tags = new[] { new { key = "a", value = new string('x', 1_000_001) } } })).ShouldContain("1000000 bytes");
    }

    [Fact]
    public async Task Datasets_and_the_model_history_are_kept_with_the_run()
    {
        var id = await app.CreateRunAsync();
        var inputs = $$"""
            {"run_id": "{{id}}", "datasets": [{"tags": [{"key": "mlflow.data.context", "value": "train"}],
             "dataset": {"name": "iris", "digest": "abc", "source_type": "http", "source": "src", "schema": "s"} }]}
            """;
        await app.PostAsync("runs/log-inputs", inputs);
        await app.PostAsync("runs/log-inputs", inputs);
        var model = Text($$"""{"artifact_path": "model", "flavors": {}, "utc_time_created": "now", "run_id": "{{id}}"}""");
        await app.PostAsync("runs/log-model", $$"""{"run_id": "{{id}}", "model_json": {{model}}}""");

        var run = await app.GetRunAsync(id);
        var input = run.GetProperty("inputs").GetProperty("dataset_inputs")[0];
        input.GetProperty("dataset").Str("name").ShouldBe("iris");
        input.GetProperty("tags")[0].Str("value").ShouldBe("train");
        run.GetProperty("inputs").GetProperty("dataset_inputs").GetArrayLength().ShouldBe(1);
        var history = run.GetProperty("data").GetProperty("tags").EnumerateArray().Single(tag => tag.Str("key") == "mlflow.log-model.history").Str("value")!;
        JsonDocument.Parse(history).RootElement[0].Str("artifact_path").ShouldBe("model");
        (await app.PostAsync("runs/log-model", $$"""{"run_id": "{{id}}", "model_json": "{}"}""", 400)).Message().ShouldContain("mandatory fields");
        var twice = Text($$"""{"artifact_path": "a", "artifact_path": "b", "flavors": {}, "utc_time_created": "now", "run_id": "{{id}}"}""");
        await app.PostAsync("runs/log-model", $$"""{"run_id": "{{id}}", "model_json": {{twice}}}""");
    }

    [Fact]
    public async Task What_mlflow_does_not_have_is_an_unknown_endpoint()
    {
        (await app.PostAsync("runs/unknown", "{}", 404)).Code().ShouldBe("ENDPOINT_NOT_FOUND");
        (await app.GetAsync("runs/create", 404)).Code().ShouldBe("ENDPOINT_NOT_FOUND");
        (await app.GetAsync("/hokusai/mlflow/api/9.0/mlflow/runs/get", 404)).Code().ShouldBe("ENDPOINT_NOT_FOUND");
        (await app.GetAsync("/hokusai/mlflow/nothing", 404)).Code().ShouldBe("ENDPOINT_NOT_FOUND");
        (await app.GetAsync("/hokusai/api/mlflow/api/2.0/mlflow/experiments/get?experiment_id=0")).GetProperty("experiment").Str("experiment_id").ShouldBe("0");
        (await app.GetAsync("/hokusai/mlflow/ajax-api/2.0/mlflow/experiments/get?experiment_id=0")).GetProperty("experiment").Str("experiment_id").ShouldBe("0");
        (await app.Client.GetStringAsync("/hokusai/mlflow/health")).ShouldBe("OK");
    }
}
