using System.Collections;
using System.Diagnostics;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace FunctionsRegistry.LocalRuntime.Hosting;

/// <summary>One invocation; what is seldom asked for is made when it is.</summary>
internal sealed class LocalFunctionContext(LocalFunction function, IServiceProvider services, CancellationToken cancellationToken) : FunctionContext
{
    private string? _invocationId;
    private IDictionary<object, object>? _items;
    private FeatureCollection? _features;
    private BindingContext? _binding;

    public HttpContext? Http { get; init; }

    /// <summary>The request of a function with an HTTP trigger.</summary>
    public HttpRequest Request => Http!.Request;

    /// <summary>What the trigger's parameter gets, where HTTP is not the trigger.</summary>
    public object? TriggerValue { get; init; }

    /// <summary>What the trigger tells beside its value, where HTTP is not the trigger.</summary>
    public IReadOnlyDictionary<string, object?>? TriggerData { get; init; }

    public InvocationResult Result { get; } = new ResultHolder();

    public LocalFunction Function => function;

    public override string InvocationId =>
        _invocationId ??= Guid.CreateVersion7((InstanceServices.GetService<TimeProvider>() ?? TimeProvider.System).GetUtcNow()).ToString();

    public override string FunctionId => function.Id;

    public override TraceContext TraceContext => ActivityTrace.Instance;

    public override BindingContext BindingContext => _binding ??= new TriggerBinding(Http, TriggerData);

    public override RetryContext RetryContext => NoRetry.Instance;

    public override IServiceProvider InstanceServices { get; set; } = services;

    public override FunctionDefinition FunctionDefinition => function;

    public override IDictionary<object, object> Items
    {
        get => _items ??= new Dictionary<object, object>();
        set => _items = value;
    }

    public override IInvocationFeatures Features => _features ??= new FeatureCollection();

    public override CancellationToken CancellationToken => cancellationToken;

    private sealed class ResultHolder : InvocationResult
    {
        public override object? Value { get; set; }
    }

    private sealed class FeatureCollection : IInvocationFeatures
    {
        private readonly Dictionary<Type, object> _features = [];

        public void Set<T>(T instance)
        {
            if (instance is null)
                _features.Remove(typeof(T));
            else
                _features[typeof(T)] = instance;
        }

        public T? Get<T>() => _features.TryGetValue(typeof(T), out var feature) ? (T)feature : default;

        public IEnumerator<KeyValuePair<Type, object>> GetEnumerator() => _features.GetEnumerator();

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }

    private sealed class TriggerBinding(HttpContext? http, IReadOnlyDictionary<string, object?>? data) : BindingContext
    {
        public override IReadOnlyDictionary<string, object?> BindingData { get; } =
            data ?? http?.Request.RouteValues.ToDictionary(pair => pair.Key, pair => pair.Value, StringComparer.OrdinalIgnoreCase) ?? [];
    }

    private sealed class ActivityTrace : TraceContext
    {
        public static readonly ActivityTrace Instance = new();

        public override string TraceParent => Activity.Current?.Id ?? "";

        public override string TraceState => Activity.Current?.TraceStateString ?? "";
    }

    private sealed class NoRetry : RetryContext
    {
        public static readonly NoRetry Instance = new();

        public override int RetryCount => 0;

        public override int MaxRetryCount => 0;
    }
}
