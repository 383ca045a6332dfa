using System.ComponentModel;
using System.Globalization;
using System.Linq.Expressions;
using System.Reflection;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace FunctionsRegistry.LocalRuntime.Hosting;

/// <summary>Makes one delegate per function, so that an invocation costs no reflection.</summary>
internal static class FunctionCompiler
{
    public static Func<LocalFunctionContext, Task<object?>> Compile(LocalFunction function)
    {
        var context = Expression.Parameter(typeof(LocalFunctionContext), "context");
        var arguments = function.Method.GetParameters().Select(parameter => Argument(function, parameter, context));
        Expression? instance = null;
        if (!function.Method.IsStatic)
        {
            var factory = ActivatorUtilities.CreateFactory(function.Type, Type.EmptyTypes);
            Func<LocalFunctionContext, object> create = invocation => factory(invocation.InstanceServices, null);
            instance = Expression.Convert(Expression.Invoke(Expression.Constant(create), context), function.Type);
        }
        var call = Expression.Call(instance, function.Method, arguments);
        return Expression.Lambda<Func<LocalFunctionContext, Task<object?>>>(Awaited(call), context).Compile();
    }

    private static Expression Awaited(MethodCallExpression call)
    {
        var type = call.Type;
        if (type == typeof(void))
            return Expression.Block(call, Expression.Constant(Task.FromResult<object?>(null)));
        if (type == typeof(Task))
            return Expression.Call(typeof(FunctionCompiler), nameof(FromTask), null, call);
        if (type == typeof(ValueTask))
            return Expression.Call(typeof(FunctionCompiler), nameof(FromTask), null, Expression.Call(call, nameof(ValueTask.AsTask), null));
        if (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(Task<>))
            return Expression.Call(typeof(FunctionCompiler), nameof(FromTaskOf), type.GetGenericArguments(), call);
        if (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(ValueTask<>))
            return Expression.Call(typeof(FunctionCompiler), nameof(FromTaskOf), type.GetGenericArguments(), Expression.Call(call, nameof(ValueTask.AsTask), null));
        return Expression.Call(typeof(Task), nameof(Task.FromResult), [typeof(object)], Expression.Convert(call, typeof(object)));
    }

    private static async Task<object?> FromTask(Task task)
    {
        await task;
        return null;
    }

    private static async Task<object?> FromTaskOf<T>(Task<T> task) => await task;

    private static Expression Argument(LocalFunction function, ParameterInfo parameter, ParameterExpression context)
    {
        var type = parameter.ParameterType;
        if (type == typeof(HttpRequest))
            return Expression.Property(Expression.Property(context, nameof(LocalFunctionContext.Http)), nameof(HttpContext.Request));
        if (type == typeof(CancellationToken))
            return Expression.Property(context, nameof(LocalFunctionContext.CancellationToken));
        if (typeof(FunctionContext).IsAssignableFrom(type))
            return context;
        if (type == typeof(TimerInfo))
            return Expression.Property(context, nameof(LocalFunctionContext.Timer));
        if (function.Http is null)
            throw new LocalHostException($"{function.Name}: parameter {parameter.Name} of type {type.Name} cannot be bound.");
        return RouteValue(function, parameter, context);
    }

    // As in the real worker: text is converted, a missing value is null or the default, and otherwise the invocation fails.
    private static Expression RouteValue(LocalFunction function, ParameterInfo parameter, ParameterExpression context)
    {
        var name = parameter.Name!;
        if (parameter.ParameterType == typeof(string))
        {
            var optional = parameter.HasDefaultValue || new NullabilityInfoContext().Create(parameter).WriteState == NullabilityState.Nullable;
            return Expression.Call(typeof(FunctionCompiler), nameof(Text), null,
                context, Expression.Constant(name), Expression.Constant(optional), Expression.Constant(function.Name));
        }
        var target = Nullable.GetUnderlyingType(parameter.ParameterType) ?? parameter.ParameterType;
        var converter = TypeDescriptor.GetConverter(target);
        if (!converter.CanConvertFrom(typeof(string)))
            throw new LocalHostException($"{function.Name}: parameter {name} of type {parameter.ParameterType.Name} cannot be bound.");
        object? fallback = parameter.HasDefaultValue ? parameter.DefaultValue : null;
        var isOptional = parameter.HasDefaultValue || target != parameter.ParameterType;
        Func<LocalFunctionContext, object?> read = invocation =>
            Text(invocation, name, isOptional, function.Name) is { } text ? converter.ConvertFromString(null, CultureInfo.InvariantCulture, text) : fallback;
        return Expression.Convert(Expression.Invoke(Expression.Constant(read), context), parameter.ParameterType);
    }

    private static string? Text(LocalFunctionContext context, string name, bool optional, string function)
    {
        if (context.Http!.Request.RouteValues.TryGetValue(name, out var value) && value is not null)
            return value as string ?? Convert.ToString(value, CultureInfo.InvariantCulture);
        return optional ? null : throw new InvalidOperationException($"{function}: no value for parameter {name}.");
    }
}
