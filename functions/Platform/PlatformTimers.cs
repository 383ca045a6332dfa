using FunctionsRegistry.Postgres;

namespace FunctionsRegistry.Functions.Platform;

/// <summary>Cleaning up what every slice shares; repeating any of it is harmless.</summary>
public sealed class PlatformTimers(IdempotencyStore idempotency, IConfiguration configuration, TimeProvider time)
{
    /// <summary>Every ten minutes: stored answers past their 24 hours.</summary>
    [Function("timer_platform_purge")]
    public Task Purge([TimerTrigger("15 */10 * * * *")] TimerInfo timer, CancellationToken cancellationToken) => idempotency.PurgeAsync(cancellationToken);

    /// <summary>
    /// Nightly: orchestrations that are over and began <c>Durable__KeepFinishedDays</c> (30; 0 keeps them all) ago. What they did is in the slices' own rows.
    /// </summary>
    [Function("timer_platform_purge_orchestrations")]
    public async Task PurgeOrchestrations(
        [TimerTrigger("0 40 3 * * *")] TimerInfo timer, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken)
    {
        var days = configuration.GetValue("Durable:KeepFinishedDays", 30);
        if (days <= 0)
            return;
        OrchestrationRuntimeStatus[] over = [OrchestrationRuntimeStatus.Completed, OrchestrationRuntimeStatus.Failed, OrchestrationRuntimeStatus.Terminated];
        await client.PurgeAllInstancesAsync(new PurgeInstancesFilter(CreatedTo: time.GetUtcNow() - TimeSpan.FromDays(days), Statuses: over), cancellationToken);
    }
}
