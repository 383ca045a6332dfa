using System.Text.Json.Nodes;

namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>A history as the management API shows it: what ends a task also tells when the task was scheduled.</summary>
internal static class HistoryView
{
    public static JsonArray Of(OrchestrationMetadata instance, IReadOnlyList<HistoryEvent> history, bool showInput, bool showOutput)
    {
        var scheduled = history.Where(entry => entry.IsAction).ToDictionary(entry => entry.Task);
        var ended = history.Where(entry => entry.IsResult).Select(entry => entry.Task).ToHashSet();
        var view = new JsonArray();
        foreach (var entry in history)
            if (!entry.IsAction || !ended.Contains(entry.Task))
                view.Add(One(instance, entry, scheduled.GetValueOrDefault(entry.Task), showInput, showOutput));
        return view;
    }

    private static JsonObject One(OrchestrationMetadata instance, HistoryEvent entry, HistoryEvent? scheduled, bool showInput, bool showOutput)
    {
        var one = new JsonObject { ["EventType"] = TypeName(entry.Kind), ["Timestamp"] = entry.At };
        switch (entry.Kind)
        {
            case EventKind.Started:
                one["FunctionName"] = instance.Name;
                if (showInput)
                    one["Input"] = ManagementApi.Node(instance.SerializedInput);
                break;
            case EventKind.TaskScheduled or EventKind.SubCreated:
                one["FunctionName"] = entry.Name;
                if (entry.Target is not null)
                    one["InstanceId"] = entry.Target;
                if (showInput)
                    one["Input"] = ManagementApi.Node(entry.Payload);
                break;
            case EventKind.TaskCompleted or EventKind.SubCompleted or EventKind.TaskFailed or EventKind.SubFailed:
                one["FunctionName"] = scheduled?.Name ?? entry.Name;
                one["ScheduledTime"] = scheduled?.At;
                if (scheduled?.Target is not null)
                    one["InstanceId"] = scheduled.Target;
                AddOutcome(one, entry, entry.Kind is EventKind.TaskFailed or EventKind.SubFailed, showOutput);
                break;
            case EventKind.TimerCreated:
                one["FireAt"] = entry.DueAt;
                break;
            case EventKind.TimerFired:
                one["FireAt"] = entry.DueAt;
                one["ScheduledTime"] = scheduled?.At;
                break;
            case EventKind.EventSent or EventKind.EventRaised:
                one["Name"] = entry.Name;
                if (entry.Target is not null)
                    one["InstanceId"] = entry.Target;
                if (showInput)
                    one["Input"] = ManagementApi.Node(entry.Payload);
                break;
            case EventKind.Suspended or EventKind.Resumed:
                one["Reason"] = ManagementApi.Node(entry.Payload);
                break;
            case EventKind.Ended:
                one["OrchestrationStatus"] = entry.Name;
                AddOutcome(one, entry, entry.Name == nameof(OrchestrationRuntimeStatus.Failed), showOutput);
                break;
        }
        return one;
    }

    private static void AddOutcome(JsonObject one, HistoryEvent entry, bool isFailure, bool showOutput)
    {
        if (isFailure && Payload.Read<TaskFailureDetails>(entry.Payload) is { } failure)
        {
            one["Reason"] = failure.ErrorMessage;
            one["Details"] = failure.ErrorType;
        }
        else if (showOutput)
        {
            one["Result"] = ManagementApi.Node(entry.Payload);
        }
    }

    private static string TypeName(EventKind kind) => kind switch
    {
        EventKind.Started => "ExecutionStarted",
        EventKind.SubCreated => "SubOrchestrationInstanceCreated",
        EventKind.SubCompleted => "SubOrchestrationInstanceCompleted",
        EventKind.SubFailed => "SubOrchestrationInstanceFailed",
        EventKind.Suspended => "ExecutionSuspended",
        EventKind.Resumed => "ExecutionResumed",
        EventKind.Terminated => "ExecutionTerminated",
        EventKind.Ended => "ExecutionCompleted",
        EventKind.Broken => "GenericEvent",
        _ => kind.ToString(),
    };
}
