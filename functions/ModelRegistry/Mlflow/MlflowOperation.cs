namespace FunctionsRegistry.Functions.ModelRegistry.Mlflow;

/// <summary>One operation of MLflow's REST API, below <c>/api/2.0/mlflow/</c> (or 3.0; MLflow itself serves most under both).</summary>
/// <param name="Method">In lower case; HEAD goes where GET does.</param>
/// <param name="Path">Such as <c>runs/create</c>; a last segment <c>*</c> takes the rest, which the operation reads from the route value <c>rest</c>.</param>
/// <param name="Writes">Whether the key needs the right to write.</param>
public sealed record MlflowOperation(string Method, string Path, bool Writes, Func<HttpRequest, CancellationToken, Task<IResult>> RunAsync)
{
    /// <summary>What MLflow's searches take in a query.</summary>
    public const string Search =
        "experiment_ids?: string[], filter?: string(..20000), run_view_type?: string, view_type?: string, max_results?: integer, order_by?: string[], page_token?: string";

    /// <summary>Query parameters, in the notation of OpenApi.FieldNotation.</summary>
    public string? Query { get; init; }

    /// <summary>The record of the body, or null.</summary>
    public Type? Body { get; init; }

    /// <summary>The record of the answer; null for an object that no client reads.</summary>
    public Type? Answer { get; init; }

    /// <summary>Whether the body is the file itself.</summary>
    public bool IsBinaryBody { get; init; }

    /// <summary>Whether the answer is the file itself.</summary>
    public bool IsBinaryAnswer { get; init; }
}
