using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text.Json;
using FunctionsRegistry.Marketplace;
using FunctionsRegistry.Tests.Support;
using Microsoft.Extensions.DependencyInjection;

namespace FunctionsRegistry.Tests.Marketplace;

/// <summary>The app with the marketplace's shorthand: sign somebody in, publish, read.</summary>
public class MarketplaceApp(TestServices services) : RegistryApp(services)
{
    public const string Base = "/agentx/api/v1";

    /// <summary>A token of a user of that name.</summary>
    public async Task<string> SignInAsync(string username)
    {
        var users = Services.GetRequiredService<UserStore>();
        var user = await users.UpsertAsync(new GitHubProfile(BitConverter.ToInt32(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(username))), username, username, null, null), default);
        return (await Services.GetRequiredService<AccountService>().IssueTokenAsync(user.Id, default)).Token;
    }

    /// <summary>The form that the real client sends, in its order.</summary>
    public static MultipartFormDataContent Form(byte[] tarball, string manifest, string readme = "# Readme", string? sha256 = null)
    {
        var file = new ByteArrayContent(tarball);
        file.Headers.ContentType = new MediaTypeHeaderValue("application/gzip");
        var form = new MultipartFormDataContent
        {
            { file, "tarball", "package.tar.gz" },
            { new StringContent(manifest), "agent_yaml" },
            { new StringContent(readme), "readme" },
        };
        if (sha256 is not null)
            form.Add(new StringContent(sha256), "sha256");
        return form;
    }

    public static string Manifest(string author, string name, string version, string? category = "productivity", string description = "Reads mail", string[]? tags = null) =>
        JsonSerializer.Serialize(new Dictionary<string, object?>
        {
            ["name"] = name,
            ["version"] = version,
            ["author"] = author,
            ["description"] = description,
            ["category"] = category,
            ["tags"] = tags ?? ["email", "gmail"],
        }.Where(pair => pair.Value is not null).ToDictionary());

    public async Task<HttpResponseMessage> PublishAsync(
        string token, string author, string name, string version, string? category = "productivity", string description = "Reads mail",
        string readme = "# Readme", byte[]? tarball = null, string path = "/agents", string[]? tags = null, string? idempotencyKey = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Put, Base + path)
        {
            Content = Form(tarball ?? TarballBuilder.Package(author, name, version), Manifest(author, name, version, category, description, tags), readme),
        };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        if (idempotencyKey is not null)
            request.Headers.Add("Idempotency-Key", idempotencyKey);
        return await Client.SendAsync(request);
    }

    public async Task<JsonElement> GetJsonAsync(string path)
    {
        using var response = await Client.GetAsync(Base + path);
        var text = await response.Content.ReadAsStringAsync();
        response.IsSuccessStatusCode.ShouldBeTrue($"GET {path} answered {(int)response.StatusCode}: {text}");
        return JsonDocument.Parse(text).RootElement;
    }

    public async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, string? token = null, HttpContent? content = null)
    {
        using var request = new HttpRequestMessage(method, Base + path) { Content = content };
        if (token is not null)
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return await Client.SendAsync(request);
    }
}

internal static class Responses
{
    /// <summary>The status, with the body in the message where it is another.</summary>
    public static async Task<JsonElement> ShouldBeAsync(this HttpResponseMessage response, int status)
    {
        var text = await response.Content.ReadAsStringAsync();
        ((int)response.StatusCode).ShouldBe(status, text);
        return text.Length == 0 ? default : JsonDocument.Parse(text).RootElement;
    }

    /// <summary>The texts of an agentx error's details.</summary>
    public static string[] Details(this JsonElement error) => [.. error.GetProperty("details").EnumerateArray().Select(detail => detail.GetString()!)];
}
