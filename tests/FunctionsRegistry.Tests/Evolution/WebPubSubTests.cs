using System.Collections.Concurrent;
using Azure.Core;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Evolution;
using FunctionsRegistry.Identity;
using FunctionsRegistry.Tests.Identity;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace FunctionsRegistry.Tests.Evolution;

/// <summary>What is sent to Web PubSub, on a server of the test's own.</summary>
public sealed class WebPubSubTests : IAsyncLifetime
{
    private readonly WebApplication _server;
    private readonly ConcurrentQueue<(string Url, string? Authorization, string? Type, string Body)> _calls = new();
    private readonly FakeCredential _credential = new() { Next = new AccessToken("secret-token", DateTimeOffset.MaxValue) };
    private readonly HttpClient _http = new(new SocketsHttpHandler());
    private int _status = 202;
    private string _answer = """{"token":"a.b+c"}""";

    public WebPubSubTests()
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        _server = builder.Build();
        _server.Run(async http =>
        {
            using var reader = new StreamReader(http.Request.Body);
            _calls.Enqueue((http.Request.Path + http.Request.QueryString.Value, http.Request.Headers.Authorization, http.Request.ContentType, await reader.ReadToEndAsync()));
            http.Response.StatusCode = _status;
            if (http.Request.Path.Value!.EndsWith(":generateToken", StringComparison.Ordinal))
                await http.Response.WriteAsync(_answer);
        });
    }

    private string Address => _server.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();

    public async ValueTask InitializeAsync() => await _server.StartAsync();

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        await _server.DisposeAsync();
    }

    private WebPubSub Create(string? endpoint) => new(
        WebPubSubOptions.FromConfiguration(new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?> { ["WebPubSub:Endpoint"] = endpoint }).Build()),
        new EntraTokens(new Lazy<TokenCredential>(_credential), TimeProvider.System), _http, TimeProvider.System, NullLogger<WebPubSub>.Instance);

    [Fact]
    public async Task Updates_are_sent_in_order_with_the_identitys_token()
    {
        await Create(Address).SendAsync([new TrialEvent("trial-1", 1, """{"n":1}"""), new TrialEvent("trial-1", 2, """{"n":2}""")], CancellationToken.None);

        _calls.Select(call => call.Body).ShouldBe(["""{"n":1}""", """{"n":2}"""]);
        _calls.ShouldAllBe(call => call.Url == "/api/hubs/evolution/:send?api-version=2024-01-01" && call.Authorization == "Bearer secret-token" && call.Type == "application/json; charset=utf-8");
        _credential.Scopes.ShouldAllBe(scope => scope == EntraTokens.WebPubSubScope);
    }

    [Fact]
    public async Task Clients_get_a_url_with_a_token()
    {
        _status = 200;
        (await Create(Address).FindClientUrlAsync(CancellationToken.None))!.AbsoluteUri.ShouldBe(
            $"{Address.Replace("http://", "ws://", StringComparison.Ordinal)}/client/hubs/evolution?access_token=a.b%2Bc");
        _calls.Single().Url.ShouldBe("/api/hubs/evolution/:generateToken?api-version=2024-01-01&minutesToExpire=60");
        (await Create(null).FindClientUrlAsync(CancellationToken.None)).ShouldBeNull();
    }

    [Fact]
    public async Task A_service_that_refuses_stops_no_trial()
    {
        _status = 500;
        await Create(Address).SendAsync([new TrialEvent("trial-1", 1, "{}")], CancellationToken.None);
        (await Should.ThrowAsync<RegistryException>(() => Create(Address).FindClientUrlAsync(CancellationToken.None))).Kind.ShouldBe(ErrorKind.Unavailable);

        _credential.Next = null;
        await Create(Address).SendAsync([new TrialEvent("trial-1", 1, "{}")], CancellationToken.None);
        _calls.Count.ShouldBe(2);
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"token":5}""")]
    [InlineData("[]")]
    [InlineData("<html>")]
    public async Task An_answer_without_a_token_is_a_service_that_is_not_there(string answer)
    {
        (_status, _answer) = (200, answer);
        (await Should.ThrowAsync<RegistryException>(() => Create(Address).FindClientUrlAsync(CancellationToken.None))).Kind.ShouldBe(ErrorKind.Unavailable);
    }

    [Theory]
    [InlineData("http://example.org")]
    [InlineData("name.webpubsub.azure.com")]
    public void An_endpoint_that_would_send_tokens_in_the_open_is_refused(string endpoint) =>
        Should.Throw<InvalidOperationException>(() => Create(endpoint)).Message.ShouldContain("WebPubSub__Endpoint");
}
