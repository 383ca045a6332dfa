using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.Airflow;

/// <summary>
/// The same API once more under <c>/airflow/compat</c>: there tags and schedules are objects, which Airflow's own clients insist on and spec-dean.md's forms
/// are not.
/// </summary>
[Contract(Family.Airflow), SameOperations("compat_")]
public sealed class CompatFunctions(
    DagFunctions dags, DagRunFunctions runs, TaskInstanceFunctions tasks, ResourceFunctions resources, MonitorFunctions monitor)
{
    private const string Base = "airflow/compat/api/v1";

    /// <summary>As <see cref="DagFunctions.List"/>.</summary>
    [Function("airflow_compat_dags_list")]
    public Task<IResult> ListDags(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/dags")] HttpRequest request,
        CancellationToken cancellationToken) =>
        dags.List(request, cancellationToken);

    /// <summary>As <see cref="DagFunctions.Get"/>.</summary>
    [Function("airflow_compat_dags_get")]
    public Task<IResult> GetDag(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/dags/{dagId}")] HttpRequest request,
        string dagId, CancellationToken cancellationToken) =>
        dags.Get(request, dagId, cancellationToken);

    /// <summary>As <see cref="DagFunctions.Patch"/>.</summary>
    [Function("airflow_compat_dags_patch")]
    public Task<IResult> PatchDag(
        [HttpTrigger(AuthorizationLevel.Anonymous, "patch", Route = Base + "/dags/{dagId}")] HttpRequest request,
        string dagId, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken) =>
        dags.Patch(request, dagId, client, cancellationToken);

    /// <summary>As <see cref="DagFunctions.Details"/>.</summary>
    [Function("airflow_compat_dags_details")]
    public Task<IResult> Details(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/dags/{dagId}/details")] HttpRequest request,
        string dagId, CancellationToken cancellationToken) =>
        dags.Details(request, dagId, cancellationToken);

    /// <summary>As <see cref="DagFunctions.Source"/>.</summary>
    [Function("airflow_compat_dags_source")]
    public Task<IResult> Source(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/dags/{dagId}/source")] HttpRequest request,
        string dagId, CancellationToken cancellationToken) =>
        dags.Source(request, dagId, cancellationToken);

    /// <summary>As <see cref="DagFunctions.SourceOfFile"/>.</summary>
    [Function("airflow_compat_sources_get")]
    public Task<IResult> SourceOfFile(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/dagSources/{fileToken}")] HttpRequest request,
        string fileToken, CancellationToken cancellationToken) =>
        dags.SourceOfFile(request, fileToken, cancellationToken);

    /// <summary>As <see cref="DagFunctions.ListTasks"/>.</summary>
    [Function("airflow_compat_tasks_list")]
    public Task<IResult> ListTasks(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/dags/{dagId}/tasks")] HttpRequest request,
        string dagId, CancellationToken cancellationToken) =>
        dags.ListTasks(request, dagId, cancellationToken);

    /// <summary>As <see cref="DagFunctions.GetTask"/>.</summary>
    [Function("airflow_compat_tasks_get")]
    public Task<IResult> GetTask(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/dags/{dagId}/tasks/{taskId}")] HttpRequest request,
        string dagId, string taskId, CancellationToken cancellationToken) =>
        dags.GetTask(request, dagId, taskId, cancellationToken);

    /// <summary>As <see cref="DagRunFunctions.List"/>.</summary>
    [Function("airflow_compat_runs_list")]
    public Task<IResult> ListRuns(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/dags/{dagId}/dagRuns")] HttpRequest request,
        string dagId, CancellationToken cancellationToken) =>
        runs.List(request, dagId, cancellationToken);

    /// <summary>As <see cref="DagRunFunctions.ListBatch"/>.</summary>
    [Function("airflow_compat_runs_batch")]
    public Task<IResult> ListBatch(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/dags/~/dagRuns/list")] HttpRequest request,
        CancellationToken cancellationToken) =>
        runs.ListBatch(request, cancellationToken);

    /// <summary>As <see cref="DagRunFunctions.Trigger"/>.</summary>
    [Function("airflow_compat_runs_trigger")]
    public Task<IResult> TriggerRun(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/dags/{dagId}/dagRuns")] HttpRequest request,
        string dagId, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken) =>
        runs.Trigger(request, dagId, client, cancellationToken);

    /// <summary>As <see cref="DagRunFunctions.Get"/>.</summary>
    [Function("airflow_compat_runs_get")]
    public Task<IResult> GetRun(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/dags/{dagId}/dagRuns/{runId}")] HttpRequest request,
        string dagId, string runId, CancellationToken cancellationToken) =>
        runs.Get(request, dagId, runId, cancellationToken);

    /// <summary>As <see cref="DagRunFunctions.Patch"/>.</summary>
    [Function("airflow_compat_runs_patch")]
    public Task<IResult> PatchRun(
        [HttpTrigger(AuthorizationLevel.Anonymous, "patch", Route = Base + "/dags/{dagId}/dagRuns/{runId}")] HttpRequest request,
        string dagId, string runId, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken) =>
        runs.Patch(request, dagId, runId, client, cancellationToken);

    /// <summary>As <see cref="DagRunFunctions.Delete"/>.</summary>
    [Function("airflow_compat_runs_delete")]
    public Task<IResult> DeleteRun(
        [HttpTrigger(AuthorizationLevel.Anonymous, "delete", Route = Base + "/dags/{dagId}/dagRuns/{runId}")] HttpRequest request,
        string dagId, string runId, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken) =>
        runs.Delete(request, dagId, runId, client, cancellationToken);

    /// <summary>As <see cref="DagRunFunctions.Clear"/>.</summary>
    [Function("airflow_compat_runs_clear")]
    public Task<IResult> ClearRun(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/dags/{dagId}/dagRuns/{runId}/clear")] HttpRequest request,
        string dagId, string runId, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken) =>
        runs.Clear(request, dagId, runId, client, cancellationToken);

    /// <summary>As <see cref="DagRunFunctions.ClearTasks"/>.</summary>
    [Function("airflow_compat_tis_clear")]
    public Task<IResult> ClearTasks(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/dags/{dagId}/clearTaskInstances")] HttpRequest request,
        string dagId, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken) =>
        runs.ClearTasks(request, dagId, client, cancellationToken);

    /// <summary>As <see cref="DagRunFunctions.SetNote"/>.</summary>
    [Function("airflow_compat_runs_note")]
    public Task<IResult> SetNoteRun(
        [HttpTrigger(AuthorizationLevel.Anonymous, "patch", Route = Base + "/dags/{dagId}/dagRuns/{runId}/setNote")] HttpRequest request,
        string dagId, string runId, CancellationToken cancellationToken) =>
        runs.SetNote(request, dagId, runId, cancellationToken);

    /// <summary>As <see cref="TaskInstanceFunctions.List"/>.</summary>
    [Function("airflow_compat_tis_list")]
    public Task<IResult> ListTaskInstances(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/dags/{dagId}/dagRuns/{runId}/taskInstances")] HttpRequest request,
        string dagId, string runId, CancellationToken cancellationToken) =>
        tasks.List(request, dagId, runId, cancellationToken);

    /// <summary>As <see cref="TaskInstanceFunctions.Get"/>.</summary>
    [Function("airflow_compat_tis_get")]
    public Task<IResult> GetTaskInstance(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/dags/{dagId}/dagRuns/{runId}/taskInstances/{taskId}")] HttpRequest request,
        string dagId, string runId, string taskId, CancellationToken cancellationToken) =>
        tasks.Get(request, dagId, runId, taskId, cancellationToken);

    /// <summary>As <see cref="TaskInstanceFunctions.SetNote"/>.</summary>
    [Function("airflow_compat_tis_note")]
    public Task<IResult> SetNoteTaskInstance(
        [HttpTrigger(AuthorizationLevel.Anonymous, "patch", Route = Base + "/dags/{dagId}/dagRuns/{runId}/taskInstances/{taskId}/setNote")] HttpRequest request,
        string dagId, string runId, string taskId, CancellationToken cancellationToken) =>
        tasks.SetNote(request, dagId, runId, taskId, cancellationToken);

    /// <summary>As <see cref="TaskInstanceFunctions.GetLog"/>.</summary>
    [Function("airflow_compat_tis_log")]
    public Task<IResult> GetLogTaskInstance(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/dags/{dagId}/dagRuns/{runId}/taskInstances/{taskId}/logs/{tryNumber:int}")] HttpRequest request,
        string dagId, string runId, string taskId, int tryNumber, CancellationToken cancellationToken) =>
        tasks.GetLog(request, dagId, runId, taskId, tryNumber, cancellationToken);

    /// <summary>As <see cref="ResourceFunctions.ListPools"/>.</summary>
    [Function("airflow_compat_pools_list")]
    public Task<IResult> ListPools(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/pools")] HttpRequest request,
        CancellationToken cancellationToken) =>
        resources.ListPools(request, cancellationToken);

    /// <summary>As <see cref="ResourceFunctions.CreatePool"/>.</summary>
    [Function("airflow_compat_pools_create")]
    public Task<IResult> CreatePool(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/pools")] HttpRequest request,
        CancellationToken cancellationToken) =>
        resources.CreatePool(request, cancellationToken);

    /// <summary>As <see cref="ResourceFunctions.GetPool"/>.</summary>
    [Function("airflow_compat_pools_get")]
    public Task<IResult> GetPool(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/pools/{name}")] HttpRequest request,
        string name, CancellationToken cancellationToken) =>
        resources.GetPool(request, name, cancellationToken);

    /// <summary>As <see cref="ResourceFunctions.PatchPool"/>.</summary>
    [Function("airflow_compat_pools_patch")]
    public Task<IResult> PatchPool(
        [HttpTrigger(AuthorizationLevel.Anonymous, "patch", Route = Base + "/pools/{name}")] HttpRequest request,
        string name, CancellationToken cancellationToken) =>
        resources.PatchPool(request, name, cancellationToken);

    /// <summary>As <see cref="ResourceFunctions.DeletePool"/>.</summary>
    [Function("airflow_compat_pools_delete")]
    public Task<IResult> DeletePool(
        [HttpTrigger(AuthorizationLevel.Anonymous, "delete", Route = Base + "/pools/{name}")] HttpRequest request,
        string name, CancellationToken cancellationToken) =>
        resources.DeletePool(request, name, cancellationToken);

    /// <summary>As <see cref="ResourceFunctions.ListVariables"/>.</summary>
    [Function("airflow_compat_variables_list")]
    public Task<IResult> ListVariables(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/variables")] HttpRequest request,
        CancellationToken cancellationToken) =>
        resources.ListVariables(request, cancellationToken);

    /// <summary>As <see cref="ResourceFunctions.CreateVariable"/>.</summary>
    [Function("airflow_compat_variables_create")]
    public Task<IResult> CreateVariable(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/variables")] HttpRequest request,
        CancellationToken cancellationToken) =>
        resources.CreateVariable(request, cancellationToken);

    /// <summary>As <see cref="ResourceFunctions.GetVariable"/>.</summary>
    [Function("airflow_compat_variables_get")]
    public Task<IResult> GetVariable(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/variables/{key}")] HttpRequest request,
        string key, CancellationToken cancellationToken) =>
        resources.GetVariable(request, key, cancellationToken);

    /// <summary>As <see cref="ResourceFunctions.PatchVariable"/>.</summary>
    [Function("airflow_compat_variables_patch")]
    public Task<IResult> PatchVariable(
        [HttpTrigger(AuthorizationLevel.Anonymous, "patch", Route = Base + "/variables/{key}")] HttpRequest request,
        string key, CancellationToken cancellationToken) =>
        resources.PatchVariable(request, key, cancellationToken);

    /// <summary>As <see cref="ResourceFunctions.DeleteVariable"/>.</summary>
    [Function("airflow_compat_variables_delete")]
    public Task<IResult> DeleteVariable(
        [HttpTrigger(AuthorizationLevel.Anonymous, "delete", Route = Base + "/variables/{key}")] HttpRequest request,
        string key, CancellationToken cancellationToken) =>
        resources.DeleteVariable(request, key, cancellationToken);

    /// <summary>As <see cref="MonitorFunctions.HealthV1"/>.</summary>
    [Function("airflow_compat_health_v1"), Public, Unlimited]
    public Task<IResult> HealthV1(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/health")] HttpRequest request,
        CancellationToken cancellationToken) =>
        monitor.HealthV1(request, cancellationToken);

    /// <summary>As <see cref="MonitorFunctions.Version"/>.</summary>
    [Function("airflow_compat_version"), Public]
    public static IResult Version(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/version")] HttpRequest request) =>
        MonitorFunctions.Version(request);

    /// <summary>As <see cref="MonitorFunctions.Metrics"/>.</summary>
    [Function("airflow_compat_metrics")]
    public Task<IResult> Metrics(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/metrics")] HttpRequest request,
        CancellationToken cancellationToken) =>
        monitor.Metrics(request, cancellationToken);
}
