using System.IO.Compression;
using System.Net;
using System.Text;
using System.Text.Json;
using static FunctionsRegistry.Tests.ModelRegistry.HokusaiApp;

namespace FunctionsRegistry.Tests.ModelRegistry;

/// <summary>spec-hokusai.md, "Model Management Endpoints", over the rows that MLflow's clients write.</summary>
public sealed class ModelTests(HokusaiApp app) : IClassFixture<HokusaiApp>
{
    private const string Models = "/hokusai/models/";

    private async Task<string> VersionAsync(string name, object metrics, params (string Key, string Value)[] tags)
    {
        var run = await app.CreateRunAsync();
        var points = JsonSerializer.SerializeToElement(metrics).EnumerateObject().Select(metric => new { key = metric.Name, value = metric.Value.GetDouble(), timestamp = 1 });
        await app.PostAsync("runs/log-batch", JsonSerializer.Serialize(new { run_id = run, metrics = points }));
        using var _ = await app.Client.PostAsync(Mlflow + "registered-models/create", new StringContent(JsonSerializer.Serialize(new { name }), Encoding.UTF8, "application/json"));
        return (await app.PostAsync("model-versions/create", JsonSerializer.Serialize(new
        {
            name,
            source = $"runs:/{run}/model",
            run_id = run,
            tags = tags.Select(tag => new { key = tag.Key, value = tag.Value }),
        }))).GetProperty("model_version").Str("version")!;
    }

    private static string NewName() => "m-" + Guid.CreateVersion7().ToString("N");

    [Fact]
    public async Task A_model_is_registered_read_patched_moved_and_deleted()
    {
        var name = NewName();
        var made = await app.PostAsync(Models + "register", $$"""
            {"model_name": "{{name}}", "model_data": "s3://bucket/model", "model_type": "classification", "metadata": {"accuracy": 0.85, "dataset": "customer_data_v2"} }
            """, 201);
        (made.Str("model_name"), made.Str("version")).ShouldBe((name, "1"));
        made.Str("registration_timestamp")!.ShouldMatch(@"^[\d-]{10}T[\d:]{8}(\.\d{6})?Z$");

        var found = await app.GetAsync($"{Models}{name}/1");
        (found.Str("status"), found.GetProperty("tags").Str("model_type")).ShouldBe(("READY", "classification"));
        (await app.SendAsync(HttpMethod.Patch, $"{Models}{name}/1", """{"description": "Updated", "tags": {"environment": "production"}}""")).Str("message").ShouldBe("Model updated successfully");
        (await app.GetAsync($"{Models}{name}/1")).Str("description").ShouldBe("Updated");
        (await app.GetAsync($"{Models}?name={name}")).GetProperty("models")[0].GetProperty("tags").Str("environment").ShouldBe("production");
        (await app.GetAsync($"{Models}{name}/1/metrics")).GetProperty("training_metrics").GetProperty("accuracy").GetDouble().ShouldBe(0.85);
        (await app.GetAsync($"{Models}{name}/1/lineage")).GetProperty("training_data").GetRawText().ShouldBe("""["customer_data_v2"]""");

        (await app.PostAsync($"{Models}{name}/1/transition", """{"stage": "Production", "archive_existing": true}""")).Str("message").ShouldBe($"Model {name}:1 transitioned to Production");
        var deployed = (await app.GetAsync(Models + "production")).GetProperty("models").EnumerateArray().Single(model => model.Str("name") == name);
        deployed.GetProperty("deployed_at").GetDateTimeOffset().ShouldBeGreaterThan(DateTimeOffset.UnixEpoch.AddYears(50));
        (await app.SendAsync(HttpMethod.Delete, $"{Models}{name}/1", null)).Str("message").ShouldBe($"Model {name}:1 deleted successfully");
        (await app.GetAsync($"{Models}{name}/1", 404)).Str("detail").ShouldBe($"Model not found: {name}:1");
        (await app.SendAsync(HttpMethod.Delete, $"{Models}{name}/1", null, 404)).Str("detail").ShouldBe($"Model not found: {name}:1");
        await app.SendAsync(HttpMethod.Patch, $"{Models}{name}/latest", "{}", 404);
    }

    [Fact]
    public async Task A_registration_s_faults_are_told_at_once()
    {
        var detail = (await app.PostAsync(Models + "register", """{"metadata": [], "model_data": 7}""", 422)).GetProperty("detail");
        detail.EnumerateArray().Select(fault => (fault.GetProperty("loc")[1].GetString(), fault.Str("msg"))).ShouldContain(("model_type", "field required"));
        detail.GetArrayLength().ShouldBe(3);
        (await app.PostAsync(Models + "register", """{"model_data": "x", "model_type": "poetry"}""", 422)).GetProperty("detail")[0].Str("msg")!.ShouldContain("'classification'");
        (await app.PostAsync(Models + "register", """{"model_data": {"a": 1}, "model_type": "ranking"}""", 201)).Str("model_name").ShouldBe("hokusai_ranking_baseline");
    }

    [Fact]
    public async Task Two_versions_are_compared_metric_by_metric()
    {
        var name = NewName();
        await VersionAsync(name, new { accuracy = 0.85, val_loss = 0.3, only_here = 1.0 });
        await VersionAsync(name, new { accuracy = 0.87, val_loss = 0.25 });

        var compared = await app.GetAsync($"{Models}compare?model1={name}:1&model2={name}:2");
        compared.GetProperty("delta").GetRawText().ShouldBe("""{"accuracy":0.02,"loss":-0.05}""");
        compared.Str("recommendation").ShouldBe("Use version 2");
        compared.Str("reason")!.ShouldContain("better in accuracy, loss");
        compared.GetProperty("model1").GetProperty("accuracy").GetDouble().ShouldBe(0.85);
        (await app.GetAsync($"{Models}compare?model1={name}:2&model2={name}:1")).Str("recommendation").ShouldBe("Use version 2");

        (await app.GetAsync($"{Models}compare?model1={name}&model2={name}:1", 400)).Str("detail").ShouldBe("Invalid model format. Use ModelName:Version");
        (await app.GetAsync($"{Models}compare?model1={name}:9&model2={name}:1", 404)).Str("detail").ShouldBe($"Model not found: {name}:9");
        (await app.GetAsync($"{Models}compare?model2={name}:1", 422)).GetProperty("detail")[0].GetProperty("loc").GetRawText().ShouldBe("""["query","model1"]""");
    }

    [Fact]
    public async Task Metrics_are_told_apart_by_where_they_were_measured()
    {
        var name = NewName();
        await VersionAsync(name, new { train_loss = 0.05, training_accuracy = 0.95, val_loss = 0.07 }, ("metrics", """{"auroc": 0.9, "bad": "x"}"""), ("benchmark_metric", "f1"), ("benchmark_value", "0.8"));
        await app.PostAsync($"{Models}{name}/1/predictions", """
            {"batch_id": "b1", "predictions": [{"timestamp": "2024-01-01T00:00:00Z", "latency_ms": 20, "label": "a", "prediction": "a"},
             {"timestamp": "2024-01-01T00:00:10Z", "latency_ms": 30, "label": "a", "prediction": "b"}, {"timestamp": "2024-01-02T00:00:00Z", "error": true}]}
            """, 201);
        (await app.PostAsync($"{Models}{name}/1/predictions", """{"batch_id": "b1", "predictions": [{}]}""", 201)).GetProperty("repeated").GetBoolean().ShouldBeTrue();

        var metrics = await app.GetAsync($"{Models}{name}/1/metrics");
        metrics.GetProperty("training_metrics").GetRawText().ShouldBe("""{"accuracy":0.95,"loss":0.05}""");
        metrics.GetProperty("validation_metrics").GetRawText().ShouldBe("""{"auroc":0.9,"f1":0.8,"loss":0.07}""");
        var production = metrics.GetProperty("production_metrics");
        (production.GetProperty("latency_ms").GetDouble(), production.GetProperty("accuracy").GetDouble(), production.GetProperty("predictions").GetDouble()).ShouldBe((25, 0.5, 3));

        (await app.GetAsync($"{Models}{name}/1/predictions")).GetRawText().ShouldBe(
            """{"total_predictions":3,"date_range":{"start":"2024-01-01","end":"2024-01-02"},"daily_counts":[{"date":"2024-01-01","count":2},{"date":"2024-01-02","count":1}]}""");
        await app.PostAsync($"{Models}{name}/7/predictions", """{"predictions": [{}]}""", 404);
        (await app.PostAsync($"{Models}{name}/1/predictions", """{"predictions": [{"timestamp": "soon"}, 7]}""", 422)).GetProperty("detail").GetArrayLength().ShouldBe(2);
    }

    [Fact]
    public async Task A_history_shows_each_version_and_what_was_gained()
    {
        var name = NewName();
        await VersionAsync(name, new { accuracy = 0.8, loss = 0.5 }, ("is_baseline", "true"));
        await VersionAsync(name, new { accuracy = 0.85, loss = 0.4 }, ("baseline_id", name + "/1"), ("contributor_address", "0x" + new string('a', 40)));
        await VersionAsync(name, new { accuracy = 0.84, loss = 0.3 });

        var history = await app.GetAsync($"{Models}{name}/lineage");
        (history.GetProperty("total_versions").GetInt32(), history.Str("latest_version")).ShouldBe((3, "3"));
        history.GetProperty("lineage").Each("version").ShouldBe(["1", "2", "3"]);
        history.GetProperty("lineage")[2].GetProperty("cumulative_improvement").GetRawText().ShouldBe("""{"accuracy":0.05,"loss":0.2}""");
        (await app.GetAsync($"{Models}{name}/2/lineage")).GetProperty("parents").GetRawText().ShouldBe($"[\"{name}:1\"]");
        (await app.GetAsync($"{Models}{name}/3/lineage")).GetProperty("parents").GetRawText().ShouldBe($"[\"{name}:2\"]");
        (await app.GetAsync($"{Models}{name}/1/lineage")).GetProperty("parents").GetArrayLength().ShouldBe(0);
        (await app.GetAsync($"{Models}no-such-model/lineage", 404)).Str("detail").ShouldBe("Model no-such-model not found");
    }

    [Fact]
    public async Task A_contributor_s_impact_is_the_sum_of_recorded_gains()
    {
        var address = "0x" + Guid.CreateVersion7().ToString("N") + "ABCDEF01";
        var (one, two) = (NewName(), NewName());
        await VersionAsync(one, new { accuracy = 0.8 });
        await VersionAsync(one, new { accuracy = 0.9 }, ("contributor_address", address), ("baseline_id", one + ":1"));
        await VersionAsync(two, new { accuracy = 0.8 }, ("contributor_address", address.ToUpperInvariant().Replace("0X", "0x", StringComparison.Ordinal)), ("delta_metrics", """{"accuracy": 0.03, "loss": -0.01, "accuracy_pct": 3}"""));
        await VersionAsync(two, new { accuracy = 0.7 }, ("contributor_address", address), ("delta_metrics", "garbage"));

        var impact = await app.GetAsync($"{Models}contributors/{address}/impact");
        impact.Str("address").ShouldBe(address);
        impact.GetProperty("total_models_improved").GetInt32().ShouldBe(2);
        impact.GetProperty("total_improvement_score").GetDouble().ShouldBe(0.12);
        impact.GetProperty("contributions").Each("improvement_score").ShouldBe(["0.1", "0.02", "0"]);
        var nobody = await app.GetAsync($"{Models}contributors/0x{new string('0', 40)}/impact");
        nobody.GetProperty("first_contribution").ValueKind.ShouldBe(JsonValueKind.Null);
        (await app.GetAsync(Models + "contributors/0x12/impact", 400)).Str("detail").ShouldBe("Invalid Ethereum address format");
    }

    [Fact]
    public async Task A_batch_answers_for_each_operation()
    {
        var name = NewName();
        await VersionAsync(name, new { a = 1 });
        await VersionAsync(name, new { a = 1 });
        var results = (await app.PostAsync(Models + "batch", $$"""
            {"operations": [{"action": "transition_stage", "model": "{{name}}:1", "stage": "Production"}, {"action": "transition_stage", "model": "{{name}}:2", "stage": "Moon"},
             {"action": "update", "model": "{{name}}:2", "tags": {"k": "v"} }, {"action": "delete", "model": "{{name}}:9"}, {"action": "delete", "model": "nonsense"}]}
            """)).GetProperty("results");

        results.Each("status").ShouldBe(["success", "error", "success", "error", "error"]);
        results[1].Str("error")!.ShouldContain("None, Staging, Production, Archived");
        results[3].Str("error").ShouldBe($"Model not found: {name}:9");
        (await app.GetAsync($"{Models}{name}/1")).Str("stage").ShouldBe("Production");
        (await app.PostAsync(Models + "batch", """{"operations": []}""")).GetProperty("results").GetArrayLength().ShouldBe(0);
        await app.PostAsync(Models + "batch", """{"operations": [{"action": "explode", "model": "a:1"}]}""", 422);
        await app.PostAsync(Models + "batch", "{}", 422);
    }

    [Fact]
    public async Task A_directory_downloads_as_a_zip_and_a_file_by_redirect()
    {
        var name = NewName();
        await VersionAsync(name, new { a = 1 });
        (await app.GetAsync($"{Models}{name}/1/download", 404)).Str("detail")!.ShouldContain("no files");
        var run = (await app.GetAsync($"model-versions/get?name={name}&version=1")).GetProperty("model_version").Str("run_id");
        await app.PutArtifactAsync($"0/{run}/artifacts/model/MLmodel", "flavors"u8.ToArray());
        await app.PutArtifactAsync($"0/{run}/artifacts/model/data/w.bin", [1, 2, 3]);

        using (var zip = new ZipArchive(new MemoryStream(await app.Client.GetByteArrayAsync($"{Models}{name}/1/download"))))
        {
            zip.Entries.Select(entry => entry.FullName).ShouldBe(["MLmodel", "data/w.bin"]);
            using var reader = new StreamReader(zip.GetEntry("MLmodel")!.Open());
            (await reader.ReadToEndAsync()).ShouldBe("flavors");
        }

        await app.PostAsync("model-versions/create", $$"""{"name": "{{name}}", "source": "runs:/{{run}}/model/MLmodel"}""");
        using var redirect = await app.Client.GetAsync($"{Models}{name}/2/download");
        redirect.StatusCode.ShouldBe(HttpStatusCode.TemporaryRedirect);
        using var handler = new SocketsHttpHandler();
        using var plain = new HttpClient(handler);
        (await plain.GetStringAsync(redirect.Headers.Location)).ShouldBe("flavors");
    }

    [Fact]
    public async Task The_api_prefix_leads_to_the_same_models()
    {
        using var response = await app.Client.GetAsync("/hokusai/api/models/production?x=1");
        response.StatusCode.ShouldBe(HttpStatusCode.TemporaryRedirect);
        response.Headers.Location!.OriginalString.ShouldBe("/hokusai/models/production?x=1");
        (await app.Client.GetAsync("/hokusai/api/api/models")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }
}
