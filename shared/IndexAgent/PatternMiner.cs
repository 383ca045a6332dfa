using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;

namespace FunctionsRegistry.IndexAgent;

/// <summary>A structure that several files share.</summary>
/// <param name="Lines">Structural lines: names are <c>$</c>, numbers <c>#</c>, strings <c>""</c>; keywords and signs are as they are.</param>
/// <param name="Files">Files that have all lines one after the other.</param>
/// <param name="BegunFiles">Files that have the first line: what confidence is measured against.</param>
/// <param name="Occurrences">Places.</param>
public sealed record MinedPattern(string Id, string Language, string Type, IReadOnlyList<string> Lines, int Files, int BegunFiles, int Occurrences)
{
    /// <summary>How often the rest follows where the first line stands, 0..1.</summary>
    public double Confidence => (double)Files / BegunFiles;

    /// <summary>The pattern for people.</summary>
    public string Description => $"{Language}: {string.Join(" / ", Lines)}";
}

/// <summary>Finds runs of two and three lines that many files have in the same structure, whatever the names in them are.</summary>
public sealed class PatternMiner
{
    private const int MinFiles = 3;
    private const int MinTokens = 9;
    private const int MaxTokensPerLine = 40;
    private const int MaxPatterns = 200;
    private const double MinConfidence = 0.1;

    private static readonly HashSet<string> s_keywords =
    [
        "if", "else", "for", "foreach", "while", "do", "switch", "case", "match", "when", "return", "yield", "throw", "throws", "raise", "try", "catch", "except", "finally", "using",
        "with", "lock", "await", "async", "defer", "go", "select", "new", "delete", "null", "nil", "None", "true", "false", "True", "False", "is", "in", "not", "and", "or", "var",
        "let", "const", "def", "func", "fn", "function", "class", "struct", "interface", "enum", "record", "trait", "impl", "public", "private", "protected", "internal", "static",
        "readonly", "sealed", "abstract", "override", "virtual", "final", "void", "this", "self", "base", "super", "err", "error", "break", "continue", "import", "from", "export",
        "default", "range", "lambda", "mut", "unsafe", "ref", "out", "params", "checked", "stackalloc",
    ];

    private sealed class Shingle(string language, string[] lines)
    {
        public string Language => language;

        public string[] Lines => lines;

        public int Files { get; set; }

        public int LastFile { get; set; } = -1;

        public int Occurrences { get; set; }
    }

    private readonly Dictionary<ulong, Shingle> _shingles = [];
    private int _files = -1;

    /// <summary>Begins a file; its sections follow.</summary>
    public void BeginFile() => _files++;

    /// <summary>Adds a section of the present file.</summary>
    public void Add(Language language, string text)
    {
        var lines = StructureOf(language, text);
        for (var i = 0; i < lines.Count; i++)
        {
            Count(language, lines, i, 1);
            if (i + 1 < lines.Count)
                Count(language, lines, i, 2);
            if (i + 2 < lines.Count)
                Count(language, lines, i, 3);
        }
    }

    /// <summary>The patterns worth telling, the strongest first.</summary>
    public IReadOnlyList<MinedPattern> Finish()
    {
        var least = Math.Max(MinFiles, (_files + 1) / 100);
        var found = _shingles.Values.Where(shingle => shingle.Lines.Length > 1 && shingle.Files >= least && Tokens(shingle.Lines) >= MinTokens && IsTelling(shingle.Lines))
            .Select(shingle => new MinedPattern(
                IdOf(shingle.Language, shingle.Lines), shingle.Language, TypeOf(shingle.Lines), shingle.Lines, shingle.Files,
                Math.Max(shingle.Files, _shingles[Hash(shingle.Language, shingle.Lines.AsSpan(0, 1))].Files), shingle.Occurrences))
            .Where(pattern => pattern.Confidence >= MinConfidence)
            .OrderByDescending(pattern => pattern.Files * pattern.Confidence * Tokens(pattern.Lines)).ThenBy(pattern => pattern.Id, StringComparer.Ordinal).ToList();
        // Two lines that are nearly always a part of the same three say nothing more.
        var longer = found.Where(pattern => pattern.Lines.Count == 3).ToList();
        var covered = new HashSet<string>();
        foreach (var pattern in longer)
            foreach (var part in new[] { pattern.Lines.Take(2), pattern.Lines.Skip(1) })
                if (_shingles.TryGetValue(Hash(pattern.Language, [.. part]), out var shingle) && shingle.Files <= pattern.Files * 1.2)
                    covered.Add(IdOf(pattern.Language, [.. part]));
        return [.. found.Where(pattern => !covered.Contains(pattern.Id)).Take(MaxPatterns)];
    }

    /// <summary>The structural lines of a text: comments, blank lines and lines of signs alone are left out.</summary>
    public static IReadOnlyList<string> StructureOf(Language language, string text)
    {
        var lexer = new LineLexer(language.Syntax);
        var spans = new List<LexedSpan>();
        var lines = new List<string>();
        var line = new StringBuilder();
        foreach (var source in text.AsSpan().EnumerateLines())
        {
            lexer.Read(source, spans);
            line.Clear();
            var (tokens, hasName) = (0, false);
            foreach (var span in spans)
                if (!span.IsComment)
                    Append(source.Slice(span.Start, span.Length), line, ref tokens, ref hasName);
            if (hasName && tokens is > 1 and <= MaxTokensPerLine)
                lines.Add(line.ToString());
        }
        return lines;
    }

    private static void Append(ReadOnlySpan<char> code, StringBuilder line, ref int tokens, ref bool hasName)
    {
        var blank = false;
        for (var at = 0; at < code.Length;)
        {
            var c = code[at];
            if (char.IsWhiteSpace(c))
            {
                blank = true;
                at++;
                continue;
            }
            var start = at;
            string token;
            if (c is '"' or '\'' or '`')
            {
                var close = code[(at + 1)..].IndexOf(c);
                at = close < 0 ? code.Length : at + close + 2;
                token = "\"\"";
            }
            else if (char.IsLetterOrDigit(c) || c == '_')
            {
                while (at < code.Length && (char.IsLetterOrDigit(code[at]) || code[at] == '_'))
                    at++;
                var word = code[start..at];
                token = char.IsDigit(c) ? word is "0" or "1" ? word.ToString() : "#"
                    : s_keywords.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(word, out var keyword) ? keyword : "$";
                hasName = true;
            }
            else
            {
                token = c.ToString();
                at++;
            }
            if (blank && line.Length > 0)
                line.Append(' ');
            blank = false;
            line.Append(token);
            tokens++;
        }
    }

    private void Count(Language language, IReadOnlyList<string> lines, int first, int count)
    {
        string[] shingle = [.. lines.Skip(first).Take(count)];
        ref var entry = ref CollectionsMarshal.GetValueRefOrAddDefault(_shingles, Hash(language.Name, shingle), out _);
        entry ??= new Shingle(language.Name, shingle);
        entry.Occurrences++;
        if (entry.LastFile == _files)
            return;
        entry.LastFile = _files;
        entry.Files++;
    }

    private static int Tokens(IReadOnlyList<string> lines) => lines.Sum(line => line.Count(c => c is not (' ' or '"')));

    // Lists of imports, of constants or of assignments repeat themselves and tell nothing.
    private static bool IsTelling(string[] lines) =>
        lines.Distinct().Count() > 1 && !lines.Any(line => line.StartsWith("using $", StringComparison.Ordinal) || line.StartsWith("import ", StringComparison.Ordinal) || line.StartsWith("from ", StringComparison.Ordinal))
        && Words(lines).Any(s_keywords.Contains);

    // By what the lines do, the most particular first.
    private static string TypeOf(string[] lines)
    {
        var words = Words(lines).ToHashSet();
        if (words.Overlaps(["throw", "raise", "catch", "except", "err", "error", "finally", "defer"]) || (words.Contains("if") && words.Overlaps(["null", "nil", "None"])))
            return "bug_fix";
        if (words.Overlaps(["await", "async", "yield", "lock", "go", "select", "stackalloc", "unsafe", "lambda"]))
            return "optimization";
        if (words.Overlaps(["override", "base", "super", "abstract", "interface", "trait", "impl", "virtual"]))
            return "refactoring";
        return "feature";
    }

    private static IEnumerable<string> Words(string[] lines) => lines.SelectMany(CodeWords.IdentifiersOf);

    private static ulong Hash(string language, ReadOnlySpan<string> lines) => XxHash3.HashToUInt64(Encoding.UTF8.GetBytes(language + "\n" + string.Join('\n', lines)));

    private static string IdOf(string language, string[] lines) => $"pattern-{Hash(language, lines) & 0xFFFF_FFFF_FFFF:x12}";
}
