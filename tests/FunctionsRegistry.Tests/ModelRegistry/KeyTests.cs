using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.Functions.ModelRegistry;
using FunctionsRegistry.ModelRegistry;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.ModelRegistry;

public sealed class KeyTests(HokusaiApp app) : IClassFixture<HokusaiApp>
{
    private const string Keys = "/hokusai/api/v1/auth/keys";
    private const string Read = "/hokusai/mlflow/api/2.0/mlflow/experiments/get?experiment_id=0";

    private async Task<HttpResponseMessage> SendAsync(string path, string? authorization = null, string? apiKey = null, HttpMethod? method = null, string? json = null, HttpClient? client = null)
    {
        using var request = new HttpRequestMessage(method ?? HttpMethod.Get, new Uri(app.Client.BaseAddress!, path));
        if (client is not null)
            request.RequestUri = new Uri(client.BaseAddress!, path);
        if (authorization is not null)
            request.Headers.TryAddWithoutValidation("Authorization", authorization);
        if (apiKey is not null)
            request.Headers.Add("X-API-Key", apiKey);
        if (json is not null)
            request.Content = new StringContent(json, Encoding.UTF8, "application/json");
        using var handler = new SocketsHttpHandler { AllowAutoRedirect = false };
        using var plain = new HttpClient(handler);
        return await plain.SendAsync(request);
    }

    private Task<HttpResponseMessage> AdminAsync(string path, HttpMethod? method = null, string? json = null) =>
        SendAsync(path, "Bearer " + HokusaiApp.AdminKey, method: method, json: json);

    [Fact]
    public async Task A_key_is_made_listed_used_rotated_and_revoked()
    {
        var made = await (await AdminAsync(Keys, HttpMethod.Post, """{"name": "ci", "environment": "test", "rate_limit_per_hour": 500, "expires_in_days": 30}""")).JsonAsync(201);
        var (key, id) = (made.Str("key")!, made.Str("key_id")!);
        key.ShouldMatch("^hk_test_[A-Za-z0-9]{40}$");
        await (await SendAsync(Read, "Bearer " + key)).JsonAsync(200);

        var listed = (await (await AdminAsync(Keys + "?active_only=true")).JsonAsync(200)).GetProperty("keys").EnumerateArray().Single(one => one.Str("key_id") == id);
        listed.Str("key_prefix").ShouldBe(key[..11]);
        listed.GetProperty("is_active").GetBoolean().ShouldBeTrue();
        listed.GetRawText().ShouldNotContain(key[11..]);

        var rotated = (await (await AdminAsync($"{Keys}/{id}/rotate", HttpMethod.Post)).JsonAsync(200)).Str("key")!;
        (await (await SendAsync(Read, "Bearer " + key)).JsonAsync(401)).Code().ShouldBe("UNAUTHENTICATED");
        await (await SendAsync(Read, "Bearer " + rotated)).JsonAsync(200);
        await (await AdminAsync($"{Keys}/{id}", HttpMethod.Delete)).JsonAsync(200);
        await (await SendAsync(Read, "Bearer " + rotated)).JsonAsync(401);
        (await (await AdminAsync($"{Keys}/{id}/rotate", HttpMethod.Post)).JsonAsync(409)).Str("detail").ShouldBe("API key is revoked or expired");
        var standard = (await (await AdminAsync(Keys, HttpMethod.Post, """{"name": "null is absent", "scopes": null}""")).JsonAsync(201)).Str("key")!;
        await (await SendAsync("/hokusai/models/", "Bearer " + standard)).JsonAsync(200);
        (await (await AdminAsync($"{Keys}/{Guid.Empty}", HttpMethod.Delete)).JsonAsync(404)).Str("detail").ShouldBe("API key not found");
    }

    [Fact]
    public async Task A_key_comes_from_the_header_then_the_other_header_then_the_query()
    {
        await (await SendAsync(Read, "ApiKey " + app.Key)).JsonAsync(200);
        await (await SendAsync(Read, apiKey: app.Key)).JsonAsync(200);
        await (await SendAsync(Read + "&api_key=" + app.Key)).JsonAsync(200);
        await (await SendAsync(Read, "Basic dXNlcjpwYXNz", app.Key)).JsonAsync(200);
        // The first place that has one decides.
        await (await SendAsync(Read, "Bearer hk_test_" + new string('x', 40), app.Key)).JsonAsync(401);
        await (await SendAsync(Read + "&api_key=" + app.Key, apiKey: "wrong")).JsonAsync(401);
    }

    [Fact]
    public async Task Without_a_key_or_with_a_wrong_one_the_spec_s_words_come()
    {
        (await (await SendAsync("/hokusai/models/")).JsonAsync(401)).Str("detail").ShouldBe("API key required");
        (await (await SendAsync("/hokusai/models/", "Bearer nonsense")).JsonAsync(401)).Str("detail").ShouldBe("Invalid or expired API key");
        (await (await SendAsync(Read)).JsonAsync(401)).Message().ShouldBe("API key required");
    }

    [Fact]
    public async Task Scopes_decide_what_a_key_may_do()
    {
        var reader = "Bearer " + await app.CreateKeyAsync("reader", "model:read");
        await (await SendAsync("/hokusai/models/", reader)).JsonAsync(200);
        await (await SendAsync(Read, reader)).JsonAsync(200);
        (await (await SendAsync("/hokusai/models/a/1", reader, method: HttpMethod.Delete)).JsonAsync(403)).Str("detail").ShouldBe("Insufficient permissions");
        (await (await SendAsync("/hokusai/mlflow/api/2.0/mlflow/runs/create", reader, method: HttpMethod.Post, json: "{}")).JsonAsync(403)).Code().ShouldBe("PERMISSION_DENIED");
        (await (await SendAsync(Keys, "Bearer " + app.Key)).JsonAsync(403)).Str("detail").ShouldBe("Insufficient permissions");
        await (await SendAsync("/hokusai/models/", "Bearer " + HokusaiApp.AdminKey)).JsonAsync(200);
        (await (await AdminAsync(Keys, HttpMethod.Post, """{"name": "x", "scopes": ["keys:admin"]}""")).JsonAsync(422)).GetProperty("detail")[0]
            .GetProperty("loc").GetRawText().ShouldBe("""["body","scopes",0]""");
    }

    [Fact]
    public async Task Addresses_and_expiry_are_kept_to()
    {
        var service = app.Service<ApiKeyService>();
        var (elsewhere, _) = await service.CreateAsync(new NewApiKey("elsewhere", AllowedIps: ["10.1.2.0/24", "::2"]), default);
        var (here, _) = await service.CreateAsync(new NewApiKey("here", AllowedIps: ["127.0.0.0/8", "::1"]), default);
        var (expired, summary) = await service.CreateAsync(new NewApiKey("expired", ExpiresInDays: 1), default);
        await using var age = app.Database.CreateCommand("UPDATE models.api_keys SET expires_at = now() - interval '1 second' WHERE id = $1");
        age.Parameters.Add(new() { Value = summary.KeyId });
        await age.ExecuteNonQueryAsync();

        (await (await SendAsync("/hokusai/models/", "Bearer " + elsewhere)).JsonAsync(403)).Str("detail").ShouldBe("This API key may not be used from this address");
        await (await SendAsync("/hokusai/models/", "Bearer " + here)).JsonAsync(200);
        (await (await SendAsync("/hokusai/models/", "Bearer " + expired)).JsonAsync(401)).Str("detail").ShouldBe("Invalid or expired API key");
    }

    [Fact]
    public async Task All_wrong_fields_are_told_at_once()
    {
        var detail = (await (await AdminAsync(Keys, HttpMethod.Post,
            """{"name": "", "environment": "moon", "expires_in_days": 400, "rate_limit_per_hour": 0, "allowed_ips": "x"}""")).JsonAsync(422)).GetProperty("detail");
        detail.EnumerateArray().Select(fault => fault.GetProperty("loc")[1].GetString()).ShouldBe(["name", "environment", "expires_in_days", "rate_limit_per_hour", "allowed_ips"], ignoreOrder: true);
        (await (await AdminAsync(Keys, HttpMethod.Post, """{"name": "x", "allowed_ips": ["10.0.0.1", "not-an-address"]}""")).JsonAsync(422)).GetProperty("detail")[0]
            .GetProperty("loc").GetRawText().ShouldBe("""["body","allowed_ips",1]""");
        await (await AdminAsync(Keys, HttpMethod.Post, "not json")).JsonAsync(422);
    }

    [Fact]
    public async Task A_key_s_own_rate_is_counted_with_the_spec_s_headers()
    {
        var (key, summary) = await app.Service<ApiKeyService>().CreateAsync(new NewApiKey("slow", RateLimitPerHour: 2), default);
        for (var i = 0; i < 2; i++)
            await (await SendAsync("/hokusai/models/", "Bearer " + key)).JsonAsync(200);
        using var refused = await SendAsync("/hokusai/models/", "Bearer " + key);
        (await refused.JsonAsync(429)).Str("detail").ShouldBe("Rate limit exceeded");
        refused.Headers.GetValues("X-RateLimit-Remaining").ShouldBe(["0"]);
        long.Parse(refused.Headers.GetValues("X-RateLimit-Reset").Single()).ShouldBeInRange(DateTimeOffset.UnixEpoch.ToUnixTimeSeconds() + 1_600_000_000, 10_000_000_000);
        refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds.ShouldBeInRange(3500, 3600);

        await app.Service<KeyUsage>().StopAsync(default);
        var usage = await (await AdminAsync($"{Keys}/{summary.KeyId}/usage?hours=1")).JsonAsync(200);
        usage.GetProperty("total_requests").GetInt64().ShouldBe(3);
        usage.GetProperty("errors").GetInt64().ShouldBe(1);
        await (await AdminAsync($"{Keys}/{summary.KeyId}/usage?hours=0")).JsonAsync(422);
    }

    [Fact]
    public async Task The_command_makes_lists_and_revokes_keys()
    {
        var (output, errors) = (new StringWriter(), new StringWriter());
        (await KeyCommands.RunAsync(app.Services, ["create", "--name", "first", "--environment", "development", "--scope", "model:read"], output, errors)).ShouldBe(0);
        var key = output.ToString().Trim();
        key.ShouldStartWith("hk_dev_");
        await (await SendAsync("/hokusai/models/", "Bearer " + key)).JsonAsync(200);
        errors.ToString().ShouldNotContain(key);

        var list = new StringWriter();
        (await KeyCommands.RunAsync(app.Services, ["list"], list, errors)).ShouldBe(0);
        list.ToString().ShouldContain("first");
        (await KeyCommands.RunAsync(app.Services, ["create", "--name"], output, errors)).ShouldBe(2);
        (await KeyCommands.RunAsync(app.Services, ["create", "--name", "x", "--environment", "moon"], output, errors)).ShouldBe(1);
        (await KeyCommands.RunAsync(app.Services, ["revoke", Guid.Empty.ToString()], output, errors)).ShouldBe(1);
        (await KeyCommands.RunAsync(app.Services, [], output, errors)).ShouldBe(2);
    }

    [Fact]
    public async Task No_key_is_stored_as_it_is()
    {
        var key = await app.CreateKeyAsync("hidden");
        (await app.ScalarAsync<long>("SELECT count(*) FROM models.api_keys k WHERE to_jsonb(k)::text LIKE '%' || $1 || '%'", key[12..])).ShouldBe(0);
    }
}
