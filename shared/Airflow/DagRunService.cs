using System.Text.Json;
using System.Text.RegularExpressions;
using FunctionsRegistry.Errors;

namespace FunctionsRegistry.Airflow;

/// <summary>Which tasks a clear resets.</summary>
/// <param name="TaskIds">Empty: all.</param>
/// <param name="OnlyFailed">Of them only those that failed, themselves or through what they need.</param>
/// <param name="WithDownstream">And everything behind them.</param>
/// <param name="WithUpstream">And everything before them.</param>
public sealed record ClearSelection(IReadOnlyList<string> TaskIds, bool OnlyFailed, bool WithDownstream, bool WithUpstream);

/// <summary>What was changed, and what is to be done with orchestrations: started, told that tasks were cleared, stopped.</summary>
public sealed record RunChange(DagRun Run, IReadOnlyList<TaskInstance> Cleared, IReadOnlyList<DagRunRef> Start, DagRunRef? Tell, DagRunRef? Stop);

/// <summary>The rules of runs: triggering, schedules, stopping, clearing.</summary>
public sealed partial class DagRunService(DagStore dags, DagRunStore runs, DagCatalog catalog, TimeProvider time)
{
    /// <summary>A run's conf may have this many characters: it comes with every list.</summary>
    public const int MaxConfCharacters = 64 << 10;

    /// <summary>Triggers a run (spec: POST .../dagRuns).</summary>
    /// <param name="conf">A JSON object.</param>
    /// <exception cref="RegistryException">404, 409, or 400 of a run id that clients could not name in a path, or a conf that is too long.</exception>
    public async Task<DagRun> TriggerAsync(
        string dagId, string? runId, DateTimeOffset? logicalAt, string conf, string? note, CancellationToken cancellationToken)
    {
        if (runId is not null && !RunIdForm().IsMatch(runId))
            throw AirflowErrors.BadMember("dag_run_id", "must be 1 to 250 letters, digits and _ . ~ : + -");
        if (conf.Length > MaxConfCharacters)
            throw AirflowErrors.BadMember("conf", $"may have at most {MaxConfCharacters} characters");
        if (HasTwins(conf))
            throw AirflowErrors.BadMember("conf", "has a member twice");
        var at = logicalAt ?? time.GetUtcNow();
        return (await runs.InsertAsync(new NewDagRun(dagId, runId, at, at, true, conf, note), null, null, cancellationToken))!;
    }

    /// <summary>
    /// Makes the runs whose time has come, as Airflow does without catch-up: one for the last whole interval, at its end. Who moves a schedule on makes the
    /// run, and a run id exists once: nothing fires twice, however many processes do this.
    /// </summary>
    /// <returns>The runs to start.</returns>
    public async Task<IReadOnlyList<DagRunRef>> FireSchedulesAsync(CancellationToken cancellationToken)
    {
        var start = new List<DagRunRef>();
        foreach (var dag in await dags.ListDueAsync(cancellationToken))
        {
            var now = time.GetUtcNow();
            if (dag.NextRunAt is not { } due || dag.Schedule is null || CronSchedule.TryParse(dag.Schedule, out _) is not { } schedule)
                continue;
            var end = schedule.Last(now) ?? due;
            var begin = schedule.Last(end.AddTicks(-1)) ?? end;
            var run = new NewDagRun(dag.DagId, $"scheduled__{begin.UtcDateTime:yyyy-MM-ddTHH:mm:ss}+00:00", begin, end, false, "{}", null);
            try
            {
                if (await runs.InsertAsync(run, due, schedule.Next(now), cancellationToken) is { State: RunState.Running } made)
                    start.Add(made.Ref);
            }
            catch (RegistryException exception) when (exception.Kind == ErrorKind.Conflict)
            {
                await runs.SkipScheduledAsync(dag.DagId, due, schedule.Next(now), cancellationToken);
            }
        }
        return start;
    }

    /// <summary>Sets a run's state by hand (Airflow: PATCH .../dagRuns/{id}): success and failed end it, queued clears it.</summary>
    /// <exception cref="RegistryException">404.</exception>
    public async Task<RunChange> SetStateAsync(string dagId, string runId, RunState state, CancellationToken cancellationToken)
    {
        if (state == RunState.Queued)
            return await ClearAsync(dagId, runId, new ClearSelection([], false, false, false), false, cancellationToken);
        var (before, after, started) = await runs.SetEndedAsync(dagId, runId, state == RunState.Success, cancellationToken)
            ?? throw await MissingAsync(dagId, cancellationToken);
        return new RunChange(after, [], started, null, before.State == RunState.Running ? before.Ref : null);
    }

    /// <summary>Resets tasks of a run so that they are executed again, or only says which.</summary>
    /// <exception cref="RegistryException">404, also of a task.</exception>
    public async Task<RunChange> ClearAsync(string dagId, string runId, ClearSelection selection, bool isDryRun, CancellationToken cancellationToken)
    {
        var run = await GetAsync(dagId, runId, cancellationToken);
        var dag = await catalog.GetAsync(dagId, run.Version, cancellationToken);
        if (selection.TaskIds.FirstOrDefault(id => dag.FindTask(id) is null) is { } unknown)
            throw AirflowErrors.TaskNotFound(unknown);
        var (after, cleared, started) = await runs.ClearAsync(dagId, runId, dag, tasks => Choose(dag, tasks, selection), isDryRun, cancellationToken)
            ?? throw AirflowErrors.RunNotFound();
        var goesOn = !isDryRun && cleared.Count > 0 && after.State == RunState.Running && started.All(other => other.RunId != after.Id);
        return new RunChange(after, cleared, started, goesOn ? after.Ref : null, null);
    }

    /// <summary>Deletes a run.</summary>
    /// <exception cref="RegistryException">404.</exception>
    public async Task<RunChange> DeleteAsync(string dagId, string runId, CancellationToken cancellationToken)
    {
        var (deleted, started) = await runs.DeleteAsync(dagId, runId, cancellationToken) ?? throw await MissingAsync(dagId, cancellationToken);
        return new RunChange(deleted, [], started, null, deleted.State.IsFinal() ? null : deleted.Ref);
    }

    /// <summary>One run.</summary>
    /// <exception cref="RegistryException">404 of the DAG or of the run.</exception>
    public async Task<DagRun> GetAsync(string dagId, string runId, CancellationToken cancellationToken) =>
        await runs.FindAsync(dagId, runId, cancellationToken) ?? throw await MissingAsync(dagId, cancellationToken);

    /// <summary>The 404 that fits: of the DAG, or of the run.</summary>
    public async Task<RegistryException> MissingAsync(string dagId, CancellationToken cancellationToken) =>
        await dags.FindAsync(dagId, cancellationToken) is null ? AirflowErrors.DagNotFound() : AirflowErrors.RunNotFound();

    private static HashSet<string> Choose(DagDefinition dag, IReadOnlyList<TaskInstance> tasks, ClearSelection selection)
    {
        var chosen = selection.TaskIds.Count > 0 ? selection.TaskIds.ToHashSet() : [.. tasks.Select(task => task.TaskId)];
        if (selection.WithDownstream)
            foreach (var task in dag.Tasks.Where(task => task.Needs.Any(chosen.Contains)))
                chosen.Add(task.Id);
        if (selection.WithUpstream)
            foreach (var task in dag.Tasks.Reverse().Where(task => chosen.Contains(task.Id)))
                chosen.UnionWith(task.Needs);
        if (selection.OnlyFailed)
            chosen.IntersectWith(tasks.Where(task => task.State is TaskState.Failed or TaskState.UpstreamFailed).Select(task => task.TaskId));
        return chosen;
    }

    private static bool HasTwins(string conf)
    {
        try
        {
            using var document = JsonDocument.Parse(conf, new JsonDocumentOptions { AllowDuplicateProperties = false });
            return false;
        }
        catch (JsonException)
        {
            return true;
        }
    }

    [GeneratedRegex(@"\A[A-Za-z0-9_.~:+-]{1,250}\z", RegexOptions.CultureInvariant)]
    private static partial Regex RunIdForm();
}
