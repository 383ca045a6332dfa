using System.Collections.Concurrent;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Evolution;
using FunctionsRegistry.Functions.Http;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;

namespace FunctionsRegistry.Functions.Evolution;

/// <summary>
/// <c>/evolution/ws[?trial_id=]</c>, in the local runtime: functions cannot answer WebSockets, so it stands in front of them. Every client has a queue of
/// its own, and one that does not keep up is dropped: it can read what it missed from the trial's events.
/// </summary>
internal sealed partial class TrialSockets : IStartupFilter, IDisposable
{
    private const int QueueLength = 1024;
    private static readonly byte[] s_pong = "pong"u8.ToArray();

    private readonly ConcurrentDictionary<Client, bool> _clients = new();
    private readonly IAuthenticator _authenticator;
    private readonly ClientAddress _addresses;
    private readonly ClientPlaces _places;
    private readonly IHostApplicationLifetime _lifetime;
    private readonly TimeProvider _time;
    private readonly ILogger<TrialSockets> _logger;
    private readonly IDisposable _listening;

    public TrialSockets(
        LiveUpdates updates, IEnumerable<IAuthenticator> authenticators, ClientAddress addresses, ClientPlaces places, IHostApplicationLifetime lifetime, TimeProvider time,
        ILogger<TrialSockets> logger)
    {
        _authenticator = authenticators.Single(one => one.Families.Contains(Family.Evolution));
        (_addresses, _places, _lifetime, _time, _logger) = (addresses, places, lifetime, time, logger);
        _listening = updates.Listen(Send);
    }

    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.UseWebSockets(new WebSocketOptions { KeepAliveInterval = TimeSpan.FromSeconds(30), KeepAliveTimeout = TimeSpan.FromSeconds(30) });
        app.Use((http, rest) => IsSocket(http.Request.Path) && http.WebSockets.IsWebSocketRequest
            ? AnswerAsync(http)
            : rest(http));
        next(app);
    };

    public void Dispose() => _listening.Dispose();

    // GET /evolution/live names the first to everybody; to who came over the contract's own port, where the prefix is added, it is the second.
    private static bool IsSocket(PathString path) =>
        path.Equals("/evolution/ws", StringComparison.OrdinalIgnoreCase) || path.Equals("/evolution/evolution/ws", StringComparison.OrdinalIgnoreCase);

    // Encoded once for all.
    private void Send(TrialEvent update)
    {
        if (_clients.IsEmpty)
            return;
        var frame = Encoding.UTF8.GetBytes(update.Frame);
        foreach (var client in _clients.Keys)
            if (client.TrialId.Length == 0 || client.TrialId == update.TrialId)
                client.Send(frame);
    }

    private async Task AnswerAsync(HttpContext http)
    {
        if (await _authenticator.FindAsync(http.Request, http.RequestAborted) is null)
        {
            await RefuseAsync(http, CommonErrors.AuthenticationRequired());
            return;
        }
        var address = _addresses.Of(http);
        if (!_places.TryTake(address))
        {
            await RefuseAsync(http, EvolutionErrors.TooManySockets());
            return;
        }
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted, _lifetime.ApplicationStopping);
        var client = new Client(http.Request.Query["trial_id"].ToString(), ending);
        // Before it hears anything.
        client.Send(JsonSerializer.SerializeToUtf8Bytes(
            new ConnectionFrame("connection", "Connected to Evolution API WebSocket", _time.GetUtcNow()), EvolutionJson.Default.ConnectionFrame));
        _clients[client] = true;
        try
        {
            using var socket = await http.WebSockets.AcceptWebSocketAsync();
            var sending = client.SendQueueAsync(socket, ending.Token);
            try
            {
                await ReceiveAsync(socket, client, ending.Token);
            }
            finally
            {
                await ending.CancelAsync();
                await sending.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
        catch (Exception exception) when (exception is OperationCanceledException or WebSocketException or IOException)
        {
            // The client left or was too slow, or the host stops.
            if (client.IsSlow)
                LogSlow(address);
        }
        finally
        {
            _clients.TryRemove(client, out _);
            _places.Return(address);
        }
    }

    // ping gets pong; anything else is for nobody.
    private static async Task ReceiveAsync(WebSocket socket, Client client, CancellationToken cancellationToken)
    {
        var buffer = new byte[1024];
        var isStart = true;
        while (true)
        {
            var part = await socket.ReceiveAsync(buffer.AsMemory(), cancellationToken);
            if (part.MessageType == WebSocketMessageType.Close)
            {
                await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, cancellationToken);
                return;
            }
            if (isStart && part is { EndOfMessage: true, MessageType: WebSocketMessageType.Text } && buffer.AsSpan(0, part.Count).SequenceEqual("ping"u8))
                client.Send(s_pong);
            isStart = part.EndOfMessage;
        }
    }

    private async Task RefuseAsync(HttpContext http, RegistryException error)
    {
        var body = ErrorBodies.Create(Family.Evolution, error, Guid.CreateVersion7(_time.GetUtcNow()).ToString("N"), asProblem: false);
        http.Response.StatusCode = body.Status;
        http.Response.ContentType = body.ContentType;
        http.Response.ContentLength = body.Bytes.Length;
        if (error.RetryAfter is { } wait)
            http.Response.Headers.RetryAfter = ((long)wait.TotalSeconds).ToString();
        await http.Response.Body.WriteAsync(body.Bytes, http.RequestAborted);
    }

    [LoggerMessage(5301, LogLevel.Warning, "A WebSocket of {Address} was dropped: it did not keep up with the updates")]
    private partial void LogSlow(string address);

    private sealed class Client(string trialId, CancellationTokenSource ending)
    {
        private readonly Channel<byte[]> _queue = Channel.CreateBounded<byte[]>(new BoundedChannelOptions(QueueLength) { SingleReader = true });

        /// <summary>Empty: all trials.</summary>
        public string TrialId => trialId;

        public bool IsSlow { get; private set; }

        /// <summary>Never waits: a client with a full queue is dropped.</summary>
        public void Send(byte[] frame)
        {
            if (_queue.Writer.TryWrite(frame) || IsSlow)
                return;
            IsSlow = true;
            // On another thread: what waits for it must not hold up the other clients.
            _ = Task.Run(End);
        }

        public async Task SendQueueAsync(WebSocket socket, CancellationToken cancellationToken)
        {
            try
            {
                await foreach (var frame in _queue.Reader.ReadAllAsync(cancellationToken))
                    await socket.SendAsync(frame, WebSocketMessageType.Text, endOfMessage: true, cancellationToken);
            }
            finally
            {
                End();
            }
        }

        private void End()
        {
            try
            {
                ending.Cancel();
            }
            catch (ObjectDisposedException)
            {
                // The client has gone by itself.
            }
        }
    }
}
