using System.Collections.Concurrent;
using System.Net.WebSockets;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using FunctionsRegistry.DataRegistry;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Json;
using FunctionsRegistry.Postgres;

namespace FunctionsRegistry.Functions.DataRegistry;

/// <summary>
/// One client's socket. Frames are <c>{"type", "data"}</c>: connection.init, ping, chat.message, request.submit (the body of POST /research/requests)
/// and request.cancel. A submitted request is followed until it is over; what the socket tells of it is what agents report through PATCH.
/// </summary>
internal sealed class RegistrySocketSession(WebSocket socket, Guid id, ResearchStore research, TimeProvider time) : IDisposable
{
    private const int MaxFrameBytes = 64 * 1024;
    private const int MaxFollowed = 100;
    private static readonly TimeSpan s_followEvery = TimeSpan.FromSeconds(1);

    // Request ids and the status that the client knows.
    private readonly ConcurrentDictionary<string, string> _followed = new();
    private readonly SemaphoreSlim _sending = new(1);

    /// <summary>Serves the client until one side ends it.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var following = FollowAsync(ending.Token);
        try
        {
            await ReceiveAsync(ending.Token);
        }
        finally
        {
            await ending.CancelAsync();
            await following.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _sending.Dispose();

    private async Task ReceiveAsync(CancellationToken cancellationToken)
    {
        var buffer = new byte[MaxFrameBytes];
        while (true)
        {
            var length = 0;
            ValueWebSocketReceiveResult part;
            do
            {
                if (length == buffer.Length)
                {
                    await socket.CloseAsync(WebSocketCloseStatus.MessageTooBig, "A message has at most 64 kB.", cancellationToken);
                    return;
                }
                part = await socket.ReceiveAsync(buffer.AsMemory(length), cancellationToken);
                length += part.Count;
            }
            while (!part.EndOfMessage);
            if (part.MessageType == WebSocketMessageType.Close)
            {
                await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, cancellationToken);
                return;
            }
            if (part.MessageType == WebSocketMessageType.Binary)
            {
                await socket.CloseAsync(WebSocketCloseStatus.InvalidMessageType, "Messages are JSON text.", cancellationToken);
                return;
            }
            await AnswerAsync(buffer.AsMemory(0, length), cancellationToken);
        }
    }

    private async Task AnswerAsync(ReadOnlyMemory<byte> frame, CancellationToken cancellationToken)
    {
        try
        {
            var message = FieldReader.OfBody(frame.Span);
            var type = message.Text("type", 1, 100);
            message.ThrowIfFaulty();
            await AnswerAsync(type, message, cancellationToken);
        }
        catch (RegistryException refused)
        {
            var details = refused.Fields.Select(fault => new SocketFault(string.Join('.', fault.Location), fault.Message, fault.Type)).ToList();
            await SendErrorAsync(refused.Kind == ErrorKind.Validation ? "invalid_message" : "failed", refused.Message, details, cancellationToken);
        }
        catch (Exception exception) when (PostgresErrors.Translate(exception) is { } unavailable)
        {
            await SendErrorAsync("unavailable", unavailable.Message, null, cancellationToken);
        }
    }

    private Task AnswerAsync(string type, FieldReader message, CancellationToken cancellationToken) => type switch
    {
        "connection.init" => SendAsync("connection.ack", new SocketAcknowledgement(id.ToString(), "1.0.0", ["streaming", "compression", "agent_status"]),
            DataRegistryJson.Default.SocketAcknowledgement, cancellationToken),
        "ping" => SendAsync("pong", new SocketPong(), DataRegistryJson.Default.SocketPong, cancellationToken),
        "chat.message" => ChatAsync(message, cancellationToken),
        "request.submit" => SubmitAsync(message, cancellationToken),
        "request.cancel" => CancelAsync(message, cancellationToken),
        _ => SendErrorAsync("unknown_message_type", $"Unknown message type: {type}", null, cancellationToken),
    };

    // The contract's own answer: it says that the message arrived.
    private Task ChatAsync(FieldReader message, CancellationToken cancellationToken)
    {
        var data = message.RequiredFields("data");
        var (content, requestId) = (data?.Text("content", maxLength: MaxFrameBytes), data?.OptionalText("request_id", maxLength: 255));
        message.ThrowIfFaulty();
        var answer = new SocketChatResponse($"Received: {content}", requestId);
        return SendAsync("chat.response", answer, DataRegistryJson.Default.SocketChatResponse, cancellationToken);
    }

    private async Task SubmitAsync(FieldReader message, CancellationToken cancellationToken)
    {
        var added = message.RequiredFields("data") is { } data ? ResearchFunctions.ReadRequest(data) : null;
        message.ThrowIfFaulty();
        if (_followed.Count >= MaxFollowed)
        {
            await SendErrorAsync("too_many_requests", $"One socket follows at most {MaxFollowed} requests.", null, cancellationToken);
            return;
        }
        var created = await research.InsertAsync(added!, cancellationToken);
        var estimate = await research.EstimateSecondsAsync(created.AgentType, cancellationToken);
        var answer = new SocketRequestAccepted(created.RequestId, estimate);
        await SendAsync("request.accepted", answer, DataRegistryJson.Default.SocketRequestAccepted, cancellationToken);
        _followed[created.RequestId] = created.Status;
    }

    private async Task CancelAsync(FieldReader message, CancellationToken cancellationToken)
    {
        var requestId = message.RequiredFields("data")?.Text("request_id", 1, 255);
        message.ThrowIfFaulty();
        if (await research.CancelAsync(requestId!, cancellationToken) is null)
        {
            await SendErrorAsync("not_cancellable", $"Request {requestId} does not exist or is over.", null, cancellationToken);
            return;
        }
        _followed.TryRemove(requestId!, out _);
        await SendAsync("request.cancelled", new SocketRequestCancelled(requestId!), DataRegistryJson.Default.SocketRequestCancelled, cancellationToken);
    }

    // Looks at the rows instead of listening to this process: the report may have come in through another one.
    private async Task FollowAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            await Task.Delay(s_followEvery, time, cancellationToken);
            if (_followed.IsEmpty)
                continue;
            try
            {
                await TellChangesAsync(cancellationToken);
            }
            catch (Exception exception) when (PostgresErrors.Translate(exception) is not null)
            {
                // The database is away; the next look tells the same.
            }
        }
    }

    private async Task TellChangesAsync(CancellationToken cancellationToken)
    {
        var known = _followed.ToArray();
        var present = (await research.ListAsync([.. known.Select(pair => pair.Key)], cancellationToken)).ToDictionary(request => request.RequestId);
        foreach (var (requestId, status) in known)
        {
            var request = present.GetValueOrDefault(requestId);
            if (request?.Status == status)
                continue;
            // Deleted, or over: nothing more will come.
            var isOver = request is null or { Status: "completed" or "failed" };
            if (!(isOver ? _followed.TryRemove(requestId, out _) : _followed.TryUpdate(requestId, request!.Status, status)))
                continue;
            if (request is null)
                await SendAsync("request.cancelled", new SocketRequestCancelled(requestId), DataRegistryJson.Default.SocketRequestCancelled, cancellationToken);
            else
                await TellAsync(request, cancellationToken);
        }
    }

    private async Task TellAsync(ResearchRequest request, CancellationToken cancellationToken)
    {
        await SendAsync("agent.status", new SocketAgentStatus(request.RequestId, request.AgentType, request.Status, request.ErrorMessage),
            DataRegistryJson.Default.SocketAgentStatus, cancellationToken);
        if (request.Status == "failed")
            await SendAsync("request.failed", new SocketRequestFailed(request.RequestId, request.ErrorMessage),
                DataRegistryJson.Default.SocketRequestFailed, cancellationToken);
        else if (request.Status == "completed")
            await SendAsync(
                "content.complete",
                new SocketContentComplete(request.RequestId, request.RequestId, TopicOf(request.InputParams), request.OutputSummary, request.ProcessingMetadata,
                    new SocketContentMetadata(request.CompletedAt, request.AgentType)),
                DataRegistryJson.Default.SocketContentComplete, cancellationToken);
    }

    private static string? TopicOf(RawJson input)
    {
        var json = JsonElement.Parse(input.Text);
        return json.ValueKind == JsonValueKind.Object && json.TryGetProperty("topic", out var topic) && topic.ValueKind == JsonValueKind.String
            ? topic.GetString()
            : null;
    }

    private Task SendErrorAsync(string code, string message, IReadOnlyList<SocketFault>? details, CancellationToken cancellationToken) =>
        SendAsync("error", new SocketError(code, message, details is { Count: > 0 } ? details : null), DataRegistryJson.Default.SocketError, cancellationToken);

    private async Task SendAsync<T>(string type, T data, JsonTypeInfo<T> dataType, CancellationToken cancellationToken)
    {
        var message = new SocketMessage(type, new RawJson(JsonSerializer.Serialize(data, dataType)));
        var bytes = JsonSerializer.SerializeToUtf8Bytes(message, DataRegistryJson.Default.SocketMessage);
        await _sending.WaitAsync(cancellationToken);
        try
        {
            await socket.SendAsync(bytes, WebSocketMessageType.Text, endOfMessage: true, cancellationToken);
        }
        finally
        {
            _sending.Release();
        }
    }
}
