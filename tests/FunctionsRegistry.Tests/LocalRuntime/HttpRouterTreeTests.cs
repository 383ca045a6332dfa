using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.LocalRuntime;
using FunctionsRegistry.LocalRuntime.Hosting;
using FunctionsRegistry.LocalRuntime.Http;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace FunctionsRegistry.Tests.LocalRuntime;

public sealed class HttpRouterTreeTests
{
    private static readonly ServiceProvider s_services = new ServiceCollection().AddRouting().BuildServiceProvider();

    [Fact]
    public void The_tree_finds_what_the_linear_order_finds_with_the_same_values()
    {
        var segment = Gen.Elements("a", "b", "x{P}", "{P}", "{P}", "{P:int}", "{P}.{P}z", "{P:regex(^[ab]$)}");
        var tail = Gen.Elements("", "", "", "/{tail?}", "/{tail=a}", "/{tail:int?}", "/{*tail}", "/{u=a}/{tail?}", "/{u=b}/{*tail}");
        var template = from count in Gen.Choose(1, 4)
                       from segments in Gen.ListOf(segment, count)
                       from end in tail
                       select string.Join('/', segments.Select(Numbered)) + end;
        var text = Gen.Elements("a", "b", "A", "5", "xa", "a.b", "c%2Fd", "");
        var path = from count in Gen.Choose(0, 6)
                   from segments in Gen.ListOf(text, count)
                   from slash in Gen.Elements("", "/")
                   select "/" + string.Join('/', segments) + slash;
        var methods = Gen.Elements<string[]>([], ["get"], ["POST"], ["get", "head"]);
        var route = from one in template from listed in methods select (one, listed);
        var request = from one in path from method in Gen.Elements("GET", "HEAD", "POST", "get") select (one, method);
        var cases = from routes in Gen.ListOf(route, 25) from requests in Gen.ListOf(request, 25) select (routes, requests);

        Prop.ForAll(Arb.From(cases), pair =>
        {
            var router = Router([.. pair.routes]);
            return pair.requests.All(one => Describe(router.Match, one) == Describe(router.MatchLinearly, one));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(1000));
    }

    [Theory]
    [InlineData("/a//b")]
    [InlineData("//")]
    [InlineData("/")]
    [InlineData("")]
    public void Empty_segments_and_paths_reach_the_catch_all(string path) =>
        Router([("a/{b}", []), ("{*rest}", [])]).Match(Request((path, "GET")))?.Name.ShouldBe("f01");

    private static string Numbered(string segment, int index)
    {
        var count = 0;
        return string.Concat(segment.Select(letter => letter == 'P' ? $"p{index}_{count++}" : letter.ToString()));
    }

    private static string Describe(Func<HttpContext, LocalFunction?> match, (string Path, string Method) request)
    {
        var http = Request(request);
        var name = match(http)?.Name;
        return name + "|" + string.Join('|', http.Request.RouteValues.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => $"{pair.Key}={pair.Value}"));
    }

    private static HttpRouter Router((string Template, string[] Methods)[] routes)
    {
        string[] names = [nameof(Functions.Every), nameof(Functions.Get), nameof(Functions.Post), nameof(Functions.GetAndHead)];
        return new HttpRouter(
            routes.Select((route, i) =>
            {
                var name = names[route.Methods switch { [] => 0, ["get"] => 1, ["POST"] => 2, _ => 3 }];
                return new LocalFunction($"f{i:00}", typeof(Functions), typeof(Functions).GetMethod(name)!, route.Template);
            }),
            "", s_services.GetRequiredService<IInlineConstraintResolver>());
    }

    private static DefaultHttpContext Request((string Path, string Method) request) =>
        new() { RequestServices = s_services, Request = { Method = request.Method, Path = request.Path } };

#pragma warning disable IDE0060, CA1801 // The parameters are what is bound.
    internal static class Functions
    {
        public static void Every([HttpTrigger] HttpRequest request) { }

        public static void Get([HttpTrigger("get")] HttpRequest request) { }

        public static void Post([HttpTrigger("POST")] HttpRequest request) { }

        public static void GetAndHead([HttpTrigger("get", "head")] HttpRequest request) { }
    }
#pragma warning restore IDE0060, CA1801
}
