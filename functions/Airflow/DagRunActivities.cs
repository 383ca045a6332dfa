using FunctionsRegistry.Airflow;

namespace FunctionsRegistry.Functions.Airflow;

/// <summary>What the orchestration of a run does to rows; all of it may be repeated.</summary>
public sealed class DagRunActivities(TaskRunner runner, TaskInstanceStore tasks, DagRunStore runs, DagRunStarter starter)
{
    /// <summary>Reads the run's tasks.</summary>
    public const string Begin = "dag_run_begin";

    /// <summary>Executes one try of a task.</summary>
    public const string Try = "dag_task_try";

    /// <summary>Ends a deferred task.</summary>
    public const string Resume = "dag_task_resume";

    /// <summary>Records tasks that end without running.</summary>
    public const string Settle = "dag_tasks_settle";

    /// <summary>Ends the run and starts what waits.</summary>
    public const string End = "dag_run_end";

    /// <summary><see cref="Begin"/>.</summary>
    [Function(Begin)]
    public Task<RunTasks> BeginAsync([ActivityTrigger] DagRunRef run, CancellationToken cancellationToken) => runner.BeginAsync(run, cancellationToken);

    /// <summary><see cref="Try"/>.</summary>
    [Function(Try)]
    public Task<TryOutcome> TryAsync([ActivityTrigger] TaskTry attempt, CancellationToken cancellationToken) => runner.RunAsync(attempt, cancellationToken);

    /// <summary><see cref="Resume"/>.</summary>
    [Function(Resume)]
    public Task<TryOutcome> ResumeAsync([ActivityTrigger] TaskTry attempt, CancellationToken cancellationToken) => runner.ResumeAsync(attempt, cancellationToken);

    /// <summary><see cref="Settle"/>.</summary>
    [Function(Settle)]
    public Task SettleAsync([ActivityTrigger] SettledTasks settled, CancellationToken cancellationToken) => tasks.SettleAsync(settled, cancellationToken);

    /// <summary><see cref="End"/>.</summary>
    [Function(End)]
    public async Task<RunEndOutcome> EndAsync([ActivityTrigger] RunEnd end, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken)
    {
        var (outcome, started) = await runs.EndAsync(end.Run, end.IsSuccess, cancellationToken);
        await starter.StartAsync(client, started);
        return outcome;
    }
}
