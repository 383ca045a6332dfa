using System.Text.Json;
using FunctionsRegistry.Errors;
using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>MLflow's runs: rows, what they show, and search.</summary>
public sealed class RunStore(NpgsqlDataSource database, TimeProvider time)
{
    /// <summary>Most rows of one page.</summary>
    public const int MaxPage = 50_000;

    // Ordinals as in Read.
    private const string Columns = """
        r.id, r.experiment_id, r.name, r.user_id, r.status, r.start_ms, r.end_ms, r.deleted_at IS NOT NULL, e.artifact_location,
        m.keys, m.values, m.timestamps, m.steps, p.keys, p.values, t.keys, t.values, i.datasets, l.inputs, l.outputs
        """;

    private const string Joins = """
        JOIN mlflow.experiments e ON e.id = r.experiment_id
        CROSS JOIN LATERAL (
            SELECT array_agg(key) AS keys, array_agg(value) AS values, array_agg(timestamp_ms) AS timestamps, array_agg(step) AS steps
            FROM (SELECT key, value, timestamp_ms, step FROM mlflow.latest_metrics WHERE run_id = r.id ORDER BY key) x) m
        CROSS JOIN LATERAL (
            SELECT array_agg(key) AS keys, array_agg(value) AS values FROM (SELECT key, value FROM mlflow.params WHERE run_id = r.id ORDER BY key) x) p
        CROSS JOIN LATERAL (
            SELECT array_agg(key) AS keys, array_agg(value) AS values FROM (SELECT key, value FROM mlflow.tags WHERE run_id = r.id ORDER BY key) x) t
        CROSS JOIN LATERAL (
            SELECT json_agg(json_build_object('tags', i.tags, 'dataset', json_build_object('name', d.name, 'digest', d.digest,
                'source_type', d.source_type, 'source', d.source, 'schema', d.schema, 'profile', d.profile)) ORDER BY d.name, d.digest)::text AS datasets
            FROM mlflow.dataset_inputs i JOIN mlflow.datasets d ON d.id = i.dataset_id WHERE i.run_id = r.id) i
        CROSS JOIN LATERAL (
            SELECT (json_agg(json_build_object('model_id', model_id) ORDER BY model_id) FILTER (WHERE NOT is_output))::text AS inputs,
                (json_agg(json_build_object('model_id', model_id, 'step', step) ORDER BY model_id) FILTER (WHERE is_output))::text AS outputs
            FROM mlflow.model_links WHERE run_id = r.id) l
        """;

    /// <summary>A new run in an active experiment.</summary>
    public async Task<Run> CreateAsync(
        long experimentId, string name, string userId, long startMs, IReadOnlyList<KeyValue> tags, CancellationToken cancellationToken)
    {
        const string Sql = """
            WITH created AS (
                INSERT INTO mlflow.runs (id, experiment_id, name, user_id, status, start_ms)
                SELECT $1, id, $3, $4, 'RUNNING', $5 FROM mlflow.experiments WHERE id = $2 AND deleted_at IS NULL RETURNING id),
            tagged AS (INSERT INTO mlflow.tags (run_id, key, value) SELECT created.id, t.key, t.value FROM created, unnest($6::text[], $7::text[]) t (key, value))
            SELECT (SELECT id FROM created), e.id, e.artifact_location FROM (SELECT 1) one LEFT JOIN mlflow.experiments e ON e.id = $2
            """;
        var id = Guid.CreateVersion7(time.GetUtcNow());
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = id });
        command.Parameters.Add(new() { Value = experimentId });
        command.Parameters.Add(new() { Value = name });
        command.Parameters.Add(new() { Value = userId });
        command.Parameters.Add(new() { Value = startMs });
        command.Parameters.Add(new() { Value = tags.Select(tag => tag.Key!).ToArray() });
        command.Parameters.Add(new() { Value = tags.Select(tag => tag.Value!).ToArray() });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        if (reader.IsDBNull(1))
            throw MlflowErrors.ExperimentNotFound(experimentId.ToString());
        if (reader.IsDBNull(0))
            throw MlflowErrors.WrongState("experiment", experimentId.ToString(), isDeleted: true);
        var info = Info(id, experimentId, name, userId, "RUNNING", startMs, null, isDeleted: false, reader.GetValue(2) as string);
        return new Run(info, new RunData([], [], tags), new RunInputs([], []), new RunOutputs([]));
    }

    /// <summary>A run in any state, or null.</summary>
    public async Task<Run?> FindAsync(Guid id, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"SELECT {Columns} FROM mlflow.runs r {Joins} WHERE r.id = $1");
        command.Parameters.Add(new() { Value = id });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    /// <summary>A run in any state.</summary>
    /// <exception cref="RegistryException">RESOURCE_DOES_NOT_EXIST.</exception>
    public async Task<Run> GetAsync(Guid id, CancellationToken cancellationToken) =>
        await FindAsync(id, cancellationToken) ?? throw MlflowErrors.RunNotFound(id.ToString("N"));

    /// <summary>The latest metrics of several runs.</summary>
    public async Task<ILookup<Guid, Metric>> ListMetricsAsync(Guid[] ids, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(
            "SELECT run_id, key, value, timestamp_ms, step FROM mlflow.latest_metrics WHERE run_id = ANY ($1) ORDER BY run_id, key");
        command.Parameters.Add(new() { Value = ids });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var found = new List<(Guid Run, Metric Metric)>();
        while (await reader.ReadAsync(cancellationToken))
            found.Add((reader.GetGuid(0), new Metric(reader.GetString(1), reader.GetDouble(2), reader.GetInt64(3), reader.GetInt64(4))));
        return found.ToLookup(pair => pair.Run, pair => pair.Metric);
    }

    /// <summary>Changes what is not null of an active run.</summary>
    public async Task<RunInfo> UpdateAsync(Guid id, string? status, long? endMs, string? name, CancellationToken cancellationToken)
    {
        const string Sql = """
            WITH changed AS (
                UPDATE mlflow.runs SET status = coalesce($2, status), end_ms = coalesce($3, end_ms), name = coalesce($4, name)
                WHERE id = $1 AND deleted_at IS NULL RETURNING id, experiment_id, name, user_id, status, start_ms, end_ms),
            tagged AS (
                INSERT INTO mlflow.tags (run_id, key, value) SELECT id, 'mlflow.runName', $4 FROM changed WHERE $4 IS NOT NULL
                ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value)
            SELECT r.experiment_id, r.name, r.user_id, r.status, r.start_ms, r.end_ms, e.artifact_location
            FROM changed r JOIN mlflow.experiments e ON e.id = r.experiment_id
            """;
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = id });
        command.Parameters.Add(new() { Value = (object?)status ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        command.Parameters.Add(new() { Value = (object?)endMs ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Bigint });
        command.Parameters.Add(new() { Value = (object?)name ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        await using (var reader = await command.ExecuteReaderAsync(cancellationToken))
            if (await reader.ReadAsync(cancellationToken))
                return Info(id, reader.GetInt64(0), reader.GetString(1), reader.GetString(2), reader.GetString(3), reader.GetInt64(4),
                    reader.IsDBNull(5) ? null : reader.GetInt64(5), isDeleted: false, reader.GetValue(6) as string);
        await GetAsync(id, cancellationToken);
        throw MlflowErrors.WrongState("run", id.ToString("N"), isDeleted: true);
    }

    /// <summary>Deletes a run so that it can be restored, or restores it; either may be repeated.</summary>
    public async Task SetDeletedAsync(Guid id, bool isDeleted, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(isDeleted
            ? "UPDATE mlflow.runs SET deleted_at = coalesce(deleted_at, $2) WHERE id = $1"
            : "UPDATE mlflow.runs SET deleted_at = NULL WHERE id = $1 AND $2 IS NOT NULL");
        command.Parameters.Add(new() { Value = id });
        command.Parameters.Add(new() { Value = time.GetUtcNow() });
        if (await command.ExecuteNonQueryAsync(cancellationToken) == 0)
            throw MlflowErrors.RunNotFound(id.ToString("N"));
    }

    /// <summary>Removes a tag of an active run.</summary>
    public async Task DeleteTagAsync(Guid id, string key, CancellationToken cancellationToken)
    {
        const string Sql = """
            WITH removed AS (
                DELETE FROM mlflow.tags t USING mlflow.runs r WHERE t.run_id = $1 AND t.key = $2 AND r.id = t.run_id AND r.deleted_at IS NULL RETURNING t.key)
            SELECT r.deleted_at IS NOT NULL, EXISTS (SELECT 1 FROM removed) FROM mlflow.runs r WHERE r.id = $1
            """;
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = id });
        command.Parameters.Add(new() { Value = key });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            throw MlflowErrors.RunNotFound(id.ToString("N"));
        if (reader.GetBoolean(0))
            throw MlflowErrors.WrongState("run", id.ToString("N"), isDeleted: true);
        if (!reader.GetBoolean(1))
            throw MlflowErrors.TagNotFound(key, id.ToString("N"));
    }

    /// <summary>A page of the runs of some experiments, newest first after the given sort keys.</summary>
    public async Task<(IReadOnlyList<Run> Runs, string? Next)> SearchAsync(
        long[] experimentIds, IReadOnlyList<FilterTerm> filter, IReadOnlyList<OrderTerm> orderBy, ViewType view, int limit, string? token,
        CancellationToken cancellationToken)
    {
        var sql = new SearchSql();
        // One experiment is the usual case, and only then the index gives the default order.
        sql.Where(experimentIds.Length == 1
            ? $"r.experiment_id = {sql.Add(experimentIds[0], NpgsqlDbType.Bigint)}"
            : $"r.experiment_id = ANY ({sql.Add(experimentIds, NpgsqlDbType.Array | NpgsqlDbType.Bigint)})");
        if (view != ViewType.All)
            sql.Where(view == ViewType.ActiveOnly ? "r.deleted_at IS NULL" : "r.deleted_at IS NOT NULL");
        foreach (var term in filter)
            sql.Where(RunSearch.Compile(sql, term));
        foreach (var order in orderBy)
            RunSearch.AddOrder(sql, order);
        sql.OrderBy(new SortKey("r.start_ms", NpgsqlDbType.Bigint, Descending: true));
        sql.OrderBy(new SortKey("r.id", NpgsqlDbType.Uuid, Descending: false));
        var where = sql.BuildWhere(token);
        var text = $"""
            WITH r AS (
                SELECT r.*, {sql.KeyColumns} FROM mlflow.runs r {sql.Joins} {where} {sql.OrderByKeys} LIMIT {sql.Add(limit + 1, NpgsqlDbType.Integer)})
            SELECT {Columns}, {sql.Columns("r")} FROM r {Joins} {sql.OrderByColumns("r")}
            """;
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(sql.CreateCommand(text));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        var runs = new List<Run>();
        string? last = null;
        while (await reader.ReadAsync(cancellationToken))
        {
            if (runs.Count == limit)
                return (runs, last);
            runs.Add(Read(reader));
            if (runs.Count == limit)
                last = sql.ReadToken(reader, 20);
        }
        return (runs, null);
    }

    /// <summary>Where the artifacts of a run are, as its clients are told.</summary>
    public static string ArtifactUri(string? experimentLocation, long experimentId, Guid runId) =>
        $"{(experimentLocation ?? $"mlflow-artifacts:/{experimentId}").TrimEnd('/')}/{runId:N}/artifacts";

    private static RunInfo Info(
        Guid id, long experimentId, string name, string userId, string status, long startMs, long? endMs, bool isDeleted, string? location) =>
        new(id.ToString("N"), id.ToString("N"), name, experimentId.ToString(), userId, status, startMs, endMs, ArtifactUri(location, experimentId, id),
            isDeleted ? "deleted" : "active");

    private static Run Read(NpgsqlDataReader reader)
    {
        var info = Info(reader.GetGuid(0), reader.GetInt64(1), reader.GetString(2), reader.GetString(3), reader.GetString(4), reader.GetInt64(5),
            reader.IsDBNull(6) ? null : reader.GetInt64(6), reader.GetBoolean(7), reader.GetValue(8) as string);
        var datasets = ReadJson(reader, 17, MlflowJson.Default.DatasetInputArray);
        var inputs = ReadJson(reader, 18, MlflowJson.Default.ModelOutputArray);
        var outputs = ReadJson(reader, 19, MlflowJson.Default.ModelOutputArray);
        return new Run(
            info, new RunData(ReadMetrics(reader), ReadPairs(reader, 13), ReadPairs(reader, 15)),
            new RunInputs(datasets, [.. inputs.Select(model => new ModelInput(model.ModelId))]), new RunOutputs(outputs));
    }

    private static Metric[] ReadMetrics(NpgsqlDataReader reader)
    {
        if (reader.IsDBNull(9))
            return [];
        var (keys, values) = (reader.GetFieldValue<string[]>(9), reader.GetFieldValue<double[]>(10));
        var (timestamps, steps) = (reader.GetFieldValue<long[]>(11), reader.GetFieldValue<long[]>(12));
        return [.. keys.Select((key, i) => new Metric(key, values[i], timestamps[i], steps[i]))];
    }

    private static KeyValue[] ReadPairs(NpgsqlDataReader reader, int column) => reader.IsDBNull(column)
        ? []
        : [.. reader.GetFieldValue<string[]>(column).Zip(reader.GetFieldValue<string[]>(column + 1), (key, value) => new KeyValue(key, value))];

    private static T[] ReadJson<T>(NpgsqlDataReader reader, int column, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T[]> type) =>
        reader.IsDBNull(column) ? [] : JsonSerializer.Deserialize(reader.GetString(column), type)!;
}
