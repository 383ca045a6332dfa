using System.Net;
using System.Net.Sockets;
using FunctionsRegistry.LocalRuntime.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace FunctionsRegistry.LocalRuntime.Http;

/// <summary>Where the host listens, and its limits.</summary>
internal static partial class KestrelSetup
{
    // The host's own limit; functions set lower or higher ones.
    private const long MaxRequestBodySizeBytes = 100L << 20;

    /// <exception cref="LocalHostException">A setting is wrong.</exception>
    public static void Configure(WebApplicationBuilder web, HostSettings settings, LocalHostOptions options, StartFailure failure)
    {
        var address = ReadAddress(web.Configuration["Local:Address"]);
        var port = web.Configuration.GetPort("Local:Port", settings.LocalHttpPort);
        var contracts = web.Configuration.GetFlag("Local:ContractPorts", true)
            ? options.ContractPorts.Where(contract => contract.Key != port).ToDictionary()
            : [];
        web.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = MaxRequestBodySizeBytes;
        });
        web.Services.AddHostedService(services => new Listener(
            address, port, contracts, failure, services.GetRequiredService<IOptions<KestrelServerOptions>>(), services.GetRequiredService<ILogger<Listener>>()));
        if (contracts.Count > 0)
            web.Services.AddSingleton<IStartupFilter>(new ContractPorts(contracts));
    }

    private static IPAddress ReadAddress(string? text) => text switch
    {
        null or "" or "localhost" => IPAddress.Loopback,
        _ => IPAddress.TryParse(text, out var address) ? address : throw new LocalHostException($"Local:Address must be an IP address, not '{text}'."),
    };

    /// <summary>
    /// Looks at the ports when the host starts, not when it is built: a command that only migrates listens nowhere and needs no free port.
    /// </summary>
    private sealed partial class Listener(
        IPAddress address, int port, IReadOnlyDictionary<int, string> contracts, StartFailure failure, IOptions<KestrelServerOptions> options, ILogger logger)
        : IHostedLifecycleService
    {
        public Task StartingAsync(CancellationToken cancellationToken)
        {
            Listen(failure.Guard(RequireFreePort));
            foreach (var (contractPort, prefix) in contracts)
                if (IsFree(contractPort))
                    Listen(contractPort);
                else
                    LogTaken(contractPort, prefix);
            return Task.CompletedTask;
        }

        public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        private void Listen(int chosen) => options.Value.Listen(address, chosen, listen => listen.Protocols = HttpProtocols.Http1);

        private int RequireFreePort() => port == 0 || IsFree(port)
            ? port
            : throw new LocalHostException($"Port {port} is taken: stop what uses it, or choose another with Local__Port (0 is any free one).");

        // Somebody may still come first; Kestrel then fails with its own message.
        private bool IsFree(int wanted)
        {
            using var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                // As Kestrel does: a port in TIME_WAIT is free.
                socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, OperatingSystem.IsLinux() || OperatingSystem.IsMacOS());
                socket.Bind(new IPEndPoint(address, wanted));
                socket.Listen(1);
                return true;
            }
            catch (SocketException)
            {
                return false;
            }
        }

        [LoggerMessage(121, LogLevel.Warning, "Port {Taken} is taken: {Prefix} is served under the main port only (Local__ContractPorts=false silences this)")]
        private partial void LogTaken(int taken, string prefix);
    }
}
