namespace FunctionsRegistry.IndexAgent;

/// <summary>
/// The best of many sections, which come in their order: of two that are equal the earlier one stays. Counts all that reach a least gain.
/// </summary>
internal sealed class BestSections(int keep, float leastGain)
{
    private readonly PriorityQueue<RankedSection, (float Gain, int Order)> _queue = new(Comparer<(float Gain, int Order)>.Create(
        static (a, b) => a.Gain != b.Gain ? a.Gain.CompareTo(b.Gain) : b.Order.CompareTo(a.Order)));

    private float _worst = float.NegativeInfinity;
    private int _order;

    /// <summary>How many were offered and reach the least gain.</summary>
    public long Total { get; private set; }

    /// <summary>Counts a section, and says whether it is among the best so far.</summary>
    public bool IsBetter(float gain)
    {
        if (gain >= leastGain)
            Total++;
        return gain > _worst;
    }

    public void Add(float gain, RankedSection section)
    {
        if (_queue.Count == keep)
            _queue.EnqueueDequeue(section, (gain, _order++));
        else
            _queue.Enqueue(section, (gain, _order++));
        if (_queue.Count == keep && _queue.TryPeek(out _, out var worst))
            _worst = worst.Gain;
    }

    public List<RankedSection> ToList() => [.. _queue.UnorderedItems.Select(item => item.Element)];
}
