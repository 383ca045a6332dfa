using System.Net;
using FunctionsRegistry.RateLimits;
using FunctionsRegistry.Tests.Evolution;
using FunctionsRegistry.Tests.Marketplace;
using FunctionsRegistry.Tests.Support;
using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.Tests.RateLimits;

/// <summary>An app whose DEAN services answer two requests at one time.</summary>
public sealed class NarrowApp(TestServices services) : EvolutionApp(services)
{
    protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string> { ["RateLimits:DeanConnections"] = "2" };
}

public sealed class ConnectionLimitTests(NarrowApp app) : IClassFixture<NarrowApp>
{
    [Fact]
    public async Task A_service_whose_places_are_taken_refuses_until_one_is_free_and_the_others_answer()
    {
        var id = await app.StartTrialAsync(new { generations = 100, population_size = 100, fitness_threshold = 1 });
        await app.PostAsync("/evolution/pause", new { trial_id = id });
        var streams = new List<HttpResponseMessage>();
        for (var i = 0; i < 2; i++)
            streams.Add(await app.Client.GetAsync($"/evolution/evolution/{id}/events", HttpCompletionOption.ResponseHeadersRead));

        using (var refused = await app.Client.GetAsync("/evolution/evolution/metrics"))
        {
            (await refused.ShouldBeAsync(429)).GetProperty("detail").GetString().ShouldBe("Rate limit exceeded");
            refused.Headers.RetryAfter!.Delta.ShouldBe(TimeSpan.FromSeconds(1));
        }
        (await app.Client.GetAsync("/evolution/health")).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await app.Client.GetAsync("/indexagent/patterns")).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await app.Client.GetAsync("/dhg/api/v1/media")).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await app.Client.GetStringAsync("/metrics")).ShouldContain("rate_limit_decisions_total{policy=\"dean-connections\",outcome=\"refused\"} 1\n");

        streams.ForEach(stream => stream.Dispose());
        for (var i = 0; i < 200 && (await app.Client.GetAsync("/evolution/evolution/metrics")).StatusCode != HttpStatusCode.OK; i++)
            await Task.Delay(25);
        await app.GetAsync("/evolution/metrics");
        await app.PostAsync("/evolution/stop", new { trial_id = id });
    }

    [Theory]
    [InlineData(null, 100)]
    [InlineData("", 100)]
    [InlineData("7", 7)]
    [InlineData("off", null)]
    public void The_number_is_the_contracts_unless_it_is_set(string? text, int? expected) => Read(text).DeanConnections.ShouldBe(expected);

    [Theory]
    [InlineData("0")]
    [InlineData("many")]
    [InlineData("10/1h")]
    public void A_wrong_number_is_refused(string text) =>
        Should.Throw<InvalidOperationException>(() => Read(text)).Message.ShouldContain($"RateLimits__DeanConnections={text}");

    private static RateLimitOptions Read(string? text) => RateLimitOptions.FromConfiguration(
        new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?> { ["RateLimits:DeanConnections"] = text }).Build());
}
