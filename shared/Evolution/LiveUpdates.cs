using System.Collections.Concurrent;
using System.Text;
using FunctionsRegistry.RateLimits;

namespace FunctionsRegistry.Evolution;

/// <summary>
/// The one way that updates of trials take: to this process's listeners at once, to other processes over Redis, and to Azure Web PubSub where it is
/// configured. The rows were committed before: an update that gets lost is in the trial's events.
/// </summary>
public sealed class LiveUpdates : IDisposable
{
    private readonly ConcurrentDictionary<object, Action<TrialEvent>> _listeners = new();
    private readonly RedisConnection _redis;
    private readonly WebPubSub _webPubSub;
    private readonly string _channel;
    private readonly string _self = Guid.CreateVersion7(TimeProvider.System.GetUtcNow()).ToString("N");
    private readonly ITimer _watch;

    /// <summary>Listens to the other processes from now on.</summary>
    public LiveUpdates(RedisConnection redis, RateLimitOptions limits, WebPubSub webPubSub, TimeProvider time)
    {
        (_redis, _webPubSub) = (redis, webPubSub);
        _channel = limits.KeyPrefix + "evolution";
        redis.Subscribe(_channel, Receive);
        // A process that only listens asks for nothing that would renew the connection.
        _watch = time.CreateTimer(_ => _ = redis.Database, null, TimeSpan.Zero, TimeSpan.FromSeconds(5));
    }

    /// <summary>Calls for every update until the result is disposed; the call must not wait.</summary>
    public IDisposable Listen(Action<TrialEvent> listener)
    {
        var key = new Listening(this);
        _listeners[key] = listener;
        return key;
    }

    /// <summary>Sends updates, in order. Nobody has to be there.</summary>
    public async Task PublishAsync(IReadOnlyList<TrialEvent> events, CancellationToken cancellationToken)
    {
        foreach (var one in events)
            Tell(one);
        foreach (var one in events)
            await _redis.PublishAsync(_channel, Encoding.UTF8.GetBytes($"{_self} {one.TrialId} {one.Number} {one.Frame}"));
        await _webPubSub.SendAsync(events, cancellationToken);
    }

    /// <inheritdoc/>
    public void Dispose() => _watch.Dispose();

    private void Receive(byte[] message)
    {
        var parts = Encoding.UTF8.GetString(message).Split(' ', 4);
        if (parts.Length == 4 && parts[0] != _self && int.TryParse(parts[2], out var number))
            Tell(new TrialEvent(parts[1], number, parts[3]));
    }

    private void Tell(TrialEvent one)
    {
        foreach (var listener in _listeners.Values)
            listener(one);
    }

    private sealed class Listening(LiveUpdates updates) : IDisposable
    {
        public void Dispose() => updates._listeners.TryRemove(this, out _);
    }
}
