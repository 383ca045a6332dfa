using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.ModelRegistry.Mlflow;

/// <summary>
/// MLflow's REST API under /hokusai/mlflow and /hokusai/api/mlflow (spec-hokusai.md, "MLflow Proxy Endpoints"). Two functions for all of it, because the
/// same paths go to a server where one is configured; <see cref="MlflowRoutes"/> lists the operations of our own store.
/// </summary>
[Contract(Family.Mlflow)]
public sealed class MlflowFunctions(MlflowRoutes routes)
{
    /// <summary>/hokusai/mlflow/*: what MLFLOW_TRACKING_URI names.</summary>
    [Function("mlflow_rest"), BodyLimit(0)]
    [Undescribed]
    public Task<IResult> Rest(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", "post", "put", "patch", "delete", "options", Route = "hokusai/mlflow/{*path}")] HttpRequest request,
        CancellationToken cancellationToken) => routes.RunAsync(request, "/hokusai/mlflow", cancellationToken);

    /// <summary>/hokusai/api/mlflow/*: the same under the other base URL of the contract.</summary>
    [Function("mlflow_rest_api"), BodyLimit(0)]
    [Undescribed]
    public Task<IResult> RestApi(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", "post", "put", "patch", "delete", "options", Route = "hokusai/api/mlflow/{*path}")] HttpRequest request,
        CancellationToken cancellationToken) => routes.RunAsync(request, "/hokusai/api/mlflow", cancellationToken);
}
