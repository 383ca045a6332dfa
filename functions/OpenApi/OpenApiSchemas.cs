using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Schema;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using FunctionsRegistry.Errors;

namespace FunctionsRegistry.Functions.OpenApi;

/// <summary>The schemas of one document: records through the very contexts that write and read them, and the error bodies of the families.</summary>
public sealed class OpenApiSchemas
{
    private const string Place = "#/components/schemas/";

    private static readonly JsonSchemaExporterOptions s_requests =
        new() { TreatNullObliviousAsNonNullable = true, TransformSchemaNode = (context, schema) => Complete(context, schema, isAnswer: false) };
    private static readonly JsonSchemaExporterOptions s_answers =
        new() { TreatNullObliviousAsNonNullable = true, TransformSchemaNode = (context, schema) => Complete(context, schema, isAnswer: true) };

    private static readonly JsonSerializerContext[] s_contexts =
        [.. new[] { typeof(OpenApiSchemas).Assembly, typeof(Family).Assembly }
            .SelectMany(assembly => assembly.GetTypes()).Where(type => type.IsSubclassOf(typeof(JsonSerializerContext)))
            .Select(type => (JsonSerializerContext)type.GetProperty("Default", BindingFlags.Public | BindingFlags.Static)!.GetValue(null)!)];

    /// <summary>What was referred to so far, by name.</summary>
    public JsonObject Components { get; } = [];

    /// <summary>A reference to the record's schema, which is added.</summary>
    /// <param name="isAnswer">Whether the app writes it: then what it leaves out where it is null is optional.</param>
    /// <exception cref="InvalidOperationException">No context knows the type.</exception>
    public JsonObject Of(Type type, bool isAnswer)
    {
        if (type == typeof(JsonObject))
            return new JsonObject { ["type"] = "object" };
        if (type is { IsGenericType: true } && type.GetGenericTypeDefinition() == typeof(IReadOnlyList<>))
            return new JsonObject { ["type"] = "array", ["items"] = Of(type.GetGenericArguments()[0], isAnswer) };
        // Slices have types of the same name; the namespace tells them apart.
        var name = $"{type.Namespace!.Split('.')[^1]}.{type.Name}";
        if (!Components.ContainsKey(name))
        {
            var info = s_contexts.Select(context => context.GetTypeInfo(type)).FirstOrDefault(info => info is not null)
                ?? throw new InvalidOperationException($"No JSON context knows {type}.");
            Components[name] = Relocate(info.GetJsonSchemaAsNode(isAnswer ? s_answers : s_requests), Place + name);
            // What a reader takes null for at the top is no part of an answer.
            if (Components[name] is JsonObject { } schema && schema["type"] is JsonArray)
                schema["type"] = "object";
        }
        return new JsonObject { ["$ref"] = Place + name };
    }

    /// <summary>A reference to the family's error body.</summary>
    public JsonObject OfError(Family family)
    {
        var (name, text) = family switch
        {
            Family.AgentX => ("AgentxError", "error: string, message: string, details?: string[], request_id: string"),
            Family.Airflow => ("AirflowError",
                "detail: string, errors?: {loc: any[], msg: string, type: string}[], status: integer, title: string, type: string, request_id: string"),
            Family.Mlflow => ("MlflowError", "error_code: string, message: string, detail?: string, request_id: string"),
            _ => ("Error", "detail: any, request_id: string"),
        };
        if (!Components.ContainsKey(name))
        {
            var schema = FieldNotation.Parse(text);
            if (name == "Error")
                schema["properties"]!["detail"] = new JsonObject
                {
                    ["description"] = "A text; a list where the request's fields are at fault, all of them at once; an object where a contract says so.",
                    ["anyOf"] = new JsonArray(
                        new JsonObject { ["type"] = "string" },
                        new JsonObject { ["type"] = "array", ["items"] = FieldNotation.Parse("loc: any[], msg: string, type: string") },
                        new JsonObject { ["type"] = "object" }),
                };
            Components[name] = schema;
        }
        return new JsonObject { ["$ref"] = Place + name };
    }

    private static JsonNode Complete(JsonSchemaExporterContext context, JsonNode schema, bool isAnswer)
    {
        var type = Nullable.GetUnderlyingType(context.TypeInfo.Type) ?? context.TypeInfo.Type;
        // Converters of our own say nothing; those for times write RFC 3339.
        if (schema.GetValueKind() == JsonValueKind.True && type == typeof(DateTimeOffset))
            return new JsonObject { ["type"] = type == context.TypeInfo.Type ? "string" : new JsonArray("string", "null"), ["format"] = "date-time" };
        if (isAnswer && schema is JsonObject members && members["required"] is JsonArray required)
        {
            var written = context.TypeInfo.Properties.Where(property => !IsLeftOut(property)).Select(property => property.Name).ToHashSet();
            members["required"] = new JsonArray([.. required.Select(name => name!.GetValue<string>()).Where(written.Contains).Select(name => JsonValue.Create(name))]);
        }
        return schema;
    }

    // Contexts that leave nulls out do so for every member; others for those whose attribute says it, which shows as a condition.
    private static bool IsLeftOut(JsonPropertyInfo property) =>
        property.ShouldSerialize is not null || (property.Options.DefaultIgnoreCondition == JsonIgnoreCondition.WhenWritingNull && property.IsGetNullable);

    // Types that contain themselves refer to places within their own schema.
    private static JsonNode Relocate(JsonNode schema, string place)
    {
        if (schema is JsonObject members)
        {
            if (members["$ref"] is JsonValue reference && reference.GetValue<string>() is ['#', .. var rest] text && !text.StartsWith(Place, StringComparison.Ordinal))
                members["$ref"] = place + rest;
            foreach (var member in members)
                if (member.Value is not null)
                    Relocate(member.Value, place);
        }
        else if (schema is JsonArray items)
        {
            foreach (var item in items)
                if (item is not null)
                    Relocate(item, place);
        }
        return schema.GetValueKind() == JsonValueKind.True ? new JsonObject() : schema;
    }
}
