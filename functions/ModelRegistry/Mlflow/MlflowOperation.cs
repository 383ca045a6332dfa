namespace FunctionsRegistry.Functions.ModelRegistry.Mlflow;

/// <summary>One operation of MLflow's REST API, below <c>/api/2.0/mlflow/</c> (or 3.0; MLflow itself serves most under both).</summary>
/// <param name="Method">In lower case; HEAD goes where GET does.</param>
/// <param name="Path">Such as <c>runs/create</c>; a last segment <c>*</c> takes the rest, which the operation reads from the route value <c>rest</c>.</param>
/// <param name="Writes">Whether the key needs the right to write.</param>
public sealed record MlflowOperation(string Method, string Path, bool Writes, Func<HttpRequest, CancellationToken, Task<IResult>> RunAsync);
