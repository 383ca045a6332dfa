using System.Reflection;
using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.LocalRuntime;
using FunctionsRegistry.LocalRuntime.Hosting;
using FunctionsRegistry.LocalRuntime.Http;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace FunctionsRegistry.Tests.LocalRuntime;

public sealed class HttpRouterTests
{
    private static readonly ServiceProvider s_services = new ServiceCollection().AddRoutingCore().BuildServiceProvider();

    [Theory]
    [InlineData("GET", "/a/b", "a_literal")]
    [InlineData("GET", "/A/B/", "a_literal")]
    [InlineData("GET", "/a/c", "b_parameter")]
    [InlineData("HEAD", "/a/b", null)]
    [InlineData("POST", "/a/7", "c_integer")]
    [InlineData("POST", "/a/x", null)]
    [InlineData("GET", "/files", "d_rest")]
    [InlineData("GET", "/files/x/y", "d_rest")]
    [InlineData("PURGE", "/any", "e_every_method")]
    [InlineData("GET", "/none", null)]
    public void The_first_function_by_name_whose_template_and_method_match_wins(string method, string path, string? name) =>
        Route(typeof(Sample), method, path).Function.ShouldBe(name);

    [Fact]
    public void A_parameter_hides_a_literal_that_sorts_after_it() => Route(typeof(Hiding), "GET", "/x/literal").Function.ShouldBe("aaa");

    [Fact]
    public void Route_values_are_filled_and_an_encoded_slash_stays_encoded()
    {
        Route(typeof(Sample), "GET", "/a/c").Http.Request.RouteValues["id"].ShouldBe("c");
        Route(typeof(Sample), "GET", "/a/x%2Fy").Http.Request.RouteValues["id"].ShouldBe("x%2Fy");
        Route(typeof(Sample), "GET", "/files/x/y").Http.Request.RouteValues["path"].ShouldBe("x/y");
    }

    [Theory]
    [InlineData(typeof(SameRoute), "have the same route")]
    [InlineData(typeof(SameName), "must be unique")]
    [InlineData(typeof(Reserved), "may not start with 'admin'")]
    [InlineData(typeof(TwoTriggers), "exactly one trigger")]
    public void What_the_real_host_would_refuse_is_refused_at_start(Type type, string text) =>
        Should.Throw<LocalHostException>(() => Table(type)).Message.ShouldContain(text);

    [Fact]
    public void Trying_few_functions_picks_what_trying_all_would()
    {
        var segment = Gen.Elements("a", "b", "c", "{p}", "{q}");
        var route = from count in Gen.Choose(1, 4)
                    from segments in Gen.ListOf(segment, count)
                    from rest in Gen.Elements(true, false, false)
                    select string.Join('/', segments.Select((text, i) => text[0] == '{' ? $"{{p{i}}}" : text)) + (rest ? "/{*rest}" : "");
        var path = from count in Gen.Choose(0, 5) from segments in Gen.ListOf(Gen.Elements("a", "b", "c", "d", "A"), count) select "/" + string.Join('/', segments);
        var cases = from routes in Gen.ListOf(route, 12) from paths in Gen.ListOf(path, 20) select (routes, paths);

        Prop.ForAll(Arb.From(cases), pair =>
        {
            var method = typeof(Sample).GetMethod(nameof(Sample.Rest))!;
            var functions = pair.routes.Distinct().Select((text, i) => new LocalFunction($"f{i:00}", typeof(Sample), method, text));
            var router = new HttpRouter(functions, "", s_services.GetRequiredService<IInlineConstraintResolver>());
            return pair.paths.All(one => router.Match(Request("GET", one))?.Name == router.MatchLinearly(Request("GET", one))?.Name);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));
    }

    private static (string? Function, HttpContext Http) Route(Type type, string method, string path)
    {
        var router = new HttpRouter(Table(type).Http, "", s_services.GetRequiredService<IInlineConstraintResolver>());
        var http = Request(method, path);
        return (router.Match(http)?.Name, http);
    }

    private static DefaultHttpContext Request(string method, string path) =>
        new() { RequestServices = s_services, Request = { Method = method, Path = path } };

    private static FunctionTable Table(Type type) => new(type.GetMethods(BindingFlags.Public | BindingFlags.Static | BindingFlags.DeclaredOnly)
        .Where(method => method.IsDefined(typeof(FunctionAttribute)))
        .Select(method => new LocalFunction(method.GetCustomAttribute<FunctionAttribute>()!.Name, type, method)));

#pragma warning disable IDE0060, CA1801 // The parameters are what is bound.
    internal static class Sample
    {
        [Function("a_literal")]
        public static void Literal([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "a/b")] HttpRequest request) { }

        [Function("b_parameter")]
        public static void Parameter([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "a/{id}")] HttpRequest request) { }

        [Function("c_integer")]
        public static void Integer([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "a/{id:int}")] HttpRequest request) { }

        [Function("d_rest")]
        public static void Rest([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "files/{*path}")] HttpRequest request) { }

        [Function("e_every_method")]
        public static void Every([HttpTrigger(AuthorizationLevel.Anonymous, Route = "any")] HttpRequest request) { }
    }

    internal static class Hiding
    {
        [Function("aaa")]
        public static void First([HttpTrigger("get", Route = "x/{y}")] HttpRequest request) { }

        [Function("bbb")]
        public static void Second([HttpTrigger("get", Route = "x/literal")] HttpRequest request) { }
    }

    internal static class SameRoute
    {
        [Function("one")]
        public static void First([HttpTrigger("get", Route = "x/{y}")] HttpRequest request) { }

        [Function("two")]
        public static void Second([HttpTrigger(Route = "X/{y}")] HttpRequest request) { }
    }

    internal static class SameName
    {
        [Function("one")]
        public static void First([HttpTrigger("get", Route = "x")] HttpRequest request) { }

        [Function("ONE")]
        public static void Second([HttpTrigger("get", Route = "y")] HttpRequest request) { }
    }

    internal static class Reserved
    {
        [Function("one")]
        public static void First([HttpTrigger("get", Route = "administrators")] HttpRequest request) { }
    }

    internal static class TwoTriggers
    {
        [Function("one")]
        public static void First([HttpTrigger("get")] HttpRequest request, [TimerTrigger("0 * * * * *")] TimerInfo timer) { }
    }
#pragma warning restore IDE0060, CA1801
}
