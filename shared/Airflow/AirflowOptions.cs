using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.Airflow;

/// <summary>Settings of the Airflow slice.</summary>
/// <param name="Username"><c>AIRFLOW_USERNAME</c>; in the local runtime <c>airflow</c>. Null: nobody can sign in.</param>
/// <param name="Password"><c>AIRFLOW_PASSWORD</c>; in the local runtime <c>airflow</c>.</param>
/// <param name="DagDirectories">Where DAG files are: the app's own, and <c>Airflow__DagDirectory</c> where it is set.</param>
public sealed record AirflowOptions(string? Username, string? Password, IReadOnlyList<string> DagDirectories)
{
    /// <summary>Reads the settings named above.</summary>
    /// <param name="ownDagDirectory">The folder of the DAGs that ship with the app.</param>
    /// <param name="isLocal">Whether the app was built for the local runtime: only there are credentials given.</param>
    /// <exception cref="InvalidOperationException">A user name without its password.</exception>
    public static AirflowOptions FromConfiguration(IConfiguration configuration, string ownDagDirectory, bool isLocal)
    {
        var (username, password) = (configuration["AIRFLOW_USERNAME"], configuration["AIRFLOW_PASSWORD"]);
        if (string.IsNullOrEmpty(username) != string.IsNullOrEmpty(password))
            throw new InvalidOperationException("AIRFLOW_USERNAME and AIRFLOW_PASSWORD must be set together.");
        var standard = isLocal ? "airflow" : null;
        return new AirflowOptions(
            string.IsNullOrEmpty(username) ? standard : username,
            string.IsNullOrEmpty(password) ? standard : password,
            configuration["Airflow:DagDirectory"] is { Length: > 0 } more ? [ownDagDirectory, more] : [ownDagDirectory]);
    }
}
