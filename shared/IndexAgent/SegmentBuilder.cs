using System.Runtime.InteropServices;

namespace FunctionsRegistry.IndexAgent;

/// <summary>A file of a segment.</summary>
/// <param name="FirstSection">Its sections are this one up to the next file's first.</param>
internal sealed record SegmentFile(string Path, Language Language, FileRole Role, int FirstSection, int Lines, int Bytes);

/// <summary>A section of a segment, with its text.</summary>
/// <param name="FirstLine">1-based.</param>
/// <param name="SymbolLine">1-based.</param>
internal sealed record SegmentSection(string Text, int FirstLine, int SymbolLine, string? Symbol, string? Kind, bool IsDefinition, string? Container, string? Doc);

/// <summary>
/// Makes one segment of an index in memory: files, their sections, and for every term the sections or files that have it. A segment is
/// complete in itself and never changes; a repository's index is a row of them.
/// </summary>
internal sealed class SegmentBuilder
{
    private const int InCode = 1 << 16;
    private const int InComment = 1 << 1;
    private const int InName = 1;

    private readonly SectionCutter _cutter = new();
    private readonly Dictionary<long, int> _sectionTerms = [];
    private readonly HashSet<long> _sectionIdentifiers = [];
    private readonly bool[] _trigramSeen = new bool[1 << 21];
    private readonly List<int> _trigrams = [];

    public List<SegmentFile> Files { get; } = [];

    public List<SegmentSection> Sections { get; } = [];

    /// <summary>Words of each section, at most 65,535.</summary>
    public List<ushort> Lengths { get; } = [];

    /// <summary>See <see cref="SectionSignature"/>, one after the other.</summary>
    public List<ulong> Signatures { get; } = [];

    public Dictionary<long, PostingsWriter> Postings { get; } = [];

    public long Bytes { get; private set; }

    /// <summary>Adds a file's text, as <see cref="FileIntake"/> gave it; returns the number of its lines.</summary>
    public int Add(string path, string text, int bytes)
    {
        var language = Language.OfPath(path);
        var sections = _cutter.Cut(language, text);
        var number = Files.Count;
        Files.Add(new SegmentFile(path, language, Language.RoleOf(path, language), Sections.Count, _cutter.Lines.Length, bytes));
        foreach (var section in sections)
            AddSection(text, section);
        AddPath(path, number);
        AddTrigrams(text, number);
        Bytes += bytes;
        return _cutter.Lines.Length;
    }

    private void AddSection(string text, Section section)
    {
        var number = Sections.Count;
        var length = 0;
        _sectionTerms.Clear();
        _sectionIdentifiers.Clear();
        var lines = _cutter.Lines[section.FirstLine..section.EndLine];
        foreach (ref readonly var line in lines)
            foreach (var span in _cutter.SpansOf(line))
                length += AddWords(text.AsSpan(line.Start + span.Start, span.Length), span.IsComment ? InComment : InCode);
        if (section is { Symbol: { } symbol, IsDefinition: true })
        {
            AddName(symbol);
            Span<char> name = stackalloc char[CodeWords.MaxLength];
            Append(CodeWords.Term(TermKind.Symbol, name[..symbol.AsSpan(0, Math.Min(symbol.Length, CodeWords.MaxLength)).ToLowerInvariant(name)]), number, 0, hasFields: false);
        }
        foreach (var (term, counts) in _sectionTerms)
            Append(term, number, PostingsWriter.Fields((counts & InName) != 0, (counts & 0xFFFF) >> 1, counts >> 16), hasFields: true);
        foreach (var term in _sectionIdentifiers)
            Append(term, number, 0, hasFields: false);
        var start = lines.Length == 0 ? 0 : lines[0].Start;
        var end = lines.Length == 0 ? 0 : lines[^1].Start + lines[^1].Length;
        Sections.Add(new SegmentSection(
            text[start..end], section.FirstLine + 1, section.SymbolLine + 1, section.Symbol, section.Kind, section.IsDefinition, section.Container, section.Doc));
        AddSignature(text.AsSpan(start, end - start));
        Lengths.Add((ushort)Math.Min(length, ushort.MaxValue));
    }

    private void AddSignature(ReadOnlySpan<char> text)
    {
        Span<ulong> signature = stackalloc ulong[SectionSignature.Length];
        signature.Clear();
        var (code, run) = (0, 0);
        foreach (var c in text)
        {
            if (c == '\n')
            {
                run = 0;
                continue;
            }
            code = ((code << 7) | CodeWords.Fold(c)) & 0x1F_FFFF;
            if (++run >= 3)
                SectionSignature.Add(signature, code);
        }
        Signatures.AddRange(signature);
    }

    private int AddWords(ReadOnlySpan<char> text, int field)
    {
        Span<char> stem = stackalloc char[CodeWords.MaxLength];
        var words = 0;
        var at = 0;
        while (CodeWords.NextIdentifier(text, ref at, out var range))
        {
            var identifier = text[range];
            if (identifier.Length > CodeWords.MaxLength)
                continue;
            var inside = 0;
            var parts = 0;
            while (CodeWords.NextWord(identifier, ref inside, out var word))
            {
                parts++;
                var term = CodeWords.Term(TermKind.Word, stem[..CodeWords.Stem(identifier[word], stem)]);
                ref var counts = ref CollectionsMarshal.GetValueRefOrAddDefault(_sectionTerms, term, out _);
                // Neither count runs over into its neighbour.
                if (field == InCode ? counts >> 16 < 0x7FFF : (counts & 0xFFFF) < 0xFFFC)
                    counts += field;
            }
            words += parts;
            if (parts > 1)
                _sectionIdentifiers.Add(CodeWords.Term(TermKind.Identifier, stem[..identifier.ToLowerInvariant(stem)]));
        }
        return words;
    }

    private void AddName(ReadOnlySpan<char> symbol)
    {
        Span<char> stem = stackalloc char[CodeWords.MaxLength];
        var at = 0;
        while (CodeWords.NextWord(symbol, ref at, out var word))
            CollectionsMarshal.GetValueRefOrAddDefault(_sectionTerms, CodeWords.Term(TermKind.Word, stem[..CodeWords.Stem(symbol[word], stem)]), out _) |= InName;
    }

    private void AddPath(string path, int file)
    {
        foreach (var stem in CodeWords.StemsOf(path))
            Append(CodeWords.Term(TermKind.Path, stem), file, 0, hasFields: false);
    }

    private void AddTrigrams(string text, int file)
    {
        var code = 0;
        var run = 0;
        foreach (var c in text)
        {
            if (c == '\n')
            {
                run = 0;
                continue;
            }
            code = ((code << 7) | CodeWords.Fold(c)) & 0x1F_FFFF;
            if (++run >= 3 && !_trigramSeen[code])
            {
                _trigramSeen[code] = true;
                _trigrams.Add(code);
            }
        }
        foreach (var trigram in _trigrams)
        {
            _trigramSeen[trigram] = false;
            Append(CodeWords.Trigram(trigram), file, 0, hasFields: false);
        }
        _trigrams.Clear();
    }

    private void Append(long term, int number, byte fields, bool hasFields)
    {
        ref var writer = ref CollectionsMarshal.GetValueRefOrAddDefault(Postings, term, out _);
        writer ??= new PostingsWriter(hasFields);
        if (writer.Last < number)
            writer.Add(number, fields);
    }
}
