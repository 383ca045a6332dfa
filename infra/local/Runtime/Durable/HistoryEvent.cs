namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>What happened to an instance, or what it did. Stored as numbers; results must stay those that the index history_one_result names.</summary>
internal enum EventKind : short
{
    Started = 0,
    TaskScheduled = 1,
    TaskCompleted = 2,
    TaskFailed = 3,
    TimerCreated = 4,
    TimerFired = 5,
    SubCreated = 6,
    SubCompleted = 7,
    SubFailed = 8,
    EventSent = 9,
    EventRaised = 10,
    Suspended = 11,
    Resumed = 12,
    Terminated = 13,

    /// <summary>The orchestrator was seen to break the rules after its turn.</summary>
    Broken = 14,
    Ended = 15,
}

/// <summary>One entry of a history.</summary>
/// <param name="Turn">Counts from 0; all events of a turn have one time.</param>
/// <param name="Task">The task's number where the event belongs to one, otherwise -1.</param>
/// <param name="Name">Of the activity, orchestrator or event; of the final status.</param>
/// <param name="Target">The other instance.</param>
/// <param name="Payload">JSON: input, result, failure, output; or the reason as text.</param>
/// <param name="DueAt">When a timer fires.</param>
/// <param name="At">UTC.</param>
internal sealed record HistoryEvent(int Turn, EventKind Kind, int Task, string? Name, string? Target, string? Payload, DateTime? DueAt, DateTime At)
{
    /// <summary>Whether the orchestrator did it, rather than being told.</summary>
    public bool IsAction => Kind is EventKind.TaskScheduled or EventKind.TimerCreated or EventKind.SubCreated or EventKind.EventSent;

    /// <summary>Whether it ends a task.</summary>
    public bool IsResult => IsResultKind(Kind);

    public static bool IsResultKind(EventKind kind) =>
        kind is EventKind.TaskCompleted or EventKind.TaskFailed or EventKind.TimerFired or EventKind.SubCompleted or EventKind.SubFailed;

    /// <summary>For people.</summary>
    public string Describe() => Kind switch
    {
        EventKind.TaskScheduled or EventKind.TaskCompleted or EventKind.TaskFailed => $"activity '{Name}' (#{Task})",
        EventKind.TimerCreated or EventKind.TimerFired => $"a timer (#{Task})",
        EventKind.SubCreated or EventKind.SubCompleted or EventKind.SubFailed => $"sub-orchestration '{Name}' (#{Task})",
        EventKind.EventSent => $"an event '{Name}' to '{Target}' (#{Task})",
        _ => Kind.ToString(),
    };
}

/// <summary>Something that an instance has not worked on yet.</summary>
/// <param name="Execution">The execution it is for; any when null.</param>
internal sealed record Message(long Id, Guid? Execution, EventKind Kind, int Task, string? Name, string? Payload, DateTime DueAt);

/// <summary>Who waits for a sub-orchestration.</summary>
internal sealed record ParentTask(string InstanceId, string Name, Guid Execution, int Task);

/// <summary>An instance as a turn needs it.</summary>
internal sealed record Instance(
    string Id, Guid Execution, string Name, OrchestrationRuntimeStatus Status, int Turns, int Attempts, string? Input, ParentTask? Parent, DateTime CreatedAt)
{
    public bool IsOver => IsOverStatus(Status);

    public static bool IsOverStatus(OrchestrationRuntimeStatus status) => s_over.Contains((short)status);

    /// <summary>Completed, Failed, Canceled, Terminated.</summary>
    public static short[] OverStatuses => [.. s_over];

    private static readonly short[] s_over = [1, 3, 4, 5];
}
