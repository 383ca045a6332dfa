using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using FunctionsRegistry.Tests.Marketplace;

namespace FunctionsRegistry.Tests.Http;

public sealed class HttpHouseTests(MarketplaceApp app) : IClassFixture<MarketplaceApp>
{
    [Fact]
    public async Task A_well_formed_request_id_comes_back_and_is_in_the_error_body()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, MarketplaceApp.Base + "/agents/@no/body");
        request.Headers.Add("X-Request-Id", "abc-123");
        using var response = await app.Client.SendAsync(request);

        response.Headers.GetValues("X-Request-Id").ShouldBe(["abc-123"]);
        (await response.ShouldBeAsync(404)).GetProperty("request_id").GetString().ShouldBe("abc-123");
    }

    [Fact]
    public async Task A_malformed_request_id_is_replaced()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/health");
        request.Headers.TryAddWithoutValidation("X-Request-Id", "a b<script>");
        using var response = await app.Client.SendAsync(request);

        response.Headers.GetValues("X-Request-Id").Single().ShouldMatch("^[0-9a-f]{32}$");
    }

    [Fact]
    public async Task Problem_json_is_answered_to_those_who_ask()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, MarketplaceApp.Base + "/search");
        request.Headers.Accept.ParseAdd("application/problem+json");
        using var response = await app.Client.SendAsync(request);

        var problem = await response.ShouldBeAsync(400);
        response.Content.Headers.ContentType!.MediaType.ShouldBe("application/problem+json");
        problem.GetProperty("status").GetInt32().ShouldBe(400);
        problem.GetProperty("detail").GetString().ShouldBe("Missing required query parameter: q");
    }

    [Fact]
    public async Task A_matching_etag_gets_304_and_a_changed_resource_a_new_one()
    {
        var token = await app.SignInAsync("tagger");
        await (await app.PublishAsync(token, "@tagger", "etag", "1.0.0")).ShouldBeAsync(200);
        using var first = await app.SendAsync(HttpMethod.Get, "/agents/@tagger/etag");
        var tag = first.Headers.ETag.ShouldNotBeNull();

        using var again = new HttpRequestMessage(HttpMethod.Get, MarketplaceApp.Base + "/agents/@tagger/etag");
        again.Headers.IfNoneMatch.Add(tag);
        using var unchanged = await app.Client.SendAsync(again);
        unchanged.StatusCode.ShouldBe(HttpStatusCode.NotModified);
        (await unchanged.Content.ReadAsByteArrayAsync()).ShouldBeEmpty();

        await (await app.SendAsync(HttpMethod.Put, "/agents/@tagger/etag/star", token)).ShouldBeAsync(200);
        using var changed = new HttpRequestMessage(HttpMethod.Get, MarketplaceApp.Base + "/agents/@tagger/etag");
        changed.Headers.IfNoneMatch.Add(tag);
        using var fresh = await app.Client.SendAsync(changed);
        fresh.StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task Head_answers_like_get_without_a_body()
    {
        using var response = await app.SendAsync(HttpMethod.Head, "/categories");

        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        response.Content.Headers.ContentLength.ShouldNotBeNull().ShouldBeGreaterThan(100);
        (await response.Content.ReadAsByteArrayAsync()).ShouldBeEmpty();
    }

    [Fact]
    public async Task Doubled_slashes_are_redirected_with_their_query()
    {
        using var response = await app.Client.GetAsync("/agentx//api//v1/search?q=a%2Fb");

        response.StatusCode.ShouldBe(HttpStatusCode.TemporaryRedirect);
        response.Headers.Location!.OriginalString.ShouldBe("/agentx/api/v1/search?q=a%2Fb");
    }

    [Fact]
    public async Task A_redirect_never_leaves_this_host()
    {
        using var response = await app.Client.GetAsync(new Uri(app.Client.BaseAddress + "/evil.example/x"));

        (response.Headers.Location?.OriginalString ?? "/").ShouldNotStartWith("//");
        ((int)response.StatusCode).ShouldBeOneOf(307, 404);
    }

    [Fact]
    public async Task A_preflight_allows_reads_and_nothing_else()
    {
        using var request = new HttpRequestMessage(HttpMethod.Options, MarketplaceApp.Base + "/agents");
        request.Headers.Add("Origin", "https://example.org");
        request.Headers.Add("Access-Control-Request-Method", "GET");
        using var response = await app.Client.SendAsync(request);

        response.StatusCode.ShouldBe(HttpStatusCode.NoContent);
        response.Headers.GetValues("Access-Control-Allow-Origin").ShouldBe(["*"]);
        response.Headers.GetValues("Access-Control-Allow-Methods").Single().ShouldNotContain("PUT");
        using var read = await app.SendAsync(HttpMethod.Get, "/agents");
        read.Headers.GetValues("Access-Control-Allow-Origin").ShouldBe(["*"]);
    }

    [Theory]
    [InlineData("/agentx/x", "error")]
    [InlineData("/dhg/x", "detail")]
    [InlineData("/hokusai/x", "detail")]
    [InlineData("/airflow/x", "title")]
    [InlineData("/evolution/x", "detail")]
    [InlineData("/x", "detail")]
    public async Task An_unknown_path_answers_in_the_family_of_its_prefix(string path, string member)
    {
        using var response = await app.Client.DeleteAsync(path);

        (await response.ShouldBeAsync(404)).TryGetProperty(member, out _).ShouldBeTrue();
    }

    [Fact]
    public async Task A_body_of_another_type_or_size_is_refused()
    {
        using var text = new StringContent("x", new MediaTypeHeaderValue("text/plain"));
        await (await app.SendAsync(HttpMethod.Post, "/telemetry", content: text)).ShouldBeAsync(415);
        using var large = new StringContent(new string(' ', (1 << 20) + 1), new MediaTypeHeaderValue("application/json"));
        await (await app.SendAsync(HttpMethod.Post, "/telemetry", content: large)).ShouldBeAsync(413);
        using var empty = new StringContent("", new MediaTypeHeaderValue("application/json"));
        await (await app.SendAsync(HttpMethod.Post, "/telemetry", content: empty)).ShouldBeAsync(400);
    }

    [Fact]
    public async Task An_idempotency_key_must_be_printable_and_short()
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, MarketplaceApp.Base + "/telemetry") { Content = new StringContent("{}") };
        request.Headers.Add("Idempotency-Key", new string('k', 256));
        using var response = await app.Client.SendAsync(request);

        await response.ShouldBeAsync(400);
    }

    [Fact]
    public async Task A_failed_request_gives_its_idempotency_key_back()
    {
        async Task<int> SendAsync(string body)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, MarketplaceApp.Base + "/telemetry")
            {
                Content = new StringContent(body, new MediaTypeHeaderValue("application/json")),
            };
            request.Headers.Add("Idempotency-Key", "mended");
            using var response = await app.Client.SendAsync(request);
            return (int)response.StatusCode;
        }

        (await SendAsync("{}")).ShouldBe(400);
        (await SendAsync("""{"agent":"a","success":true,"duration_ms":1}""")).ShouldBe(200);
        (await SendAsync("""{"agent":"b","success":true,"duration_ms":1}""")).ShouldBe(409);
    }

    [Fact]
    public async Task An_idempotency_key_goes_with_the_query_and_its_answer_is_stored_encrypted()
    {
        async Task<(int Status, string Body)> SendAsync(string query)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, MarketplaceApp.Base + "/auth/github" + query)
            {
                Content = new StringContent("""{"redirect_uri":"http://127.0.0.1:1/cb","state":"a-secret-state"}""", new MediaTypeHeaderValue("application/json")),
            };
            request.Headers.Add("Idempotency-Key", "encrypted");
            using var response = await app.Client.SendAsync(request);
            return ((int)response.StatusCode, await response.Content.ReadAsStringAsync());
        }

        var first = await SendAsync("");
        first.Status.ShouldBe(200);
        first.Body.ShouldContain("a-secret-state");
        (await SendAsync("")).ShouldBe(first);
        (await SendAsync("?other=1")).Status.ShouldBe(409);
        (await app.ScalarAsync<long>("SELECT count(*) FROM platform.idempotency_keys WHERE position('a-secret-state'::bytea IN body) > 0")).ShouldBe(0);
    }

    [Fact]
    public async Task A_broken_form_with_an_idempotency_key_is_the_client_s_fault()
    {
        var token = await app.SignInAsync("brokenform");
        using var request = new HttpRequestMessage(HttpMethod.Put, MarketplaceApp.Base + "/agents")
        {
            Content = new StringContent("--b\r\nContent-Disposition: form-data; name=\"tarball\"\r\n\r\nno end", MediaTypeHeaderValue.Parse("multipart/form-data; boundary=b")),
        };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        request.Headers.Add("Idempotency-Key", "broken-form");
        using var response = await app.Client.SendAsync(request);

        (await response.ShouldBeAsync(400)).GetProperty("error").GetString()!.ShouldStartWith("The multipart body is broken");
    }

    [Fact]
    public async Task The_front_page_and_health_show_the_services()
    {
        var page = await app.Client.GetStringAsync("/");
        page.ShouldContain("<h1>FunctionsRegistry</h1>");

        using var document = JsonDocument.Parse(await app.Client.GetStringAsync("/health"));
        document.RootElement.GetProperty("status").GetString().ShouldBe("healthy");
        document.RootElement.GetProperty("services").EnumerateObject().Select(service => service.Name).ShouldBe(["postgresql", "blob_storage", "redis"]);
    }
}
