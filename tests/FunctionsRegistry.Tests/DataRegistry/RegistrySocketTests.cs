using System.Net;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.DataRegistry;

public sealed class RegistrySocketTests(RegistrySocketTests.App app) : IClassFixture<RegistrySocketTests.App>
{
    public sealed class App(TestServices services) : DataRegistryApp(services)
    {
        protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string> { ["Dhg:MaxSockets"] = "6" };
    }

    private static readonly CancellationToken s_limit = new CancellationTokenSource(TimeSpan.FromMinutes(1)).Token;

    private async Task<ClientWebSocket> OpenAsync(string query = "")
    {
        var socket = new ClientWebSocket();
        await socket.ConnectAsync(new Uri(app.Client.BaseAddress!.ToString().Replace("http://", "ws://", StringComparison.Ordinal) + "dhg/ws" + query), s_limit);
        return socket;
    }

    private static Task SendAsync(ClientWebSocket socket, string text) => socket.SendAsync(Encoding.UTF8.GetBytes(text), WebSocketMessageType.Text, true, s_limit);

    private static Task SendAsync(ClientWebSocket socket, string type, object data) => SendAsync(socket, JsonSerializer.Serialize(new { type, data }));

    private static async Task<(string Type, JsonElement Data)> ReceiveAsync(ClientWebSocket socket)
    {
        var buffer = new byte[64 * 1024];
        var received = await socket.ReceiveAsync(buffer, s_limit);
        received.MessageType.ShouldBe(WebSocketMessageType.Text);
        var message = JsonElement.Parse(buffer.AsSpan(0, received.Count));
        return (message.Text("type")!, message.GetProperty("data"));
    }

    [Fact]
    public async Task The_first_messages_are_answered_as_the_contract_says()
    {
        using var socket = await OpenAsync("?client_id=me");
        await SendAsync(socket, "connection.init", new { token = "x" });
        var (type, data) = await ReceiveAsync(socket);
        (type, data.Text("server_version")).ShouldBe(("connection.ack", "1.0.0"));
        Guid.TryParse(data.Text("session_id"), out _).ShouldBeTrue();
        data.GetProperty("capabilities").EnumerateArray().Select(one => one.GetString()).ShouldBe(["streaming", "compression", "agent_status"]);

        await SendAsync(socket, """{"type":"ping"}""");
        (type, data) = await ReceiveAsync(socket);
        (type, data.GetRawText()).ShouldBe(("pong", "{}"));

        await SendAsync(socket, "chat.message", new { content = "hi", request_id = "r" });
        (type, data) = await ReceiveAsync(socket);
        (type, data.Text("content"), data.Text("request_id")).ShouldBe(("chat.response", "Received: hi", "r"));
        await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, null, s_limit);
    }

    [Fact]
    public async Task A_submitted_request_is_a_real_one_and_is_followed_to_its_end()
    {
        using var socket = await OpenAsync();
        await SendAsync(socket, "request.submit", DataRegistryApp.ResearchBody("socket-user", "Insomnia"));
        var (type, data) = await ReceiveAsync(socket);
        var id = data.Text("request_id");
        type.ShouldBe("request.accepted");
        (await app.GetAsync($"/research/requests/{id}")).Text("user_id").ShouldBe("socket-user");

        await app.PatchAsync($"/research/requests/{id}", new { status = "running" });
        (type, data) = await ReceiveAsync(socket);
        (type, data.Text("request_id"), data.Text("status"), data.Text("agent")).ShouldBe(("agent.status", id, "running", "cme_research"));

        await app.PatchAsync($"/research/requests/{id}", new { status = "completed", output_summary = new { citations_count = 9 }, completed_at = "2026-11-21T10:00:00Z" });
        (type, data) = await ReceiveAsync(socket);
        (type, data.Text("status")).ShouldBe(("agent.status", "completed"));
        (type, data) = await ReceiveAsync(socket);
        (type, data.Text("title"), data.GetProperty("output_summary").GetProperty("citations_count").GetInt32()).ShouldBe(("content.complete", "Insomnia", 9));
        data.GetProperty("metadata").Text("generated_at").ShouldBe("2026-11-21T10:00:00Z");
    }

    [Fact]
    public async Task A_request_is_cancelled_once()
    {
        using var socket = await OpenAsync();
        await SendAsync(socket, "request.submit", DataRegistryApp.ResearchBody());
        var id = (await ReceiveAsync(socket)).Data.Text("request_id");

        await SendAsync(socket, "request.cancel", new { request_id = id });
        var (type, data) = await ReceiveAsync(socket);
        (type, data.Text("request_id")).ShouldBe(("request.cancelled", id));
        (await app.GetAsync($"/research/requests/{id}")).Text("status").ShouldBe("failed");
        await SendAsync(socket, "request.cancel", new { request_id = id });
        (type, data) = await ReceiveAsync(socket);
        (type, data.Text("code")).ShouldBe(("error", "not_cancellable"));
    }

    [Theory]
    [InlineData("""{"type":"dance"}""", "unknown_message_type")]
    [InlineData("nonsense", "invalid_message")]
    [InlineData("[]", "invalid_message")]
    [InlineData("""{"data":{}}""", "invalid_message")]
    [InlineData("""{"type":"request.submit","data":{"user_id":5}}""", "invalid_message")]
    [InlineData("""{"type":"request.submit"}""", "invalid_message")]
    [InlineData("""{"type":"request.cancel","data":[]}""", "invalid_message")]
    [InlineData("""{"type":"chat.message","data":{"content":"\u0000"}}""", "invalid_message")]
    public async Task A_bad_message_gets_an_error_and_the_socket_stays_open(string text, string code)
    {
        using var socket = await OpenAsync();
        await SendAsync(socket, text);
        var (type, data) = await ReceiveAsync(socket);
        (type, data.Text("code")).ShouldBe(("error", code));
        await SendAsync(socket, """{"type":"ping"}""");
        (await ReceiveAsync(socket)).Type.ShouldBe("pong");
    }

    [Fact]
    public async Task A_message_that_is_too_long_or_binary_ends_the_socket()
    {
        using var socket = await OpenAsync();
        await socket.SendAsync(new byte[70_000], WebSocketMessageType.Text, true, s_limit);
        (await socket.ReceiveAsync(new byte[1024], s_limit)).CloseStatus.ShouldBe(WebSocketCloseStatus.MessageTooBig);

        using var other = await OpenAsync();
        await other.SendAsync(new byte[10], WebSocketMessageType.Binary, true, s_limit);
        (await other.ReceiveAsync(new byte[1024], s_limit)).CloseStatus.ShouldBe(WebSocketCloseStatus.InvalidMessageType);
    }

    [Fact]
    public async Task Status_counts_two_sockets_of_one_client_as_one_session_and_forgets_them()
    {
        async Task<(int, int)> StatusAsync()
        {
            var status = await app.GetAsync("/ws/status");
            return (status.GetProperty("active_connections").GetInt32(), status.GetProperty("sessions").GetInt32());
        }
        async Task BecomesAsync(int connections, int sessions)
        {
            while (await StatusAsync() != (connections, sessions))
                await Task.Delay(20, s_limit);
        }

        await BecomesAsync(0, 0);
        using (var first = await OpenAsync("?client_id=same"))
        using (var second = await OpenAsync("?client_id=same"))
        using (var third = await OpenAsync())
        {
            await BecomesAsync(3, 2);
            await first.CloseAsync(WebSocketCloseStatus.NormalClosure, null, s_limit);
            await BecomesAsync(2, 2);
        }
        await BecomesAsync(0, 0);
    }

    [Fact]
    public async Task More_sockets_than_allowed_are_refused_with_503()
    {
        var open = new List<ClientWebSocket>();
        try
        {
            var refused = await Should.ThrowAsync<WebSocketException>(async () =>
            {
                while (open.Count < 10)
                    open.Add(await OpenAsync());
            });
            refused.Message.ShouldContain("503");
        }
        finally
        {
            foreach (var socket in open)
                socket.Dispose();
        }
        while ((await app.GetAsync("/ws/status")).GetProperty("active_connections").GetInt32() > 0)
            await Task.Delay(20, s_limit);
    }

    [Fact]
    public async Task A_plain_request_is_404()
    {
        using var response = await app.Client.GetAsync("/dhg/ws");

        response.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }
}
