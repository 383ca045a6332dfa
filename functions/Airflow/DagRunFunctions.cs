using FunctionsRegistry.Airflow;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.Airflow;

/// <summary>spec-dean.md, "DAG Run Management", and what Airflow's clients ask for beside it. <c>~</c> stands for all DAGs.</summary>
[Contract(Family.Airflow)]
public sealed class DagRunFunctions(DagRunService service, DagRunStore runs, DagRunListStore lists, DagStore dags, DagRunStarter starter)
{
    private const string Base = DagFunctions.Base + "/dags/{dagId}/dagRuns";
    private const string Newest = "-execution_date";

    /// <summary>GET /dags/{dag_id}/dagRuns: the newest first unless order_by says otherwise.</summary>
    [Function("airflow_runs_list")]
    [Query(
        "limit?: integer(0..), offset?: integer(0..), order_by?: string(..100), state?: string(..4000), execution_date_gte?: time, " +
        "execution_date_lte?: time, start_date_gte?: time, start_date_lte?: time, end_date_gte?: time, end_date_lte?: time, updated_at_gte?: time, " +
        "updated_at_lte?: time")]
    [Answers(typeof(DagRunListResponse))]
    public async Task<IResult> List(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base)] HttpRequest request, string dagId, CancellationToken cancellationToken)
    {
        var (limit, offset) = AirflowQueries.ReadPage(request);
        var (field, descending) = AirflowQueries.ReadOrder(request, Newest, DagRunListStore.OrderFields);
        var filter = new DagRunFilter(
            dagId == AirflowQueries.All ? [] : [dagId], AirflowQueries.ReadRunStates(request), AirflowQueries.ReadRange(request, "execution_date"),
            AirflowQueries.ReadRange(request, "start_date"), AirflowQueries.ReadRange(request, "end_date"), AirflowQueries.ReadRange(request, "updated_at"),
            field, descending, offset, limit);
        return await ListAsync(filter, cancellationToken);
    }

    /// <summary>POST /dags/~/dagRuns/list: the same over several DAGs, with the filter in the body.</summary>
    [Function("airflow_runs_batch")]
    [Body(
        "dag_ids?: string[], states?: string[], order_by?: string(1..100), page_limit?: integer, page_offset?: integer(0..), " +
        "execution_date_gte?: time, execution_date_lte?: time, start_date_gte?: time, start_date_lte?: time, end_date_gte?: time, end_date_lte?: time")]
    [Answers(typeof(DagRunListResponse))]
    public async Task<IResult> ListBatch(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = DagFunctions.Base + "/dags/~/dagRuns/list")] HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var (ids, states) = (body.Texts("dag_ids", 20, 250), body.Texts("states", 4, 20));
        var order = body.OptionalText("order_by", 1, 100);
        var (limit, offset) = (body.OptionalWholeNumber("page_limit"), body.OptionalWholeNumber("page_offset", 0));
        var ranges = ((string[])["execution_date", "start_date", "end_date"])
            .Select(name => new TimeRange(AirflowQueries.ReadTime(body, name + "_gte"), AirflowQueries.ReadTime(body, name + "_lte"))).ToList();
        body.ThrowIfFaulty();
        var (field, descending) = AirflowQueries.ParseOrder(order ?? Newest, DagRunListStore.OrderFields);
        return await ListAsync(
            new DagRunFilter(
                [.. ids.Distinct()], AirflowQueries.ParseRunStates("states", states), ranges[0], ranges[1], ranges[2], new TimeRange(null, null), field, descending,
                (int)(offset ?? 0), AirflowQueries.CheckLimit((int)(limit ?? 0))),
            cancellationToken);
    }

    /// <summary>POST /dags/{dag_id}/dagRuns.</summary>
    [Function("airflow_runs_trigger")]
    [Body("dag_run_id?: string(1..250), note?: string(..1000), execution_date?: time, logical_date?: time, conf?: object")]
    [Answers(typeof(DagRunResponse))]
    public async Task<IResult> Trigger(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base)] HttpRequest request,
        string dagId, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken)
    {
        var body = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var (runId, note) = (body.OptionalText("dag_run_id", 1, 250), body.OptionalText("note", 0, 1000));
        var (execution, logical) = (AirflowQueries.ReadTime(body, "execution_date"), AirflowQueries.ReadTime(body, "logical_date"));
        if (execution is not null && logical is not null && execution != logical)
            body.Fault("execution_date", "must be the same as logical_date where both are sent");
        var conf = AirflowQueries.ReadConf(body);
        body.ThrowIfFaulty();
        var run = await service.TriggerAsync(dagId, runId, logical ?? execution, conf, note, cancellationToken);
        if (run.State == RunState.Running)
            await starter.StartAsync(client, [run.Ref]);
        return Write(run);
    }

    /// <summary>GET /dags/{dag_id}/dagRuns/{dag_run_id}.</summary>
    [Function("airflow_runs_get")]
    [Answers(typeof(DagRunResponse))]
    public async Task<IResult> Get(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/{runId}")] HttpRequest request,
        string dagId, string runId, CancellationToken cancellationToken) => Write(await service.GetAsync(dagId, runId, cancellationToken));

    /// <summary>PATCH /dags/{dag_id}/dagRuns/{dag_run_id}: state success, failed (this cancels) or queued (this clears).</summary>
    [Function("airflow_runs_patch")]
    [Body("state: success|failed|queued")]
    [Answers(typeof(DagRunResponse))]
    public async Task<IResult> Patch(
        [HttpTrigger(AuthorizationLevel.Anonymous, "patch", Route = Base + "/{runId}")] HttpRequest request,
        string dagId, string runId, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken)
    {
        var body = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var name = body.Choice("state", RunState.Success.Name(), RunState.Failed.Name(), RunState.Queued.Name());
        body.ThrowIfFaulty();
        StateNames.TryRun(name, out var state);
        return await ApplyAsync(client, await service.SetStateAsync(dagId, runId, state, cancellationToken));
    }

    /// <summary>DELETE /dags/{dag_id}/dagRuns/{dag_run_id}.</summary>
    [Function("airflow_runs_delete")]
    [Answers(204)]
    public async Task<IResult> Delete(
        [HttpTrigger(AuthorizationLevel.Anonymous, "delete", Route = Base + "/{runId}")] HttpRequest request,
        string dagId, string runId, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken)
    {
        await starter.ApplyAsync(client, await service.DeleteAsync(dagId, runId, cancellationToken));
        return Results.NoContent();
    }

    /// <summary>POST /dags/{dag_id}/dagRuns/{dag_run_id}/clear: all tasks again; as in Airflow only told, unless dry_run is false.</summary>
    [Function("airflow_runs_clear")]
    [Body("dry_run?: boolean")]
    [Answers(typeof(TaskInstanceReferencesResponse))]
    [Answers(typeof(DagRunResponse))]
    public async Task<IResult> Clear(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/{runId}/clear")] HttpRequest request,
        string dagId, string runId, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken)
    {
        var body = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var isDryRun = body.OptionalBoolean("dry_run") ?? true;
        body.ThrowIfFaulty();
        var change = await service.ClearAsync(dagId, runId, new ClearSelection([], false, false, false), isDryRun, cancellationToken);
        return isDryRun ? WriteReferences(change.Cleared) : await ApplyAsync(client, change);
    }

    /// <summary>POST /dags/{dag_id}/clearTaskInstances: some tasks of one run again, such as those that failed and what is behind them.</summary>
    [Function("airflow_tis_clear")]
    [Body(
        "dry_run?: boolean, task_ids?: string[], only_failed?: boolean, include_downstream?: boolean, include_upstream?: boolean, " +
        "dag_run_id?: string(1..250), start_date?: time, end_date?: time, only_running?: boolean, include_future?: boolean, include_past?: boolean")]
    [Answers(typeof(TaskInstanceReferencesResponse))]
    public async Task<IResult> ClearTasks(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = DagFunctions.Base + "/dags/{dagId}/clearTaskInstances")] HttpRequest request,
        string dagId, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken)
    {
        var body = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var isDryRun = body.OptionalBoolean("dry_run") ?? true;
        var selection = new ClearSelection(
            body.Texts("task_ids", 500, 250), body.OptionalBoolean("only_failed") ?? true, body.OptionalBoolean("include_downstream") ?? false,
            body.OptionalBoolean("include_upstream") ?? false);
        var runId = body.OptionalText("dag_run_id", 1, 250);
        var range = new TimeRange(AirflowQueries.ReadTime(body, "start_date"), AirflowQueries.ReadTime(body, "end_date"));
        if (runId is null && !range.IsSet)
            body.Fault("dag_run_id", "is required where neither start_date nor end_date is sent", "value_error.missing");
        foreach (var unsupported in ((string[])["only_running", "include_future", "include_past"]).Where(name => body.OptionalBoolean(name) == true))
            body.Fault(unsupported, "is not supported");
        body.ThrowIfFaulty();

        IReadOnlyList<string> runIds = runId is not null ? [runId] : await FindRunIdsAsync(dagId, range, cancellationToken);
        var cleared = new List<TaskInstance>();
        foreach (var id in runIds)
        {
            var change = await service.ClearAsync(dagId, id, selection, isDryRun, cancellationToken);
            cleared.AddRange(change.Cleared);
            await starter.ApplyAsync(client, change);
        }
        return WriteReferences(cleared);
    }

    /// <summary>PATCH /dags/{dag_id}/dagRuns/{dag_run_id}/setNote.</summary>
    [Function("airflow_runs_note")]
    [Body("note: any")]
    [Answers(typeof(DagRunResponse))]
    public async Task<IResult> SetNote(
        [HttpTrigger(AuthorizationLevel.Anonymous, "patch", Route = Base + "/{runId}/setNote")] HttpRequest request,
        string dagId, string runId, CancellationToken cancellationToken)
    {
        var note = await ReadNoteAsync(request, cancellationToken);
        return Write(await runs.SetNoteAsync(dagId, runId, note, cancellationToken) ?? throw await service.MissingAsync(dagId, cancellationToken));
    }

    internal static async Task<string?> ReadNoteAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var note = body.OptionalText("note", 0, 1000);
        if (!body.Has("note"))
            body.Fault("note", "field required", "value_error.missing");
        body.ThrowIfFaulty();
        return note;
    }

    private static IResult Write(DagRun run) => JsonBody.Create(AirflowWire.Of(run), AirflowJson.Default.DagRunResponse);

    private static IResult WriteReferences(IEnumerable<TaskInstance> tasks) =>
        JsonBody.Create(new TaskInstanceReferencesResponse([.. tasks.Select(AirflowWire.ReferenceOf)]), AirflowJson.Default.TaskInstanceReferencesResponse);

    private async Task<IResult> ApplyAsync(DurableTaskClient client, RunChange change)
    {
        await starter.ApplyAsync(client, change);
        return Write(change.Run);
    }

    private async Task<IReadOnlyList<string>> FindRunIdsAsync(string dagId, TimeRange range, CancellationToken cancellationToken)
    {
        if (await dags.FindAsync(dagId, cancellationToken) is null)
            throw AirflowErrors.DagNotFound();
        var open = new TimeRange(null, null);
        var (found, total) = await lists.ListAsync(
            new DagRunFilter([dagId], [], range, open, open, open, "execution_date", false, 0, AirflowQueries.PageSize), cancellationToken);
        return total <= AirflowQueries.PageSize ? [.. found.Select(run => run.RunId)] : throw AirflowErrors.TooManyRuns(AirflowQueries.PageSize);
    }

    private async Task<IResult> ListAsync(DagRunFilter filter, CancellationToken cancellationToken)
    {
        var (found, total) = await lists.ListAsync(filter, cancellationToken);
        if (total == 0 && filter.DagIds is [var dagId] && await dags.FindAsync(dagId, cancellationToken) is null)
            throw AirflowErrors.DagNotFound();
        return JsonBody.Create(new DagRunListResponse([.. found.Select(AirflowWire.Of)], total), AirflowJson.Default.DagRunListResponse);
    }
}
