using System.Diagnostics;

namespace FunctionsRegistry.Benchmarks;

/// <summary>What a run measured. Times in milliseconds; processor time in microseconds per request, of this process (load client included) and of the services.</summary>
internal sealed record LoadResult(double PerSecond, double P50Ms, double P99Ms, double OwnMicroseconds, double ServicesMicroseconds);

/// <summary>Whom to ask, and what the n-th time.</summary>
internal sealed record LoadTarget(HttpClient Client, Func<int, HttpRequestMessage> Request);

/// <summary>Keeps a number of requests in flight for a time, over loopback, and counts the answers that are 200.</summary>
internal static class LoadClient
{
    private const int InFlight = 16;

    // The two take turns in short rounds: what else the machine does meets both alike, so that their ratio holds.
    private const int Rounds = 6;

    /// <summary>Loads two targets in turn, each for the time given after a warm-up as long.</summary>
    public static async Task<(LoadResult App, LoadResult Baseline)> CompareAsync(LoadTarget app, LoadTarget baseline, TimeSpan time)
    {
        // As long as the run itself: a path is compiled anew several times before it is as fast as it gets.
        await LoopAsync(app, time, []);
        await LoopAsync(baseline, time, []);
        var (ofApp, ofBaseline) = (new Sum(), new Sum());
        for (var round = 0; round < Rounds; round++)
        {
            await ofApp.AddAsync(app, time / Rounds);
            await ofBaseline.AddAsync(baseline, time / Rounds);
        }
        return (ofApp.Result(), ofBaseline.Result());
    }

    private sealed class Sum
    {
        private readonly List<long> _times = [];
        private TimeSpan _elapsed;
        private double _own;
        private double _services;

        public async Task AddAsync(LoadTarget target, TimeSpan time)
        {
            var before = ProcessorTime.Read();
            _elapsed += await LoopAsync(target, time, _times);
            var after = ProcessorTime.Read();
            _own += after.Own - before.Own;
            _services += after.Services - before.Services;
        }

        public LoadResult Result()
        {
            _times.Sort();
            return new LoadResult(
                _times.Count / _elapsed.TotalSeconds, At(_times, 0.5), At(_times, 0.99), _own * 1e6 / _times.Count, _services * 1e6 / _times.Count);
        }
    }

    private static async Task<TimeSpan> LoopAsync(LoadTarget target, TimeSpan time, List<long> times)
    {
        var started = Stopwatch.GetTimestamp();
        var end = started + (long)(time.TotalSeconds * Stopwatch.Frequency);
        var number = 0;
        await Task.WhenAll(Enumerable.Range(0, InFlight).Select(async _ =>
        {
            await Task.Yield();
            var own = new List<long>();
            while (Stopwatch.GetTimestamp() < end)
            {
                using var message = target.Request(Interlocked.Increment(ref number));
                var start = Stopwatch.GetTimestamp();
                using var response = await target.Client.SendAsync(message);
                if (!response.IsSuccessStatusCode)
                    throw new InvalidOperationException($"{message.RequestUri} answered {(int)response.StatusCode}: {await response.Content.ReadAsStringAsync()}");
                await response.Content.CopyToAsync(Stream.Null);
                own.Add(Stopwatch.GetTimestamp() - start);
            }
            lock (times)
                times.AddRange(own);
        }));
        return Stopwatch.GetElapsedTime(started);
    }

    private static double At(List<long> sorted, double quantile) =>
        sorted.Count == 0 ? 0 : sorted[Math.Min(sorted.Count - 1, (int)(sorted.Count * quantile))] * 1000.0 / Stopwatch.Frequency;
}
