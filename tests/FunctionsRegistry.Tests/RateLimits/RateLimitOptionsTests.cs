using FunctionsRegistry.RateLimits;
using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.Tests.RateLimits;

public sealed class RateLimitOptionsTests
{
    [Theory]
    [InlineData("10/1h", 10, 3600)]
    [InlineData("60/m", 60, 60)]
    [InlineData("5/30s", 5, 30)]
    [InlineData("1/1d", 1, 86400)]
    public void A_limit_is_a_count_and_a_window(string text, int count, int seconds)
    {
        RateLimit? limit;
        RateLimitOptions.TryParse("name", text, out limit).ShouldBeTrue();

        limit.ShouldBe(new RateLimit("name", count, TimeSpan.FromSeconds(seconds)));
    }

    [Theory]
    [InlineData("")]
    [InlineData("10")]
    [InlineData("10/")]
    [InlineData("/1h")]
    [InlineData("0/1h")]
    [InlineData("-1/1h")]
    [InlineData("10/0s")]
    [InlineData("10/1w")]
    [InlineData("10/1h/2")]
    [InlineData("99999999999/1h")]
    public void Anything_else_is_refused(string text) => RateLimitOptions.TryParse("name", text, out _).ShouldBeFalse();

    [Fact]
    public void Off_means_no_limit()
    {
        RateLimitOptions.TryParse("name", "off", out var limit).ShouldBeTrue();

        limit.ShouldBeNull();
    }

    [Fact]
    public void The_specs_numbers_hold_when_nothing_is_configured()
    {
        var options = RateLimitOptions.FromConfiguration(new ConfigurationBuilder().Build());

        options[RateLimitPolicy.AgentxAnonymous].ShouldBe(new RateLimit("agentx-anonymous", 60, TimeSpan.FromMinutes(1)));
        options[RateLimitPolicy.AgentxUser].ShouldBe(new RateLimit("agentx-user", 120, TimeSpan.FromMinutes(1)));
        options[RateLimitPolicy.AgentxPublish].ShouldBe(new RateLimit("agentx-publish", 10, TimeSpan.FromHours(1)));
    }

    [Fact]
    public void Every_wrong_setting_is_named_at_once()
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["RateLimits:AgentxUser"] = "many",
            ["RateLimits:Nonsense"] = "1/1m",
        }).Build();

        var error = Should.Throw<InvalidOperationException>(() => RateLimitOptions.FromConfiguration(configuration));

        error.Message.ShouldContain("RateLimits__AgentxUser=many");
        error.Message.ShouldContain("RateLimits__Nonsense");
    }
}
