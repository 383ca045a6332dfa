using System.Runtime.InteropServices;

namespace FunctionsRegistry.IndexAgent;

/// <summary>A field of one section that a search must not see: how fitness asks for a symbol by its own comment or name.</summary>
internal sealed record HiddenField(long SegmentId, int Section, bool IsName);

/// <summary>
/// Walks one segment file by file along the postings of the query's terms, and tells which words are where in the present file. Files without any of
/// the words are passed over, unless the query can match without them.
/// </summary>
internal sealed class SegmentScan(SegmentCatalog catalog, float averageLength, bool everyFile, int hiddenSection = -1, bool hidesName = false)
{
    internal const float K1 = 1.2f;
    private const float B = 0.75f;

    private enum Kind : byte
    {
        Word,
        Identifier,
        Symbol,
    }

    private struct Term
    {
        public PostingsCursor Cursor;
        public Kind Kind;
        public ulong Mask;
        public float Weight;
    }

    private struct Place
    {
        public ulong Code;
        public ulong Comment;
        public ulong Name;
        public float Body;
        public float Identifier;
        public float Definition;
    }

    private readonly List<Term> _terms = [];
    private readonly List<Term> _paths = [];
    private readonly float _perLength = K1 * B / Math.Max(averageLength, 1);
    private Place[] _places = new Place[64];
    private ulong _pathMask;
    private ulong _sectionsMask;

    public SegmentCatalog Catalog => catalog;

    /// <summary>The present file.</summary>
    public int File { get; private set; } = -1;

    /// <summary>Its first section.</summary>
    public int First { get; private set; }

    /// <summary>The section behind its last.</summary>
    public int End { get; private set; }

    /// <summary>Words in the file or its path.</summary>
    public ulong FileMask => _sectionsMask | _pathMask;

    /// <summary>Adds a word: bit, weight (inverse document frequency) and where it is.</summary>
    public void AddWord(int bit, float weight, byte[]? sections, byte[]? files)
    {
        if (sections is not null)
            _terms.Add(new Term { Cursor = new PostingsCursor(sections, hasFields: true), Kind = Kind.Word, Mask = 1UL << bit, Weight = weight });
        if (files is not null)
            _paths.Add(new Term { Cursor = new PostingsCursor(files, hasFields: false), Mask = 1UL << bit });
    }

    /// <summary>Adds words side by side as one identifier, and as the name of a symbol.</summary>
    public void AddName(float share, byte[]? identifiers, byte[]? symbols)
    {
        if (identifiers is not null)
            _terms.Add(new Term { Cursor = new PostingsCursor(identifiers, hasFields: false), Kind = Kind.Identifier, Weight = share });
        if (symbols is not null)
            _terms.Add(new Term { Cursor = new PostingsCursor(symbols, hasFields: false), Kind = Kind.Symbol, Weight = share });
    }

    /// <summary>Goes to the next file; false behind the last.</summary>
    public bool NextFile()
    {
        File = everyFile ? File + 1 : FileAhead();
        if (File >= catalog.FileCount)
            return false;
        (First, End) = (catalog.FirstSections[File], catalog.FirstSections[File + 1]);
        if (_places.Length < End - First)
            _places = new Place[Math.Max(End - First, _places.Length * 2)];
        _places.AsSpan(0, End - First).Clear();
        foreach (ref var term in CollectionsMarshal.AsSpan(_terms))
            Read(ref term);
        if (hiddenSection >= First && hiddenSection < End)
            Hide(ref _places[hiddenSection - First]);
        _sectionsMask = 0;
        foreach (ref readonly var place in _places.AsSpan(0, End - First))
            _sectionsMask |= place.Code | place.Comment | place.Name;
        _pathMask = 0;
        foreach (ref var path in CollectionsMarshal.AsSpan(_paths))
        {
            while (path.Cursor.Number < File)
                path.Cursor.Next();
            if (path.Cursor.Number == File)
                _pathMask |= path.Mask;
        }
        return true;
    }

    /// <summary>Words in a section of the present file.</summary>
    public ulong MaskOf(int section)
    {
        ref readonly var place = ref _places[section - First];
        return place.Code | place.Comment | place.Name;
    }

    /// <summary>The square of a section's score by all that needs no text.</summary>
    public float BaseGain(int section, SectionScorer scorer)
    {
        ref readonly var place = ref _places[section - First];
        var gain = (scorer.Body * place.Body)
            + (scorer.Identifier * place.Identifier)
            + (scorer.Definition * place.Definition)
            + (scorer.Comment * scorer.Sum(place.Comment))
            + (scorer.Name * scorer.Sum(place.Name))
            + (scorer.Path * scorer.Sum(_pathMask))
            + (scorer.File * scorer.Sum(_sectionsMask))
            + (scorer.Coverage * scorer.Sum(place.Code | place.Name | _pathMask));
        return gain * scorer.Kept[(int)catalog.Roles[File]];
    }

    /// <summary>A section's features that need no text; the two others stay 0.</summary>
    public float[] Features(int section, SectionScorer scorer)
    {
        var features = new float[Genome.Length];
        if (scorer.TotalWeight > 0)
        {
            var scale = 1 / scorer.TotalWeight;
            ref readonly var place = ref _places[section - First];
            features[(int)RankingFeature.Body] = Math.Min(1, place.Body * scale / (K1 + 1));
            features[(int)RankingFeature.Comment] = scorer.Sum(place.Comment) * scale;
            features[(int)RankingFeature.Name] = scorer.Sum(place.Name) * scale;
            features[(int)RankingFeature.Path] = scorer.Sum(_pathMask) * scale;
            features[(int)RankingFeature.File] = scorer.Sum(_sectionsMask) * scale;
            features[(int)RankingFeature.Coverage] = scorer.Sum(place.Code | place.Name | _pathMask) * scale;
            features[(int)RankingFeature.Identifier] = place.Identifier;
            features[(int)RankingFeature.Definition] = place.Definition;
        }
        var role = catalog.Roles[File];
        features[(int)RankingFeature.Test] = role == FileRole.Test ? 1 : 0;
        features[(int)RankingFeature.Docs] = role is FileRole.Docs or FileRole.Config ? 1 : 0;
        return features;
    }

    // The file of the nearest place ahead; files are met in rising order, so the walk never goes back.
    private int FileAhead()
    {
        var section = PostingsCursor.End;
        foreach (ref readonly var term in CollectionsMarshal.AsSpan(_terms))
            section = Math.Min(section, term.Cursor.Number);
        var file = PostingsCursor.End;
        foreach (ref var path in CollectionsMarshal.AsSpan(_paths))
        {
            while (path.Cursor.Number <= File)
                path.Cursor.Next();
            file = Math.Min(file, path.Cursor.Number);
        }
        if (section == PostingsCursor.End)
            return file;
        var owner = File + 1;
        while (catalog.FirstSections[owner + 1] <= section)
            owner++;
        return Math.Min(file, owner);
    }

    private void Read(ref Term term)
    {
        while (term.Cursor.Number < First)
            term.Cursor.Next();
        for (; term.Cursor.Number < End; term.Cursor.Next())
        {
            ref var place = ref _places[term.Cursor.Number - First];
            switch (term.Kind)
            {
                case Kind.Word:
                    ReadWord(ref place, term);
                    break;
                case Kind.Identifier:
                    place.Identifier = Math.Max(place.Identifier, term.Weight);
                    break;
                default:
                    place.Definition = Math.Max(place.Definition, term.Weight);
                    break;
            }
        }
    }

    private void ReadWord(ref Place place, in Term term)
    {
        var fields = term.Cursor.Fields;
        if (fields >= 8)
        {
            float count = fields >> 3;
            place.Body += term.Weight * count * (K1 + 1) / (count + (K1 * (1 - B)) + (_perLength * catalog.Lengths[term.Cursor.Number]));
            place.Code |= term.Mask;
        }
        if ((fields & 6) != 0)
            place.Comment |= term.Mask;
        if ((fields & 1) != 0)
            place.Name |= term.Mask;
    }

    private void Hide(ref Place place)
    {
        if (hidesName)
            (place.Name, place.Identifier, place.Definition) = (0, 0, 0);
        else
            place.Comment = 0;
    }
}
