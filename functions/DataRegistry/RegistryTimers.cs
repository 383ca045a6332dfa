using FunctionsRegistry.DataRegistry;

namespace FunctionsRegistry.Functions.DataRegistry;

/// <summary>Cleaning up; repeating it is harmless.</summary>
public sealed class RegistryTimers(AgentDirectoryStore agents)
{
    /// <summary>Hourly: heartbeats past their time.</summary>
    [Function("timer_dhg_heartbeats")]
    public Task PruneHeartbeats([TimerTrigger("0 23 * * * *")] TimerInfo timer, CancellationToken cancellationToken) =>
        agents.PruneHeartbeatsAsync(cancellationToken);
}
