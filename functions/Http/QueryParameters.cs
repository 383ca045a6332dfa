using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Unicode;
using FunctionsRegistry.Errors;

namespace FunctionsRegistry.Functions.Http;

/// <summary>Typed query parameters, with a 400 that names the parameter.</summary>
public static class QueryParameters
{
    /// <summary>The text, or null when absent or empty.</summary>
    /// <exception cref="RegistryException">400: over <paramref name="maxLength"/> characters, or with a NUL.</exception>
    public static string? GetText(this HttpRequest request, string name, int maxLength = 1000)
    {
        var text = request.Query[name].ToString();
        if (text.Length > maxLength)
            throw CommonErrors.InvalidParameter(name, $"at most {maxLength} characters");
        // Percent-encoded bytes that are no UTF-8 are left encoded by the framework, so that only a text with '%' can hold some.
        if (text.AsSpan().IndexOfAny('\0', '\uFFFD') >= 0 || (text.Contains('%', StringComparison.Ordinal) && !IsUtf8(request.QueryString)))
            throw CommonErrors.InvalidParameter(name, "valid UTF-8 text without NUL");
        return text.Length == 0 ? null : text;
    }

    /// <summary>An integer in a range, or the default when absent.</summary>
    /// <exception cref="RegistryException">400: not an integer, or out of range.</exception>
    public static int GetInteger(this HttpRequest request, string name, int standard, int min, int max)
    {
        var text = request.Query[name].ToString();
        if (text.Length == 0)
            return standard;
        return int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) && value >= min && value <= max
            ? value
            : throw CommonErrors.InvalidParameter(name, $"an integer from {min} to {max}");
    }

    private static bool IsUtf8(QueryString query)
    {
        var text = query.Value ?? "";
        var bytes = new List<byte>(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == '%' && i + 2 < text.Length && byte.TryParse(text.AsSpan(i + 1, 2), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var value))
            {
                bytes.Add(value);
                i += 2;
            }
            else
            {
                bytes.Add((byte)'x');
            }
        }
        return Utf8.IsValid(CollectionsMarshal.AsSpan(bytes));
    }
}
