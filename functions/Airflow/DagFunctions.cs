using FunctionsRegistry.Airflow;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.Airflow;

/// <summary>spec-dean.md, "DAG Management", and what Airflow's clients ask for beside it.</summary>
[Contract(Family.Airflow)]
public sealed class DagFunctions(DagStore dags, DagCatalog catalog, DagRunStarter starter)
{
    internal const string Base = "airflow/api/v1";

    /// <summary>GET /dags.</summary>
    [Function("airflow_dags_list")]
    [Query(
        "limit?: integer(0..), offset?: integer(0..), order_by?: string(..100), tags?: string(..4000), only_active?: boolean, paused?: boolean, " +
        "dag_id_pattern?: string(..250)")]
    [Answers(typeof(DagListResponse))]
    public async Task<IResult> List(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/dags")] HttpRequest request, CancellationToken cancellationToken)
    {
        var (limit, offset) = AirflowQueries.ReadPage(request);
        var (field, descending) = AirflowQueries.ReadOrder(request, "dag_id", DagStore.OrderFields);
        var filter = new DagFilter(
            AirflowQueries.ReadList(request, "tags"), AirflowQueries.ReadBoolean(request, "only_active") ?? true, AirflowQueries.ReadBoolean(request, "paused"),
            request.GetText("dag_id_pattern", 250)?.Trim('%'), field, descending, offset, limit);
        var (found, total) = await dags.ListAsync(filter, cancellationToken);
        return JsonBody.Create(new DagListResponse([.. found.Select(dag => AirflowWire.Of(dag, AsObjects(request)))], total), AirflowJson.Default.DagListResponse);
    }

    /// <summary>GET /dags/{dag_id}.</summary>
    [Function("airflow_dags_get")]
    [Answers(typeof(DagResponse))]
    public async Task<IResult> Get(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/dags/{dagId}")] HttpRequest request,
        string dagId, CancellationToken cancellationToken) =>
        JsonBody.Create(AirflowWire.Of(await GetAsync(dagId, cancellationToken), AsObjects(request)), AirflowJson.Default.DagResponse);

    /// <summary>PATCH /dags/{dag_id}: is_paused in the body, or as the original wants it in the query. What waited for the pause to end starts.</summary>
    [Function("airflow_dags_patch")]
    [Query("update_mask?: string(..4000), is_paused?: boolean")]
    [Body("is_paused: boolean", IsOptional = true)]
    [Answers(typeof(DagResponse))]
    public async Task<IResult> Patch(
        [HttpTrigger(AuthorizationLevel.Anonymous, "patch", Route = Base + "/dags/{dagId}")] HttpRequest request,
        string dagId, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken)
    {
        if (AirflowQueries.ReadList(request, "update_mask").Find(field => field != "is_paused") is { } other)
            throw AirflowErrors.BadParameter("update_mask", $"is_paused, the only field that can be changed; not {other}");
        var isPaused = AirflowQueries.ReadBoolean(request, "is_paused") ?? await ReadPausedAsync(request, cancellationToken);
        var dag = await dags.SetPausedAsync(dagId, isPaused, cancellationToken) ?? throw AirflowErrors.DagNotFound();
        if (!isPaused)
            await starter.PromoteAsync(client, dagId, cancellationToken);
        return JsonBody.Create(AirflowWire.Of(dag, AsObjects(request)), AirflowJson.Default.DagResponse);
    }

    /// <summary>GET /dags/{dag_id}/details.</summary>
    [Function("airflow_dags_details")]
    [Answers(typeof(DagDetailResponse))]
    public async Task<IResult> Details(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/dags/{dagId}/details")] HttpRequest request,
        string dagId, CancellationToken cancellationToken)
    {
        var dag = await GetAsync(dagId, cancellationToken);
        var definition = await catalog.GetAsync(dagId, dag.Version, cancellationToken);
        return JsonBody.Create(AirflowWire.Of(dag, definition, AsObjects(request)), AirflowJson.Default.DagDetailResponse);
    }

    /// <summary>GET /dags/{dag_id}/source, which DEAN's client calls: the file's text.</summary>
    [Function("airflow_dags_source")]
    [Answers(typeof(DagSourceResponse))]
    [Answers("text/plain")]
    public async Task<IResult> Source(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/dags/{dagId}/source")] HttpRequest request,
        string dagId, CancellationToken cancellationToken)
    {
        var dag = await GetAsync(dagId, cancellationToken);
        return WriteSource(request, (await catalog.GetAsync(dagId, dag.Version, cancellationToken)).Source);
    }

    /// <summary>GET /dagSources/{file_token}.</summary>
    [Function("airflow_sources_get")]
    [Answers(typeof(DagSourceResponse))]
    [Answers("text/plain")]
    public async Task<IResult> SourceOfFile(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/dagSources/{fileToken}")] HttpRequest request,
        string fileToken, CancellationToken cancellationToken) =>
        WriteSource(request, await dags.FindSourceAsync(fileToken, cancellationToken) ?? throw AirflowErrors.DagNotFound());

    /// <summary>GET /dags/{dag_id}/tasks, in an order in which every task comes after what it needs.</summary>
    [Function("airflow_tasks_list")]
    [Answers(typeof(TaskListResponse))]
    public async Task<IResult> ListTasks(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/dags/{dagId}/tasks")] HttpRequest request,
        string dagId, CancellationToken cancellationToken)
    {
        var dag = await GetAsync(dagId, cancellationToken);
        var definition = await catalog.GetAsync(dagId, dag.Version, cancellationToken);
        var tasks = definition.Tasks.Select(task => AirflowWire.Of(task, definition)).ToList();
        return JsonBody.Create(new TaskListResponse(tasks, tasks.Count), AirflowJson.Default.TaskListResponse);
    }

    /// <summary>GET /dags/{dag_id}/tasks/{task_id}.</summary>
    [Function("airflow_tasks_get")]
    [Answers(typeof(TaskResponse))]
    public async Task<IResult> GetTask(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/dags/{dagId}/tasks/{taskId}")] HttpRequest request,
        string dagId, string taskId, CancellationToken cancellationToken)
    {
        var dag = await GetAsync(dagId, cancellationToken);
        var definition = await catalog.GetAsync(dagId, dag.Version, cancellationToken);
        var task = definition.FindTask(taskId) ?? throw AirflowErrors.TaskNotFound(taskId);
        return JsonBody.Create(AirflowWire.Of(task, definition), AirflowJson.Default.TaskResponse);
    }

    private static bool AsObjects(HttpRequest request) => request.Path.StartsWithSegments("/airflow/compat", StringComparison.OrdinalIgnoreCase);

    private static async Task<bool> ReadPausedAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var isPaused = body.OptionalBoolean("is_paused");
        if (!body.Has("is_paused") || body.Json.GetProperty("is_paused").ValueKind == System.Text.Json.JsonValueKind.Null)
            body.Fault("is_paused", "field required", "value_error.missing");
        body.ThrowIfFaulty();
        return isPaused!.Value;
    }

    private static IResult WriteSource(HttpRequest request, string source) => AirflowQueries.WantsText(request)
        ? Results.Text(source, "text/plain; charset=utf-8")
        : JsonBody.Create(new DagSourceResponse(source), AirflowJson.Default.DagSourceResponse);

    private async Task<Dag> GetAsync(string dagId, CancellationToken cancellationToken) =>
        await dags.FindAsync(dagId, cancellationToken) ?? throw AirflowErrors.DagNotFound();
}
