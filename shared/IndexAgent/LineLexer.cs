namespace FunctionsRegistry.IndexAgent;

/// <summary>A stretch of a line that is all comment or all code.</summary>
internal readonly record struct LexedSpan(int Start, int Length, bool IsComment);

/// <summary>
/// Tells comments from code, line by line. Light: it knows each language's comments and strings, not its grammar; a string that is not
/// closed ends with its line unless the language has strings over several lines.
/// </summary>
internal struct LineLexer(Syntax syntax)
{
    private enum Mode : byte
    {
        Code,
        BlockComment,
        DoubleTriple,
        SingleTriple,
        DocString,
        DocStringSingle,
        Backtick,
    }

    private Mode _mode;

    /// <summary>Whether the next line starts inside a comment or a string, where no symbol can be.</summary>
    public readonly bool IsInside => _mode != Mode.Code;

    private readonly bool IsComment => _mode is Mode.BlockComment or Mode.DocString or Mode.DocStringSingle;

    /// <summary>Appends the line's stretches, without blanks between them.</summary>
    public void Read(ReadOnlySpan<char> line, List<LexedSpan> spans)
    {
        spans.Clear();
        var start = 0;
        var at = 0;
        while (at < line.Length)
        {
            at = _mode == Mode.Code ? ReadCode(line, at, ref start, spans) : Close(line, at, ref start, spans);
        }
        Add(line, start, line.Length, IsComment, spans);
    }

    private int ReadCode(ReadOnlySpan<char> line, int at, ref int start, List<LexedSpan> spans)
    {
        var rest = line[at..];
        if (syntax.Line is { } mark && rest.StartsWith(mark) && !(mark == "#" && IsInWord(line, at)))
        {
            Add(line, start, at, false, spans);
            Add(line, at, line.Length, true, spans);
            start = line.Length;
            return line.Length;
        }
        if (syntax.Block && rest.StartsWith("/*"))
            return Open(line, at, 2, Mode.BlockComment, ref start, spans);
        if (syntax.TripleQuotes && rest.StartsWith("\"\"\""))
            // A triple-quoted string that starts its line says what something is (Python), else it is a value.
            return Open(line, at, 3, syntax.Line == "#" && line[..at].Trim().Length == 0 ? Mode.DocString : Mode.DoubleTriple, ref start, spans);
        if (syntax is { TripleQuotes: true, Line: "#" } && rest.StartsWith("'''"))
            return Open(line, at, 3, line[..at].Trim().Length == 0 ? Mode.DocStringSingle : Mode.SingleTriple, ref start, spans);
        if (syntax.Backtick && rest[0] == '`')
            return Open(line, at, 1, Mode.Backtick, ref start, spans);
        if (rest[0] == '"' || (rest[0] == '\'' && syntax.SingleQuotes))
            return SkipString(line, at);
        return at + 1;
    }

    private int Open(ReadOnlySpan<char> line, int at, int length, Mode mode, ref int start, List<LexedSpan> spans)
    {
        Add(line, start, at, false, spans);
        start = at;
        _mode = mode;
        return at + length;
    }

    private int Close(ReadOnlySpan<char> line, int at, ref int start, List<LexedSpan> spans)
    {
        var mark = _mode switch
        {
            Mode.BlockComment => "*/",
            Mode.DoubleTriple or Mode.DocString => "\"\"\"",
            Mode.SingleTriple or Mode.DocStringSingle => "'''",
            _ => "`",
        };
        var end = line[at..].IndexOf(mark);
        if (end < 0)
            return line.Length;
        end += at + mark.Length;
        Add(line, start, end, IsComment, spans);
        start = end;
        _mode = Mode.Code;
        return end;
    }

    private static int SkipString(ReadOnlySpan<char> line, int at)
    {
        var quote = line[at];
        for (var i = at + 1; i < line.Length; i++)
        {
            if (line[i] == '\\')
                i++;
            else if (line[i] == quote)
                return i + 1;
        }
        // Not closed: an apostrophe, or text of a kind that this lexer does not know.
        return at + 1;
    }

    // "$#" and "a#b" are no comments in shells.
    private static bool IsInWord(ReadOnlySpan<char> line, int at) => at > 0 && !char.IsWhiteSpace(line[at - 1]) && line[at - 1] is not (';' or ')' or ':' or ',' or '{' or '}' or ']');

    private static void Add(ReadOnlySpan<char> line, int start, int end, bool isComment, List<LexedSpan> spans)
    {
        if (end > start && !line[start..end].IsWhiteSpace())
            spans.Add(new LexedSpan(start, end - start, isComment));
    }
}
