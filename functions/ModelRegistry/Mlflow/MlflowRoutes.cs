using System.Text;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using Microsoft.AspNetCore.Http.Features;

namespace FunctionsRegistry.Functions.ModelRegistry.Mlflow;

/// <summary>Which operation a path is.</summary>
public sealed class MlflowRoutes
{
    private readonly MlflowProxy _proxy;
    private readonly Dictionary<string, MlflowOperation> _operations = new(StringComparer.Ordinal);

    /// <summary>Collects the operations of all areas.</summary>
    public MlflowRoutes(
        ExperimentOperations experiments, RunOperations runs, MetricOperations metrics, ModelOperations models, ArtifactOperations artifacts,
        LoggedModelOperations loggedModels, TraceOperations traces, MlflowProxy proxy)
    {
        _proxy = proxy;
        foreach (var operation in experiments.All.Concat(runs.All).Concat(metrics.All).Concat(models.All).Concat(artifacts.All)
            .Concat(loggedModels.All).Concat(traces.All))
            _operations.Add($"{operation.Method} mlflow/{operation.Path}", operation);
        foreach (var operation in artifacts.Transfers)
            _operations.Add($"{operation.Method} mlflow-artifacts/{operation.Path}", operation);
    }

    /// <summary>All of them, each with its path below <c>api/2.0/</c>; for the description of the API.</summary>
    public IEnumerable<(string Path, MlflowOperation Operation)> All => _operations.Select(pair => (pair.Key.Split(' ')[1], pair.Value));

    /// <summary>Runs the operation of a request below <paramref name="prefix"/>.</summary>
    /// <exception cref="RegistryException">ENDPOINT_NOT_FOUND, PERMISSION_DENIED, or what the operation throws.</exception>
    public Task<IResult> RunAsync(HttpRequest request, string prefix, CancellationToken cancellationToken)
    {
        if (_proxy.IsOn)
            return ForwardAsync(request, prefix, cancellationToken);
        var path = request.Path.Value![prefix.Length..].TrimStart('/');
        if ((HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method)) && path is "health" or "version")
            return Task.FromResult(Results.Text(path == "health" ? "OK" : MlflowVersion, "text/plain", Encoding.UTF8));
        var operation = Find(request, path) ?? throw CommonErrors.RouteNotFound(request.Method, request.Path);
        HokusaiScopes.Require(request, operation.Writes ? HokusaiScopes.MlflowWrite : HokusaiScopes.MlflowRead);
        return operation.RunAsync(request, cancellationToken);
    }

    /// <summary>The version of MLflow whose REST API this is. From 3.4 on clients would send spans in OpenTelemetry's form, which is not served.</summary>
    public const string MlflowVersion = "3.3.2";

    // Searches are POSTs that only read.
    private Task<IResult> ForwardAsync(HttpRequest request, string prefix, CancellationToken cancellationToken)
    {
        var reads = HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method) || HttpMethods.IsOptions(request.Method)
            || (HttpMethods.IsPost(request.Method) && (request.Path.Value!.EndsWith("/search", StringComparison.Ordinal) || request.Path.Value.EndsWith("/get-latest-versions", StringComparison.Ordinal)));
        HokusaiScopes.Require(request, reads ? HokusaiScopes.MlflowRead : HokusaiScopes.MlflowWrite);
        // As it was sent: what a server makes of %2F or a double slash is its own affair.
        var target = request.HttpContext.Features.Get<IHttpRequestFeature>()?.RawTarget ?? "";
        var path = target.StartsWith(prefix, StringComparison.OrdinalIgnoreCase)
            ? target[prefix.Length..].Split('?', 2)[0].TrimStart('/')
            : throw CommonErrors.RouteNotFound(request.Method, request.Path);
        return _proxy.ForwardAsync(request, path, cancellationToken);
    }

    private MlflowOperation? Find(HttpRequest request, string path)
    {
        // "ajax-api" is what MLflow's own pages say for "api"; both versions lead to the same operations.
        var parts = path.Split('/', 3);
        if (parts is not [("api" or "ajax-api"), ("2.0" or "3.0"), var rest])
            return null;
        var method = HttpMethods.IsHead(request.Method) ? "get" : request.Method.ToLowerInvariant();
        if (_operations.TryGetValue($"{method} {rest.TrimEnd('/')}", out var exact))
            return exact;
        // "area/noun/*", from the longest to the shortest beginning.
        for (var slash = rest.LastIndexOf('/'); slash > 0; slash = rest.LastIndexOf('/', slash - 1))
            if (_operations.TryGetValue($"{method} {rest[..slash]}/*", out var found))
            {
                request.RouteValues["rest"] = rest[(slash + 1)..];
                return found;
            }
        return null;
    }
}
