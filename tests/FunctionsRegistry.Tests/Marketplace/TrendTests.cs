using FunctionsRegistry.Marketplace;
using FunctionsRegistry.Tests.Support;
using Npgsql;

namespace FunctionsRegistry.Tests.Marketplace;

public sealed class TrendTests(MarketplaceApp app) : IClassFixture<MarketplaceApp>
{
    [Fact]
    public async Task Downloads_leave_each_period_when_it_is_over()
    {
        var token = await app.SignInAsync("trendy");
        await (await app.PublishAsync(token, "@trendy", "old", "1.0.0")).ShouldBeAsync(200);
        await (await app.PublishAsync(token, "@trendy", "new", "1.0.0")).ShouldBeAsync(200);
        for (var i = 0; i < 3; i++)
            await app.GetJsonAsync("/agents/@trendy/old/download/1.0.0");
        (await SumsAsync()).ShouldBe("3 3 3");

        await PurgeAsync(TimeSpan.FromDays(2));
        (await SumsAsync()).ShouldBe("0 3 3");
        // Counted now, which lies before the day that has moved on: in no sum of it.
        await app.GetJsonAsync("/agents/@trendy/old/download/1.0.0");
        (await SumsAsync()).ShouldBe("0 4 4");

        await PurgeAsync(TimeSpan.FromDays(8));
        (await SumsAsync()).ShouldBe("0 0 4");
        await PurgeAsync(TimeSpan.FromDays(8));
        (await SumsAsync()).ShouldBe("0 0 4");

        await PurgeAsync(TimeSpan.FromDays(40));
        (await SumsAsync()).ShouldBe("0 0 0");
        (await app.ScalarAsync<long>("SELECT count(*) FROM marketplace.download_hours")).ShouldBe(0);
        (await app.GetJsonAsync("/agents/@trendy/old")).GetProperty("download_count").GetInt64().ShouldBe(4);
    }

    private Task PurgeAsync(TimeSpan later) => new AgentStore(app.Service<NpgsqlDataSource>(), new LaterTime(later)).PurgeDownloadHoursAsync(default);

    private Task<string> SumsAsync() => app.ScalarAsync<string>(
        "SELECT concat_ws(' ', t.day, t.week, t.month) FROM marketplace.agent_trends t JOIN marketplace.agents a ON a.id = t.agent_id WHERE a.name = 'old'");
}
