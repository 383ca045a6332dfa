using FunctionsRegistry.Postgres;

namespace FunctionsRegistry.Functions.Platform;

/// <summary>Cleaning up what every slice shares.</summary>
public sealed class PlatformTimers(IdempotencyStore idempotency)
{
    /// <summary>Every ten minutes: stored answers past their 24 hours.</summary>
    [Function("timer_platform_purge")]
    public Task Purge([TimerTrigger("15 */10 * * * *")] TimerInfo timer, CancellationToken cancellationToken) => idempotency.PurgeAsync(cancellationToken);
}
