using System.Globalization;
using FunctionsRegistry.RateLimits;
using StackExchange.Redis;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>
/// The breaker of this process, told to the others through Redis: who opens says until when, who closes takes that back. Each process looks once a second
/// and on its own only; without Redis each goes by itself.
/// </summary>
public sealed class SharedBreaker(MlflowServerOptions options, RedisConnection redis, RateLimitOptions keys, TimeProvider time)
{
    private static readonly TimeSpan s_lookEvery = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_timeout = TimeSpan.FromMilliseconds(200);
    private readonly CircuitBreaker _breaker = new(options.FailureThreshold, options.RecoveryTimeout, time);
    private readonly string _key = $"{keys.KeyPrefix}mlflow-breaker";
    private long _lookedAt;
    private long _opened;

    /// <summary>The present state.</summary>
    public BreakerSnapshot Snapshot => _breaker.Snapshot;

    /// <summary>How often this process opened it.</summary>
    public long Opened => Interlocked.Read(ref _opened);

    /// <summary>Whether a call may pass; who may must report.</summary>
    public async ValueTask<bool> TryEnterAsync()
    {
        var now = time.GetUtcNow().UtcTicks;
        var looked = Volatile.Read(ref _lookedAt);
        if (now - looked >= s_lookEvery.Ticks && Interlocked.CompareExchange(ref _lookedAt, now, looked) == looked
            && await AskAsync(database => database.StringGetAsync(_key)) is { HasValue: true } until
            && long.TryParse((string?)until, NumberStyles.None, CultureInfo.InvariantCulture, out var milliseconds))
            _breaker.OpenUntil(DateTimeOffset.FromUnixTimeMilliseconds(milliseconds));
        return _breaker.TryEnter();
    }

    /// <summary>The call worked.</summary>
    public async ValueTask ReportSuccessAsync()
    {
        if (_breaker.ReportSuccess())
            await AskAsync(database => database.KeyDeleteAsync(_key));
    }

    /// <summary>The call failed.</summary>
    public async ValueTask ReportFailureAsync()
    {
        if (!_breaker.ReportFailure())
            return;
        Interlocked.Increment(ref _opened);
        var until = (time.GetUtcNow() + options.RecoveryTimeout).ToUnixTimeMilliseconds();
        await AskAsync(database => database.StringSetAsync(_key, until.ToString(CultureInfo.InvariantCulture), options.RecoveryTimeout));
    }

    /// <summary>The call told nothing.</summary>
    public void Leave() => _breaker.Leave();

    /// <summary>CLOSED in this process, and no longer told to the others.</summary>
    public async ValueTask ResetAsync()
    {
        _breaker.Reset();
        await AskAsync(database => database.KeyDeleteAsync(_key));
    }

    private async ValueTask<T?> AskAsync<T>(Func<IDatabase, Task<T>> call)
    {
        if (redis.Database is not { } database)
            return default;
        try
        {
            return await call(database).WaitAsync(s_timeout);
        }
        catch (Exception exception) when (exception is RedisException or TimeoutException or ObjectDisposedException)
        {
            return default;
        }
    }
}
