using FunctionsRegistry.Airflow;

namespace FunctionsRegistry.Functions.Airflow;

/// <summary>Schedules, and what a crash left behind; repeating any of it is harmless.</summary>
public sealed partial class AirflowTimers(DagRunService service, DagRunStore runs, DagRunStarter starter, ILogger<AirflowTimers> logger)
{
    private const int SweepSize = 200;
    private static readonly TimeSpan s_uncheckedFor = TimeSpan.FromSeconds(30);

    /// <summary>Every five seconds: runs whose time has come.</summary>
    [Function("timer_airflow_schedules")]
    public async Task FireSchedules(
        [TimerTrigger("*/5 * * * * *")] TimerInfo timer, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken) =>
        await starter.StartAsync(client, await service.FireSchedulesAsync(cancellationToken));

    /// <summary>Every 15 seconds: running runs without an orchestration, runs whose orchestration broke, and queued runs with a free slot.</summary>
    [Function("timer_airflow_sweep")]
    public async Task Sweep(
        [TimerTrigger("7-59/15 * * * * *")] TimerInfo timer, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken)
    {
        foreach (var run in await runs.TakeUncheckedAsync(s_uncheckedFor, SweepSize, cancellationToken))
            await CheckAsync(client, run, cancellationToken);
        foreach (var dagId in await runs.ListPromotableAsync(cancellationToken))
            await starter.PromoteAsync(client, dagId, cancellationToken);
    }

    private async Task CheckAsync(DurableTaskClient client, DagRunRef run, CancellationToken cancellationToken)
    {
        var instance = await client.GetInstanceAsync(run.InstanceId, cancellationToken);
        if (instance is null)
        {
            LogStarted(run.InstanceId);
            await starter.StartAsync(client, [run]);
            return;
        }
        // An orchestration ends its run before it ends itself; one that ended without doing so failed, or was terminated.
        if (!instance.IsCompleted || await runs.FindRunIdAsync(run, cancellationToken) is not { } runId)
            return;
        LogBroken(run.InstanceId, instance.RuntimeStatus.ToString(), instance.FailureDetails?.ErrorMessage);
        await starter.ApplyAsync(client, await service.SetStateAsync(run.DagId, runId, RunState.Failed, cancellationToken) with { Stop = null });
    }

    [LoggerMessage(4201, LogLevel.Warning, "The run of {InstanceId} had no orchestration and got one")]
    private partial void LogStarted(string instanceId);

    [LoggerMessage(4202, LogLevel.Error, "The orchestration {InstanceId} ended as {Status} without its run, which is failed now: {Reason}")]
    private partial void LogBroken(string instanceId, string status, string? reason);
}
