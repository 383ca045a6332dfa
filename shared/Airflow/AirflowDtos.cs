using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using FunctionsRegistry.Json;

namespace FunctionsRegistry.Airflow;

/// <summary>
/// One DAG: spec-dean.md's fields, then those of Airflow 2 that clients read. <c>tags</c> and <c>schedule_interval</c> are strings as in the spec, or under
/// <c>/airflow/compat</c> objects as Airflow's own clients want them.
/// </summary>
public sealed record DagResponse(
    string DagId, string Description, string FileToken, string Fileloc, bool IsPaused, bool IsActive, bool IsSubdag, IReadOnlyList<string> Owners,
    JsonNode? ScheduleInterval, JsonArray Tags, string DagDisplayName, string? RootDagId, int MaxActiveRuns, bool HasTaskConcurrencyLimits, bool HasImportErrors,
    string? TimetableDescription, DateTimeOffset? NextDagrun, DateTimeOffset? NextDagrunCreateAfter, DateTimeOffset? NextDagrunDataIntervalStart,
    DateTimeOffset? NextDagrunDataIntervalEnd, DateTimeOffset LastParsedTime);

/// <summary>Spec: GET /api/v1/dags.</summary>
public sealed record DagListResponse(IReadOnlyList<DagResponse> Dags, long TotalEntries);

/// <summary>Airflow: GET /dags/{dag_id}/details, what of it has a meaning here.</summary>
public sealed record DagDetailResponse(
    string DagId, string Description, string FileToken, string Fileloc, bool IsPaused, bool IsActive, bool IsSubdag, IReadOnlyList<string> Owners,
    JsonNode? ScheduleInterval, JsonArray Tags, string DagDisplayName, int MaxActiveRuns, string Timezone, bool Catchup, string Orientation,
    bool IsPausedUponCreation, DateTimeOffset LastParsed, JsonObject Params, IReadOnlyList<string> Tasks);

/// <summary>Airflow: GET /dagSources/{file_token}.</summary>
public sealed record DagSourceResponse(string Content);

/// <summary>
/// One run: spec-dean.md's fields, then Airflow's. <paramref name="InstanceId"/> is ours: the orchestration, for
/// <c>/runtime/webhooks/durabletask/instances/{id}</c>.
/// </summary>
public sealed record DagRunResponse(
    string DagRunId, string DagId, DateTimeOffset LogicalDate, DateTimeOffset ExecutionDate, DateTimeOffset? StartDate, DateTimeOffset? EndDate, string State,
    bool ExternalTrigger, RawJson Conf, string? Note, string RunType, DateTimeOffset DataIntervalStart, DateTimeOffset DataIntervalEnd,
    DateTimeOffset LastSchedulingDecision, string InstanceId);

/// <summary>Spec: GET /api/v1/dags/{dag_id}/dagRuns.</summary>
public sealed record DagRunListResponse(IReadOnlyList<DagRunResponse> DagRuns, long TotalEntries);

/// <summary>One task in one run: spec-dean.md's fields, then Airflow's. <paramref name="Duration"/> in seconds.</summary>
public sealed record TaskInstanceResponse(
    string TaskId, string DagId, string DagRunId, DateTimeOffset ExecutionDate, DateTimeOffset? StartDate, DateTimeOffset? EndDate, double? Duration, string State,
    int TryNumber, int MaxTries, string Operator, string Pool, string Queue, int MapIndex, string TaskDisplayName, int PoolSlots, int PriorityWeight,
    DateTimeOffset? QueuedWhen, string Hostname, string Unixname, int? Pid, string ExecutorConfig, JsonObject RenderedFields, string? Note);

/// <summary>Spec: GET .../taskInstances.</summary>
public sealed record TaskInstanceListResponse(IReadOnlyList<TaskInstanceResponse> TaskInstances, long TotalEntries);

/// <summary>Airflow: which task of which run.</summary>
public sealed record TaskInstanceReference(string TaskId, string DagId, string DagRunId, DateTimeOffset ExecutionDate);

/// <summary>Airflow: what a clear resets, or would.</summary>
public sealed record TaskInstanceReferencesResponse(IReadOnlyList<TaskInstanceReference> TaskInstances);

/// <summary>Airflow: a length of time.</summary>
public sealed record TimeDelta(
    [property: JsonPropertyName("__type")] string Type, int Days, int Seconds, int Microseconds)
{
    /// <summary>From seconds.</summary>
    public static TimeDelta Of(double seconds)
    {
        var span = TimeSpan.FromSeconds(seconds);
        return new TimeDelta("TimeDelta", span.Days, (int)(span - TimeSpan.FromDays(span.Days)).TotalSeconds, span.Milliseconds * 1000 + span.Microseconds);
    }
}

/// <summary>Airflow: the class behind a task; here the operator.</summary>
public sealed record ClassReference(string ModulePath, string ClassName);

/// <summary>Airflow: GET /dags/{dag_id}/tasks/{task_id}.</summary>
public sealed record TaskResponse(
    string TaskId, string TaskDisplayName, string Owner, string OperatorName, ClassReference ClassRef, IReadOnlyList<string> DownstreamTaskIds, string TriggerRule, int Retries,
    TimeDelta RetryDelay, bool RetryExponentialBackoff, TimeDelta ExecutionTimeout, string Pool, int PoolSlots, string Queue, int PriorityWeight,
    string WeightRule, bool DependsOnPast, bool WaitForDownstream, bool IsMapped, string UiColor, string UiFgcolor, IReadOnlyList<string> TemplateFields,
    JsonObject Params);

/// <summary>Airflow: GET /dags/{dag_id}/tasks.</summary>
public sealed record TaskListResponse(IReadOnlyList<TaskResponse> Tasks, int TotalEntries);

/// <summary>Airflow: the log of one try.</summary>
public sealed record TaskLogResponse(string? ContinuationToken, string Content);

/// <summary>Airflow: one pool, with what is in it now.</summary>
public sealed record PoolResponse(
    string Name, int Slots, string? Description, int OccupiedSlots, int RunningSlots, int QueuedSlots, int ScheduledSlots, int DeferredSlots, int OpenSlots,
    bool IncludeDeferred);

/// <summary>Airflow: GET /pools.</summary>
public sealed record PoolListResponse(IReadOnlyList<PoolResponse> Pools, long TotalEntries);

/// <summary>Airflow: one variable.</summary>
public sealed record VariableResponse(string Key, string Value, string? Description);

/// <summary>Airflow: GET /variables.</summary>
public sealed record VariableListResponse(IReadOnlyList<VariableResponse> Variables, long TotalEntries);

/// <summary>A part of the health answer.</summary>
public sealed record AirflowPartHealth(
    string Status, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] DateTimeOffset? LatestSchedulerHeartbeat = null);

/// <summary>Spec: GET /health; metadatabase and scheduler as Airflow has them.</summary>
public sealed record AirflowHealthResponse(
    string Status, string Service, DateTimeOffset Timestamp, long UptimeSeconds, AirflowPartHealth Metadatabase, AirflowPartHealth Scheduler);

/// <summary>Airflow: GET /version.</summary>
public sealed record AirflowVersionResponse(string Version, string? GitVersion);

/// <summary>The original's GET /api/v1/metrics.</summary>
public sealed record AirflowMetricsResponse(
    long DagsCount, long DagsRunning, long DagRunsTotal, long DagRunsSuccessful, long DagRunsFailed, long DagRunsQueued, long DagRunsRunning,
    int ExecutorSlotsAvailable, int ExecutorSlotsUsed);

/// <summary>Serialisation of the Airflow slice's wire records.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, Converters = [typeof(UtcTimeConverter)])]
[JsonSerializable(typeof(DagResponse))]
[JsonSerializable(typeof(DagListResponse))]
[JsonSerializable(typeof(DagDetailResponse))]
[JsonSerializable(typeof(DagSourceResponse))]
[JsonSerializable(typeof(DagRunResponse))]
[JsonSerializable(typeof(DagRunListResponse))]
[JsonSerializable(typeof(TaskInstanceResponse))]
[JsonSerializable(typeof(TaskInstanceListResponse))]
[JsonSerializable(typeof(TaskInstanceReferencesResponse))]
[JsonSerializable(typeof(TaskResponse))]
[JsonSerializable(typeof(TaskListResponse))]
[JsonSerializable(typeof(TaskLogResponse))]
[JsonSerializable(typeof(PoolResponse))]
[JsonSerializable(typeof(PoolListResponse))]
[JsonSerializable(typeof(VariableResponse))]
[JsonSerializable(typeof(VariableListResponse))]
[JsonSerializable(typeof(AirflowHealthResponse))]
[JsonSerializable(typeof(AirflowVersionResponse))]
[JsonSerializable(typeof(AirflowMetricsResponse))]
public sealed partial class AirflowJson : JsonSerializerContext;

/// <summary>Rows as they go over the wire.</summary>
public static class AirflowWire
{
    /// <summary>A DAG; with <paramref name="asObjects"/> tags and schedule are objects.</summary>
    public static DagResponse Of(Dag dag, bool asObjects)
    {
        // A run comes at the end of the interval that it is for.
        var end = dag.NextRunAt;
        var start = end is { } at && dag.Schedule is not null ? CronSchedule.TryParse(dag.Schedule, out _)?.Last(at.AddTicks(-1)) : null;
        return new DagResponse(
            dag.DagId, dag.Description, dag.FileName, $"dags/{dag.FileName}", dag.IsPaused, dag.IsActive, false, dag.Owners, Schedule(dag.Schedule, asObjects),
            Tags(dag.Tags, asObjects), dag.DagId, null, dag.MaxActiveRuns, false, false, dag.Schedule is null ? "Never, external triggers only" : dag.Schedule,
            start, end, start, end, dag.ParsedAt);
    }

    /// <summary>A DAG with its definition.</summary>
    public static DagDetailResponse Of(Dag dag, DagDefinition definition, bool asObjects) => new(
        dag.DagId, dag.Description, dag.FileName, $"dags/{dag.FileName}", dag.IsPaused, dag.IsActive, false, dag.Owners, Schedule(dag.Schedule, asObjects),
        Tags(dag.Tags, asObjects), dag.DagId, dag.MaxActiveRuns, "UTC", false, "LR", false, dag.ParsedAt, definition.Params,
        [.. definition.Tasks.Select(task => task.Id)]);

    /// <summary>A run.</summary>
    public static DagRunResponse Of(DagRun run) => new(
        run.RunId, run.DagId, run.LogicalAt, run.LogicalAt, run.StartedAt, run.EndedAt, run.State.Name(), run.ExternalTrigger, new RawJson(run.Conf), run.Note,
        run.ExternalTrigger ? "manual" : "scheduled", run.LogicalAt, run.IntervalEndAt, run.UpdatedAt, run.Ref.InstanceId);

    /// <summary>A task in a run.</summary>
    public static TaskInstanceResponse Of(TaskInstance task) => new(
        task.TaskId, task.DagId, task.RunId, task.LogicalAt, task.StartedAt, task.EndedAt,
        task.EndedAt - task.StartedAt is { } length ? Math.Round(length.TotalSeconds, 6) : null, task.State.Name(), task.TryNumber, task.MaxTries, task.Operator,
        task.Pool, "default", -1, task.TaskId, 1, 1, task.QueuedAt, "", "", null, "{}", [], task.Note);

    /// <summary>A reference to a task in a run.</summary>
    public static TaskInstanceReference ReferenceOf(TaskInstance task) => new(task.TaskId, task.DagId, task.RunId, task.LogicalAt);

    /// <summary>A task of a DAG.</summary>
    public static TaskResponse Of(TaskDefinition task, DagDefinition dag) => new(
        task.Id, task.Id, dag.Owners.Count > 0 ? dag.Owners[0] : "airflow", task.Operator, new ClassReference("dags", task.Operator), [.. dag.Downstream(task.Id)],
        task.TriggerRule.Name(), task.Retries, TimeDelta.Of(task.RetryDelaySeconds), task.RetryBackoff > 1, TimeDelta.Of(task.TimeoutSeconds), task.Pool, 1,
        "default", 1, "downstream", false, false, false, "#fff", "#000", [], task.Params);

    /// <summary>A pool.</summary>
    public static PoolResponse Of(Pool pool) => new(
        pool.Name, pool.Slots, pool.Description, pool.Running, pool.Running, pool.Queued, 0, pool.Deferred,
        pool.Slots < 0 ? int.MaxValue : Math.Max(0, pool.Slots - pool.Running), false);

    private static JsonNode? Schedule(string? schedule, bool asObjects) =>
        schedule is null ? null : asObjects ? new JsonObject { ["__type"] = "CronExpression", ["value"] = schedule } : JsonValue.Create(schedule);

    private static JsonArray Tags(IReadOnlyList<string> tags, bool asObjects) =>
        [.. tags.Select(tag => asObjects ? new JsonObject { ["name"] = tag } : (JsonNode?)JsonValue.Create(tag))];
}
