using System.Diagnostics;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.Tests.Support;
using Npgsql;

namespace FunctionsRegistry.Tests.Marketplace;

/// <summary>An app whose services are behind proxies that a test can break.</summary>
public sealed class FragileApp(TestServices services) : MarketplaceApp(services)
{
    private readonly FaultProxy _postgres = ProxyOf(new NpgsqlConnectionStringBuilder(services.Postgres) is var server ? $"{server.Host}:{server.Port}" : "");
    private readonly FaultProxy _redis = ProxyOf(services.Redis);
    private readonly FaultProxy _blobs = ProxyOf(BlobEndpoint(services.Blobs).Authority);

    public FaultProxy Postgres => _postgres;

    public FaultProxy Redis => _redis;

    public FaultProxy Blobs => _blobs;

    protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>
    {
        ["POSTGRES_HOST"] = "127.0.0.1",
        ["POSTGRES_PORT"] = _postgres.Port.ToString(),
        ["REDIS_CONNECTION"] = $"127.0.0.1:{_redis.Port}",
        ["BLOB_CONNECTION"] = Servers.Blobs.Replace(BlobEndpoint(Servers.Blobs).Authority, $"127.0.0.1:{_blobs.Port}", StringComparison.Ordinal),
        ["RateLimits:AgentxUser"] = "5/1h",
    };

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        _postgres.Dispose();
        _redis.Dispose();
        _blobs.Dispose();
    }

    private static Uri BlobEndpoint(string connection) =>
        new(connection.Split(';').Single(part => part.StartsWith("BlobEndpoint=", StringComparison.Ordinal))["BlobEndpoint=".Length..]);

    private static FaultProxy ProxyOf(string authority)
    {
        var parts = authority.Split(':');
        return new FaultProxy(parts[0] == "localhost" ? "127.0.0.1" : parts[0], int.Parse(parts[1]));
    }
}

public sealed class FaultTests(FragileApp app) : IClassFixture<FragileApp>
{
    [Fact]
    public async Task Without_redis_requests_are_served_and_limited_in_process()
    {
        var token = await app.SignInAsync("redisless");
        app.Redis.Break();
        try
        {
            var statuses = new List<int>();
            for (var i = 0; i < 8; i++)
                statuses.Add((int)(await app.SendAsync(HttpMethod.Get, "/categories", token)).StatusCode);

            statuses.Count(status => status == 200).ShouldBeLessThanOrEqualTo(6);
            statuses[0].ShouldBe(200);
            statuses[^1].ShouldBe(429);
            await Eventually.UntilAsync(async () => await StatusAsync() == "degraded");
        }
        finally
        {
            app.Redis.Mend();
        }
        await Eventually.UntilAsync(async () => await StatusAsync() == "healthy");
    }

    [Fact]
    public async Task Without_postgresql_503_comes_within_five_seconds_and_service_returns_by_itself()
    {
        await app.GetJsonAsync("/categories");
        app.Postgres.Break();
        try
        {
            var clock = Stopwatch.StartNew();
            using var response = await app.SendAsync(HttpMethod.Get, "/agents");
            var error = await response.ShouldBeAsync(503);

            clock.Elapsed.TotalSeconds.ShouldBeLessThan(5);
            response.Headers.RetryAfter.ShouldNotBeNull();
            error.GetProperty("error").GetString().ShouldBe("The database is not available right now.");
            await Eventually.UntilAsync(async () => await StatusAsync() == "unhealthy");
        }
        finally
        {
            app.Postgres.Mend();
        }
        await Eventually.UntilAsync(async () => (int)(await app.SendAsync(HttpMethod.Get, "/agents")).StatusCode == 200);
    }

    [Fact]
    public async Task A_postgresql_that_hangs_is_a_503()
    {
        await app.GetJsonAsync("/categories");
        app.Postgres.Freeze();
        try
        {
            using var response = await app.SendAsync(HttpMethod.Get, "/agents");
            await response.ShouldBeAsync(503);
            response.Headers.RetryAfter.ShouldNotBeNull();
        }
        finally
        {
            app.Postgres.Thaw();
        }
        await Eventually.UntilAsync(async () => (int)(await app.SendAsync(HttpMethod.Get, "/agents")).StatusCode == 200);
    }

    [Fact]
    public async Task A_blob_storage_that_hangs_is_a_503_and_the_publish_can_be_repeated()
    {
        var token = await app.SignInAsync("hangingblobs");
        app.Blobs.Freeze();
        try
        {
            using var response = await app.PublishAsync(token, "@hangingblobs", "a", "1.0.0");
            await response.ShouldBeAsync(503);
            response.Headers.RetryAfter.ShouldNotBeNull();
        }
        finally
        {
            app.Blobs.Thaw();
        }
        await (await app.PublishAsync(token, "@hangingblobs", "a", "1.0.0")).ShouldBeAsync(200);
    }

    [Fact]
    public async Task Without_blob_storage_a_publish_gets_503_and_can_be_repeated_later()
    {
        var token = await app.SignInAsync("bloblessone");
        await (await app.PublishAsync(token, "@bloblessone", "a", "1.0.0")).ShouldBeAsync(200);
        app.Blobs.Break();
        try
        {
            var clock = Stopwatch.StartNew();
            using var response = await app.PublishAsync(token, "@bloblessone", "a", "1.0.1");
            await response.ShouldBeAsync(503);

            clock.Elapsed.TotalSeconds.ShouldBeLessThan(5);
            response.Headers.RetryAfter.ShouldNotBeNull();
        }
        finally
        {
            app.Blobs.Mend();
        }
        await (await app.PublishAsync(token, "@bloblessone", "a", "1.0.1")).ShouldBeAsync(200);
    }

    [Fact]
    public async Task A_client_that_hangs_up_in_the_middle_of_an_upload_leaves_nothing()
    {
        var token = await app.SignInAsync("hangup");
        using (var socket = new TcpClient())
        {
            await socket.ConnectAsync("127.0.0.1", app.Client.BaseAddress!.Port);
            var tarball = TarballBuilder.Package("@hangup", "half", "1.0.0", extraBytes: 2 << 20);
            var head = $"PUT {MarketplaceApp.Base}/agents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
                + "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 9000000\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"tarball\"; filename=\"x\"\r\n\r\n";
            await socket.GetStream().WriteAsync(Encoding.ASCII.GetBytes(head));
            await socket.GetStream().WriteAsync(tarball.AsMemory(0, 1 << 20));
        }

        await (await app.PublishAsync(token, "@hangup", "half", "1.0.0")).ShouldBeAsync(200);
        (await app.ScalarAsync<long>("SELECT count(*) FROM marketplace.agent_versions v JOIN marketplace.agents a ON a.id = v.agent_id WHERE a.scope = '@hangup'")).ShouldBe(1);
    }

    private async Task<string?> StatusAsync()
    {
        using var document = JsonDocument.Parse(await (await app.Client.GetAsync("/health")).Content.ReadAsStringAsync());
        return document.RootElement.GetProperty("status").GetString();
    }
}
