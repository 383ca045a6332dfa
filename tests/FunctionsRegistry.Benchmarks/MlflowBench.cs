using System.Diagnostics;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.Blobs;
using FunctionsRegistry.ModelRegistry;
using Microsoft.Extensions.DependencyInjection;

namespace FunctionsRegistry.Benchmarks;

/// <summary>The native MLflow store over HTTP with keys and limits on: logging, histories, search, artifacts.</summary>
internal sealed partial class MlflowBench : IAsyncDisposable
{
    private const string Api = "/hokusai/mlflow/api/2.0/mlflow/";
    private readonly BenchHost _host;
    private readonly HttpClient _client;
    private readonly string _key;

    private MlflowBench(BenchHost host, string key)
    {
        (_host, _client, _key) = (host, host.CreateClient(), key);
        _client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
    }

    public static async Task<MlflowBench> StartAsync()
    {
        var host = await BenchHost.StartAsync();
        // Counted in Redis as in production; a key may not have more than 100,000 an hour, which is lifted here.
        var (key, _) = await host.Services.GetRequiredService<ApiKeyService>().CreateAsync(new NewApiKey("bench", "test"), CancellationToken.None);
        await host.ExecuteAsync("UPDATE models.api_keys SET rate_limit_per_hour = 1000000");
        return new MlflowBench(host, key);
    }

    public async Task RunAsync(TimeSpan time)
    {
        Console.WriteLine($"{Environment.ProcessorCount} cores, {time.TotalSeconds:0} s a row");
        await LogBatchesAsync();
        await LogAtTheSameTimeAsync(time);
        await ReadHistoryAsync();
        await SearchAsync();
        await MoveArtifactsAsync();
        await RunFrontAsync(time);
    }

    public async ValueTask DisposeAsync()
    {
        await _host.DisposeAsync();
    }

    // 1,000 metrics of 10 keys a batch, every tenth batch sent twice.
    private async Task LogBatchesAsync()
    {
        await MeasureAsync(await CreateRunAsync());
        var empty = await MeasureAsync(await CreateRunAsync());
        var full = await CreateRunAsync();
        await _host.ExecuteAsync($"""
            INSERT INTO mlflow.metric_points SELECT '{full}', 'm' || n % 10, 1600000000000 + n, n, n FROM generate_series(1, 1000000) n;
            ANALYZE mlflow.metric_points
            """);
        var million = await MeasureAsync(full);
        Console.WriteLine($"log-batch of 1,000: median {empty:0.0} ms into an empty run, {million:0.0} ms into one of 1,000,000 points, ratio {million / empty:0.00}");

        async Task<double> MeasureAsync(string run)
        {
            var times = new List<double>();
            for (var i = 0; i < 150; i++)
            {
                var batch = Batch(run, 10_000_000 + i * 1000, 1000);
                for (var again = 0; again <= (i % 10 == 0 ? 1 : 0); again++)
                {
                    var start = Stopwatch.GetTimestamp();
                    await PostAsync("runs/log-batch", batch);
                    times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
                }
            }
            times.Sort();
            return times[times.Count / 2];
        }
    }

    private async Task LogAtTheSameTimeAsync(TimeSpan time)
    {
        var runs = await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => CreateRunAsync()));
        foreach (var size in new[] { 10, 100, 1000 })
        {
            var end = Stopwatch.GetTimestamp() + (long)(time.TotalSeconds * Stopwatch.Frequency);
            var (points, start) = (0L, Stopwatch.GetTimestamp());
            await Task.WhenAll(runs.Select(async (run, number) =>
            {
                for (var step = size * 1_000_000; Stopwatch.GetTimestamp() < end; step += size)
                {
                    await PostAsync("runs/log-batch", Batch(run, step, size));
                    Interlocked.Add(ref points, size);
                }
            }));
            Console.WriteLine($"100 runs at once, batches of {size}: {points / Stopwatch.GetElapsedTime(start).TotalSeconds:N0} points per second");
        }
    }

    private async Task ReadHistoryAsync()
    {
        var run = await CreateRunAsync();
        await _host.ExecuteAsync($"INSERT INTO mlflow.metric_points SELECT '{run}', 'm', 1600000000000 + n, n, n * 0.1 FROM generate_series(1, 100000) n; ANALYZE mlflow.metric_points");
        var times = new List<double>();
        for (var i = 0; i < 5; i++)
            for (string? token = ""; token is not null;)
            {
                var start = Stopwatch.GetTimestamp();
                using var page = JsonDocument.Parse(await _client.GetByteArrayAsync($"{Api}metrics/get-history?run_id={run}&metric_key=m&max_results=25000&page_token={token}"));
                times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
                token = page.RootElement.TryGetProperty("next_page_token", out var next) ? next.GetString() : null;
            }
        Print("history of 100,000 points, page of 25,000 (parsed by the client)", times.Skip(4));
    }

    private async Task SearchAsync()
    {
        await _host.ExecuteAsync("""
            INSERT INTO mlflow.experiments (id, name, created_ms, updated_ms) VALUES (900, 'bench', 0, 0);
            INSERT INTO mlflow.runs (id, experiment_id, name, user_id, status, start_ms, end_ms)
            SELECT gen_random_uuid(), 900, 'run-' || n, 'u', 'FINISHED', n, n + 1 FROM generate_series(1, 100000) n;
            INSERT INTO mlflow.latest_metrics SELECT r.id, k.key, random(), 1, 1 FROM mlflow.runs r, (VALUES ('loss'), ('accuracy'), ('f1'), ('auc')) k (key) WHERE r.experiment_id = 900;
            INSERT INTO mlflow.params SELECT r.id, k.key, (r.start_ms % 50)::text FROM mlflow.runs r, (VALUES ('depth'), ('lr'), ('seed')) k (key) WHERE r.experiment_id = 900;
            INSERT INTO mlflow.tags SELECT r.id, 'mlflow.runName', r.name FROM mlflow.runs r WHERE r.experiment_id = 900;
            """);
        await _host.ExecuteAsync("VACUUM (ANALYZE)");
        foreach (var (filter, order) in new[]
        {
            ("metrics.loss < 0.01 and params.depth = '7'", "start_time DESC"),
            ("metrics.loss < 0.9 and params.depth = '7'", "metrics.accuracy DESC"),
            ("metrics.loss < 0.9 and params.depth LIKE '1%'", "start_time DESC"),
            ("metrics.loss > 2 and params.depth = '7'", "start_time DESC"),
            ("metrics.loss < 0.5", "metrics.loss ASC"),
            ("", "start_time DESC"),
        })
        {
            var body = JsonSerializer.Serialize(new { experiment_ids = new[] { "900" }, filter, order_by = new[] { order }, max_results = 100 });
            var times = new List<double>();
            for (var i = 0; i < 30; i++)
            {
                var start = Stopwatch.GetTimestamp();
                await PostAsync("runs/search", body);
                times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            }
            Print($"search of 100,000 runs: {filter} by {order}", times.Skip(8));
        }
    }

    private async Task MoveArtifactsAsync()
    {
        const int Size = 200 << 20;
        var bytes = RandomNumberGenerator.GetBytes(Size);
        var blobs = _host.Services.GetRequiredService<BlobStore>();
        var path = "/hokusai/mlflow/api/2.0/mlflow-artifacts/artifacts/bench/big.bin";
        var (direct, ours, directRead, ourRead) = (new List<double>(), new List<double>(), new List<double>(), new List<double>());
        GC.Collect();
        var (before, peak) = (Environment.WorkingSet, 0L);
        using var sampler = new Timer(_ => peak = Math.Max(peak, Environment.WorkingSet), null, 0, 20);
        for (var i = 0; i < 4; i++)
        {
            direct.Add(await SecondsAsync(async () => await blobs.UploadAsync("artifacts", "bench", new MemoryStream(bytes), "application/octet-stream", default)));
            ours.Add(await SecondsAsync(async () =>
            {
                using var content = new ByteArrayContent(bytes);
                (await _client.PutAsync(path, content)).EnsureSuccessStatusCode();
            }));
            directRead.Add(await SecondsAsync(async () =>
            {
                await using var stream = (await blobs.OpenReadAsync("artifacts", "bench", 0, Size, default))!;
                await stream.CopyToAsync(Stream.Null);
            }));
            ourRead.Add(await SecondsAsync(async () =>
            {
                await using var stream = await _client.GetStreamAsync(path);
                await stream.CopyToAsync(Stream.Null);
            }));
        }
        Console.WriteLine($"200 MB PUT {200 / Best(ours):0} MB/s, direct {200 / Best(direct):0} MB/s, ratio {Best(direct) / Best(ours):0.00}; "
            + $"GET {200 / Best(ourRead):0} MB/s, direct {200 / Best(directRead):0} MB/s, ratio {Best(directRead) / Best(ourRead):0.00}; "
            + $"resident +{(peak - before) >> 20} MB at most (app and client in one process)");
    }

    private static double Best(List<double> seconds) => seconds.Skip(1).Min();

    private static async Task<double> SecondsAsync(Func<Task> run)
    {
        var start = Stopwatch.GetTimestamp();
        await run();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static void Print(string name, IEnumerable<double> times)
    {
        var sorted = times.Order().ToArray();
        Console.WriteLine($"{name}: median {sorted[sorted.Length / 2]:0.0} ms, worst {sorted[^1]:0.0} ms");
    }

    private static string Batch(string run, long from, int count)
    {
        var json = new StringBuilder($$"""{"run_id":"{{run}}","metrics":[""");
        for (var i = 0; i < count; i++)
            json.Append(i == 0 ? "" : ",").Append($$"""{"key":"m{{i % 10}}","value":{{i * 0.25}},"timestamp":{{1_700_000_000_000 + from + i}},"step":{{from + i}}}""");
        return json.Append("]}").ToString();
    }

    private async Task<string> CreateRunAsync()
    {
        using var answer = JsonDocument.Parse(await PostAsync("runs/create", """{"experiment_id":"0"}"""));
        return answer.RootElement.GetProperty("run").GetProperty("info").GetProperty("run_id").GetString()!;
    }

    private async Task<string> PostAsync(string operation, string json)
    {
        using var content = new StringContent(json, Encoding.UTF8, "application/json");
        using var response = await _client.PostAsync(Api + operation, content);
        var text = await response.Content.ReadAsStringAsync();
        return response.IsSuccessStatusCode ? text : throw new InvalidOperationException($"{operation} answered {(int)response.StatusCode}: {text}");
    }
}
