using System.Net;
using System.Net.Http.Headers;
using FunctionsRegistry.Tests.Marketplace;

namespace FunctionsRegistry.Tests.IndexAgent;

/// <summary>spec-dean.md: IndexAgent and Evolution need no authentication. The original's clients send a token.</summary>
public sealed class AccessTests(IndexAgentApp app) : IClassFixture<IndexAgentApp>
{
    [Theory]
    [InlineData("/indexagent/agents")]
    [InlineData("/evolution/evolution/trials")]
    public async Task Anybody_is_answered_whatever_token_he_sends_until_there_is_an_internal_key(string path)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path) { Headers = { Authorization = new AuthenticationHeaderValue("Bearer", "a.b.c") } };
        (await app.Client.SendAsync(request)).StatusCode.ShouldBe(HttpStatusCode.OK);

        var closed = await app.StartAsync(new Dictionary<string, string> { ["InternalApiKey"] = "s3cret" });
        using (var refused = await closed.GetAsync(path))
            (await refused.ShouldBeAsync(401)).GetProperty("detail").GetString().ShouldBe("Authentication required");
        using var known = new HttpRequestMessage(HttpMethod.Get, path) { Headers = { { "X-API-Key", "s3cret" } } };
        (await closed.SendAsync(known)).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await closed.GetAsync(path.Split('/')[1] + "/health")).StatusCode.ShouldBe(HttpStatusCode.OK);
    }
}
