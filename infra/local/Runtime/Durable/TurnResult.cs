namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>What a turn wants stored.</summary>
/// <param name="NewEvents">What was taken in, then what the orchestrator did.</param>
/// <param name="Status">Afterwards.</param>
internal sealed record TurnResult(List<HistoryEvent> NewEvents, OrchestrationRuntimeStatus Status)
{
    /// <summary>JSON, when it completed or was terminated.</summary>
    public string? Output { get; init; }

    /// <summary>When it failed.</summary>
    public TaskFailureDetails? Failure { get; init; }

    /// <summary>JSON; null when the turn set none.</summary>
    public (string? Json, bool IsSet) CustomStatus { get; init; }

    /// <summary>Timers that need not fire.</summary>
    public IReadOnlyList<int> CancelledTimers { get; init; } = [];

    /// <summary>When it starts over.</summary>
    public NewExecution? ContinuesAs { get; init; }

    /// <summary>Whether its sub-orchestrations end, too.</summary>
    public bool EndsChildren { get; init; }

    /// <summary>Whether tasks may still be running.</summary>
    public bool HasOpenTasks { get; init; }
}

/// <summary>The execution after ContinueAsNew.</summary>
/// <param name="Input">JSON.</param>
/// <param name="Events">Name and payload of events that nobody waited for.</param>
internal sealed record NewExecution(string? Input, IReadOnlyList<(string Name, string? Payload)> Events);
