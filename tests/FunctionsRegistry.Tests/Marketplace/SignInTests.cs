using System.Net;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.Marketplace;
using FunctionsRegistry.Tests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.Tests.Marketplace;

/// <summary>An app whose GitHub is a small server of ours that answers as GitHub's does.</summary>
public sealed class SignInApp(TestServices services) : MarketplaceApp(services)
{
    private WebApplication? _gitHub;
    private string _url = "";

    /// <summary>What the next exchange finds; null: the code is refused.</summary>
    public (long Id, string Login, string? Email)? Account { get; set; }

    /// <summary>GitHub answers 500 to everything.</summary>
    public bool IsBroken { get; set; }

    protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>
    {
        ["GitHub:ClientId"] = "client-1",
        ["GitHub:ClientSecret"] = "secret-1",
        ["GitHub:WebUrl"] = _url,
        ["GitHub:ApiUrl"] = _url,
        ["GitHub:RedirectOrigins"] = "https://agentx.example",
    };

    public override async ValueTask InitializeAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        _gitHub = builder.Build();
        _gitHub.Run(AnswerAsync);
        await _gitHub.StartAsync();
        _url = _gitHub.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        await base.InitializeAsync();
    }

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        await _gitHub!.DisposeAsync();
    }

    private async Task AnswerAsync(HttpContext http)
    {
        if (IsBroken)
        {
            http.Response.StatusCode = 500;
            return;
        }
        object? body = http.Request.Path.Value switch
        {
            "/login/oauth/access_token" => Account is null ? new { error = "bad_verification_code" } : new { access_token = "gho_x", token_type = "bearer" },
            "/user" when http.Request.Headers.Authorization == "Bearer gho_x" =>
                new { id = Account!.Value.Id, login = Account.Value.Login, name = "Name of " + Account.Value.Login, avatar_url = "https://avatars.example/1", email = (string?)null },
            "/user/emails" => new[] { new { email = Account!.Value.Email, primary = true, verified = true } },
            _ => null,
        };
        http.Response.StatusCode = body is null ? 401 : 200;
        await http.Response.WriteAsJsonAsync(body);
    }
}

public sealed class SignInTests(SignInApp app) : IClassFixture<SignInApp>
{
    [Fact]
    public async Task A_sign_in_through_github_ends_with_a_token_that_publishes()
    {
        app.Account = (4711, "Octo", "octo@example.org");
        var start = await StartAsync("""{"redirect_uri":"http://127.0.0.1:9876/callback","state":"client-state-1"}""");
        start.GetProperty("state").GetString().ShouldBe("client-state-1");
        var url = new Uri(start.GetProperty("auth_url").GetString()!);
        url.AbsolutePath.ShouldBe("/login/oauth/authorize");
        url.Query.ShouldContain("client_id=client-1");
        url.Query.ShouldContain("redirect_uri=http%3A%2F%2F127.0.0.1%3A9876%2Fcallback");
        url.Query.ShouldContain("scope=read%3Auser%20user%3Aemail");

        var answer = await app.GetJsonAsync("/auth/callback?code=c&state=client-state-1");

        var token = answer.GetProperty("token").GetString()!;
        token.ShouldMatch("^agentx_[0-9a-f]{32}$");
        answer.GetProperty("user").GetProperty("username").GetString().ShouldBe("Octo");
        answer.GetProperty("user").GetProperty("display_name").GetString().ShouldBe("Name of Octo");
        answer.GetProperty("user").GetProperty("github_id").GetInt64().ShouldBe(4711);
        await (await app.PublishAsync(token, "@octo", "signed", "1.0.0")).ShouldBeAsync(200);
        (await app.ScalarAsync<string>("SELECT email FROM marketplace.users WHERE github_id = 4711")).ShouldBe("octo@example.org");
        (await app.ScalarAsync<long>("SELECT count(*) FROM marketplace.tokens WHERE encode(hash, 'escape') LIKE '%agentx%'")).ShouldBe(0);
    }

    [Fact]
    public async Task A_state_is_used_once_and_must_be_known()
    {
        app.Account = (4712, "once", null);
        var state = (await StartAsync("""{"redirect_uri":"http://localhost:1/callback"}""")).GetProperty("state").GetString();

        await (await app.SendAsync(HttpMethod.Get, $"/auth/callback?code=c&state={state}")).ShouldBeAsync(200);
        await (await app.SendAsync(HttpMethod.Get, $"/auth/callback?code=c&state={state}")).ShouldBeAsync(400);
        await (await app.SendAsync(HttpMethod.Get, "/auth/callback?code=c&state=made-up")).ShouldBeAsync(400);
        (await (await app.SendAsync(HttpMethod.Get, "/auth/callback?code=c")).ShouldBeAsync(400)).GetProperty("error").GetString()
            .ShouldBe("Missing required query parameters: code, state");
    }

    [Fact]
    public async Task A_state_ends_after_ten_minutes()
    {
        var state = (await StartAsync("""{"redirect_uri":"http://localhost:1/callback"}""")).GetProperty("state").GetString();
        await using var command = app.Database.CreateCommand("UPDATE marketplace.oauth_states SET expires_at = now() - interval '1 second'");
        await command.ExecuteNonQueryAsync();

        await (await app.SendAsync(HttpMethod.Get, $"/auth/callback?code=c&state={state}")).ShouldBeAsync(400);
    }

    [Theory]
    [InlineData("""{}""", "Missing required field: redirect_uri")]
    [InlineData("""{"redirect_uri":""}""", "Missing required field: redirect_uri")]
    [InlineData("""{"redirect_uri":"https://evil.example/callback"}""", "loopback")]
    [InlineData("""{"redirect_uri":"http://127.0.0.1.evil.example/"}""", "loopback")]
    [InlineData("""{"redirect_uri":"http://user@127.0.0.1/"}""", "loopback")]
    [InlineData("""{"redirect_uri":"javascript:alert(1)"}""", "loopback")]
    [InlineData("""{"redirect_uri":7}""", "$.redirect_uri")]
    [InlineData("""{""", "Invalid JSON")]
    public async Task A_redirect_goes_to_loopback_or_a_known_origin_only(string body, string text)
    {
        using var content = new StringContent(body, Encoding.UTF8, "application/json");

        (await (await app.SendAsync(HttpMethod.Post, "/auth/github", content: content)).ShouldBeAsync(400)).GetProperty("error").GetString()!.ShouldContain(text);
    }

    [Fact]
    public async Task A_configured_origin_is_allowed() => await StartAsync("""{"redirect_uri":"https://agentx.example/auth/done"}""");

    [Fact]
    public async Task What_github_refuses_or_breaks_fails_the_sign_in()
    {
        app.Account = null;
        (await CallbackAsync()).GetProperty("error").GetString().ShouldBe("Authentication failed");
        app.IsBroken = true;
        (await CallbackAsync()).GetProperty("error").GetString().ShouldBe("Authentication failed");
        app.IsBroken = false;

        async Task<JsonElement> CallbackAsync()
        {
            var state = (await StartAsync("""{"redirect_uri":"http://localhost:1/callback"}""")).GetProperty("state").GetString();
            return await (await app.SendAsync(HttpMethod.Get, $"/auth/callback?code=c&state={state}")).ShouldBeAsync(502);
        }
    }

    [Fact]
    public async Task A_login_that_moved_to_another_account_moves_here_too()
    {
        app.Account = (5001, "moved", null);
        await SignInThroughGitHubAsync();
        app.Account = (5002, "Moved", null);
        var second = await SignInThroughGitHubAsync();

        second.GetProperty("user").GetProperty("username").GetString().ShouldBe("Moved");
        (await app.ScalarAsync<string>("SELECT username FROM marketplace.users WHERE github_id = 5001")).ShouldBe("moved-5001");
    }

    [Fact]
    public async Task A_revoked_or_expired_token_signs_nobody_in()
    {
        var accounts = app.Service<AccountService>();
        var revoked = await app.SignInAsync("revoked");
        await accounts.RevokeAsync(revoked, default);
        await (await app.SendAsync(HttpMethod.Put, "/agents/@a/b/star", revoked)).ShouldBeAsync(401);

        var expired = await app.SignInAsync("expired");
        await using var command = app.Database.CreateCommand(
            "UPDATE marketplace.tokens SET expires_at = now() - interval '1 second' WHERE user_id = (SELECT id FROM marketplace.users WHERE username = 'expired')");
        await command.ExecuteNonQueryAsync();
        await (await app.SendAsync(HttpMethod.Put, "/agents/@a/b/star", expired)).ShouldBeAsync(401);
    }

    private async Task<JsonElement> StartAsync(string body)
    {
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        return await (await app.SendAsync(HttpMethod.Post, "/auth/github", content: content)).ShouldBeAsync(200);
    }

    private async Task<JsonElement> SignInThroughGitHubAsync()
    {
        var state = (await StartAsync("""{"redirect_uri":"http://localhost:1/callback"}""")).GetProperty("state").GetString();
        return await app.GetJsonAsync($"/auth/callback?code=c&state={state}");
    }
}

public sealed class DevelopmentSignInTests(MarketplaceApp app) : IClassFixture<MarketplaceApp>
{
    [Fact]
    public async Task Without_a_github_client_the_local_runtime_signs_in_by_name()
    {
        using var start = new StringContent("""{"redirect_uri":"http://127.0.0.1:9876/callback","state":"s-1"}""", Encoding.UTF8, "application/json");
        var url = (await (await app.SendAsync(HttpMethod.Post, "/auth/github", content: start)).ShouldBeAsync(200)).GetProperty("auth_url").GetString()!;
        (await app.Client.GetStringAsync(url)).ShouldContain("name=\"state\" value=\"s-1\"");

        using var form = new FormUrlEncodedContent([new("state", "s-1"), new("username", "dev-user")]);
        using var approved = await app.Client.PostAsync(url, form);
        approved.StatusCode.ShouldBe(HttpStatusCode.Redirect);
        var back = approved.Headers.Location!;
        back.GetLeftPart(UriPartial.Path).ShouldBe("http://127.0.0.1:9876/callback");

        var answer = await app.GetJsonAsync("/auth/callback" + back.Query);
        await (await app.PublishAsync(answer.GetProperty("token").GetString()!, "@dev-user", "first", "1.0.0")).ShouldBeAsync(200);
        await (await app.SendAsync(HttpMethod.Get, "/auth/callback" + back.Query)).ShouldBeAsync(400);
    }

    [Fact]
    public async Task The_page_escapes_the_state_and_knows_only_states_given_out()
    {
        (await app.Client.GetStringAsync(MarketplaceApp.Base + "/auth/development?state=%22%3E%3Cscript%3E")).ShouldNotContain("<script>");
        using var form = new FormUrlEncodedContent([new("state", "unknown"), new("username", "x")]);
        await (await app.Client.PostAsync(MarketplaceApp.Base + "/auth/development", form)).ShouldBeAsync(400);
    }

    [Fact]
    public async Task A_page_of_another_site_cannot_use_the_development_sign_in()
    {
        foreach (var (method, path) in ((HttpMethod, string)[])[(HttpMethod.Get, "/auth/development?state=x"), (HttpMethod.Post, "/auth/github")])
        {
            using var request = new HttpRequestMessage(method, MarketplaceApp.Base + path) { Headers = { Host = "rebound.example" } };
            if (method == HttpMethod.Post)
                request.Content = new StringContent("""{"redirect_uri":"http://127.0.0.1:9876/callback"}""", Encoding.UTF8, "application/json");
            using var response = await app.Client.SendAsync(request);
            await response.ShouldBeAsync(method == HttpMethod.Get ? 404 : 503);
        }
    }

    [Fact]
    public async Task A_token_can_be_revoked_by_its_owner()
    {
        var token = await app.SignInAsync("leaver");
        using var revoked = await app.SendAsync(HttpMethod.Delete, "/auth/token", token);
        revoked.StatusCode.ShouldBe(HttpStatusCode.NoContent);

        await (await app.SendAsync(HttpMethod.Delete, "/auth/token", token)).ShouldBeAsync(401);
    }
}
