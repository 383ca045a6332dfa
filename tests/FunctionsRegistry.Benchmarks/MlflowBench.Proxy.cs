using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;

namespace FunctionsRegistry.Benchmarks;

/// <summary>The evaluation of a data set, and the proxy before a bare server.</summary>
internal sealed partial class MlflowBench
{
    private const long LargeBody = 2L << 30;

    /// <summary>What stands in front of data and servers, without the store's own measurements.</summary>
    public async Task RunFrontAsync(TimeSpan time)
    {
        await EvaluateAsync();
        await ProxyAsync(time);
    }

    // 1,000,000 rows while the caller waits, and 8,000,000 (over 64 MB) by an orchestration.
    private async Task EvaluateAsync()
    {
        await PostAsync("registered-models/create", """{"name":"bench"}""");
        await PostAsync("model-versions/create", """{"name":"bench","source":"mlflow-artifacts:/0"}""");
        foreach (var rows in new[] { 1_000_000, 8_000_000 })
        {
            await PutRowsAsync(rows);
            for (var i = 0; i < 2; i++)
            {
                GC.Collect();
                var (before, peak) = (Environment.WorkingSet, 0L);
                using var sampler = new Timer(_ => peak = Math.Max(peak, Environment.WorkingSet), null, 0, 20);
                var allocated = GC.GetTotalAllocatedBytes();
                var seconds = await SecondsAsync(EvaluateOnceAsync);
                Console.WriteLine($"evaluation of {rows:N0} rows: {seconds:0.0} s, resident +{(peak - before) >> 20} MB at most, {(GC.GetTotalAllocatedBytes() - allocated) / rows} bytes allocated per row");
            }
        }
    }

    private async Task EvaluateOnceAsync()
    {
        using var content = new StringContent(
            """{"model_name":"bench","model_version":"1","dataset_path":"bench/rows.csv","metrics":["accuracy","f1_score","auroc","log_loss","rmse","r2"]}""", Encoding.UTF8, "application/json");
        using var response = await _client.PostAsync("/hokusai/models/evaluate", content);
        response.EnsureSuccessStatusCode();
        while (response.Headers.Location is { } url)
        {
            using var state = JsonDocument.Parse(await _client.GetStringAsync(url));
            if (state.RootElement.GetProperty("status").GetString() is var status && status != "queued")
            {
                if (status != "succeeded")
                    throw new InvalidOperationException(state.RootElement.GetRawText());
                return;
            }
            await Task.Delay(50);
        }
    }

    // A file, so that what the client holds is not counted as the app's.
    private async Task PutRowsAsync(int rows)
    {
        var path = Path.Combine(BenchHost.Folder, "rows.csv");
        await using (var file = new StreamWriter(path, append: false, Encoding.ASCII))
        {
            await file.WriteAsync("label,prediction,score\n");
            var random = new Random(1);
            for (var i = 0; i < rows; i++)
            {
                var score = random.NextDouble();
                await file.WriteAsync(string.Create(CultureInfo.InvariantCulture, $"{(random.NextDouble() < score ? 1 : 0)},{(score > 0.5 ? 1 : 0)},{score:0.0000}\n"));
            }
        }
        await using var stream = File.OpenRead(path);
        using var content = new StreamContent(stream);
        (await _client.PutAsync("/hokusai/mlflow/api/2.0/mlflow-artifacts/artifacts/bench/rows.csv", content)).EnsureSuccessStatusCode();
    }

    private async Task ProxyAsync(TimeSpan time)
    {
        var bytes = JsonSerializer.SerializeToUtf8Bytes(Enumerable.Range(0, 30).Select(i => new { key = $"k{i}", value = i }).ToArray());
        await using var server = await StartServerAsync(bytes);
        using var direct = BenchHost.CreateClient(server.Services);
        using var app = await _host.StartAnotherAsync(("MLFLOW_SERVER_URL", direct.BaseAddress!.ToString()));
        using var proxied = BenchHost.CreateClient(app.Services);
        proxied.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", _key);
        HttpRequestMessage Direct(int number) => new(HttpMethod.Get, "/api/2.0/mlflow/runs/get?run_id=1");
        HttpRequestMessage Proxied(int number) => new(HttpMethod.Get, "/hokusai/mlflow/api/2.0/mlflow/runs/get?run_id=1");

        // One at a time, taking turns.
        var (directTimes, proxiedTimes) = (new List<double>(), new List<double>());
        for (var i = 0; i < 4000; i++)
        {
            var (one, two) = (await TimeAsync(direct, Direct(i)), await TimeAsync(proxied, Proxied(i)));
            if (i < 1000)
                continue;
            directTimes.Add(one);
            proxiedTimes.Add(two);
        }
        directTimes.Sort();
        proxiedTimes.Sort();
        var (directP50, proxiedP50) = (directTimes[directTimes.Count / 2], proxiedTimes[proxiedTimes.Count / 2]);
        Console.WriteLine($"proxy, one call at a time: p50 {proxiedP50:0.00} ms, direct {directP50:0.00} ms, overhead {proxiedP50 - directP50:0.00} ms");
        var (ours, bare) = await LoadClient.CompareAsync(new LoadTarget(proxied, Proxied), new LoadTarget(direct, Direct), time);
        Console.WriteLine($"proxy, 16 at a time: {ours.PerSecond:N0} per second, p50 {ours.P50Ms:0.00} ms; direct {bare.PerSecond:N0} per second, p50 {bare.P50Ms:0.00} ms");

        GC.Collect();
        var (before, peak) = (Environment.WorkingSet, 0L);
        using var sampler = new Timer(_ => peak = Math.Max(peak, Environment.WorkingSet), null, 0, 20);
        var seconds = await SecondsAsync(async () =>
        {
            await using var stream = await proxied.GetStreamAsync("/hokusai/mlflow/large");
            await stream.CopyToAsync(Stream.Null);
        });
        Console.WriteLine($"proxy, a body of 2 GB: {LargeBody / seconds / (1 << 20):0} MB/s, resident +{(peak - before) >> 20} MB at most (server, proxy and client in one process)");
        await app.StopAsync();

        static async Task<double> TimeAsync(HttpClient client, HttpRequestMessage message)
        {
            using (message)
            {
                var start = Stopwatch.GetTimestamp();
                using var response = await client.SendAsync(message);
                response.EnsureSuccessStatusCode();
                return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            }
        }
    }

    private static async Task<WebApplication> StartServerAsync(byte[] answer)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(System.Net.IPAddress.Loopback, 0));
        var server = builder.Build();
        var block = new byte[1 << 20];
        server.Run(async context =>
        {
            if (context.Request.Path != "/large")
            {
                context.Response.ContentType = "application/json";
                context.Response.ContentLength = answer.Length;
                await context.Response.Body.WriteAsync(answer);
                return;
            }
            context.Response.ContentLength = LargeBody;
            for (var sent = 0L; sent < LargeBody; sent += block.Length)
                await context.Response.Body.WriteAsync(block);
        });
        await server.StartAsync();
        return server;
    }
}
