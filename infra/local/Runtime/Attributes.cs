namespace FunctionsRegistry.LocalRuntime;

/// <summary>Base of everything that binds a parameter.</summary>
[AttributeUsage(AttributeTargets.Method)]
public abstract class BindingAttribute : Attribute;

/// <summary>Base of the attributes that make a parameter a trigger.</summary>
[AttributeUsage(AttributeTargets.Parameter)]
public abstract class TriggerBindingAttribute : BindingAttribute;

/// <summary>The key a caller would need in Azure; as with Core Tools, not enforced locally.</summary>
public enum AuthorizationLevel
{
    /// <summary>No key.</summary>
    Anonymous = 0,

    /// <summary>A signed-in user.</summary>
    User = 1,

    /// <summary>A function key.</summary>
    Function = 2,

    /// <summary>A system key.</summary>
    System = 3,

    /// <summary>The master key.</summary>
    Admin = 4,
}

/// <summary>The function answers HTTP requests whose path matches <see cref="Route"/> and whose method is listed; no list means every method.</summary>
public sealed class HttpTriggerAttribute : TriggerBindingAttribute
{
    /// <summary>Every method, function key.</summary>
    public HttpTriggerAttribute() => AuthLevel = AuthorizationLevel.Function;

    /// <summary>Every method.</summary>
    public HttpTriggerAttribute(AuthorizationLevel authLevel) => AuthLevel = authLevel;

    /// <summary>These methods only.</summary>
    public HttpTriggerAttribute(AuthorizationLevel authLevel, params string[] methods) => (AuthLevel, Methods) = (authLevel, methods);

    /// <summary>These methods only, function key.</summary>
    public HttpTriggerAttribute(params string[] methods) => (AuthLevel, Methods) = (AuthorizationLevel.Function, methods);

    /// <summary>The key needed in Azure.</summary>
    public AuthorizationLevel AuthLevel { get; }

    /// <summary>The methods, or null for all.</summary>
    public string[]? Methods { get; }

    /// <summary>A route template without the prefix; the function's name when null.</summary>
    public string? Route { get; set; }
}

/// <summary>The function runs on a schedule: six-field NCRONTAB, a time span, or %setting% that holds one.</summary>
public sealed class TimerTriggerAttribute(string schedule) : TriggerBindingAttribute
{
    /// <summary>The schedule's text.</summary>
    public string Schedule { get; } = schedule;

    /// <summary>Also once when the app starts.</summary>
    public bool RunOnStartup { get; set; }

    /// <summary>In Azure: keep the schedule's state in storage. The local runtime keeps none.</summary>
    public bool UseMonitor { get; set; }
}

/// <summary>What a timer function is told.</summary>
public class TimerInfo
{
    /// <summary>When it ran and will run.</summary>
    public ScheduleStatus? ScheduleStatus { get; set; }

    /// <summary>Whether this run is late.</summary>
    public bool IsPastDue { get; set; }
}

/// <summary>Times in UTC.</summary>
public class ScheduleStatus
{
    /// <summary>The run before this one.</summary>
    public DateTime Last { get; set; }

    /// <summary>The run after this one.</summary>
    public DateTime Next { get; set; }

    /// <summary>When this was written.</summary>
    public DateTime LastUpdated { get; set; }
}
