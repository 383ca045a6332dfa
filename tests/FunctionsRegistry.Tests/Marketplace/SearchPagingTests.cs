namespace FunctionsRegistry.Tests.Marketplace;

public sealed class SearchPagingTests(MarketplaceApp app) : IClassFixture<MarketplaceApp>
{
    [Theory]
    [InlineData("/search?q=pageable&limit=2")]
    [InlineData("/agents?q=pageable&limit=2")]
    [InlineData("/search?q=pagable-agent&limit=2")]
    public async Task A_search_goes_on_by_page_and_by_cursor_without_repeating(string path)
    {
        var token = await app.SignInAsync("pager");
        for (var i = 0; i < 5; i++)
            using (await app.PublishAsync(token, "@pager", $"pageable-agent-{i}", "1.0.0"))
            {
                // Published by the first case already, or now.
            }

        var byPage = new List<string>();
        for (var page = 1; page <= 4; page++)
            byPage.AddRange(Names(await app.GetJsonAsync($"{path}&page={page}")));
        var byCursor = new List<string>();
        for (string? next = ""; next is not null;)
        {
            var answer = await app.GetJsonAsync(path + (next.Length == 0 ? "" : "&cursor=" + next));
            byCursor.AddRange(Names(answer));
            next = answer.TryGetProperty("next", out var value) ? value.GetString() : null;
        }

        byPage.Count.ShouldBe(5);
        byPage.Distinct().Count().ShouldBe(5);
        byCursor.ShouldBe(byPage);

        static IEnumerable<string> Names(System.Text.Json.JsonElement answer) =>
            answer.GetProperty("agents").EnumerateArray().Select(agent => agent.GetProperty("name").GetString()!);
    }
}
