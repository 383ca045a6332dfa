using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace FunctionsRegistry.Airflow;

/// <summary>A <c>${...}</c> in a parameter: <c>conf.x</c>, <c>params.x</c>, <c>variables.x</c> or <c>tasks.id.output.x</c>, with more members behind.</summary>
/// <param name="Path">All segments; the first is the namespace.</param>
public sealed record TemplateReference(IReadOnlyList<string> Path)
{
    /// <summary>The task whose output is meant, or null.</summary>
    public string? TaskId => Path[0] == "tasks" ? Path[1] : null;

    /// <summary>As written, without the braces.</summary>
    public override string ToString() => string.Join('.', Path);
}

/// <summary>A template that is malformed, or whose value is missing; the message says which.</summary>
public sealed class TemplateException(string message) : Exception(message);

/// <summary>
/// Parameters with <c>${...}</c> in their texts. A text that is one reference and nothing else becomes the value itself with its type; otherwise values are
/// written into the text. <c>$${</c> stands for a plain <c>${</c>.
/// </summary>
public static class TemplateText
{
    private static readonly string[] s_namespaces = ["conf", "params", "variables", "tasks"];

    /// <summary>All references in a parameter, members and items included.</summary>
    /// <exception cref="TemplateException">One is malformed.</exception>
    public static IEnumerable<TemplateReference> References(JsonNode? node) => node switch
    {
        JsonObject members => members.SelectMany(member => References(member.Value)),
        JsonArray items => items.SelectMany(References),
        JsonValue value when value.GetValueKind() == JsonValueKind.String => Parse(value.GetValue<string>()).Select(part => part.Reference).OfType<TemplateReference>(),
        _ => [],
    };

    /// <summary>The parameter with every reference replaced.</summary>
    /// <param name="resolve">The value of a reference; throws <see cref="TemplateException"/> where it has none.</param>
    public static JsonNode? Fill(JsonNode? node, Func<TemplateReference, JsonNode?> resolve)
    {
        if (node is JsonObject members)
            return new JsonObject(members.Select(member => KeyValuePair.Create(member.Key, Fill(member.Value, resolve))));
        if (node is JsonArray items)
            return new JsonArray([.. items.Select(item => Fill(item, resolve))]);
        if (node is not JsonValue value || value.GetValueKind() != JsonValueKind.String)
            return node?.DeepClone();
        var parts = Parse(value.GetValue<string>());
        if (parts is [{ Reference: { } only }])
            return resolve(only)?.DeepClone();
        var text = new StringBuilder();
        foreach (var (literal, reference) in parts)
            text.Append(literal ?? Write(resolve(reference!)));
        return JsonValue.Create(text.ToString());
    }

    /// <summary>The member of a value at the end of a path, from a segment on.</summary>
    /// <exception cref="TemplateException">There is none.</exception>
    public static JsonNode? Follow(TemplateReference reference, JsonNode? value, int from)
    {
        for (var i = from; i < reference.Path.Count; i++)
        {
            var segment = reference.Path[i];
            if (value is JsonObject members && members.TryGetPropertyValue(segment, out var member))
                value = member;
            else if (value is JsonArray items && int.TryParse(segment, out var index) && index >= 0 && index < items.Count)
                value = items[index];
            else
                throw new TemplateException($"${{{reference}}} has no value: there is no '{segment}'");
        }
        return value;
    }

    /// <summary>A value as it is written into a text: strings plain, everything else as JSON.</summary>
    public static string Write(JsonNode? value) =>
        value is JsonValue plain && plain.GetValueKind() == JsonValueKind.String ? plain.GetValue<string>() : value?.ToJsonString() ?? "null";

    private static List<(string? Literal, TemplateReference? Reference)> Parse(string text)
    {
        var parts = new List<(string?, TemplateReference?)>();
        var literal = new StringBuilder();
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '$')
            {
                literal.Append(text[i]);
            }
            else if (string.CompareOrdinal(text, i, "$${", 0, 3) == 0)
            {
                literal.Append("${");
                i += 2;
            }
            else if (i + 1 == text.Length || text[i + 1] != '{')
            {
                literal.Append('$');
            }
            else
            {
                var end = text.IndexOf('}', i);
                if (end < 0)
                    throw new TemplateException($"'{text}' has a '${{' without its '}}'");
                if (literal.Length > 0)
                    parts.Add((literal.ToString(), null));
                literal.Clear();
                parts.Add((null, ParseReference(text[(i + 2)..end])));
                i = end;
            }
        }
        if (literal.Length > 0 || parts.Count == 0)
            parts.Add((literal.ToString(), null));
        return parts;
    }

    private static TemplateReference ParseReference(string text)
    {
        var path = text.Trim().Split('.');
        if (!s_namespaces.Contains(path[0]) || path.Any(segment => segment.Length == 0 || segment.Any(char.IsWhiteSpace)))
            throw new TemplateException($"'${{{text}}}' is not like ${{conf.x}}, ${{params.x}}, ${{variables.x}} or ${{tasks.id.output.x}}");
        if (path[0] == "tasks" && (path.Length < 3 || path[2] != "output"))
            throw new TemplateException($"'${{{text}}}' must be like ${{tasks.id.output}} or ${{tasks.id.output.x}}");
        if (path[0] is "params" or "variables" && path.Length < 2)
            throw new TemplateException($"'${{{text}}}' needs a name, like ${{{path[0]}.x}}");
        return new TemplateReference(path);
    }
}
