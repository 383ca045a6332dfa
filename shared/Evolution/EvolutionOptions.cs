using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.Evolution;

/// <summary>Settings of evolution trials.</summary>
/// <param name="SocketsPerClient"><c>Evolution__SocketsPerClient</c>: WebSockets and streams of events of one address, 10 as spec-dean.md says.</param>
/// <param name="KeepTrialsDays"><c>Evolution__KeepTrialsDays</c>: 90; trials that are over are deleted so many days after their end, 0 keeps them.</param>
public sealed record EvolutionOptions(int SocketsPerClient, int KeepTrialsDays)
{
    /// <summary>Reads the settings named above.</summary>
    /// <exception cref="InvalidOperationException">One is not a number in its range; the message lists every wrong one.</exception>
    public static EvolutionOptions FromConfiguration(IConfiguration configuration)
    {
        var wrong = new List<string>();
        var options = new EvolutionOptions(Read("SocketsPerClient", 10, 1, 100_000), Read("KeepTrialsDays", 90, 0, 36_500));
        return wrong.Count == 0 ? options : throw new InvalidOperationException(string.Join("; ", wrong));

        int Read(string name, int standard, int min, int max)
        {
            var text = configuration["Evolution:" + name];
            if (string.IsNullOrEmpty(text))
                return standard;
            if (int.TryParse(text, out var value) && value >= min && value <= max)
                return value;
            wrong.Add($"Evolution__{name}={text} is not a number from {min} to {max}");
            return standard;
        }
    }
}
