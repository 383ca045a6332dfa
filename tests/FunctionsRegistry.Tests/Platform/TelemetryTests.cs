using System.Collections.Concurrent;
using System.Text;
using FunctionsRegistry.Tests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace FunctionsRegistry.Tests.Platform;

public sealed class TelemetryTests(RegistryApp app) : IClassFixture<RegistryApp>
{
    [Fact]
    public async Task Traces_and_metrics_go_to_the_collector_that_is_configured()
    {
        var received = new ConcurrentDictionary<string, ConcurrentQueue<string>>();
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        await using var collector = builder.Build();
        collector.Run(async http =>
        {
            using var body = new MemoryStream();
            await http.Request.Body.CopyToAsync(body);
            // Protobuf, whose texts can be read as they are.
            received.GetOrAdd(http.Request.Path, _ => new()).Enqueue(Encoding.Latin1.GetString(body.ToArray()));
        });
        await collector.StartAsync();
        using var client = await app.StartAsync(new Dictionary<string, string>
        {
            ["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.Urls.First(),
            ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf",
            ["OTEL_METRIC_EXPORT_INTERVAL"] = "300",
            ["OTEL_BSP_SCHEDULE_DELAY"] = "100",
            ["OTEL_SERVICE_NAME"] = "telemetry-test",
        });

        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(TimeSpan.FromSeconds(30));
        while (!Has("/v1/traces", "/agentx/api/v1/agents/{scope}/{name}") || !Has("/v1/traces", "SELECT") || !Has("/v1/metrics", "http_server_request_duration_seconds"))
        {
            await client.GetAsync("/agentx/api/v1/agents/@traced/agent", limit.Token);
            await Task.Delay(100, limit.Token);
        }

        Has("/v1/traces", "telemetry-test").ShouldBeTrue();

        bool Has(string path, string text) => received.TryGetValue(path, out var bodies) && bodies.Any(body => body.Contains(text, StringComparison.Ordinal));
    }
}
