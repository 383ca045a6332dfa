using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.Airflow;

namespace FunctionsRegistry.Tests.Airflow;

/// <summary>DagPlan beside a model that tries every way in which the open tasks could still end.</summary>
public sealed class DagPlanTests
{
    private static readonly TaskState[] s_final = [TaskState.Success, TaskState.Failed, TaskState.UpstreamFailed, TaskState.Skipped];

    /// <summary>A graph, how each task ends if it runs, what each branch chooses, and the order in which running tasks end.</summary>
    private sealed record Story(PlannedTask[] Tasks, Dictionary<string, bool> Succeeds, Dictionary<string, IReadOnlyList<string>> Choices, int Seed)
    {
        public override string ToString() => string.Join("; ", Tasks.Select(task =>
            $"{task.Id}{(task.IsBranch ? "*" : "")} after [{string.Join(' ', task.Needs)}] {task.Rule}, {(Succeeds[task.Id] ? "ok" : "fails")}"
            + (Choices.TryGetValue(task.Id, out var chosen) ? $", chooses [{string.Join(' ', chosen)}]" : ""))) + $"; seed {Seed}";
    }

    private static readonly Gen<Story> s_stories =
        from count in Gen.Choose(1, 9)
        from seed in Gen.Choose(0, int.MaxValue - 1)
        select MakeStory(count, seed);

    [Fact]
    public void A_task_is_decided_exactly_when_every_way_to_end_leads_to_the_same() =>
        Check(story => Run(story, story.Seed, (states, step) =>
        {
            foreach (var task in story.Tasks.Where(task => states[task.Id] == TaskState.None))
            {
                var expected = Model(story, task, Settle(states, step));
                var actual = step.Ready.Contains(task.Id) ? TaskState.Running : step.Settled.FirstOrDefault(one => one.Id == task.Id)?.State;
                actual.ShouldBe(expected, $"{task.Id} in {story} with {string.Join(", ", states)}");
            }
        }));

    [Fact]
    public void The_order_in_which_tasks_end_changes_nothing() =>
        Check(story =>
        {
            var first = Run(story, story.Seed, null);
            for (var other = 1; other <= 5; other++)
            {
                var second = Run(story, story.Seed + other, null);
                second.States.ShouldBe(first.States, ignoreOrder: true);
                second.Result.ShouldBe(first.Result);
            }
        });

    [Fact]
    public void Every_run_ends_and_fails_exactly_when_a_leaf_does() =>
        Check(story =>
        {
            var (states, result) = Run(story, story.Seed, null);
            states.Values.ShouldAllBe(state => state.IsFinal());
            var leaves = story.Tasks.Where(task => !story.Tasks.Any(other => other.Needs.Contains(task.Id)));
            result.ShouldBe(leaves.Any(leaf => states[leaf.Id] is TaskState.Failed or TaskState.UpstreamFailed) ? RunState.Failed : RunState.Success);
        });

    [Fact]
    public void A_plan_that_is_asked_again_says_the_same_and_starts_nothing_twice() =>
        Check(story => Run(story, story.Seed, (states, step) =>
        {
            var again = DagPlan.Next(story.Tasks, states, story.Choices);
            again.Ready.ShouldBe(step.Ready);
            again.Settled.ShouldBe(step.Settled);
            foreach (var id in step.Ready)
                states[id].ShouldBe(TaskState.None);
        }));

    [Fact]
    public void What_a_branch_does_not_choose_is_skipped_but_not_the_join_behind_the_chosen()
    {
        PlannedTask[] tasks =
        [
            new("b", [], TriggerRule.AllSuccess, true),
            new("left", ["b"], TriggerRule.AllSuccess, false),
            new("right", ["b"], TriggerRule.AllSuccess, false),
            new("join", ["b", "left", "right"], TriggerRule.NoneFailed, false),
        ];
        var states = tasks.ToDictionary(task => task.Id, _ => TaskState.None);
        states["b"] = TaskState.Success;
        var choices = new Dictionary<string, IReadOnlyList<string>> { ["b"] = ["left"] };

        var step = DagPlan.Next(tasks, states, choices);
        step.Ready.ShouldBe(["left"]);
        step.Settled.ShouldBe([new SettledTask("right", TaskState.Skipped)]);

        states["right"] = TaskState.Skipped;
        states["left"] = TaskState.Success;
        DagPlan.Next(tasks, states, choices).Ready.ShouldBe(["join"]);
    }

    [Fact]
    public void A_failure_runs_through_everything_behind_it_in_one_step()
    {
        PlannedTask[] tasks = [.. Enumerable.Range(0, 50).Select(i => new PlannedTask($"t{i}", i == 0 ? [] : [$"t{i - 1}"], TriggerRule.AllSuccess, false))];
        var states = tasks.ToDictionary(task => task.Id, _ => TaskState.None);
        states["t0"] = TaskState.Failed;

        var step = DagPlan.Next(tasks, states, new Dictionary<string, IReadOnlyList<string>>());
        step.Settled.Count.ShouldBe(49);
        step.Result.ShouldBe(RunState.Failed);
    }

    private static void Check(Action<Story> property) => Prop.ForAll(Arb.From(s_stories), property).Check(Config.QuickThrowOnFailure.WithMaxTest(400));

    private static (Dictionary<string, TaskState> States, RunState? Result) Run(Story story, int seed, Action<Dictionary<string, TaskState>, DagStep>? look)
    {
        var random = new Random(seed);
        var states = story.Tasks.ToDictionary(task => task.Id, _ => TaskState.None);
        while (true)
        {
            var step = DagPlan.Next(story.Tasks, states, story.Choices);
            look?.Invoke(states, step);
            states = Settle(states, step);
            foreach (var id in step.Ready)
                states[id] = TaskState.Running;
            var running = states.Where(pair => pair.Value == TaskState.Running).Select(pair => pair.Key).ToArray();
            if (running.Length == 0)
                return (states, DagPlan.Next(story.Tasks, states, story.Choices).Result);
            var ended = running[random.Next(running.Length)];
            states[ended] = story.Succeeds[ended] ? TaskState.Success : TaskState.Failed;
        }
    }

    private static Dictionary<string, TaskState> Settle(Dictionary<string, TaskState> states, DagStep step)
    {
        var after = new Dictionary<string, TaskState>(states);
        foreach (var (id, state) in step.Settled)
            after[id] = state;
        return after;
    }

    // Null: not decided. Otherwise what every way to end leads to; Running stands for "may start". Those rules that need not wait for all say so themselves.
    private static TaskState? Model(Story story, PlannedTask task, Dictionary<string, TaskState> settled)
    {
        var states = new Dictionary<string, TaskState>(settled) { [task.Id] = TaskState.None };
        var branches = task.Needs.Where(need => story.Tasks.Single(other => other.Id == need).IsBranch).ToArray();
        if (branches.Any(branch => states[branch] == TaskState.Success && !IsChosen(story, branch, task.Id)))
            return TaskState.Skipped;
        if (branches.Any(branch => !states[branch].IsFinal()))
            return null;
        var open = task.Needs.Where(need => !states[need].IsFinal()).ToArray();
        var worlds = Enumerable.Range(0, (int)Math.Pow(s_final.Length, open.Length)).Select(number =>
        {
            var world = task.Needs.Where(need => states[need].IsFinal()).Select(need => states[need]).ToList();
            for (var i = 0; i < open.Length; i++, number /= s_final.Length)
                world.Add(s_final[number % s_final.Length]);
            return Verdict(task.Rule, world);
        }).Distinct().ToArray();
        if (worlds.Length > 1)
            return null;
        // What certainly runs still waits for its needs, unless one of them is enough.
        return worlds[0] == TaskState.Running && open.Length > 0 && task.Rule is not (TriggerRule.OneSuccess or TriggerRule.OneFailed) ? null : worlds[0];
    }

    private static TaskState Verdict(TriggerRule rule, List<TaskState> ended)
    {
        var failed = ended.Count(state => state is TaskState.Failed or TaskState.UpstreamFailed);
        var success = ended.Count(state => state == TaskState.Success);
        if (ended.Count == 0)
            return TaskState.Running;
        return rule switch
        {
            TriggerRule.AllSuccess when success == ended.Count => TaskState.Running,
            TriggerRule.AllSuccess or TriggerRule.NoneFailed when failed > 0 => TaskState.UpstreamFailed,
            TriggerRule.AllSuccess => TaskState.Skipped,
            TriggerRule.NoneFailed or TriggerRule.AllDone => TaskState.Running,
            TriggerRule.AllFailed => failed == ended.Count ? TaskState.Running : TaskState.Skipped,
            TriggerRule.OneFailed => failed > 0 ? TaskState.Running : TaskState.Skipped,
            _ => success > 0 ? TaskState.Running : failed > 0 ? TaskState.UpstreamFailed : TaskState.Skipped,
        };
    }

    private static bool IsChosen(Story story, string branch, string id) =>
        story.Choices.GetValueOrDefault(branch, []).Any(chosen => chosen == id || LeadsTo(story, chosen, id));

    private static bool LeadsTo(Story story, string from, string to) =>
        story.Tasks.Where(task => task.Needs.Contains(from)).Any(task => task.Id == to || LeadsTo(story, task.Id, to));

    private static Story MakeStory(int count, int seed)
    {
        var random = new Random(seed);
        var tasks = new PlannedTask[count];
        for (var i = 0; i < count; i++)
        {
            var needs = Enumerable.Range(0, i).Where(_ => random.NextDouble() < 0.4).Take(4).Select(j => $"t{j}").ToArray();
            tasks[i] = new PlannedTask($"t{i}", needs, (TriggerRule)random.Next(6), random.NextDouble() < 0.25);
        }
        return new Story(
            tasks,
            tasks.ToDictionary(task => task.Id, _ => random.NextDouble() < 0.7),
            tasks.Where(task => task.IsBranch).ToDictionary(task => task.Id, task => (IReadOnlyList<string>)[.. tasks
                .Where(other => other.Needs.Contains(task.Id) && random.Next(2) == 0).Select(other => other.Id)]),
            random.Next());
    }
}
