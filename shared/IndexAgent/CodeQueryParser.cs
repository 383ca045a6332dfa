using System.Text;
using System.Text.RegularExpressions;
using FunctionsRegistry.Errors;

namespace FunctionsRegistry.IndexAgent;

/// <summary>
/// Reads the query language: words, <c>"exact text"</c>, <c>/regex/</c>, <c>sym: path: file: lang: repo:</c>, <c>-</c> before what must not be,
/// <c>OR</c>, parentheses. Side by side is AND. Every error names the place and a corrected query, which itself can be read.
/// </summary>
public static class CodeQueryParser
{
    /// <summary>Longer queries are refused.</summary>
    public const int MaxLength = 1_000;

    /// <summary>More words are refused; a word is one bit of a mask in ranking.</summary>
    public const int MaxWords = 60;

    private const int MaxDepth = 20;
    private const int MaxPatterns = 8;

    /// <summary>Parses a query.</summary>
    /// <exception cref="RegistryException">422 with the place and a corrected query.</exception>
    public static CodeQuery Parse(string text)
    {
        if (TryParse(text) is var (query, fault) && query is not null)
            return query;
        throw IndexAgentErrors.InvalidQuery(fault!.Message, fault.Position, Correct(text));
    }

    /// <summary>The query, or the first fault.</summary>
    internal static (CodeQuery? Query, QueryFault? Fault) TryParse(string text)
    {
        if (text.Length > MaxLength)
            return (null, new QueryFault($"the query has more than {MaxLength} characters", MaxLength, ""));
        var reader = new Reader(text);
        var root = reader.ReadAll();
        return reader.Fault is { } fault ? (null, fault) : (new CodeQuery(root!, reader.Words), null);
    }

    /// <summary>A query that can be read and keeps as much of a faulty one as possible: each fault's own repair, applied until none is left.</summary>
    internal static string Correct(string text)
    {
        text = text.Length > MaxLength ? text[..MaxLength] : text;
        for (var round = 0; round < 40; round++)
        {
            if (TryParse(text).Fault is not { } fault)
                return text;
            text = fault.Corrected.Trim();
            if (text.Length > MaxLength)
                break;
        }
        // What is left when repairs do not end: the words alone.
        var words = Regex.Matches(text, @"\w+", RegexOptions.NonBacktracking).Select(match => match.Value).Where(word => word != "OR").Take(MaxWords / 4);
        var plain = string.Join(' ', words);
        return plain.Length == 0 || TryParse(plain).Fault is not null ? "example" : plain;
    }

    /// <summary>What is wrong, where (0-based), and the text with that one thing mended.</summary>
    internal sealed record QueryFault(string Message, int Position, string Corrected);

    private sealed class Reader(string text)
    {
        private int _at;
        private int _depth;
        private int _patterns;
        private bool _negated;

        public QueryFault? Fault { get; private set; }

        public List<string> Words { get; } = [];

        public QueryNode? ReadAll()
        {
            SkipBlanks();
            if (_at == text.Length)
                return Fail("the query is empty", 0, "example");
            var node = ReadAny();
            if (Fault is null && _at < text.Length)
                return Fail("')' has no '(' before it", _at, text.Remove(_at, 1));
            return node;
        }

        private QueryNode? ReadAny()
        {
            var start = _at;
            var parts = new List<QueryNode>();
            while (true)
            {
                if (ReadAll(start) is not { } part)
                    return null;
                parts.Add(part);
                if (!TakeOr())
                    return parts.Count == 1 ? parts[0] : new AnyOf(parts);
            }
        }

        private QueryNode? ReadAll(int start)
        {
            var parts = new List<QueryNode>();
            while (true)
            {
                SkipBlanks();
                if (_at == text.Length || text[_at] == ')' || IsOr(_at))
                    break;
                if (ReadPart() is not { } part)
                    return null;
                parts.Add(part);
            }
            if (parts.Count > 0)
                return parts.Count == 1 ? parts[0] : new AllOf(parts);
            if (_depth == 0 && _at < text.Length && text[_at] == ')')
                return Fail("')' has no '(' before it", _at, text.Remove(_at, 1));
            // Nothing stands here: an OR without one of its sides, or empty parentheses.
            if (_at < text.Length && IsOr(_at))
                return Fail("OR has nothing before it", _at, text.Remove(_at, 2));
            var or = text.AsSpan(0, _at).LastIndexOf("OR");
            return or >= start && text.AsSpan(or + 2, _at - or - 2).IsWhiteSpace()
                ? Fail("OR has nothing after it", or, text.Remove(or, 2))
                : Fail("'()' has nothing inside", Math.Max(0, start - 1), _at < text.Length ? text.Remove(start - 1, _at - start + 2) : text.Remove(Math.Max(0, start - 1)));
        }

        private QueryNode? ReadPart()
        {
            if (text[_at] == '-' && _at + 1 < text.Length && !char.IsWhiteSpace(text[_at + 1]) && text[_at + 1] != '-' && text[_at + 1] != '>')
            {
                if (text[_at + 1] == ')')
                    return Fail("'-' has nothing after it", _at, text.Remove(_at, 1));
                _at++;
                var outer = _negated;
                _negated = !outer;
                var part = ReadPrimary();
                _negated = outer;
                return part is null ? null : new NotOf(part);
            }
            return ReadPrimary();
        }

        private QueryNode? ReadPrimary() => text[_at] switch
        {
            '(' => ReadGroup(),
            '"' => ReadPhrase(),
            '/' when _at + 1 < text.Length && !char.IsWhiteSpace(text[_at + 1]) => ReadRegex(),
            _ => ReadWord(),
        };

        private QueryNode? ReadGroup()
        {
            var open = _at++;
            if (++_depth > MaxDepth)
                return Fail($"parentheses are nested more than {MaxDepth} deep", open, text.Replace("(", " ", StringComparison.Ordinal).Replace(")", " ", StringComparison.Ordinal));
            var node = ReadAny();
            if (node is null)
                return null;
            if (_at == text.Length)
                return Fail("'(' is not closed", open, text + ")");
            _at++;
            _depth--;
            return node;
        }

        private QueryNode? ReadPhrase()
        {
            var open = _at;
            var end = text.IndexOf('"', _at + 1);
            if (end < 0)
                return Fail("the quote is not closed", open, text.Length == open + 1 ? text.Remove(open) : text + "\"");
            var phrase = text[(open + 1)..end];
            if (string.IsNullOrWhiteSpace(phrase))
                return Fail("the quotes hold nothing", open, text.Remove(open, end - open + 1));
            _at = end + 1;
            var words = phrase.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            return Pattern(open, phrase, isPhrase: true, string.Join(@"\s+", words.Select(Regex.Escape)));
        }

        private QueryNode? ReadRegex()
        {
            var open = _at;
            var end = open + 1;
            while (end < text.Length && !(text[end] == '/' && (end + 1 == text.Length || char.IsWhiteSpace(text[end + 1]) || text[end + 1] == ')')))
                end += text[end] == '\\' ? 2 : 1;
            if (end >= text.Length)
            {
                // "/api/v1" is a path rather than an expression.
                var stop = text.AsSpan(open).IndexOfAny(' ', ')');
                var literal = stop < 0 ? text[open..] : text.Substring(open, stop);
                return Fail("the regular expression is not closed", open, text.Remove(open, literal.Length).Insert(open, Quoted(literal)));
            }
            var source = text[(open + 1)..end];
            _at = end + 1;
            return Pattern(open, source, isPhrase: false, source);
        }

        private QueryNode? ReadWord()
        {
            var start = _at;
            while (_at < text.Length && !char.IsWhiteSpace(text[_at]) && text[_at] is not ('(' or ')' or '"') && text[_at] != ':')
                _at++;
            if (_at < text.Length && text[_at] == ':' && FieldOf(text[start.._at]) is { } field)
                return ReadField(field, start);
            while (_at < text.Length && !char.IsWhiteSpace(text[_at]) && text[_at] is not ('(' or ')' or '"'))
                _at++;
            var word = text[start.._at];
            var names = CodeWords.IdentifiersOf(word).ConvertAll(QueryNode (name) => new WordNode(name));
            if (names.Count == 0)
                return Fail($"'{word}' has no letter or digit to search for", start, text.Remove(start, word.Length).Insert(start, word.Contains('"', StringComparison.Ordinal) ? "" : Quoted(word)));
            if (!_negated)
                Words.AddRange(names.Select(name => ((WordNode)name).Text));
            if (Words.Count > MaxWords)
                return Fail($"the query has more than {MaxWords} words", start, text[..start]);
            return names.Count == 1 ? names[0] : new AllOf(names);
        }

        private QueryNode? ReadField(QueryField field, int start)
        {
            var colon = _at++;
            string value;
            if (_at < text.Length && text[_at] == '"')
            {
                var end = text.IndexOf('"', _at + 1);
                if (end < 0)
                    return Fail("the quote is not closed", _at, text + "\"");
                value = text[(_at + 1)..end].Trim();
                _at = end + 1;
            }
            else
            {
                var from = _at;
                while (_at < text.Length && !char.IsWhiteSpace(text[_at]) && text[_at] is not ('(' or ')' or '"'))
                    _at++;
                value = text[from.._at];
            }
            if (value.Length == 0)
                return Fail($"'{text[start..(colon + 1)]}' has no value", start, text.Remove(start, _at - start));
            if (field != QueryField.Language)
                return new FieldNode(field, value);
            return Language.Find(value) is { } language
                ? new FieldNode(field, language.Name)
                : Fail($"'{value}' is no known language", colon + 1, text.Remove(colon + 1, _at - colon - 1).Insert(colon + 1, Language.Nearest(value)));
        }

        private QueryNode? Pattern(int open, string source, bool isPhrase, string pattern)
        {
            if (++_patterns > MaxPatterns)
                return Fail($"the query has more than {MaxPatterns} exact texts and regular expressions", open, text.Remove(open, _at - open));
            try
            {
                // Never backtracks: time grows with the text alone. Without (?-i) case does not matter, as for words.
                var options = RegexOptions.NonBacktracking | RegexOptions.CultureInvariant | RegexOptions.Multiline | RegexOptions.IgnoreCase;
                return new PatternNode(source, isPhrase, new Regex(pattern, options, TimeSpan.FromMilliseconds(500)));
            }
            catch (ArgumentException exception)
            {
                var place = exception is RegexParseException parse ? parse.Offset : 0;
                return Fail($"the regular expression is wrong ({Reason(exception)})", Math.Min(open + 1 + place, text.Length), Replaced(open, source));
            }
            catch (NotSupportedException)
            {
                return Fail("the regular expression uses a look-around, a back-reference or another construct that takes unbounded time", open, Replaced(open, source));
            }
        }

        private string Replaced(int open, string source) => text.Remove(open, _at - open).Insert(open, Quoted(source));

        private static string Quoted(string literal) =>
            literal.Replace("\"", " ", StringComparison.Ordinal).Trim() is { Length: > 0 } inner ? $"\"{inner}\"" : "";

        private static string Reason(ArgumentException exception)
        {
            // "Invalid pattern '...' at offset 3. Not enough )'s." repeats the pattern.
            var message = exception.Message;
            var end = message.LastIndexOf(". ", StringComparison.Ordinal);
            return (end < 0 ? message : message[(end + 2)..]).TrimEnd('.');
        }

        private static QueryField? FieldOf(string name) => name.ToLowerInvariant() switch
        {
            "sym" or "symbol" => QueryField.Symbol,
            "path" => QueryField.Path,
            "file" => QueryField.File,
            "lang" or "language" => QueryField.Language,
            "repo" or "repository" => QueryField.Repository,
            _ => null,
        };

        private bool IsOr(int at) =>
            at + 1 < text.Length && text[at] == 'O' && text[at + 1] == 'R' && (at + 2 == text.Length || char.IsWhiteSpace(text[at + 2]) || text[at + 2] is '(' or ')' or '"');

        private bool TakeOr()
        {
            SkipBlanks();
            if (_at >= text.Length || !IsOr(_at))
                return false;
            _at += 2;
            return true;
        }

        private void SkipBlanks()
        {
            while (_at < text.Length && char.IsWhiteSpace(text[_at]))
                _at++;
        }

        private QueryNode? Fail(string message, int position, string corrected)
        {
            Fault ??= new QueryFault(message, position, new StringBuilder(corrected).Replace('\0', ' ').ToString());
            return null;
        }
    }
}
