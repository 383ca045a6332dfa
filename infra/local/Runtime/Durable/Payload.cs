using System.Text.Json;

namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>
/// What crosses between functions, as JSON in the worker's form: PascalCase, enums as numbers, names read ignoring case. Frozen: other options could not
/// read what is stored.
/// </summary>
internal static class Payload
{
    private static readonly JsonSerializerOptions s_options = new() { PropertyNameCaseInsensitive = true };

    /// <summary>JSON of a value; null for null.</summary>
    public static string? Write(object? value) => value is null ? null : JsonSerializer.Serialize(value, value.GetType(), s_options);

    /// <summary>A value of JSON; the type's default for null.</summary>
    public static T? Read<T>(string? json) => json is null ? default : JsonSerializer.Deserialize<T>(json, s_options);
}
