using FunctionsRegistry.Airflow;
using FunctionsRegistry.Functions.Evolution;

namespace FunctionsRegistry.Functions.Airflow;

/// <summary>
/// Moves one generation of a run: starts what <see cref="DagPlan"/> says is ready, waits for what runs, repeats. Everything it learns comes from activities,
/// and what they record is refused once the run belongs to a later generation.
/// </summary>
public static class DagRunOrchestrator
{
    /// <summary>The orchestration's name.</summary>
    public const string Name = "DagRunOrchestrator";

    /// <summary>Sent when tasks of a running run were cleared.</summary>
    public const string ClearedEvent = "cleared";

    private const int LongestPollSeconds = 30;

    // An activity fails only where the database does: operators' failures are outcomes. After about ten minutes the orchestration fails, and with it the run.
    private static readonly TaskOptions s_untilTheDatabaseIsBack = TaskOptions.FromRetryPolicy(
        new RetryPolicy(25, TimeSpan.FromSeconds(1), backoffCoefficient: 2, maxRetryInterval: TimeSpan.FromSeconds(30)));

    // Where the sweeper began a trial first, no host promises an answer about an instance that is there already.
    private static readonly TimeSpan s_trialAnswer = TimeSpan.FromMinutes(5);

    /// <summary>Runs to the end of the run; the result says how it ended.</summary>
    [Function(Name)]
    public static async Task<string> RunAsync([OrchestrationTrigger] TaskOrchestrationContext context, DagRunRef run)
    {
        var state = new RunInProgress();
        if (!await LoadAsync(context, run, state))
            return "superseded";
        var cleared = context.WaitForExternalEvent<bool>(ClearedEvent);
        while (true)
        {
            var step = DagPlan.Next(state.Plan, state.States, state.Choices);
            if (step.Settled.Count > 0)
                await context.CallActivityAsync(DagRunActivities.Settle, new SettledTasks(run, [.. step.Settled]), s_untilTheDatabaseIsBack);
            state.Apply(step);
            foreach (var id in step.Ready)
                state.Running.Add((id, RunTaskAsync(context, run, state.Tasks[id])));
            context.SetCustomStatus(state.Progress);

            if (state.Running.Count == 0)
            {
                var end = new RunEnd(run, step.Result == RunState.Success);
                var outcome = await context.CallActivityAsync<RunEndOutcome>(DagRunActivities.End, end, s_untilTheDatabaseIsBack);
                if (outcome != RunEndOutcome.NotFinished)
                    return outcome == RunEndOutcome.NotCurrent ? "superseded" : end.IsSuccess ? "success" : "failed";
                if (!await LoadAsync(context, run, state))
                    return "superseded";
                continue;
            }

            var first = await Task.WhenAny([.. state.Running.Select(one => (Task)one.Outcome), cleared]);
            if (first == cleared)
            {
                cleared = context.WaitForExternalEvent<bool>(ClearedEvent);
                if (!await LoadAsync(context, run, state))
                    return "superseded";
            }
            foreach (var (id, ended) in state.Running.Where(one => one.Outcome.IsCompleted).ToList())
            {
                var outcome = await ended;
                if (outcome.State == TaskState.None)
                    return "superseded";
                state.End(id, outcome);
            }
        }
    }

    private static async Task<bool> LoadAsync(TaskOrchestrationContext context, DagRunRef run, RunInProgress state)
    {
        var found = await context.CallActivityAsync<RunTasks>(DagRunActivities.Begin, run, s_untilTheDatabaseIsBack);
        if (found.IsCurrent)
            state.Load(found.Tasks);
        return found.IsCurrent;
    }

    // Every try of one task. Between tries, and while the task waits for a time or a slot, it holds no worker.
    private static async Task<TryOutcome> RunTaskAsync(TaskOrchestrationContext context, DagRunRef run, RunTask task)
    {
        // A try that an earlier orchestration began and did not end goes on.
        var attempt = new TaskTry(run, task.Id, task.State is TaskState.Running or TaskState.Deferred ? task.TryNumber : task.TryNumber + 1);
        var retryDelay = task.RetryDelaySeconds;
        var pollSeconds = 1;
        while (true)
        {
            var outcome = await context.CallActivityAsync<TryOutcome>(DagRunActivities.Try, attempt, s_untilTheDatabaseIsBack);
            while (outcome.State == TaskState.Deferred)
            {
                if (outcome.TrialId is { } trialId)
                    await RunTrialAsync(context, trialId);
                else if (outcome.ResumeAt is { } resumeAt)
                    await context.CreateTimer(resumeAt, CancellationToken.None);
                outcome = await context.CallActivityAsync<TryOutcome>(DagRunActivities.Resume, attempt, s_untilTheDatabaseIsBack);
            }
            if (outcome.State == TaskState.Queued)
            {
                await context.CreateTimer(TimeSpan.FromSeconds(pollSeconds), CancellationToken.None);
                pollSeconds = Math.Min(LongestPollSeconds, pollSeconds * 2);
            }
            else if (outcome.State == TaskState.UpForRetry)
            {
                await context.CreateTimer(TimeSpan.FromSeconds(Math.Min(retryDelay, task.MaxRetryDelaySeconds)), CancellationToken.None);
                retryDelay *= task.RetryBackoff;
                pollSeconds = 1;
                attempt = attempt with { TryNumber = attempt.TryNumber + 1 };
            }
            else
            {
                return outcome;
            }
        }
    }

    // How it ended is in the trial's row; a trial that somebody else's orchestration moves already is waited for there, too.
    private static async Task RunTrialAsync(TaskOrchestrationContext context, string trialId)
    {
        using var over = new CancellationTokenSource();
        var trial = context.CallSubOrchestratorAsync<string>(TrialOrchestrator.Name, trialId, new SubOrchestrationOptions(instanceId: trialId));
        // However it ended, or if it has not: the resume that follows looks.
        await Task.WhenAny(trial, context.CreateTimer(s_trialAnswer, over.Token));
        // Not CancelAsync: an orchestrator may await its context's tasks alone.
        over.Cancel();
    }

    private sealed class RunInProgress
    {
        public Dictionary<string, RunTask> Tasks { get; private set; } = [];

        public IReadOnlyList<PlannedTask> Plan { get; private set; } = [];

        public Dictionary<string, TaskState> States { get; } = [];

        public Dictionary<string, IReadOnlyList<string>> Choices { get; } = [];

        public List<(string Id, Task<TryOutcome> Outcome)> Running { get; } = [];

        public RunProgress Progress => new(States.Values.Count(state => state.IsFinal()), States.Count);

        public void Load(IReadOnlyList<RunTask> tasks)
        {
            Tasks = tasks.ToDictionary(task => task.Id);
            Plan = [.. tasks.Select(task => new PlannedTask(task.Id, task.Needs, task.Rule, task.IsBranch))];
            foreach (var task in tasks)
            {
                // What this orchestration executes is running for it, whatever the row says at this moment; what nobody executes begins anew.
                States[task.Id] = Running.Exists(one => one.Id == task.Id) ? TaskState.Running : task.State.IsFinal() ? task.State : TaskState.None;
                Choices.Remove(task.Id);
                if (task is { IsBranch: true, State: TaskState.Success, Chosen: { } chosen })
                    Choices[task.Id] = chosen;
            }
        }

        public void Apply(DagStep step)
        {
            foreach (var (id, settled) in step.Settled)
                States[id] = settled;
            foreach (var id in step.Ready)
                States[id] = TaskState.Running;
        }

        public void End(string id, TryOutcome outcome)
        {
            Running.RemoveAll(one => one.Id == id);
            States[id] = outcome.State;
            if (outcome.Chosen is { } chosen)
                Choices[id] = chosen;
        }
    }
}
