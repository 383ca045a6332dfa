using System.Reflection;

namespace FunctionsRegistry.Functions;

/// <summary>Which runtime the app was built for. What is allowed only locally hangs on this, never on a setting that could be set in Azure.</summary>
public static class RuntimeFlavour
{
    /// <summary>True in the embedded runtime: default credentials and the development sign-in exist only there.</summary>
    public static bool IsLocal { get; } = typeof(RuntimeFlavour).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .Any(attribute => attribute is { Key: "FunctionsRuntime", Value: "Local" });
}
