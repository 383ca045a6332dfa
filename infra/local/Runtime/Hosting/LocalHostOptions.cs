namespace FunctionsRegistry.LocalRuntime.Hosting;

/// <summary>What tests choose and an app does not.</summary>
internal sealed record LocalHostOptions
{
    /// <summary>Where host.json and local.settings.json lie.</summary>
    public string BaseDirectory { get; init; } = AppContext.BaseDirectory;

    /// <summary>The classes to look for functions in; the entry assembly's, or those of <c>Local:FunctionsAssembly</c>, when null.</summary>
    public IReadOnlyList<Type>? FunctionTypes { get; init; }

    /// <summary>Port and prefix of each contract.</summary>
    public IReadOnlyDictionary<int, string> ContractPorts { get; init; } = Http.ContractPorts.All;

    /// <summary>A host that cannot start prints one line and ends the process; otherwise its exception goes to the caller.</summary>
    public bool EndsProcess { get; init; }
}
