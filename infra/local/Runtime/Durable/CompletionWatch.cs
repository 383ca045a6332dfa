using System.Collections.Concurrent;

namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>Wakes those in this process who wait for an instance; what other processes do they find by asking now and then.</summary>
internal sealed class CompletionWatch
{
    private readonly ConcurrentDictionary<(string Id, bool ForEnd), TaskCompletionSource> _waiting = new();

    /// <summary>Ends when the instance has begun, or is over. Take it before asking how the instance is.</summary>
    public Task Next(string instanceId, bool forEnd) =>
        _waiting.GetOrAdd((instanceId, forEnd), _ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;

    /// <summary>A turn was stored.</summary>
    public void Changed(string instanceId, bool isOver)
    {
        Wake(instanceId, forEnd: false);
        if (isOver)
            Wake(instanceId, forEnd: true);
    }

    /// <summary>Also when somebody waits no more: who still does asks again.</summary>
    public void Wake(string instanceId, bool forEnd)
    {
        if (_waiting.TryRemove((instanceId, forEnd), out var waiting))
            waiting.TrySetResult();
    }
}
