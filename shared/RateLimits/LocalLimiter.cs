using System.Collections.Concurrent;

namespace FunctionsRegistry.RateLimits;

/// <summary>The same sliding log as the Redis script, in this process: what counts while Redis is down.</summary>
internal sealed class LocalLimiter(TimeProvider time)
{
    // A flood of addresses must not fill the memory: past this many keys, all start afresh: limits are soft then, memory is not.
    private const int MaxKeys = 50_000;

    private readonly ConcurrentDictionary<string, Queue<long>> _logs = new();

    public RateLimitDecision Take(string key, RateLimit limit)
    {
        if (_logs.Count > MaxKeys)
            _logs.Clear();
        var log = _logs.GetOrAdd(key, _ => new Queue<long>());
        var now = time.GetUtcNow().Ticks;
        lock (log)
        {
            while (log.TryPeek(out var oldest) && oldest <= now - limit.Window.Ticks)
                log.Dequeue();
            var accepted = log.Count < limit.Count;
            if (accepted)
                log.Enqueue(now);
            return new RateLimitDecision(accepted, limit, limit.Count - log.Count, TimeSpan.FromTicks(log.Peek() + limit.Window.Ticks - now));
        }
    }

}
