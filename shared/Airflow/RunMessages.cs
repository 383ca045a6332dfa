using System.Text.Json.Serialization;

namespace FunctionsRegistry.Airflow;

// What the orchestration and its activities say to each other. These records are in durable histories: only add members, with a default.

/// <summary>One orchestration of one run.</summary>
/// <param name="Generation">Which orchestration of the run: a clear starts the next one.</param>
public sealed record DagRunRef(long RunId, int Generation, string DagId, string Version)
{
    /// <summary>The orchestration's id, always the same for one generation of a run.</summary>
    [JsonIgnore]
    public string InstanceId => $"dag-run-{RunId}-{Generation}";
}

/// <summary>A task as the orchestration finds it.</summary>
/// <param name="Chosen">Of a branch that succeeded.</param>
/// <param name="TryNumber">The last try so far; 0: none.</param>
/// <param name="LastTry">The last try allowed.</param>
public sealed record RunTask(
    string Id, string[] Needs, TriggerRule Rule, bool IsBranch, TaskState State, string[]? Chosen, int TryNumber, int LastTry,
    double RetryDelaySeconds, double RetryBackoff, double MaxRetryDelaySeconds);

/// <summary>A run as the orchestration finds it; empty where the orchestration is not the run's current one.</summary>
public sealed record RunTasks(bool IsCurrent, RunTask[] Tasks);

/// <summary>One try of one task.</summary>
public sealed record TaskTry(DagRunRef Run, string TaskId, int TryNumber);

/// <summary>How a try ended.</summary>
/// <param name="State">
/// Success, Failed, UpForRetry; Deferred until <paramref name="ResumeAt"/> or until the trial is over; Queued: no slot was free; None: the run is not this orchestration's any more.
/// </param>
/// <param name="Chosen">Of a branch.</param>
/// <param name="TrialId">Deferred until this trial is over.</param>
public sealed record TryOutcome(TaskState State, string[]? Chosen = null, DateTime? ResumeAt = null, string? TrialId = null);

/// <summary>Tasks that end without running.</summary>
public sealed record SettledTasks(DagRunRef Run, SettledTask[] Tasks);

/// <summary>The end of a run.</summary>
public sealed record RunEnd(DagRunRef Run, bool IsSuccess);

/// <summary>What became of the attempt to end a run.</summary>
public enum RunEndOutcome
{
    /// <summary>It has ended.</summary>
    Ended = 0,

    /// <summary>The run is not this orchestration's any more.</summary>
    NotCurrent = 1,

    /// <summary>Tasks were cleared meanwhile: go on.</summary>
    NotFinished = 2,
}

/// <summary>How far a run is; the orchestration's custom status.</summary>
public sealed record RunProgress(int Done, int Total);
