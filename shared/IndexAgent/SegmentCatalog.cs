using System.Collections.Concurrent;

namespace FunctionsRegistry.IndexAgent;

/// <summary>What ranking needs of a segment's files and sections at hand; made once, as a segment never changes.</summary>
/// <param name="FirstSections">Per file its first section, and one more: the number of sections.</param>
/// <param name="Lengths">Words per section.</param>
/// <param name="Signatures">See <see cref="SectionSignature"/>, one after the other; empty where the segment has none.</param>
internal sealed record SegmentCatalog(long Id, string[] Paths, Language[] Languages, FileRole[] Roles, int[] FirstSections, ushort[] Lengths, ulong[] Signatures)
{
    public int FileCount => Paths.Length;

    public int SectionCount => Lengths.Length;

    /// <summary>Roughly, in bytes.</summary>
    public long Size { get; } = Paths.Sum(path => 40L + (2 * path.Length)) + (Paths.Length * 13L) + (Lengths.Length * 2L) + (Signatures.Length * 8L);

    /// <summary>Whether a section may have a pattern.</summary>
    /// <param name="pattern">The bits that the section must have; null: any.</param>
    public bool MayHave(int section, ulong[]? pattern) =>
        pattern is null || Signatures.Length == 0 || SectionSignature.MayHave(Signatures.AsSpan(section * SectionSignature.Length, SectionSignature.Length), pattern);

    /// <summary>The file that a section is in.</summary>
    public int FileOf(int section)
    {
        var found = Array.BinarySearch(FirstSections, 0, Paths.Length, section);
        // Files without sections share their first with the next file: the last of them is the one.
        if (found < 0)
            return ~found - 1;
        while (found + 1 < Paths.Length && FirstSections[found + 1] == section)
            found++;
        return found;
    }
}

/// <summary>Keeps catalogues of segments in memory, up to a size; then those not used the longest go.</summary>
internal sealed class SegmentCatalogs
{
    private const long MaxSize = 96L << 20;

    private readonly ConcurrentDictionary<long, Entry> _entries = new();
    private readonly Lock _lock = new();
    private long _size;
    private long _clock;

    private sealed class Entry(SegmentCatalog catalog)
    {
        public SegmentCatalog Catalog => catalog;

        public long Used { get; set; }
    }

    public SegmentCatalog? Find(long id)
    {
        if (!_entries.TryGetValue(id, out var entry))
            return null;
        entry.Used = Interlocked.Increment(ref _clock);
        return entry.Catalog;
    }

    public void Add(SegmentCatalog catalog)
    {
        lock (_lock)
        {
            if (!_entries.TryAdd(catalog.Id, new Entry(catalog) { Used = Interlocked.Increment(ref _clock) }))
                return;
            _size += catalog.Size;
            while (_size > MaxSize && _entries.Count > 1)
            {
                var oldest = _entries.MinBy(pair => pair.Value.Used);
                if (_entries.TryRemove(oldest.Key, out var removed))
                    _size -= removed.Catalog.Size;
            }
        }
    }
}
