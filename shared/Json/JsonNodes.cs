using System.Text.Json;
using System.Text.Json.Nodes;

namespace FunctionsRegistry.Json;

/// <summary>JSON of callers as nodes that can be changed.</summary>
public static class JsonNodes
{
    /// <summary>A copy. Of members with the same name the last counts, as in Python; <see cref="JsonObject.Create"/> would fail where one is looked at.</summary>
    /// <param name="element">Any JSON; its document must live as long as the copy.</param>
    public static JsonNode? Of(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => OfObject(element),
        JsonValueKind.Array => new JsonArray([.. element.EnumerateArray().Select(Of)]),
        _ => JsonValue.Create(element),
    };

    /// <summary>As <see cref="Of"/>, of an object.</summary>
    public static JsonObject OfObject(JsonElement element)
    {
        var made = new JsonObject();
        foreach (var member in element.EnumerateObject())
            made[member.Name] = Of(member.Value);
        return made;
    }
}
