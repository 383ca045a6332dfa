namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>Whether work was left for lack of room. Clearing names what was seen before looking, so that a mark made meanwhile stays.</summary>
internal sealed class Backlog
{
    private long _marked;
    private long _cleared;

    public bool IsMarked => Interlocked.Read(ref _marked) != Interlocked.Read(ref _cleared);

    public long Seen => Interlocked.Read(ref _marked);

    public void Mark() => Interlocked.Increment(ref _marked);

    public void Clear(long seen)
    {
        for (var cleared = Interlocked.Read(ref _cleared); cleared < seen;)
        {
            var before = Interlocked.CompareExchange(ref _cleared, seen, cleared);
            if (before == cleared)
                return;
            cleared = before;
        }
    }
}

/// <summary>A number of places that may be taken.</summary>
internal sealed class Slots(int count)
{
    private readonly int _count = count;
    private int _free = count;

    public bool IsFull => Volatile.Read(ref _free) == 0;

    public bool AllFree => Volatile.Read(ref _free) == _count;

    /// <summary>Takes up to as many as wanted; returns how many.</summary>
    public int Take(int wanted)
    {
        while (true)
        {
            var free = Volatile.Read(ref _free);
            var taken = Math.Min(free, wanted);
            if (taken <= 0)
                return 0;
            if (Interlocked.CompareExchange(ref _free, free - taken, free) == free)
                return taken;
        }
    }

    public void Return(int taken) => Interlocked.Add(ref _free, taken);
}
