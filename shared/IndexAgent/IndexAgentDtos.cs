using System.Text.Json.Serialization;

namespace FunctionsRegistry.IndexAgent;

/// <summary>Serialisation of IndexAgent's wire records.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(IReadOnlyDictionary<string, int>))]
public sealed partial class IndexAgentJson : JsonSerializerContext;
