using System.IO.Compression;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.Tests.Support;
using static FunctionsRegistry.Tests.ModelRegistry.HokusaiApp;

namespace FunctionsRegistry.Tests.ModelRegistry;

/// <summary>The MLflow proxy, with this app itself as the server behind it, and with one that misbehaves.</summary>
public sealed class ProxyTests(ProxyTests.App app) : IClassFixture<ProxyTests.App>
{
    /// <summary>One app that serves MLflow, one that is a proxy to it (through a key of its own on the way), one in front of what a test says.</summary>
    public sealed class App(TestServices services) : HokusaiApp(services)
    {
        public HttpClient Proxy { get; private set; } = null!;

        public HttpClient Broken { get; private set; } = null!;

        public Upstream Server { get; } = new();

        private Upstream? _relay;

        public override async ValueTask InitializeAsync()
        {
            await base.InitializeAsync();
            // The proxy takes the key away, as it must; between the two something has to give the server one.
            _relay = new Upstream { RelayTo = Client.BaseAddress, RelayKey = Key };
            Proxy = await StartProxyAsync(_relay.Url + "/hokusai/mlflow");
            Broken = await StartProxyAsync(Server.Url);
        }

        public async Task<HttpClient> StartProxyAsync(string url, string timeout = "1", string threshold = "1000", string? sharedAs = null)
        {
            var client = await StartAsync(new Dictionary<string, string>(Settings)
            {
                ["MLFLOW_SERVER_URL"] = url,
                ["MLFLOW_TIMEOUT_SECONDS"] = timeout,
                ["MLFLOW_CB_FAILURE_THRESHOLD"] = threshold,
                ["MLFLOW_CB_RECOVERY_TIMEOUT"] = "3600",
                ["RateLimits:KeyPrefix"] = "proxy-" + (sharedAs ?? Guid.CreateVersion7().ToString("N")) + ":",
            });
            client.DefaultRequestHeaders.Authorization = new("Bearer", Key);
            return client;
        }

        public override async ValueTask DisposeAsync()
        {
            Server.Dispose();
            _relay?.Dispose();
            await base.DisposeAsync();
        }
    }

    private static async Task<JsonElement> SendAsync(HttpClient client, HttpMethod method, string path, string? json, int status)
    {
        using var request = new HttpRequestMessage(method, path) { Content = json is null ? null : new StringContent(json, Encoding.UTF8, "application/json") };
        return await (await client.SendAsync(request)).JsonAsync(status);
    }

    [Fact]
    public async Task A_flow_through_the_proxy_is_the_flow_of_the_server()
    {
        var name = "proxied-" + Guid.CreateVersion7();
        var id = (await SendAsync(app.Proxy, HttpMethod.Post, Mlflow + "experiments/create", $$"""{"name": "{{name}}"}""", 200)).Str("experiment_id")!;
        var run = (await SendAsync(app.Proxy, HttpMethod.Post, Mlflow + "runs/create", $$"""{"experiment_id": "{{id}}"}""", 200)).GetProperty("run").GetProperty("info").Str("run_id");
        var bytes = RandomNumberGenerator.GetBytes(3 << 20);
        using (var content = new ByteArrayContent(bytes))
            (await app.Proxy.PutAsync($"{Artifacts}{id}/{run}/artifacts/a%20b/%C3%A9.bin", content)).StatusCode.ShouldBe(HttpStatusCode.OK);

        SHA256.HashData(await app.Proxy.GetByteArrayAsync($"{Artifacts}{id}/{run}/artifacts/a%20b/%C3%A9.bin")).ShouldBe(SHA256.HashData(bytes));
        (await app.GetAsync($"artifacts/list?run_id={run}&path=a%20b")).GetProperty("files").Each("path").ShouldBe(["a b/é.bin"]);
        (await SendAsync(app.Proxy, HttpMethod.Get, Mlflow + "experiments/get-by-name?experiment_name=none", null, 404)).Code().ShouldBe("RESOURCE_DOES_NOT_EXIST");

        // Bodies of DELETE and repeated names in a query arrive.
        await SendAsync(app.Proxy, HttpMethod.Post, Mlflow + "registered-models/create", $$"""{"name": "{{name}}"}""", 200);
        (await SendAsync(app.Proxy, HttpMethod.Get, Mlflow + $"registered-models/get-latest-versions?name={name}&stages=Production&stages=Staging", null, 200))
            .GetProperty("model_versions").GetArrayLength().ShouldBe(0);
        await SendAsync(app.Proxy, HttpMethod.Delete, Mlflow + "registered-models/delete", $$"""{"name": "{{name}}"}""", 200);
        await app.GetAsync("registered-models/get?name=" + name, 404);
    }

    [Fact]
    public async Task What_the_server_sees_is_what_was_sent_without_keys()
    {
        app.Server.Answer = async (request, stream) => await Upstream.WriteAsync(stream, 200, "application/json", JsonSerializer.Serialize(request));
        using var message = new HttpRequestMessage(HttpMethod.Post, "/hokusai/api/mlflow/api/2.0/mlflow/x/search?order_by=a%20b&api_key=secret&order_by=c&%61pi_key=secret");
        message.Headers.Add("X-API-Key", "secret");
        message.Headers.TryAddWithoutValidation("Cookie", "secret=1");
        message.Headers.Add("X-Hokusai-User-Id", "forged");
        message.Headers.Add("x-hokusai-admin", "forged");
        message.Headers.Add("X-Custom", "kept");
        message.Headers.Add("Connection", "X-Hop");
        message.Headers.Add("X-Hop", "1");
        message.Content = new StringContent("""{"a": 1}""", Encoding.UTF8, "application/json");
        var seen = await (await app.Broken.SendAsync(message)).JsonAsync(200);

        seen.Str("Target").ShouldBe("/api/2.0/mlflow/x/search?order_by=a%20b&order_by=c");
        seen.Str("Body").ShouldBe("""{"a": 1}""");
        var headers = seen.GetProperty("Headers").EnumerateArray().Select(header => header.GetString()!).ToArray();
        headers.ShouldContain("X-Custom: kept");
        headers.ShouldContain("X-Hokusai-User-Id: tests");
        headers.Single(header => header.StartsWith("X-Hokusai-API-Key-Id: ", StringComparison.Ordinal)).Length.ShouldBe(22 + 36);
        foreach (var never in new[] { "secret", "forged", "Authorization", app.Key, "X-Hop" })
            headers.ShouldNotContain(header => header.Contains(never, StringComparison.OrdinalIgnoreCase), never);
    }

    [Fact]
    public async Task Packed_chunked_and_large_answers_come_through_as_they_are()
    {
        var packed = new MemoryStream();
        await using (var gzip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true))
            await gzip.WriteAsync("hello"u8.ToArray());
        app.Server.Answer = async (_, stream) =>
        {
            await Upstream.WriteAsync(stream, $"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nSet-Cookie: a=b\r\nContent-Type: text/plain\r\nContent-Length: {packed.Length}\r\nConnection: close\r\n\r\n");
            await stream.WriteAsync(packed.ToArray());
        };
        using (var response = await app.Broken.GetAsync("/hokusai/mlflow/x"))
        {
            (await response.Content.ReadAsByteArrayAsync()).ShouldBe(packed.ToArray());
            response.Content.Headers.ContentEncoding.ShouldBe(["gzip"]);
            response.Headers.Contains("Set-Cookie").ShouldBeFalse();
        }

        app.Server.Answer = async (_, stream) => await Upstream.WriteAsync(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
        (await app.Broken.GetStringAsync("/hokusai/mlflow/x")).ShouldBe("hello world");

        const long Length = 300L << 20;
        app.Server.Answer = async (_, stream) =>
        {
            await Upstream.WriteAsync(stream, $"HTTP/1.1 200 OK\r\nContent-Length: {Length}\r\nConnection: close\r\n\r\n");
            var block = new byte[1 << 20];
            for (var sent = 0L; sent < Length; sent += block.Length)
                await stream.WriteAsync(block);
        };
        using var large = await app.Broken.GetAsync("/hokusai/mlflow/x", HttpCompletionOption.ResponseHeadersRead);
        await using var body = await large.Content.ReadAsStreamAsync();
        var (buffer, total) = (new byte[1 << 20], 0L);
        for (int read; (read = await body.ReadAsync(buffer)) > 0;)
            total += read;
        total.ShouldBe(Length);
    }

    [Fact]
    public async Task Errors_of_the_server_pass_and_pages_become_json()
    {
        foreach (var status in new[] { 400, 500, 302 })
        {
            app.Server.Answer = async (_, stream) => await Upstream.WriteAsync(stream, status, "application/json", """{"error_code": "X"}""");
            using var response = await app.Broken.GetAsync("/hokusai/mlflow/x");
            ((int)response.StatusCode).ShouldBe(status);
            (await response.Content.ReadAsStringAsync()).ShouldBe("""{"error_code": "X"}""");
        }
        app.Server.Answer = async (_, stream) => await Upstream.WriteAsync(stream, 404, "text/html", "<html>not here</html>");
        (await SendAsync(app.Broken, HttpMethod.Get, "/hokusai/mlflow/x/y", null, 404)).Message().ShouldBe("The requested resource was not found: x/y");
    }

    [Fact]
    public async Task A_server_that_hangs_is_504_one_that_breaks_502_and_half_an_answer_a_broken_connection()
    {
        app.Server.Answer = (_, _) => Task.Delay(TimeSpan.FromSeconds(20));
        (await SendAsync(app.Broken, HttpMethod.Get, "/hokusai/mlflow/x", null, 504)).Str("detail").ShouldBe("MLflow server request timeout after 1s");
        app.Server.Answer = (_, stream) =>
        {
            stream.Socket.Close(0);
            return Task.CompletedTask;
        };
        (await SendAsync(app.Broken, HttpMethod.Get, "/hokusai/mlflow/x", null, 502)).Str("detail").ShouldBe($"Failed to connect to MLflow server at {app.Server.Url}");
        app.Server.Answer = async (_, stream) => await Upstream.WriteAsync(stream, "nonsense\r\n\r\n");
        await SendAsync(app.Broken, HttpMethod.Get, "/hokusai/mlflow/x", null, 502);
        app.Server.Answer = async (_, stream) => await Upstream.WriteAsync(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nhalf");
        await Should.ThrowAsync<HttpRequestException>(() => app.Broken.GetStringAsync("/hokusai/mlflow/x"));
    }

    [Fact]
    public async Task The_breaker_opens_answers_at_once_is_shared_and_is_reset()
    {
        var port = FreePort();
        var url = $"http://127.0.0.1:{port}";
        var client = await app.StartProxyAsync(url, threshold: "3");
        for (var i = 0; i < 3; i++)
            (await SendAsync(client, HttpMethod.Get, "/hokusai/mlflow/x", null, 502)).Str("detail").ShouldBe("Failed to connect to MLflow server at " + url);

        using (var refused = await client.GetAsync("/hokusai/mlflow/x"))
        {
            var body = await refused.JsonAsync(503);
            (body.Str("detail"), body.Code()).ShouldBe(("MLflow server unavailable", "TEMPORARILY_UNAVAILABLE"));
            refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds.ShouldBeInRange(3000, 3600);
        }
        var health = await SendAsync(client, HttpMethod.Get, "/hokusai/health/mlflow", null, 503);
        (health.GetProperty("connected").GetBoolean(), health.Str("circuit_breaker_state"), health.Str("error")).ShouldBe((false, "OPEN", "MLflow server unavailable"));
        var ready = await SendAsync(client, HttpMethod.Get, "/hokusai/ready", null, 200);
        (ready.GetProperty("ready").GetBoolean(), ready.GetProperty("degraded_mode").GetBoolean()).ShouldBe((false, true));
        (await client.GetStringAsync("/hokusai/metrics")).ShouldContain("mlflow_circuit_breaker_state 2");

        (await SendAsync(client, HttpMethod.Post, "/hokusai/health/mlflow/reset", null, 200)).Str("reset_by").ShouldBe("manual_api_call");
        (await SendAsync(client, HttpMethod.Get, "/hokusai/health/mlflow", null, 200)).Str("circuit_breaker_state").ShouldBe("CLOSED");
        await SendAsync(client, HttpMethod.Get, "/hokusai/mlflow/x", null, 502);
    }

    [Fact]
    public async Task A_breaker_that_one_process_opens_is_open_in_the_next_and_a_reset_is_not_told_on()
    {
        var calls = 0;
        using var server = new Upstream
        {
            Answer = (_, stream) =>
        {
            Interlocked.Increment(ref calls);
            return Upstream.WriteAsync(stream, 503, "application/json", "{}");
        }
        };
        var shared = Guid.CreateVersion7().ToString("N");
        var first = await app.StartProxyAsync(server.Url, threshold: "2", sharedAs: shared);
        var second = await app.StartProxyAsync(server.Url, threshold: "2", sharedAs: shared);
        for (var i = 0; i < 2; i++)
            await SendAsync(first, HttpMethod.Get, "/hokusai/mlflow/x", null, 503);
        calls.ShouldBe(2);
        (await SendAsync(second, HttpMethod.Get, "/hokusai/mlflow/x", null, 503)).Str("detail").ShouldBe("MLflow server unavailable");
        calls.ShouldBe(2);
        (await SendAsync(second, HttpMethod.Get, "/hokusai/health/mlflow", null, 503)).Str("circuit_breaker_state").ShouldBe("OPEN");

        // A third that starts after a reset knows nothing of it.
        await SendAsync(first, HttpMethod.Post, "/hokusai/health/mlflow/reset", null, 200);
        var third = await app.StartProxyAsync(server.Url, threshold: "2", sharedAs: shared);
        await SendAsync(third, HttpMethod.Get, "/hokusai/mlflow/x", null, 503);
        calls.ShouldBe(3);
    }

    [Theory]
    [InlineData("/hokusai/mlflow/%2e%2e/%2e%2e/admin")]
    [InlineData("/hokusai/mlflow/a/..%2f..%2fb")]
    [InlineData("/hokusai/mlflow/a/%252e%252e/b")]
    public async Task No_path_climbs_out_of_the_server_s_prefix(string target)
    {
        app.Server.Answer = async (request, stream) => await Upstream.WriteAsync(stream, 200, "application/json", JsonSerializer.Serialize(request));
        using var client = new TcpClient();
        await client.ConnectAsync(app.Broken.BaseAddress!.Host, app.Broken.BaseAddress.Port);
        await using var stream = client.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes($"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {app.Key}\r\nConnection: close\r\n\r\n"));
        using var reader = new StreamReader(stream);
        (await reader.ReadLineAsync())!.Split(' ')[1].ShouldBeOneOf("400", "404", "401");
    }

    [Fact]
    public async Task Health_reports_ask_the_server()
    {
        var good = await SendAsync(app.Proxy, HttpMethod.Get, "/hokusai/mlflow/health/mlflow", null, 200);
        good.Str("status").ShouldBe("healthy");
        good.GetProperty("checks").GetProperty("experiments_api").Str("message").ShouldBe("Experiments API is functional");
        (await SendAsync(app.Proxy, HttpMethod.Get, "/hokusai/api/health/mlflow/detailed", null, 200)).GetProperty("overall_health").GetBoolean().ShouldBeTrue();

        var client = await app.StartProxyAsync($"http://127.0.0.1:{FreePort()}");
        (await SendAsync(client, HttpMethod.Get, "/hokusai/mlflow/health/mlflow", null, 200)).Str("status").ShouldBe("unhealthy");
        (await SendAsync(client, HttpMethod.Get, "/hokusai/api/health/mlflow", null, 503)).GetProperty("detail").Str("status").ShouldBe("unhealthy");
        (await SendAsync(client, HttpMethod.Get, "/hokusai/api/health/mlflow/connectivity", null, 200)).Str("status").ShouldBe("error");
        (await SendAsync(client, HttpMethod.Get, "/hokusai/health/mlflow", null, 200)).GetProperty("connected").GetBoolean().ShouldBeFalse();
        (await SendAsync(client, HttpMethod.Get, "/hokusai/health", null, 200)).Str("status").ShouldBe("degraded");

        // Looks at its health are calls that failed; the breaker counts traffic alone.
        (await client.GetStringAsync("/hokusai/metrics")).ShouldContain("mlflow_circuit_breaker_failures_total 0\n");
        await SendAsync(client, HttpMethod.Get, Mlflow + "experiments/get?experiment_id=0", null, 502);
        var metrics = await client.GetStringAsync("/hokusai/metrics");
        metrics.ShouldContain("mlflow_circuit_breaker_failures_total 1\n");
        metrics.ShouldContain("mlflow_connection_status 0\n");
        metrics.ShouldContain("mlflow_info{mode=\"proxy\",");
        metrics.Split('\n').Where(line => line.StartsWith("mlflow_connection_", StringComparison.Ordinal) && line.Contains("s_total", StringComparison.Ordinal))
            .Select(line => int.Parse(line.Split(' ')[1])).Distinct().ShouldHaveSingleItem().ShouldBeGreaterThan(1);
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
