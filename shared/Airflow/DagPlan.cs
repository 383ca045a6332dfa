namespace FunctionsRegistry.Airflow;

/// <summary>A task as far as the plan cares.</summary>
/// <param name="Needs">Ids of the tasks before it.</param>
/// <param name="IsBranch">Its success names those of the tasks directly after it that may run.</param>
public sealed record PlannedTask(string Id, IReadOnlyList<string> Needs, TriggerRule Rule, bool IsBranch);

/// <summary>A task that ends without running.</summary>
public sealed record SettledTask(string Id, TaskState State);

/// <summary>What is to be done next.</summary>
/// <param name="Ready">Tasks to start.</param>
/// <param name="Settled">Tasks that will never run, with what became of them.</param>
/// <param name="Result">Set once every task has ended.</param>
public sealed record DagStep(IReadOnlyList<string> Ready, IReadOnlyList<SettledTask> Settled, RunState? Result);

/// <summary>
/// Decides what is ready next. Pure, and confluent: what becomes of every task follows from how the executed ones ended, never from the order in which
/// they did. Trigger rules are Airflow's; as there, the run fails when a leaf does.
/// </summary>
public static class DagPlan
{
    private enum Verdict
    {
        Wait,
        Run,
        Skip,
        UpstreamFailed,
    }

    /// <summary>The next step.</summary>
    /// <param name="tasks">In an order in which every task comes after what it needs.</param>
    /// <param name="states">Every task's state.</param>
    /// <param name="choices">For branch tasks that succeeded: the ids chosen.</param>
    public static DagStep Next(
        IReadOnlyList<PlannedTask> tasks, IReadOnlyDictionary<string, TaskState> states, IReadOnlyDictionary<string, IReadOnlyList<string>> choices)
    {
        var now = new Dictionary<string, TaskState>(states);
        var ready = new List<string>();
        var settled = new List<SettledTask>();
        var branches = tasks.Where(task => task.IsBranch).Select(task => task.Id).ToHashSet();
        var reachable = new Lazy<Dictionary<string, HashSet<string>>>(() => Descendants(tasks));
        foreach (var task in tasks)
        {
            if (now[task.Id] != TaskState.None)
                continue;
            var verdict = JudgeBranches(task, branches, now, choices, reachable) ?? Judge(task.Rule, task.Needs.Select(need => now[need]));
            if (verdict == Verdict.Run)
            {
                ready.Add(task.Id);
            }
            else if (verdict != Verdict.Wait)
            {
                // One pass is enough: tasks that need this one come later.
                now[task.Id] = verdict == Verdict.Skip ? TaskState.Skipped : TaskState.UpstreamFailed;
                settled.Add(new SettledTask(task.Id, now[task.Id]));
            }
        }
        return new DagStep(ready, settled, now.Values.All(state => state.IsFinal()) ? Result(tasks, now) : null);
    }

    // A task after a branch waits for it whatever its own rule, because the branch may pass it by.
    private static Verdict? JudgeBranches(
        PlannedTask task, HashSet<string> branches, Dictionary<string, TaskState> states,
        IReadOnlyDictionary<string, IReadOnlyList<string>> choices, Lazy<Dictionary<string, HashSet<string>>> reachable)
    {
        Verdict? verdict = null;
        foreach (var need in task.Needs.Where(branches.Contains))
        {
            if (!states[need].IsFinal())
                verdict ??= Verdict.Wait;
            // A join after the chosen task is not passed by, even though the branch leads to it directly, too.
            else if (states[need] == TaskState.Success && !choices.GetValueOrDefault(need, [])
                .Any(id => id == task.Id || (reachable.Value.TryGetValue(id, out var after) && after.Contains(task.Id))))
                return Verdict.Skip;
        }
        return verdict;
    }

    private static Verdict Judge(TriggerRule rule, IEnumerable<TaskState> needs)
    {
        int total = 0, open = 0, success = 0, failed = 0, skipped = 0;
        foreach (var state in needs)
        {
            total++;
            if (state == TaskState.Success)
                success++;
            else if (state is TaskState.Failed or TaskState.UpstreamFailed)
                failed++;
            else if (state == TaskState.Skipped)
                skipped++;
            else
                open++;
        }
        if (total == 0)
            return Verdict.Run;
        return rule switch
        {
            TriggerRule.AllSuccess => failed > 0 ? Verdict.UpstreamFailed : open > 0 ? Verdict.Wait : skipped > 0 ? Verdict.Skip : Verdict.Run,
            TriggerRule.AllDone => open > 0 ? Verdict.Wait : Verdict.Run,
            TriggerRule.AllFailed => success + skipped > 0 ? Verdict.Skip : open > 0 ? Verdict.Wait : Verdict.Run,
            TriggerRule.OneSuccess => success > 0 ? Verdict.Run : open > 0 ? Verdict.Wait : failed > 0 ? Verdict.UpstreamFailed : Verdict.Skip,
            TriggerRule.OneFailed => failed > 0 ? Verdict.Run : open > 0 ? Verdict.Wait : Verdict.Skip,
            TriggerRule.NoneFailed => failed > 0 ? Verdict.UpstreamFailed : open > 0 ? Verdict.Wait : Verdict.Run,
            _ => throw new ArgumentOutOfRangeException(nameof(rule), rule, null),
        };
    }

    private static RunState Result(IReadOnlyList<PlannedTask> tasks, Dictionary<string, TaskState> states)
    {
        var needed = tasks.SelectMany(task => task.Needs).ToHashSet();
        return tasks.Any(task => !needed.Contains(task.Id) && states[task.Id] is TaskState.Failed or TaskState.UpstreamFailed) ? RunState.Failed : RunState.Success;
    }

    private static Dictionary<string, HashSet<string>> Descendants(IReadOnlyList<PlannedTask> tasks)
    {
        var after = tasks.ToDictionary(task => task.Id, _ => new HashSet<string>());
        foreach (var task in tasks.Reverse())
            foreach (var need in task.Needs)
            {
                after[need].Add(task.Id);
                after[need].UnionWith(after[task.Id]);
            }
        return after;
    }
}
