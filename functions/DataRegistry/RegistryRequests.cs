using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using FunctionsRegistry.DataRegistry;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Json;
using Microsoft.AspNetCore.Http.Extensions;

namespace FunctionsRegistry.Functions.DataRegistry;

/// <summary>What the data registry's requests and lists have in common.</summary>
internal static class RegistryRequests
{
    /// <summary>A list has at most so many rows; <c>Link</c> says where to go on.</summary>
    public const int MaxListed = 1_000;

    /// <summary>Bodies that hold whole documents: transcripts with a time for each word, conversations with their messages, artifacts, knowledge.</summary>
    public const int DocumentMegabytes = 16;

    private const string Cursor = "cursor";

    // Longer texts are met by the body's own limit.
    public const int AnyLength = int.MaxValue;

    /// <summary>An id in the path.</summary>
    /// <exception cref="RegistryException">422: not a UUID.</exception>
    public static Guid Id(string name, string text) => Guid.TryParse(text, out var id)
        ? id
        : throw new RegistryException(
            ErrorKind.Validation, "Validation failed", [new FieldError(["path", name], "value is not a valid uuid", "type_error.uuid")]);

    /// <summary>skip (or offset) and limit of a list, or our cursor. More than <see cref="MaxListed"/> rows are answered by that many.</summary>
    public static ListPart Part(this FieldReader query, string skip = "skip", int limit = 100)
    {
        var part = new ListPart(
            query.WholeNumber(skip, 0, 0, int.MaxValue), Math.Min(query.WholeNumber("limit", limit, 0, int.MaxValue), MaxListed),
            query.OptionalText(Cursor, maxLength: 1_000) is { } text ? TimeCursor.Parse(text) : null);
        if (query.Has(Cursor) && part.After is null)
            query.Fault(Cursor, "must be the cursor of a Link header");
        return part;
    }

    /// <summary>skip of a list of one parent's rows.</summary>
    /// <exception cref="RegistryException">422.</exception>
    public static int Skip(HttpRequest request)
    {
        var query = FieldReader.OfQuery(request);
        var skip = query.WholeNumber("skip", 0, 0, int.MaxValue);
        query.ThrowIfFaulty();
        return skip;
    }

    /// <summary>The fields of a body that may have <see cref="DocumentMegabytes"/>; its function says so, too.</summary>
    public static Task<FieldReader> ReadDocumentAsync(HttpRequest request, CancellationToken cancellationToken) =>
        RequestBody.ReadFieldsAsync(request, cancellationToken, DocumentMegabytes << 20);

    /// <summary>A filter of a list; empty is none, as in the original: forms send <c>?status=</c> for all.</summary>
    public static string? Filter(this FieldReader query, string name) => query.OptionalText(name) is { Length: > 0 } text ? text : null;

    /// <summary>A JSON object as it is stored.</summary>
    public static RawJson? RawObject(this FieldReader fields, string name) => fields.OptionalObject(name) is { } json ? new RawJson(json.GetRawText()) : null;

    /// <summary>Any JSON as it is stored.</summary>
    public static RawJson? RawValue(this FieldReader fields, string name) => fields.OptionalJson(name) is { } json ? new RawJson(json.GetRawText()) : null;

    /// <summary>The fields of a nested object that must be there; null where it is not, which is told as a fault.</summary>
    public static FieldReader? RequiredFields(this FieldReader fields, string name)
    {
        var nested = fields.OptionalFields(name);
        // One that is there and no object was told already.
        if (!fields.Has(name))
            fields.Fault(name, "field required", "value_error.missing");
        else if (fields.Json.GetProperty(name).ValueKind == JsonValueKind.Null)
            fields.Fault(name, "none is not an allowed value", "type_error.none.not_allowed");
        return nested;
    }

    /// <summary>The names in an object that is a map.</summary>
    public static IEnumerable<string> Names(this FieldReader map) => map.Json.EnumerateObject().Select(member => member.Name).Distinct(StringComparer.Ordinal);

    /// <summary>Integer of 32 bits, or null when absent.</summary>
    public static int? OptionalInt(this FieldReader fields, string name, int min = int.MinValue) => (int?)fields.OptionalWholeNumber(name, min);

    /// <summary>One field of a PATCH.</summary>
    public static Change<T> Change<T>(this FieldReader fields, string name, Func<FieldReader, string, T?> read) => new(fields.Has(name), read(fields, name));

    /// <summary>A bare array, as the contract has it, with RFC 8288's link to the rows that follow.</summary>
    /// <param name="next">The parameter that takes <see cref="Rows{T}.Next"/>.</param>
    public static JsonBody Answer<T>(HttpRequest request, Rows<T> rows, JsonTypeInfo<IReadOnlyList<T>> type, string next = Cursor)
    {
        if (rows.Next is not null)
        {
            var query = new QueryBuilder(request.Query.Where(pair => pair.Key is not (Cursor or "skip" or "offset"))) { { next, rows.Next } };
            // Relative: on the contract's own port the path has no prefix.
            request.HttpContext.Response.Headers.Link = string.Create(CultureInfo.InvariantCulture, $"<{query}>; rel=\"next\"");
        }
        return JsonBody.Cacheable(rows.Items, type);
    }
}
