using FunctionsRegistry.Marketplace;

namespace FunctionsRegistry.Functions.Marketplace;

/// <summary>Cleaning up; repeating any of it is harmless.</summary>
public sealed class MarketplaceTimers(AgentService service, AgentStore agents, UserStore users, TelemetryStore telemetry)
{
    /// <summary>Every ten minutes: blobs that a crash or a refused publish left behind lately.</summary>
    [Function("timer_marketplace_orphans")]
    public Task SweepOrphans([TimerTrigger("30 */10 * * * *")] TimerInfo timer, CancellationToken cancellationToken) =>
        service.SweepOrphansAsync(everything: false, cancellationToken);

    /// <summary>Weekly: the same over all blobs, for those of an app that was off for days.</summary>
    [Function("timer_marketplace_orphans_all")]
    public Task SweepAllOrphans([TimerTrigger("0 20 3 * * 0")] TimerInfo timer, CancellationToken cancellationToken) =>
        service.SweepOrphansAsync(everything: true, cancellationToken);

    /// <summary>Hourly: what is past its time.</summary>
    [Function("timer_marketplace_purge")]
    public async Task Purge([TimerTrigger("0 7 * * * *")] TimerInfo timer, CancellationToken cancellationToken)
    {
        await agents.PurgeDownloadHoursAsync(cancellationToken);
        await users.PurgeAsync(cancellationToken);
        await telemetry.PurgeAsync(cancellationToken);
    }
}
