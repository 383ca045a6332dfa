using System.Text.Json;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.ModelRegistry;

/// <summary>spec-hokusai.md, the health endpoints, over the native store.</summary>
public sealed class HealthTests(HokusaiApp app) : IClassFixture<HokusaiApp>
{
    private async Task<JsonElement> GetAsync(string path, int status = 200)
    {
        // Without a key: all of them are public.
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(app.Client.BaseAddress!, "/hokusai" + path));
        using var handler = new SocketsHttpHandler();
        using var client = new HttpClient(handler);
        return await (await client.SendAsync(request)).JsonAsync(status);
    }

    [Fact]
    public async Task Every_service_is_healthy_when_it_is()
    {
        var health = await GetAsync("/health");
        health.GetProperty("services").GetRawText().ShouldBe("""{"mlflow":"healthy","postgres":"healthy","redis":"healthy","message_queue":"healthy"}""");
        (health.Str("status"), health.Str("version")).ShouldBe(("healthy", "1.0.0"));
        health.GetProperty("timestamp").GetDateTimeOffset().ShouldBeGreaterThan(DateTimeOffset.UnixEpoch.AddYears(50));
        (await GetAsync("/health?detailed=true")).GetProperty("system_info").GetProperty("memory_percent").GetDouble().ShouldBeGreaterThan(0);
        await GetAsync("/health?detailed=perhaps", 422);
    }

    [Fact]
    public async Task The_message_queue_is_the_durable_hub_itself()
    {
        await ExecuteAsync("ALTER TABLE durable.instances RENAME TO away");
        try
        {
            JsonElement health = default;
            await Eventually.UntilAsync(async () => (health = await GetAsync("/health")).GetProperty("services").Str("message_queue") != "healthy");
            (health.GetProperty("services").Str("postgres"), health.Str("status")).ShouldBe(("healthy", "degraded"));
        }
        finally
        {
            await ExecuteAsync("ALTER TABLE durable.away RENAME TO instances");
        }
        await Eventually.UntilAsync(async () => (await GetAsync("/health")).GetProperty("services").Str("message_queue") == "healthy");

        async Task ExecuteAsync(string sql)
        {
            await using var command = app.Database.CreateCommand(sql);
            await command.ExecuteNonQueryAsync();
        }
    }

    [Fact]
    public async Task Ready_live_and_version_tell_what_is()
    {
        var ready = await GetAsync("/ready");
        (ready.GetProperty("ready").GetBoolean(), ready.GetProperty("can_serve_traffic").GetBoolean(), ready.GetProperty("degraded_mode").GetBoolean()).ShouldBe((true, true, false));
        ready.GetProperty("checks")[0].GetRawText().ShouldBe("""{"name":"database","passed":true,"error":null,"critical":true}""");
        var live = await GetAsync("/live");
        live.GetProperty("uptime").GetDouble().ShouldBeGreaterThan(0);
        live.GetProperty("memory_usage_mb").GetDouble().ShouldBeGreaterThan(10);
        var version = await GetAsync("/version");
        version.Str("git_commit").ShouldNotBeNullOrEmpty();
        version.Str("api_version").ShouldBe("v1");
    }

    [Fact]
    public async Task The_native_store_reports_as_a_server_would()
    {
        (await GetAsync("/health/mlflow")).Str("circuit_breaker_state").ShouldBe("CLOSED");
        var status = await GetAsync("/health/status");
        status.GetProperty("mlflow").GetProperty("circuit_breaker").GetProperty("failure_count").GetInt32().ShouldBe(0);
        status.Str("environment")!.ShouldMatch("^[a-z]+$");
        var report = await GetAsync("/mlflow/health/mlflow");
        report.GetProperty("checks").EnumerateObject().Select(check => check.Value.Str("status")).ShouldAllBe(status => status == "healthy");
        (await GetAsync("/api/health/mlflow")).Str("status").ShouldBe("healthy");
        (await GetAsync("/api/health/mlflow/connectivity")).Str("status").ShouldBe("connected");
        (await GetAsync("/mlflow/health/mlflow/detailed")).GetProperty("overall_health").GetBoolean().ShouldBeTrue();
    }

    [Fact]
    public async Task Metrics_are_prometheus_text()
    {
        var text = await app.Client.GetStringAsync("/hokusai/metrics");
        text.ShouldContain("# TYPE mlflow_circuit_breaker_state gauge\nmlflow_circuit_breaker_state 0\n");
        text.ShouldContain("# TYPE mlflow_circuit_breaker_failures_total counter\nmlflow_circuit_breaker_failures_total 0\n");
        text.ShouldContain("# TYPE mlflow_connection_status gauge\nmlflow_connection_status 1\n");
        text.ShouldContain("# TYPE mlflow_connection_failures_total counter\nmlflow_connection_failures_total 0\n");
        text.ShouldContain("# TYPE mlflow_response_time_seconds histogram\nmlflow_response_time_seconds_bucket{le=\"0.005\"} ");
        text.ShouldContain("mlflow_response_time_seconds_bucket{le=\"7.5\"} ");
        text.ShouldContain("# TYPE mlflow_info gauge\nmlflow_info{mode=\"native\",version=\"");
        text.ShouldContain("# TYPE process_resident_memory_bytes gauge\n");
        // The look that this very answer is from was measured.
        var attempts = text.Split('\n').Single(line => line.StartsWith("mlflow_connection_attempts_total ", StringComparison.Ordinal)).Split(' ')[1];
        int.Parse(attempts).ShouldBeGreaterThan(0);
        text.ShouldContain($"mlflow_response_time_seconds_count {attempts}\n");
    }
}
