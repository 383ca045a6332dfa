using System.Text.RegularExpressions;

namespace FunctionsRegistry.IndexAgent;

/// <summary>A definition found on a line.</summary>
/// <param name="Owner">The type that the line itself names as owner (a Go receiver, <c>Type::method</c>); else null.</param>
internal readonly record struct FoundSymbol(string Name, string Kind, string? Owner);

/// <summary>
/// Finds definitions line by line with a few rules per language. Light on purpose: no grammar, so that broken and unusual code is indexed too.
/// The rules never backtrack: lines come from anybody.
/// </summary>
internal static class SymbolScanner
{
    // What a long line holds is not a definition that somebody reads.
    private const int MaxLine = 400;

    private sealed record Rule(string? Kind, Regex Pattern);

    private const string CSharpModifiers = "(?:public|private|protected|internal|static|sealed|abstract|partial|readonly|ref|unsafe|file|new|async|override|virtual|extern|required|volatile)";
    private const string JavaModifiers = "(?:public|private|protected|static|final|abstract|sealed|default|synchronized|native|strictfp)";
    private const string ScriptModifiers = "(?:public|private|protected|static|async|get|set|readonly|override|abstract|declare|accessor)";

    private static readonly Rule[] s_csharp =
    [
        new(null, Compile($@"^\s*(?:\[.*\]\s*)?(?:{CSharpModifiers}\s+)*(?<kind>class|struct|interface|enum|record(?:\s+(?:class|struct))?)\s+(?<name>\w+)")),
        new("delegate", Compile($@"^\s*(?:{CSharpModifiers}\s+)*delegate\s+[\w<>\[\],.?() ]+\s(?<name>\w+)\s*(?:<[^>]*>)?\(")),
        new("method", Compile($@"^\s*(?:\[.*\]\s*)?(?:{CSharpModifiers}\s+)+(?:[\w<>\[\],.?() ]*[\w>\]?)]\s+)?(?:\w+\.)?(?<name>\w+)\s*(?:<[^>(]*>)?\(")),
        new("property", Compile($@"^\s*(?:\[.*\]\s*)?(?:{CSharpModifiers}\s+)+[\w<>\[\],.?() ]*[\w>\]?)]\s+(?<name>\w+)\s*(?:\{{|=>)")),
        new("constant", Compile(@"^\s*(?:public|private|protected|internal)\s+(?:const|static\s+readonly)\s+[\w<>\[\],.?() ]+\s(?<name>\w+)\s*=")),
    ];

    private static readonly Rule[] s_python =
    [
        new(null, Compile(@"^\s*(?<kind>class)\s+(?<name>\w+)")),
        new("function", Compile(@"^\s*(?:async\s+)?def\s+(?<name>\w+)")),
    ];

    private static readonly Rule[] s_script =
    [
        new(null, Compile(@"^\s*(?:export\s+)?(?:default\s+)?(?:declare\s+)?(?:abstract\s+)?(?:const\s+)?(?<kind>class|interface|enum|namespace)\s+(?<name>[\w$]+)")),
        new("type", Compile(@"^\s*(?:export\s+)?(?:declare\s+)?type\s+(?<name>[\w$]+)\s*(?:<.*>\s*)?=")),
        new("function", Compile(@"^\s*(?:export\s+)?(?:default\s+)?(?:declare\s+)?(?:async\s+)?function\s*\*?\s*(?<name>[\w$]+)")),
        new("function", Compile(@"^\s*(?:export\s+)?(?:const|let|var)\s+(?<name>[\w$]+)\s*(?::[^=]+)?=\s*(?:async\s*)?(?:function\b|\([^)]*\)\s*(?::[^=]+)?=>|[\w$]+\s*=>|\($)")),
        new("method", Compile($@"^\s+(?:{ScriptModifiers}\s+)*\*?#?(?<name>[\w$]+)\s*(?:<[^>]*>)?\([^;]*\)?\s*(?::[^;{{]+)?\{{\s*$")),
    ];

    private static readonly Rule[] s_go =
    [
        new("method", Compile(@"^func\s+\(\s*(?:\w+\s+)?\*?(?<owner>\w+)[^)]*\)\s*(?<name>\w+)")),
        new("function", Compile(@"^func\s+(?<name>\w+)")),
        new("type", Compile(@"^type\s+(?<name>\w+)")),
    ];

    private static readonly Rule[] s_java =
    [
        new(null, Compile($@"^\s*(?:@\w+(?:\(.*\))?\s+)*(?:{JavaModifiers}\s+)*(?<kind>class|interface|enum|record|@interface)\s+(?<name>\w+)")),
        new("method", Compile($@"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:{JavaModifiers}\s+)+(?:<[^(]*>\s+)?(?:[\w<>\[\],.?& ]*[\w>\]]\s+)?(?<name>\w+)\s*\(")),
    ];

    private static readonly Rule[] s_rust =
    [
        new("function", Compile(@"^\s*(?:pub(?:\([^)]*\))?\s+)?(?:(?:async|unsafe|const|extern(?:\s+""[^""]*"")?|default)\s+)*fn\s+(?<name>\w+)")),
        new(null, Compile(@"^\s*(?:pub(?:\([^)]*\))?\s+)?(?:unsafe\s+)?(?<kind>struct|enum|trait|mod|union|type)\s+(?<name>\w+)")),
        new("macro", Compile(@"^\s*macro_rules!\s+(?<name>\w+)")),
        new("impl", Compile(@"^\s*(?:unsafe\s+)?impl\b(?:\s*<[^{]*>)?\s+(?:[^{]*\sfor\s+)?(?:\w+::)*(?<name>\w+)")),
    ];

    private static readonly Rule[] s_c =
    [
        new("macro", Compile(@"^\s*#\s*define\s+(?<name>\w+)\(")),
        new(null, Compile(@"^\s*(?:typedef\s+)?(?:template\s*<.*>\s*)?(?<kind>class|struct|enum(?:\s+class)?|union|namespace)\s+(?:[A-Z_]+\s+)?(?<name>\w+)[^;(]*$")),
        new("function", Compile(@"^(?:[A-Za-z_][\w:<>,*&~ ]*[ *&])?(?:(?<owner>\w+)(?:<[^>]*>)?::)?(?<name>~?\w+)\s*\([^;]*$")),
        new("method", Compile(@"^\s+(?:[A-Za-z_][\w:<>,*& ]*[ *&])(?<name>~?\w+)\s*\([^;]*\)\s*(?:const\s*)?(?:noexcept\s*)?(?:override\s*)?(?:final\s*)?\{")),
    ];

    private static readonly Dictionary<string, Rule[]> s_rules = new()
    {
        ["csharp"] = s_csharp,
        ["python"] = s_python,
        ["javascript"] = s_script,
        ["typescript"] = s_script,
        ["go"] = s_go,
        ["java"] = s_java,
        ["rust"] = s_rust,
        ["c"] = s_c,
        ["cpp"] = s_c,
    };

    // What the method rules would take for a name.
    private static readonly HashSet<string> s_keywords =
    [
        "if", "for", "foreach", "while", "switch", "catch", "using", "lock", "return", "throw", "new", "await", "else", "do", "try", "function", "sizeof", "typeof", "nameof",
        "yield", "when", "base", "this", "super", "fixed", "checked", "unchecked", "with", "in", "of", "case", "default", "delete", "defined", "assert", "synchronized", "where",
    ];

    private static readonly HashSet<string> s_types =
        ["class", "struct", "interface", "enum", "record", "trait", "impl", "namespace", "mod", "union", "type", "@interface", "record class", "record struct", "enum class"];

    /// <summary>Whether symbols are looked for in this language at all.</summary>
    public static bool Knows(Language language) => s_rules.ContainsKey(language.Name);

    /// <summary>Whether symbols of that kind hold others.</summary>
    public static bool IsType(string kind) => s_types.Contains(kind);

    /// <summary>The definition on a line of code, or null.</summary>
    public static FoundSymbol? Find(Language language, ReadOnlySpan<char> line)
    {
        var trimmed = line.Trim();
        if (trimmed.Length is < 4 or > MaxLine || trimmed.IndexOfAny(" \t(") < 0 || !s_rules.TryGetValue(language.Name, out var rules))
            return null;
        foreach (var rule in rules)
        {
            if (!rule.Pattern.IsMatch(line))
                continue;
            var match = rule.Pattern.Match(line.ToString());
            var name = match.Groups["name"].Value;
            if (s_keywords.Contains(name) || name.Length > CodeWords.MaxLength)
                continue;
            // "return Foo(" and "else Foo(" look like a type and a name.
            var first = trimmed[..trimmed.IndexOfAny(" \t(")];
            if (rule.Kind is "method" or "function" && s_keywords.GetAlternateLookup<ReadOnlySpan<char>>().Contains(first) && first is not ("new" or "function" or "default" or "synchronized"))
                continue;
            var kind = rule.Kind ?? Squeeze(match.Groups["kind"].Value);
            return new FoundSymbol(name, kind, match.Groups["owner"] is { Success: true } owner ? owner.Value : null);
        }
        return null;
    }

    private static Regex Compile(string pattern) => new(pattern, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture);

    private static string Squeeze(string kind) => string.Join(' ', kind.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
}
