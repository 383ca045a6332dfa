namespace FunctionsRegistry.Airflow;

/// <summary>A number of tasks that may run at once.</summary>
/// <param name="Slots">-1: no limit.</param>
/// <param name="Running">Tasks that hold a slot.</param>
/// <param name="Queued">Tasks that wait for one.</param>
/// <param name="Deferred">Tasks that wait for a time; they hold no slot.</param>
public sealed record Pool(string Name, int Slots, string? Description, int Running, int Queued, int Deferred)
{
    /// <summary>Where tasks are that name no pool; cannot be deleted.</summary>
    public const string DefaultName = "default_pool";
}
