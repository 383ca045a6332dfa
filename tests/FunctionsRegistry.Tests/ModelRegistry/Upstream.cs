using System.Net;
using System.Net.Sockets;
using System.Text;

namespace FunctionsRegistry.Tests.ModelRegistry;

/// <summary>What an upstream saw of a request.</summary>
public sealed record SeenRequest(string Method, string Target, string[] Headers, string Body);

/// <summary>A server of bare sockets that answers as a test says, or passes everything on with a key added.</summary>
public sealed class Upstream : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);

    public Upstream()
    {
        _listener.Start();
        _ = AcceptAsync();
    }

    public string Url => $"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}";

    public Func<SeenRequest, NetworkStream, Task>? Answer { get; set; }

    public Uri? RelayTo { get; init; }

    public string RelayKey { get; init; } = "";

    public static Task WriteAsync(NetworkStream stream, int status, string contentType, string body) =>
        WriteAsync(stream, $"HTTP/1.1 {status} X\r\nContent-Type: {contentType}\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\nConnection: close\r\n\r\n{body}");

    public static async Task WriteAsync(NetworkStream stream, string text) => await stream.WriteAsync(Encoding.UTF8.GetBytes(text));

    public void Dispose() => _listener.Dispose();

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
                _ = ServeAsync(await _listener.AcceptTcpClientAsync());
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // The end of the test.
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using (client)
        {
            try
            {
                await using var stream = client.GetStream();
                var (head, rest) = await ReadHeadAsync(stream);
                if (RelayTo is not null)
                    await RelayAsync(head, rest, stream);
                else
                    await Answer!(await ReadRequestAsync(head, rest, stream), stream);
            }
            catch (Exception exception) when (exception is IOException or SocketException or ObjectDisposedException)
            {
                // The other side, or the test, had enough.
            }
        }
    }

    // One request per connection: the head with a key and Connection: close, then bytes both ways.
    private async Task RelayAsync(string head, byte[] rest, NetworkStream stream)
    {
        using var target = new TcpClient();
        await target.ConnectAsync(RelayTo!.Host, RelayTo.Port);
        await using var server = target.GetStream();
        await server.WriteAsync(Encoding.Latin1.GetBytes(head[..^2] + $"Authorization: Bearer {RelayKey}\r\nConnection: close\r\n\r\n"));
        await server.WriteAsync(rest);
        var up = stream.CopyToAsync(server);
        await server.CopyToAsync(stream);
        stream.Socket.Shutdown(SocketShutdown.Send);
        await up;
    }

    private static async Task<(string Head, byte[] Body)> ReadHeadAsync(NetworkStream stream)
    {
        var read = new List<byte>();
        var buffer = new byte[4096];
        while (true)
        {
            var count = await stream.ReadAsync(buffer);
            if (count == 0)
                throw new IOException("no request");
            read.AddRange(buffer.AsSpan(0, count));
            var end = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(read).IndexOf("\r\n\r\n"u8);
            if (end >= 0)
                return (Encoding.Latin1.GetString([.. read.Take(end + 4)]), [.. read.Skip(end + 4)]);
        }
    }

    private static async Task<SeenRequest> ReadRequestAsync(string head, byte[] rest, NetworkStream stream)
    {
        var lines = head.Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        var first = lines[0].Split(' ');
        var length = lines.Where(line => line.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase)).Select(line => int.Parse(line.Split(':')[1])).FirstOrDefault();
        var body = new List<byte>(rest);
        var buffer = new byte[4096];
        while (body.Count < length)
            body.AddRange(buffer.AsSpan(0, await stream.ReadAsync(buffer)));
        return new SeenRequest(first[0], first[1], [.. lines.Skip(1)], Encoding.UTF8.GetString([.. body]));
    }
}
