using System.Net.Http.Headers;
using FunctionsRegistry.Tests.Marketplace;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.RateLimits;

/// <summary>The contract's own numbers.</summary>
public sealed class LimitedApp(TestServices services) : MarketplaceApp(services)
{
    public static readonly IReadOnlyDictionary<string, string> Limits = new Dictionary<string, string>
    {
        ["RateLimits:AgentxAnonymous"] = "60/1m",
        ["RateLimits:AgentxUser"] = "120/1m",
        ["RateLimits:AgentxPublish"] = "2/1h",
    };

    protected override IReadOnlyDictionary<string, string> Settings => Limits;
}

public sealed class RateLimitTests(LimitedApp app) : IClassFixture<LimitedApp>
{
    [Fact]
    public async Task A_thousand_calls_at_once_on_two_processes_and_after_a_restart_pass_sixty()
    {
        // One subject for all: the anonymous caller on loopback.
        var second = await app.StartAsync(LimitedApp.Limits);
        var statuses = await Task.WhenAll(Enumerable.Range(0, 1000).Select(async i =>
        {
            using var response = await (i % 2 == 0 ? app.Client : second).GetAsync(MarketplaceApp.Base + "/categories");
            return (int)response.StatusCode;
        }));

        statuses.Count(status => status == 200).ShouldBe(60);
        statuses.Count(status => status == 429).ShouldBe(940);

        var restarted = await app.StartAsync(LimitedApp.Limits);
        using var refused = await restarted.GetAsync(MarketplaceApp.Base + "/categories");
        var error = await refused.ShouldBeAsync(429);
        error.GetProperty("error").GetString().ShouldBe("Rate limit exceeded");
        refused.Headers.GetValues("X-RateLimit-Limit").ShouldBe(["60"]);
        refused.Headers.GetValues("X-RateLimit-Remaining").ShouldBe(["0"]);
        int.Parse(refused.Headers.GetValues("X-RateLimit-Reset").Single()).ShouldBeInRange(1, 60);
        refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds.ShouldBeInRange(1, 60);
        refused.Headers.GetValues("RateLimit-Policy").ShouldBe(["\"agentx-anonymous\";q=60;w=60"]);
        refused.Headers.GetValues("RateLimit").Single().ShouldStartWith("\"agentx-anonymous\";r=0;t=");
    }

    [Fact]
    public async Task Publishes_are_limited_per_user_and_a_refused_one_says_so()
    {
        var token = await app.SignInAsync("busy");
        foreach (var (version, remaining) in (Dictionary<string, string>)new() { ["1.0.0"] = "1", ["1.0.1"] = "0" })
        {
            using var response = await app.PublishAsync(token, "@busy", "limited", version);
            await response.ShouldBeAsync(200);
            response.Headers.GetValues("X-RateLimit-Limit").ShouldBe(["2"]);
            response.Headers.GetValues("X-RateLimit-Remaining").ShouldBe([remaining]);
        }

        using var third = await app.PublishAsync(token, "@busy", "limited", "1.0.2");
        (await third.ShouldBeAsync(429)).GetProperty("message").GetString().ShouldBe("Publish rate limit exceeded. Maximum 2 publishes per hour.");
        using var other = await app.PublishAsync(await app.SignInAsync("calm"), "@calm", "limited", "1.0.0");
        await other.ShouldBeAsync(200);
    }

    [Fact]
    public async Task A_signed_in_user_has_a_limit_of_his_own()
    {
        using var response = await app.SendAsync(HttpMethod.Get, "/categories", await app.SignInAsync("reader"));

        await response.ShouldBeAsync(200);
        response.Headers.GetValues("X-RateLimit-Limit").ShouldBe(["120"]);
        response.Headers.GetValues("X-RateLimit-Remaining").ShouldBe(["119"]);
    }

    [Fact]
    public async Task A_body_that_is_too_long_is_counted_and_told_the_quota()
    {
        using var large = new StringContent(new string(' ', (1 << 20) + 1), new MediaTypeHeaderValue("application/json"));
        using var response = await app.SendAsync(HttpMethod.Post, "/telemetry", await app.SignInAsync("talker"), large);

        await response.ShouldBeAsync(413);
        response.Headers.GetValues("X-RateLimit-Remaining").ShouldBe(["119"]);
    }
}
