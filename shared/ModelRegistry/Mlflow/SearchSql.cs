using System.Buffers.Text;
using System.Globalization;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.Errors;
using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>One column that a list is sorted by. Never null, so that a place in the list can be compared.</summary>
/// <param name="Sql">An expression made of our own words and of parameters, never of input.</param>
/// <param name="Type">Bigint, Integer, Double, Text or Uuid.</param>
public sealed record SortKey(string Sql, NpgsqlDbType Type, bool Descending);

/// <summary>
/// A search being made into SQL: conditions, sort keys, and parameters for everything that a client sent. Pages by place: a token holds the
/// sort keys' values of the last row, so a page costs the same at any depth and rows that come or go shift nothing.
/// </summary>
public sealed class SearchSql
{
    private readonly List<NpgsqlParameter> _parameters = [];
    private readonly List<string> _conditions = [];
    private readonly List<SortKey> _keys = [];
    private readonly StringBuilder _joins = new();

    /// <summary>JOINs that sort keys need.</summary>
    public string Joins => _joins.ToString();

    /// <summary>Adds a value and returns its placeholder.</summary>
    public string Add(object value, NpgsqlDbType type)
    {
        _parameters.Add(new NpgsqlParameter { Value = value, NpgsqlDbType = type });
        return $"${_parameters.Count}";
    }

    /// <summary>Adds a condition of our own words and placeholders.</summary>
    public void Where(string condition) => _conditions.Add(condition);

    /// <summary>Adds a sort key; keys after one that is unique change nothing.</summary>
    public void OrderBy(SortKey key) => _keys.Add(key);

    /// <summary>Adds a join and returns nothing; its alias is the caller's.</summary>
    public void Join(string join) => _joins.Append(' ').Append(join);

    /// <summary>The number of sort keys so far, for aliases.</summary>
    public int KeyCount => _keys.Count;

    /// <summary>The WHERE clause, the place of <paramref name="token"/> included. Call it after all keys are added.</summary>
    /// <exception cref="RegistryException">400: the token is none of ours, or of a search with other sort keys.</exception>
    public string BuildWhere(string? token)
    {
        if (token is { Length: > 0 })
            _conditions.Add(After(ReadToken(token)));
        return _conditions.Count == 0 ? "" : "WHERE " + string.Join(" AND ", _conditions.Select(condition => $"({condition})"));
    }

    /// <summary>The keys as named columns, for the select list: <c>k0</c>, <c>k1</c>, ...</summary>
    public string KeyColumns => string.Join(", ", _keys.Select((key, i) => $"{key.Sql} AS k{i}"));

    /// <summary>ORDER BY over the expressions, so that an index that has them can serve.</summary>
    public string OrderByKeys => "ORDER BY " + string.Join(", ", _keys.Select(key => key.Sql + (key.Descending ? " DESC" : "")));

    /// <summary>ORDER BY over the named columns of an inner query.</summary>
    public string OrderByColumns(string alias) => "ORDER BY " + string.Join(", ", _keys.Select((key, i) => $"{alias}.k{i}{(key.Descending ? " DESC" : "")}"));

    /// <summary>The columns of an inner query.</summary>
    public string Columns(string alias) => string.Join(", ", _keys.Select((_, i) => $"{alias}.k{i}"));

    /// <summary>A command with all parameters.</summary>
    public NpgsqlBatchCommand CreateCommand(string sql)
    {
        var command = new NpgsqlBatchCommand(sql);
        foreach (var parameter in _parameters)
            command.Parameters.Add(parameter);
        return command;
    }

    /// <summary>The token of the row that <paramref name="reader"/> is at; its keys start at column <paramref name="firstColumn"/>.</summary>
    public string ReadToken(NpgsqlDataReader reader, int firstColumn)
    {
        var values = new string[_keys.Count];
        for (var i = 0; i < values.Length; i++)
            values[i] = _keys[i].Type switch
            {
                NpgsqlDbType.Bigint => reader.GetInt64(firstColumn + i).ToString(CultureInfo.InvariantCulture),
                NpgsqlDbType.Integer => reader.GetInt32(firstColumn + i).ToString(CultureInfo.InvariantCulture),
                NpgsqlDbType.Double => reader.GetDouble(firstColumn + i).ToString("R", CultureInfo.InvariantCulture),
                NpgsqlDbType.Uuid => reader.GetGuid(firstColumn + i).ToString("N"),
                _ => reader.GetString(firstColumn + i),
            };
        return Base64Url.EncodeToString(JsonSerializer.SerializeToUtf8Bytes(values, MlflowJson.Default.StringArray));
    }

    // (k0, k1, ...) after the row's, with each key's own direction. The first line alone bounds an index scan.
    private string After(object[] row)
    {
        var places = row.Select((value, i) => Add(value, _keys[i].Type)).ToArray();
        var alternatives = _keys.Select((key, i) => string.Join(" AND ",
            _keys.Take(i).Select((earlier, j) => $"{earlier.Sql} = {places[j]}").Append($"{key.Sql} {(key.Descending ? "<" : ">")} {places[i]}")));
        return $"{_keys[0].Sql} {(_keys[0].Descending ? "<=" : ">=")} {places[0]} AND ({string.Join(" OR ", alternatives.Select(one => $"({one})"))})";
    }

    private object[] ReadToken(string token)
    {
        try
        {
            var texts = Base64Url.IsValid(token) ? JsonSerializer.Deserialize(Base64Url.DecodeFromChars(token), MlflowJson.Default.StringArray) : null;
            if (texts?.Length == _keys.Count && texts.All(text => text is not null))
                return [.. texts.Select((text, i) => ReadValue(text, _keys[i].Type))];
        }
        catch (Exception exception) when (exception is JsonException or FormatException or OverflowException)
        {
            throw MlflowErrors.InvalidPageToken();
        }
        throw MlflowErrors.InvalidPageToken();
    }

    private static object ReadValue(string text, NpgsqlDbType type) => type switch
    {
        NpgsqlDbType.Bigint => long.Parse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture),
        NpgsqlDbType.Integer => int.Parse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture),
        NpgsqlDbType.Double => double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture),
        NpgsqlDbType.Uuid => Guid.ParseExact(text, "N"),
        _ => text.Contains('\0', StringComparison.Ordinal) ? throw new FormatException() : text,
    };
}

/// <summary>Turns terms into conditions. What an entity has is its own closed table; this knows operators and types.</summary>
public static class SearchConditions
{
    /// <summary>A comparison of a text expression.</summary>
    public static string Text(SearchSql sql, FilterTerm term, string expression, bool isNullable = false)
    {
        switch (term.Operator)
        {
            case FilterOperator.IsNull when isNullable:
                return $"{expression} IS NULL";
            case FilterOperator.IsNotNull when isNullable:
                return $"{expression} IS NOT NULL";
            case FilterOperator.In:
                return $"{expression} = ANY ({sql.Add(List(term), NpgsqlDbType.Array | NpgsqlDbType.Text)})";
            case FilterOperator.NotIn:
                return $"{expression} <> ALL ({sql.Add(List(term), NpgsqlDbType.Array | NpgsqlDbType.Text)})";
            default:
                var value = sql.Add(NeedText(term), NpgsqlDbType.Text);
                return term.Operator switch
                {
                    FilterOperator.Equal => $"{expression} = {value}",
                    FilterOperator.NotEqual => $"{expression} <> {value}",
                    // No escape character, as in MLflow's own stores: a backslash is a backslash.
                    FilterOperator.Like => $"{expression} LIKE {value} ESCAPE ''",
                    FilterOperator.ILike => $"{expression} ILIKE {value} ESCAPE ''",
                    _ => throw WrongOperator(term, "=, !=, LIKE, ILIKE, IN or NOT IN"),
                };
        }
    }

    /// <summary>A comparison of a bigint expression.</summary>
    public static string Number(SearchSql sql, FilterTerm term, string expression) =>
        $"{expression} {Symbol(term)} {sql.Add(NeedNumber(term), NpgsqlDbType.Double)}";

    /// <summary>A comparison of a metric's value: NaN compares to nothing, and differs from everything.</summary>
    public static string Metric(SearchSql sql, FilterTerm term, string expression)
    {
        var condition = Number(sql, term, expression);
        return term.Operator == FilterOperator.NotEqual ? condition : $"{condition} AND {expression} <> 'NaN'";
    }

    /// <summary>A row of key and value that must exist (or not): <paramref name="from"/> such as <c>mlflow.tags t WHERE t.run_id = r.id</c>.</summary>
    public static string KeyedText(SearchSql sql, FilterTerm term, string from, string alias)
    {
        var key = sql.Add(CheckText(term.Name.Key, term.Name.Position), NpgsqlDbType.Text);
        var row = $"SELECT 1 FROM {from} AND {alias}.key = {key}";
        if (term.Operator == FilterOperator.IsNull)
            return $"NOT EXISTS ({row})";
        if (term.Operator == FilterOperator.IsNotNull)
            return $"EXISTS ({row})";
        var condition = Text(sql, term, alias + ".value");
        // What the index on the beginning of the value can use.
        if (term.Operator == FilterOperator.Equal)
            condition += $" AND left({alias}.value, 200) = left({sql.Add(term.Text!, NpgsqlDbType.Text)}, 200)";
        return $"EXISTS ({row} AND {condition})";
    }

    /// <summary>An error about a name that the entity does not have.</summary>
    public static RegistryException UnknownName(FilterName name, string known) =>
        MlflowErrors.InvalidFilter(name.Position, $"unknown name '{(name.Entity is null ? "" : name.Entity + ".")}{name.Key}', known are {known}");

    /// <summary>The term's text.</summary>
    public static string NeedText(FilterTerm term) => CheckText(
        term.Text ?? throw MlflowErrors.InvalidFilter(term.ValuePosition, $"'{term.Name.Key}' is compared with a quoted string"), term.ValuePosition);

    /// <summary>The operator as SQL; for numbers.</summary>
    public static string Symbol(FilterTerm term) => term.Operator switch
    {
        FilterOperator.Equal => "=",
        FilterOperator.NotEqual => "<>",
        FilterOperator.Less => "<",
        FilterOperator.LessOrEqual => "<=",
        FilterOperator.Greater => ">",
        FilterOperator.GreaterOrEqual => ">=",
        _ => throw WrongOperator(term, "=, !=, <, <=, > or >="),
    };

    private static double NeedNumber(FilterTerm term) =>
        term.Number ?? throw MlflowErrors.InvalidFilter(term.ValuePosition, $"'{term.Name.Key}' is compared with a number");

    private static string[] List(FilterTerm term) => [.. term.List!.Select(item => CheckText(item, term.ValuePosition))];

    private static string CheckText(string text, int position) =>
        text.Contains('\0', StringComparison.Ordinal) ? throw MlflowErrors.InvalidFilter(position, "text must not hold NUL") : text;

    private static RegistryException WrongOperator(FilterTerm term, string allowed) =>
        MlflowErrors.InvalidFilter(term.ValuePosition, $"'{term.Name.Key}' allows {allowed} only");
}
