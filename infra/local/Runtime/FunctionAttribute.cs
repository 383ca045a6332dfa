namespace FunctionsRegistry.LocalRuntime;

/// <summary>Marks a method as a function; names are unique, compared ignoring case, and decide the order in which routes are tried.</summary>
[AttributeUsage(AttributeTargets.Method)]
public class FunctionAttribute(string name) : Attribute
{
    /// <summary>The function's name.</summary>
    public string Name { get; } = name;
}
