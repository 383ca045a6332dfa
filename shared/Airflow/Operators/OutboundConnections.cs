using System.Net;
using System.Net.Http;
using System.Net.Sockets;

namespace FunctionsRegistry.Airflow.Operators;

/// <summary>
/// Connections to addresses that others chose. The check is on the address that is connected to, so neither a DNS answer that changes nor a redirect gets
/// around it. Only addresses of the public Internet are reached, and networks that the configuration allows.
/// </summary>
public static class OutboundConnections
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

    /// <summary>A handler that connects only where it may; follows no redirects, uses no proxy and no cookies.</summary>
    public static SocketsHttpHandler CreateHandler(IReadOnlyList<IPNetwork> allowedPrivate) => new()
    {
        AllowAutoRedirect = false,
        UseProxy = false,
        UseCookies = false,
        PooledConnectionLifetime = TimeSpan.FromMinutes(2),
        MaxResponseHeadersLength = 64,
        ConnectCallback = (context, cancellationToken) => ConnectAsync(context.DnsEndPoint, allowedPrivate, cancellationToken),
    };

    /// <summary>Whether an address is one of the public Internet.</summary>
    public static bool IsPublic(IPAddress address)
    {
        var plain = address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
        if (plain.AddressFamily == AddressFamily.InterNetworkV6 && !s_globalUnicast.Contains(plain))
            return false;
        return !Array.Exists(s_notPublic, network => network.Contains(plain));
    }

    private static async ValueTask<Stream> ConnectAsync(DnsEndPoint target, IReadOnlyList<IPNetwork> allowedPrivate, CancellationToken cancellationToken)
    {
        var addresses = IPAddress.TryParse(target.Host, out var literal) ? [literal] : await Dns.GetHostAddressesAsync(target.Host, cancellationToken);
        var allowed = addresses.Where(address => IsPublic(address) || IsIn(address, allowedPrivate)).ToArray();
        if (allowed.Length == 0)
            throw new OperatorException($"{target.Host} is not an address of the public Internet; Airflow__AllowedPrivateNetworks can allow it");
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(allowed, target.Port, cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static bool IsIn(IPAddress address, IReadOnlyList<IPNetwork> networks)
    {
        var plain = address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
        return networks.Any(network => network.Contains(plain));
    }
}
