using System.Net;
using System.Net.Sockets;
using FunctionsRegistry.LocalRuntime;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.Tests.LocalRuntime;

public sealed class HttpDispatchTests : IAsyncLifetime
{
    private RuntimeApp _app = null!;

    public async ValueTask InitializeAsync() =>
        _app = await RuntimeApp.StartAsync([typeof(Functions)], builder => builder.Services.AddScoped<Greeting>());

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    [Theory]
    [InlineData("GET", "/one", 200, "one")]
    [InlineData("GET", "/ONE/", 200, "one")]
    [InlineData("POST", "/one", 404, "")]
    [InlineData("HEAD", "/one", 404, "")]
    [InlineData("OPTIONS", "/one", 404, "")]
    [InlineData("GET", "/nothing", 404, "")]
    [InlineData("BREW", "/z_every", 200, "BREW")]
    [InlineData("GET", "/numbers/5", 200, "int 5")]
    [InlineData("GET", "/numbers/five", 200, "text five")]
    [InlineData("GET", "/codes/ab-12", 200, "ab-12")]
    [InlineData("GET", "/codes/ab12", 404, "")]
    [InlineData("GET", "/tree", 200, "''")]
    [InlineData("GET", "/tree/", 200, "''")]
    [InlineData("GET", "/tree/a/b", 200, "'a/b'")]
    [InlineData("GET", "/tree/a/", 200, "'a/'")]
    [InlineData("GET", "/text/a%2Fb", 200, "a%2Fb")]
    [InlineData("GET", "/text/a%20b", 200, "a b")]
    public async Task A_request_goes_to_the_first_function_whose_route_and_method_match(string method, string path, int status, string body) =>
        (await _app.SendAsync(method, path)).ShouldBe((status, body));

    [Fact]
    public async Task Parameters_are_filled_by_type()
    {
        var id = Guid.CreateVersion7();
        (await _app.GetAsync($"/types/{id}/9000000000/true/2.5/friday")).Body.ShouldBe($"{id} 9000000000 True 2.5 Friday");
    }

    [Theory]
    [InlineData("/optional", "null 7 plain")]
    [InlineData("/optional/3", "3 7 plain")]
    public async Task Optional_parameters_take_null_or_their_default(string path, string body) => (await _app.GetAsync(path)).Body.ShouldBe(body);

    [Theory]
    [InlineData("/missing", "there is no value for the parameter id")]
    [InlineData("/missing_text", "there is no value for the parameter text")]
    [InlineData("/wrong/x", "the value of the parameter id is no Int32")]
    public async Task A_missing_or_wrong_value_fails_the_invocation(string path, string reason)
    {
        (await _app.GetAsync(path)).ShouldBe((500, ""));
        _app.Log.ShouldContain(entry => entry.Level == LogLevel.Error && entry.Text.StartsWith($"Function {path.Split('/')[1]} failed"));
        _app.Errors.ShouldContain(message => message.Contains(reason));
    }

    [Fact]
    public async Task A_class_is_made_per_invocation_from_the_request_s_scope()
    {
        (await _app.GetAsync("/greeting")).Body.ShouldBe("1 True");
        (await _app.GetAsync("/greeting")).Body.ShouldBe("1 True");
    }

    [Theory]
    [InlineData("/mvc", 418, "teapot")]
    [InlineData("/value_task", 200, "later")]
    [InlineData("/writes", 202, "written")]
    public async Task Results_run_and_functions_may_write_themselves(string path, int status, string body) =>
        (await _app.GetAsync(path)).ShouldBe((status, body));

    [Fact]
    public async Task Any_other_return_value_gives_an_empty_200_and_a_warning()
    {
        (await _app.GetAsync("/poco")).ShouldBe((200, ""));
        _app.Log.Count(entry => entry.Level == LogLevel.Warning && entry.Text.Contains("poco")).ShouldBe(1);
    }

    [Fact]
    public async Task An_exception_gives_an_empty_500_and_a_log_entry()
    {
        (await _app.GetAsync("/throws")).ShouldBe((500, ""));
        _app.Log.Count(entry => entry == (LogLevel.Error, "Function throws failed")).ShouldBe(1);
    }

    [Fact]
    public async Task The_token_ends_when_the_client_hangs_up()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromMilliseconds(300));

        await Should.ThrowAsync<OperationCanceledException>(_app.Client.GetAsync("/waits", patience.Token));

        (await Functions.Waited.Task.WaitAsync(TimeSpan.FromSeconds(5))).ShouldBeTrue();
        _app.Log.ShouldNotContain(entry => entry.Level >= LogLevel.Error && entry.Text.Contains("waits"));
    }

    [Fact]
    public async Task The_token_ends_when_the_function_s_time_is_over()
    {
        await using var app = await RuntimeApp.StartAsync([typeof(SlowFunctions)], _ => { }, "\"functionTimeout\": \"00:00:01\"");

        (await app.GetAsync("/slow")).Status.ShouldBe(500);
        app.Log.ShouldContain(entry => entry.Level == LogLevel.Warning && entry.Text.Contains("slow ran out of its time"));
    }

    [Fact]
    public async Task The_token_ends_soon_after_the_host_begins_to_stop()
    {
        await using var app = await RuntimeApp.StartAsync(typeof(SlowFunctions));
        SlowFunctions.Started = new TaskCompletionSource();
        var answer = app.GetAsync("/slow");
        await SlowFunctions.Started.Task.WaitAsync(TimeSpan.FromSeconds(5));

        await app.Host.StopAsync().WaitAsync(TimeSpan.FromSeconds(10));

        (await answer).Status.ShouldBe(500);
    }

    [Fact]
    public async Task The_route_prefix_of_host_json_comes_before_every_route()
    {
        await using var app = await RuntimeApp.StartAsync([typeof(Functions)], builder => builder.Services.AddScoped<Greeting>(), "\"extensions\": {}");

        (await app.GetAsync("/api/one")).ShouldBe((200, "one"));
        (await app.GetAsync("/one")).Status.ShouldBe(404);
    }

    [Fact]
    public async Task A_body_limit_can_be_lowered_and_there_is_no_server_header()
    {
        using var response = await _app.Client.PostAsync("/limited", new ByteArrayContent(new byte[2000]));

        response.StatusCode.ShouldBe(HttpStatusCode.RequestEntityTooLarge);
        response.Headers.Contains("Server").ShouldBeFalse();
    }

    [Fact]
    public async Task A_startup_filter_wraps_the_pipeline_and_sees_a_contract_port_s_path_with_its_prefix()
    {
        var (first, second) = (FreePort(), FreePort());
        using var taken = new TcpListener(IPAddress.Loopback, second);
        taken.Start();
        await using var app = await RuntimeApp.StartAsync(
            [typeof(ContractFunctions)], builder => builder.Services.AddSingleton<IStartupFilter>(new HeaderFilter()), "",
            new Dictionary<int, string> { [first] = "/airflow", [second] = "/dhg" });

        foreach (var path in (string[])["/api/v1/dags/x%2Fy", "/api/v1/dags/100%2541"])
        {
            // The client keeps its connection, so the second request comes over the same one.
            using var response = await app.Client.GetAsync($"http://127.0.0.1:{first}{path}");
            (await response.Content.ReadAsStringAsync()).ShouldBe(path.EndsWith('1') ? "100%41" : "x%2Fy");
            response.Headers.GetValues("X-Path").ShouldHaveSingleItem().ShouldStartWith("/airflow/api/v1/dags/");
        }

        (await app.Client.GetStringAsync($"http://127.0.0.1:{first}/raw/a%2F/b?c=%20")).ShouldBe("/airflow/raw/a%2F/b?c=%20");
        foreach (var (to, location) in (ValueTuple<string, string>[])
            [("/airflow/x?y=/airflow/", "/x?y=/airflow/"), ("/airflows", "/airflows"), ("/airflow//example.org", "/airflow//example.org"), ("https://elsewhere/airflow/", "https://elsewhere/airflow/")])
        {
            using var redirect = await app.Client.GetAsync($"http://127.0.0.1:{first}/go?to={Uri.EscapeDataString(to)}");
            redirect.Headers.Location!.OriginalString.ShouldBe(location);
        }

        using var plain = await app.Client.GetAsync("/airflow/go?to=/airflow/x");
        plain.Headers.Location!.OriginalString.ShouldBe("/airflow/x");
        (await app.GetAsync("/airflow/api/v1/dags/z")).Body.ShouldBe("z");
        (await app.GetAsync("/api/v1/dags/z")).Status.ShouldBe(404);
        app.Log.ShouldContain(entry => entry.Level == LogLevel.Warning && entry.Text.StartsWith($"Port {second} is taken: /dhg"));
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    internal sealed class HeaderFilter : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use((http, rest) =>
            {
                http.Response.Headers["X-Path"] = http.Request.Path.Value;
                return rest(http);
            });
            next(app);
        };
    }

    internal sealed class Greeting
    {
        public int Uses { get; set; }
    }

#pragma warning disable IDE0060, CA1801, CA1822 // The parameters are what is bound, and some functions need an instance.
    internal sealed class Functions(Greeting greeting)
    {
        public static readonly TaskCompletionSource<bool> Waited = new();

        [Function("one")]
        public static IResult One([HttpTrigger(AuthorizationLevel.Function, "get")] HttpRequest request) => Results.Text("one");

        [Function("n_int")]
        public static IResult Number([HttpTrigger("get", Route = "numbers/{id:int}")] HttpRequest request, int id) => Results.Text($"int {id}");

        [Function("n_text")]
        public static IResult NumberText([HttpTrigger("get", Route = "numbers/{id}")] HttpRequest request, string id) => Results.Text($"text {id}");

        [Function("codes")]
        public static IResult Code([HttpTrigger("get", Route = "codes/{code:regex(^[a-z]+-\\d+$)}")] HttpRequest request, string code) => Results.Text(code);

        [Function("tree")]
        public static IResult Tree([HttpTrigger("get", Route = "tree/{*path}")] HttpRequest request, string? path) => Results.Text($"'{path}'");

        [Function("text")]
        public static IResult Text([HttpTrigger("get", Route = "text/{text}")] HttpRequest request, string text) => Results.Text(text);

        [Function("types")]
        public static IResult Types(
            [HttpTrigger("get", Route = "types/{id}/{big}/{flag}/{share}/{day}")] HttpRequest request, Guid id, long big, bool flag, double share, DayOfWeek day) =>
            Results.Text($"{id} {big} {flag} {share} {day}");

        [Function("optional")]
        public static IResult Optional([HttpTrigger("get", Route = "optional/{id?}")] HttpRequest request, int? id, int size = 7, string name = "plain") =>
            Results.Text($"{id?.ToString() ?? "null"} {size} {name}");

        [Function("missing")]
        public static IResult Missing([HttpTrigger("get")] HttpRequest request, int id) => Results.Text($"{id}");

        [Function("missing_text")]
        public static IResult MissingText([HttpTrigger("get")] HttpRequest request, string text) => Results.Text(text);

        [Function("wrong")]
        public static IResult Wrong([HttpTrigger("get", Route = "wrong/{id}")] HttpRequest request, int id) => Results.Text($"{id}");

        [Function("greeting")]
        public IResult Greet([HttpTrigger("get")] HttpRequest request, FunctionContext context) =>
            Results.Text($"{++greeting.Uses} {ReferenceEquals(context.InstanceServices.GetRequiredService<Greeting>(), greeting)}");

        [Function("mvc")]
        public static Task<IActionResult> Mvc([HttpTrigger("get")] HttpRequest request) =>
            Task.FromResult<IActionResult>(new ContentResult { StatusCode = 418, Content = "teapot" });

        [Function("value_task")]
        public static async ValueTask<IResult> Later([HttpTrigger("get")] HttpRequest request, CancellationToken cancellationToken)
        {
            await Task.Delay(1, cancellationToken);
            return Results.Text("later");
        }

        [Function("writes")]
        public static async Task Write([HttpTrigger("get")] HttpRequest request)
        {
            request.HttpContext.Response.StatusCode = 202;
            await request.HttpContext.Response.WriteAsync("written");
        }

        [Function("poco")]
        public static object Poco([HttpTrigger("get")] HttpRequest request) => new { Name = "x" };

        [Function("throws")]
        public static IResult Throw([HttpTrigger("get")] HttpRequest request) => throw new InvalidOperationException("secret");

        [Function("waits")]
        public static async Task<IResult> Wait([HttpTrigger("get")] HttpRequest request, CancellationToken cancellationToken)
        {
            using var registration = cancellationToken.Register(() => Waited.TrySetResult(true));
            await Task.Delay(Timeout.Infinite, cancellationToken);
            return Results.Ok();
        }

        [Function("limited")]
        public static async Task<IResult> Limited([HttpTrigger("post")] HttpRequest request)
        {
            request.HttpContext.Features.Get<Microsoft.AspNetCore.Http.Features.IHttpMaxRequestBodySizeFeature>()!.MaxRequestBodySize = 1000;
            try
            {
                await request.Body.CopyToAsync(Stream.Null);
                return Results.Ok();
            }
            catch (BadHttpRequestException exception)
            {
                return Results.StatusCode(exception.StatusCode);
            }
        }

        [Function("z_every")]
        public static IResult Every([HttpTrigger] HttpRequest request) => Results.Text(request.Method);
    }

    internal static class SlowFunctions
    {
        public static TaskCompletionSource Started { get; set; } = new();

        [Function("slow")]
        public static async Task<IResult> Slow([HttpTrigger("get")] HttpRequest request, CancellationToken cancellationToken)
        {
            Started.TrySetResult();
            await Task.Delay(Timeout.Infinite, cancellationToken);
            return Results.Ok();
        }
    }

    internal static class ContractFunctions
    {
        [Function("dags_get")]
        public static IResult Get([HttpTrigger("get", Route = "airflow/api/v1/dags/{id}")] HttpRequest request, string id) => Results.Text(id);

        [Function("raw_get")]
        public static IResult GetRaw([HttpTrigger("get", Route = "airflow/raw/{*path}")] HttpRequest request) =>
            Results.Text(request.HttpContext.Features.Get<IHttpRequestFeature>()!.RawTarget);

        [Function("go")]
        public static IResult Go([HttpTrigger("get", Route = "airflow/go")] HttpRequest request) => Results.Redirect(request.Query["to"].ToString());
    }
#pragma warning restore IDE0060, CA1801, CA1822
}
