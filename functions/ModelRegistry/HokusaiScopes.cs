using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.ModelRegistry;

namespace FunctionsRegistry.Functions.ModelRegistry;

/// <summary>What a key needs for what. Any one of a list will do.</summary>
internal static class HokusaiScopes
{
    public static readonly string[] ModelRead = ["model:read", "model:write", "admin"];
    public static readonly string[] ModelWrite = ["model:write", "admin"];
    public static readonly string[] MlflowRead = ["mlflow:access", "mlflow:read", "mlflow:write", "model:read", "model:write", "admin"];
    public static readonly string[] MlflowWrite = ["mlflow:access", "mlflow:write", "model:write", "admin"];
    public static readonly string[] Keys = [ApiKeyService.AdminScope];

    /// <exception cref="Errors.RegistryException">403, the spec's "Insufficient permissions".</exception>
    public static void Require(HttpRequest request, string[] any)
    {
        if (!request.GetCaller().Scopes.Any(any.Contains))
            throw ApiKeyErrors.InsufficientPermissions();
    }
}
