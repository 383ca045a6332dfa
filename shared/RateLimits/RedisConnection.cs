using FunctionsRegistry.Identity;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace FunctionsRegistry.RateLimits;

/// <summary>Where Redis is: <c>REDIS_CONNECTION</c>, in StackExchange.Redis' form, such as <c>host:6379,password=...,ssl=true</c>.</summary>
/// <param name="UsesEntra">
/// <c>REDIS_AUTH=entra</c>: the password is an Entra token of the process' identity, whose object id is <c>user=</c> in the connection.
/// </param>
public sealed record RedisOptions(ConfigurationOptions Configuration, bool UsesEntra = false)
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
        var usesEntra = AuthSetting.UsesEntra(configuration, "REDIS_AUTH");
        if (usesEntra && !string.IsNullOrEmpty(options.Password))
            throw new InvalidOperationException("REDIS_AUTH is entra, so a token is the password: leave the password in REDIS_CONNECTION out.");
        return new RedisOptions(options, usesEntra);
    }
}

/// <summary>
/// The one Redis connection of the process, made in the background so that a Redis that is down neither stops nor slows the start. Where tokens are
/// passwords it is replaced before its token expires: the server ends a connection whose token has.
/// </summary>
public sealed partial class RedisConnection(RedisOptions options, EntraTokens tokens, TimeProvider time, ILogger<RedisConnection> logger) : IDisposable
{
    private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(2);

    // Within the margin in which EntraTokens asks for a new one.
    private static readonly TimeSpan s_renewBefore = EntraTokens.Margin - TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_renewalPause = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan s_publishTimeout = TimeSpan.FromSeconds(2);
    private readonly Lock _gate = new();
    private readonly List<(RedisChannel Channel, Action<byte[]> Handler)> _subscriptions = [];
    private volatile ConnectionMultiplexer? _multiplexer;
    private Task? _connecting;
    private long _downUntil;
    private long _renewAt = long.MaxValue;

    /// <summary>Whether the last call worked; false at most two seconds after Redis came back.</summary>
    public bool IsUp => _multiplexer is { IsConnected: true } && time.GetUtcNow().UtcTicks >= Volatile.Read(ref _downUntil);

    /// <summary>The database, or null while Redis is down: the caller then does without.</summary>
    public IDatabase? Database
    {
        get
        {
            // Looked at before: a connection whose token is near its end serves on while the next one is made.
            if (!IsUp || time.GetUtcNow().UtcTicks >= Volatile.Read(ref _renewAt))
                StartConnecting();
            return IsUp ? _multiplexer!.GetDatabase() : null;
        }
    }

    /// <summary>Waits for the first connection, at most as long as said; for the start of the app.</summary>
    public async Task ConnectAsync(TimeSpan atMost)
    {
        StartConnecting();
        if (_connecting is { } connecting)
            await Task.WhenAny(connecting, Task.Delay(atMost, time));
    }

    /// <summary>Calls for every message on a channel, from the next connection on and on every one after that.</summary>
    public void Subscribe(string channel, Action<byte[]> handler)
    {
        lock (_gate)
        {
            var subscription = (new RedisChannel(channel, RedisChannel.PatternMode.Literal), handler);
            _subscriptions.Add(subscription);
            if (_multiplexer is { } multiplexer)
                Subscribe(multiplexer, subscription);
        }
    }

    /// <summary>Sends a message to those who listen; nothing while Redis is down.</summary>
    public async Task PublishAsync(string channel, byte[] message)
    {
        if (Database is not { } database)
            return;
        try
        {
            await database.PublishAsync(new RedisChannel(channel, RedisChannel.PatternMode.Literal), message).WaitAsync(s_publishTimeout, time);
        }
        catch (Exception exception) when (exception is RedisException or TimeoutException or ObjectDisposedException)
        {
            ReportFailure(exception);
        }
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

    private void StartConnecting()
    {
        lock (_gate)
        {
            var now = time.GetUtcNow().UtcTicks;
            var isNeeded = _multiplexer is null ? now >= Volatile.Read(ref _downUntil) : now >= Volatile.Read(ref _renewAt);
            if (isNeeded && _connecting is null or { IsCompleted: true })
                _connecting = ConnectAsync();
        }
    }

    private async Task ConnectAsync()
    {
        try
        {
            var configuration = options.Configuration;
            var renewAt = long.MaxValue;
            if (options.UsesEntra)
            {
                var token = await tokens.GetAsync(EntraTokens.RedisScope, CancellationToken.None);
                configuration = configuration.Clone();
                configuration.Password = token.Token;
                // One that could not be replaced yet is tried again soon.
                renewAt = Math.Max((token.ExpiresOn - s_renewBefore).UtcTicks, (time.GetUtcNow() + s_renewalPause).UtcTicks);
            }
            Replace(await ConnectionMultiplexer.ConnectAsync(configuration), renewAt);
        }
        catch (Exception exception) when (
            exception is RedisConnectionException or TimeoutException or System.Net.Sockets.SocketException or EntraTokenException)
        {
            Volatile.Write(ref _renewAt, Math.Min(Volatile.Read(ref _renewAt), (time.GetUtcNow() + s_renewalPause).UtcTicks));
            if (_multiplexer is { IsConnected: true })
                LogRenewalFailed(exception.Message);
            else
                ReportFailure(exception);
        }
    }

    private void Replace(ConnectionMultiplexer next, long renewAt)
    {
        var last = _multiplexer;
        if (last is { IsConnected: true } && !next.IsConnected)
        {
            // The one at hand still works: better than one that does not.
            Volatile.Write(ref _renewAt, (time.GetUtcNow() + s_renewalPause).UtcTicks);
            _ = EndAsync(next);
            return;
        }
        lock (_gate)
        {
            foreach (var subscription in _subscriptions)
                Subscribe(next, subscription);
            _multiplexer = next;
        }
        Volatile.Write(ref _renewAt, renewAt);
        if (last is not null)
            _ = EndAsync(last);
    }

    // The client subscribes again by itself when it reconnects. While one connection takes over from another both bring messages: one of them is heard.
    private void Subscribe(ConnectionMultiplexer multiplexer, (RedisChannel Channel, Action<byte[]> Handler) subscription) => multiplexer.GetSubscriber().Subscribe(
        subscription.Channel,
        (_, message) =>
        {
            if (ReferenceEquals(multiplexer, _multiplexer))
                subscription.Handler(message!);
        },
        CommandFlags.FireAndForget);

    // Calls that took the connection before it was replaced get their answers.
    private static async Task EndAsync(ConnectionMultiplexer multiplexer)
    {
        await Task.Delay(TimeSpan.FromSeconds(5));
        multiplexer.Dispose();
    }

    [LoggerMessage(1201, LogLevel.Warning, "Redis is not available, limits are counted in this process: {Reason}")]
    private partial void LogDown(string reason);

    [LoggerMessage(1202, LogLevel.Warning, "The Redis connection could not be renewed before its token expires, tried again soon: {Reason}")]
    private partial void LogRenewalFailed(string reason);
}
