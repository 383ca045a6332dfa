using System.Collections.Concurrent;
using System.Diagnostics;
using FunctionsRegistry.Metrics;
using StackExchange.Redis;

namespace FunctionsRegistry.RateLimits;

/// <summary>Counts calls against limits: in Redis, exactly and across processes; in this process while Redis is down.</summary>
public sealed class RateLimiter(RedisConnection redis, RateLimitOptions options, TimeProvider time)
{
    // A sliding log per key: a list of the accepted calls' times, newest first. Any window holds at most `limit` calls, whatever the number of
    // processes, because the script is atomic and the clock is the server's. Each call pops at most what it and its like once pushed.
    private const string Script = """
        local t = redis.call('TIME')
        local now = t[1] * 1000 + math.floor(t[2] / 1000)
        local answers = {}
        for i, key in ipairs(KEYS) do
          local limit = tonumber(ARGV[2 * i - 1])
          local window = tonumber(ARGV[2 * i])
          local oldest = tonumber(redis.call('LINDEX', key, -1))
          while oldest and oldest <= now - window do
            redis.call('RPOP', key)
            oldest = tonumber(redis.call('LINDEX', key, -1))
          end
          local count = redis.call('LLEN', key)
          local accepted = 0
          if count < limit then
            redis.call('LPUSH', key, now)
            redis.call('PEXPIRE', key, window)
            accepted = 1
            count = count + 1
          end
          answers[3 * i - 2] = accepted
          answers[3 * i - 1] = limit - count
          answers[3 * i] = (oldest or now) + window - now
        end
        return answers
        """;

    private const int LargestBatch = 128;

    // Requests whose answers came together go on one after the other on one thread until they wait again: waking a thread for each costs more.
    private const int CallsPerThread = 4;

    // StackExchange.Redis 1.2 has no timeout for asynchronous calls of its own. Long enough that a burst on a busy machine is still counted
    // in Redis (each process counting for itself lets more through), short enough that a Redis that hangs costs no caller five seconds.
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(3);

    private readonly LocalLimiter _local = new(time);
    private readonly ConcurrentQueue<Call> _waiting = new();
    private int _sending;

    /// <summary>Whether limits are counted in Redis right now.</summary>
    public bool IsDistributed => redis.IsUp;

    /// <summary>Counts one call of <paramref name="subject"/> (a user id, a key id or an address); null where the policy is off.</summary>
    public async ValueTask<RateLimitDecision?> TakeAsync(RateLimitPolicy policy, string subject, CancellationToken cancellationToken) =>
        options[policy] is { } limit ? await TakeAsync(limit, subject, cancellationToken) : null;

    /// <summary>Counts one call against a limit of the caller's own, such as a key with its own rate.</summary>
    public async ValueTask<RateLimitDecision> TakeAsync(RateLimit limit, string subject, CancellationToken cancellationToken)
    {
        // The braces put all keys into one slot of a Redis cluster, because a script may touch one slot only.
        var call = new Call($"{{{options.KeyPrefix}rl}}:{limit.Name}:{subject}", limit);
        if (redis.Database is null)
            return _local.Take(call.Key, limit);
        _waiting.Enqueue(call);
        if (Interlocked.Exchange(ref _sending, 1) == 0)
            _ = SendAsync();
        return await call.Task.WaitAsync(cancellationToken);
    }

    // Calls that arrive while one script is on its way share the next: a round trip costs several thread switches, the script a few microseconds.
    private async Task SendAsync()
    {
        var batch = new List<Call>();
        do
        {
            while (!_waiting.IsEmpty)
            {
                batch.Clear();
                while (batch.Count < LargestBatch && _waiting.TryDequeue(out var call))
                    batch.Add(call);
                await CountAsync(batch);
            }
            Volatile.Write(ref _sending, 0);
        }
        // Somebody may have queued a call after the look and before the flag was down.
        while (!_waiting.IsEmpty && Interlocked.Exchange(ref _sending, 1) == 0);
    }

    private async Task CountAsync(List<Call> batch)
    {
        var start = Stopwatch.GetTimestamp();
        try
        {
            var answers = await AskAsync(batch);
            DependencyMetrics.RecordRedis(start, succeeded: true);
            for (var i = 0; i < batch.Count; i++)
                batch[i].Decision = new RateLimitDecision(answers[3 * i] == 1, batch[i].Limit, (int)answers[3 * i + 1], TimeSpan.FromMilliseconds(Math.Max(answers[3 * i + 2], 0)));
        }
        catch (Exception exception)
        {
            // Whatever it was, nobody may wait for ever.
            DependencyMetrics.RecordRedis(start, succeeded: false);
            redis.ReportFailure(exception);
            foreach (var call in batch)
                call.Decision = _local.Take(call.Key, call.Limit);
        }
        foreach (var share in batch.Chunk(CallsPerThread))
            ThreadPool.UnsafeQueueUserWorkItem(static share => Array.ForEach(share, static call => call.SetResult(call.Decision)), share, preferLocal: false);
    }

    private async Task<long[]> AskAsync(List<Call> batch)
    {
        var keys = new RedisKey[batch.Count];
        var values = new RedisValue[2 * batch.Count];
        for (var i = 0; i < batch.Count; i++)
        {
            keys[i] = batch[i].Key;
            values[2 * i] = batch[i].Limit.Count;
            values[2 * i + 1] = (long)batch[i].Limit.Window.TotalMilliseconds;
        }
        var database = redis.Database ?? throw new TimeoutException("Redis went away.");
        return (long[])(await database.ScriptEvaluateAsync(Script, keys, values).WaitAsync(s_timeout))!;
    }

    private sealed class Call(string key, RateLimit limit) : TaskCompletionSource<RateLimitDecision>
    {
        public string Key => key;

        public RateLimit Limit => limit;

        public RateLimitDecision Decision { get; set; }
    }
}
