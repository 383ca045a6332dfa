using System.Diagnostics;
using System.Formats.Tar;
using System.IO.Compression;
using System.Net.Http.Headers;
using System.Text;
using FunctionsRegistry.Blobs;
using FunctionsRegistry.Marketplace;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace FunctionsRegistry.Benchmarks;

/// <summary>
/// The marketplace beside a bare Kestrel that runs the same SQL with the same stores and writes the same JSON, without the functions runtime,
/// middleware, callers and rate limits. Both run in this process on the same services, in turn, so their ratio holds on a noisy machine.
/// </summary>
internal sealed class MarketplaceBench : IAsyncDisposable
{
    private readonly BenchHost _host;
    private readonly WebApplication _bare;
    private readonly HttpClient _appClient;
    private readonly HttpClient _bareClient;
    private int _agents;
    private int _published;

    private MarketplaceBench(BenchHost host, WebApplication bare)
    {
        (_host, _bare) = (host, bare);
        (_appClient, _bareClient) = (host.CreateClient(), BenchHost.CreateClient(bare.Services));
    }

    public static async Task<MarketplaceBench> StartAsync()
    {
        // On, and counting in Redis, but never refusing.
        const string Limit = "1000000/1s";
        var host = await BenchHost.StartAsync(("RateLimits:AgentxAnonymous", Limit), ("RateLimits:AgentxUser", Limit), ("RateLimits:AgentxPublish", Limit));
        return new MarketplaceBench(host, await StartBareAsync(host.Services));
    }

    /// <summary>Fills the tables with agents of four authors' scopes in bulk, the search vectors included.</summary>
    public async Task FillAsync(int agents)
    {
        _agents = agents;
        var clock = Stopwatch.StartNew();
        await _host.ExecuteAsync([.. FillSql.Select(sql => sql.Replace("{agents}", agents.ToString(), StringComparison.Ordinal))]);
        Console.WriteLine($"{agents:N0} agents filled in {clock.Elapsed.TotalSeconds:0.0} s");
    }

    /// <param name="row">Only rows whose names begin so.</param>
    public async Task RunAsync(TimeSpan time, string row)
    {
        Console.WriteLine($"{Environment.ProcessorCount} cores, 16 in flight, {time.TotalSeconds:0} s a row; app / baseline");
        Console.WriteLine($"{"",-22}{"per second",22}{"ratio",8}{"p50 ms",16}{"p99 ms",16}{"processor us",26}");
        async Task CompareAsync(string name, Func<int, string> path)
        {
            if (name.StartsWith(row, StringComparison.Ordinal))
                await CompareOneAsync(name, path, time);
        }
        await CompareAsync("list of 20", _ => "/agents");
        await CompareAsync("list of 20, category", i => "/agents?sort=newest&category=" + (i % 2 == 0 ? "data" : "devtools"));
        await CompareAsync("search, two words", i => $"/search?q=word{i % 1000}+agent");
        await CompareAsync("search, rare word", i => $"/search?q=unique{i % _agents + 1}");
        await CompareAsync("search, half a word", i => $"/search?q=unique{i % _agents + 1}"[..^1]);
        await CompareAsync("detail", i => $"/agents/@user{i % 4}/agent-{Id(i)}");
        await CompareAsync("download metadata", i => $"/agents/@user{i % 4}/agent-{Id(i)}/download/1.0.0");
        if ("publish".StartsWith(row, StringComparison.Ordinal))
            await PublishAsync(time);
        Console.WriteLine($"resident {Process.GetCurrentProcess().WorkingSet64 >> 20} MB (app, baseline and load client in one process)");
    }

    public async ValueTask DisposeAsync()
    {
        await _bare.DisposeAsync();
        await _host.DisposeAsync();
    }

    // agent-N belongs to user N % 4: the request's number decides both.
    private int Id(int number) => (number % (_agents / 4) * 4) + (number % 4);

    private async Task CompareOneAsync(string name, Func<int, string> path, TimeSpan time)
    {
        var (app, baseline) = await LoadClient.CompareAsync(
            new(_appClient, i => new HttpRequestMessage(HttpMethod.Get, "/agentx/api/v1" + path(i))),
            new(_bareClient, i => new HttpRequestMessage(HttpMethod.Get, path(i))), time);
        Print(name, app, baseline);
    }

    // The baseline is the upload of the same bytes by the same client library, and nothing else.
    private async Task PublishAsync(TimeSpan time)
    {
        var users = _host.Services.GetRequiredService<UserStore>();
        var user = await users.UpsertAsync(new GitHubProfile(900, "publisher", null, null, null), CancellationToken.None);
        var (token, _) = await _host.Services.GetRequiredService<AccountService>().IssueTokenAsync(user.Id, CancellationToken.None);
        var tarballs = new System.Collections.Concurrent.ConcurrentDictionary<int, byte[]>();
        HttpRequestMessage Request(int number)
        {
            var version = $"1.0.{Interlocked.Increment(ref _published)}";
            var form = new MultipartFormDataContent
            {
                { new ByteArrayContent(Package(version)), "tarball", "p.tar.gz" },
                { new StringContent($$"""{"name":"p{{number % 64}}","version":"{{version}}","description":"d","author":"@publisher"}"""), "agent_yaml" },
                { new StringContent("# Readme"), "readme" },
            };
            return new HttpRequestMessage(HttpMethod.Put, "/agentx/api/v1/agents") { Content = form, Headers = { Authorization = new AuthenticationHeaderValue("Bearer", token) } };

            byte[] Package(string text) => MakePackage($"p{number % 64}", text);
        }
        HttpRequestMessage Upload(int number) => new(HttpMethod.Put, "/upload") { Content = new ByteArrayContent(MakePackage($"p{number % 64}", "1.0.0")) };
        var (app, baseline) = await LoadClient.CompareAsync(new(_appClient, Request), new(_bareClient, Upload), time);
        Print("publish 1 MB", app, baseline);
    }

    private static readonly byte[] s_noise = MakeNoise();

    private static byte[] MakeNoise()
    {
        var noise = new byte[1 << 20];
        new Random(1).NextBytes(noise);
        return noise;
    }

    private static byte[] MakePackage(string name, string version)
    {
        using var output = new MemoryStream(1_100_000);
        using (var gzip = new GZipStream(output, CompressionLevel.NoCompression, leaveOpen: true))
        using (var tar = new TarWriter(gzip, TarEntryFormat.Ustar))
        {
            Add("agent.yaml", Encoding.UTF8.GetBytes($"name: {name}\nversion: {version}\nauthor: \"@publisher\"\n"));
            Add("noise.bin", s_noise);

            void Add(string path, byte[] bytes)
            {
                using var data = new MemoryStream(bytes);
                tar.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, path) { DataStream = data });
            }
        }
        return output.ToArray();
    }

    private static void Print(string name, LoadResult app, LoadResult baseline) => Console.WriteLine(
        $"{name,-22}{$"{app.PerSecond:N0} / {baseline.PerSecond:N0}",22}{app.PerSecond / baseline.PerSecond,8:0.00}"
        + $"{$"{app.P50Ms:0.0} / {baseline.P50Ms:0.0}",16}{$"{app.P99Ms:0.0} / {baseline.P99Ms:0.0}",16}"
        + $"{$"{app.OwnMicroseconds:0}+{app.ServicesMicroseconds:0} / {baseline.OwnMicroseconds:0}+{baseline.ServicesMicroseconds:0}",26}");

    private static async Task<WebApplication> StartBareAsync(IServiceProvider services)
    {
        var agents = services.GetRequiredService<AgentStore>();
        var lists = services.GetRequiredService<AgentListStore>();
        var blobs = services.GetRequiredService<BlobStore>();
        var service = services.GetRequiredService<AgentService>();
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        builder.Services.AddRoutingCore();
        var bare = builder.Build();
        bare.UseRouting();
        bare.MapGet("/agents", async (HttpContext http) =>
        {
            var category = http.Request.Query["category"].ToString() is { Length: > 0 } text ? text : null;
            var found = await lists.ListAsync(http.Request.Query["sort"] == "newest" ? AgentSort.Newest : AgentSort.Downloads, category, 0, null, 20, http.RequestAborted);
            await http.Response.WriteAsJsonAsync(new AgentListResponse(found.Agents, found.Total, 1, 20, found.Next), MarketplaceJson.Default.AgentListResponse);
        });
        bare.MapGet("/search", async (HttpContext http) =>
        {
            var found = await lists.SearchAsync(SearchQuery.ToTsQuery(http.Request.Query["q"]!)!, AgentSort.Relevance, null, 0, 20, http.RequestAborted);
            await http.Response.WriteAsJsonAsync(new AgentListResponse(found.Agents, found.Total, 1, 20, null), MarketplaceJson.Default.AgentListResponse);
        });
        bare.MapGet("/agents/{scope}/{name}", async (HttpContext http, string scope, string name) =>
            await http.Response.WriteAsJsonAsync((await agents.FindAsync(scope, name, http.RequestAborted))!, MarketplaceJson.Default.AgentDetail));
        bare.MapGet("/agents/{scope}/{name}/download/{version}", async (HttpContext http, string scope, string name, string version) =>
            await http.Response.WriteAsJsonAsync(await service.GetDownloadAsync(scope, name, version, http.RequestAborted), MarketplaceJson.Default.DownloadResponse));
        bare.MapPut("/upload", async (HttpContext http) =>
            await blobs.UploadAsync(BlobContainers.Packages, $"bench/{Guid.CreateVersion7():N}", http.Request.Body, "application/gzip", http.RequestAborted));
        await bare.StartAsync();
        return bare;
    }

    private static readonly string[] FillSql =
    [
        """
        INSERT INTO marketplace.users (id, github_id, username, created_at, updated_at)
        SELECT gen_random_uuid(), 100 + n, 'user' || n, now(), now() FROM generate_series(0, 3) n
        """,
        """
        INSERT INTO marketplace.agents (id, scope, name, author_id, description, readme, category, tags, license, latest_version, mcp_servers, created_at, updated_at, search)
        SELECT gen_random_uuid(), '@user' || n % 4, 'agent-' || n, u.id, text, repeat('Reads and sorts. ', 100),
            (ARRAY['productivity', 'devtools', 'communication', 'data', 'writing', 'research', 'automation', 'security', 'monitoring', 'other'])[1 + n % 10],
            ARRAY['tag' || n % 50, 'mail'], 'MIT', '1.0.0', '{}', now() - n * interval '1 second', now(),
            setweight(to_tsvector('english', 'agent-' || n), 'A') || setweight(to_tsvector('english', text), 'C')
                || array_to_tsvector(ARRAY['§' || (ARRAY['productivity', 'devtools', 'communication', 'data', 'writing', 'research', 'automation', 'security', 'monitoring', 'other'])[1 + n % 10]])
        FROM generate_series(0, {agents} - 1) n
        CROSS JOIN LATERAL (SELECT 'An agent with word' || n % 1000 || ' and unique' || n AS text) t
        JOIN marketplace.users u ON u.username = 'user' || n % 4
        """,
        // Its trigger moves one of a few rows per agent, and one transaction that moves them a million times reads every version that it left behind.
        "ALTER TABLE marketplace.agent_counters DISABLE TRIGGER agents_counted",
        """
        INSERT INTO marketplace.agent_counters (agent_id, author_id, category, is_listed, created_at, download_count, star_count)
        SELECT id, author_id, category, true, created_at, hashtext(name) & 1048575, hashtext(scope || name) & 4095 FROM marketplace.agents
        """,
        "ALTER TABLE marketplace.agent_counters ENABLE TRIGGER agents_counted",
        "INSERT INTO marketplace.category_counts (category, shard, agents) SELECT coalesce(category, ''), 0, count(*) FROM marketplace.agent_counters WHERE is_listed GROUP BY 1",
        """
        INSERT INTO marketplace.agent_versions (id, agent_id, version, blob_name, sha256, size_bytes, manifest, readme, published_at)
        SELECT gen_random_uuid(), id, '1.0.0', 'agents/' || id, repeat('0', 64), 4096, '{}', '', created_at FROM marketplace.agents
        """,
        "VACUUM (ANALYZE)",
    ];
}
