using FunctionsRegistry.Marketplace;
using FunctionsRegistry.Postgres;

namespace FunctionsRegistry.Functions.Marketplace;

/// <summary>Cleaning up; repeating any of it is harmless.</summary>
public sealed class MarketplaceTimers(AgentService service, AgentStore agents, UserStore users, IdempotencyStore idempotency)
{
    /// <summary>Every ten minutes: blobs that a crash or a refused publish left behind.</summary>
    [Function("timer_marketplace_orphans")]
    public Task SweepOrphans([TimerTrigger("30 */10 * * * *")] TimerInfo timer, CancellationToken cancellationToken) =>
        service.SweepOrphansAsync(cancellationToken);

    /// <summary>Hourly: what is past its time.</summary>
    [Function("timer_marketplace_purge")]
    public async Task Purge([TimerTrigger("0 7 * * * *")] TimerInfo timer, CancellationToken cancellationToken)
    {
        await agents.PurgeDownloadHoursAsync(cancellationToken);
        await users.PurgeAsync(cancellationToken);
        await idempotency.PurgeAsync(cancellationToken);
    }
}
