using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.Http;

/// <summary>
/// Clients for URLs that users give. Only addresses of the public Internet are reached, and networks that the configuration allows. The check is on the
/// address that is connected to, so neither a DNS answer that changes nor a redirect gets around it. They have no timeout beyond connecting: give every
/// call a token that ends.
/// </summary>
/// <remarks><c>Outbound__AllowedPrivateNetworks</c>: networks or addresses, comma separated, that may be reached although they are not public.</remarks>
public sealed class OutboundHttp : IDisposable
{
    private static readonly IPNetwork[] s_notPublic =
    [
        .. new[]
        {
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
            "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
            // Azure's own services on a public-looking address.
            "168.63.129.16/32",
            // Tunnels and documentation inside the global unicast range.
            "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
        }.Select(text => IPNetwork.Parse(text)),
    ];

    private static readonly IPNetwork s_globalUnicast = IPNetwork.Parse("2000::/3");

    private readonly IPNetwork[] _allowed;

    /// <summary>Reads the setting named above.</summary>
    /// <exception cref="InvalidOperationException">A network that is none.</exception>
    public OutboundHttp(IConfiguration configuration)
    {
        var networks = (configuration["Outbound:AllowedPrivateNetworks"] ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        _allowed = [.. networks.Select(ParseNetwork)];
        Client = CreateClient(followsRedirects: false);
        FollowingClient = CreateClient(followsRedirects: true);
    }

    /// <summary>Answers a redirect as it is.</summary>
    public HttpClient Client { get; }

    /// <summary>Follows redirects, five at most.</summary>
    public HttpClient FollowingClient { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Client.Dispose();
        FollowingClient.Dispose();
    }

    /// <summary>Whether an address is one of the public Internet.</summary>
    public static bool IsPublic(IPAddress address)
    {
        var plain = Plain(address);
        if (plain.AddressFamily == AddressFamily.InterNetworkV6 && !s_globalUnicast.Contains(plain))
            return false;
        return !Array.Exists(s_notPublic, network => network.Contains(plain));
    }

    private static IPAddress Plain(IPAddress address) => address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;

    private static IPNetwork ParseNetwork(string text) =>
        IPNetwork.TryParse(text, out var network) ? network
        : IPAddress.TryParse(text, out var address) ? new IPNetwork(address, address.GetAddressBytes().Length * 8)
        : throw new InvalidOperationException($"Outbound__AllowedPrivateNetworks: '{text}' is neither an address nor a network like 10.0.0.0/8.");

    private HttpClient CreateClient(bool followsRedirects)
    {
        var handler = new SocketsHttpHandler
        {
            ConnectCallback = (context, cancellationToken) => ConnectAsync(context.DnsEndPoint, cancellationToken),
            ConnectTimeout = TimeSpan.FromSeconds(10),
            PooledConnectionLifetime = TimeSpan.FromMinutes(2),
            AllowAutoRedirect = followsRedirects,
            MaxAutomaticRedirections = 5,
            MaxResponseHeadersLength = 64,
            ResponseDrainTimeout = TimeSpan.FromSeconds(1),
            UseCookies = false,
            // A proxy would resolve the name itself, behind the check.
            UseProxy = false,
        };
#pragma warning disable RS0030 // This is the factory of clients for such URLs.
        return new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan };
#pragma warning restore RS0030
    }

    private async ValueTask<Stream> ConnectAsync(DnsEndPoint target, CancellationToken cancellationToken)
    {
        var addresses = IPAddress.TryParse(target.Host, out var literal) ? [literal] : await Dns.GetHostAddressesAsync(target.Host, cancellationToken);
        var reachable = addresses.Where(address => IsPublic(address) || Array.Exists(_allowed, network => network.Contains(Plain(address)))).ToArray();
        if (reachable.Length == 0)
            throw new HttpRequestException(
                $"{target.Host} has no public address, what it names is not an address of the public Internet; Outbound__AllowedPrivateNetworks can allow it");
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(reachable, target.Port, cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
