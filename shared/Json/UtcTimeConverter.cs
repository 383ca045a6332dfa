using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace FunctionsRegistry.Json;

/// <summary>Times as the contracts write them: UTC with Z, and six digits of a second or none.</summary>
public sealed class UtcTimeConverter : JsonConverter<DateTimeOffset>
{
    /// <inheritdoc/>
    public override DateTimeOffset Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.GetDateTimeOffset();

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, DateTimeOffset value, JsonSerializerOptions options)
    {
        // PostgreSQL keeps microseconds; an answer shows no more than a later read would.
        var time = value.UtcDateTime;
        var isWhole = time.Ticks % TimeSpan.TicksPerSecond < TimeSpan.TicksPerMicrosecond;
        Span<char> text = stackalloc char[32];
        time.TryFormat(text, out var length, isWhole ? "yyyy-MM-ddTHH:mm:ssZ" : "yyyy-MM-ddTHH:mm:ss.ffffffZ", CultureInfo.InvariantCulture);
        writer.WriteStringValue(text[..length]);
    }
}
