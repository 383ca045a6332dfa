using FunctionsRegistry.Airflow;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.Airflow;

/// <summary>spec-dean.md, "Task Instance Management", and what Airflow's clients ask for beside it. <c>~</c> stands for all DAGs or runs.</summary>
[Contract(Family.Airflow)]
public sealed class TaskInstanceFunctions(DagRunService service, TaskInstanceStore tasks)
{
    private const string Base = DagFunctions.Base + "/dags/{dagId}/dagRuns/{runId}/taskInstances";

    /// <summary>GET .../taskInstances: in an order in which every task comes after what it needs.</summary>
    [Function("airflow_tis_list")]
    [Query(
        "limit?: integer(0..), offset?: integer(0..), state?: string(..4000), pool?: string(..4000), execution_date_gte?: time, " +
        "execution_date_lte?: time, start_date_gte?: time, start_date_lte?: time, end_date_gte?: time, end_date_lte?: time, duration_gte?: number, " +
        "duration_lte?: number")]
    [Answers(typeof(TaskInstanceListResponse))]
    public async Task<IResult> List(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base)] HttpRequest request,
        string dagId, string runId, CancellationToken cancellationToken)
    {
        var (limit, offset) = AirflowQueries.ReadPage(request);
        var filter = new TaskInstanceFilter(
            dagId == AirflowQueries.All ? null : dagId, runId == AirflowQueries.All ? null : runId, AirflowQueries.ReadTaskStates(request),
            AirflowQueries.ReadList(request, "pool"), AirflowQueries.ReadRange(request, "execution_date"), AirflowQueries.ReadRange(request, "start_date"),
            AirflowQueries.ReadRange(request, "end_date"), AirflowQueries.ReadNumber(request, "duration_gte"), AirflowQueries.ReadNumber(request, "duration_lte"),
            offset, limit);
        var (found, total) = await tasks.ListAsync(filter, cancellationToken);
        if (found.Count == 0 && filter is { DagId: not null, RunId: not null })
            await service.GetAsync(dagId, runId, cancellationToken);
        return JsonBody.Create(new TaskInstanceListResponse([.. found.Select(AirflowWire.Of)], total), AirflowJson.Default.TaskInstanceListResponse);
    }

    /// <summary>GET .../taskInstances/{task_id}.</summary>
    [Function("airflow_tis_get")]
    [Answers(typeof(TaskInstanceResponse))]
    public async Task<IResult> Get(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/{taskId}")] HttpRequest request,
        string dagId, string runId, string taskId, CancellationToken cancellationToken) =>
        JsonBody.Create(AirflowWire.Of(await GetAsync(dagId, runId, taskId, cancellationToken)), AirflowJson.Default.TaskInstanceResponse);

    /// <summary>PATCH .../taskInstances/{task_id}/setNote.</summary>
    [Function("airflow_tis_note")]
    [Body("note: any")]
    [Answers(typeof(TaskInstanceResponse))]
    public async Task<IResult> SetNote(
        [HttpTrigger(AuthorizationLevel.Anonymous, "patch", Route = Base + "/{taskId}/setNote")] HttpRequest request,
        string dagId, string runId, string taskId, CancellationToken cancellationToken)
    {
        var note = await DagRunFunctions.ReadNoteAsync(request, cancellationToken);
        await tasks.SetNoteAsync(dagId, runId, taskId, note, cancellationToken);
        return JsonBody.Create(AirflowWire.Of(await GetAsync(dagId, runId, taskId, cancellationToken)), AirflowJson.Default.TaskInstanceResponse);
    }

    /// <summary>GET .../taskInstances/{task_id}/logs/{try}: JSON, or plain text to who accepts that.</summary>
    [Function("airflow_tis_log")]
    [Answers(typeof(TaskLogResponse))]
    [Answers("text/plain")]
    public async Task<IResult> GetLog(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/{taskId}/logs/{tryNumber:int}")] HttpRequest request,
        string dagId, string runId, string taskId, int tryNumber, CancellationToken cancellationToken)
    {
        var task = await GetAsync(dagId, runId, taskId, cancellationToken);
        var content = await tasks.FindLogAsync(task.RunRowId, taskId, tryNumber, cancellationToken) ?? throw AirflowErrors.LogNotFound(tryNumber);
        return AirflowQueries.WantsText(request)
            ? Results.Text(content, "text/plain; charset=utf-8")
            : JsonBody.Create(new TaskLogResponse(null, content), AirflowJson.Default.TaskLogResponse);
    }

    private async Task<TaskInstance> GetAsync(string dagId, string runId, string taskId, CancellationToken cancellationToken)
    {
        if (await tasks.FindAsync(dagId, runId, taskId, cancellationToken) is { } task)
            return task;
        await service.GetAsync(dagId, runId, cancellationToken);
        throw AirflowErrors.TaskInstanceNotFound();
    }
}
