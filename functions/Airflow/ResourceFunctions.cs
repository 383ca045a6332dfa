using FunctionsRegistry.Airflow;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.Airflow;

/// <summary>Pools and variables, as Airflow has them.</summary>
[Contract(Family.Airflow)]
public sealed class ResourceFunctions(ResourceStore resources)
{
    private const string Pools = DagFunctions.Base + "/pools";
    private const string Variables = DagFunctions.Base + "/variables";

    /// <summary>GET /pools.</summary>
    [Function("airflow_pools_list")]
    [Query("limit?: integer(0..), offset?: integer(0..)")]
    [Answers(typeof(PoolListResponse))]
    public async Task<IResult> ListPools(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Pools)] HttpRequest request, CancellationToken cancellationToken)
    {
        var (limit, offset) = AirflowQueries.ReadPage(request);
        var (found, total) = await resources.ListPoolsAsync(offset, limit, cancellationToken);
        return JsonBody.Create(new PoolListResponse([.. found.Select(AirflowWire.Of)], total), AirflowJson.Default.PoolListResponse);
    }

    /// <summary>POST /pools.</summary>
    [Function("airflow_pools_create")]
    [Body("name: string(1..200), slots: integer(-1..), description?: string(..1000)")]
    [Answers(typeof(PoolResponse))]
    public async Task<IResult> CreatePool(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Pools)] HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var (name, slots, description) = (body.Text("name", 1, 200), body.WholeNumber("slots", -1), body.OptionalText("description", 0, 1000));
        CheckName(body, "name", name);
        body.ThrowIfFaulty();
        return Write(await resources.InsertPoolAsync(name, (int)slots, description, cancellationToken));
    }

    /// <summary>GET /pools/{name}.</summary>
    [Function("airflow_pools_get")]
    [Answers(typeof(PoolResponse))]
    public async Task<IResult> GetPool(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Pools + "/{name}")] HttpRequest request,
        string name, CancellationToken cancellationToken) =>
        Write(await resources.FindPoolAsync(name, cancellationToken) ?? throw AirflowErrors.PoolNotFound(name));

    /// <summary>PATCH /pools/{name}: slots and description.</summary>
    [Function("airflow_pools_patch")]
    [Body("slots?: integer(-1..), description?: string(..1000)")]
    [Answers(typeof(PoolResponse))]
    public async Task<IResult> PatchPool(
        [HttpTrigger(AuthorizationLevel.Anonymous, "patch", Route = Pools + "/{name}")] HttpRequest request,
        string name, CancellationToken cancellationToken)
    {
        var body = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var (slots, description) = (body.OptionalWholeNumber("slots", -1), body.OptionalText("description", 0, 1000));
        body.ThrowIfFaulty();
        return Write(await resources.UpdatePoolAsync(name, (int?)slots, description, cancellationToken) ?? throw AirflowErrors.PoolNotFound(name));
    }

    /// <summary>DELETE /pools/{name}.</summary>
    [Function("airflow_pools_delete")]
    [Answers(204)]
    public async Task<IResult> DeletePool(
        [HttpTrigger(AuthorizationLevel.Anonymous, "delete", Route = Pools + "/{name}")] HttpRequest request,
        string name, CancellationToken cancellationToken)
    {
        if (name == Pool.DefaultName)
            throw AirflowErrors.DefaultPoolStays();
        return await resources.DeletePoolAsync(name, cancellationToken) ? Results.NoContent() : throw AirflowErrors.PoolNotFound(name);
    }

    /// <summary>GET /variables.</summary>
    [Function("airflow_variables_list")]
    [Query("limit?: integer(0..), offset?: integer(0..)")]
    [Answers(typeof(VariableListResponse))]
    public async Task<IResult> ListVariables(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Variables)] HttpRequest request, CancellationToken cancellationToken)
    {
        var (limit, offset) = AirflowQueries.ReadPage(request);
        var (found, total) = await resources.ListVariablesAsync(offset, limit, cancellationToken);
        return JsonBody.Create(
            new VariableListResponse([.. found.Select(one => new VariableResponse(one.Key, one.Value, one.Description))], total),
            AirflowJson.Default.VariableListResponse);
    }

    /// <summary>POST /variables.</summary>
    [Function("airflow_variables_create")]
    [Body("key: string(1..250), value: string, description?: string(..1000)")]
    [Answers(typeof(VariableResponse))]
    public async Task<IResult> CreateVariable(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Variables)] HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var variable = new Variable(body.Text("key", 1, 250), body.Text("value", 0, 64 << 10), body.OptionalText("description", 0, 1000));
        CheckName(body, "key", variable.Key);
        body.ThrowIfFaulty();
        return Write(await resources.InsertVariableAsync(variable, cancellationToken));
    }

    /// <summary>GET /variables/{key}.</summary>
    [Function("airflow_variables_get")]
    [Answers(typeof(VariableResponse))]
    public async Task<IResult> GetVariable(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Variables + "/{key}")] HttpRequest request,
        string key, CancellationToken cancellationToken) =>
        Write(await resources.FindVariableAsync(key, cancellationToken) ?? throw AirflowErrors.VariableNotFound());

    /// <summary>PATCH /variables/{key}: value and description.</summary>
    [Function("airflow_variables_patch")]
    [Body("key?: string(1..250), value?: string, description?: string(..1000)")]
    [Answers(typeof(VariableResponse))]
    public async Task<IResult> PatchVariable(
        [HttpTrigger(AuthorizationLevel.Anonymous, "patch", Route = Variables + "/{key}")] HttpRequest request,
        string key, CancellationToken cancellationToken)
    {
        var body = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var (sentKey, value, description) = (body.OptionalText("key", 1, 250), body.OptionalText("value", 0, 64 << 10), body.OptionalText("description", 0, 1000));
        if (sentKey is not null && sentKey != key)
            body.Fault("key", "must be the key of the path");
        body.ThrowIfFaulty();
        return Write(await resources.UpdateVariableAsync(key, value, description, cancellationToken) ?? throw AirflowErrors.VariableNotFound());
    }

    /// <summary>DELETE /variables/{key}.</summary>
    [Function("airflow_variables_delete")]
    [Answers(204)]
    public async Task<IResult> DeleteVariable(
        [HttpTrigger(AuthorizationLevel.Anonymous, "delete", Route = Variables + "/{key}")] HttpRequest request,
        string key, CancellationToken cancellationToken) =>
        await resources.DeleteVariableAsync(key, cancellationToken) ? Results.NoContent() : throw AirflowErrors.VariableNotFound();

    // The server leaves an encoded slash in a path as it is, so such a name could not be asked for.
    private static void CheckName(FieldReader body, string field, string name)
    {
        if (name.Contains('/', StringComparison.Ordinal))
            body.Fault(field, "must not contain '/'");
    }

    private static IResult Write(Pool pool) => JsonBody.Create(AirflowWire.Of(pool), AirflowJson.Default.PoolResponse);

    private static IResult Write(Variable variable) =>
        JsonBody.Create(new VariableResponse(variable.Key, variable.Value, variable.Description), AirflowJson.Default.VariableResponse);
}
