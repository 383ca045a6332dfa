using System.Linq.Expressions;
using System.Reflection;
using FunctionsRegistry.LocalRuntime.Durable;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace FunctionsRegistry.LocalRuntime.Hosting;

/// <summary>Makes one delegate per function, so that an invocation costs no reflection.</summary>
internal static class FunctionCompiler
{
    private static readonly ParameterExpression s_context = Expression.Parameter(typeof(LocalFunctionContext), "context");

    /// <summary>Refuses a function that could never run.</summary>
    /// <exception cref="LocalHostException">A parameter has a type that nothing fills, or there is no instance to call.</exception>
    public static void Check(LocalFunction function)
    {
        if (!function.Method.IsStatic && function.Type.IsAbstract || function.Type.ContainsGenericParameters || function.Method.ContainsGenericParameters)
            throw new LocalHostException($"{function.Name}: {function.EntryPoint} cannot be called: its class is abstract, or one of the two is generic.");
        foreach (var parameter in function.Method.GetParameters())
            Argument(function, parameter);
    }

    public static Func<LocalFunctionContext, ValueTask<object?>> Compile(LocalFunction function)
    {
        Expression? instance = null;
        if (!function.Method.IsStatic)
        {
            var factory = Expression.Constant(ActivatorUtilities.CreateFactory(function.Type, Type.EmptyTypes));
            var services = Expression.Property(s_context, nameof(LocalFunctionContext.InstanceServices));
            instance = Expression.Convert(Expression.Invoke(factory, services, Expression.Constant(null, typeof(object[]))), function.Type);
        }
        var call = Expression.Call(instance, function.Method, function.Method.GetParameters().Select(parameter => Argument(function, parameter)));
        return Expression.Lambda<Func<LocalFunctionContext, ValueTask<object?>>>(Awaited(call), s_context).Compile();
    }

    private static Expression Awaited(MethodCallExpression call)
    {
        var type = call.Type;
        if (type == typeof(void))
            return Expression.Block(call, Expression.Default(typeof(ValueTask<object?>)));
        if (type == typeof(Task))
            return Await(nameof(FromTask), call);
        if (type == typeof(ValueTask))
            return Await(nameof(FromValueTask), call);
        if (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(Task<>))
            return Await(nameof(FromTaskOf), call, type.GetGenericArguments());
        if (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(ValueTask<>))
            return Await(nameof(FromValueTaskOf), call, type.GetGenericArguments());
        return Expression.New(typeof(ValueTask<object?>).GetConstructor([typeof(object)])!, Expression.Convert(call, typeof(object)));
    }

    private static MethodCallExpression Await(string method, Expression call, params Type[] of) =>
        Expression.Call(typeof(FunctionCompiler), method, of, call);

    private static async ValueTask<object?> FromTask(Task task)
    {
        await task;
        return null;
    }

    private static async ValueTask<object?> FromValueTask(ValueTask task)
    {
        await task;
        return null;
    }

    private static async ValueTask<object?> FromTaskOf<T>(Task<T> task) => await task;

    private static async ValueTask<object?> FromValueTaskOf<T>(ValueTask<T> task) => await task;

    private static Expression Argument(LocalFunction function, ParameterInfo parameter)
    {
        var type = parameter.ParameterType;
        if (type == typeof(CancellationToken))
            return Expression.Property(s_context, nameof(LocalFunctionContext.CancellationToken));
        if (type == typeof(FunctionContext))
            return s_context;
        if (type == typeof(HttpRequest) && function.Http is not null)
            return Expression.Property(s_context, nameof(LocalFunctionContext.Request));
        if (type == typeof(TimerInfo) && function.Timer is not null)
            return Expression.Convert(Expression.Property(s_context, nameof(LocalFunctionContext.TriggerValue)), type);
        if (DurableArgument(function, parameter) is { } durable)
            return durable;
        if (function.Http is not null && !parameter.IsDefined(typeof(TriggerBindingAttribute)) && RouteParameter.Bind(function, parameter, s_context) is { } value)
            return value;
        throw new LocalHostException($"{function.Name}: nothing can fill the parameter {parameter.Name} of type {type.Name}.");
    }

    private static Expression? DurableArgument(LocalFunction function, ParameterInfo parameter)
    {
        var type = parameter.ParameterType;
        var trigger = Expression.Property(s_context, nameof(LocalFunctionContext.TriggerValue));
        if (parameter.IsDefined(typeof(DurableClientAttribute)) && type == typeof(DurableTaskClient) && !function.IsOrchestrator)
            return Expression.Call(typeof(FunctionCompiler), nameof(Client), null, s_context);
        if (parameter.IsDefined(typeof(ActivityTriggerAttribute)))
            return Expression.Call(typeof(Payload), nameof(Payload.Read), [type], Expression.Convert(trigger, typeof(string)));
        if (!function.IsOrchestrator || parameter.IsDefined(typeof(BindingAttribute)) && type != typeof(TaskOrchestrationContext))
            return null;
        // Beside the context, an orchestrator may take its input.
        var orchestration = Expression.Convert(trigger, typeof(TaskOrchestrationContext));
        return type == typeof(TaskOrchestrationContext) ? orchestration : Expression.Call(orchestration, nameof(TaskOrchestrationContext.GetInput), [type]);
    }

    private static DurableTaskClient Client(LocalFunctionContext context) => context.InstanceServices.GetRequiredService<LocalDurableTaskClient>();
}
