using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.Errors;

namespace FunctionsRegistry.Marketplace;

/// <summary>Sign-in and tokens. Tokens and states are random, kept as SHA-256 only, and found by their hash.</summary>
public sealed class AccountService(UserStore users, GitHubOptions github, MarketplaceOptions options, IHttpClientFactory clients, TimeProvider time)
{
    /// <summary>Name of the HTTP client for GitHub.</summary>
    public const string HttpClientName = "github";

    private const string DevelopmentCodePrefix = "dev-";
    private static readonly TimeSpan s_stateLifetime = TimeSpan.FromMinutes(10);

    /// <summary>Begins a sign-in (spec: POST /auth/github).</summary>
    /// <param name="developmentPage">Address of the development sign-in page, or null where it must not exist.</param>
    /// <exception cref="RegistryException">400: no or a foreign redirect_uri; 503: no GitHub client.</exception>
    public async Task<SignInResponse> StartAsync(SignInRequest request, Uri? developmentPage, CancellationToken cancellationToken)
    {
        if (string.IsNullOrEmpty(request.RedirectUri))
            throw MarketplaceErrors.MissingRedirectUri();
        var redirect = ParseRedirect(request.RedirectUri);
        if (request.State is { Length: > 500 })
            throw CommonErrors.InvalidBody("$.state: at most 500 characters");
        var state = string.IsNullOrEmpty(request.State) ? RandomHex(16) : request.State;
        string url;
        if (github.ClientId is not null)
            url = $"{github.WebUrl}login/oauth/authorize?client_id={Escape(github.ClientId)}&redirect_uri={Escape(redirect.AbsoluteUri)}"
                + $"&scope={Escape("read:user user:email")}&state={Escape(state)}";
        else if (developmentPage is not null)
            url = $"{developmentPage}?state={Escape(state)}";
        else
            throw MarketplaceErrors.SignInNotConfigured();
        await users.InsertStateAsync(Hash("state:" + state), redirect.AbsoluteUri, time.GetUtcNow() + s_stateLifetime, cancellationToken);
        return new SignInResponse(url, state);
    }

    /// <summary>Ends a sign-in (spec: GET /auth/callback): one use of the state, then a new token.</summary>
    /// <exception cref="RegistryException">400: missing, unknown or expired state or code; 502: GitHub failed.</exception>
    public async Task<CallbackResponse> FinishAsync(string? code, string? state, CancellationToken cancellationToken)
    {
        if (string.IsNullOrEmpty(code) || string.IsNullOrEmpty(state))
            throw MarketplaceErrors.MissingCallbackParameters();
        if (!await users.TakeStateAsync(Hash("state:" + state), cancellationToken))
            throw MarketplaceErrors.UnknownState();
        var profile = code.StartsWith(DevelopmentCodePrefix, StringComparison.Ordinal) && github.ClientId is null
            ? await TakeDevelopmentCodeAsync(code, cancellationToken)
            : await AskGitHubAsync(code, cancellationToken);
        var user = await users.UpsertAsync(profile, cancellationToken);
        var (token, expiresAt) = await IssueTokenAsync(user.Id, cancellationToken);
        return new CallbackResponse(token, new SignedInUser(user.Username, user.DisplayName ?? user.Username, user.AvatarUrl, user.GithubId), expiresAt);
    }

    /// <summary>A new token of a user; shown once, stored as its hash.</summary>
    public async Task<(string Token, DateTimeOffset ExpiresAt)> IssueTokenAsync(Guid userId, CancellationToken cancellationToken)
    {
        var token = "agentx_" + RandomHex(16);
        var expiresAt = time.GetUtcNow() + options.TokenLifetime;
        await users.InsertTokenAsync(userId, Hash(token), expiresAt, cancellationToken);
        return (token, expiresAt);
    }

    /// <summary>Revokes a token; no error when there is none.</summary>
    public Task RevokeAsync(string token, CancellationToken cancellationToken) => users.RevokeTokenAsync(Hash(token), cancellationToken);

    /// <summary>The development sign-in: where to send the browser back, with a code that stands for a chosen user name. Local runtime only.</summary>
    /// <exception cref="RegistryException">400: the state is unknown or the name is no GitHub login.</exception>
    public async Task<string> ApproveDevelopmentAsync(string? state, string? username, CancellationToken cancellationToken)
    {
        if (string.IsNullOrEmpty(state) || await users.FindStateAsync(Hash("state:" + state), cancellationToken) is not { } redirect)
            throw MarketplaceErrors.UnknownState();
        if (!AgentNames.TryScope(username, out var scope))
            throw CommonErrors.InvalidParameter("username", "a GitHub user name");
        var code = DevelopmentCodePrefix + RandomHex(16);
        await users.InsertStateAsync(Hash("code:" + code), scope[1..], time.GetUtcNow() + s_stateLifetime, cancellationToken);
        return $"{redirect}{(redirect.Contains('?', StringComparison.Ordinal) ? '&' : '?')}code={code}&state={Escape(state)}";
    }

    private Uri ParseRedirect(string text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var url) && url.UserInfo.Length == 0 && url.Fragment.Length == 0
        && ((url.Scheme == "http" && url.IsLoopback) || github.RedirectOrigins.Contains(url.GetLeftPart(UriPartial.Authority), StringComparer.OrdinalIgnoreCase))
            ? url
            : throw MarketplaceErrors.RedirectNotAllowed();

    private async Task<GitHubProfile> TakeDevelopmentCodeAsync(string code, CancellationToken cancellationToken)
    {
        var hash = Hash("code:" + code);
        if (await users.FindStateAsync(hash, cancellationToken) is not { } username || !await users.TakeStateAsync(hash, cancellationToken))
            throw MarketplaceErrors.UnknownState();
        // Negative, so that it can never be a real account's; the same name is the same user each time.
        var id = -(BitConverter.ToInt64(SHA256.HashData(Encoding.UTF8.GetBytes(username.ToLowerInvariant()))) & long.MaxValue >> 11) - 1;
        return new GitHubProfile(id, username, username, null, null);
    }

    private async Task<GitHubProfile> AskGitHubAsync(string code, CancellationToken cancellationToken)
    {
        try
        {
            using var client = clients.CreateClient(HttpClientName);
            var access = await ExchangeAsync(client, code, cancellationToken);
            using var user = await GetAsync(client, "user", access, cancellationToken);
            var root = user.RootElement;
            var email = Text(root, "email") ?? await FindEmailAsync(client, access, cancellationToken);
            return new GitHubProfile(root.GetProperty("id").GetInt64(), root.GetProperty("login").GetString()!, Text(root, "name"), email, Text(root, "avatar_url"));
        }
        catch (Exception exception) when (exception is HttpRequestException or JsonException or KeyNotFoundException or InvalidOperationException or FormatException
            || (exception is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw MarketplaceErrors.AuthenticationFailed(exception);
        }
    }

    private async Task<string> ExchangeAsync(HttpClient client, string code, CancellationToken cancellationToken)
    {
        if (github.ClientId is null || github.ClientSecret is null)
            throw MarketplaceErrors.SignInNotConfigured();
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(github.WebUrl, "login/oauth/access_token"));
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/json"));
        request.Content = new FormUrlEncodedContent([new("client_id", github.ClientId), new("client_secret", github.ClientSecret), new("code", code)]);
        using var response = await client.SendAsync(request, cancellationToken);
        response.EnsureSuccessStatusCode();
        using var body = await JsonDocument.ParseAsync(await response.Content.ReadAsStreamAsync(cancellationToken), cancellationToken: cancellationToken);
        return Text(body.RootElement, "access_token") ?? throw MarketplaceErrors.AuthenticationFailed();
    }

    private async Task<string?> FindEmailAsync(HttpClient client, string access, CancellationToken cancellationToken)
    {
        using var emails = await GetAsync(client, "user/emails", access, cancellationToken);
        foreach (var email in emails.RootElement.EnumerateArray())
            if (email.GetProperty("primary").GetBoolean() && email.GetProperty("verified").GetBoolean())
                return Text(email, "email");
        return null;
    }

    private async Task<JsonDocument> GetAsync(HttpClient client, string path, string access, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(github.ApiUrl, path));
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", access);
        request.Headers.UserAgent.ParseAdd("FunctionsRegistry");
        request.Headers.Accept.ParseAdd("application/vnd.github+json");
        using var response = await client.SendAsync(request, cancellationToken);
        response.EnsureSuccessStatusCode();
        return await JsonDocument.ParseAsync(await response.Content.ReadAsStreamAsync(cancellationToken), cancellationToken: cancellationToken);
    }

    private static string? Text(JsonElement element, string name) =>
        element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static string RandomHex(int bytes) => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(bytes));

    private static byte[] Hash(string secret) => SHA256.HashData(Encoding.UTF8.GetBytes(secret));

    private static string Escape(string text) => Uri.EscapeDataString(text);
}
