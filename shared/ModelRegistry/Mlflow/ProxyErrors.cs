using FunctionsRegistry.Errors;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>What the proxy answers by itself; spec-hokusai.md's own words where it has some.</summary>
public static class ProxyErrors
{
    /// <summary>502.</summary>
    public static RegistryException ConnectionFailed(string server, Exception cause) =>
        new(ErrorKind.BadGateway, $"Failed to connect to MLflow server at {server}", innerException: cause);

    /// <summary>504.</summary>
    public static RegistryException Timeout(TimeSpan timeout, Exception cause) =>
        new(ErrorKind.GatewayTimeout, $"MLflow server request timeout after {timeout.TotalSeconds:0}s", innerException: cause);

    /// <summary>503: the breaker is open.</summary>
    public static RegistryException BreakerOpen(TimeSpan retryAfter) =>
        new(ErrorKind.Unavailable, "MLflow server unavailable", retryAfter: retryAfter < TimeSpan.FromSeconds(1) ? TimeSpan.FromSeconds(1) : retryAfter);

    /// <summary>503: the server keeps no artifacts.</summary>
    public static RegistryException ArtifactsDisabled() =>
        new(ErrorKind.Unavailable, "Artifact storage is not configured. Please contact your administrator.");

    /// <summary>404: the server answered with a page.</summary>
    public static RegistryException NotFound(string path) => new(ErrorKind.NotFound, $"The requested resource was not found: {path}");
}
