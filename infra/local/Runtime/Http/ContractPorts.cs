using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;

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
        if (prefixes.Count > 0)
            app.Use((http, rest) =>
            {
                if (prefixes.TryGetValue(http.Connection.LocalPort, out var prefix))
                    http.Request.Path = prefix + http.Request.Path;
                return rest(http);
            });
        next(app);
    };

    /// <summary>Whether nobody listens there. Somebody may still come first; Kestrel then fails with its own message.</summary>
    public static bool IsFree(IPAddress address, int port)
    {
        using var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            // As Kestrel does: a port in TIME_WAIT is free.
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, OperatingSystem.IsLinux() || OperatingSystem.IsMacOS());
            socket.Bind(new IPEndPoint(address, port));
            socket.Listen(1);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
