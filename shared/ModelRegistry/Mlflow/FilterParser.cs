using System.Globalization;
using System.Text;
using FunctionsRegistry.Errors;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>What a filter or order_by clause names: <c>metrics.loss</c>, <c>tags.`a b`</c>, or a bare attribute.</summary>
/// <param name="Entity">The part before the dot in lower case, as typed; null for a bare name.</param>
/// <param name="Key">The part after the dot, without quotes.</param>
/// <param name="Position">Of its first character, from 1.</param>
public sealed record FilterName(string? Entity, string Key, int Position);

/// <summary>Comparison operators of the grammar.</summary>
public enum FilterOperator
{
    /// <summary><c>=</c></summary>
    Equal,

    /// <summary><c>!=</c></summary>
    NotEqual,

    /// <summary><c>&lt;</c></summary>
    Less,

    /// <summary><c>&lt;=</c></summary>
    LessOrEqual,

    /// <summary><c>&gt;</c></summary>
    Greater,

    /// <summary><c>&gt;=</c></summary>
    GreaterOrEqual,

    /// <summary><c>LIKE</c>, % and _ as wildcards.</summary>
    Like,

    /// <summary><c>ILIKE</c>, the same without regard to case.</summary>
    ILike,

    /// <summary><c>IN ('a', 'b')</c></summary>
    In,

    /// <summary><c>NOT IN ('a', 'b')</c></summary>
    NotIn,

    /// <summary><c>IS NULL</c></summary>
    IsNull,

    /// <summary><c>IS NOT NULL</c></summary>
    IsNotNull,
}

/// <summary>One comparison. Exactly one of <paramref name="Text"/>, <paramref name="Number"/> and <paramref name="List"/> is set; none for IS [NOT] NULL.</summary>
/// <param name="ValuePosition">Of the value, or of the operator where there is none; from 1.</param>
public sealed record FilterTerm(FilterName Name, FilterOperator Operator, string? Text, double? Number, IReadOnlyList<string>? List, int ValuePosition);

/// <summary>One sort key.</summary>
public sealed record OrderTerm(FilterName Name, bool Descending);

/// <summary>
/// MLflow's search grammar: comparisons joined by AND. Names may be quoted with backticks or double quotes, strings with single or double
/// quotes; a quote is written twice inside its own kind. Pure: names and types are checked by who compiles the terms.
/// </summary>
public sealed class FilterParser
{
    private const int MaxTerms = 100;
    private const int MaxLength = 20_000;

    private readonly string _text;
    private readonly Func<int, string, RegistryException> _error;
    private int _at;

    private FilterParser(string text, Func<int, string, RegistryException> error) => (_text, _error) = (text, error);

    /// <summary>Reads a filter; empty or blank is no comparison.</summary>
    /// <exception cref="RegistryException">400 with the position of the first thing that cannot be read.</exception>
    public static IReadOnlyList<FilterTerm> Parse(string? filter)
    {
        if (string.IsNullOrWhiteSpace(filter))
            return [];
        if (filter.Length > MaxLength)
            throw MlflowErrors.TooLong("Filter", filter, MaxLength);
        return new FilterParser(filter, MlflowErrors.InvalidFilter).ReadTerms();
    }

    /// <summary>Reads one order_by clause: a name, and ASC (the default) or DESC.</summary>
    /// <exception cref="RegistryException">400 with the position.</exception>
    public static OrderTerm ParseOrder(string? clause)
    {
        if (string.IsNullOrWhiteSpace(clause))
            throw MlflowErrors.InvalidOrderBy(clause ?? "", 1, "a name is missing");
        if (clause.Length > MaxLength)
            throw MlflowErrors.TooLong("order_by clause", clause, MaxLength);
        var parser = new FilterParser(clause, (position, what) => MlflowErrors.InvalidOrderBy(clause, position, what));
        parser.SkipSpace();
        var name = parser.ReadName();
        var descending = parser.TryReadWord("DESC");
        if (!descending)
            parser.TryReadWord("ASC");
        parser.RequireEnd("ASC, DESC or the end");
        return new OrderTerm(name, descending);
    }

    private List<FilterTerm> ReadTerms()
    {
        var terms = new List<FilterTerm>();
        SkipSpace();
        do
        {
            if (terms.Count == MaxTerms)
                throw Error(_at, $"more than {MaxTerms} comparisons");
            terms.Add(ReadTerm());
        }
        while (TryReadWord("AND"));
        RequireEnd("AND or the end");
        return terms;
    }

    private FilterTerm ReadTerm()
    {
        var name = ReadName();
        var operatorAt = _at;
        var comparison = ReadOperator();
        SkipSpace();
        var valueAt = _at;
        return comparison switch
        {
            FilterOperator.IsNull or FilterOperator.IsNotNull => new FilterTerm(name, comparison, null, null, null, operatorAt + 1),
            FilterOperator.In or FilterOperator.NotIn => new FilterTerm(name, comparison, null, null, ReadList(), valueAt + 1),
            _ => ReadValue() is var (text, number) ? new FilterTerm(name, comparison, text, number, null, valueAt + 1) : throw new InvalidOperationException(),
        };
    }

    private FilterName ReadName()
    {
        var start = _at;
        if (_at < _text.Length && _text[_at] is '`' or '"')
            return Finish(null, ReadQuoted());
        var word = ReadBare();
        if (word.Length == 0)
            throw Error(_at, $"expected a name but found {Found()}");
        var dot = word.IndexOf('.', StringComparison.Ordinal);
        if (dot < 0)
            return Finish(null, word);
        var entity = word[..dot].ToLowerInvariant();
        var key = word[(dot + 1)..];
        if (key.Length == 0 && _at < _text.Length && _text[_at] is '`' or '"')
            key = ReadQuoted();
        if (entity.Length == 0 || key.Length == 0)
            throw Error(start, $"'{word}' is not a name: write entity.key, such as metrics.loss or tags.`a b`");
        return Finish(entity, key);

        FilterName Finish(string? entity, string key)
        {
            SkipSpace();
            return new FilterName(entity, key, start + 1);
        }
    }

    private string ReadBare()
    {
        var start = _at;
        while (_at < _text.Length && (char.IsLetterOrDigit(_text[_at]) || _text[_at] is '_' or '.' or '-' or '/' or ':'))
            _at++;
        return _text[start.._at];
    }

    private FilterOperator ReadOperator()
    {
        var start = _at;
        if (TryReadSymbol() is { } symbol)
            return symbol;
        if (TryReadWord("ILIKE"))
            return FilterOperator.ILike;
        if (TryReadWord("LIKE"))
            return FilterOperator.Like;
        if (TryReadWord("IN"))
            return FilterOperator.In;
        if (TryReadWord("NOT"))
            return TryReadWord("IN") ? FilterOperator.NotIn : throw Error(_at, $"expected IN after NOT but found {Found()}");
        if (!TryReadWord("IS"))
            throw Error(start, $"expected a comparison (=, !=, <, <=, >, >=, LIKE, ILIKE, IN, NOT IN, IS NULL, IS NOT NULL) but found {Found()}");
        var negated = TryReadWord("NOT");
        return TryReadWord("NULL") ? (negated ? FilterOperator.IsNotNull : FilterOperator.IsNull) : throw Error(_at, $"expected NULL but found {Found()}");
    }

    private FilterOperator? TryReadSymbol()
    {
        var rest = _text.AsSpan(_at);
        var (found, length) = rest switch
        {
            ['!', '=', ..] => (FilterOperator.NotEqual, 2),
            ['<', '=', ..] => (FilterOperator.LessOrEqual, 2),
            ['>', '=', ..] => (FilterOperator.GreaterOrEqual, 2),
            ['=', ..] => (FilterOperator.Equal, 1),
            ['<', ..] => (FilterOperator.Less, 1),
            ['>', ..] => (FilterOperator.Greater, 1),
            _ => ((FilterOperator?)null, 0),
        };
        _at += length;
        return found;
    }

    private (string? Text, double? Number) ReadValue()
    {
        if (_at < _text.Length && _text[_at] is '\'' or '"')
        {
            var text = ReadQuoted();
            SkipSpace();
            return (text, null);
        }
        var start = _at;
        while (_at < _text.Length && (char.IsAsciiLetterOrDigit(_text[_at]) || _text[_at] is '.' or '+' or '-'))
            _at++;
        if (!double.TryParse(_text.AsSpan(start, _at - start), NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture, out var number)
            || !double.IsFinite(number))
        {
            _at = start;
            throw Error(start, $"expected a number or a quoted string but found {Found()}");
        }
        SkipSpace();
        return (null, number);
    }

    private List<string> ReadList()
    {
        var items = new List<string>();
        Require('(');
        do
        {
            SkipSpace();
            if (_at >= _text.Length || _text[_at] is not ('\'' or '"'))
                throw Error(_at, $"expected a quoted string but found {Found()}");
            items.Add(ReadQuoted());
            SkipSpace();
        }
        while (TryRead(','));
        Require(')');
        SkipSpace();
        return items;
    }

    private string ReadQuoted()
    {
        var start = _at;
        var quote = _text[_at++];
        var value = new StringBuilder();
        while (_at < _text.Length)
        {
            var c = _text[_at++];
            if (c != quote)
                value.Append(c);
            else if (_at < _text.Length && _text[_at] == quote)
                value.Append(_text[_at++]);
            else
                return value.ToString();
        }
        throw Error(start, $"the text after {quote} does not end");
    }

    private bool TryReadWord(string word)
    {
        if (string.Compare(_text, _at, word, 0, word.Length, StringComparison.OrdinalIgnoreCase) != 0)
            return false;
        var end = _at + word.Length;
        if (end < _text.Length && (char.IsLetterOrDigit(_text[end]) || _text[end] == '_'))
            return false;
        _at = end;
        SkipSpace();
        return true;
    }

    private bool TryRead(char c)
    {
        if (_at >= _text.Length || _text[_at] != c)
            return false;
        _at++;
        return true;
    }

    private void Require(char c)
    {
        if (!TryRead(c))
            throw Error(_at, $"expected '{c}' but found {Found()}");
    }

    private void RequireEnd(string expected)
    {
        if (_at < _text.Length)
            throw Error(_at, $"expected {expected} but found {Found()}");
    }

    private void SkipSpace()
    {
        while (_at < _text.Length && char.IsWhiteSpace(_text[_at]))
            _at++;
    }

    private RegistryException Error(int at, string what) => _error(at + 1, what);

    private string Found()
    {
        if (_at >= _text.Length)
            return "the end";
        var end = _at + 1;
        while (end < _text.Length && end - _at < 30 && !char.IsWhiteSpace(_text[end]))
            end++;
        return $"'{_text[_at..end]}'";
    }
}
