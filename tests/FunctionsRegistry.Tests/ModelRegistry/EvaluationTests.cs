using System.Text;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.ModelRegistry;
using FunctionsRegistry.LocalRuntime.Durable;
using FunctionsRegistry.ModelRegistry;
using FunctionsRegistry.Tests.Support;
using static FunctionsRegistry.Tests.ModelRegistry.HokusaiApp;

namespace FunctionsRegistry.Tests.ModelRegistry;

public sealed class EvaluationTests(HokusaiApp app) : IClassFixture<HokusaiApp>
{
    private static async Task<EvaluationMetrics> ReadAsync(string text, params string[] metrics) =>
        await Evaluation.ReadAsync(new DatasetReader(new StringReader(text)), metrics.Length == 0 ? ["accuracy"] : metrics, default);

    [Fact]
    public async Task Known_numbers_come_out()
    {
        // By hand: 3 hits of 5; of the positives 2 of 3 found, 2 of 3 called right.
        var binary = await ReadAsync("label,prediction\n1,1\n1,0\n0,0\n0,1\n1,1\n");
        (binary.Read("accuracy"), binary.Read("precision"), binary.Read("recall"), binary.Read("f1_score")).ShouldBe((0.6, 0.666667, 0.666667, 0.666667));

        var scores = await ReadAsync("label,score\n1,0.9\n0,0.4\n1,0.35\n0,0.1\n", "auroc", "log_loss", "accuracy");
        scores.Read("auroc").ShouldBe(0.75);
        scores.Read("log_loss")!.Value.ShouldBe(-(Math.Log(0.9) + Math.Log(0.6) + Math.Log(0.35) + Math.Log(0.9)) / 4, 1e-6);
        scores.Read("accuracy").ShouldBe(0.75);

        var numbers = await ReadAsync("{\"label\": 3, \"prediction\": 2.5}\n{\"label\": -0.5, \"prediction\": 0}\n{\"label\": 2, \"prediction\": 2}\n{\"label\": 7, \"prediction\": 8}\n", "mse", "rmse", "mae", "r2");
        (numbers.Read("mse"), numbers.Read("mae"), numbers.Read("r2")).ShouldBe((0.375, 0.5, 0.948608));

        var classes = await ReadAsync("y_true,y_pred\na,a\na,b\nb,b\nc,c\nc,a\n");
        classes.Read("f1_score_macro").ShouldBe(Math.Round((0.5 + 2.0 / 3 + 2.0 / 3) / 3, 6));
        classes.Read("recall_weighted").ShouldBe(0.6);
    }

    [Fact]
    public async Task What_the_data_does_not_have_is_null()
    {
        var one = await ReadAsync("label,prediction,score\n1,1,0.9\n1,1,0.8\n", "accuracy", "auroc");
        one.Read("auroc").ShouldBeNull();
        one.Read("r2").ShouldBeNull();
    }

    [Theory]
    [InlineData("", "it is empty")]
    [InlineData("label,prediction\n", "no rows")]
    [InlineData("prediction\n1\n", "row 1 has no column label")]
    [InlineData("label\n1\n", "row 1 has no column prediction")]
    [InlineData("label,prediction\n1\n", "row 2 has 1 columns, the header has 2")]
    [InlineData("label,prediction\n1,1,1\n", "row 2 has 3 columns")]
    [InlineData("label,prediction\n,1\n", "row 2: the label is missing")]
    [InlineData("label,prediction\nNaN,1\n", "row 2: the label is missing or NaN")]
    [InlineData("label,prediction\n1,nan\n", "row 2: the prediction is NaN")]
    [InlineData("label,prediction\n\"1,1\n", "a quoted cell does not end")]
    [InlineData("{\"label\": 1, \"prediction\": 1}\n{\"label\": \n", "row 2 is not JSON")]
    [InlineData("{\"label\": 1, \"prediction\": 1}\n[1]\n", "row 2 is no JSON object")]
    [InlineData("{\"label\": {}, \"prediction\": 1}\n", "neither text nor a number")]
    public async Task A_bad_data_set_is_told_with_its_row(string text, string what)
    {
        var error = await Should.ThrowAsync<RegistryException>(() => ReadAsync(text));
        error.Kind.ShouldBe(ErrorKind.BadRequest);
        error.Message.ShouldContain(what);
    }

    [Theory]
    [InlineData("label,score\n1,2\n", "auroc", "row 2: the score must be a number from 0 to 1")]
    [InlineData("label,prediction\na,1\n", "mse", "row 2: the label must be a finite number")]
    [InlineData("label,prediction\n1,Infinity\n", "mae", "row 2: the prediction must be a finite number")]
    public async Task A_metric_s_needs_are_told_with_the_row(string text, string metric, string what) =>
        (await Should.ThrowAsync<RegistryException>(() => ReadAsync(text, metric))).Message.ShouldContain(what);

    [Fact]
    public async Task A_line_without_end_and_a_label_without_end_of_classes_are_refused()
    {
        (await Should.ThrowAsync<RegistryException>(() => ReadAsync("label,prediction\n" + new string('1', DatasetReader.MaxLineChars + 1)))).Message.ShouldContain("longer than");
        var many = string.Concat(Enumerable.Range(0, EvaluationMetrics.MaxClasses + 1).Select(i => $"c{i},c{i}\n"));
        (await Should.ThrowAsync<RegistryException>(() => ReadAsync("label,prediction\n" + many))).Message.ShouldContain("no classes");
    }

    [Fact]
    public async Task A_line_of_ten_gigabytes_is_refused_after_a_million_characters()
    {
        using var line = new Endless(10L << 30);
        (await Should.ThrowAsync<RegistryException>(() => Evaluation.ReadAsync(new DatasetReader(line), ["accuracy"], default))).Message
            .ShouldBe($"Bad dataset: row 1 is longer than {DatasetReader.MaxLineChars} characters");
        line.Given.ShouldBeLessThan(2L * DatasetReader.MaxLineChars);
    }

    private sealed class Endless(long length) : TextReader
    {
        public long Given { get; private set; }

        public override ValueTask<int> ReadAsync(Memory<char> buffer, CancellationToken cancellationToken = default)
        {
            var count = (int)Math.Min(buffer.Length, length - Given);
            buffer.Span[..count].Fill('1');
            Given += count;
            return new(count);
        }
    }

    [Fact]
    public async Task An_evaluation_in_the_background_is_done_once_and_can_be_asked_for()
    {
        var name = "e-" + Guid.CreateVersion7().ToString("N");
        await app.PostAsync("registered-models/create", $$"""{"name": "{{name}}"}""");
        await app.PostAsync("model-versions/create", $$"""{"name": "{{name}}", "source": "mlflow-artifacts:/0"}""");
        await app.PutArtifactAsync($"0/{name}/good.csv", "label,prediction\n1,1\n0,1\n"u8.ToArray());
        await app.PutArtifactAsync($"0/{name}/bad.csv", "label,prediction\n1,1\n,1\n"u8.ToArray());

        var good = await StartAsync("good");
        (good.Str("status"), good.GetProperty("results").GetRawText(), good.GetProperty("rows").GetInt64()).ShouldBe(("succeeded", """{"accuracy":0.5}""", 2));
        good.Str("model").ShouldBe(name + ":1");
        var bad = await StartAsync("bad");
        (bad.Str("status"), bad.Str("error"), bad.GetProperty("results").ValueKind).ShouldBe(("failed", "Bad dataset: row 3: the label is missing or NaN", JsonValueKind.Null));
        await app.GetAsync("/hokusai/evaluations/" + Guid.CreateVersion7(), 404);
        await app.PostAsync("/hokusai/models/evaluate", $$"""{"model_name": "{{name}}", "model_version": "1", "dataset_path": "0/none.csv", "async": true}""", 404);

        // As a crash between row and orchestration leaves it; and what ended stays as it is.
        var lost = Guid.CreateVersion7();
        await app.Service<EvaluationStore>().InsertAsync(lost, name, "1", $"0/{name}/good.csv", ["accuracy"], DateTimeOffset.UnixEpoch.AddYears(50), default);
        var timer = new EvaluationOrchestration(app.Service<ModelService>(), app.Service<EvaluationStore>(), TimeProvider.System);
        await timer.StartLost(null!, app.Service<LocalDurableTaskClient>(), default);
        await WaitAsync("/hokusai/evaluations/" + lost);
        await app.PutArtifactAsync($"0/{name}/good.csv", "label,prediction\n1,1\n"u8.ToArray());
        await app.Service<ModelService>().RunEvaluationAsync(lost, default);
        (await app.GetAsync("/hokusai/evaluations/" + lost)).GetProperty("results").GetRawText().ShouldBe("""{"accuracy":0.5}""");
        await app.Service<EvaluationStore>().PurgeAsync(DateTimeOffset.UnixEpoch.AddYears(51), default);
        await app.GetAsync("/hokusai/evaluations/" + lost, 404);

        async Task<JsonElement> StartAsync(string file)
        {
            var started = await app.PostAsync("/hokusai/models/evaluate",
                $$"""{"model_name": "{{name}}", "model_version": "1", "dataset_path": "0/{{name}}/{{file}}.csv", "metrics": ["accuracy"], "async": true}""", 202);
            return await WaitAsync(started.Str("url")!);
        }

        async Task<JsonElement> WaitAsync(string url)
        {
            JsonElement found = default;
            await Eventually.UntilAsync(async () => (found = await app.GetAsync(url)).Str("status") != "queued");
            return found;
        }
    }

    [Fact]
    public void Cells_with_anything_in_them_are_read_back()
    {
        var cells = Gen.Select(Gen.ArrayOf(Gen.Elements('a', '"', ',', '\n', '\r', ' ', 'é', ';'), 6), chars => "x" + new string(chars) + "x");
        Prop.ForAll(Arb.From(Gen.Zip(cells, cells)), pair =>
        {
            static string Quote(string cell) => $"\"{cell.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
            var reader = new DatasetReader(new StringReader($"other,label,prediction\r\n1,{Quote(pair.Item1)},{Quote(pair.Item2)}\r\n"));
            var row = reader.ReadAsync(default).ToBlockingEnumerable().Single();
            return row.Label == pair.Item1 && row.Prediction == pair.Item2;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));
    }

    [Fact]
    public void Auroc_is_the_chance_that_a_positive_scores_higher()
    {
        var rows = Gen.ListOf(Gen.Zip(Gen.Elements(true, false), Gen.Choose(0, 1000)));
        Prop.ForAll(Arb.From(rows), list =>
        {
            var metrics = new EvaluationMetrics();
            foreach (var (positive, score) in list)
                metrics.AddScore(positive, score / 1000.0);
            var pairs = (from p in list where p.Item1 from n in list where !n.Item1 select p.Item2 > n.Item2 ? 1.0 : p.Item2 == n.Item2 ? 0.5 : 0).ToList();
            return pairs.Count == 0 ? metrics.Read("auroc") is null : Math.Abs(metrics.Read("auroc")!.Value - pairs.Average()) < 1e-4;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(300));
    }

    [Fact]
    public async Task A_stored_data_set_is_evaluated_over_http()
    {
        var name = "e-" + Guid.CreateVersion7().ToString("N");
        await app.PostAsync("registered-models/create", $$"""{"name": "{{name}}"}""");
        await app.PostAsync("model-versions/create", $$"""{"name": "{{name}}", "source": "s3://b/x"}""");
        var run = await app.CreateRunAsync();
        var csv = new StringBuilder("label,prediction,score\n");
        for (var i = 0; i < 20_000; i++)
            csv.Append(i % 2).Append(',').Append(i % 10 == 0 ? 1 - i % 2 : i % 2).Append(',').Append(i % 2 == 0 ? "0.2" : "0.8").Append('\n');
        await app.PutArtifactAsync($"0/{run}/artifacts/data/test.csv", Encoding.UTF8.GetBytes(csv.ToString()));

        foreach (var path in new[] { $"runs:/{run}/data/test.csv", $"mlflow-artifacts:/0/{run}/artifacts/data/test.csv", $"/0/{run}/artifacts/data/test.csv" })
        {
            var answer = await EvaluateAsync(path, 200, "accuracy", "auroc");
            answer.Str("model").ShouldBe(name + ":1");
            answer.GetProperty("results").GetRawText().ShouldBe("""{"accuracy":0.9,"auroc":1}""");
            answer.GetProperty("rows").GetInt64().ShouldBe(20_000);
        }
        (await app.PostAsync("/hokusai/models/evaluate", $$"""{"model_name": "{{name}}", "model_version": "1", "dataset_path": "runs:/{{run}}/data/test.csv", "metrics": null}"""))
            .GetProperty("results").EnumerateObject().Select(metric => metric.Name).ShouldBe(["accuracy", "precision", "recall", "f1_score"]);
        (await EvaluateAsync("/no/such.csv", 404, "accuracy")).Str("detail")!.ShouldContain("Dataset not found");
        await EvaluateAsync("../../etc/passwd", 400, "accuracy");
        await EvaluateAsync("file:///etc/passwd", 400, "accuracy");
        (await EvaluateAsync($"runs:/{run}/data/test.csv", 422, "beauty")).GetProperty("detail")[0].Str("msg")!.ShouldContain("unknown metric 'beauty'");
        (await app.PostAsync("/hokusai/models/evaluate", $$"""{"model_name": "{{name}}", "model_version": "5", "dataset_path": "x"}""", 404)).Str("detail").ShouldBe($"Model not found: {name}:5");

        async Task<JsonElement> EvaluateAsync(string path, int status, params string[] metrics) => await app.PostAsync(
            "/hokusai/models/evaluate", JsonSerializer.Serialize(new { model_name = name, model_version = "1", dataset_path = path, metrics }), status);
    }
}
