using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.Http;

/// <summary>
/// The client for URLs that users give. It connects to public addresses only: the name is resolved here and the connection goes to the address
/// that was checked, so that a name cannot change its mind in between. Redirects are followed under the same rule.
/// </summary>
/// <remarks><c>Outbound__AllowPrivateAddresses</c>: true lets it reach private and loopback addresses, too.</remarks>
public sealed class OutboundHttp : IDisposable
{
    private readonly bool _allowPrivate;

    /// <summary>Reads the setting named above.</summary>
    public OutboundHttp(IConfiguration configuration)
    {
        _allowPrivate = configuration.GetValue("Outbound:AllowPrivateAddresses", false);
        var handler = new SocketsHttpHandler
        {
            ConnectCallback = ConnectAsync,
            ConnectTimeout = TimeSpan.FromSeconds(10),
            PooledConnectionLifetime = TimeSpan.FromMinutes(2),
            MaxAutomaticRedirections = 5,
            ResponseDrainTimeout = TimeSpan.FromSeconds(1),
            // A proxy would resolve the name itself, behind the check.
            UseProxy = false,
        };
#pragma warning disable RS0030 // This is the factory of clients for such URLs.
        Client = new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan };
#pragma warning restore RS0030
    }

    /// <summary>Has no timeout of its own beyond connecting: give every call a token that ends.</summary>
    public HttpClient Client { get; }

    /// <inheritdoc/>
    public void Dispose() => Client.Dispose();

    /// <summary>Whether an address is reachable for everybody: not loopback, private, link-local, shared, multicast, reserved or documentation.</summary>
    public static bool IsPublic(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        if (address.AddressFamily == AddressFamily.InterNetwork)
        {
            var b = address.GetAddressBytes();
            return !(b[0] is 0 or 10 or 127 or >= 224
                || (b[0] == 100 && (b[1] & 0xC0) == 64)
                || (b[0] == 169 && b[1] == 254)
                || (b[0] == 172 && (b[1] & 0xF0) == 16)
                || (b[0] == 192 && b[1] == 168)
                || (b[0] == 192 && b[1] == 0 && b[2] is 0 or 2)
                || (b[0] == 198 && (b[1] & 0xFE) == 18)
                || (b[0] == 198 && b[1] == 51 && b[2] == 100)
                || (b[0] == 203 && b[1] == 0 && b[2] == 113));
        }
        // Global unicast is 2000::/3; in it, 2002::/16 and 2001::/23 carry other addresses inside, 2001:db8::/32 is documentation.
        var bytes = address.GetAddressBytes();
        return (bytes[0] & 0xE0) == 0x20
            && !(bytes[0] == 0x20 && bytes[1] == 0x02)
            && !(bytes[0] == 0x20 && bytes[1] == 0x01 && (bytes[2] & 0xFE) == 0)
            && !(bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] == 0x0D && bytes[3] == 0xB8);
    }

    private async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellationToken)
    {
        var endPoint = context.DnsEndPoint;
        var addresses = await Dns.GetHostAddressesAsync(endPoint.Host, cancellationToken);
        var allowed = _allowPrivate ? addresses : [.. addresses.Where(IsPublic)];
        if (allowed.Length == 0)
            throw new HttpRequestException($"'{endPoint.Host}' has no public address, and private ones are not allowed.");
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(allowed, endPoint.Port, cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
