using System.Reflection;

namespace FunctionsRegistry.LocalRuntime.Hosting;

/// <summary>All functions of the app, in the host's order: by name, ordinal, ignoring case.</summary>
internal sealed class FunctionTable
{
    public FunctionTable(IEnumerable<LocalFunction> functions)
    {
        All = [.. functions.OrderBy(function => function.Name, StringComparer.OrdinalIgnoreCase)];
        for (var i = 1; i < All.Count; i++)
            if (All[i].Name.Equals(All[i - 1].Name, StringComparison.OrdinalIgnoreCase))
                throw new LocalHostException(
                    $"{All[i - 1].EntryPoint} and {All[i].EntryPoint} are both named {All[i].Name}: names must be unique, ignoring case.");
        RefuseReservedRoutes();
        RefuseConflicts();
    }

    public IReadOnlyList<LocalFunction> All { get; }

    public IEnumerable<LocalFunction> Http => All.Where(function => function.Http is not null);

    public IEnumerable<LocalFunction> Timers => All.Where(function => function.Timer is not null);

    /// <summary>Whether any function needs the durable engine.</summary>
    public bool IsDurable => All.Any(function => function.IsDurable);

    /// <summary>Finds the functions of classes: their public methods with <see cref="FunctionAttribute"/>.</summary>
    public static FunctionTable Scan(IEnumerable<Type> types) => new(
        from type in types
        from method in type.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly)
        let attribute = method.GetCustomAttribute<FunctionAttribute>()
        where attribute is not null
        select new LocalFunction(attribute.Name, type, method));

    private void RefuseReservedRoutes()
    {
        foreach (var function in Http)
            foreach (var reserved in (string[])["admin", "runtime"])
                if (function.Route.TrimStart('/').StartsWith(reserved, StringComparison.OrdinalIgnoreCase))
                    throw new LocalHostException($"{function.Name}: the route '{function.Route}' may not start with '{reserved}': the host has its own there.");
    }

    // The real host refuses the later of two functions with one template text and a common method; it compares text only, and so does this.
    private void RefuseConflicts()
    {
        foreach (var group in Http.GroupBy(function => function.Route.Trim('/'), StringComparer.OrdinalIgnoreCase))
        {
            var seen = new List<LocalFunction>();
            foreach (var function in group)
            {
                if (seen.FirstOrDefault(other => other.Methods.Length == 0 || function.Methods.Length == 0
                    || other.Methods.Intersect(function.Methods, StringComparer.OrdinalIgnoreCase).Any()) is { } other)
                    throw new LocalHostException($"{other.Name} and {function.Name} have the same route '{function.Route}' and a common method.");
                seen.Add(function);
            }
        }
    }
}
