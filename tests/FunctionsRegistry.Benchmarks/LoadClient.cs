using System.Diagnostics;

namespace FunctionsRegistry.Benchmarks;

/// <summary>What a run measured. Times in milliseconds.</summary>
internal sealed record LoadResult(double PerSecond, double P50Ms, double P99Ms);

/// <summary>Keeps a number of requests in flight for a time, over loopback, and counts the answers that are 200.</summary>
internal static class LoadClient
{
    private const int InFlight = 16;

    public static async Task<LoadResult> RunAsync(HttpClient client, Func<int, HttpRequestMessage> request, TimeSpan time)
    {
        // As long as the run itself: a path is compiled anew several times before it is as fast as it gets.
        await LoopAsync(client, request, time, []);
        var times = new List<long>();
        var start = Stopwatch.GetTimestamp();
        await LoopAsync(client, request, time, times);
        var elapsed = Stopwatch.GetElapsedTime(start);
        times.Sort();
        return new LoadResult(times.Count / elapsed.TotalSeconds, At(times, 0.5), At(times, 0.99));
    }

    private static async Task LoopAsync(HttpClient client, Func<int, HttpRequestMessage> request, TimeSpan time, List<long> times)
    {
        var end = Stopwatch.GetTimestamp() + (long)(time.TotalSeconds * Stopwatch.Frequency);
        var number = 0;
        await Task.WhenAll(Enumerable.Range(0, InFlight).Select(async _ =>
        {
            await Task.Yield();
            var own = new List<long>();
            while (Stopwatch.GetTimestamp() < end)
            {
                using var message = request(Interlocked.Increment(ref number));
                var start = Stopwatch.GetTimestamp();
                using var response = await client.SendAsync(message);
                if (!response.IsSuccessStatusCode)
                    throw new InvalidOperationException($"{message.RequestUri} answered {(int)response.StatusCode}: {await response.Content.ReadAsStringAsync()}");
                await response.Content.CopyToAsync(Stream.Null);
                own.Add(Stopwatch.GetTimestamp() - start);
            }
            lock (times)
                times.AddRange(own);
        }));
    }

    private static double At(List<long> sorted, double quantile) =>
        sorted.Count == 0 ? 0 : sorted[Math.Min(sorted.Count - 1, (int)(sorted.Count * quantile))] * 1000.0 / Stopwatch.Frequency;
}
