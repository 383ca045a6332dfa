using System.Collections.Concurrent;
using System.Net.WebSockets;
using FunctionsRegistry.DataRegistry;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;

namespace FunctionsRegistry.Functions.DataRegistry;

/// <summary>The open sockets of this process. Each counts by itself: two of one client_id are two connections and one session.</summary>
public sealed class RegistrySockets(DataRegistryOptions options)
{
    private readonly ConcurrentDictionary<Guid, string> _open = new();

    /// <summary>How many are open.</summary>
    public int Connections => _open.Count;

    /// <summary>How many clients have one open.</summary>
    public int Sessions => _open.Values.Distinct(StringComparer.Ordinal).Count();

    /// <summary>Counts one more; false where there are enough.</summary>
    public bool TryAdd(Guid id, string clientId)
    {
        _open[id] = clientId;
        if (_open.Count <= options.MaxSockets)
            return true;
        Remove(id);
        return false;
    }

    /// <summary>Counts one less.</summary>
    public void Remove(Guid id) => _open.TryRemove(id, out _);
}

/// <summary>
/// <c>/dhg/ws?client_id=</c>, in the local runtime: functions cannot answer WebSockets, so it stands in front of them. What is no WebSocket request
/// goes on to the functions, which have nothing there (404), as in the original.
/// </summary>
internal sealed partial class RegistrySocketEndpoint(
    RegistrySockets sockets, ResearchStore research, IEnumerable<IAuthenticator> authenticators, IHostApplicationLifetime lifetime, TimeProvider time,
    ILogger<RegistrySocketEndpoint> logger) : IStartupFilter
{
    private readonly IAuthenticator _authenticator = authenticators.Single(one => one.Families.Contains(Family.Dhg));

    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.UseWebSockets(new WebSocketOptions { KeepAliveInterval = TimeSpan.FromSeconds(30), KeepAliveTimeout = TimeSpan.FromSeconds(30) });
        app.Use((http, rest) => http.Request.Path.Equals("/dhg/ws", StringComparison.OrdinalIgnoreCase) && http.WebSockets.IsWebSocketRequest
            ? AnswerAsync(http)
            : rest(http));
        next(app);
    };

    private async Task AnswerAsync(HttpContext http)
    {
        var clientId = http.Request.Query["client_id"].ToString();
        if (clientId.Length > 255)
        {
            await RefuseAsync(http, CommonErrors.InvalidParameter("client_id", "at most 255 characters"));
            return;
        }
        if (await _authenticator.FindAsync(http.Request, http.RequestAborted) is null)
        {
            await RefuseAsync(http, CommonErrors.AuthenticationRequired());
            return;
        }
        var id = Guid.CreateVersion7(time.GetUtcNow());
        if (!sockets.TryAdd(id, clientId.Length == 0 ? id.ToString() : clientId))
        {
            await RefuseAsync(http, DataRegistryErrors.TooManySockets());
            return;
        }
        try
        {
            // Compression is safe here: no frame mixes a secret with what somebody else wrote.
            using var socket = await http.WebSockets.AcceptWebSocketAsync(new WebSocketAcceptContext { DangerousEnableCompression = true });
            using var ending = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted, lifetime.ApplicationStopping);
            using var session = new RegistrySocketSession(socket, id, research, time);
            await session.RunAsync(ending.Token);
        }
        catch (Exception exception) when (exception is OperationCanceledException or WebSocketException or IOException)
        {
            // The client left, or the host stops.
        }
        catch (Exception exception)
        {
            LogFailure(exception, id);
            http.Abort();
        }
        finally
        {
            sockets.Remove(id);
        }
    }

    private async Task RefuseAsync(HttpContext http, RegistryException error)
    {
        var body = ErrorBodies.Create(Family.Dhg, error, Guid.CreateVersion7(time.GetUtcNow()).ToString("N"), asProblem: false);
        http.Response.StatusCode = body.Status;
        http.Response.ContentType = body.ContentType;
        http.Response.ContentLength = body.Bytes.Length;
        if (error.RetryAfter is { } wait)
            http.Response.Headers.RetryAfter = ((long)wait.TotalSeconds).ToString();
        await http.Response.Body.WriteAsync(body.Bytes, http.RequestAborted);
    }

    [LoggerMessage(3201, LogLevel.Error, "WebSocket {Socket} failed")]
    private partial void LogFailure(Exception exception, Guid socket);
}
