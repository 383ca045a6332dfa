using System.Collections.Concurrent;
using System.Reflection;
using FunctionsRegistry.Errors;
using FunctionsRegistry.RateLimits;

namespace FunctionsRegistry.Functions.Http;

/// <summary>On a function class: the contract it serves.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class ContractAttribute(Family family) : Attribute
{
    /// <summary>Error bodies, callers and the default rate limit follow from it.</summary>
    public Family Family => family;
}

/// <summary>On a function: no caller is needed; one that is sent is still looked up.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class PublicAttribute : Attribute;

/// <summary>On a function: one more limit beside the contract's default; its quota is the one shown in the headers.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class RateLimitAttribute(RateLimitPolicy policy) : Attribute
{
    /// <summary>The limit to count against, too.</summary>
    public RateLimitPolicy Policy => policy;
}

/// <summary>On a function: it counts against no limit (health checks, pages).</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class UnlimitedAttribute : Attribute;

/// <summary>On a function: how long its request body may be, where that is not the 1 MB of JSON bodies.</summary>
/// <param name="megabytes">The limit; 0 for none.</param>
[AttributeUsage(AttributeTargets.Method)]
public sealed class BodyLimitAttribute(int megabytes) : Attribute
{
    // A form's other fields beside the file that the setting is about.
    private const int FormMegabytes = 2;

    /// <summary>Setting that overrules the number, such as <c>Marketplace:MaxTarballMegabytes</c>; the form around the file may have 2 MB more.</summary>
    public string? Setting { get; init; }

    /// <summary>Whether there is none.</summary>
    public bool IsNone => megabytes == 0;

    /// <summary>The limit in force in bytes, or null for none.</summary>
    public long? ReadBytes(IConfiguration configuration)
    {
        var limit = Setting is null ? megabytes : configuration.GetValue(Setting, megabytes) + FormMegabytes;
        return limit == 0 ? null : (long)limit << 20;
    }
}

/// <summary>What the middleware must know of a function, read once from its attributes.</summary>
/// <param name="Route">As it is declared, with a slash at its beginning; empty for other triggers.</param>
public sealed record FunctionRules(
    Family Family, string Route, bool IsHttp, bool IsPublic, bool IsUnlimited, RateLimitPolicy? ExtraLimit, BodyLimitAttribute? BodyLimit)
{
    /// <summary>Whether bodies of any length are streamed through.</summary>
    public bool HasUnlimitedBody => BodyLimit is { IsNone: true };

    private static readonly ConcurrentDictionary<string, FunctionRules> s_rules = new();

    /// <summary>The rules of the function being invoked.</summary>
    public static FunctionRules Of(FunctionContext context) =>
        s_rules.TryGetValue(context.FunctionDefinition.Name, out var rules) ? rules : s_rules.GetOrAdd(context.FunctionDefinition.Name, Read(context));

    private static FunctionRules Read(FunctionContext context)
    {
        // The entry point is Namespace.Class.Method in both runtimes.
        var entryPoint = context.FunctionDefinition.EntryPoint;
        var dot = entryPoint.LastIndexOf('.');
        var type = typeof(FunctionRules).Assembly.GetType(entryPoint[..dot])
            ?? throw new InvalidOperationException($"{context.FunctionDefinition.Name}: no class {entryPoint[..dot]} in this app.");
        var method = type.GetMethods().Single(method => method.GetCustomAttribute<FunctionAttribute>()?.Name == context.FunctionDefinition.Name);
        return new FunctionRules(
            type.GetCustomAttribute<ContractAttribute>()?.Family ?? Family.Platform,
            method.GetParameters().Select(parameter => parameter.GetCustomAttribute<HttpTriggerAttribute>()?.Route).FirstOrDefault(route => route is not null) is { } route
                ? "/" + route
                : "",
            context.FunctionDefinition.InputBindings.Values.Any(binding => binding.Type == "httpTrigger"),
            method.IsDefined(typeof(PublicAttribute)),
            method.IsDefined(typeof(UnlimitedAttribute)),
            method.GetCustomAttribute<RateLimitAttribute>()?.Policy,
            method.GetCustomAttribute<BodyLimitAttribute>());
    }
}
