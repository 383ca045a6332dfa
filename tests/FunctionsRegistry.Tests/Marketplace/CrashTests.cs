using System.Net.Http.Headers;
using FunctionsRegistry.Blobs;
using FunctionsRegistry.Marketplace;
using FunctionsRegistry.Tests.Support;
using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.Tests.Marketplace;

/// <summary>A second, real process on the fixture's data, killed in the middle of a publish.</summary>
public sealed class CrashTests(MarketplaceApp app) : IClassFixture<MarketplaceApp>
{
    [Fact]
    public async Task A_process_killed_between_blob_and_row_leaves_an_orphan_and_nothing_published()
    {
        var token = await app.SignInAsync("crash");
        await using var process = await AppProcess.StartAsync(app.StandardSettings(new Dictionary<string, string>()));

        // Whoever publishes now has its blob stored and waits for this lock with its row.
        await using var connection = await app.Database.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await using (var locked = new Npgsql.NpgsqlCommand("LOCK TABLE marketplace.agents IN EXCLUSIVE MODE", connection, transaction))
            await locked.ExecuteNonQueryAsync();
        using var request = new HttpRequestMessage(HttpMethod.Put, process.Address + MarketplaceApp.Base + "/agents")
        {
            Content = MarketplaceApp.Form(TarballBuilder.Package("@crash", "half", "1.0.0"), MarketplaceApp.Manifest("@crash", "half", "1.0.0")),
            Headers = { Authorization = new AuthenticationHeaderValue("Bearer", token) },
        };
        var publish = app.Client.SendAsync(request);
        await Eventually.UntilAsync(async () => await CountBlobsAsync() > 0 || publish.IsCompleted);
        await Task.Delay(100);
        await process.KillAsync();
        await Should.ThrowAsync<HttpRequestException>(() => publish);
        await transaction.RollbackAsync();

        (await CountBlobsAsync()).ShouldBe(1);
        await (await app.SendAsync(HttpMethod.Get, "/agents/@crash/half")).ShouldBeAsync(404);
        (await app.ScalarAsync<long>("SELECT count(*) FROM marketplace.agent_versions")).ShouldBe(0);

        await (await app.PublishAsync(token, "@crash", "half", "1.0.0")).ShouldBeAsync(200);
        var later = new AgentService(app.Service<AgentStore>(), app.Service<BlobStore>(), app.Service<MarketplaceOptions>(),
            new LaterTime(TimeSpan.FromHours(2)), app.Service<ILogger<AgentService>>());
        (await later.SweepOrphansAsync(everything: false, default)).ShouldBe(1);
        var url = (await app.GetJsonAsync("/agents/@crash/half/download/1.0.0")).GetProperty("tarball_url").GetString();
        (await app.Client.GetByteArrayAsync(url)).Length.ShouldBeGreaterThan(0);
    }

    private async Task<int> CountBlobsAsync()
    {
        var count = 0;
        await foreach (var _ in app.Service<BlobStore>().ListAsync("packages", "agents/", default))
            count++;
        return count;
    }
}
