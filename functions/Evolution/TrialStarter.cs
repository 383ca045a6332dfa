using FunctionsRegistry.Evolution;

namespace FunctionsRegistry.Functions.Evolution;

/// <summary>
/// Tells orchestrations what the rows say. The rows were committed before: what fails here is made good by the sweeper, so a request that was accepted does
/// not fail for it.
/// </summary>
public sealed partial class TrialStarter(ILogger<TrialStarter> logger)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    /// <summary>Starts a trial's orchestration.</summary>
    public Task StartAsync(DurableTaskClient client, string trialId) => TryAsync(
        trialId, token => client.ScheduleNewOrchestrationInstanceAsync(TrialOrchestrator.Name, trialId, new StartOrchestrationOptions(trialId), token));

    /// <summary>Wakes the orchestration of a trial that was resumed or cancelled.</summary>
    public Task TellAsync(DurableTaskClient client, string trialId) =>
        TryAsync(trialId, token => client.RaiseEventAsync(trialId, TrialOrchestrator.ChangedEvent, true, token));

    private async Task TryAsync(string trialId, Func<CancellationToken, Task> action)
    {
        // Not the request's token: a client that hangs up must not leave the orchestration behind its row.
        using var limit = new CancellationTokenSource(s_patience);
        try
        {
            await action(limit.Token);
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            LogLeft(trialId, exception.Message);
        }
    }

    [LoggerMessage(5201, LogLevel.Warning, "The orchestration of {TrialId} was not told what its row says; it will find out: {Reason}")]
    private partial void LogLeft(string trialId, string reason);
}

/// <summary>What a crash left behind, and what is past its time; repeating either is harmless.</summary>
public sealed class EvolutionTimers(TrialStore store, TrialService trials, TrialStarter starter, EvolutionOptions options, TimeProvider time)
{
    private const int SweepSize = 100;
    private static readonly TimeSpan s_still = TimeSpan.FromSeconds(30);

    /// <summary>Every 15 seconds: trials without an orchestration, and trials whose orchestration broke.</summary>
    [Function("timer_evolution_sweep")]
    public async Task Sweep([TimerTrigger("11-59/15 * * * * *")] TimerInfo timer, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken)
    {
        foreach (var id in await store.ListStillAsync(time.GetUtcNow() - s_still, SweepSize, cancellationToken))
        {
            if (await client.GetInstanceAsync(id, cancellationToken) is not { } instance)
                await starter.StartAsync(client, id);
            else if (instance.IsCompleted)
                await trials.FailAsync(id, "The trial's orchestration was ended from outside.", cancellationToken);
        }
    }

    /// <summary>Daily: trials that were over long ago, with all that belongs to them. The agents that they bred stay.</summary>
    [Function("timer_evolution_purge")]
    public async Task Purge([TimerTrigger("0 20 3 * * *")] TimerInfo timer, CancellationToken cancellationToken)
    {
        if (options.KeepTrialsDays > 0)
            await store.PurgeAsync(time.GetUtcNow().AddDays(-options.KeepTrialsDays), cancellationToken);
    }
}
