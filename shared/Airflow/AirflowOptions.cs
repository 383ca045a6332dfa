using System.Net;
using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.Airflow;

/// <summary>Settings of the Airflow slice.</summary>
/// <param name="Username"><c>AIRFLOW_USERNAME</c>; in the local runtime <c>airflow</c>. Null: nobody can sign in.</param>
/// <param name="Password"><c>AIRFLOW_PASSWORD</c>; in the local runtime <c>airflow</c>.</param>
/// <param name="DagDirectories">Where DAG files are: the app's own, and <c>Airflow__DagDirectory</c> where it is set.</param>
/// <param name="AllowedPrivate"><c>Airflow__AllowedPrivateNetworks</c>: networks, comma separated, that the http operator may reach although they are private.</param>
public sealed record AirflowOptions(string? Username, string? Password, IReadOnlyList<string> DagDirectories, IReadOnlyList<IPNetwork> AllowedPrivate)
{
    /// <summary>Reads the settings named above.</summary>
    /// <param name="ownDagDirectory">The folder of the DAGs that ship with the app.</param>
    /// <param name="isLocal">Whether the app was built for the local runtime: only there are credentials given.</param>
    /// <exception cref="InvalidOperationException">A user name without its password, or a network that is none.</exception>
    public static AirflowOptions FromConfiguration(IConfiguration configuration, string ownDagDirectory, bool isLocal)
    {
        var (username, password) = (configuration["AIRFLOW_USERNAME"], configuration["AIRFLOW_PASSWORD"]);
        if (string.IsNullOrEmpty(username) != string.IsNullOrEmpty(password))
            throw new InvalidOperationException("AIRFLOW_USERNAME and AIRFLOW_PASSWORD must be set together.");
        var networks = (configuration["Airflow:AllowedPrivateNetworks"] ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var standard = isLocal ? "airflow" : null;
        return new AirflowOptions(
            string.IsNullOrEmpty(username) ? standard : username,
            string.IsNullOrEmpty(password) ? standard : password,
            configuration["Airflow:DagDirectory"] is { Length: > 0 } more ? [ownDagDirectory, more] : [ownDagDirectory],
            [.. networks.Select(ParseNetwork)]);
    }

    private static IPNetwork ParseNetwork(string text) =>
        IPNetwork.TryParse(text, out var network) ? network
        : IPAddress.TryParse(text, out var address) ? new IPNetwork(address, address.GetAddressBytes().Length * 8)
        : throw new InvalidOperationException($"Airflow__AllowedPrivateNetworks: '{text}' is neither an address nor a network like 10.0.0.0/8.");
}
