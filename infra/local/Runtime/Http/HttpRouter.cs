using FunctionsRegistry.LocalRuntime.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Template;

namespace FunctionsRegistry.LocalRuntime.Http;

/// <summary>
/// Picks the function of a request as the host does: functions in order of their names, the first whose template and method match; no precedence.
/// A tree of the templates' segments leads to the few that can match a path, which changes nothing but the time it takes.
/// </summary>
internal sealed class HttpRouter
{
    private readonly HttpRoute[] _routes;
    private readonly Node _root = new();

    /// <exception cref="LocalHostException">A template cannot be read.</exception>
    public HttpRouter(IEnumerable<LocalFunction> functions, string routePrefix, IInlineConstraintResolver constraints)
    {
        _routes = [.. functions.Select(function => new HttpRoute(function, routePrefix, constraints))];
        for (var i = 0; i < _routes.Length; i++)
            Insert(i, _routes[i].Template.Segments);
    }

    /// <summary>The function, with the route values filled, or null.</summary>
    public LocalFunction? Match(HttpContext http)
    {
        var path = http.Request.Path.Value;
        // The tree knows no empty segments; such paths are rare and mostly match a catch-all.
        if (path is null || !path.StartsWith('/') || path.Contains("//", StringComparison.Ordinal))
            return MatchLinearly(http);
        // A slash at the end adds no segment.
        var search = new Search(_routes, http);
        search.Visit(_root, path.AsSpan().Trim('/'));
        return search.Finish();
    }

    /// <summary>The same by trying every function; what <see cref="Match(HttpContext)"/> must equal.</summary>
    internal LocalFunction? MatchLinearly(HttpContext http)
    {
        var search = new Search(_routes, http);
        for (var i = 0; i < _routes.Length; i++)
            search.Try(i);
        return search.Finish();
    }

    private void Insert(int index, IList<TemplateSegment> segments)
    {
        var node = _root;
        for (var i = 0; i < segments.Count; i++)
        {
            node.Lowest = Math.Min(node.Lowest, index);
            if (segments[i].Parts is [{ IsCatchAll: true }])
            {
                node.Rest.Add(index);
                return;
            }
            // A path may end before parameters that need no value.
            if (segments.Skip(i).All(segment => segment.Parts is [{ IsParameter: true } part] && (part.IsOptional || part.IsCatchAll || part.DefaultValue is not null)))
                node.Ends.Add(index);
            node = segments[i] is { IsSimple: true, Parts: [{ IsLiteral: true, Text: { } literal }] } ? node.Child(literal) : node.Other ??= new Node();
        }
        node.Lowest = Math.Min(node.Lowest, index);
        node.Ends.Add(index);
    }

    /// <summary>What is left of the templates after some segments. Indexes are in order, as routes are inserted in order.</summary>
    private sealed class Node
    {
        private readonly Dictionary<string, Node> _literals = new(StringComparer.OrdinalIgnoreCase);

        /// <summary>Templates that may end here.</summary>
        public List<int> Ends { get; } = [];

        /// <summary>Templates whose catch-all begins here.</summary>
        public List<int> Rest { get; } = [];

        /// <summary>The next segment is anything but a plain literal.</summary>
        public Node? Other { get; set; }

        /// <summary>The first route at or below this node.</summary>
        public int Lowest { get; set; } = int.MaxValue;

        public Node Child(string literal) => _literals.TryGetValue(literal, out var child) ? child : _literals[literal] = new Node();

        public Node? FindChild(ReadOnlySpan<char> segment) =>
            _literals.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(segment, out var child) ? child : null;
    }

    private struct Search(HttpRoute[] routes, HttpContext http)
    {
        private RouteValueDictionary? _values;
        private RouteValueDictionary? _scratch;
        private int _found = int.MaxValue;

        /// <summary>Tries what can match the rest of the path and comes before what was found.</summary>
        public void Visit(Node node, ReadOnlySpan<char> rest)
        {
            if (node.Lowest >= _found)
                return;
            foreach (var index in node.Rest)
                Try(index);
            if (rest.IsEmpty)
            {
                foreach (var index in node.Ends)
                    Try(index);
                return;
            }
            var slash = rest.IndexOf('/');
            var segment = slash < 0 ? rest : rest[..slash];
            var next = slash < 0 ? default : rest[(slash + 1)..];
            if (node.FindChild(segment) is { } child)
                Visit(child, next);
            if (node.Other is { } other)
                Visit(other, next);
        }

        public void Try(int index)
        {
            if (index >= _found || !routes[index].HasMethod(http.Request.Method))
                return;
            _scratch ??= [];
            _scratch.Clear();
            if (!routes[index].Matches(http, _scratch))
                return;
            _found = index;
            (_values, _scratch) = (_scratch, _values);
        }

        public readonly LocalFunction? Finish()
        {
            if (_values is null)
                return null;
            http.Request.RouteValues = _values;
            return routes[_found].Function;
        }
    }
}
