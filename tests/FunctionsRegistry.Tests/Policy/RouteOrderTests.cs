using System.Reflection;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.LocalRuntime;
using Microsoft.AspNetCore.Routing.Template;

namespace FunctionsRegistry.Tests.Policy;

/// <summary>The host tries functions by name, the worker by ASP.NET Core's precedence: both must pick the same one for every path.</summary>
public sealed class RouteOrderTests
{
    private sealed record HttpFunction(string Name, string[] Methods, RouteTemplate Template, MethodInfo Method)
    {
        public bool Matches(string method) => Methods.Length == 0 || Methods.Contains(method, StringComparer.OrdinalIgnoreCase);
    }

    private static readonly HttpFunction[] s_functions = [.. typeof(FunctionRules).Assembly.GetTypes()
        .SelectMany(type => type.GetMethods())
        .Select(method => (Method: method, Function: method.GetCustomAttribute<FunctionAttribute>(), Trigger: Trigger(method)))
        .Where(found => found.Function is not null && found.Trigger is not null)
        .Select(found => new HttpFunction(found.Function!.Name, found.Trigger!.Methods ?? [],
            TemplateParser.Parse(found.Trigger.Route ?? found.Function.Name), found.Method))
        .OrderBy(function => function.Name, StringComparer.OrdinalIgnoreCase)];

    [Fact]
    public void Order_by_name_and_precedence_pick_the_same_function()
    {
        var wrong = new List<string>();
        for (var i = 0; i < s_functions.Length; i++)
            for (var j = i + 1; j < s_functions.Length; j++)
            {
                var (first, second) = (s_functions[i], s_functions[j]);
                if (MethodsOverlap(first, second) && CanMatchOnePath(first.Template, second.Template)
                    && RoutePrecedence.ComputeInbound(first.Template) >= RoutePrecedence.ComputeInbound(second.Template))
                    wrong.Add($"{first.Name} ({first.Template.TemplateText}) comes before {second.Name} ({second.Template.TemplateText})");
            }

        wrong.ShouldBeEmpty();
        s_functions.Length.ShouldBeGreaterThan(10);
    }

    [Fact]
    public void The_comparison_sees_a_parameter_before_a_literal()
    {
        var parameter = TemplateParser.Parse("a/{b}");
        var literal = TemplateParser.Parse("a/c");

        CanMatchOnePath(parameter, literal).ShouldBeTrue();
        CanMatchOnePath(TemplateParser.Parse("a/{b}/d"), literal).ShouldBeFalse();
        CanMatchOnePath(TemplateParser.Parse("{*rest}"), literal).ShouldBeTrue();
        RoutePrecedence.ComputeInbound(parameter).ShouldBeGreaterThan(RoutePrecedence.ComputeInbound(literal));
    }

    [Fact]
    public void Function_names_are_unique_ignoring_case() =>
        s_functions.GroupBy(function => function.Name, StringComparer.OrdinalIgnoreCase).Where(group => group.Count() > 1).ShouldBeEmpty();

    [Fact]
    public void Methods_are_written_in_lower_case() =>
        s_functions.Where(function => function.Methods.Any(method => method.Any(char.IsUpper))).Select(function => function.Name).ShouldBeEmpty();

    // A download is counted and a sign-in is used up by its GET: asking for headers only must do neither.
    private static readonly string[] s_getsWithEffects = ["agents_download", "auth_callback"];

    [Fact]
    public void Every_get_without_effects_also_answers_head() =>
        s_functions.Where(function => function.Methods.Contains("get") && !function.Methods.Contains("head")).Select(function => function.Name)
            .ShouldBe(s_getsWithEffects);

    [Fact]
    public void Every_http_class_but_the_platform_s_names_its_contract() =>
        s_functions.Select(function => function.Method.DeclaringType!)
            .Where(type => type.Namespace != "FunctionsRegistry.Functions.Platform" && !type.IsDefined(typeof(ContractAttribute)))
            .Select(type => type.Name).ShouldBeEmpty();

    [Fact]
    public void No_route_starts_where_the_host_has_its_own() =>
        s_functions.Where(function => function.Template.TemplateText!.TrimStart('/').StartsWith("admin", StringComparison.OrdinalIgnoreCase)
            || function.Template.TemplateText!.TrimStart('/').StartsWith("runtime", StringComparison.OrdinalIgnoreCase))
            .Select(function => function.Name).ShouldBeEmpty();

    private static HttpTriggerAttribute? Trigger(MethodInfo method) =>
        method.GetParameters().Select(parameter => parameter.GetCustomAttribute<HttpTriggerAttribute>()).FirstOrDefault(trigger => trigger is not null);

    private static bool MethodsOverlap(HttpFunction first, HttpFunction second) =>
        first.Methods.Length == 0 ? true : second.Methods.Length == 0 || first.Methods.Any(second.Matches);

    private static bool CanMatchOnePath(RouteTemplate first, RouteTemplate second)
    {
        for (var i = 0; ; i++)
        {
            var a = i < first.Segments.Count ? first.Segments[i] : null;
            var b = i < second.Segments.Count ? second.Segments[i] : null;
            if (a is null && b is null)
                return true;
            if (IsCatchAll(a) || IsCatchAll(b))
                return true;
            if (a is null || b is null)
                return IsOptional(a ?? b!);
            if (Literal(a) is { } left && Literal(b) is { } right && !left.Equals(right, StringComparison.OrdinalIgnoreCase))
                return false;
        }
    }

    private static bool IsCatchAll(TemplateSegment? segment) => segment is { Parts: [{ IsCatchAll: true }] };

    private static bool IsOptional(TemplateSegment segment) => segment is { Parts: [{ IsOptional: true }] };

    private static string? Literal(TemplateSegment segment) => segment is { IsSimple: true, Parts: [{ IsLiteral: true } part] } ? part.Text : null;
}
