using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace FunctionsRegistry.LocalRuntime.Http;

/// <summary>
/// The contracts' own ports: a client that is configured for one of them sends its contract's paths without our prefix, so the prefix is added here,
/// outermost, before anything looks at the path.
/// </summary>
internal sealed class ContractPorts(IReadOnlyDictionary<int, string> prefixes) : IStartupFilter
{
    /// <summary>Port and prefix of each contract.</summary>
    public static readonly IReadOnlyDictionary<int, string> All = new Dictionary<int, string>
    {
        [8001] = "/hokusai",
        [8011] = "/dhg",
        [8080] = "/airflow",
        [8081] = "/indexagent",
        [8083] = "/evolution",
    };

    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.Use((http, rest) =>
        {
            // Joined as paths, not as texts: a text would be decoded once more.
            if (prefixes.TryGetValue(http.Connection.LocalPort, out var prefix))
            {
                http.Request.Path = new PathString(prefix).Add(http.Request.Path);
                http.Response.OnStarting(() => LeaveOut(prefix, http.Response));
            }
            return rest(http);
        });
        next(app);
    };

    // A redirect within the contract names a path with the prefix, which would be added once more when the client follows it.
    private static Task LeaveOut(string prefix, HttpResponse response)
    {
        var location = response.Headers.Location.ToString();
        if (location.StartsWith(prefix + "/", StringComparison.Ordinal) && !location.StartsWith(prefix + "//", StringComparison.Ordinal))
            response.Headers.Location = location[prefix.Length..];
        return Task.CompletedTask;
    }
}
