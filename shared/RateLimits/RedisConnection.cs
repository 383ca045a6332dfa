using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace FunctionsRegistry.RateLimits;

/// <summary>Where Redis is: <c>REDIS_CONNECTION</c>, in StackExchange.Redis' form, such as <c>host:6379,password=...,ssl=true</c>.</summary>
public sealed record RedisOptions(ConfigurationOptions Configuration)
{
    /// <summary>Reads the setting.</summary>
    /// <exception cref="InvalidOperationException">It is not set, or cannot be understood; the message never shows it, it may hold a password.</exception>
    public static RedisOptions FromConfiguration(IConfiguration configuration)
    {
        var text = configuration["REDIS_CONNECTION"] is { Length: > 0 } set ? set : throw new InvalidOperationException("No Redis is configured: set REDIS_CONNECTION.");
        ConfigurationOptions options;
        try
        {
            options = ConfigurationOptions.Parse(text);
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException)
        {
            throw new InvalidOperationException("REDIS_CONNECTION must look like host:6379,password=secret,ssl=true.");
        }
        if (options.EndPoints.Count == 0)
            throw new InvalidOperationException("REDIS_CONNECTION names no server.");
        // The multiplexer reconnects by itself; until the first connection RedisConnection tries again every two seconds.
        options.AbortOnConnectFail = false;
        options.ConnectTimeout = 1500;
        options.ConnectRetry = 1;
        return new RedisOptions(options);
    }
}

/// <summary>The one Redis connection of the process, made in the background so that a Redis that is down neither stops nor slows the start.</summary>
public sealed partial class RedisConnection(RedisOptions options, TimeProvider time, ILogger<RedisConnection> logger) : IDisposable
{
    private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(2);
    private readonly Lock _gate = new();
    private ConnectionMultiplexer? _multiplexer;
    private Task? _connecting;
    private long _downUntil;

    /// <summary>Whether the last call worked; false at most two seconds after Redis came back.</summary>
    public bool IsUp => _multiplexer is { IsConnected: true } && time.GetUtcNow().UtcTicks >= Volatile.Read(ref _downUntil);

    /// <summary>The database, or null while Redis is down: the caller then does without.</summary>
    public IDatabase? Database => IsUp ? _multiplexer!.GetDatabase() : StartConnecting();

    /// <summary>Waits for the first connection, at most as long as said; for the start of the app.</summary>
    public async Task ConnectAsync(TimeSpan atMost)
    {
        StartConnecting();
        if (_connecting is { } connecting)
            await Task.WhenAny(connecting, Task.Delay(atMost, time));
    }

    /// <summary>Called when a command failed: Redis is left alone for two seconds, then tried again.</summary>
    public void ReportFailure(Exception exception)
    {
        var wasUp = time.GetUtcNow().UtcTicks >= Interlocked.Exchange(ref _downUntil, (time.GetUtcNow() + s_pause).UtcTicks);
        if (wasUp)
            LogDown(exception.Message);
    }

    /// <inheritdoc/>
    public void Dispose() => _multiplexer?.Dispose();

    private IDatabase? StartConnecting()
    {
        lock (_gate)
        {
            if (_multiplexer is null && _connecting is null or { IsCompleted: true } && time.GetUtcNow().UtcTicks >= Volatile.Read(ref _downUntil))
                _connecting = ConnectAsync();
        }
        return null;
    }

    private async Task ConnectAsync()
    {
        try
        {
            _multiplexer = await ConnectionMultiplexer.ConnectAsync(options.Configuration);
        }
        catch (Exception exception) when (exception is RedisConnectionException or TimeoutException or System.Net.Sockets.SocketException)
        {
            ReportFailure(exception);
        }
    }

    [LoggerMessage(1201, LogLevel.Warning, "Redis is not available, limits are counted in this process: {Reason}")]
    private partial void LogDown(string reason);
}
