using FunctionsRegistry.IndexAgent;

namespace FunctionsRegistry.Functions.IndexAgent;

/// <summary>Cleaning up after deletions and crashes; repeating any of it is harmless.</summary>
public sealed class IndexTimers(IndexService index)
{
    /// <summary>Every minute: rows of segments that are gone, and generations whose orchestration a crash kept from being started.</summary>
    [Function("timer_indexagent_sweep")]
    public async Task Sweep([TimerTrigger("20 * * * * *")] TimerInfo timer, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken)
    {
        foreach (var generation in await index.ListWaitingAsync(cancellationToken))
            await IndexOrchestration.StartAsync(client, generation, cancellationToken);
        await index.PurgeAsync(cancellationToken);
    }

    /// <summary>Hourly: archives that no generation points to.</summary>
    [Function("timer_indexagent_orphans")]
    public Task SweepOrphans([TimerTrigger("40 17 * * * *")] TimerInfo timer, CancellationToken cancellationToken) => index.SweepOrphansAsync(cancellationToken);
}
