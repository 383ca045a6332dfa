using System.Collections.Immutable;

namespace FunctionsRegistry.LocalRuntime;

/// <summary>One invocation of a function.</summary>
public abstract class FunctionContext
{
    /// <summary>Unique to this invocation.</summary>
    public abstract string InvocationId { get; }

    /// <summary>The function's id.</summary>
    public abstract string FunctionId { get; }

    /// <summary>The caller's trace.</summary>
    public abstract TraceContext TraceContext { get; }

    /// <summary>The trigger's data, such as route values.</summary>
    public abstract BindingContext BindingContext { get; }

    /// <summary>Which attempt this is, where the function retries.</summary>
    public abstract RetryContext RetryContext { get; }

    /// <summary>The services of this invocation's scope.</summary>
    public abstract IServiceProvider InstanceServices { get; set; }

    /// <summary>What is invoked.</summary>
    public abstract FunctionDefinition FunctionDefinition { get; }

    /// <summary>For middleware to share data.</summary>
    public abstract IDictionary<object, object> Items { get; set; }

    /// <summary>Typed features.</summary>
    public abstract IInvocationFeatures Features { get; }

    /// <summary>Ends when the client hangs up, the time is over or the host stops.</summary>
    public virtual CancellationToken CancellationToken { get; }
}

/// <summary>The trigger's data.</summary>
public abstract class BindingContext
{
    /// <summary>By name.</summary>
    public abstract IReadOnlyDictionary<string, object?> BindingData { get; }
}

/// <summary>W3C trace context.</summary>
public abstract class TraceContext
{
    /// <summary>The <c>traceparent</c> header's form.</summary>
    public abstract string TraceParent { get; }

    /// <summary>The <c>tracestate</c> header's form.</summary>
    public abstract string TraceState { get; }
}

/// <summary>Retries of the function as a whole.</summary>
public abstract class RetryContext
{
    /// <summary>Retries so far.</summary>
    public abstract int RetryCount { get; }

    /// <summary>Retries allowed.</summary>
    public abstract int MaxRetryCount { get; }
}

/// <summary>Typed features of an invocation.</summary>
public interface IInvocationFeatures : IEnumerable<KeyValuePair<Type, object>>
{
    /// <summary>Sets one.</summary>
    void Set<T>(T instance);

    /// <summary>Gets one, or null.</summary>
    T? Get<T>();
}

/// <summary>A function as the runtime knows it.</summary>
public abstract class FunctionDefinition
{
    /// <summary>Its parameters.</summary>
    public abstract ImmutableArray<FunctionParameter> Parameters { get; }

    /// <summary>The assembly's path.</summary>
    public abstract string PathToAssembly { get; }

    /// <summary>Namespace.Class.Method.</summary>
    public abstract string EntryPoint { get; }

    /// <summary>Unique.</summary>
    public abstract string Id { get; }

    /// <summary>From the attribute.</summary>
    public abstract string Name { get; }

    /// <summary>By parameter name; the trigger is one of them.</summary>
    public abstract IImmutableDictionary<string, BindingMetadata> InputBindings { get; }

    /// <summary>By name.</summary>
    public abstract IImmutableDictionary<string, BindingMetadata> OutputBindings { get; }
}

/// <summary>A parameter of a function.</summary>
public class FunctionParameter(string name, Type type)
{
    /// <summary>Its name.</summary>
    public string Name { get; } = name;

    /// <summary>Its type.</summary>
    public Type Type { get; } = type;
}

/// <summary>In or out.</summary>
public enum BindingDirection
{
    /// <summary>Into the function.</summary>
    In = 0,

    /// <summary>Out of it.</summary>
    Out = 1,
}

/// <summary>One binding of a function.</summary>
public abstract class BindingMetadata
{
    /// <summary>The parameter's name, or $return.</summary>
    public abstract string Name { get; }

    /// <summary>Such as httpTrigger.</summary>
    public abstract string Type { get; }

    /// <summary>In or out.</summary>
    public abstract BindingDirection Direction { get; }
}

/// <summary>What a function returned; middleware may replace it.</summary>
public abstract class InvocationResult<T>
{
    /// <summary>The value, null when the function returned none.</summary>
    public abstract T? Value { get; set; }
}

/// <summary>What a function returned.</summary>
public abstract class InvocationResult : InvocationResult<object>;
