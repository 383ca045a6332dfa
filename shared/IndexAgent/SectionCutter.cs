using System.Runtime.InteropServices;

namespace FunctionsRegistry.IndexAgent;

/// <summary>A line of a file: its place in the text, what of it is comment, and whether a comment or a string began before it.</summary>
internal readonly record struct CodeLine(int Start, int Length, int FirstSpan, int SpanCount, bool IsComment, bool IsBlank);

/// <summary>
/// The unit that is ranked and shown: a symbol with the comment above it, up to the next symbol. Lines before the first symbol, files without
/// symbols and what is left of long symbols are sections of their own.
/// </summary>
/// <param name="FirstLine">0-based, inclusive.</param>
/// <param name="EndLine">0-based, exclusive.</param>
/// <param name="SymbolLine">0-based line of the definition; <paramref name="FirstLine"/> without one.</param>
/// <param name="Symbol">Null outside of symbols; the rest of a long symbol keeps its name.</param>
/// <param name="IsDefinition">Whether the symbol's definition is in this section.</param>
/// <param name="Container">The symbol around, or null.</param>
/// <param name="Doc">First sentence of the documentation comment, or null.</param>
internal sealed record Section(int FirstLine, int EndLine, int SymbolLine, string? Symbol, string? Kind, bool IsDefinition, string? Container, string? Doc);

/// <summary>A file cut into lines and sections.</summary>
internal sealed class SectionCutter
{
    /// <summary>Longer symbols are cut.</summary>
    public const int MaxLines = 80;

    private readonly List<CodeLine> _lines = [];
    private readonly List<LexedSpan> _spans = [];
    private readonly List<LexedSpan> _lineSpans = [];
    private readonly List<(int Indent, string Name, string Kind)> _open = [];

    /// <summary>The lines of the last file.</summary>
    public ReadOnlySpan<CodeLine> Lines => CollectionsMarshal.AsSpan(_lines);

    /// <summary>Comment and code stretches of a line of the last file; places are within the line.</summary>
    public ReadOnlySpan<LexedSpan> SpansOf(in CodeLine line) => CollectionsMarshal.AsSpan(_spans).Slice(line.FirstSpan, line.SpanCount);

    /// <summary>Cuts a text with LF line ends.</summary>
    public List<Section> Cut(Language language, ReadOnlySpan<char> text)
    {
        _lines.Clear();
        _spans.Clear();
        _open.Clear();
        var starts = new List<(int FirstLine, int SymbolLine, FoundSymbol Symbol, string? Container)>();
        var lexer = new LineLexer(language.Syntax);
        var hasSymbols = SymbolScanner.Knows(language);
        for (var at = 0; at < text.Length;)
        {
            var end = text[at..].IndexOf('\n');
            var length = end < 0 ? text.Length - at : end;
            var line = text.Slice(at, length);
            var inside = lexer.IsInside;
            lexer.Read(line, _lineSpans);
            var isComment = _lineSpans.Count > 0 && _lineSpans.TrueForAll(span => span.IsComment);
            _lines.Add(new CodeLine(at, length, _spans.Count, _lineSpans.Count, isComment, _lineSpans.Count == 0));
            _spans.AddRange(_lineSpans);
            if (hasSymbols && !inside && !isComment && length > 0 && SymbolScanner.Find(language, line) is { } symbol)
                starts.Add((FirstLineOf(text, starts.Count == 0 ? 0 : starts[^1].SymbolLine + 1), _lines.Count - 1, symbol, ContainerOf(line, symbol)));
            at += length + 1;
        }
        var sections = new List<Section>(starts.Count + 1);
        AddPlain(sections, 0, starts.Count == 0 ? _lines.Count : starts[0].FirstLine);
        for (var i = 0; i < starts.Count; i++)
        {
            var (first, symbolLine, symbol, container) = starts[i];
            var endLine = i + 1 < starts.Count ? starts[i + 1].FirstLine : _lines.Count;
            var doc = DocOf(language, text, first, symbolLine);
            var cut = Math.Min(endLine, Math.Max(first + MaxLines, symbolLine + 1));
            sections.Add(new Section(first, cut, symbolLine, symbol.Name, symbol.Kind, true, container, doc));
            for (; cut < endLine; cut = Math.Min(endLine, cut + MaxLines))
                sections.Add(new Section(cut, Math.Min(endLine, cut + MaxLines), cut, symbol.Name, symbol.Kind, false, container, null));
        }
        return sections;
    }

    private static void AddPlain(List<Section> sections, int first, int end)
    {
        for (; first < end; first += MaxLines)
            sections.Add(new Section(first, Math.Min(end, first + MaxLines), first, null, null, false, null, null));
    }

    // A definition takes the comments, attributes and decorators right above it along.
    private int FirstLineOf(ReadOnlySpan<char> text, int lowest)
    {
        var first = _lines.Count - 1;
        while (first > lowest && (_lines[first - 1].IsComment || IsAttribute(text.Slice(_lines[first - 1].Start, _lines[first - 1].Length))))
            first--;
        return first;
    }

    private static bool IsAttribute(ReadOnlySpan<char> line)
    {
        line = line.Trim();
        return line.StartsWith("@") || line.StartsWith("#[") || (line.StartsWith("[") && line.EndsWith("]"));
    }

    private string? ContainerOf(ReadOnlySpan<char> line, FoundSymbol symbol)
    {
        var indent = 0;
        foreach (var c in line)
        {
            if (c is not (' ' or '\t'))
                break;
            indent += c == '\t' ? 4 : 1;
        }
        while (_open.Count > 0 && _open[^1].Indent >= indent)
            _open.RemoveAt(_open.Count - 1);
        var container = symbol.Owner ?? (_open.Count > 0 ? _open[^1].Name : null);
        if (SymbolScanner.IsType(symbol.Kind) || symbol.Kind is "function" or "method")
            _open.Add((indent, symbol.Name, symbol.Kind));
        return container;
    }

    private string? DocOf(Language language, ReadOnlySpan<char> text, int first, int symbolLine)
    {
        if (first < symbolLine)
        {
            var above = new List<string>();
            for (var i = first; i < symbolLine; i++)
                if (_lines[i].IsComment)
                    above.Add(text.Slice(_lines[i].Start, _lines[i].Length).ToString());
            return DocComment.FirstSentence(above);
        }
        if (language.Name != "python" || symbolLine + 1 >= _lines.Count)
            return null;
        var inside = new List<string>();
        for (var i = symbolLine + 1; i < Math.Min(_lines.Count, symbolLine + 12) && _lines[i].IsComment; i++)
            inside.Add(text.Slice(_lines[i].Start, _lines[i].Length).ToString());
        return DocComment.FirstSentence(inside);
    }
}
