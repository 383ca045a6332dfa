using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace FunctionsRegistry.Json;

/// <summary>Times as the contracts show them: UTC with a Z, six digits of a second (what PostgreSQL keeps) or none.</summary>
internal sealed class UtcTimeConverter : JsonConverter<DateTimeOffset>
{
    public override DateTimeOffset Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.GetDateTimeOffset();

    public override void Write(Utf8JsonWriter writer, DateTimeOffset value, JsonSerializerOptions options)
    {
        Span<char> text = stackalloc char[32];
        var time = value.UtcDateTime;
        var whole = time.Ticks % TimeSpan.TicksPerSecond < TimeSpan.TicksPerMicrosecond;
        time.TryFormat(text, out var length, whole ? "yyyy-MM-ddTHH:mm:ssZ" : "yyyy-MM-ddTHH:mm:ss.ffffffZ", CultureInfo.InvariantCulture);
        writer.WriteStringValue(text[..length]);
    }
}
