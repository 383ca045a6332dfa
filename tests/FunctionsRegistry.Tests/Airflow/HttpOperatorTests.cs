using System.Net;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.Airflow.Operators;
using FunctionsRegistry.Http;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.Airflow;

public sealed class HttpOperatorTests(HttpOperatorTests.App app) : IClassFixture<HttpOperatorTests.App>
{
    public sealed class App(TestServices services) : AirflowApp(services)
    {
        public EchoServer Server { get; private set; } = null!;

        protected override IReadOnlyDictionary<string, string> DagFiles { get; } = new Dictionary<string, string>
        {
            ["call.yaml"] = """
                id: call
                tasks:
                  - id: http
                    operator: http
                    params: { url: "${conf.url}", timeout_seconds: 0.5 }
                  - { id: after, operator: echo, needs: [http], params: { value: "${tasks.http.output.body.method}" } }
                """,
            ["post.yaml"] = """
                id: post
                tasks:
                  - id: http
                    operator: http
                    params: { url: "${conf.url}", method: POST, headers: { X-Test: "${variables.greeting}" }, body: { n: "${conf.n}" }, expect: 200 }
                """,
            ["timeout.yaml"] = "id: timeout\ntasks:\n  - { id: http, operator: http, timeout_seconds: 0.2, params: { url: \"${conf.url}\" } }\n",
        };

        protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>(base.Settings) { ["Outbound:AllowedPrivateNetworks"] = "127.0.0.1" };

        public override async ValueTask InitializeAsync()
        {
            Server = await EchoServer.StartAsync();
            await base.InitializeAsync();
        }

        public override async ValueTask DisposeAsync()
        {
            await base.DisposeAsync();
            await Server.DisposeAsync();
            GC.SuppressFinalize(this);
        }
    }

    [Fact]
    public async Task An_answer_becomes_output_for_later_tasks()
    {
        var path = await app.TriggerAsync("call", $$$"""{"conf": {"url": "{{{app.Server.Url}}}/json?secret=1"}}""");
        await app.UntilAsync(path, "success");

        (await app.OutputAsync("call", path, "after")).ShouldBe("\"GET\"");
        var log = (await app.GetAsync(path + "/taskInstances/http/logs/1")).GetProperty("content").GetString()!;
        log.ShouldContain("answered 200");
        log.ShouldNotContain("secret");
    }

    [Fact]
    public async Task A_post_carries_headers_body_and_an_idempotency_key()
    {
        await app.PostAsync("/variables", """{"key": "greeting", "value": "good day"}""");
        var path = await app.TriggerAsync("post", $$$"""{"conf": {"url": "{{{app.Server.Url}}}/json", "n": 7}}""");
        await app.UntilAsync(path, "success");

        using var output = JsonDocument.Parse((await app.OutputAsync("post", path, "http"))!);
        var body = output.RootElement.GetProperty("body");
        (body.GetProperty("method").GetString(), body.GetProperty("header").GetString(), body.GetProperty("type").GetString(), body.GetProperty("body").GetString())
            .ShouldBe(("POST", "good day", "application/json; charset=utf-8", """{"n":7}"""));
        output.RootElement.GetProperty("status").GetInt32().ShouldBe(200);
        app.Server.Calls.ShouldContain(call => call.Key != null && call.Key.EndsWith("-http-1", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("call", "/slow", "did not answer within 0.5 s")]
    [InlineData("call", "/error", "answered 500: out of order")]
    [InlineData("call", "/redirect", "answered 302")]
    [InlineData("call", "/large", "over the limit")]
    [InlineData("call", "/broken", "failed")]
    [InlineData("timeout", "/slow", "timed out after 0.2 s")]
    public async Task Any_other_answer_fails_the_task_with_the_reason_in_its_log(string dag, string where, string reason) =>
        await ShouldFailAsync(dag, app.Server.Url + where, reason);

    [Theory]
    [InlineData("http://127.0.0.2:9/", "not an address of the public Internet")]
    [InlineData("http://169.254.169.254/metadata/identity", "not an address of the public Internet")]
    [InlineData("http://[::1]:9/", "not an address of the public Internet")]
    [InlineData("http://[::ffff:10.0.0.1]/", "not an address of the public Internet")]
    [InlineData("http://0x7f.2:9/", "not an address of the public Internet")]
    [InlineData("file:///etc/passwd", "must be an http or https URL")]
    [InlineData("nonsense", "must be an http or https URL")]
    public async Task Private_addresses_and_other_schemes_are_refused(string url, string reason) => await ShouldFailAsync("call", url, reason);

    [Theory]
    [InlineData("8.8.8.8", true)]
    [InlineData("2606:4700::1111", true)]
    [InlineData("0.0.0.0", false)]
    [InlineData("10.1.2.3", false)]
    [InlineData("100.64.0.1", false)]
    [InlineData("127.0.0.1", false)]
    [InlineData("169.254.169.254", false)]
    [InlineData("168.63.129.16", false)]
    [InlineData("172.31.255.255", false)]
    [InlineData("172.32.0.1", true)]
    [InlineData("192.168.0.1", false)]
    [InlineData("224.0.0.1", false)]
    [InlineData("255.255.255.255", false)]
    [InlineData("::", false)]
    [InlineData("::1", false)]
    [InlineData("fe80::1", false)]
    [InlineData("fd00::1", false)]
    [InlineData("ff02::1", false)]
    [InlineData("::ffff:192.168.0.1", false)]
    [InlineData("::ffff:8.8.8.8", true)]
    [InlineData("64:ff9b::a00:1", false)]
    [InlineData("2002:a00:1::", false)]
    [InlineData("2001:db8::1", false)]
    public void Only_the_public_internet_is_public(string address, bool isPublic) => OutboundHttp.IsPublic(IPAddress.Parse(address)).ShouldBe(isPublic);

    [Fact]
    public void A_mapped_address_is_judged_as_the_one_it_stands_for() =>
        Prop.ForAll(ArbMap.Default.ArbFor<uint>(), bits =>
        {
            var address = new IPAddress(bits);
            return OutboundHttp.IsPublic(address) == OutboundHttp.IsPublic(address.MapToIPv6());
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(1000));

    private async Task ShouldFailAsync(string dag, string url, string reason)
    {
        var path = await app.TriggerAsync(dag, $$$"""{"conf": {"url": "{{{url}}}"}}""");
        await app.UntilAsync(path, "failed");
        (await app.GetAsync(path + "/taskInstances/http/logs/1")).GetProperty("content").GetString()!.ShouldContain(reason);
    }
}
