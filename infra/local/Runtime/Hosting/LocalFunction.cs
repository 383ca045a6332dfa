using System.Collections.Immutable;
using System.Reflection;

namespace FunctionsRegistry.LocalRuntime.Hosting;

/// <summary>One function: its definition, and how to call it.</summary>
internal sealed class LocalFunction : FunctionDefinition
{
    private readonly Lazy<Func<LocalFunctionContext, ValueTask<object?>>> _invoke;

    public LocalFunction(string name, Type type, MethodInfo method, string? routeOverride = null)
    {
        Name = name;
        Type = type;
        Method = method;
        Id = name;
        EntryPoint = $"{type.FullName}.{method.Name}";
        PathToAssembly = type.Assembly.Location;
        Parameters = [.. method.GetParameters().Select(parameter => new FunctionParameter(parameter.Name!, parameter.ParameterType))];
        var triggers = new List<TriggerBindingAttribute>();
        foreach (var parameter in method.GetParameters())
        {
            Http ??= parameter.GetCustomAttribute<HttpTriggerAttribute>();
            Timer ??= parameter.GetCustomAttribute<TimerTriggerAttribute>();
            if (parameter.GetCustomAttribute<TriggerBindingAttribute>() is { } trigger)
                triggers.Add(trigger);
            if (parameter.GetCustomAttribute<BindingAttribute>() is { } binding)
                InputBindings = InputBindings.Add(parameter.Name!, new LocalBinding(parameter.Name!, TypeName(binding), BindingDirection.In));
        }
        if (triggers.Count != 1)
            throw new LocalHostException($"{name}: a function has exactly one trigger, {EntryPoint} has {triggers.Count}.");
        IsOrchestrator = triggers[0] is OrchestrationTriggerAttribute;
        IsActivity = triggers[0] is ActivityTriggerAttribute;
        if (triggers[0] is OrchestrationTriggerAttribute { Orchestration: { } orchestration } && orchestration != name
            || triggers[0] is ActivityTriggerAttribute { Activity: { } activity } && activity != name)
            throw new LocalHostException($"{name}: the trigger of {EntryPoint} gives it another name; leave that away.");
        if (Http is not null)
            OutputBindings = OutputBindings.Add("$return", new LocalBinding("$return", "http", BindingDirection.Out));
        Route = routeOverride ?? (Http?.Route is { Length: > 0 } route ? route : name);
        Methods = Http?.Methods ?? [];
        FunctionCompiler.Check(this);
        // Checked now, compiled on first use: most functions of a short run are never called.
        _invoke = new(() => FunctionCompiler.Compile(this));
    }

    public Type Type { get; }

    public MethodInfo Method { get; }

    public HttpTriggerAttribute? Http { get; }

    public TimerTriggerAttribute? Timer { get; }

    public bool IsOrchestrator { get; }

    public bool IsActivity { get; }

    /// <summary>Whether it needs the durable engine: it is part of it, or its client.</summary>
    public bool IsDurable => IsOrchestrator || IsActivity || InputBindings.Values.Any(binding => binding.Type == "durableClient");

    public string Route { get; }

    public string[] Methods { get; }

    public override ImmutableArray<FunctionParameter> Parameters { get; }

    public override string PathToAssembly { get; }

    public override string EntryPoint { get; }

    public override string Id { get; }

    public override string Name { get; }

    public override IImmutableDictionary<string, BindingMetadata> InputBindings { get; } = ImmutableDictionary<string, BindingMetadata>.Empty;

    public override IImmutableDictionary<string, BindingMetadata> OutputBindings { get; } = ImmutableDictionary<string, BindingMetadata>.Empty;

    /// <summary>Creates the class where there is one, fills the parameters, calls, and awaits.</summary>
    public ValueTask<object?> InvokeAsync(LocalFunctionContext context) => _invoke.Value(context);

    // HttpTriggerAttribute -> httpTrigger, as in function metadata.
    private static string TypeName(BindingAttribute binding)
    {
        var name = binding.GetType().Name[..^"Attribute".Length];
        return char.ToLowerInvariant(name[0]) + name[1..];
    }

    private sealed class LocalBinding(string name, string type, BindingDirection direction) : BindingMetadata
    {
        public override string Name => name;

        public override string Type => type;

        public override BindingDirection Direction => direction;
    }
}
