using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace FunctionsRegistry.Airflow;

/// <summary>YAML nodes as JSON.</summary>
internal static partial class YamlJson
{
    /// <summary>A scalar's value by YAML 1.2's core schema: only plain ones have types.</summary>
    public static JsonValue? ToJson(YamlScalarNode scalar)
    {
        var text = scalar.Value ?? "";
        if (scalar.Style != ScalarStyle.Plain)
            return JsonValue.Create(text);
        if (IsNull(scalar))
            return null;
        if (text is "true" or "True" or "TRUE" or "false" or "False" or "FALSE")
            return JsonValue.Create(text[0] is 't' or 'T');
        if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var integer))
            return JsonValue.Create(integer);
        return Float().IsMatch(text) && double.TryParse(text, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number)
            ? JsonValue.Create(number)
            : JsonValue.Create(text);
    }

    [GeneratedRegex(@"\A[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\z", RegexOptions.CultureInvariant)]
    private static partial Regex Float();

    /// <summary>Whether it stands for nothing.</summary>
    public static bool IsNull(YamlNode node) => node is YamlScalarNode { Style: ScalarStyle.Plain, Value: null or "" or "~" or "null" or "Null" or "NULL" };

    /// <summary>Whether it has more nodes than the budget. An alias is its anchor's node again: a few lines of them can stand for a file without end.</summary>
    public static bool IsTooLarge(YamlNode node, int depth, ref int budget)
    {
        if (depth > 30 || --budget < 0)
            return true;
        if (node is YamlMappingNode mapping)
            foreach (var (key, value) in mapping.Children)
                if (IsTooLarge(key, depth + 1, ref budget) || IsTooLarge(value, depth + 1, ref budget))
                    return true;
        if (node is YamlSequenceNode items)
            foreach (var item in items.Children)
                if (IsTooLarge(item, depth + 1, ref budget))
                    return true;
        return false;
    }
}
