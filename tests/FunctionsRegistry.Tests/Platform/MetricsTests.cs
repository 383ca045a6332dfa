using System.Net;
using System.Text.RegularExpressions;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.Platform;

/// <summary>An app with limits and a key, as on Azure.</summary>
public sealed class MeasuredApp(TestServices services) : RegistryApp(services)
{
    public const string Key = "the-internal-key-of-the-tests";

    protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string> { ["InternalApiKey"] = Key, ["RateLimits:AgentxAnonymous"] = "3/1h" };
}

public sealed partial class MetricsTests(MeasuredApp app) : IClassFixture<MeasuredApp>
{
    [Fact]
    public async Task Requests_are_counted_by_route_method_and_status_family()
    {
        for (var i = 0; i < 5; i++)
            await app.Client.GetAsync($"/agentx/api/v1/agents/@nobody/agent-{i}");

        var text = await ReadAsync();

        Value(text, "http_server_request_duration_seconds_count", "method=\"GET\",route=\"/agentx/api/v1/agents/{scope}/{name}\",status=\"4xx\"").ShouldBeGreaterThanOrEqualTo(5);
        text.ShouldNotContain("nobody");
        Value(text, "rate_limit_decisions_total", "outcome=\"accepted\"").ShouldBe(3);
        Value(text, "rate_limit_decisions_total", "outcome=\"refused\"").ShouldBe(2);
        Value(text, "redis_call_duration_seconds_count", "outcome=\"success\"").ShouldBeGreaterThan(0);
    }

    [Fact]
    public async Task Everything_behind_the_app_is_there_and_every_line_is_prometheus_text()
    {
        await app.Client.GetAsync("/health");

        var text = await ReadAsync();

        string[] names =
        [
            "process_cpu_seconds_total", "process_resident_memory_bytes", "db_client_connection_count", "db_client_operation_duration", "blob_call_duration_seconds",
            "mlflow_circuit_breaker_state", "http_server_active_requests", "durable_turns_total",
        ];
        foreach (var name in names)
            text.ShouldContain($"# TYPE {name} ", Case.Sensitive, name);
        var lines = text.TrimEnd('\n').Split('\n');
        lines.Where(line => !Sample().IsMatch(line) && !line.StartsWith("# HELP ", StringComparison.Ordinal) && !line.StartsWith("# TYPE ", StringComparison.Ordinal)).ShouldBeEmpty();
        lines.Where(line => line[0] != '#').Select(line => line[..line.LastIndexOf(' ')]).ShouldBeUnique();
        // No label tells a host's user, or anything of a request.
        text.ShouldNotContain("Username=");
    }

    [Fact]
    public async Task Metrics_need_the_internal_key_where_there_is_one() => (await app.Client.GetAsync("/metrics")).StatusCode.ShouldBe(HttpStatusCode.Unauthorized);

    private async Task<string> ReadAsync()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/metrics") { Headers = { { "X-API-Key", MeasuredApp.Key } } };
        using var response = await app.Client.SendAsync(request);
        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        response.Content.Headers.ContentType!.ToString().ShouldBe("text/plain; version=0.0.4; charset=utf-8");
        return await response.Content.ReadAsStringAsync();
    }

    private static double Value(string text, string name, string labels) => text.Split('\n')
        .Where(line => line.StartsWith(name + "{", StringComparison.Ordinal) && line.Contains(labels, StringComparison.Ordinal))
        .Sum(line => double.Parse(line[(line.LastIndexOf(' ') + 1)..], System.Globalization.CultureInfo.InvariantCulture));

    [GeneratedRegex("""\A[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-zA-Z_]\w*="(\\.|[^"\\])*"(,[a-zA-Z_]\w*="(\\.|[^"\\])*")*\})? (NaN|[+-]Inf|-?[0-9.E+-]+)\z""")]
    private static partial Regex Sample();
}
