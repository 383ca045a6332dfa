using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.Evolution;

/// <summary>Limits of live updates.</summary>
/// <param name="SocketsPerClient"><c>Evolution__SocketsPerClient</c>: WebSockets of one address, 10 as spec-dean.md says.</param>
public sealed record EvolutionOptions(int SocketsPerClient)
{
    /// <summary>Reads the setting named above.</summary>
    /// <exception cref="InvalidOperationException">It is not 1 or more.</exception>
    public static EvolutionOptions FromConfiguration(IConfiguration configuration) => configuration.GetValue("Evolution:SocketsPerClient", 10) is > 0 and var count
        ? new EvolutionOptions(count)
        : throw new InvalidOperationException("Evolution__SocketsPerClient must be 1 or more.");
}
