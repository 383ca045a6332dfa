using System.Globalization;
using System.Text.Json;
using FunctionsRegistry.Errors;
using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>A trace whose times were read.</summary>
public sealed record NewTrace(
    string Id, long ExperimentId, long RequestMs, long? DurationMs, string State, string? ClientRequestId, string? RequestPreview, string? ResponsePreview,
    IReadOnlyDictionary<string, string> Metadata, IReadOnlyDictionary<string, string> Tags);

/// <summary>MLflow 3's traces; the spans are an artifact that the client writes to where the tag <c>mlflow.artifactLocation</c> says.</summary>
public sealed class TraceStore(NpgsqlDataSource database)
{
    private const string Known =
        "trace_id, client_request_id, state (status), timestamp_ms, execution_time_ms, name, run_id, tags.<key>, metadata.<key>";

    private const string LocationTag = "mlflow.artifactLocation";

    private const string Columns = """
        t.id, t.experiment_id, t.request_ms, t.duration_ms, t.state, t.client_request_id, t.request_preview, t.response_preview, t.metadata::text, t.tags::text
        """;

    /// <summary>Stores a trace, or its end where its start was stored before; what the client leaves out stays.</summary>
    public async Task<TraceInfo> PutAsync(NewTrace trace, CancellationToken cancellationToken)
    {
        const string Sql = $"""
            WITH experiment AS (SELECT id, deleted_at, coalesce(artifact_location, 'mlflow-artifacts:/' || id) AS location FROM mlflow.experiments WHERE id = $2),
            put AS (
                INSERT INTO mlflow.traces AS t (id, experiment_id, request_ms, duration_ms, state, client_request_id, request_preview, response_preview, metadata, tags)
                SELECT $1, id, $3, $4, $5, $6, $7, $8, $9, $10 || jsonb_build_object('{LocationTag}', rtrim(location, '/') || '/traces/' || $1 || '/artifacts')
                FROM experiment WHERE deleted_at IS NULL
                ON CONFLICT (id) DO UPDATE SET duration_ms = coalesce(excluded.duration_ms, t.duration_ms), state = excluded.state,
                    client_request_id = coalesce(excluded.client_request_id, t.client_request_id),
                    request_preview = coalesce(excluded.request_preview, t.request_preview), response_preview = coalesce(excluded.response_preview, t.response_preview),
                    metadata = t.metadata || excluded.metadata, tags = t.tags || excluded.tags
                WHERE t.experiment_id = excluded.experiment_id
                RETURNING t.*)
            SELECT experiment.deleted_at IS NOT NULL, {Columns} FROM experiment LEFT JOIN put t ON true
            """;
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = trace.Id });
        command.Parameters.Add(new() { Value = trace.ExperimentId });
        command.Parameters.Add(new() { Value = trace.RequestMs });
        command.Parameters.Add(new() { Value = (object?)trace.DurationMs ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Bigint });
        command.Parameters.Add(new() { Value = trace.State });
        foreach (var text in new[] { trace.ClientRequestId, trace.RequestPreview, trace.ResponsePreview })
            command.Parameters.Add(new() { Value = (object?)text ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        foreach (var map in new[] { trace.Metadata, trace.Tags })
            command.Parameters.Add(new() { Value = JsonSerializer.Serialize(map.ToDictionary(), MlflowJson.Default.DictionaryStringString), NpgsqlDbType = NpgsqlDbType.Jsonb });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            throw MlflowErrors.ExperimentNotFound(trace.ExperimentId.ToString());
        if (reader.GetBoolean(0))
            throw MlflowErrors.WrongState("experiment", trace.ExperimentId.ToString(), isDeleted: true);
        return reader.IsDBNull(1) ? throw MlflowErrors.Invalid($"The trace {trace.Id} belongs to another experiment.") : Read(reader, 1);
    }

    /// <summary>A trace.</summary>
    /// <exception cref="RegistryException">RESOURCE_DOES_NOT_EXIST.</exception>
    public async Task<TraceInfo> GetAsync(string id, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"SELECT {Columns} FROM mlflow.traces t WHERE t.id = $1");
        command.Parameters.Add(new() { Value = id });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader, 0) : throw MlflowErrors.TraceNotFound(id);
    }

    /// <summary>A page of the traces of some experiments, newest first unless another order is asked for.</summary>
    public async Task<(IReadOnlyList<TraceInfo> Traces, string? Next)> SearchAsync(
        long[] experimentIds, IReadOnlyList<FilterTerm> filter, IReadOnlyList<OrderTerm> orderBy, int limit, string? token, CancellationToken cancellationToken)
    {
        var sql = new SearchSql();
        sql.Where($"t.experiment_id = ANY ({sql.Add(experimentIds, NpgsqlDbType.Array | NpgsqlDbType.Bigint)})");
        foreach (var term in filter)
            sql.Where(Compile(sql, term));
        foreach (var order in orderBy)
            sql.OrderBy(OrderKey(order));
        sql.OrderBy(new SortKey("t.request_ms", NpgsqlDbType.Bigint, Descending: true));
        sql.OrderBy(new SortKey("t.id", NpgsqlDbType.Text, Descending: false));
        var where = sql.BuildWhere(token);
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(sql.CreateCommand(
            $"SELECT {Columns}, {sql.KeyColumns} FROM mlflow.traces t {where} {sql.OrderByKeys} LIMIT {sql.Add(limit + 1, NpgsqlDbType.Integer)}"));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        var traces = new List<TraceInfo>();
        string? last = null;
        while (await reader.ReadAsync(cancellationToken))
        {
            if (traces.Count == limit)
                return (traces, last);
            traces.Add(Read(reader, 0));
            if (traces.Count == limit)
                last = sql.ReadToken(reader, 10);
        }
        return (traces, null);
    }

    /// <summary>Writes a tag.</summary>
    public Task SetTagAsync(string id, string key, string value, CancellationToken cancellationToken) =>
        ChangeAsync("UPDATE mlflow.traces SET tags = tags || jsonb_build_object($2::text, $3::text) WHERE id = $1", id, key, value, cancellationToken);

    /// <summary>Removes a tag; no error when there is none.</summary>
    public Task DeleteTagAsync(string id, string key, CancellationToken cancellationToken) =>
        ChangeAsync("UPDATE mlflow.traces SET tags = tags - $2 WHERE id = $1", id, key, null, cancellationToken);

    /// <summary>Deletes traces by id, or the oldest up to a time; returns their ids.</summary>
    public async Task<IReadOnlyList<string>> DeleteAsync(long experimentId, string[]? ids, long? maxMs, int limit, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            DELETE FROM mlflow.traces WHERE id IN (
                SELECT id FROM mlflow.traces WHERE experiment_id = $1 AND ($2::text[] IS NULL OR id = ANY ($2)) AND ($3::bigint IS NULL OR request_ms <= $3)
                ORDER BY request_ms, id LIMIT $4)
            RETURNING id
            """);
        command.Parameters.Add(new() { Value = experimentId });
        command.Parameters.Add(new() { Value = (object?)ids ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text });
        command.Parameters.Add(new() { Value = (object?)maxMs ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Bigint });
        command.Parameters.Add(new() { Value = limit });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var deleted = new List<string>();
        while (await reader.ReadAsync(cancellationToken))
            deleted.Add(reader.GetString(0));
        return deleted;
    }

    private async Task ChangeAsync(string sql, string id, string key, string? value, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(sql);
        command.Parameters.Add(new() { Value = id });
        command.Parameters.Add(new() { Value = key });
        if (value is not null)
            command.Parameters.Add(new() { Value = value });
        if (await command.ExecuteNonQueryAsync(cancellationToken) == 0)
            throw MlflowErrors.TraceNotFound(id);
    }

    private static string Compile(SearchSql sql, FilterTerm term) => (term.Name.Entity, term.Name.Key) switch
    {
        (null or "attribute" or "attributes" or "trace" or "traces", "trace_id" or "request_id") => SearchConditions.Text(sql, term, "t.id"),
        (null or "attribute" or "attributes" or "trace" or "traces", "client_request_id") => SearchConditions.Text(sql, term, "t.client_request_id"),
        (null or "attribute" or "attributes" or "trace" or "traces", "state" or "status") => SearchConditions.Text(sql, term, "t.state"),
        (null or "attribute" or "attributes" or "trace" or "traces", "timestamp_ms" or "timestamp") => SearchConditions.Number(sql, term, "t.request_ms"),
        (null or "attribute" or "attributes" or "trace" or "traces", "execution_time_ms" or "execution_time") => SearchConditions.Number(sql, term, "t.duration_ms"),
        (null or "attribute" or "attributes" or "trace" or "traces", "name") => SearchConditions.Text(sql, term, "(t.tags->>'mlflow.traceName')"),
        (null or "attribute" or "attributes" or "trace" or "traces", "run_id") => SearchConditions.Text(sql, term, "(t.metadata->>'mlflow.sourceRun')"),
        ("tag" or "tags", _) => SearchConditions.KeyedText(sql, term, "jsonb_each_text(t.tags) g (key, value) WHERE true", "g"),
        ("metadata" or "request_metadata", _) => SearchConditions.KeyedText(sql, term, "jsonb_each_text(t.metadata) g (key, value) WHERE true", "g"),
        _ => throw SearchConditions.UnknownName(term.Name, Known),
    };

    private static SortKey OrderKey(OrderTerm order) => order.Name.Key switch
    {
        "timestamp_ms" or "timestamp" or "request_time" => new SortKey("t.request_ms", NpgsqlDbType.Bigint, order.Descending),
        "execution_time_ms" or "execution_time" or "execution_duration" => new SortKey("coalesce(t.duration_ms, 0)", NpgsqlDbType.Bigint, order.Descending),
        "state" or "status" => new SortKey("t.state", NpgsqlDbType.Text, order.Descending),
        "trace_id" or "request_id" => new SortKey("t.id", NpgsqlDbType.Text, order.Descending),
        _ => throw MlflowErrors.InvalidOrderBy(order.Name.Key, order.Name.Position, "known are timestamp_ms, execution_time_ms, state and trace_id"),
    };

    private static TraceInfo Read(NpgsqlDataReader reader, int first) => new(
        reader.GetString(first), reader.GetValue(first + 5) as string, new TraceLocation("MLFLOW_EXPERIMENT", new TraceExperiment(reader.GetInt64(first + 1).ToString())),
        reader.GetValue(first + 6) as string, reader.GetValue(first + 7) as string,
        DateTimeOffset.FromUnixTimeMilliseconds(reader.GetInt64(first + 2)).ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture),
        reader.IsDBNull(first + 3) ? null : string.Create(CultureInfo.InvariantCulture, $"{reader.GetInt64(first + 3) / 1000m:0.000}s"), reader.GetString(first + 4),
        Map(reader.GetString(first + 8)), Map(reader.GetString(first + 9)));

    private static Dictionary<string, string> Map(string json) => JsonSerializer.Deserialize(json, MlflowJson.Default.DictionaryStringString)!;
}
