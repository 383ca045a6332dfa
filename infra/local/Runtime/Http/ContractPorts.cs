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
                http.Request.Path = new PathString(prefix).Add(http.Request.Path);
            return rest(http);
        });
        next(app);
    };
}
