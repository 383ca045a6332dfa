using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.ModelRegistry;

/// <summary>The production base URL of spec-hokusai.md ends in /api: what has no route of its own there is the same path without it.</summary>
[Contract(Family.Hokusai)]
public sealed class ApiPrefixFunctions
{
    /// <summary>307 to the path without /api. Sorts after every function that has a route below /hokusai/api.</summary>
    [Function("zy_hokusai_api"), Public, Unlimited, BodyLimit(0)]
    [Undescribed]
#pragma warning disable CA1822 // Both runtimes make an instance and call its method.
    public IResult Redirect(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", "post", "put", "patch", "delete", Route = "hokusai/api/{*path}")] HttpRequest request)
#pragma warning restore CA1822
    {
        var rest = request.Path.ToUriComponent()["/hokusai/api".Length..];
        // A second /api, or one that leaves the prefix, leads nowhere.
        if (rest.Length < 2 || rest.StartsWith("/api", StringComparison.OrdinalIgnoreCase) || rest.Contains("//", StringComparison.Ordinal))
            throw CommonErrors.RouteNotFound(request.Method, request.Path);
        return Results.Redirect($"/hokusai{rest}{request.QueryString}", permanent: false, preserveMethod: true);
    }
}
