using System.Globalization;
using System.Text.Json.Serialization.Metadata;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.ModelRegistry.Mlflow;

namespace FunctionsRegistry.Functions.ModelRegistry.Mlflow;

/// <summary>How MLflow's clients send arguments: GET in the query, everything else (DELETE and PATCH, too) as a JSON object.</summary>
internal static class MlflowRequests
{
    /// <summary>The JSON body.</summary>
    public static Task<T> ReadAsync<T>(HttpRequest request, JsonTypeInfo<T> type, CancellationToken cancellationToken) =>
        RequestBody.ReadJsonAsync(request, type, cancellationToken);

    /// <summary>The arguments of a search, which may come either way.</summary>
    public static async Task<SearchRequest> ReadSearchAsync(HttpRequest request, CancellationToken cancellationToken) => HttpMethods.IsPost(request.Method)
        ? await ReadAsync(request, MlflowJson.Default.SearchRequest, cancellationToken)
        : new SearchRequest(
            Texts(request, "experiment_ids"), request.GetText("filter", 20_000), request.GetText("run_view_type"), request.GetText("view_type"),
            Number(request, "max_results"), Texts(request, "order_by"), request.GetText("page_token", 20_000));

    /// <summary>A number of the query, or null.</summary>
    public static long? Number(HttpRequest request, string name)
    {
        if (request.GetText(name) is not { } text)
            return null;
        return long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw CommonErrors.InvalidParameter(name, "an integer");
    }

    /// <summary>A parameter that may be there several times.</summary>
    public static string[] Texts(HttpRequest request, string name) => [.. request.Query[name].Select(text => text ?? "")];

    /// <summary>The page's size: the standard when absent.</summary>
    public static int Limit(long? asked, int standard, int max) => asked switch
    {
        null => standard,
        < 1 => throw MlflowErrors.InvalidMaxResults(asked.Value, max),
        _ when asked > max => throw MlflowErrors.InvalidMaxResults(asked.Value, max),
        _ => (int)asked,
    };

    /// <summary>Which rows a search shows.</summary>
    public static ViewType View(string? text) => text?.ToUpperInvariant() switch
    {
        null or "" or "ACTIVE_ONLY" => ViewType.ActiveOnly,
        "DELETED_ONLY" => ViewType.DeletedOnly,
        "ALL" => ViewType.All,
        _ => throw MlflowErrors.Invalid($"Invalid view type '{text}': it must be ACTIVE_ONLY, DELETED_ONLY or ALL."),
    };

    /// <summary>The sort clauses.</summary>
    public static IReadOnlyList<OrderTerm> Order(IReadOnlyList<string>? clauses)
    {
        if (clauses is { Count: > 20 })
            throw MlflowErrors.Invalid("order_by may have at most 20 clauses.");
        return [.. (clauses ?? []).Select(FilterParser.ParseOrder)];
    }

    /// <summary>A required text of the query.</summary>
    public static string Required(HttpRequest request, string name) => request.GetText(name, 20_000) ?? throw MlflowErrors.Missing(name);

    /// <summary>An answer.</summary>
    public static IResult Answer<T>(T value, JsonTypeInfo<T> type) => JsonBody.Create(value, type);

    /// <summary>The answer of what only changes something.</summary>
    public static IResult Done() => JsonBody.Create(new EmptyResponse(), MlflowJson.Default.EmptyResponse);
}
