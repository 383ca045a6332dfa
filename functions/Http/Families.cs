using FunctionsRegistry.Errors;

namespace FunctionsRegistry.Functions.Http;

/// <summary>Which contract a path belongs to, for answers that no function of that contract gives (404).</summary>
public static class Families
{
    private static readonly (string Prefix, Family Family)[] s_prefixes =
    [
        ("/agentx", Family.AgentX),
        ("/dhg", Family.Dhg),
        // The health reports of the proxy are the one part of these prefixes that MLflow's clients never see.
        ("/hokusai/mlflow/health/mlflow", Family.Hokusai),
        ("/hokusai/mlflow", Family.Mlflow),
        ("/hokusai/api/mlflow", Family.Mlflow),
        ("/hokusai", Family.Hokusai),
        ("/indexagent", Family.IndexAgent),
        ("/airflow", Family.Airflow),
        ("/evolution", Family.Evolution),
    ];

    /// <summary>The family of the path's prefix, or null outside all of them.</summary>
    public static Family? OfPath(PathString path)
    {
        foreach (var (prefix, family) in s_prefixes)
            if (path.StartsWithSegments(prefix, StringComparison.OrdinalIgnoreCase))
                return family;
        return null;
    }
}
