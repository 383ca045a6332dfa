using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.DataRegistry;

/// <summary>Settings of the data registry.</summary>
/// <param name="HeartbeatTimeout"><c>Dhg__HeartbeatTimeoutSeconds</c>: 300; an agent silent for longer is not active.</param>
/// <param name="HeartbeatsKeptFor"><c>Dhg__HeartbeatDays</c>: 30; older heartbeats are deleted.</param>
/// <param name="MaxSockets"><c>Dhg__MaxSockets</c>: 1000 open WebSockets of one process.</param>
public sealed record DataRegistryOptions(TimeSpan HeartbeatTimeout, TimeSpan HeartbeatsKeptFor, int MaxSockets)
{
    /// <summary>Reads the settings named above.</summary>
    /// <exception cref="InvalidOperationException">One is not a number in its range; the message lists every wrong one.</exception>
    public static DataRegistryOptions FromConfiguration(IConfiguration configuration)
    {
        var wrong = new List<string>();
        var options = new DataRegistryOptions(
            TimeSpan.FromSeconds(Read("HeartbeatTimeoutSeconds", 300, 1, 31_536_000)),
            TimeSpan.FromDays(Read("HeartbeatDays", 30, 1, 3_650)),
            Read("MaxSockets", 1_000, 0, 100_000));
        return wrong.Count == 0 ? options : throw new InvalidOperationException(string.Join("; ", wrong));

        int Read(string name, int standard, int min, int max)
        {
            var text = configuration["Dhg:" + name];
            if (string.IsNullOrEmpty(text))
                return standard;
            if (int.TryParse(text, out var value) && value >= min && value <= max)
                return value;
            wrong.Add($"Dhg__{name}={text} is not a number from {min} to {max}");
            return standard;
        }
    }
}
