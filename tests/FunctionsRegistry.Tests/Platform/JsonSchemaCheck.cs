using System.Text.Json;
using System.Text.Json.Nodes;

namespace FunctionsRegistry.Tests.Platform;

/// <summary>Whether a JSON value is what a schema says: the part of JSON Schema 2020-12 that the documents use. A keyword that it does not know fails.</summary>
internal sealed class JsonSchemaCheck(JsonNode document)
{
    private static readonly HashSet<string> s_known =
    [
        "$ref", "type", "enum", "properties", "required", "additionalProperties", "items", "anyOf", "minimum", "maximum", "minLength", "maxLength", "pattern", "format",
        "description", "default", "title", "const",
    ];

    /// <summary>The places at fault.</summary>
    public IReadOnlyList<string> Check(JsonNode? value, JsonNode? schema, string at = "$")
    {
        var faults = new List<string>();
        Check(value, schema, at, faults);
        return faults;
    }

    /// <summary>The schema, or the one it refers to.</summary>
    public JsonNode? Resolve(JsonNode? schema)
    {
        while (schema is JsonObject members && members["$ref"]?.GetValue<string>() is { } reference)
        {
            schema = document;
            foreach (var part in reference.TrimStart('#', '/').Split('/'))
                schema = schema is JsonArray items ? items[int.Parse(part)] : schema?[part];
            schema.ShouldNotBeNull($"{reference} leads nowhere");
        }
        return schema;
    }

    private void Check(JsonNode? value, JsonNode? schema, string at, List<string> faults)
    {
        schema = Resolve(schema);
        if (schema is not JsonObject rules)
        {
            if (schema is null || schema.GetValueKind() != JsonValueKind.True)
                faults.Add($"{at}: no schema");
            return;
        }
        rules.Select(rule => rule.Key).Except(s_known).ShouldBeEmpty($"keywords at {at}");
        if (rules["anyOf"] is JsonArray some && !some.Any(one => Check(value, one, at).Count == 0))
            faults.Add($"{at}: none of the alternatives: {Short(value)}: {string.Join(" | ", some.Select(one => string.Join(", ", Check(value, one, at))))}");
        if (rules["type"] is { } types && !(types is JsonArray list ? list : [types.DeepClone()]).Any(type => IsOf(value, type!.GetValue<string>())))
        {
            faults.Add($"{at}: {Short(value)} is not {types.ToJsonString()}");
            return;
        }
        if (rules["enum"] is JsonArray choices && !choices.Any(choice => JsonNode.DeepEquals(choice, value)))
            faults.Add($"{at}: {Short(value)} is not one of {choices.ToJsonString()}");
        if (value is JsonObject members)
        {
            foreach (var name in rules["required"]?.AsArray().Select(one => one!.GetValue<string>()).Where(name => !members.ContainsKey(name)) ?? [])
                faults.Add($"{at}: {name} is missing");
            foreach (var (name, member) in members)
                if (rules["properties"]?[name] is { } known)
                    Check(member, known, $"{at}.{name}", faults);
                else if (rules["additionalProperties"] is JsonObject others)
                    Check(member, others, $"{at}.{name}", faults);
                else if (rules["properties"] is not null && rules["additionalProperties"] is null)
                    faults.Add($"{at}: {name} is not described");
        }
        if (value is JsonArray items && rules["items"] is { } item)
            for (var i = 0; i < items.Count; i++)
                Check(items[i], item, $"{at}[{i}]", faults);
    }

    private static bool IsOf(JsonNode? value, string type) => type switch
    {
        "null" => value is null,
        "object" => value is JsonObject,
        "array" => value is JsonArray,
        "string" => value?.GetValueKind() == JsonValueKind.String,
        "boolean" => value?.GetValueKind() is JsonValueKind.True or JsonValueKind.False,
        "number" => value?.GetValueKind() == JsonValueKind.Number,
        "integer" => value?.GetValueKind() == JsonValueKind.Number
            && decimal.TryParse(value.ToJsonString(), System.Globalization.NumberStyles.Float, null, out var number) && number == decimal.Truncate(number),
        _ => false,
    };

    private static string Short(JsonNode? value) => value?.ToJsonString() is { } text ? text[..Math.Min(text.Length, 80)] : "null";
}
