using FunctionsRegistry.LocalRuntime.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Template;

namespace FunctionsRegistry.LocalRuntime.Http;

/// <summary>
/// Picks the function of a request as the host does: functions in order of their names, the first whose template and method match; no precedence.
/// Only the functions that can match the path's first two segments are tried, which changes nothing but the time it takes.
/// </summary>
internal sealed class HttpRouter
{
    private readonly Route[] _routes;
    private readonly Dictionary<string, Route[]> _byTwo = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<string, Route[]> _byOne = new(StringComparer.OrdinalIgnoreCase);
    private readonly Route[] _others;

    public HttpRouter(IEnumerable<LocalFunction> functions, string routePrefix, IInlineConstraintResolver constraints)
    {
        _routes = [.. functions.Select(function => new Route(function, routePrefix, constraints))];
        var firsts = _routes.Where(route => route.First is not null).Select(route => route.First!).Distinct(StringComparer.OrdinalIgnoreCase);
        foreach (var first in firsts)
        {
            _byOne[first] = [.. _routes.Where(route => route.CanStartWith(first, null))];
            var seconds = _byOne[first].Where(route => route.Second is not null).Select(route => route.Second!).Distinct(StringComparer.OrdinalIgnoreCase);
            foreach (var second in seconds)
                _byTwo[first + "/" + second] = [.. _routes.Where(route => route.CanStartWith(first, second))];
        }
        _others = [.. _routes.Where(route => route.First is null)];
    }

    /// <summary>The function, with the route values filled, or null.</summary>
    public LocalFunction? Match(HttpContext http) => Match(http, Candidates(http.Request.Path.Value ?? "/"));

    /// <summary>The same by trying every function; what <see cref="Match(HttpContext)"/> must equal.</summary>
    internal LocalFunction? MatchLinearly(HttpContext http) => Match(http, _routes);

    private static LocalFunction? Match(HttpContext http, Route[] candidates)
    {
        foreach (var route in candidates)
        {
            if (!route.HasMethod(http.Request.Method))
                continue;
            var values = new RouteValueDictionary();
            if (!route.Matches(http, values))
                continue;
            http.Request.RouteValues = values;
            return route.Function;
        }
        return null;
    }

    private Route[] Candidates(string path)
    {
        // Templates ignore one leading slash; "//x" has an empty first segment and no literal starts with one.
        var rest = path.AsSpan(path.StartsWith('/') ? 1 : 0);
        var end = rest.IndexOf('/');
        var first = end < 0 ? rest : rest[..end];
        var byOne = _byOne.GetAlternateLookup<ReadOnlySpan<char>>();
        if (!byOne.TryGetValue(first, out var candidates))
            return _others;
        if (end < 0)
            return candidates;
        var two = rest[(end + 1)..].IndexOf('/');
        var key = two < 0 ? rest : rest[..(end + 1 + two)];
        return _byTwo.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(key, out var narrower) ? narrower : candidates;
    }

    private sealed class Route
    {
        private readonly TemplateMatcher _matcher;
        private readonly Dictionary<string, IRouteConstraint> _constraints;
        private readonly string[] _methods;

        public Route(LocalFunction function, string routePrefix, IInlineConstraintResolver resolver)
        {
            Function = function;
            var text = function.Route.Trim('/');
            var template = Parse(function, routePrefix.Length == 0 ? text : routePrefix + "/" + text);
            _matcher = new TemplateMatcher(template, Defaults(template));
            _methods = function.Methods;
            var builder = new RouteConstraintBuilder(resolver, template.TemplateText!);
            foreach (var parameter in template.Parameters)
            {
                if (parameter.IsOptional)
                    builder.SetOptional(parameter.Name!);
                foreach (var constraint in parameter.InlineConstraints)
                    builder.AddResolvedConstraint(parameter.Name!, constraint.Constraint);
            }
            _constraints = new(builder.Build());
            First = Literal(template, 0);
            Second = First is null ? null : Literal(template, 1);
        }

        public LocalFunction Function { get; }

        /// <summary>The first segment where it is a literal.</summary>
        public string? First { get; }

        /// <summary>The second where both are.</summary>
        public string? Second { get; }

        public bool CanStartWith(string first, string? second) =>
            First is null || (First.Equals(first, StringComparison.OrdinalIgnoreCase)
                && (second is null || Second is null || Second.Equals(second, StringComparison.OrdinalIgnoreCase)));

        public bool HasMethod(string method) => _methods.Length == 0 || _methods.Contains(method, StringComparer.OrdinalIgnoreCase);

        public bool Matches(HttpContext http, RouteValueDictionary values)
        {
            if (!_matcher.TryMatch(http.Request.Path, values))
                return false;
            foreach (var (name, constraint) in _constraints)
                if (!constraint.Match(http, null, name, values, RouteDirection.IncomingRequest))
                    return false;
            return true;
        }

        private static RouteTemplate Parse(LocalFunction function, string text)
        {
            try
            {
                return TemplateParser.Parse(text);
            }
            catch (ArgumentException exception)
            {
                throw new LocalHostException($"{function.Name}: the route '{text}' is wrong: {exception.Message}");
            }
        }

        private static RouteValueDictionary Defaults(RouteTemplate template)
        {
            var defaults = new RouteValueDictionary();
            foreach (var parameter in template.Parameters)
                if (parameter.DefaultValue is not null)
                    defaults.Add(parameter.Name!, parameter.DefaultValue);
            return defaults;
        }

        private static string? Literal(RouteTemplate template, int index) =>
            index < template.Segments.Count && template.Segments[index] is { IsSimple: true, Parts: [{ IsLiteral: true } part] } ? part.Text : null;
    }
}
