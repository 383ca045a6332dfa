using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace FunctionsRegistry.ModelRegistry.Dspy;

/// <summary>The types of fields: Python's names, as in DSPy's signatures. Pure.</summary>
public static class DspyTypes
{
    /// <summary>Every type.</summary>
    public static readonly IReadOnlyList<string> Known =
        ["str", "int", "float", "bool", "list", "dict", "list[str]", "list[int]", "list[float]", "list[bool]", "list[dict]"];

    /// <summary>Whether a JSON value is one of the field's; null is none.</summary>
    public static bool Accepts(DspyField field, JsonElement value) => Accepts(field.Type, value) && (field.Values.Count == 0 || field.Values.Contains(value.ToString()));

    /// <summary>How the type reads in a prompt, as Python writes it.</summary>
    public static string Describe(DspyField field) =>
        field.Values.Count > 0 ? $"Literal[{string.Join(", ", field.Values.Select(value => $"'{value.Replace("'", "\\'", StringComparison.Ordinal)}'"))}]" : field.Type;

    /// <summary>What the model is told of the text it must write for the field; empty for free text.</summary>
    public static string Hint(DspyField field) => field switch
    {
        { Values.Count: > 0 } => $"must exactly match (no extra characters) one of: {string.Join("; ", field.Values)}",
        { Type: "str" } => "",
        { Type: "bool" } => "must be True or False",
        { Type: "int" or "float" } => $"must be a single {field.Type} value",
        { Type: "dict" } => "must be a JSON object",
        { Type: "list" } => "must be a JSON array",
        _ => $"must be a JSON array of {field.Type[5..^1]} values",
    };

    /// <summary>A value as it stands in a prompt: text as it is, a list for a text field as numbered lines, the rest as JSON.</summary>
    public static string Format(DspyField field, JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString()!,
        JsonValueKind.True => "True",
        JsonValueKind.False => "False",
        JsonValueKind.Array when field.Type == "str" => FormatLines([.. value.EnumerateArray().Select(item => item.ToString())]),
        _ => Write(value),
    };

    /// <summary>The value that a model wrote for a field; false where it is none of the field's type.</summary>
    public static bool TryParse(DspyField field, string text, out JsonNode? value)
    {
        text = field.Type == "str" && field.Values.Count == 0 ? text : Unfence(text);
        value = field.Type switch
        {
            "str" => JsonValue.Create(text),
            "bool" => text.ToLowerInvariant() switch { "true" => JsonValue.Create(true), "false" => JsonValue.Create(false), _ => null },
            "int" => long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole) ? JsonValue.Create(whole) : null,
            "float" => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number) ? JsonValue.Create(number) : null,
            _ => ParseJson(field, text),
        };
        return value is not null && (field.Values.Count == 0 || field.Values.Contains(value.ToString()));
    }

    private static bool Accepts(string type, JsonElement value) => type switch
    {
        // Python's DSPy takes lists for text fields and writes them as numbered lines.
        "str" => value.ValueKind == JsonValueKind.String || (value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String)),
        "int" => value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out _),
        "float" => value.ValueKind == JsonValueKind.Number,
        "bool" => value.ValueKind is JsonValueKind.True or JsonValueKind.False,
        "dict" => value.ValueKind == JsonValueKind.Object,
        "list" => value.ValueKind == JsonValueKind.Array,
        "list[str]" => value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String),
        _ => value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(item => Accepts(type[5..^1], item)),
    };

    private static JsonNode? ParseJson(DspyField field, string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            return Accepts(field.Type, document.RootElement) ? Checked(JsonNode.Parse(text)) : null;
        }
        catch (InvalidOperationException)
        {
            return null;
        }
        catch (JsonException)
        {
            // Models like to write lists of texts as bullet points.
            return field.Type == "list[str]" ? ParseBullets(text) : null;
        }
    }

    /// <summary>The same. Written once: escapes that are half a character, as models write them now and then, are found only then.</summary>
    /// <exception cref="InvalidOperationException">It has one.</exception>
    internal static JsonNode? Checked(JsonNode? value)
    {
        value?.ToJsonString();
        return value;
    }

    private static JsonArray? ParseBullets(string text)
    {
        var lines = text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return lines.Length > 0 && lines.All(line => line.StartsWith("- ", StringComparison.Ordinal) || line.StartsWith("* ", StringComparison.Ordinal))
            ? [.. lines.Select(line => JsonValue.Create(line[2..].Trim()))]
            : null;
    }

    // ```json ... ```
    private static string Unfence(string text)
    {
        var trimmed = text.Trim();
        var end = trimmed.IndexOf('\n', StringComparison.Ordinal);
        return trimmed.StartsWith("```", StringComparison.Ordinal) && trimmed.EndsWith("```", StringComparison.Ordinal) && end > 0 && end < trimmed.Length - 3
            ? trimmed[(end + 1)..^3].Trim()
            : trimmed;
    }

    private static string FormatLines(IReadOnlyList<string> items) => items.Count switch
    {
        0 => "N/A",
        1 => Quote(items[0]),
        _ => string.Join('\n', items.Select((item, index) => $"[{index + 1}] {Quote(item)}")),
    };

    private static string Quote(string item) =>
        item.AsSpan().IndexOfAny('\n', '«', '»') < 0 ? $"«{item}»" : $"«««\n    {item.Replace("\n", "\n    ", StringComparison.Ordinal)}\n»»»";

    private static string Write(JsonElement value)
    {
        var buffer = new System.Buffers.ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
            value.WriteTo(writer);
        return System.Text.Encoding.UTF8.GetString(buffer.WrittenSpan);
    }
}
