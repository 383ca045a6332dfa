using System.Net;
using System.Net.Http.Json;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.Evolution;
using FunctionsRegistry.Tests.Marketplace;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.Evolution;

public sealed class LiveUpdateTests(LiveUpdateTests.App app) : IClassFixture<LiveUpdateTests.App>
{
    public sealed class App(TestServices services) : EvolutionApp(services)
    {
        protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string> { ["Evolution:SocketsPerClient"] = "5" };
    }

    private static readonly CancellationToken s_limit = new CancellationTokenSource(TimeSpan.FromMinutes(2)).Token;

    private static async Task<ClientWebSocket> OpenAsync(HttpClient client, string query = "", string path = "evolution/ws")
    {
        // Sockets of other tests close in the background; the limit may be reached for a moment.
        for (var i = 0; ; i++)
        {
            var socket = new ClientWebSocket();
            try
            {
                await socket.ConnectAsync(new Uri(client.BaseAddress!.ToString().Replace("http://", "ws://", StringComparison.Ordinal) + path + query), s_limit);
                return socket;
            }
            catch (WebSocketException) when (i < 100)
            {
                socket.Dispose();
                await Task.Delay(50, s_limit);
            }
        }
    }

    private static async Task<string> ReceiveAsync(ClientWebSocket socket)
    {
        var buffer = new byte[64 * 1024];
        var received = await socket.ReceiveAsync(buffer, s_limit);
        received.MessageType.ShouldBe(WebSocketMessageType.Text);
        return Encoding.UTF8.GetString(buffer.AsSpan(0, received.Count));
    }

    // All frames up to the trial's last.
    private static async Task<List<string>> ReceiveTrialAsync(ClientWebSocket socket)
    {
        var frames = new List<string>();
        do
            frames.Add(await ReceiveAsync(socket));
        while (!frames[^1].Contains("\"Trial completed successfully\"", StringComparison.Ordinal));
        return frames;
    }

    private static string Message(string frame) => JsonElement.Parse(frame).GetProperty("message").GetString()!;

    [Fact]
    public async Task The_first_frame_is_the_specs_and_ping_gets_pong()
    {
        using var socket = await OpenAsync(app.Client);
        var first = JsonElement.Parse(await ReceiveAsync(socket));
        first.EnumerateObject().Select(member => member.Name).ShouldBe(["type", "message", "timestamp"]);
        first.GetProperty("type").GetString().ShouldBe("connection");
        first.GetProperty("message").GetString().ShouldBe("Connected to Evolution API WebSocket");
        first.GetProperty("timestamp").GetString()!.ShouldMatch(@"^[\d-]{10}T[\d:]{8}(\.\d{6})?Z$");

        await socket.SendAsync("anything"u8.ToArray(), WebSocketMessageType.Text, true, s_limit);
        await socket.SendAsync(new byte[5000], WebSocketMessageType.Binary, true, s_limit);
        await socket.SendAsync("ping"u8.ToArray(), WebSocketMessageType.Text, true, s_limit);
        (await ReceiveAsync(socket)).ShouldBe("pong");
        await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, null, s_limit);

        // What GET /evolution/live names, as a client of the contract's own port asks for it.
        using var throughPort = await OpenAsync(app.Client, path: "evolution/evolution/ws");
        JsonElement.Parse(await ReceiveAsync(throughPort)).GetProperty("type").GetString().ShouldBe("connection");
    }

    [Fact]
    public async Task A_trials_frames_come_in_order_on_every_process_and_are_the_events()
    {
        var other = await app.StartAsync(new Dictionary<string, string>());
        var id = await app.StartTrialAsync(new { generations = 12, population_size = 40, fitness_threshold = 1, parameters = new { seed = 5 } });
        await app.PostAsync("/evolution/pause", new { trial_id = id });
        using var here = await OpenAsync(app.Client, $"?trial_id={id}");
        using var there = await OpenAsync(other, $"?trial_id={id}");
        await ReceiveAsync(here);
        await ReceiveAsync(there);
        await app.PostAsync("/evolution/resume", new { trial_id = id });

        var frames = await ReceiveTrialAsync(here);
        (await ReceiveTrialAsync(there)).ShouldBe(frames[^(frames.Count)..]);
        var generations = frames.Where(frame => Message(frame).StartsWith("Generation", StringComparison.Ordinal)).ToList();
        generations.Select(frame => JsonElement.Parse(frame).GetProperty("data").GetProperty("generation").GetInt32()).ShouldBe(Enumerable.Range(13 - generations.Count, generations.Count));
        JsonElement.Parse(generations[0]).GetProperty("data").EnumerateObject().Select(member => member.Name).ShouldBe(["generation", "fitness", "improvement"]);
        var patterns = frames.Index().Where(one => Message(one.Item).StartsWith("Pattern", StringComparison.Ordinal)).ToList();
        foreach (var (place, frame) in patterns)
        {
            JsonElement.Parse(frame).GetProperty("data").GetProperty("pattern").EnumerateObject().Select(member => member.Name).ShouldBe(["id", "type", "confidence"]);
            Message(frames[place + 1]).ShouldBe(Message(frame).Replace("Pattern discovered in generation", "Generation", StringComparison.Ordinal) + " completed");
        }
        var improved = generations.Count(frame => JsonElement.Parse(frame).GetProperty("data").GetProperty("improvement").GetDouble() > 0);
        patterns.Count.ShouldBeLessThanOrEqualTo(improved);

        var events = await ReadEventsAsync(app.Client, id, null);
        events.Select(one => one.Id).ShouldBe(Enumerable.Range(1, events.Count));
        events.TakeLast(frames.Count).Select(one => one.Frame).ShouldBe(frames);
        (await ReadEventsAsync(other, id, 3)).ShouldBe(events[3..]);
    }

    [Fact]
    public async Task Events_follow_a_running_trial_to_its_end_and_then_there_is_no_content()
    {
        var id = await app.StartTrialAsync(new { generations = 5, population_size = 10, fitness_threshold = 1 });
        var events = await ReadEventsAsync(app.Client, id, null);

        Message(events[0].Frame).ShouldBe("Trial started");
        Message(events[^1].Frame).ShouldBe("Trial completed successfully");
        events.Count(one => Message(one.Frame).StartsWith("Generation", StringComparison.Ordinal)).ShouldBe(5);
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/evolution/evolution/{id}/events");
        request.Headers.Add("Last-Event-ID", events[^1].Id.ToString());
        (await app.Client.SendAsync(request, s_limit)).StatusCode.ShouldBe(HttpStatusCode.NoContent);
        using var wrong = new HttpRequestMessage(HttpMethod.Get, $"/evolution/evolution/{id}/events");
        wrong.Headers.Add("Last-Event-ID", "x");
        (await app.Client.SendAsync(wrong, s_limit)).StatusCode.ShouldBe(HttpStatusCode.UnprocessableEntity);
    }

    [Fact]
    public async Task A_cancelled_trial_says_so()
    {
        using var socket = await OpenAsync(app.Client);
        await ReceiveAsync(socket);
        var id = await app.StartTrialAsync(new { generations = 100, population_size = 100, fitness_threshold = 1 });
        await app.PostAsync($"/evolution/{id}/cancel", new { });
        string frame;
        do
            frame = await ReceiveAsync(socket);
        while (!frame.Contains(id, StringComparison.Ordinal) || Message(frame) != "Trial cancelled by user");
        JsonElement.Parse(frame).GetProperty("data").GetRawText().ShouldBe("{}");
    }

    [Fact]
    public async Task A_client_that_does_not_read_is_dropped_and_the_others_hear_everything()
    {
        var updates = app.Service<LiveUpdates>();
        using var slow = await OpenAsync(app.Client, "?trial_id=trial-flood");
        using var fast = await OpenAsync(app.Client, "?trial_id=trial-flood");
        await ReceiveAsync(fast);
        var frame = new string('x', 60_000);
        // More than the sockets' buffers and the queue hold.
        for (var i = 0; i < 1500; i++)
        {
            await updates.PublishAsync([new TrialEvent("trial-flood", i, i + frame)], s_limit);
            (await ReceiveAsync(fast)).ShouldStartWith(i + "x");
        }
        var buffer = new byte[1 << 16];
        await Should.ThrowAsync<WebSocketException>(async () =>
        {
            while ((await slow.ReceiveAsync(buffer, s_limit)).MessageType != WebSocketMessageType.Close)
            {
            }
        });
    }

    [Fact]
    public async Task Updates_reach_this_process_while_redis_is_down_and_others_when_it_is_back()
    {
        var parts = app.Servers.Redis.Split(':');
        using var proxy = new FaultProxy(parts[0] == "localhost" ? "127.0.0.1" : parts[0], int.Parse(parts[1]));
        var lonely = await app.StartAsync(new Dictionary<string, string> { ["REDIS_CONNECTION"] = $"127.0.0.1:{proxy.Port}" });
        using var here = await OpenAsync(lonely);
        await ReceiveAsync(here);
        proxy.Break();
        using var started = await lonely.PostAsJsonAsync("/evolution/evolution/start", new { generations = 100, population_size = 100, fitness_threshold = 1 }, s_limit);
        var id = (await started.ShouldBeAsync(200)).GetProperty("trial_id").GetString()!;
        using var cancelled = await lonely.PostAsync($"/evolution/evolution/{id}/cancel", null, s_limit);
        await cancelled.ShouldBeAsync(200);
        while (Message(await ReceiveAsync(here)) != "Trial cancelled by user")
        {
        }

        proxy.Mend();
        var receive = ReceiveAsync(here);
        for (var i = 0; !receive.IsCompleted; i++)
        {
            await app.Service<LiveUpdates>().PublishAsync([new TrialEvent("trial-back", i, "back")], s_limit);
            await Task.Delay(200, s_limit);
            i.ShouldBeLessThan(150);
        }
        (await receive).ShouldBe("back");
    }

    private static async Task<List<(int Id, string Frame)>> ReadEventsAsync(HttpClient client, string id, int? after)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/evolution/evolution/{id}/events");
        if (after is { } last)
            request.Headers.Add("Last-Event-ID", last.ToString());
        using var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, s_limit);
        response.Content.Headers.ContentType!.MediaType.ShouldBe("text/event-stream");
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(s_limit));
        var (events, number) = (new List<(int, string)>(), 0);
        while (await reader.ReadLineAsync(s_limit) is { } line)
            if (line.StartsWith("id: ", StringComparison.Ordinal))
                number = int.Parse(line[4..]);
            else if (line.StartsWith("data: ", StringComparison.Ordinal))
                events.Add((number, line[6..]));
        return events;
    }
}

/// <summary>Alone with its address: every socket counts.</summary>
public sealed class SocketLimitTests(EvolutionApp app) : IClassFixture<EvolutionApp>
{
    [Fact]
    public async Task One_client_has_ten_sockets_and_streams_at_most()
    {
        var address = new Uri(app.Client.BaseAddress!.ToString().Replace("http://", "ws://", StringComparison.Ordinal) + "evolution/ws");
        var id = await app.StartTrialAsync(new { generations = 100, population_size = 100, fitness_threshold = 1 });
        var sockets = Enumerable.Range(0, 25).Select(_ => new ClientWebSocket { Options = { CollectHttpResponseDetails = true } }).ToList();
        // All at once: no more than ten, and no fewer.
        await Task.WhenAll(sockets.Select(async socket =>
        {
            try
            {
                await socket.ConnectAsync(address, CancellationToken.None);
            }
            catch (WebSocketException)
            {
                socket.HttpStatusCode.ShouldBe(HttpStatusCode.TooManyRequests);
            }
        }));
        sockets.Count(socket => socket.State == WebSocketState.Open).ShouldBe(10);
        (await app.Client.GetAsync($"/evolution/evolution/{id}/events")).StatusCode.ShouldBe(HttpStatusCode.TooManyRequests);
        sockets.ForEach(socket => socket.Dispose());
        var stream = default(HttpResponseMessage);
        await Eventually.UntilAsync(async () =>
            (stream = await app.Client.GetAsync($"/evolution/evolution/{id}/events", HttpCompletionOption.ResponseHeadersRead)).StatusCode == HttpStatusCode.OK);
        stream!.Dispose();
        await app.PostAsync($"/evolution/{id}/cancel", new { });
        (await app.GetAsync("/evolution/live")).GetProperty("url").GetString().ShouldBe(address.OriginalString);
        (await app.Client.GetAsync("/evolution/ws")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }
}
