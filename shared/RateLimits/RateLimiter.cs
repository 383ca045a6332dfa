using StackExchange.Redis;

namespace FunctionsRegistry.RateLimits;

/// <summary>Counts calls against limits: in Redis, exactly and across processes; in this process while Redis is down.</summary>
public sealed class RateLimiter(RedisConnection redis, RateLimitOptions options, TimeProvider time)
{
    // A sliding log: a list of the accepted calls' times, newest first. Any window holds at most `limit` calls, whatever the number of
    // processes, because the script is atomic and the clock is the server's. Each call pops at most what it and its like once pushed.
    private const string Script = """
        local t = redis.call('TIME')
        local now = t[1] * 1000 + math.floor(t[2] / 1000)
        local limit = tonumber(ARGV[1])
        local window = tonumber(ARGV[2])
        local oldest = tonumber(redis.call('LINDEX', KEYS[1], -1))
        while oldest and oldest <= now - window do
          redis.call('RPOP', KEYS[1])
          oldest = tonumber(redis.call('LINDEX', KEYS[1], -1))
        end
        local count = redis.call('LLEN', KEYS[1])
        local accepted = 0
        if count < limit then
          redis.call('LPUSH', KEYS[1], now)
          redis.call('PEXPIRE', KEYS[1], window)
          accepted = 1
          count = count + 1
        end
        return {accepted, limit - count, (oldest or now) + window - now}
        """;

    // StackExchange.Redis 1.2 has no timeout for asynchronous calls of its own. Long enough that a burst on a busy machine is still counted
    // in Redis (each process counting for itself lets more through), short enough that a Redis that hangs costs no caller five seconds.
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(3);
    private readonly LocalLimiter _local = new(time);

    /// <summary>Whether limits are counted in Redis right now.</summary>
    public bool IsDistributed => redis.IsUp;

    /// <summary>Counts one call of <paramref name="subject"/> (a user id, a key id or an address); null where the policy is off.</summary>
    public ValueTask<RateLimitDecision?> TakeAsync(RateLimitPolicy policy, string subject, CancellationToken cancellationToken) =>
        options[policy] is { } limit ? TakeAsync(limit, subject, cancellationToken) : new ValueTask<RateLimitDecision?>((RateLimitDecision?)null);

    /// <summary>Counts one call against a limit of the caller's own, such as a key with its own rate.</summary>
    public async ValueTask<RateLimitDecision?> TakeAsync(RateLimit limit, string subject, CancellationToken cancellationToken)
    {
        var key = $"{options.KeyPrefix}rl:{limit.Name}:{subject}";
        if (redis.Database is { } database)
        {
            try
            {
                var values = new RedisValue[] { limit.Count, (long)limit.Window.TotalMilliseconds };
                var answer = (long[]?)await database.ScriptEvaluateAsync(Script, new RedisKey[] { key }, values).WaitAsync(s_timeout, cancellationToken);
                return new RateLimitDecision(answer![0] == 1, limit, (int)answer[1], TimeSpan.FromMilliseconds(Math.Max(answer[2], 0)));
            }
            catch (Exception exception) when (exception is RedisException or TimeoutException or ObjectDisposedException)
            {
                redis.ReportFailure(exception);
            }
        }
        return _local.Take(key, limit);
    }
}
