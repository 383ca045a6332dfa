using System.Text.Json;
using System.Text.RegularExpressions;
using FunctionsRegistry.Errors;

namespace FunctionsRegistry.ModelRegistry.Dspy;

/// <summary>
/// Reads a program from JSON: <c>{"name"?, "version"?, "description"?, "signatures": [{"name"?, "instructions"?, "chain_of_thought"?, "inputs": [field],
/// "outputs": [field], "demos"?: [{field: value}]}], "state"?}</c>. A field is <c>"name"</c>, <c>"name: type"</c>, or <c>{"name", "type"?, "description"?,
/// "optional"?, "values"?}</c>. <c>state</c> is what DSPy's <c>program.save("x.json")</c> writes; its instructions, descriptions and demos win. Pure.
/// </summary>
public sealed partial class DspyProgramReader
{
    private const int MaxSignatures = 20;
    private const int MaxFields = 50;
    private const int MaxDemos = 100;
    private const int MaxText = 20_000;

    private readonly List<FieldError> _faults = [];

    private DspyProgramReader()
    {
    }

    /// <summary>The program in a JSON object.</summary>
    /// <exception cref="RegistryException">422 with every fault.</exception>
    public static DspyProgram Read(string id, JsonElement json)
    {
        var reader = new DspyProgramReader();
        var program = reader.ReadProgram(id, json);
        return reader._faults.Count == 0 ? program : throw DspyErrors.InvalidProgram(reader._faults);
    }

    private DspyProgram ReadProgram(string id, JsonElement json)
    {
        Allow(json, ["body"], "name", "version", "description", "aliases", "signatures", "state");
        var signatures = Items(json, ["body"], "signatures", MaxSignatures, isRequired: true)
            .Select((item, index) => ReadSignature(item, ["body", "signatures", index], index)).ToList();
        foreach (var twice in signatures.GroupBy(signature => signature.Name).Where(same => same.Count() > 1))
            Fault(["body", "signatures"], $"two signatures are called '{twice.Key}'");
        if (_faults.Count == 0 && json.TryGetProperty("state", out var state) && state.ValueKind != JsonValueKind.Null)
            signatures = ApplyState(signatures, state);
        return new DspyProgram(
            Text(json, ["body"], "name", 200) ?? id, Text(json, ["body"], "version", 50) ?? "1.0.0", Text(json, ["body"], "description", MaxText),
            [.. Items(json, ["body"], "aliases", 10).Select(alias => alias.ToString())], signatures);
    }

    private DspySignature ReadSignature(JsonElement json, object[] at, int index)
    {
        if (json.ValueKind != JsonValueKind.Object)
        {
            Fault(at, "value is not a valid dict");
            return new DspySignature("", "", [], [], []);
        }
        Allow(json, at, "name", "instructions", "chain_of_thought", "inputs", "outputs", "demos");
        var (inputs, outputs) = (ReadFields(json, at, "inputs"), ReadFields(json, at, "outputs"));
        if (Boolean(json, at, "chain_of_thought") && outputs.TrueForAll(field => field.Name != "reasoning"))
            outputs.Insert(0, new DspyField("reasoning", "str", null, false, []));
        foreach (var twice in inputs.Concat(outputs).GroupBy(field => field.Name).Where(same => same.Key.Length > 0 && same.Count() > 1))
            Fault(at, $"two fields are called '{twice.Key}'");
        return new DspySignature(
            Text(json, at, "name", 100) ?? (index == 0 ? "predict" : $"predict{index + 1}"), Text(json, at, "instructions", MaxText) ?? DefaultInstructions(inputs, outputs),
            inputs, outputs, ReadDemos(json, at, [.. inputs, .. outputs]));
    }

    // DSPy's own where a signature has none.
    private static string DefaultInstructions(IEnumerable<DspyField> inputs, IEnumerable<DspyField> outputs) =>
        $"Given the fields {string.Join(", ", inputs.Select(field => $"`{field.Name}`"))}, produce the fields {string.Join(", ", outputs.Select(field => $"`{field.Name}`"))}.";

    private List<DspyField> ReadFields(JsonElement json, object[] at, string name) =>
        [.. Items(json, at, name, MaxFields, isRequired: true).Select((item, index) => ReadField(item, [.. at, name, index]))];

    private DspyField ReadField(JsonElement json, object[] at)
    {
        var field = new DspyField("", "str", null, false, []);
        if (json.ValueKind == JsonValueKind.String)
        {
            var parts = json.GetString()!.Split(':', 2, StringSplitOptions.TrimEntries);
            field = field with { Name = parts[0], Type = parts.Length > 1 ? parts[1] : "str" };
        }
        else if (json.ValueKind == JsonValueKind.Object)
        {
            Allow(json, at, "name", "type", "description", "optional", "values");
            var values = Items(json, at, "values", 100).Select(value => value.ToString()).ToList();
            field = new DspyField(Text(json, at, "name", 100) ?? "", Text(json, at, "type", 20) ?? "str", Text(json, at, "description", 2000), Boolean(json, at, "optional"), values);
        }
        else
        {
            Fault(at, "value is neither a string nor an object");
            return field;
        }
        if (!FieldName().IsMatch(field.Name) || field.Name == "completed")
            Fault(at, $"'{field.Name}' is no field name: small letters, digits and _, beginning with a letter, and not 'completed'");
        if (!DspyTypes.Known.Contains(field.Type))
            Fault(at, $"'{field.Type}' is no type; known are {string.Join(", ", DspyTypes.Known)}");
        return field;
    }

    private List<IReadOnlyDictionary<string, JsonElement>> ReadDemos(JsonElement json, object[] at, IReadOnlyList<DspyField> fields)
    {
        var demos = new List<IReadOnlyDictionary<string, JsonElement>>();
        foreach (var (item, index) in Items(json, at, "demos", MaxDemos).Select((item, index) => (item, index)))
        {
            if (item.ValueKind != JsonValueKind.Object)
            {
                Fault([.. at, "demos", index], "value is not a valid dict");
                continue;
            }
            // Members that are no fields are DSPy's own, such as "augmented".
            var demo = new Dictionary<string, JsonElement>();
            foreach (var field in fields)
            {
                if (!item.TryGetProperty(field.Name, out var value) || value.ValueKind == JsonValueKind.Null)
                    continue;
                demo[field.Name] = value.Clone();
                if (!DspyTypes.Accepts(field, value))
                    Fault([.. at, "demos", index, field.Name], $"value is not of type {DspyTypes.Describe(field)}");
            }
            demos.Add(demo);
        }
        return demos;
    }

    // {"traces", "train", "demos", "signature": {"instructions", "fields": [{"prefix", "description"}]}, "lm"} of a program that is one predictor, or
    // such an object per predictor, by the name of the attribute that holds it.
    private List<DspySignature> ApplyState(List<DspySignature> signatures, JsonElement state)
    {
        object[] at = ["body", "state"];
        if (state.ValueKind != JsonValueKind.Object)
        {
            Fault(at, "value is not a valid dict");
            return signatures;
        }
        var predictors = state.TryGetProperty("demos", out _) || state.TryGetProperty("signature", out _)
            ? [("", state)]
            : state.EnumerateObject().Where(member => member.Name != "metadata").Select(member => (member.Name, member.Value)).ToList();
        var result = signatures.ToList();
        foreach (var (name, predictor) in predictors)
        {
            var index = signatures.Count == 1 && predictors.Count == 1 ? 0 : signatures.FindIndex(signature => name == signature.Name || name == signature.Name + ".predict");
            object[] place = name.Length == 0 ? at : [.. at, name];
            if (index < 0)
                Fault(place, $"no signature is called '{name}'");
            else if (predictor.ValueKind != JsonValueKind.Object)
                Fault(place, "value is not a valid dict");
            else
                result[index] = ApplyPredictor(result[index], predictor, place);
        }
        return result;
    }

    private DspySignature ApplyPredictor(DspySignature signature, JsonElement predictor, object[] at)
    {
        var demos = ReadDemos(predictor, at, [.. signature.Inputs, .. signature.Outputs]);
        if (demos.Count > 0)
            signature = signature with { Demos = demos };
        if (!predictor.TryGetProperty("signature", out var saved) || saved.ValueKind != JsonValueKind.Object)
            return signature;
        at = [.. at, "signature"];
        signature = signature with { Instructions = Text(saved, at, "instructions", MaxText) ?? signature.Instructions };
        var fields = Items(saved, at, "fields", 2 * MaxFields).ToList();
        if (fields.Count == 0)
            return signature;
        var own = signature.Inputs.Concat(signature.Outputs).ToList();
        if (fields.Count != own.Count)
        {
            Fault([.. at, "fields"], $"the state has {fields.Count} fields, the signature '{signature.Name}' has {own.Count} (with chain_of_thought its reasoning counts)");
            return signature;
        }
        for (var i = 0; i < own.Count; i++)
        {
            // Fields have no names there, only their order. "${name}" is DSPy's way to say that there is no description.
            var description = fields[i].ValueKind == JsonValueKind.Object ? Text(fields[i], [.. at, "fields", i], "description", 2000) : null;
            if (!string.IsNullOrEmpty(description) && description != $"${{{own[i].Name}}}")
                own[i] = own[i] with { Description = description };
        }
        return signature with { Inputs = [.. own.Take(signature.Inputs.Count)], Outputs = [.. own.Skip(signature.Inputs.Count)] };
    }

    private void Allow(JsonElement json, object[] at, params string[] names)
    {
        foreach (var member in json.EnumerateObject().Where(member => !names.Contains(member.Name)))
            Fault([.. at, member.Name], "extra fields not permitted");
    }

    private JsonElement[] Items(JsonElement json, object[] at, string name, int maxItems, bool isRequired = false)
    {
        var isThere = json.TryGetProperty(name, out var list) && list.ValueKind != JsonValueKind.Null;
        if (isThere && list.ValueKind != JsonValueKind.Array)
            Fault([.. at, name], "value is not a valid list");
        else if (isRequired && (!isThere || list.GetArrayLength() == 0))
            Fault([.. at, name], isThere ? "ensure this value has at least 1 items" : "field required");
        else if (isThere && list.GetArrayLength() > maxItems)
            Fault([.. at, name], $"ensure this value has at most {maxItems} items");
        else if (isThere)
            return [.. list.EnumerateArray()];
        return [];
    }

    private string? Text(JsonElement json, object[] at, string name, int maxLength)
    {
        if (!json.TryGetProperty(name, out var value) || value.ValueKind == JsonValueKind.Null)
            return null;
        if (value.ValueKind != JsonValueKind.String)
            Fault([.. at, name], "str type expected");
        else if (value.GetString()! is { Length: > 0 } text && text.Length <= maxLength)
            return text;
        else if (value.GetString()!.Length > 0)
            Fault([.. at, name], $"ensure this value has at most {maxLength} characters");
        return null;
    }

    private bool Boolean(JsonElement json, object[] at, string name)
    {
        if (!json.TryGetProperty(name, out var value) || value.ValueKind is JsonValueKind.Null or JsonValueKind.False)
            return false;
        if (value.ValueKind != JsonValueKind.True)
            Fault([.. at, name], "value could not be parsed to a boolean");
        return true;
    }

    private void Fault(object[] at, string message) => _faults.Add(new FieldError(at, message, "value_error"));

    [GeneratedRegex("^[a-z][a-z0-9_]{0,99}$")]
    private static partial Regex FieldName();
}
