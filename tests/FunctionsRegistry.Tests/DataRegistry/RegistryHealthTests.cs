using System.Globalization;
using System.Net;
using FunctionsRegistry.Tests.Support;
using Npgsql;

namespace FunctionsRegistry.Tests.DataRegistry;

public sealed class RegistryHealthTests(DataRegistryApp app) : IClassFixture<DataRegistryApp>
{
    private async Task<Dictionary<string, double>> ScrapeAsync()
    {
        var text = await app.Client.GetStringAsync("/dhg/metrics");
        return text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => line[0] != '#')
            .ToDictionary(line => line[..line.LastIndexOf(' ')], line => double.Parse(line[(line.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture));
    }

    [Fact]
    public async Task Health_is_the_text_ok()
    {
        using var response = await app.Client.GetAsync("/dhg/healthz");

        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        response.Content.Headers.ContentType!.MediaType.ShouldBe("text/plain");
        (await response.Content.ReadAsStringAsync()).ShouldBe("OK");
    }

    [Fact]
    public async Task Operations_are_counted_and_timed_under_the_contract_s_names()
    {
        var before = await ScrapeAsync();
        await app.CreateMediaAsync();
        await app.GetAsync("/media");
        await app.GetAsync($"/media/{Guid.CreateVersion7()}", 404);
        await app.PostAsync("/media", new { }, 422);
        await app.PostAsync("/antigravity/files", new { conversation_id = "nobody", file_path = "/a" }, 404);
        await app.PostAsync("/segments", new { transcript_id = Guid.CreateVersion7(), segment_index = 0, start_time_seconds = 0, end_time_seconds = 1, text = "t" }, 404);
        await app.PostAsync("/projects", new { name = "p", project_id = "taken" });
        await app.PostAsync("/projects", new { name = "p", project_id = "taken" }, 409);
        var after = await ScrapeAsync();

        double Grown(string series) => after[series] - before.GetValueOrDefault(series);
        Grown("registry_write_operations_total{operation=\"create_media\"}").ShouldBe(1);
        Grown("registry_read_operations_total{operation=\"list_media\"}").ShouldBe(1);
        Grown("registry_write_latency_count").ShouldBe(2);
        Grown("registry_write_latency_bucket{le=\"+Inf\"}").ShouldBe(2);
        Grown("registry_read_latency_count").ShouldBe(2);
        after["registry_db_errors_total"].ShouldBe(0);
        after["registry_db_connections"].ShouldBe(0);
        after.Keys.ShouldNotContain(key => key.StartsWith("registry_errors_total", StringComparison.Ordinal));
        after["process_resident_memory_bytes"].ShouldBeGreaterThan(1 << 20);
        after["process_virtual_memory_bytes"].ShouldBeGreaterThan(1 << 20);
    }

    [Fact]
    public async Task The_buckets_are_the_contract_s_and_the_form_is_0_0_4()
    {
        await app.CreateMediaAsync();
        using var response = await app.Client.GetAsync("/dhg/metrics");
        var text = await response.Content.ReadAsStringAsync();

        response.Content.Headers.ContentType!.ToString().ShouldBe("text/plain; version=0.0.4; charset=utf-8");
        foreach (var bound in (string[])["1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "+Inf"])
            text.ShouldContain($"registry_write_latency_bucket{{le=\"{bound}\"}} ");
        text.ShouldContain("# TYPE registry_write_latency histogram\n");
        text.ShouldContain("# TYPE registry_write_operations_total counter\n");
        text.ShouldContain("# TYPE registry_db_connections gauge\n");
        text.ShouldContain("# HELP registry_db_errors_total Database connection errors.\n");
    }
}

/// <summary>With the database gone.</summary>
public sealed class RegistryOutageTests(RegistryOutageTests.App app) : IClassFixture<RegistryOutageTests.App>
{
    public sealed class App(TestServices services) : DataRegistryApp(services)
    {
        public FaultProxy Postgres { get; } = new NpgsqlConnectionStringBuilder(services.Postgres) is var server
            ? new FaultProxy(server.Host == "localhost" ? "127.0.0.1" : server.Host!, server.Port)
            : throw new InvalidOperationException();

        protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>
        {
            ["POSTGRES_HOST"] = "127.0.0.1",
            ["POSTGRES_PORT"] = Postgres.Port.ToString(),
        };

        public override async ValueTask DisposeAsync()
        {
            await base.DisposeAsync();
            Postgres.Dispose();
        }
    }

    [Fact]
    public async Task Without_its_database_everything_is_503_and_counted_and_it_recovers()
    {
        await app.GetAsync("/media");
        app.Postgres.Break();
        try
        {
            using var health = await app.Client.GetAsync("/dhg/healthz");
            (await DataRegistryApp.ReadAsync(health, 503)).Text("detail").ShouldBe("Database unavailable");
            await app.GetAsync("/media", 503);
            await app.PostAsync("/events", new { event_type = "a", entity_type = "b" }, 503);
            var metrics = await app.Client.GetStringAsync("/dhg/metrics");
            metrics.ShouldContain("registry_errors_total{error_type=\"list_media_failed\"}");
            metrics.ShouldContain("registry_errors_total{error_type=\"create_event_failed\"}");
            metrics.ShouldNotContain("registry_db_errors_total 0\n");
        }
        finally
        {
            app.Postgres.Mend();
        }
        await app.GetAsync("/media");
        (await app.Client.GetStringAsync("/dhg/healthz")).ShouldBe("OK");
    }
}

/// <summary>With an internal key set.</summary>
public sealed class RegistryKeyTests(RegistryKeyTests.App app) : IClassFixture<RegistryKeyTests.App>
{
    public sealed class App(TestServices services) : DataRegistryApp(services)
    {
        protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string> { ["InternalApiKey"] = "s3cret" };
    }

    [Fact]
    public async Task With_an_internal_key_only_health_is_open()
    {
        (await app.Client.GetStringAsync("/dhg/healthz")).ShouldBe("OK");
        await app.GetAsync("/media", 401);
        await app.PostAsync("/events", new { event_type = "a", entity_type = "b" }, 401);
        (await app.Client.GetAsync("/dhg/metrics")).StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        using var request = new HttpRequestMessage(HttpMethod.Get, DataRegistryApp.Base + "/media") { Headers = { { "X-API-Key", "s3cret" } } };
        using var response = await app.Client.SendAsync(request);
        response.StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task A_socket_needs_the_key_as_well()
    {
        using var socket = new System.Net.WebSockets.ClientWebSocket();
        var address = new Uri(app.Client.BaseAddress!.ToString().Replace("http://", "ws://", StringComparison.Ordinal) + "dhg/ws");
        var refused = await Should.ThrowAsync<System.Net.WebSockets.WebSocketException>(() => socket.ConnectAsync(address, CancellationToken.None));
        refused.Message.ShouldContain("401");

        using var known = new System.Net.WebSockets.ClientWebSocket();
        known.Options.SetRequestHeader("X-API-Key", "s3cret");
        await known.ConnectAsync(address, CancellationToken.None);
        known.State.ShouldBe(System.Net.WebSockets.WebSocketState.Open);
    }
}
