using System.Collections.Concurrent;

namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>Wakes those in this process who wait for an instance; what other processes do they find by asking now and then.</summary>
internal sealed class CompletionWatch
{
    private readonly ConcurrentDictionary<string, TaskCompletionSource> _changes = new(StringComparer.Ordinal);

    /// <summary>Ends when the instance changes next. Take it before asking how the instance is.</summary>
    public Task NextChange(string instanceId) =>
        _changes.GetOrAdd(instanceId, _ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;

    /// <summary>A turn was stored, or somebody waits no more: who still does asks again.</summary>
    public void Changed(string instanceId)
    {
        if (_changes.TryRemove(instanceId, out var waiting))
            waiting.TrySetResult();
    }
}
