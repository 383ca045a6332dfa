using System.Buffers;
using System.Numerics;

namespace FunctionsRegistry.IndexAgent;

/// <summary>A field of one section that a search must not see: how fitness asks for a symbol by its own comment or name.</summary>
internal sealed record HiddenField(long SegmentId, int Section, bool IsName);

/// <summary>
/// The postings of one segment, laid out per section and file: which words are where, and how often. Buffers are rented: a segment has some ten
/// thousand sections and a search looks at every segment.
/// </summary>
internal sealed class SegmentScan : IDisposable
{
    private const float K1 = 1.2f;
    private const float B = 0.75f;

    private readonly SegmentCatalog _catalog;
    private readonly ulong[] _code;
    private readonly ulong[] _comment;
    private readonly ulong[] _name;
    private readonly float[] _body;
    private readonly float[] _identifier;
    private readonly float[] _definition;
    private readonly ulong[] _file;
    private readonly ulong[] _path;

    public SegmentScan(SegmentCatalog catalog)
    {
        _catalog = catalog;
        _code = Rent<ulong>(catalog.SectionCount);
        _comment = Rent<ulong>(catalog.SectionCount);
        _name = Rent<ulong>(catalog.SectionCount);
        _body = Rent<float>(catalog.SectionCount);
        _identifier = Rent<float>(catalog.SectionCount);
        _definition = Rent<float>(catalog.SectionCount);
        _file = Rent<ulong>(catalog.FileCount);
        _path = Rent<ulong>(catalog.FileCount);
    }

    public SegmentCatalog Catalog => _catalog;

    /// <summary>Adds a word: bit, weight (inverse document frequency) and where it is.</summary>
    public void AddWord(int bit, float weight, byte[]? sections, byte[]? files, float averageLength)
    {
        var mask = 1UL << bit;
        if (sections is not null)
        {
            var perLength = K1 * B / Math.Max(averageLength, 1);
            var postings = new PostingsReader(sections, hasFields: true);
            var lengths = _catalog.Lengths;
            while (postings.Next())
            {
                var section = postings.Number;
                var fields = postings.Fields;
                if (fields >= 8)
                {
                    float count = fields >> 3;
                    _body[section] += weight * count * (K1 + 1) / (count + (K1 * (1 - B)) + (perLength * lengths[section]));
                    _code[section] |= mask;
                }
                if ((fields & 6) != 0)
                    _comment[section] |= mask;
                if ((fields & 1) != 0)
                    _name[section] |= mask;
            }
        }
        if (files is null)
            return;
        var paths = new PostingsReader(files, hasFields: false);
        while (paths.Next())
            _path[paths.Number] |= mask;
    }

    public void AddName(float share, byte[]? identifiers, byte[]? symbols)
    {
        Raise(_identifier, share, identifiers);
        Raise(_definition, share, symbols);
    }

    /// <summary>Takes out what must not be seen; after all words were added, before <see cref="Complete"/>.</summary>
    public void Hide(HiddenField hidden)
    {
        if (hidden.IsName)
            (_name[hidden.Section], _identifier[hidden.Section], _definition[hidden.Section]) = (0, 0, 0);
        else
            _comment[hidden.Section] = 0;
    }

    /// <summary>Sums up sections per file.</summary>
    public void Complete()
    {
        for (var file = 0; file < _catalog.FileCount; file++)
        {
            var mask = 0UL;
            for (var section = _catalog.FirstSections[file]; section < _catalog.FirstSections[file + 1]; section++)
                mask |= MaskOf(section);
            _file[file] = mask;
        }
    }

    /// <summary>Words in a section.</summary>
    public ulong MaskOf(int section) => _code[section] | _comment[section] | _name[section];

    /// <summary>Words in a file or its path.</summary>
    public ulong FileMask(int file) => _file[file] | _path[file];

    /// <summary>The features that need no text, into the first eight and the last two.</summary>
    public void Features(int section, int file, ulong scored, ReadOnlySpan<float> weights, float totalWeight, Span<float> features)
    {
        features.Clear();
        if (totalWeight > 0)
        {
            var scale = 1 / totalWeight;
            features[(int)RankingFeature.Body] = Math.Min(1, _body[section] * scale / (K1 + 1));
            features[(int)RankingFeature.Comment] = Sum(_comment[section] & scored, weights) * scale;
            features[(int)RankingFeature.Name] = Sum(_name[section] & scored, weights) * scale;
            features[(int)RankingFeature.Path] = Sum(_path[file] & scored, weights) * scale;
            features[(int)RankingFeature.File] = Sum(_file[file] & scored, weights) * scale;
            features[(int)RankingFeature.Coverage] = Sum((MaskOf(section) | _path[file]) & scored, weights) * scale;
            features[(int)RankingFeature.Identifier] = _identifier[section];
            features[(int)RankingFeature.Definition] = _definition[section];
        }
        var role = _catalog.Roles[file];
        features[(int)RankingFeature.Test] = role == FileRole.Test ? 1 : 0;
        features[(int)RankingFeature.Docs] = role is FileRole.Docs or FileRole.Config ? 1 : 0;
    }

    public void Dispose()
    {
        ArrayPool<ulong>.Shared.Return(_code);
        ArrayPool<ulong>.Shared.Return(_comment);
        ArrayPool<ulong>.Shared.Return(_name);
        ArrayPool<float>.Shared.Return(_body);
        ArrayPool<float>.Shared.Return(_identifier);
        ArrayPool<float>.Shared.Return(_definition);
        ArrayPool<ulong>.Shared.Return(_file);
        ArrayPool<ulong>.Shared.Return(_path);
    }

    private static float Sum(ulong mask, ReadOnlySpan<float> weights)
    {
        var sum = 0f;
        for (; mask != 0; mask &= mask - 1)
            sum += weights[BitOperations.TrailingZeroCount(mask)];
        return sum;
    }

    private static void Raise(float[] values, float share, byte[]? sections)
    {
        if (sections is null)
            return;
        var postings = new PostingsReader(sections, hasFields: false);
        while (postings.Next())
            values[postings.Number] = Math.Max(values[postings.Number], share);
    }

    private static T[] Rent<T>(int length)
    {
        var array = ArrayPool<T>.Shared.Rent(length);
        array.AsSpan(0, length).Clear();
        return array;
    }
}
