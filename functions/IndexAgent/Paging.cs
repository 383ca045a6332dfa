using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.IndexAgent;

/// <summary><c>limit</c> and <c>offset</c> of spec-dean.md's lists.</summary>
internal static class Paging
{
    /// <summary>1 to 1000, 100 when absent; from 0.</summary>
    public static (int Limit, int Offset) Read(HttpRequest request)
    {
        var fields = FieldReader.OfQuery(request);
        var page = Read(fields);
        fields.ThrowIfFaulty();
        return page;
    }

    /// <summary>The same among other parameters.</summary>
    public static (int Limit, int Offset) Read(FieldReader fields) =>
        (fields.WholeNumber("limit", 100, 1, 1000), fields.WholeNumber("offset", 0, 0, int.MaxValue));
}
