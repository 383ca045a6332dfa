using System.Text.Json;
using System.Text.Json.Nodes;
using FunctionsRegistry.Errors;
using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>A batch that was checked: keys sorted, so that two batches of one run lock rows in the same order.</summary>
/// <param name="Latest">The highest point of each metric in the batch.</param>
public sealed record RunBatch(IReadOnlyList<Metric> Points, IReadOnlyList<Metric> Latest, IReadOnlyList<KeyValue> Params, IReadOnlyList<KeyValue> Tags)
{
    /// <summary>The point of a logged model's metric, MLflow 3.</summary>
    public IReadOnlyList<MetricRequest> ModelMetrics { get; init; } = [];
}

/// <summary>What runs log: metrics, params, tags, inputs; and metric histories.</summary>
public sealed class RunLogStore(NpgsqlDataSource database, TimeProvider time)
{
    // One statement: all of it or nothing, in one round trip, and the same effect however often it is sent. The run's row is locked against
    // permanent deletion only, which takes the place of foreign keys. A param with another value ends the statement (mlflow.refuse_param).
    private const string LogSql = """
        WITH run AS MATERIALIZED (SELECT id, deleted_at FROM mlflow.runs WHERE id = $1 FOR KEY SHARE),
        active AS (SELECT id FROM run WHERE deleted_at IS NULL),
        points AS (
            INSERT INTO mlflow.metric_points (run_id, key, timestamp_ms, step, value)
            SELECT active.id, n.key, n.timestamp_ms, n.step, n.value
            FROM active, unnest($2::text[], $3::bigint[], $4::bigint[], $5::double precision[]) n (key, timestamp_ms, step, value)
            ON CONFLICT DO NOTHING),
        latest AS (
            INSERT INTO mlflow.latest_metrics AS l (run_id, key, timestamp_ms, step, value)
            SELECT active.id, n.key, n.timestamp_ms, n.step, n.value
            FROM active, unnest($6::text[], $7::bigint[], $8::bigint[], $9::double precision[]) n (key, timestamp_ms, step, value)
            ON CONFLICT (run_id, key) DO UPDATE SET timestamp_ms = excluded.timestamp_ms, step = excluded.step, value = excluded.value
            WHERE (excluded.step, excluded.timestamp_ms, excluded.value) > (l.step, l.timestamp_ms, l.value)),
        changed AS (
            INSERT INTO mlflow.params AS p (run_id, key, value)
            SELECT active.id, n.key, n.value FROM active, unnest($10::text[], $11::text[]) n (key, value)
            ON CONFLICT (run_id, key) DO UPDATE SET value = p.value WHERE p.value <> excluded.value
            RETURNING p.key, p.value, xmax <> 0 AS existed),
        tagged AS (
            INSERT INTO mlflow.tags AS t (run_id, key, value)
            SELECT active.id, n.key, n.value FROM active, unnest($12::text[], $13::text[]) n (key, value)
            ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value WHERE t.value <> excluded.value),
        named AS (UPDATE mlflow.runs r SET name = $14 FROM active WHERE r.id = active.id AND $14 IS NOT NULL)
        SELECT run.deleted_at IS NOT NULL, (SELECT count(mlflow.refuse_param(key, value)) FROM changed WHERE existed) FROM run
        """;

    private const string ModelMetricSql = """
        INSERT INTO mlflow.logged_model_metrics AS l (model_id, run_id, key, dataset_name, dataset_digest, value, timestamp_ms, step)
        SELECT DISTINCT ON (m.id, n.key, n.name, n.digest) m.id, r.id, n.key, n.name, n.digest, n.value, n.timestamp_ms, n.step
        FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::double precision[], $7::bigint[], $8::bigint[])
            n (model_id, key, name, digest, value, timestamp_ms, step)
        JOIN mlflow.runs r ON r.id = $1 AND r.deleted_at IS NULL
        JOIN mlflow.logged_models m ON m.id = n.model_id
        ORDER BY m.id, n.key, n.name, n.digest, n.step DESC, n.timestamp_ms DESC, n.value DESC
        ON CONFLICT (model_id, key, run_id, dataset_name, dataset_digest) DO UPDATE
        SET value = excluded.value, timestamp_ms = excluded.timestamp_ms, step = excluded.step
        WHERE (excluded.step, excluded.timestamp_ms, excluded.value) > (l.step, l.timestamp_ms, l.value)
        """;

    /// <summary>Stores a batch of an active run.</summary>
    /// <exception cref="RegistryException">The run is missing or deleted, or a param has another value; then nothing of the batch is stored.</exception>
    public async Task LogAsync(Guid runId, RunBatch batch, CancellationToken cancellationToken)
    {
        await using var commands = database.CreateBatch();
        commands.BatchCommands.Add(LogCommand(runId, batch));
        if (batch.ModelMetrics.Count > 0)
            commands.BatchCommands.Add(ModelMetricCommand(runId, batch.ModelMetrics));
        try
        {
            await using var reader = await commands.ExecuteReaderAsync(cancellationToken);
            if (!await reader.ReadAsync(cancellationToken))
                throw MlflowErrors.RunNotFound(runId.ToString("N"));
            if (reader.GetBoolean(0))
                throw MlflowErrors.WrongState("run", runId.ToString("N"), isDeleted: true);
        }
        catch (PostgresException exception) when (exception.SqlState == "ML001")
        {
            throw ParamChanged(runId, batch, exception.MessageText);
        }
    }

    /// <summary>A page of a metric's history in order of time, step and value.</summary>
    /// <param name="after">The last point of the page before, or null.</param>
    public async Task<(IReadOnlyList<Metric> Points, bool More)> ListHistoryAsync(
        Guid runId, string key, Metric? after, int limit, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(Command("SELECT 1 FROM mlflow.runs WHERE id = $1", runId));
        batch.BatchCommands.Add(Command($"""
            SELECT value, timestamp_ms, step FROM mlflow.metric_points
            WHERE run_id = $1 AND key = $2 {(after is null ? "" : "AND (timestamp_ms, step, value) > ($4, $5, $6)")}
            ORDER BY timestamp_ms, step, value LIMIT $3
            """, after is null ? [runId, key, limit + 1] : [runId, key, limit + 1, after.Timestamp, after.Step, after.Value]));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            throw MlflowErrors.RunNotFound(runId.ToString("N"));
        await reader.NextResultAsync(cancellationToken);
        var points = new List<Metric>();
        while (await reader.ReadAsync(cancellationToken))
        {
            if (points.Count == limit)
                return (points, true);
            points.Add(new Metric(key, reader.GetDouble(0), reader.GetInt64(1), reader.GetInt64(2)));
        }
        return (points, false);
    }

    /// <summary>The first points of one metric of several runs, in the order of the ids; each point says its run.</summary>
    public async Task<IReadOnlyList<Metric>> ListHistoriesAsync(Guid[] runIds, string key, int limit, CancellationToken cancellationToken)
    {
        const string Sql = """
            SELECT wanted.id, p.value, p.timestamp_ms, p.step FROM unnest($1::uuid[]) WITH ORDINALITY wanted (id, place)
            JOIN mlflow.metric_points p ON p.run_id = wanted.id AND p.key = $2
            ORDER BY wanted.place, p.timestamp_ms, p.step, p.value LIMIT $3
            """;
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = runIds });
        command.Parameters.Add(new() { Value = key });
        command.Parameters.Add(new() { Value = limit });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var points = new List<Metric>();
        while (await reader.ReadAsync(cancellationToken))
            points.Add(new Metric(key, reader.GetDouble(1), reader.GetInt64(2), reader.GetInt64(3), reader.GetGuid(0).ToString("N")));
        return points;
    }

    /// <summary>Links datasets and MLflow 3's logged models to an active run; what is linked already stays.</summary>
    public async Task LogInputsAsync(
        Guid runId, IReadOnlyList<DatasetInput> datasets, IReadOnlyList<ModelOutput> models, bool areOutputs, CancellationToken cancellationToken)
    {
        const string DatasetSql = """
            INSERT INTO mlflow.datasets (id, experiment_id, name, digest, source_type, source, schema, profile)
            SELECT n.id, r.experiment_id, n.name, n.digest, n.source_type, n.source, n.schema, n.profile
            FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) n (id, name, digest, source_type, source, schema, profile)
            JOIN mlflow.runs r ON r.id = $1 AND r.deleted_at IS NULL
            ORDER BY n.name, n.digest ON CONFLICT DO NOTHING
            """;
        const string InputSql = """
            INSERT INTO mlflow.dataset_inputs (run_id, dataset_id, tags)
            SELECT r.id, d.id, n.tags::jsonb FROM unnest($2::text[], $3::text[], $4::text[]) n (name, digest, tags)
            JOIN mlflow.runs r ON r.id = $1 AND r.deleted_at IS NULL
            JOIN mlflow.datasets d ON d.experiment_id = r.experiment_id AND d.name = n.name AND d.digest = n.digest
            ORDER BY d.id ON CONFLICT DO NOTHING
            """;
        const string LinkSql = """
            INSERT INTO mlflow.model_links (run_id, model_id, is_output, step)
            SELECT r.id, n.model_id, $4, n.step FROM unnest($2::text[], $3::bigint[]) n (model_id, step)
            JOIN mlflow.runs r ON r.id = $1 AND r.deleted_at IS NULL ORDER BY n.model_id
            ON CONFLICT DO NOTHING
            """;
        string[] Texts(Func<Dataset, string?> pick) => [.. datasets.Select(input => pick(input.Dataset!)!)];
        var names = Texts(dataset => dataset.Name);
        var digests = Texts(dataset => dataset.Digest);
        var tags = datasets.Select(input => JsonSerializer.Serialize(input.Tags ?? [], MlflowJson.Default.IReadOnlyListKeyValue)).ToArray();
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(Command("SELECT deleted_at IS NOT NULL FROM mlflow.runs WHERE id = $1 FOR KEY SHARE", runId));
        batch.BatchCommands.Add(Command(DatasetSql, runId, datasets.Select(_ => Guid.CreateVersion7(time.GetUtcNow())).ToArray(), names, digests,
            Texts(dataset => dataset.SourceType), Texts(dataset => dataset.Source), Texts(dataset => dataset.Schema), Texts(dataset => dataset.Profile)));
        batch.BatchCommands.Add(Command(InputSql, runId, names, digests, tags));
        batch.BatchCommands.Add(Command(LinkSql, runId, models.Select(model => model.ModelId!).ToArray(), models.Select(model => model.Step).ToArray(), areOutputs));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            throw MlflowErrors.RunNotFound(runId.ToString("N"));
        if (reader.GetBoolean(0))
            throw MlflowErrors.WrongState("run", runId.ToString("N"), isDeleted: true);
    }

    /// <summary>Appends a model's MLmodel to the run's history tag, as MLflow 2's log_model does.</summary>
    public async Task LogModelAsync(Guid runId, JsonObject model, CancellationToken cancellationToken)
    {
        const string Key = "mlflow.log-model.history";
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await using var find = new NpgsqlCommand("""
            SELECT r.deleted_at IS NOT NULL, (SELECT value FROM mlflow.tags t WHERE t.run_id = r.id AND t.key = $2) FROM mlflow.runs r WHERE r.id = $1 FOR NO KEY UPDATE
            """, connection, transaction);
        find.Parameters.Add(new() { Value = runId });
        find.Parameters.Add(new() { Value = Key });
        string? stored;
        await using (var reader = await find.ExecuteReaderAsync(cancellationToken))
        {
            if (!await reader.ReadAsync(cancellationToken))
                throw MlflowErrors.RunNotFound(runId.ToString("N"));
            if (reader.GetBoolean(0))
                throw MlflowErrors.WrongState("run", runId.ToString("N"), isDeleted: true);
            stored = reader.GetValue(1) as string;
        }
        var history = ReadHistory(stored);
        history.Add(model.DeepClone());
        await using var write = new NpgsqlCommand("""
            INSERT INTO mlflow.tags (run_id, key, value) VALUES ($1, $2, $3) ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value
            """, connection, transaction);
        write.Parameters.Add(new() { Value = runId });
        write.Parameters.Add(new() { Value = Key });
        write.Parameters.Add(new() { Value = history.ToJsonString() });
        await write.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
    }

    // A client may have set the tag to anything; what is no history is replaced by one.
    private static JsonArray ReadHistory(string? stored)
    {
        try
        {
            return stored is null ? [] : JsonNode.Parse(stored) as JsonArray ?? [];
        }
        catch (JsonException)
        {
            return [];
        }
    }

    private static NpgsqlBatchCommand LogCommand(Guid runId, RunBatch batch) => Command(
        LogSql, runId,
        batch.Points.Select(point => point.Key).ToArray(), batch.Points.Select(point => point.Timestamp).ToArray(),
        batch.Points.Select(point => point.Step).ToArray(), batch.Points.Select(point => point.Value).ToArray(),
        batch.Latest.Select(point => point.Key).ToArray(), batch.Latest.Select(point => point.Timestamp).ToArray(),
        batch.Latest.Select(point => point.Step).ToArray(), batch.Latest.Select(point => point.Value).ToArray(),
        batch.Params.Select(param => param.Key!).ToArray(), batch.Params.Select(param => param.Value!).ToArray(),
        batch.Tags.Select(tag => tag.Key!).ToArray(), batch.Tags.Select(tag => tag.Value!).ToArray(),
        (object?)batch.Tags.FirstOrDefault(tag => tag.Key == "mlflow.runName")?.Value ?? DBNull.Value);

    private static NpgsqlBatchCommand ModelMetricCommand(Guid runId, IReadOnlyList<MetricRequest> metrics) => Command(
        ModelMetricSql, runId, metrics.Select(metric => metric.ModelId!).ToArray(), metrics.Select(metric => metric.Key!).ToArray(),
        metrics.Select(metric => metric.DatasetName ?? "").ToArray(), metrics.Select(metric => metric.DatasetDigest ?? "").ToArray(),
        metrics.Select(metric => metric.Value!.Value).ToArray(), metrics.Select(metric => metric.Timestamp!.Value).ToArray(),
        metrics.Select(metric => metric.Step ?? 0).ToArray());

    private static NpgsqlBatchCommand Command(string sql, params object[] values)
    {
        var command = new NpgsqlBatchCommand(sql);
        foreach (var value in values)
            command.Parameters.Add(value is DBNull ? new NpgsqlParameter { Value = value, NpgsqlDbType = NpgsqlDbType.Text } : new NpgsqlParameter { Value = value });
        return command;
    }

    private static RegistryException ParamChanged(Guid runId, RunBatch batch, string message)
    {
        var found = JsonNode.Parse(message)!;
        var key = (string)found["key"]!;
        return MlflowErrors.ParamChanged(runId.ToString("N"), key, (string)found["value"]!, batch.Params.First(param => param.Key == key).Value!);
    }
}
