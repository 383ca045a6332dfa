using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.DataRegistry;
using FunctionsRegistry.Metrics;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace FunctionsRegistry.Benchmarks;

/// <summary>
/// The data registry beside a bare Kestrel that runs the same SQL with the same stores and writes the same JSON; then conversation search and segments
/// created one by one, which have numbers to reach of their own.
/// </summary>
internal sealed class DataRegistryBench : IAsyncDisposable
{
    private const int Vocabulary = 50_000;

    private readonly BenchHost _host;
    private readonly WebApplication _bare;
    private readonly HttpClient _appClient;
    private readonly HttpClient _bareClient;
    private Guid _conversation;
    private Guid _media;
    private Guid _transcript;

    private DataRegistryBench(BenchHost host, WebApplication bare)
    {
        (_host, _bare) = (host, bare);
        (_appClient, _bareClient) = (host.CreateClient(), BenchHost.CreateClient(bare.Services));
    }

    public static async Task<DataRegistryBench> StartAsync()
    {
        var host = await BenchHost.StartAsync();
        return new DataRegistryBench(host, await StartBareAsync(host.Services));
    }

    /// <summary>Conversations of twenty messages of forty words; a few words are frequent and most are rare, as in a language.</summary>
    public async Task FillAsync(int conversations)
    {
        var clock = Stopwatch.StartNew();
        await _host.ExecuteAsync(
        [
            .. FillSql.Select(sql => sql.Replace("{conversations}", conversations.ToString(), StringComparison.Ordinal)
                .Replace("{words}", Vocabulary.ToString(), StringComparison.Ordinal)),
        ]);
        var media = _host.Services.GetRequiredService<MediaStore>();
        _media = (await media.InsertMediaAsync(new NewMedia("a.mp4", "/a.mp4", 1, "video/mp4", null, null), default)).Id;
        _transcript = (await media.InsertTranscriptAsync(new NewTranscript(_media, "text", null, null, null, null, 1, null), default)).Id;
        _conversation = (await _host.Services.GetRequiredService<ConversationStore>().ListAsync(new ListPart(0, 1, null), null, null, default)).Items[0].Id;
        Console.WriteLine($"{conversations:N0} conversations with {conversations * 20:N0} messages filled in {clock.Elapsed.TotalSeconds:0.0} s");
    }

    public async Task RunAsync(TimeSpan time)
    {
        Console.WriteLine($"{Environment.ProcessorCount} cores; app / baseline, 16 in flight");
        await CompareAsync("media file", $"/media/{_media}", time);
        await CompareAsync("conversation", $"/conversations/{_conversation}", time);
        await CompareAsync("conversations, 100", "/conversations?limit=100", time);
        await CompareAsync("messages of one", $"/messages/conversation/{_conversation}", time);
        await SearchAsync("frequent word (2 in 3)", i => $"term{i % 2}");
        await SearchAsync("common word", i => $"term{20 + (i % 180)}");
        await SearchAsync("any word", i => $"term{i * 7919 % Vocabulary}");
        await SearchAsync("two common words", i => $"term{20 + (i % 180)} term{30 + (i * 31 % 170)}");
        await SearchAsync("two any words", i => $"term{i * 7919 % Vocabulary} term{i % 300}");
        await SearchAsync("part of a word", i => $"erm{1000 + (i % 9000)}");
        await SearchAsync("two letters", i => $"{(char)('a' + (i % 26))}{(char)('e' + (i % 20))}");
        await SearchAsync("with punctuation", i => $"term{20 + (i % 180)}-term{i % 20}");
        await CreateSegmentsAsync();
        await ScrapeAsync();
        Console.WriteLine($"resident {Process.GetCurrentProcess().WorkingSet64 >> 20} MB (app, baseline and load client in one process)");
    }

    public async ValueTask DisposeAsync()
    {
        await _bare.DisposeAsync();
        await _host.DisposeAsync();
    }

    private async Task CompareAsync(string name, string path, TimeSpan time)
    {
        var (app, baseline) = await LoadClient.CompareAsync(
            new LoadTarget(_appClient, _ => new HttpRequestMessage(HttpMethod.Get, "/dhg/api/v1" + path)),
            new LoadTarget(_bareClient, _ => new HttpRequestMessage(HttpMethod.Get, path)), time);
        Console.WriteLine($"{name,-24}{$"{app.PerSecond:N0} / {baseline.PerSecond:N0} per s",26}{app.PerSecond / baseline.PerSecond,8:0.00}{$"p50 {app.P50Ms:0.0} / {baseline.P50Ms:0.0}",18}");
    }

    // One at a time, every query another one: the time that a person waits.
    private async Task SearchAsync(string name, Func<int, string> query)
    {
        var times = new List<double>();
        var found = 0L;
        for (var i = 0; i < 220; i++)
        {
            var start = Stopwatch.GetTimestamp();
            var body = await _appClient.GetByteArrayAsync("/dhg/api/v1/conversations/search?q=" + Uri.EscapeDataString(query(i)));
            if (i < 20)
                continue;
            times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            found += JsonElement.Parse(body).GetArrayLength();
        }
        times.Sort();
        Console.WriteLine($"search, {name,-24} p50 {times[times.Count / 2],7:0.0} ms   p95 {times[times.Count * 95 / 100],7:0.0} ms   max {times[^1],7:0.0} ms   {found / times.Count} found");
    }

    private async Task CreateSegmentsAsync()
    {
        const int Segments = 10_000;
        const int Clients = 32;
        for (var round = 0; round < 4; round++)
        {
            var next = -1;
            var clock = Stopwatch.StartNew();
            await Task.WhenAll(Enumerable.Range(0, Clients).Select(async _ =>
            {
                await Task.Yield();
                int index;
                while ((index = Interlocked.Increment(ref next)) < Segments)
                {
                    using var body = new StringContent(
                        $$"""{"transcript_id":"{{_transcript}}","segment_index":{{index}},"start_time_seconds":{{index}},"end_time_seconds":{{index + 1}},"text":"One sentence that somebody said.","confidence_score":0.97,"speaker_id":"A"}""",
                        Encoding.UTF8, "application/json");
                    using var response = await _appClient.PostAsync("/dhg/api/v1/segments", body);
                    if ((int)response.StatusCode != 201)
                        throw new InvalidOperationException(await response.Content.ReadAsStringAsync());
                }
            }));
            Console.WriteLine($"{Segments:N0} segments one by one, {Clients} clients: {Segments / clock.Elapsed.TotalSeconds:N0} per s{(round == 0 ? " (warming up)" : "")}");
        }
    }

    private async Task ScrapeAsync()
    {
        var metrics = _host.Services.GetRequiredService<PrometheusMetrics>();
        var counter = metrics.GetMeter(RegistryMetrics.MeterName).CreateCounter<long>("bench_series");
        for (var i = 0; i < 200; i++)
            counter.Add(1, new("series", i), new("code", 200));
        var times = new List<double>();
        for (var i = 0; i < 300; i++)
        {
            var start = Stopwatch.GetTimestamp();
            await _appClient.GetByteArrayAsync("/dhg/metrics");
            times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }
        times.Sort();
        Console.WriteLine($"/metrics with 200 series: p50 {times[150]:0.00} ms, p99 {times[297]:0.00} ms");
        await ShareAsync(metrics);
    }

    // What a request measures, how long one measurement takes, and the request itself.
    private async Task ShareAsync(PrometheusMetrics metrics)
    {
        const int Calls = 5_000_000;
        const int Requests = 3_000;
        var histogram = metrics.GetMeter(RegistryMetrics.MeterName).CreateHistogram<double>("bench_seconds");
        var clock = Stopwatch.StartNew();
        for (var i = 0; i < Calls; i++)
            histogram.Record(0.003, new("route", "/a"), new("method", "GET"), new("code", "2xx"), new("service", "dhg"));
        var one = clock.Elapsed.TotalMicroseconds / Calls;
        var measured = 0L;
        using var listener = new MeterListener { InstrumentPublished = (instrument, listener) => listener.EnableMeasurementEvents(instrument) };
        listener.SetMeasurementEventCallback<long>((_, _, _, _) => Interlocked.Increment(ref measured));
        listener.SetMeasurementEventCallback<int>((_, _, _, _) => Interlocked.Increment(ref measured));
        listener.SetMeasurementEventCallback<double>((_, _, _, _) => Interlocked.Increment(ref measured));
        listener.Start();
        var times = new List<double>();
        for (var i = 0; i < Requests; i++)
        {
            var start = Stopwatch.GetTimestamp();
            await _appClient.GetByteArrayAsync($"/dhg/api/v1/media/{_media}");
            times.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
        }
        times.Sort();
        var (each, request) = ((double)measured / Requests, times[Requests / 2]);
        Console.WriteLine(
            $"a request measures {each:0.0} times, all meters of the process counted; {one * 1000:0} ns each with four labels: {each * one:0.0} us of {request:0} us, {each * one / request:P2}");
    }

    private static async Task<WebApplication> StartBareAsync(IServiceProvider services)
    {
        var media = services.GetRequiredService<MediaStore>();
        var conversations = services.GetRequiredService<ConversationStore>();
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        builder.Services.AddRoutingCore();
        var bare = builder.Build();
        bare.UseRouting();
        bare.MapGet("/media/{id:guid}", async (HttpContext http, Guid id) =>
            await http.Response.WriteAsJsonAsync((await media.FindMediaAsync(id, http.RequestAborted))!, DataRegistryJson.Default.MediaFile));
        bare.MapGet("/conversations/{id:guid}", async (HttpContext http, Guid id) =>
            await http.Response.WriteAsJsonAsync((await conversations.FindAsync(id, http.RequestAborted))!, DataRegistryJson.Default.Conversation));
        bare.MapGet("/conversations", async (HttpContext http) =>
            await http.Response.WriteAsJsonAsync(
                (await conversations.ListAsync(new ListPart(0, 100, null), null, null, http.RequestAborted)).Items, DataRegistryJson.Default.IReadOnlyListConversation));
        bare.MapGet("/messages/conversation/{id:guid}", async (HttpContext http, Guid id) =>
            await http.Response.WriteAsJsonAsync((await conversations.ListMessagesAsync(id, 0, http.RequestAborted)).Items, DataRegistryJson.Default.IReadOnlyListMessage));
        await bare.StartAsync();
        return bare;
    }

    private static readonly string[] FillSql =
    [
        "SET synchronous_commit = off",
        "SET maintenance_work_mem = '512MB'",
        "DROP INDEX dhg.messages_search",
        """
        INSERT INTO dhg.conversations (title, conversation_id, export_source, created_at)
        SELECT (SELECT string_agg('term' || floor(power(random(), 3) * {words})::int, ' ') FROM generate_series(1, 5) WHERE n = n), 'bench-' || n, 'official_export',
            now() - n * interval '1 minute'
        FROM generate_series(1, {conversations}) n
        """,
        """
        INSERT INTO dhg.messages (conversation_id, message_index, role, content, attachments, created_at)
        SELECT c.id, m, CASE WHEN m % 2 = 0 THEN 'human' ELSE 'assistant' END,
            (SELECT string_agg('term' || floor(power(random(), 3) * {words})::int, ' ') FROM generate_series(1, 40) WHERE m = m), '[]', c.created_at + m * interval '1 second'
        FROM dhg.conversations c CROSS JOIN generate_series(0, 19) m
        """,
        "INSERT INTO dhg.artifacts (conversation_id, title, artifact_type, content) SELECT id, 'A', 'code', 'x' FROM dhg.conversations TABLESAMPLE SYSTEM (20)",
        "CREATE INDEX messages_search ON dhg.messages USING gin (search) WITH (gin_pending_list_limit = 512)",
        "VACUUM (ANALYZE)",
    ];
}
