using FunctionsRegistry.LocalRuntime.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Template;

namespace FunctionsRegistry.LocalRuntime.Http;

/// <summary>One function's template, constraints and methods.</summary>
internal sealed class HttpRoute
{
    private readonly TemplateMatcher _matcher;
    private readonly KeyValuePair<string, IRouteConstraint>[] _constraints;
    private readonly string[] _methods;

    /// <exception cref="LocalHostException">The template cannot be read.</exception>
    public HttpRoute(LocalFunction function, string routePrefix, IInlineConstraintResolver resolver)
    {
        Function = function;
        var text = function.Route.Trim('/');
        text = routePrefix.Length == 0 ? text : $"{routePrefix}/{text}";
        try
        {
            Template = TemplateParser.Parse(text);
            _constraints = [.. ReadConstraints(Template, resolver)];
        }
        catch (Exception exception) when (exception is ArgumentException or InvalidOperationException or RouteCreationException)
        {
            throw new LocalHostException($"{function.Name}: the route '{text}' is wrong: {exception.Message.ReplaceLineEndings(" ")}");
        }
        _matcher = new TemplateMatcher(Template, ReadDefaults(Template));
        // Kestrel's own constants are in upper case: equal ones are then equal by reference.
        _methods = [.. function.Methods.Select(method => HttpMethods.GetCanonicalizedValue(method.ToUpperInvariant()))];
    }

    public LocalFunction Function { get; }

    public RouteTemplate Template { get; }

    public bool HasMethod(string method)
    {
        foreach (var listed in _methods)
            if (HttpMethods.Equals(listed, method))
                return true;
        return _methods.Length == 0;
    }

    /// <summary>Whether the path matches; the values are of no use when it does not.</summary>
    public bool Matches(HttpContext http, RouteValueDictionary values)
    {
        if (!_matcher.TryMatch(http.Request.Path, values))
            return false;
        foreach (var (name, constraint) in _constraints)
            if (!constraint.Match(http, null, name, values, RouteDirection.IncomingRequest))
                return false;
        return true;
    }

    private static IDictionary<string, IRouteConstraint> ReadConstraints(RouteTemplate template, IInlineConstraintResolver resolver)
    {
        var builder = new RouteConstraintBuilder(resolver, template.TemplateText!);
        foreach (var parameter in template.Parameters)
        {
            if (parameter.IsOptional)
                builder.SetOptional(parameter.Name!);
            foreach (var constraint in parameter.InlineConstraints)
                builder.AddResolvedConstraint(parameter.Name!, constraint.Constraint);
        }
        return builder.Build();
    }

    private static RouteValueDictionary ReadDefaults(RouteTemplate template)
    {
        var defaults = new RouteValueDictionary();
        foreach (var parameter in template.Parameters)
            if (parameter.DefaultValue is not null)
                defaults.Add(parameter.Name!, parameter.DefaultValue);
        return defaults;
    }
}
