namespace FunctionsRegistry.IndexAgent;

/// <summary>What a file is for; ranking may prefer one kind over another.</summary>
public enum FileRole : byte
{
    /// <summary>Code of the product.</summary>
    Source,

    /// <summary>Tests, by path.</summary>
    Test,

    /// <summary>Prose.</summary>
    Docs,

    /// <summary>Settings and data.</summary>
    Config,
}

/// <summary>How comments and strings of a language are written, as far as telling comments from code needs it.</summary>
/// <param name="Line">What starts a comment up to the line's end; null: nothing.</param>
/// <param name="Block">Whether <c>/* */</c> comments exist.</param>
/// <param name="TripleQuotes">Whether <c>"""</c> starts a string over several lines.</param>
/// <param name="Backtick">Whether <c>`</c> starts a string over several lines.</param>
/// <param name="SingleQuotes">Whether <c>'</c> starts a string; in Rust it also starts lifetimes, in prose it is an apostrophe.</param>
public sealed record Syntax(string? Line, bool Block, bool TripleQuotes, bool Backtick, bool SingleQuotes);

/// <summary>A language: its name as answers give it, how it is recognised, and how its comments look.</summary>
public sealed record Language(string Name, FileRole Role, Syntax Syntax, string[] Extensions, string[] Aliases)
{
    private static readonly Syntax s_c = new("//", true, false, false, true);
    private static readonly Syntax s_script = new("#", false, false, false, true);
    private static readonly Syntax s_plain = new(null, false, false, false, false);

    /// <summary>Languages in which symbols are found come first; the rest are text with comments.</summary>
    public static readonly IReadOnlyList<Language> All =
    [
        new("csharp", FileRole.Source, s_c with { TripleQuotes = true }, [".cs", ".csx"], ["c#", "cs"]),
        new("python", FileRole.Source, s_script with { TripleQuotes = true }, [".py", ".pyi", ".pyw"], ["py"]),
        new("javascript", FileRole.Source, s_c with { Backtick = true }, [".js", ".jsx", ".mjs", ".cjs"], ["js", "jsx"]),
        new("typescript", FileRole.Source, s_c with { Backtick = true }, [".ts", ".tsx", ".mts", ".cts"], ["ts", "tsx"]),
        new("go", FileRole.Source, s_c with { Backtick = true }, [".go"], ["golang"]),
        new("java", FileRole.Source, s_c with { TripleQuotes = true }, [".java"], []),
        new("rust", FileRole.Source, s_c with { SingleQuotes = false }, [".rs"], ["rs"]),
        new("c", FileRole.Source, s_c, [".c", ".h"], []),
        new("cpp", FileRole.Source, s_c, [".cpp", ".cc", ".cxx", ".hpp", ".hh", ".hxx", ".ipp"], ["c++", "cxx"]),
        new("kotlin", FileRole.Source, s_c, [".kt", ".kts"], ["kt"]),
        new("swift", FileRole.Source, s_c, [".swift"], []),
        new("scala", FileRole.Source, s_c, [".scala"], []),
        new("php", FileRole.Source, s_c, [".php"], []),
        new("ruby", FileRole.Source, s_script, [".rb", ".rake"], ["rb"]),
        new("shell", FileRole.Source, s_script, [".sh", ".bash", ".zsh"], ["bash", "sh"]),
        new("powershell", FileRole.Source, s_script, [".ps1", ".psm1"], ["ps1"]),
        new("sql", FileRole.Source, new("--", true, false, false, true), [".sql"], []),
        new("html", FileRole.Source, s_plain, [".html", ".htm", ".vue", ".svelte"], []),
        new("css", FileRole.Source, s_c with { Line = null }, [".css", ".scss", ".less"], []),
        new("bicep", FileRole.Config, s_c, [".bicep"], []),
        new("terraform", FileRole.Config, s_script, [".tf"], ["hcl"]),
        new("json", FileRole.Config, s_plain, [".json", ".jsonc", ".jsonl"], []),
        new("yaml", FileRole.Config, s_script, [".yaml", ".yml"], ["yml"]),
        new("toml", FileRole.Config, s_script, [".toml", ".ini", ".cfg", ".conf", ".properties"], ["ini"]),
        new("xml", FileRole.Config, s_plain, [".xml", ".csproj", ".props", ".targets", ".xaml"], []),
        new("protobuf", FileRole.Source, s_c, [".proto"], ["proto"]),
        new("markdown", FileRole.Docs, s_plain, [".md", ".mdx", ".markdown"], ["md"]),
        new("text", FileRole.Docs, s_plain, [".txt", ".rst", ".adoc"], ["plain", "rst"]),
    ];

    private static readonly Dictionary<string, Language> s_byExtension = All.SelectMany(l => l.Extensions, (l, extension) => (l, extension))
        .ToDictionary(pair => pair.extension, pair => pair.l, StringComparer.OrdinalIgnoreCase);

    private static readonly Dictionary<string, Language> s_byName = All.SelectMany(l => l.Aliases.Append(l.Name).Concat(l.Extensions.Select(e => e[1..])), (l, name) => (l, name))
        .DistinctBy(pair => pair.name).ToDictionary(pair => pair.name, pair => pair.l, StringComparer.OrdinalIgnoreCase);

    private static readonly HashSet<string> s_scripts = new(StringComparer.OrdinalIgnoreCase) { "dockerfile", "makefile", "rakefile", "gemfile", "justfile", ".gitignore", ".editorconfig" };

    private static readonly string[] s_testMarks = ["test", "tests", "spec", "specs", "__tests__", "testing"];

    /// <summary>By name, alias or extension without its dot; null when unknown.</summary>
    public static Language? Find(string name) => s_byName.GetValueOrDefault(name.Trim());

    /// <summary>By file name; <c>text</c> for what no rule knows.</summary>
    public static Language OfPath(string path)
    {
        var name = path[(path.LastIndexOf('/') + 1)..];
        var dot = name.LastIndexOf('.');
        if (dot >= 0 && s_byExtension.TryGetValue(name[dot..], out var language))
            return language;
        return s_scripts.Contains(name) ? s_byName["shell"] : s_byName["text"];
    }

    /// <summary>A test by a folder or a part of its file name, else what its language is for.</summary>
    public static FileRole RoleOf(string path, Language language)
    {
        if (language.Role != FileRole.Source)
            return language.Role;
        foreach (var range in path.AsSpan().SplitAny('/', '.', '_', '-'))
        {
            var part = path.AsSpan(range);
            foreach (var mark in s_testMarks)
                if (part.Equals(mark, StringComparison.OrdinalIgnoreCase))
                    return FileRole.Test;
            if (part.EndsWith("Tests") || part.EndsWith("Test"))
                return FileRole.Test;
        }
        return FileRole.Source;
    }

    /// <summary>The known name with the fewest letters changed; for messages about an unknown one.</summary>
    public static string Nearest(string name) =>
        s_byName.Keys.OrderBy(known => Distance(known, name.ToLowerInvariant())).ThenBy(known => known, StringComparer.Ordinal).First();

    private static int Distance(string a, string b)
    {
        if (b.Length > 32)
            return int.MaxValue;
        Span<int> row = stackalloc int[b.Length + 1];
        for (var j = 0; j <= b.Length; j++)
            row[j] = j;
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(change, Math.Min(row[j], row[j - 1]) + 1);
            }
        }
        return row[b.Length];
    }
}
