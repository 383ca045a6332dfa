using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace FunctionsRegistry.LocalRuntime.Http;

/// <summary>
/// The contracts' own ports: a client that is configured for one of them sends its contract's paths without our prefix, so the prefix is added here,
/// outermost, before anything looks at the path, and taken away again where an answer leads to another path.
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
            if (prefixes.TryGetValue(http.Connection.LocalPort, out var prefix))
                Enter(http, prefix);
            return rest(http);
        });
        next(app);
    };

    private static void Enter(HttpContext http, string prefix)
    {
        // Joined as paths, not as texts: a text would be decoded once more.
        http.Request.Path = new PathString(prefix).Add(http.Request.Path);
        // What is sent on as it came is cut off behind the prefix.
        if (http.Features.Get<IHttpRequestFeature>() is { RawTarget: ['/', ..] target } request)
            request.RawTarget = prefix + target;
        http.Response.OnStarting(() =>
        {
            // Two slashes would name another host.
            var location = http.Response.Headers.Location.ToString();
            if (location.StartsWith(prefix + "/", StringComparison.Ordinal) && !location.StartsWith(prefix + "//", StringComparison.Ordinal))
                http.Response.Headers.Location = location[prefix.Length..];
            return Task.CompletedTask;
        });
    }
}
