using System.Net;

namespace FunctionsRegistry.Functions.Http;

/// <summary>Finds the client's address. <c>Http__TrustedProxies</c>: networks, comma separated, whose X-Forwarded-For is believed; none by default.</summary>
public sealed class ClientAddress
{
    private readonly IPNetwork[] _trusted;

    /// <summary>Reads <c>Http__TrustedProxies</c>.</summary>
    /// <exception cref="InvalidOperationException">An entry is not an address or a network like 10.0.0.0/8.</exception>
    public ClientAddress(IConfiguration configuration)
    {
        var entries = (configuration["Http:TrustedProxies"] ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        _trusted = [.. entries.Select(Parse)];
    }

    /// <summary>The socket's peer, or, behind trusted proxies, the last address in X-Forwarded-For that is not one of them.</summary>
    public string Of(HttpContext http)
    {
        var address = http.Connection.RemoteIpAddress ?? IPAddress.None;
        if (_trusted.Length > 0 && IsTrusted(address))
        {
            var forwarded = http.Request.Headers["X-Forwarded-For"].ToString().Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            for (var i = forwarded.Length - 1; i >= 0 && IsTrusted(address); i--)
            {
                // Some proxies add the port.
                if (!IPEndPoint.TryParse(forwarded[i], out var endPoint))
                    break;
                address = endPoint.Address;
            }
        }
        return (address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address).ToString();
    }

    private bool IsTrusted(IPAddress address)
    {
        var plain = address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
        return Array.Exists(_trusted, network => network.Contains(plain));
    }

    private static IPNetwork Parse(string entry) =>
        IPNetwork.TryParse(entry, out var network) ? network
        : IPAddress.TryParse(entry, out var address) ? new IPNetwork(address, address.GetAddressBytes().Length * 8)
        : throw new InvalidOperationException($"Http__TrustedProxies: '{entry}' is neither an address nor a network like 10.0.0.0/8.");
}
