namespace FunctionsRegistry.Marketplace;

/// <summary>Checks and stores telemetry (agentx.md 2.14).</summary>
public sealed class TelemetryService(TelemetryStore store)
{
    private const int LongestRunMs = 3_600_000;

    /// <summary>Accepts either body.</summary>
    /// <exception cref="Errors.RegistryException">400 with every fault.</exception>
    public Task RecordAsync(TelemetryRequest request, CancellationToken cancellationToken)
    {
        var faults = new List<string>();
        var agent = request.Agent ?? request.AgentName;
        var version = request.Version ?? request.AgentVersion;
        Check(faults, "agent", agent, 200, required: true);
        Check(faults, "version", version, 50);
        Check(faults, "error_type", request.ErrorType, 100);
        Check(faults, "os", request.Os, 100);
        Check(faults, "cli_version", request.CliVersion, 50);
        if (request.Success is null)
            faults.Add("success: required");
        if (request.DurationMs is not (>= 0 and <= LongestRunMs))
            faults.Add($"duration_ms: required, an integer from 0 to {LongestRunMs}");
        if (faults.Count > 0)
            throw MarketplaceErrors.InvalidTelemetry(faults);
        var entry = new TelemetryEvent(agent!, version, request.Success!.Value, (int)request.DurationMs!.Value, request.ErrorType, request.Os, request.CliVersion);
        return store.InsertAsync(entry, cancellationToken);
    }

    private static void Check(List<string> faults, string name, string? value, int maxLength, bool required = false)
    {
        if (required && string.IsNullOrEmpty(value))
            faults.Add($"{name}: required");
        else if (value?.Length > maxLength)
            faults.Add($"{name}: at most {maxLength} characters");
        else if (value?.Contains('\0') == true)
            faults.Add($"{name}: must not hold NUL");
    }
}
