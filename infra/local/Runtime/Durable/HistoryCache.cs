namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>Inputs and histories of instances that had a turn lately, so that the next one reads only what it lacks. The oldest go when it is full.</summary>
internal sealed class HistoryCache(long maxCharacters)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, LinkedListNode<Entry>> _entries = [];
    private readonly LinkedList<Entry> _byAge = new();
    private long _characters;

    /// <param name="Events">The stored events of the execution up to some turn, in order. Only whoever holds the instance's lock may add to it.</param>
    public sealed record Entry(string InstanceId, Guid Execution, string? Input, List<HistoryEvent> Events, long Size);

    public Entry? Find(string instanceId)
    {
        lock (_lock)
        {
            if (!_entries.TryGetValue(instanceId, out var node))
                return null;
            _byAge.Remove(node);
            _byAge.AddLast(node);
            return node.Value;
        }
    }

    /// <summary>Keeps what a turn has stored.</summary>
    public void Put(string instanceId, Guid execution, string? input, List<HistoryEvent> events)
    {
        var size = 200 + (input?.Length ?? 0) + events.Sum(entry => 150L + (entry.Payload?.Length ?? 0));
        lock (_lock)
        {
            RemoveLocked(instanceId);
            if (size > maxCharacters / 4)
                return;
            _entries[instanceId] = _byAge.AddLast(new Entry(instanceId, execution, input, events, size));
            _characters += size;
            while (_characters > maxCharacters)
                RemoveLocked(_byAge.First!.Value.InstanceId);
        }
    }

    public void Remove(string instanceId)
    {
        lock (_lock)
            RemoveLocked(instanceId);
    }

    private void RemoveLocked(string instanceId)
    {
        if (!_entries.Remove(instanceId, out var node))
            return;
        _byAge.Remove(node);
        _characters -= node.Value.Size;
    }
}
