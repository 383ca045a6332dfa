using System.Text.Json;
using static FunctionsRegistry.Tests.ModelRegistry.HokusaiApp;

namespace FunctionsRegistry.Tests.ModelRegistry;

/// <summary>MLflow 3: log_model with logged models, and traces, as its client drives them.</summary>
public sealed class LoggedModelTests(HokusaiApp app) : IClassFixture<HokusaiApp>
{
    private const string Traces = "/hokusai/mlflow/api/3.0/mlflow/traces";

    [Fact]
    public async Task A_model_is_logged_finalized_found_registered_and_deleted()
    {
        var (experiment, run) = (await app.CreateExperimentAsync(), "");
        run = await app.CreateRunAsync(experiment);
        var made = (await app.PostAsync("logged-models", $$"""
            {"experiment_id": "{{experiment}}", "name": "net", "model_type": "Agent", "source_run_id": "{{run}}", "params": [{"key": "depth", "value": "3"}], "tags": [{"key": "t", "value": "1"}]}
            """)).GetProperty("model");
        var id = made.GetProperty("info").Str("model_id")!;
        made.GetProperty("info").Str("status").ShouldBe("LOGGED_MODEL_PENDING");
        made.GetProperty("info").Str("artifact_uri").ShouldBe($"mlflow-artifacts:/{experiment}/models/{id}/artifacts");

        await app.PutArtifactAsync($"{experiment}/models/{id}/artifacts/MLmodel", "x"u8.ToArray());
        await app.PostAsync("runs/outputs", $$"""{"run_id": "{{run}}", "models": [{"model_id": "{{id}}", "step": 7}]}""");
        await app.PostAsync("runs/log-batch", $$"""{"run_id": "{{run}}", "metrics": [{"key": "acc", "value": 0.9, "timestamp": 1, "step": 1, "model_id": "{{id}}", "dataset_name": "d", "dataset_digest": "1"}]}""");
        await app.PostAsync($"logged-models/{id}/params", """{"params": [{"key": "width", "value": "4"}, {"key": "depth", "value": "9"}]}""");
        await app.SendAsync(HttpMethod.Patch, $"logged-models/{id}/tags", """{"tags": [{"key": "t", "value": "2"}, {"key": "u", "value": "3"}]}""");
        await app.SendAsync(HttpMethod.Delete, $"logged-models/{id}/tags/u", null);
        (await app.SendAsync(HttpMethod.Patch, $"logged-models/{id}", $$"""{"model_id": "{{id}}", "status": "LOGGED_MODEL_READY"}""")).GetProperty("model").GetProperty("info").Str("status").ShouldBe("LOGGED_MODEL_READY");

        var model = (await app.GetAsync($"logged-models/{id}")).GetProperty("model");
        model.GetProperty("info").GetProperty("tags").GetRawText().ShouldBe("""[{"key":"t","value":"2"}]""");
        model.GetProperty("data").GetProperty("params").GetRawText().ShouldBe("""[{"key":"depth","value":"3"},{"key":"width","value":"4"}]""");
        model.GetProperty("data").GetProperty("metrics")[0].GetProperty("value").GetDouble().ShouldBe(0.9);
        (await app.GetAsync($"logged-models/{id}/artifacts/directories")).GetProperty("files").Each("path").ShouldBe(["MLmodel"]);
        (await app.GetRunAsync(run)).GetProperty("outputs").GetProperty("model_outputs")[0].GetRawText().ShouldBe($$"""{"model_id":"{{id}}","step":7}""");

        async Task<int> CountAsync(string filter) => (await app.PostAsync("logged-models/search", JsonSerializer.Serialize(new
        {
            experiment_ids = new[] { experiment },
            filter,
            order_by = new[] { new { field_name = "metrics.acc", ascending = false } },
        }))).GetProperty("models").GetArrayLength();
        (await CountAsync("name = 'net' AND metrics.acc > 0.5 AND params.depth = '3' AND tags.t = '2' AND status = 'READY'"), await CountAsync("metrics.acc > 0.95")).ShouldBe((1, 0));

        await app.PostAsync("registered-models/create", $$"""{"name": "{{id}}"}""");
        await app.PostAsync("model-versions/create", $$"""{"name": "{{id}}", "source": "models:/{{id}}", "model_id": "{{id}}"}""");
        (await app.GetAsync($"model-versions/get-download-uri?name={id}&version=1")).Str("artifact_uri").ShouldBe($"mlflow-artifacts:/{experiment}/models/{id}/artifacts");

        await app.SendAsync(HttpMethod.Delete, $"logged-models/{id}", null);
        (await app.GetAsync($"logged-models/{id}", 404)).Code().ShouldBe("RESOURCE_DOES_NOT_EXIST");
        (await app.GetAsync("logged-models/a/b/c/d", 404)).Code().ShouldBe("ENDPOINT_NOT_FOUND");
        (await app.PostAsync("logged-models/search", """{"experiment_ids": ["0"], "order_by": [{"field_name": "colour"}]}""", 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE");
    }

    [Fact]
    public async Task A_trace_is_started_searched_tagged_and_deleted()
    {
        var experiment = await app.CreateExperimentAsync();
        string Trace(string id, string state, string time, string duration) => $$"""
            {"trace": {"trace_info": {"trace_id": "{{id}}", "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "{{experiment}}"} },
             "request_time": "{{time}}", "execution_duration": "{{duration}}", "state": "{{state}}", "request_preview": "hi",
             "trace_metadata": {"mlflow.sourceRun": "r1"}, "tags": {"mlflow.traceName": "predict"} } } }
            """;
        var (one, two) = ("tr-" + Guid.CreateVersion7().ToString("N"), "tr-" + Guid.CreateVersion7().ToString("N"));
        var started = (await app.PostAsync(Traces, Trace(one, "OK", "2025-01-07T10:30:00.5Z", "1.25s"))).GetProperty("trace").GetProperty("trace_info");
        (started.Str("request_time"), started.Str("execution_duration")).ShouldBe(("2025-01-07T10:30:00.500Z", "1.250s"));
        started.GetProperty("tags").Str("mlflow.artifactLocation").ShouldBe($"mlflow-artifacts:/{experiment}/traces/{one}/artifacts");
        await app.PutArtifactAsync($"{experiment}/traces/{one}/artifacts/traces.json", "{}"u8.ToArray());
        await app.PostAsync(Traces, Trace(two, "ERROR", "2025-01-07T11:00:00Z", "0.1s"));
        await app.PostAsync(Traces, Trace(two, "ERROR", "2025-01-07T11:00:00Z", "0.1s"));

        async Task<string[]> FindAsync(string filter) => (await app.PostAsync(Traces + "/search", JsonSerializer.Serialize(new
        {
            locations = new[] { new { type = "MLFLOW_EXPERIMENT", mlflow_experiment = new { experiment_id = experiment } } },
            filter,
            max_results = 10,
        }))).GetProperty("traces").Each("trace_id");
        (await FindAsync("")).ShouldBe([two, one]);
        (await FindAsync("trace.status = 'OK' AND tags.`mlflow.traceName` = 'predict' AND metadata.`mlflow.sourceRun` = 'r1'")).ShouldBe([one]);
        (await FindAsync("attributes.execution_time_ms < 1000")).ShouldBe([two]);
        (await FindAsync("name = 'predict' AND run_id = 'r1' AND timestamp_ms > 1736245800000")).ShouldBe([two, one]);

        await app.SendAsync(HttpMethod.Patch, $"{Traces}/{one}/tags", """{"key": "k", "value": "v"}""");
        (await app.GetAsync($"{Traces}/{one}")).GetProperty("trace").GetProperty("trace_info").GetProperty("tags").Str("k").ShouldBe("v");
        await app.SendAsync(HttpMethod.Delete, $"{Traces}/{one}/tags", """{"key": "k"}""");
        (await app.PostAsync(Traces + "/delete-traces", $$"""{"experiment_id": "{{experiment}}", "request_ids": ["{{one}}", "none"]}""")).GetProperty("traces_deleted").GetInt32().ShouldBe(1);
        (await app.GetAsync($"{Traces}/{one}", 404)).Code().ShouldBe("RESOURCE_DOES_NOT_EXIST");
        (await app.ScalarAsync<long>("SELECT count(*) FROM mlflow.artifacts WHERE path LIKE $1", $"{experiment}/traces/%")).ShouldBe(0);
        (await app.PostAsync(Traces + "/delete-traces", $$"""{"experiment_id": "{{experiment}}", "max_timestamp_millis": 9999999999999}""")).GetProperty("traces_deleted").GetInt32().ShouldBe(1);
    }

    [Theory]
    [InlineData("""{}""", "trace.trace_info")]
    [InlineData("""{"trace": {"trace_info": {"trace_id": "../x"} } }""", "trace_id must have")]
    [InlineData("""{"trace": {"trace_info": {"trace_id": "a"} } }""", "experiment_id")]
    [InlineData("""{"trace": {"trace_info": {"trace_id": "a", "state": "FINE"} } }""", "trace state")]
    [InlineData("""{"trace": {"trace_info": {"trace_id": "a", "request_time": "soon", "trace_location": {"mlflow_experiment": {"experiment_id": "0"} } } } }""", "request_time")]
    [InlineData("""{"trace": {"trace_info": {"trace_id": "a", "execution_duration": "1 hour", "trace_location": {"mlflow_experiment": {"experiment_id": "0"} } } } }""", "execution_duration")]
    public async Task A_bad_trace_is_told_what_is_bad(string json, string what)
    {
        var error = await app.PostAsync(Traces, json, 400);
        error.Code().ShouldBe("INVALID_PARAMETER_VALUE");
        error.Message().ShouldContain(what);
    }
}
