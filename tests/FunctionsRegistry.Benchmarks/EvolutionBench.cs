using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.Evolution;
using FunctionsRegistry.IndexAgent;
using Microsoft.Extensions.DependencyInjection;

namespace FunctionsRegistry.Benchmarks;

/// <summary>Trials: how long one takes on a repository of 2,000 files, what it gains on queries that it never saw, and how fast 200 sockets hear of it.</summary>
internal static class EvolutionBench
{
    private const int Files = 2000;
    private const int Sockets = 200;
    private const int Updates = 200;
    private const int Seeds = 5;

    public static async Task RunAsync()
    {
        await using var host = await BenchHost.StartAsync(("Evolution:SocketsPerClient", "1000"), ("RateLimits:DeanPerAddress", "off"));
        using var client = host.CreateClient();
        await RunShortAsync(client);
        await UploadAsync(client, "csharp-style", StyledRepository.Write("csharp", 300, 1));
        await UploadAsync(client, "python-style", StyledRepository.Write("python", 300, 2));
        await UploadAsync(client, "large", StyledRepository.Write("csharp", Files, 3));

        foreach (var run in new[] { "first", "second" })
        {
            var watch = Stopwatch.StartNew();
            var trial = await RunTrialAsync(client, "large", run == "first" ? 1 : 2, 10);
            Console.WriteLine($"{run} trial of 10 generations x 20 agents on {Files:N0} files: {watch.Elapsed.TotalSeconds:0.00} s, fitness {trial.GetProperty("final_fitness").GetDouble():0.000}");
        }
        foreach (var repository in new[] { RepositoryNames.BuiltIn, "csharp-style", "python-style" })
            await CompareAsync(client, repository);
        await MeasureSocketsAsync(host, client);
    }

    // DEAN's own test expects more than 0.5 after three generations, of whatever it measures.
    private static async Task RunShortAsync(HttpClient client)
    {
        var each = new List<double>();
        for (var seed = 1; seed <= 12; seed++)
            each.Add((await RunTrialAsync(client, RepositoryNames.BuiltIn, seed, 3)).GetProperty("final_fitness").GetDouble());
        Console.WriteLine($"built-in, 3 generations x 20 agents: fitness mean {each.Average():0.000}, least {each.Min():0.000} of {string.Join(", ", each.Select(one => one.ToString("0.000")))}");
    }

    // The best genome of a trial against the one that searches use without it, on the queries that were kept back.
    private static async Task CompareAsync(HttpClient client, string repository)
    {
        var (before, after, seenBefore, seenAfter) = (0.0, 0.0, 0.0, 0.0);
        var each = new List<string>();
        for (var seed = 1; seed <= Seeds; seed++)
        {
            var result = await RunTrialAsync(client, repository, seed, 20);
            var metadata = result.GetProperty("metadata");
            var (one, other) = (metadata.GetProperty("held_out_default").GetDouble(), metadata.GetProperty("held_out_best").GetDouble());
            (before, after) = (before + one, after + other);
            (seenBefore, seenAfter) = (seenBefore + metadata.GetProperty("default_fitness").GetDouble(), seenAfter + result.GetProperty("final_fitness").GetDouble());
            each.Add($"{one:0.000}/{other:0.000}");
        }
        Console.WriteLine(
            $"{repository}: held-out MRR default {before / Seeds:0.000}, best {after / Seeds:0.000} (mean of {Seeds} seeds: {string.Join(", ", each)}); on the queries seen {seenBefore / Seeds:0.000}, {seenAfter / Seeds:0.000}");
    }

    private static async Task MeasureSocketsAsync(BenchHost host, HttpClient client)
    {
        var address = new Uri(client.BaseAddress!.ToString().Replace("http://", "ws://", StringComparison.Ordinal) + "evolution/ws");
        var sockets = Enumerable.Range(0, Sockets).Select(_ => new ClientWebSocket()).ToList();
        await Parallel.ForEachAsync(sockets, async (socket, token) => await socket.ConnectAsync(address, token));
        var sent = new long[Updates];
        var delays = new ConcurrentBag<double>();
        var last = new double[Updates];
        var receiving = sockets.Select(socket => Task.Run(async () =>
        {
            var buffer = new byte[4096];
            await socket.ReceiveAsync(buffer, CancellationToken.None);
            for (var i = 0; i < Updates; i++)
            {
                var received = await socket.ReceiveAsync(buffer, CancellationToken.None);
                var number = JsonElement.Parse(buffer.AsSpan(0, received.Count)).GetProperty("data").GetProperty("generation").GetInt32();
                var delay = Stopwatch.GetElapsedTime(sent[number]).TotalMilliseconds;
                delays.Add(delay);
                lock (last)
                    last[number] = Math.Max(last[number], delay);
            }
        })).ToList();
        var updates = host.Services.GetRequiredService<LiveUpdates>();
        for (var i = 0; i < Updates; i++)
        {
            var frame = JsonSerializer.Serialize(
                new UpdateFrame("trial_update", "trial-bench", $"Generation {i} completed", DateTimeOffset.UnixEpoch, new UpdateData(i, 0.5, 0.01)), EvolutionJson.Default.UpdateFrame);
            sent[i] = Stopwatch.GetTimestamp();
            await updates.PublishAsync([new TrialEvent("trial-bench", i, frame)], CancellationToken.None);
            await Task.Delay(20);
        }
        await Task.WhenAll(receiving).WaitAsync(TimeSpan.FromMinutes(1));
        foreach (var socket in sockets)
            socket.Dispose();
        var all = delays.Order().ToArray();
        var ends = last.Order().ToArray();
        Console.WriteLine($"{Sockets} sockets, {Updates} updates: p50 {At(all, 0.5):0.0} ms, p99 {At(all, 0.99):0.0} ms, max {all[^1]:0.0} ms; until all have it p50 {At(ends, 0.5):0.0} ms, p99 {At(ends, 0.99):0.0} ms");
    }

    private static double At(double[] ordered, double part) => ordered[(int)(part * (ordered.Length - 1))];

    private static async Task<JsonElement> RunTrialAsync(HttpClient client, string repository, int seed, int generations)
    {
        var body = new
        {
            repository = repository == RepositoryNames.BuiltIn ? null : repository,
            generations,
            population_size = 20,
            fitness_threshold = 1,
            parameters = new { seed },
        };
        using var answer = await client.PostAsJsonAsync("/evolution/evolution/start", body);
        var id = (await answer.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("trial_id").GetString();
        while (true)
        {
            var trial = await client.GetFromJsonAsync<JsonElement>($"/evolution/evolution/{id}/status");
            if (trial.GetProperty("status").GetString() is "failed")
                throw new InvalidOperationException(trial.ToString());
            if (trial.GetProperty("status").GetString() is "completed")
                break;
            await Task.Delay(20);
        }
        return (await client.GetFromJsonAsync<JsonElement>("/evolution/evolution/results")).GetProperty("results").EnumerateArray().Single(one => one.GetProperty("trial_id").GetString() == id);
    }

    private static async Task UploadAsync(HttpClient client, string name, byte[] archive)
    {
        using var content = new ByteArrayContent(archive);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/gzip");
        (await client.PutAsync($"/indexagent/repositories/{name}", content)).EnsureSuccessStatusCode();
        while (true)
        {
            var state = await client.GetFromJsonAsync<JsonElement>($"/indexagent/repositories/{name}");
            if (state.GetProperty("state").GetString() == "ready")
                return;
            if (state.GetProperty("state").GetString() == "failed")
                throw new InvalidOperationException(state.ToString());
            await Task.Delay(100);
        }
    }
}
