using System.Text.Json.Nodes;

namespace FunctionsRegistry.Airflow;

/// <summary>One task of a DAG.</summary>
/// <param name="Needs">Ids of the tasks before it.</param>
/// <param name="Operator">What it does: the name of an operator.</param>
/// <param name="Params">The operator's parameters, templates not yet filled.</param>
/// <param name="Retries">Tries after the first.</param>
/// <param name="RetryDelaySeconds">Before the first retry.</param>
/// <param name="RetryBackoff">Every further delay is this many times the one before; 1 keeps it.</param>
/// <param name="MaxRetryDelaySeconds">No delay is longer.</param>
/// <param name="TimeoutSeconds">One try may take this long.</param>
/// <param name="Pool">Counts against this pool's slots while it runs.</param>
public sealed record TaskDefinition(
    string Id, IReadOnlyList<string> Needs, string Operator, JsonObject Params, int Retries, double RetryDelaySeconds, double RetryBackoff,
    double MaxRetryDelaySeconds, TriggerRule TriggerRule, double TimeoutSeconds, string Pool);

/// <summary>One DAG as its file says, checked.</summary>
/// <param name="FileName">Without folder.</param>
/// <param name="Source">The file's text.</param>
/// <param name="Version">SHA-256 of the text, hex. A run keeps the version that it was started with.</param>
/// <param name="Params">Defaults of <c>${params.x}</c>; a run's conf overrides them by name.</param>
/// <param name="Tasks">In an order in which every task comes after what it needs.</param>
public sealed record DagDefinition(
    string Id, string Description, string FileName, string Source, string Version, IReadOnlyList<string> Owners, IReadOnlyList<string> Tags,
    CronSchedule? Schedule, int MaxActiveRuns, JsonObject Params, IReadOnlyList<TaskDefinition> Tasks)
{
    /// <summary>A task by id, or null.</summary>
    public TaskDefinition? FindTask(string id) => Tasks.FirstOrDefault(task => task.Id == id);

    /// <summary>Ids of the tasks directly after one.</summary>
    public IEnumerable<string> Downstream(string id) => Tasks.Where(task => task.Needs.Contains(id)).Select(task => task.Id);
}

/// <summary>What is wrong in a DAG file; <paramref name="Line"/> counts from 1.</summary>
public sealed record DagFault(string FileName, long Line, string Reason)
{
    /// <inheritdoc/>
    public override string ToString() => $"{FileName}:{Line}: {Reason}";
}

/// <summary>DAG files that cannot be used; all faults of all files at once.</summary>
public sealed class DagFileException(IReadOnlyList<DagFault> faults) : Exception(string.Join(Environment.NewLine, faults))
{
    /// <summary>In the order of the files and lines.</summary>
    public IReadOnlyList<DagFault> Faults => faults;
}
