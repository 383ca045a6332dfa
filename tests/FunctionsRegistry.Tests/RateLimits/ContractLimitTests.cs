using System.Net.Http.Headers;
using FunctionsRegistry.Tests.ModelRegistry;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.RateLimits;

/// <summary>An app with the limits of spec-hokusai.md and spec-dean.md as they are unless set.</summary>
public sealed class StandardLimitsApp(TestServices services) : HokusaiApp(services)
{
    protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>(base.Settings)
    {
        ["RateLimits:HokusaiDefault"] = "",
        ["RateLimits:HokusaiRegister"] = "",
        ["RateLimits:HokusaiLineage"] = "",
        ["RateLimits:HokusaiImpact"] = "",
        ["RateLimits:DeanPerAddress"] = "",
    };
}

public sealed class ContractLimitTests(StandardLimitsApp app) : IClassFixture<StandardLimitsApp>
{
    [Theory]
    [InlineData("POST", "/hokusai/models/register", 20, 422)]
    [InlineData("GET", "/hokusai/models/no-model/lineage", 100, 404)]
    [InlineData("GET", "/hokusai/models/contributors/nobody/impact", 100, 400)]
    public async Task An_endpoint_of_hokusai_has_its_own_limit_per_minute_and_key(string method, string path, int limit, int status)
    {
        for (var i = 1; i <= limit; i++)
        {
            using var accepted = await SendAsync(app.Key, method, path);
            await accepted.JsonAsync(status);
            accepted.Headers.GetValues("X-RateLimit-Remaining").ShouldBe([$"{limit - i}"]);
        }

        using var refused = await SendAsync(app.Key, method, path);
        (await refused.JsonAsync(429)).Str("detail").ShouldBe("Rate limit exceeded");
        var reset = DateTimeOffset.FromUnixTimeSeconds(long.Parse(refused.Headers.GetValues("X-RateLimit-Reset").Single()));
        reset.ShouldBe(refused.Headers.Date!.Value.AddSeconds(30), TimeSpan.FromSeconds(35));
        using var other = await SendAsync(await app.CreateKeyAsync("another"), method, path);
        await other.JsonAsync(status);
    }

    [Fact]
    public async Task A_key_has_a_thousand_requests_per_hour()
    {
        using var response = await SendAsync(await app.CreateKeyAsync("fresh"), "GET", "/hokusai/models/");
        response.Headers.GetValues("X-RateLimit-Limit").ShouldBe(["1000"]);
        response.Headers.GetValues("X-RateLimit-Remaining").ShouldBe(["999"]);
        response.Headers.GetValues("RateLimit-Policy").ShouldBe(["\"hokusai-key\";q=1000;w=3600"]);
    }

    [Fact]
    public async Task An_address_has_a_thousand_requests_per_minute_of_each_of_deans_services()
    {
        var left = new List<int>();
        foreach (var path in (string[])["/indexagent/agents", "/airflow/api/v1/dags", "/evolution/evolution/trials"])
        {
            using var response = await app.Client.GetAsync(path);
            response.Headers.GetValues("RateLimit-Policy").ShouldBe(["\"dean-per-address\";q=1000;w=60"]);
            left.Add(int.Parse(response.Headers.GetValues("X-RateLimit-Remaining").Single()));
        }
        left.ShouldBe([999, 999, 999]);
        using var health = await app.Client.GetAsync("/evolution/health");
        health.Headers.Contains("X-RateLimit-Remaining").ShouldBeFalse();
    }

    private async Task<HttpResponseMessage> SendAsync(string key, string method, string path)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path) { Headers = { Authorization = new AuthenticationHeaderValue("Bearer", key) } };
        return await app.Client.SendAsync(request);
    }
}
