using FunctionsRegistry.Airflow;

namespace FunctionsRegistry.Functions.Airflow;

/// <summary>
/// Tells the orchestrations what the rows say. The rows were committed before: whatever fails here is made good by the sweeper, so a request that was
/// accepted does not fail for it.
/// </summary>
public sealed partial class DagRunStarter(DagRunStore runs, ILogger<DagRunStarter> logger)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    /// <summary>Starts the orchestrations of runs that have begun.</summary>
    public async Task StartAsync(DurableTaskClient client, IReadOnlyList<DagRunRef> started)
    {
        foreach (var run in started)
            await TryAsync(run, token => client.ScheduleNewOrchestrationInstanceAsync(
                DagRunOrchestrator.Name, run, new StartOrchestrationOptions(run.InstanceId), token));
    }

    /// <summary>Does what a change to a run demands.</summary>
    public async Task ApplyAsync(DurableTaskClient client, RunChange change)
    {
        if (change.Stop is { } stop)
            await TryAsync(stop, token => client.TerminateInstanceAsync(stop.InstanceId, "The run was ended by hand.", token));
        if (change.Tell is { } tell)
            await TryAsync(tell, token => client.RaiseEventAsync(tell.InstanceId, DagRunOrchestrator.ClearedEvent, true, token));
        await StartAsync(client, change.Start);
    }

    /// <summary>Starts what waits for a slot of a DAG that is free.</summary>
    public async Task PromoteAsync(DurableTaskClient client, string dagId, CancellationToken cancellationToken) =>
        await StartAsync(client, await runs.PromoteAsync(dagId, cancellationToken));

    private async Task TryAsync(DagRunRef run, Func<CancellationToken, Task> action)
    {
        // Not the request's token: a client that hangs up must not leave the orchestration behind its row.
        using var limit = new CancellationTokenSource(s_patience);
        try
        {
            await action(limit.Token);
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            LogLeft(run.InstanceId, exception.Message);
        }
    }

    [LoggerMessage(4101, LogLevel.Warning, "The orchestration {InstanceId} was not told what its row says; the sweeper will: {Reason}")]
    private partial void LogLeft(string instanceId, string reason);
}
