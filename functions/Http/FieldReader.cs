using System.Globalization;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.Errors;

namespace FunctionsRegistry.Functions.Http;

/// <summary>
/// Reads the fields of a JSON object or of a query string and collects every fault, as the FastAPI families answer them: all at once, each with its
/// place, in the words that spec-hokusai.md shows ("field required", value_error.missing). A wrong field reads as its empty value, so read everything,
/// then call <see cref="ThrowIfFaulty"/>. A number, boolean or UUID may also come as text, as in a query. JSON null counts as absent.
/// </summary>
public sealed class FieldReader
{
    private readonly object[] _place;
    private readonly JsonElement _object;
    private readonly IQueryCollection? _query;
    private readonly List<FieldError> _faults;

    private FieldReader(object[] place, JsonElement element, IQueryCollection? query, List<FieldError> faults) =>
        (_place, _object, _query, _faults) = (place, element, query, faults);

    /// <summary>The parsed object; undefined for a query.</summary>
    public JsonElement Json => _object;

    /// <summary>Over the query string; faults are at <c>["query", name]</c>.</summary>
    public static FieldReader OfQuery(HttpRequest request) => new(["query"], default, request.Query, []);

    /// <summary>Over a JSON text that must be an object; faults are at <c>["body", ...]</c>.</summary>
    /// <exception cref="RegistryException">422: no body, not JSON, or no object.</exception>
    public static FieldReader OfBody(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty)
            throw Single(["body"], "field required", "value_error.missing");
        JsonElement element;
        try
        {
            element = JsonElement.Parse(bytes);
        }
        catch (JsonException exception)
        {
            throw Single(["body"], $"Invalid JSON: line {exception.LineNumber + 1} column {exception.BytePositionInLine + 1}", "value_error.jsondecode");
        }
        return element.ValueKind == JsonValueKind.Object
            ? new(["body"], element, null, [])
            : throw Single(["body"], "value is not a valid dict", "type_error.dict");
    }

    /// <summary>Whether the field was sent, null included: for PATCH, where null clears.</summary>
    public bool Has(string name) => _query is null ? _object.TryGetProperty(name, out _) : _query.ContainsKey(name);

    /// <summary>Required text.</summary>
    public string Text(string name, int minLength = 0, int maxLength = 10_000) => OptionalText(name, minLength, maxLength) ?? Missing(name, "");

    /// <summary>Text, or null when absent.</summary>
    public string? OptionalText(string name, int minLength = 0, int maxLength = 10_000) =>
        Find(name) is { } value ? CheckText([name], value, minLength, maxLength) : null;

    /// <summary>Required text that is one of a few.</summary>
    public string Choice(string name, params IReadOnlyList<string> permitted) => OptionalChoice(name, permitted) ?? Missing(name, "");

    /// <summary>Text that is one of a few, or null when absent.</summary>
    public string? OptionalChoice(string name, params IReadOnlyList<string> permitted)
    {
        if (Find(name) is not { } value)
            return null;
        if (value.Text is { } text && permitted.Contains(text))
            return text;
        var list = string.Join(", ", permitted.Select(one => $"'{one}'"));
        return Fault(name, $"value is not a valid enumeration member; permitted: {list}", "type_error.enum", "");
    }

    /// <summary>Required integer.</summary>
    public long WholeNumber(string name, long min = int.MinValue, long max = int.MaxValue) => OptionalWholeNumber(name, min, max) ?? Missing(name, 0L);

    /// <summary>Integer, or null when absent.</summary>
    public long? OptionalWholeNumber(string name, long min = int.MinValue, long max = int.MaxValue)
    {
        if (Find(name) is not { } value)
            return null;
        var valid = value.Element.ValueKind == JsonValueKind.Number
            ? value.Element.TryGetInt64(out var number) || IsWhole(value.Element, out number)
            : long.TryParse(value.Text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out number);
        return valid ? CheckRange(name, number, min, max) : Fault(name, "value is not a valid integer", "type_error.integer", 0L);
    }

    /// <summary>Integer in a range, or the standard when absent.</summary>
    public int WholeNumber(string name, int standard, int min, int max) => (int)(OptionalWholeNumber(name, min, max) ?? standard);

    /// <summary>Required finite number.</summary>
    public double Number(string name, double min = double.MinValue, double max = double.MaxValue) => OptionalNumber(name, min, max) ?? Missing(name, 0d);

    /// <summary>Finite number, or null when absent.</summary>
    public double? OptionalNumber(string name, double min = double.MinValue, double max = double.MaxValue)
    {
        if (Find(name) is not { } value)
            return null;
        var valid = value.Element.ValueKind == JsonValueKind.Number
            ? value.Element.TryGetDouble(out var number)
            : double.TryParse(value.Text, NumberStyles.Float, CultureInfo.InvariantCulture, out number);
        return valid && double.IsFinite(number) ? CheckRange(name, number, min, max) : Fault(name, "value is not a valid float", "type_error.float", 0d);
    }

    /// <summary>true, false, or null when absent.</summary>
    public bool? OptionalBoolean(string name)
    {
        if (Find(name) is not { } value)
            return null;
        return (value.Element.ValueKind, value.Text?.ToLowerInvariant()) switch
        {
            (JsonValueKind.True, _) or (_, "true" or "1" or "yes" or "on") => true,
            (JsonValueKind.False, _) or (_, "false" or "0" or "no" or "off") => false,
            _ => Fault(name, "value could not be parsed to a boolean", "type_error.bool", false),
        };
    }

    /// <summary>Required UUID.</summary>
    public Guid Uuid(string name) => OptionalUuid(name) ?? Missing(name, Guid.Empty);

    /// <summary>UUID, or null when absent.</summary>
    public Guid? OptionalUuid(string name)
    {
        if (Find(name) is not { } value)
            return null;
        return Guid.TryParse(value.Text, out var id) ? id : Fault(name, "value is not a valid uuid", "type_error.uuid", Guid.Empty);
    }

    /// <summary>ISO 8601 date and time, or null when absent; without a zone it is UTC.</summary>
    public DateTimeOffset? OptionalTime(string name)
    {
        if (Find(name) is not { } value)
            return null;
        return value.Text is { Length: >= 10 } text && char.IsAsciiDigit(text[0])
            && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time)
            ? time
            : Fault(name, "invalid datetime format", "value_error.datetime", DateTimeOffset.UnixEpoch);
    }

    /// <summary>List of texts; empty when absent. In a query: the name given several times.</summary>
    public IReadOnlyList<string> Texts(string name, int maxItems = 1000, int maxLength = 1000)
    {
        if (_query is not null)
            return [.. _query[name].Select((text, index) => CheckText([name, index], new Value(default, text ?? ""), 0, maxLength)!)];
        return [.. Items(name, maxItems).Select((item, index) => CheckText([name, index], Value.Of(item), 0, maxLength))];
    }

    /// <summary>List of texts, or null when absent: an empty list is one.</summary>
    public IReadOnlyList<string>? OptionalTexts(string name, int maxItems = 1000, int maxLength = 1000) => Find(name) is null ? null : Texts(name, maxItems, maxLength);

    /// <summary>Any JSON value, or null when absent.</summary>
    public JsonElement? OptionalJson(string name) => Find(name) is { } value && CheckStorable([name], value.Element) ? value.Element : null;

    /// <summary>A JSON object of any members, or null when absent.</summary>
    public JsonElement? OptionalObject(string name)
    {
        if (Find(name) is not { } value)
            return null;
        if (value.Element.ValueKind != JsonValueKind.Object)
            return Fault(name, "value is not a valid dict", "type_error.dict", (JsonElement?)null);
        return CheckStorable([name], value.Element) ? value.Element : null;
    }

    /// <summary>The fields of a nested object, or null when absent; its faults are told with this reader's.</summary>
    public FieldReader? OptionalFields(string name) => OptionalObject(name) is { } element ? new([.. _place, name], element, null, _faults) : null;

    /// <summary>The fields of each object of a list; empty when absent.</summary>
    public IReadOnlyList<FieldReader> ListOfFields(string name, int maxItems = 1000)
    {
        var readers = new List<FieldReader>();
        var index = 0;
        foreach (var item in Items(name, maxItems))
        {
            if (item.ValueKind == JsonValueKind.Object)
                readers.Add(new([.. _place, name, index], item, null, _faults));
            else
                _faults.Add(new([.. _place, name, index], "value is not a valid dict", "type_error.dict"));
            index++;
        }
        return readers;
    }

    /// <summary>One more fault, of a rule that this class does not know.</summary>
    public void Fault(string name, string message, string type = "value_error") => _faults.Add(new([.. _place, name], message, type));

    /// <summary>Call it when everything was read.</summary>
    /// <exception cref="RegistryException">422 with every fault, where there is one.</exception>
    public void ThrowIfFaulty()
    {
        if (_faults.Count > 0)
            throw new RegistryException(ErrorKind.Validation, "Validation failed", _faults);
    }

    private static RegistryException Single(object[] place, string message, string type) =>
        new(ErrorKind.Validation, "Validation failed", [new FieldError(place, message, type)]);

    private Value? Find(string name)
    {
        if (_query is not null)
            return _query.TryGetValue(name, out var texts) && texts.Count > 0 ? new Value(default, texts[^1] ?? "") : null;
        return _object.TryGetProperty(name, out var element) && element.ValueKind != JsonValueKind.Null ? Value.Of(element) : null;
    }

    private IEnumerable<JsonElement> Items(string name, int maxItems)
    {
        if (Find(name) is not { } value)
            return [];
        if (value.Element.ValueKind != JsonValueKind.Array)
            return Fault(name, "value is not a valid list", "type_error.list", Array.Empty<JsonElement>());
        return value.Element.GetArrayLength() <= maxItems
            ? value.Element.EnumerateArray()
            : Fault(name, $"ensure this value has at most {maxItems} items", "value_error.list.max_items", Array.Empty<JsonElement>());
    }

    private string CheckText(object[] at, Value value, int minLength, int maxLength)
    {
        if (value.Text is not { } text)
            return Fault(at, "str type expected", "type_error.str");
        if (text.Length < minLength)
            return Fault(at, $"ensure this value has at least {minLength} characters", "value_error.any_str.min_length");
        if (text.Length > maxLength)
            return Fault(at, $"ensure this value has at most {maxLength} characters", "value_error.any_str.max_length");
        return IsStorable(text) ? text : Fault(at, "must be valid Unicode text without NUL", "value_error.str.unicode");
    }

    private bool CheckStorable(object[] at, JsonElement element)
    {
        try
        {
            if (IsStorable(element))
                return true;
        }
        catch (InvalidOperationException)
        {
            // A member's name that is no Unicode text.
        }
        Fault(at, "must hold valid Unicode text without NUL, and no number beyond all use", "value_error.str.unicode");
        return false;
    }

    private static bool IsStorable(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => element.EnumerateObject().All(member => IsStorable(member.Name) && IsStorable(member.Value)),
        JsonValueKind.Array => element.EnumerateArray().All(IsStorable),
        JsonValueKind.String => Value.Of(element).Text is { } text && IsStorable(text),
        JsonValueKind.Number => IsStorableNumber(element.GetRawText()),
        _ => true,
    };

    // PostgreSQL's numbers have up to 131,072 digits before the point and 16,383 after it. It would refuse others itself, but so early in the
    // statement's life that the connection's driver and server then disagree on whether it is prepared, and the next request on it fails.
    private static bool IsStorableNumber(string number)
    {
        var at = number.AsSpan().IndexOfAny('e', 'E');
        return number.Length <= 10_000
            && (at < 0 || (int.TryParse(number.AsSpan(at + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var exponent) && exponent is > -5_000 and < 100_000));
    }

    // PostgreSQL has no NUL in text or jsonb.
    private static bool IsStorable(string text) => !text.Contains('\0', StringComparison.Ordinal);

    // Python writes a count that went through a float as 3.0, which JSON Schema and pydantic take for an integer.
    private static bool IsWhole(JsonElement element, out long number)
    {
        const double Exact = 1L << 53;
        var isWhole = element.TryGetDouble(out var real) && Math.Abs(real) <= Exact && Math.Truncate(real) == real;
        number = isWhole ? (long)real : 0;
        return isWhole;
    }

    private long CheckRange(string name, long value, long min, long max) =>
        value < min ? Fault(name, $"ensure this value is greater than or equal to {min}", "value_error.number.not_ge", min)
        : value > max ? Fault(name, $"ensure this value is less than or equal to {max}", "value_error.number.not_le", max)
        : value;

    private double CheckRange(string name, double value, double min, double max) =>
        value < min ? Fault(name, FormattableString.Invariant($"ensure this value is greater than or equal to {min}"), "value_error.number.not_ge", min)
        : value > max ? Fault(name, FormattableString.Invariant($"ensure this value is less than or equal to {max}"), "value_error.number.not_le", max)
        : value;

    private T Missing<T>(string name, T empty)
    {
        // A field that is there and wrong was told already; null is there and means nothing.
        if (!Has(name))
            Fault(name, "field required", "value_error.missing");
        else if (Find(name) is null)
            Fault(name, "none is not an allowed value", "type_error.none.not_allowed");
        return empty;
    }

    private T Fault<T>(string name, string message, string type, T empty)
    {
        Fault(name, message, type);
        return empty;
    }

    private string Fault(object[] at, string message, string type)
    {
        _faults.Add(new([.. _place, .. at], message, type));
        return "";
    }

    private readonly record struct Value(JsonElement Element, string? Text)
    {
        public static Value Of(JsonElement element)
        {
            if (element.ValueKind != JsonValueKind.String)
                return new(element, null);
            try
            {
                return new(element, element.GetString());
            }
            catch (InvalidOperationException)
            {
                // No Unicode text: half a surrogate pair, or bytes that are no UTF-8. It reads as one that cannot be stored.
                return new(element, "\0");
            }
        }
    }
}
