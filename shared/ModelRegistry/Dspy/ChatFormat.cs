using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace FunctionsRegistry.ModelRegistry.Dspy;

/// <summary>One message to or from a language model; roles are system, user and assistant.</summary>
public sealed record ChatMessage(string Role, string Content);

/// <summary>DSPy's chat format: how a signature, its examples and the inputs become messages, and the answer becomes fields. Pure.</summary>
public static class ChatFormat
{
    private const string NotSupplied = "Not supplied for this particular example.";

    /// <summary>System message, a user and an assistant message per example, and the user message to answer. Inputs that are absent are left out.</summary>
    public static IReadOnlyList<ChatMessage> Write(DspySignature signature, IReadOnlyDictionary<string, JsonElement> inputs)
    {
        var messages = new List<ChatMessage> { new("system", Describe(signature)) };
        // Examples that lack something come first; those without any input or any output teach nothing.
        var demos = signature.Demos.Where(demo => signature.Inputs.Any(field => demo.ContainsKey(field.Name)) && signature.Outputs.Any(field => demo.ContainsKey(field.Name)))
            .OrderBy(demo => IsComplete(signature, demo));
        foreach (var demo in demos)
        {
            var complete = IsComplete(signature, demo);
            var intro = complete ? "" : "This is an example of the task, though some input or output fields are not supplied.\n\n";
            messages.Add(new("user", intro + Section(signature.Inputs, demo, complete)));
            messages.Add(new("assistant", Section(signature.Outputs, demo, complete) + "\n\n[[ ## completed ## ]]"));
        }
        messages.Add(new("user", $"{Section(signature.Inputs, inputs, skipAbsent: true)}\n\n{Request(signature)}"));
        return messages;
    }

    /// <summary>The outputs in an answer.</summary>
    /// <param name="error">What is missing or wrong, every field of it; null when nothing is.</param>
    public static JsonObject Read(DspySignature signature, string answer, out string? error)
    {
        var reader = new AnswerReader();
        reader.Append(answer);
        reader.Complete();
        return Read(signature, reader.Fields, answer, out error);
    }

    /// <summary>The same of an answer that was cut into fields already.</summary>
    public static JsonObject Read(DspySignature signature, IReadOnlyDictionary<string, string> fields, string answer, out string? error)
    {
        var outputs = new JsonObject();
        var faults = new List<string>();
        // Some models answer in JSON whatever they are told.
        var json = signature.Outputs.Any(field => fields.ContainsKey(field.Name)) ? null : TryParseObject(answer);
        foreach (var field in signature.Outputs)
        {
            JsonNode? value = null;
            if (json is not null && json.TryGetPropertyValue(field.Name, out var member) && member is not null)
            {
                value = member.DeepClone();
                using var document = JsonDocument.Parse(member.ToJsonString());
                if (!DspyTypes.Accepts(field, document.RootElement))
                    faults.Add($"field '{field.Name}' is not of type {DspyTypes.Describe(field)}: {Cut(member.ToJsonString())}");
            }
            else if (fields.TryGetValue(field.Name, out var text) && !(field.IsOptional && text.Length == 0))
            {
                if (!DspyTypes.TryParse(field, text, out value))
                    faults.Add($"field '{field.Name}' is not of type {DspyTypes.Describe(field)}: {Cut(text)}");
            }
            else if (!field.IsOptional)
            {
                faults.Add($"field '{field.Name}' is missing");
            }
            outputs[field.Name] = value;
        }
        error = faults.Count == 0 ? null : $"The language model's answer does not fit the signature '{signature.Name}': {string.Join("; ", faults)}";
        return outputs;
    }

    private static bool IsComplete(DspySignature signature, IReadOnlyDictionary<string, JsonElement> demo) =>
        signature.Inputs.Concat(signature.Outputs).All(field => field.IsOptional || demo.ContainsKey(field.Name));

    private static string Describe(DspySignature signature)
    {
        var text = new StringBuilder();
        text.Append("Your input fields are:\n").Append(Enumerate(signature.Inputs)).Append("\nYour output fields are:\n").Append(Enumerate(signature.Outputs));
        text.Append("\nAll interactions will be structured in the following way, with the appropriate values filled in.\n\n");
        foreach (var field in signature.Inputs)
            text.Append(CultureInfo.InvariantCulture, $"[[ ## {field.Name} ## ]]\n{{{field.Name}}}\n\n");
        foreach (var field in signature.Outputs)
        {
            text.Append(CultureInfo.InvariantCulture, $"[[ ## {field.Name} ## ]]\n{{{field.Name}}}");
            if (DspyTypes.Hint(field) is { Length: > 0 } hint)
                text.Append(CultureInfo.InvariantCulture, $"        # note: the value you produce {hint}");
            text.Append("\n\n");
        }
        text.Append("[[ ## completed ## ]]\nIn adhering to this structure, your objective is: ");
        foreach (var line in signature.Instructions.Split('\n'))
            text.Append("\n        ").Append(line.TrimEnd());
        return text.ToString();
    }

    private static string Enumerate(IReadOnlyList<DspyField> fields)
    {
        var text = new StringBuilder();
        for (var i = 0; i < fields.Count; i++)
        {
            text.Append(CultureInfo.InvariantCulture, $"{i + 1}. `{fields[i].Name}` ({DspyTypes.Describe(fields[i])}");
            text.Append(fields[i].IsOptional ? ", optional)" : ")");
            if (!string.IsNullOrEmpty(fields[i].Description))
                text.Append(": ").Append(fields[i].Description);
            text.Append('\n');
        }
        return text.ToString();
    }

    private static string Section(IReadOnlyList<DspyField> fields, IReadOnlyDictionary<string, JsonElement> values, bool skipAbsent) => string.Join(
        "\n\n",
        fields.Where(field => !skipAbsent || values.ContainsKey(field.Name))
            .Select(field => $"[[ ## {field.Name} ## ]]\n{(values.TryGetValue(field.Name, out var value) ? DspyTypes.Format(field, value) : NotSupplied)}"));

    private static string Request(DspySignature signature) =>
        "Respond with the corresponding output fields, starting with the field "
        + string.Join(", then ", signature.Outputs.Select(field => $"`[[ ## {field.Name} ## ]]`{(DspyTypes.Hint(field) is { Length: > 0 } hint ? $" ({hint})" : "")}"))
        + ", and then ending with the marker for `[[ ## completed ## ]]`.";

    private static JsonObject? TryParseObject(string answer)
    {
        var (start, end) = (answer.IndexOf('{', StringComparison.Ordinal), answer.LastIndexOf('}'));
        if (start < 0 || end < start)
            return null;
        try
        {
            // Touched here: names that come twice are found only then.
            var json = DspyTypes.Checked(JsonNode.Parse(answer[start..(end + 1)])) as JsonObject;
            return json?.Count > 0 ? json : null;
        }
        catch (Exception exception) when (exception is JsonException or ArgumentException or InvalidOperationException)
        {
            return null;
        }
    }

    private static string Cut(string text) => text.Length <= 200 ? $"\"{text}\"" : $"\"{text[..200]}...\"";
}
