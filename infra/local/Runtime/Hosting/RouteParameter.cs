using System.Globalization;
using System.Linq.Expressions;
using System.Reflection;

namespace FunctionsRegistry.LocalRuntime.Hosting;

/// <summary>
/// A parameter that takes its value from the route. As in the real worker, a missing value is the default, or null where that is allowed; otherwise,
/// and when the text is no value of the type, the invocation fails. Query values are never bound.
/// </summary>
internal sealed class RouteParameter(string function, string name, bool isOptional)
{
    /// <summary>The expression that reads the parameter, or null when its type cannot be read from text.</summary>
    public static Expression? Bind(LocalFunction function, ParameterInfo parameter, ParameterExpression context)
    {
        var type = parameter.ParameterType;
        var underlying = Nullable.GetUnderlyingType(type);
        var isNullable = underlying is not null
            || (!type.IsValueType && new NullabilityInfoContext().Create(parameter).WriteState != NullabilityState.NotNull);
        var source = Expression.Constant(new RouteParameter(function.Name, parameter.Name!, isNullable || parameter.HasDefaultValue));
        if (type == typeof(string))
            return Expression.Coalesce(Expression.Call(source, nameof(FindText), null, context), Expression.Constant(Default(parameter), typeof(string)));
        var value = underlying ?? type;
        var read = value.IsEnum ? nameof(ReadEnum) : IsParsable(value) ? nameof(ReadParsable) : null;
        if (read is null)
            return null;
        if (underlying is not null)
            read += "OrNull";
        return Expression.Call(source, read, [value], context, Expression.Constant(Default(parameter), type));
    }

    private static object? Default(ParameterInfo parameter)
    {
        if (parameter is { HasDefaultValue: true, DefaultValue: { } value })
            return parameter.ParameterType.IsEnum ? Enum.ToObject(parameter.ParameterType, value) : value;
        return parameter.ParameterType.IsValueType ? Activator.CreateInstance(parameter.ParameterType) : null;
    }

    private static bool IsParsable(Type type) =>
        type.GetInterfaces().Any(face => face.IsGenericType && face.GetGenericTypeDefinition() == typeof(IParsable<>) && face.GenericTypeArguments[0] == type);

    private string? FindText(LocalFunctionContext context)
    {
        if (context.Request.RouteValues.TryGetValue(name, out var value) && value is not null)
            return value as string ?? Convert.ToString(value, CultureInfo.InvariantCulture);
        return isOptional ? null : throw new InvalidOperationException($"{function}: there is no value for the parameter {name}.");
    }

    private T? ReadParsable<T>(LocalFunctionContext context, T? otherwise)
        where T : IParsable<T>
    {
        if (FindText(context) is not { } text)
            return otherwise;
        return T.TryParse(text, CultureInfo.InvariantCulture, out var value) ? value : throw Wrong(typeof(T));
    }

    private T? ReadParsableOrNull<T>(LocalFunctionContext context, T? otherwise)
        where T : struct, IParsable<T>
    {
        if (FindText(context) is not { } text)
            return otherwise;
        return T.TryParse(text, CultureInfo.InvariantCulture, out var value) ? value : throw Wrong(typeof(T));
    }

    private T ReadEnum<T>(LocalFunctionContext context, T otherwise)
        where T : struct, Enum => ReadEnumOrNull<T>(context, null) ?? otherwise;

    private T? ReadEnumOrNull<T>(LocalFunctionContext context, T? otherwise)
        where T : struct, Enum
    {
        if (FindText(context) is not { } text)
            return otherwise;
        return Enum.TryParse<T>(text, ignoreCase: true, out var value) ? value : throw Wrong(typeof(T));
    }

    private InvalidOperationException Wrong(Type type) => new($"{function}: the value of the parameter {name} is no {type.Name}.");
}
