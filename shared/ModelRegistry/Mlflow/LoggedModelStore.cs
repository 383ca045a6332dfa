using System.Text.Json;
using FunctionsRegistry.Errors;
using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>MLflow 3's logged models.</summary>
public sealed class LoggedModelStore(NpgsqlDataSource database, TimeProvider time)
{
    private const string Known = "name, model_id, model_type, status, source_run_id, creation_timestamp, last_updated_timestamp, tags.<key>, params.<key>, metrics.<key>";

    // Ordinals as in Read.
    private const string Columns = """
        m.id, m.experiment_id, m.name, m.created_ms, m.updated_ms, coalesce(e.artifact_location, 'mlflow-artifacts:/' || e.id), m.status, m.model_type, m.source_run_id,
        m.tags::text, m.params::text, x.keys, x.values, x.timestamps, x.steps, x.runs, x.names, x.digests
        """;

    private const string From = """
        FROM mlflow.logged_models m JOIN mlflow.experiments e ON e.id = m.experiment_id
        CROSS JOIN LATERAL (
            SELECT array_agg(key) AS keys, array_agg(value) AS values, array_agg(timestamp_ms) AS timestamps, array_agg(step) AS steps, array_agg(run_id) AS runs,
                array_agg(dataset_name) AS names, array_agg(dataset_digest) AS digests
            FROM (SELECT * FROM mlflow.logged_model_metrics l WHERE l.model_id = m.id ORDER BY key, run_id, dataset_name, dataset_digest) l) x
        """;

    /// <summary>A new logged model, pending until it is finalized.</summary>
    public async Task<LoggedModel> CreateAsync(
        long experimentId, string name, string? modelType, Guid? sourceRunId, IReadOnlyList<KeyValue> parameters, IReadOnlyList<KeyValue> tags,
        CancellationToken cancellationToken)
    {
        const string Sql = """
            WITH experiment AS (SELECT id, deleted_at FROM mlflow.experiments WHERE id = $2),
            created AS (
                INSERT INTO mlflow.logged_models (id, experiment_id, name, model_type, source_run_id, status, created_ms, updated_ms, tags, params)
                SELECT $1, id, $3, $4, $5, 'LOGGED_MODEL_PENDING', $6, $6, $7, $8 FROM experiment WHERE deleted_at IS NULL)
            SELECT deleted_at IS NOT NULL FROM experiment
            """;
        var now = time.GetUtcNow();
        var id = $"m-{Guid.CreateVersion7(now):N}";
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = id });
        command.Parameters.Add(new() { Value = experimentId });
        command.Parameters.Add(new() { Value = name });
        command.Parameters.Add(new() { Value = (object?)modelType ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        command.Parameters.Add(new() { Value = (object?)sourceRunId ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid });
        command.Parameters.Add(new() { Value = now.ToUnixTimeMilliseconds() });
        command.Parameters.Add(Map(tags));
        command.Parameters.Add(Map(parameters));
        switch (await command.ExecuteScalarAsync(cancellationToken))
        {
            case null:
                throw MlflowErrors.ExperimentNotFound(experimentId.ToString());
            case true:
                throw MlflowErrors.WrongState("experiment", experimentId.ToString(), isDeleted: true);
            default:
                return await GetAsync(id, cancellationToken);
        }
    }

    /// <summary>A logged model that was not deleted, or null.</summary>
    public async Task<LoggedModel?> FindAsync(string id, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"SELECT {Columns} {From} WHERE m.id = $1 AND m.deleted_at IS NULL");
        command.Parameters.Add(new() { Value = id });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    /// <summary>A logged model.</summary>
    /// <exception cref="RegistryException">RESOURCE_DOES_NOT_EXIST.</exception>
    public async Task<LoggedModel> GetAsync(string id, CancellationToken cancellationToken) =>
        await FindAsync(id, cancellationToken) ?? throw MlflowErrors.LoggedModelNotFound(id);

    /// <summary>Says how the logging ended.</summary>
    public Task FinalizeAsync(string id, string status, CancellationToken cancellationToken) =>
        ChangeAsync("UPDATE mlflow.logged_models SET status = $3, updated_ms = $2 WHERE id = $1 AND deleted_at IS NULL", id, new() { Value = status }, cancellationToken);

    /// <summary>Deletes a logged model; its artifacts stay until its experiment is purged.</summary>
    public Task DeleteAsync(string id, CancellationToken cancellationToken) => ChangeAsync(
        "UPDATE mlflow.logged_models SET deleted_at = $3, updated_ms = $2 WHERE id = $1 AND deleted_at IS NULL", id, new() { Value = time.GetUtcNow() }, cancellationToken);

    /// <summary>Writes tags.</summary>
    public Task SetTagsAsync(string id, IReadOnlyList<KeyValue> tags, CancellationToken cancellationToken) =>
        ChangeAsync("UPDATE mlflow.logged_models SET tags = tags || $3, updated_ms = $2 WHERE id = $1 AND deleted_at IS NULL", id, Map(tags), cancellationToken);

    /// <summary>Removes a tag; no error when there is none.</summary>
    public Task DeleteTagAsync(string id, string key, CancellationToken cancellationToken) =>
        ChangeAsync("UPDATE mlflow.logged_models SET tags = tags - $3, updated_ms = $2 WHERE id = $1 AND deleted_at IS NULL", id, new() { Value = key }, cancellationToken);

    /// <summary>Writes params; those that are there stay.</summary>
    public Task LogParamsAsync(string id, IReadOnlyList<KeyValue> parameters, CancellationToken cancellationToken) =>
        ChangeAsync("UPDATE mlflow.logged_models SET params = $3 || params, updated_ms = $2 WHERE id = $1 AND deleted_at IS NULL", id, Map(parameters), cancellationToken);

    /// <summary>A page of the logged models of some experiments, newest first after the given keys.</summary>
    public async Task<(IReadOnlyList<LoggedModel> Models, string? Next)> SearchAsync(
        long[] experimentIds, IReadOnlyList<FilterTerm> filter, IReadOnlyList<OrderTerm> orderBy, int limit, string? token, CancellationToken cancellationToken)
    {
        var sql = new SearchSql();
        sql.Where($"m.experiment_id = ANY ({sql.Add(experimentIds, NpgsqlDbType.Array | NpgsqlDbType.Bigint)}) AND m.deleted_at IS NULL");
        foreach (var term in filter)
            sql.Where(Compile(sql, term));
        foreach (var order in orderBy)
            AddOrder(sql, order);
        sql.OrderBy(new SortKey("m.created_ms", NpgsqlDbType.Bigint, Descending: true));
        sql.OrderBy(new SortKey("m.id", NpgsqlDbType.Text, Descending: false));
        var where = sql.BuildWhere(token);
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(sql.CreateCommand(
            $"SELECT {Columns}, {sql.KeyColumns} {From} {where} {sql.OrderByKeys} LIMIT {sql.Add(limit + 1, NpgsqlDbType.Integer)}"));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        var models = new List<LoggedModel>();
        string? last = null;
        while (await reader.ReadAsync(cancellationToken))
        {
            if (models.Count == limit)
                return (models, last);
            models.Add(Read(reader));
            if (models.Count == limit)
                last = sql.ReadToken(reader, 18);
        }
        return (models, null);
    }

    private async Task ChangeAsync(string sql, string id, NpgsqlParameter value, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(sql);
        command.Parameters.Add(new() { Value = id });
        command.Parameters.Add(new() { Value = time.GetUtcNow().ToUnixTimeMilliseconds() });
        command.Parameters.Add(value);
        if (await command.ExecuteNonQueryAsync(cancellationToken) == 0)
            throw MlflowErrors.LoggedModelNotFound(id);
    }

    private static string Compile(SearchSql sql, FilterTerm term) => (term.Name.Entity, term.Name.Key) switch
    {
        (null or "attribute" or "attributes", "name") => SearchConditions.Text(sql, term, "m.name"),
        (null or "attribute" or "attributes", "model_id") => SearchConditions.Text(sql, term, "m.id"),
        (null or "attribute" or "attributes", "model_type") => SearchConditions.Text(sql, term, "m.model_type"),
        (null or "attribute" or "attributes", "status") => SearchConditions.Text(sql, term, "replace(m.status, 'LOGGED_MODEL_', '')"),
        (null or "attribute" or "attributes", "source_run_id") => SearchConditions.Text(sql, term, "replace(m.source_run_id::text, '-', '')"),
        (null or "attribute" or "attributes", "creation_timestamp" or "creation_time") => SearchConditions.Number(sql, term, "m.created_ms"),
        (null or "attribute" or "attributes", "last_updated_timestamp") => SearchConditions.Number(sql, term, "m.updated_ms"),
        ("tag" or "tags", _) => SearchConditions.KeyedText(sql, term, "jsonb_each_text(m.tags) t (key, value) WHERE true", "t"),
        ("param" or "params", _) => SearchConditions.KeyedText(sql, term, "jsonb_each_text(m.params) p (key, value) WHERE true", "p"),
        ("metric" or "metrics", _) =>
            $"EXISTS (SELECT 1 FROM mlflow.logged_model_metrics l WHERE l.model_id = m.id AND l.key = {sql.Add(term.Name.Key, NpgsqlDbType.Text)} AND {SearchConditions.Metric(sql, term, "l.value")})",
        _ => throw SearchConditions.UnknownName(term.Name, Known),
    };

    private static void AddOrder(SearchSql sql, OrderTerm order)
    {
        if (order.Name.Entity is "metric" or "metrics")
        {
            var value = $"(SELECT max(l.value) FROM mlflow.logged_model_metrics l WHERE l.model_id = m.id AND l.value <> 'NaN' AND l.key = {sql.Add(order.Name.Key, NpgsqlDbType.Text)})";
            sql.OrderBy(new SortKey($"(CASE WHEN {value} IS NULL THEN 1 ELSE 0 END)", NpgsqlDbType.Integer, false));
            sql.OrderBy(new SortKey($"coalesce({value}, 0)", NpgsqlDbType.Double, order.Descending));
            return;
        }
        sql.OrderBy((order.Name.Entity, order.Name.Key) switch
        {
            (null, "name") => new SortKey("m.name", NpgsqlDbType.Text, order.Descending),
            (null, "model_id") => new SortKey("m.id", NpgsqlDbType.Text, order.Descending),
            (null, "creation_timestamp" or "creation_time") => new SortKey("m.created_ms", NpgsqlDbType.Bigint, order.Descending),
            (null, "last_updated_timestamp") => new SortKey("m.updated_ms", NpgsqlDbType.Bigint, order.Descending),
            _ => throw MlflowErrors.InvalidOrderBy(order.Name.Key, order.Name.Position, "known are name, model_id, creation_timestamp, last_updated_timestamp and metrics.<key>"),
        });
    }

    private static NpgsqlParameter Map(IReadOnlyList<KeyValue> pairs) => new()
    {
        Value = JsonSerializer.Serialize(pairs.ToDictionary(pair => pair.Key!, pair => pair.Value!), MlflowJson.Default.DictionaryStringString),
        NpgsqlDbType = NpgsqlDbType.Jsonb,
    };

    private static KeyValue[] Pairs(string json) =>
        [.. JsonSerializer.Deserialize(json, MlflowJson.Default.DictionaryStringString)!.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => new KeyValue(pair.Key, pair.Value))];

    private static LoggedModel Read(NpgsqlDataReader reader)
    {
        var id = reader.GetString(0);
        var info = new LoggedModelInfo(
            id, reader.GetInt64(1).ToString(), reader.GetString(2), reader.GetInt64(3), reader.GetInt64(4), $"{reader.GetString(5).TrimEnd('/')}/models/{id}/artifacts",
            reader.GetString(6), reader.GetValue(7) as string, reader.IsDBNull(8) ? null : reader.GetGuid(8).ToString("N"), Pairs(reader.GetString(9)));
        return new LoggedModel(info, new LoggedModelData(Pairs(reader.GetString(10)), ReadMetrics(reader, id)));
    }

    private static LoggedModelMetric[] ReadMetrics(NpgsqlDataReader reader, string id)
    {
        if (reader.IsDBNull(11))
            return [];
        var (keys, values) = (reader.GetFieldValue<string[]>(11), reader.GetFieldValue<double[]>(12));
        var (timestamps, steps, runs) = (reader.GetFieldValue<long[]>(13), reader.GetFieldValue<long[]>(14), reader.GetFieldValue<Guid[]>(15));
        var (names, digests) = (reader.GetFieldValue<string[]>(16), reader.GetFieldValue<string[]>(17));
        return [.. keys.Select((key, i) => new LoggedModelMetric(
            key, values[i], timestamps[i], steps[i], id, runs[i].ToString("N"), names[i].Length == 0 ? null : names[i], digests[i].Length == 0 ? null : digests[i]))];
    }
}
