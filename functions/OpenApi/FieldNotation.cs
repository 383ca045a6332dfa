using System.Globalization;
using System.Text.Json.Nodes;

namespace FunctionsRegistry.Functions.OpenApi;

/// <summary>
/// Fields in one line: <c>name: type, name?: type</c>. A type is string, integer, number (each with an optional range such as <c>(1..100)</c>; a text's is
/// its length), boolean, uuid, time, object, any, binary, a choice <c>a|b</c>, an object <c>{name: type}</c>, a map <c>{*: type}</c>, or any of these
/// with <c>[]</c> for a list. An optional field may be null, as FieldReader takes null for absent.
/// </summary>
public sealed class FieldNotation
{
    private readonly string _text;
    private int _at;

    private FieldNotation(string text) => _text = text;

    /// <summary>The JSON Schema of an object with these fields.</summary>
    /// <exception cref="FormatException">Not in the notation; says where.</exception>
    public static JsonObject Parse(string text)
    {
        var notation = new FieldNotation(text);
        var schema = text == "binary" ? new JsonObject { ["type"] = "string", ["format"] = notation.Word() } : notation.Fields('\0');
        return notation.Peek() == '\0' ? schema : throw notation.Wrong("the end");
    }

    private JsonObject Fields(char end)
    {
        var (properties, required) = (new JsonObject(), new JsonArray());
        var schema = new JsonObject { ["type"] = "object" };
        while (Peek() != end)
        {
            if (Take('*'))
            {
                Expect(':');
                schema["additionalProperties"] = Type();
                return schema;
            }
            var name = Word();
            var isOptional = Take('?');
            Expect(':');
            var type = Type();
            if (!isOptional)
                required.Add(name);
            else if (type["type"] is JsonValue kind)
                type["type"] = new JsonArray(kind.GetValue<string>(), "null");
            if (isOptional && type["enum"] is JsonArray choices)
                choices.Add(null);
            properties.Add(name, type);
            if (!Take(','))
                break;
        }
        schema["properties"] = properties;
        if (required.Count > 0)
            schema["required"] = required;
        return schema;
    }

    private JsonObject Type()
    {
        JsonObject type;
        if (Take('{'))
        {
            type = Fields('}');
            Expect('}');
        }
        else
        {
            type = Scalar(Word());
        }
        while (Take('['))
        {
            Expect(']');
            type = new JsonObject { ["type"] = "array", ["items"] = type };
        }
        return type;
    }

    private JsonObject Scalar(string word)
    {
        if (word.Contains('|', StringComparison.Ordinal))
            return new JsonObject { ["type"] = "string", ["enum"] = new JsonArray([.. word.Split('|').Select(one => JsonValue.Create(one.Trim()))]) };
        var type = word switch
        {
            "string" or "integer" or "number" or "boolean" or "object" => new JsonObject { ["type"] = word },
            "uuid" => new JsonObject { ["type"] = "string", ["format"] = "uuid" },
            "time" => new JsonObject { ["type"] = "string", ["format"] = "date-time" },
            "binary" => new JsonObject { ["type"] = "string", ["format"] = "binary" },
            "any" => [],
            _ => throw Wrong($"a type instead of '{word}'"),
        };
        if (!Take('('))
            return type;
        var range = Until(')').Split("..");
        Expect(')');
        if (range.Length != 2 || word is not ("string" or "integer" or "number"))
            throw Wrong("a range");
        Bound(type, word == "string" ? "minLength" : "minimum", range[0]);
        Bound(type, word == "string" ? "maxLength" : "maximum", range[1]);
        return type;
    }

    private void Bound(JsonObject type, string name, string text)
    {
        if (text.Length > 0)
            type[name] = decimal.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var bound) ? bound : throw Wrong("a number");
    }

    private string Word()
    {
        Peek();
        var start = _at;
        while (_at < _text.Length && !",:?{}[]()".Contains(_text[_at], StringComparison.Ordinal))
            _at++;
        return _at > start ? _text[start.._at].TrimEnd() : throw Wrong("a word");
    }

    private string Until(char end)
    {
        var start = _at;
        _at = _text.IndexOf(end, _at) is >= 0 and var found ? found : throw Wrong($"'{end}'");
        return _text[start.._at];
    }

    private char Peek()
    {
        while (_at < _text.Length && _text[_at] == ' ')
            _at++;
        return _at < _text.Length ? _text[_at] : '\0';
    }

    private bool Take(char wanted)
    {
        if (Peek() != wanted)
            return false;
        _at++;
        return true;
    }

    private void Expect(char wanted)
    {
        if (!Take(wanted))
            throw Wrong($"'{wanted}'");
    }

    private FormatException Wrong(string expected) => new($"'{_text}' at {_at}: expected {expected}.");
}
