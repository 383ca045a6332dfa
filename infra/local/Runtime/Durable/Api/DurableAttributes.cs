namespace FunctionsRegistry.LocalRuntime;

/// <summary>Base of the attributes that bring something in beside the trigger.</summary>
[AttributeUsage(AttributeTargets.Parameter)]
public abstract class InputBindingAttribute : BindingAttribute;

/// <summary>The function is an orchestrator; its parameter is a <see cref="TaskOrchestrationContext"/>.</summary>
[AttributeUsage(AttributeTargets.Parameter)]
public sealed class OrchestrationTriggerAttribute : TriggerBindingAttribute
{
    /// <summary>Another name than the function's; the embedded runtime refuses it.</summary>
    public string? Orchestration { get; set; }
}

/// <summary>The function is an activity; its parameter is the input.</summary>
[AttributeUsage(AttributeTargets.Parameter)]
public sealed class ActivityTriggerAttribute : TriggerBindingAttribute
{
    /// <summary>Another name than the function's; the embedded runtime refuses it.</summary>
    public string? Activity { get; set; }
}

/// <summary>The parameter is a <see cref="DurableTaskClient"/>.</summary>
public sealed class DurableClientAttribute : InputBindingAttribute
{
    /// <summary>Another hub; the embedded runtime has one per database.</summary>
    public string? TaskHub { get; set; }

    /// <summary>Where the hub is in Azure; the embedded runtime's is in the app's database.</summary>
    public string? ConnectionName { get; set; }
}
