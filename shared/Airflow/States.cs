using System.Collections.Frozen;

namespace FunctionsRegistry.Airflow;

/// <summary>A task's state in one run. The numbers are in durable histories: never change one.</summary>
public enum TaskState
{
    /// <summary>Its turn has not come.</summary>
    None = 0,

    /// <summary>Its turn has come, but its pool is full.</summary>
    Queued = 1,

    /// <summary>A worker executes it.</summary>
    Running = 2,

    /// <summary>It waits for a time without holding a worker.</summary>
    Deferred = 3,

    /// <summary>The last try failed and another follows.</summary>
    UpForRetry = 4,

    /// <summary>Ended well.</summary>
    Success = 5,

    /// <summary>Ended with an error, no try left.</summary>
    Failed = 6,

    /// <summary>Never ran, because what it needs failed.</summary>
    UpstreamFailed = 7,

    /// <summary>Never ran, because a branch or a trigger rule passed it by.</summary>
    Skipped = 8,
}

/// <summary>A run's state.</summary>
public enum RunState
{
    /// <summary>Waits for one of the DAG's <c>max_active_runs</c>.</summary>
    Queued,

    /// <summary>Its tasks are being executed.</summary>
    Running,

    /// <summary>No leaf task failed.</summary>
    Success,

    /// <summary>A leaf task failed, or somebody stopped the run.</summary>
    Failed,
}

/// <summary>When a task may start, judged by what it needs. The numbers are in durable histories.</summary>
public enum TriggerRule
{
    /// <summary>All succeeded.</summary>
    AllSuccess = 0,

    /// <summary>All ended, however.</summary>
    AllDone = 1,

    /// <summary>All failed.</summary>
    AllFailed = 2,

    /// <summary>One succeeded; the others need not have ended.</summary>
    OneSuccess = 3,

    /// <summary>One failed; the others need not have ended.</summary>
    OneFailed = 4,

    /// <summary>All ended and none failed.</summary>
    NoneFailed = 5,
}

/// <summary>The states' names on the wire, in rows and in YAML: Airflow's.</summary>
public static class StateNames
{
    private static readonly string[] s_tasks = ["none", "queued", "running", "deferred", "up_for_retry", "success", "failed", "upstream_failed", "skipped"];
    private static readonly string[] s_runs = ["queued", "running", "success", "failed"];
    private static readonly string[] s_rules = ["all_success", "all_done", "all_failed", "one_success", "one_failed", "none_failed"];
    private static readonly FrozenDictionary<string, TaskState> s_tasksByName = Enum.GetValues<TaskState>().ToFrozenDictionary(state => state.Name());
    private static readonly FrozenDictionary<string, RunState> s_runsByName = Enum.GetValues<RunState>().ToFrozenDictionary(state => state.Name());
    private static readonly FrozenDictionary<string, TriggerRule> s_rulesByName = Enum.GetValues<TriggerRule>().ToFrozenDictionary(rule => rule.Name());

    /// <summary>All task states.</summary>
    public static IReadOnlyList<string> Tasks => s_tasks;

    /// <summary>All run states.</summary>
    public static IReadOnlyList<string> Runs => s_runs;

    /// <summary>All trigger rules.</summary>
    public static IReadOnlyList<string> Rules => s_rules;

    /// <summary>The name of a task state.</summary>
    public static string Name(this TaskState state) => s_tasks[(int)state];

    /// <summary>The name of a run state.</summary>
    public static string Name(this RunState state) => s_runs[(int)state];

    /// <summary>The name of a trigger rule.</summary>
    public static string Name(this TriggerRule rule) => s_rules[(int)rule];

    /// <summary>Reads a task state's name.</summary>
    public static bool TryTask(string name, out TaskState state) => s_tasksByName.TryGetValue(name, out state);

    /// <summary>Reads a run state's name.</summary>
    public static bool TryRun(string name, out RunState state) => s_runsByName.TryGetValue(name, out state);

    /// <summary>Reads a trigger rule's name.</summary>
    public static bool TryRule(string name, out TriggerRule rule) => s_rulesByName.TryGetValue(name, out rule);

    /// <summary>Whether a task in this state has ended.</summary>
    public static bool IsFinal(this TaskState state) => state >= TaskState.Success;

    /// <summary>Whether a run in this state has ended.</summary>
    public static bool IsFinal(this RunState state) => state >= RunState.Success;
}
