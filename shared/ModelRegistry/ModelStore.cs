using FunctionsRegistry.ModelRegistry.Mlflow;
using Npgsql;

namespace FunctionsRegistry.ModelRegistry;

/// <summary>Predictions of one day, added up.</summary>
public sealed record PredictionDay(
    DateOnly Day, long Predictions, long Errors, double LatencyMs, long Latencies, long Labelled, long Correct, DateTimeOffset FirstAt, DateTimeOffset LastAt);

/// <summary>What the Hokusai routes read beside MLflow's own rows: histories, contributions, production, predictions.</summary>
public sealed class ModelStore(NpgsqlDataSource database, TimeProvider time)
{
    /// <summary>Most versions that one history or list shows.</summary>
    public const int MaxVersions = 1000;

    /// <summary>The versions of a model in ascending order, the newest <see cref="MaxVersions"/>, and how many there are; null where there is no such model.</summary>
    public async Task<(IReadOnlyList<ModelVersion> Versions, int Total)?> ListVersionsAsync(string name, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(Command("""
            SELECT (SELECT count(*) FROM mlflow.model_versions v WHERE v.model_id = m.id)::integer FROM mlflow.registered_models m WHERE m.name = $1
            """, name));
        batch.BatchCommands.Add(Command($"SELECT {ModelVersionStore.Columns} {ModelVersionStore.From} WHERE m.name = $1 ORDER BY v.version DESC LIMIT {MaxVersions}", name));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            return null;
        var total = reader.GetInt32(0);
        await reader.NextResultAsync(cancellationToken);
        var versions = await ModelVersionStore.ReadAllAsync(reader, cancellationToken);
        versions.Reverse();
        return (versions, total);
    }

    /// <summary>The version before another of the same model, or null.</summary>
    public async Task<int?> FindPreviousAsync(string name, int version, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"SELECT max(v.version) {ModelVersionStore.From} WHERE m.name = $1 AND v.version < $2");
        command.Parameters.Add(new() { Value = name });
        command.Parameters.Add(new() { Value = version });
        return await command.ExecuteScalarAsync(cancellationToken) as int?;
    }

    /// <summary>Versions that an address contributed, oldest first.</summary>
    public async Task<IReadOnlyList<ModelVersion>> ListContributionsAsync(string address, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"""
            SELECT {ModelVersionStore.Columns} FROM mlflow.model_version_tags c
            JOIN mlflow.model_versions v ON v.model_id = c.model_id AND v.version = c.version JOIN mlflow.registered_models m ON m.id = v.model_id
            WHERE c.key = 'contributor_address' AND lower(c.value) = lower($1) ORDER BY v.created_ms, m.name, v.version LIMIT 10000
            """);
        command.Parameters.Add(new() { Value = address });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await ModelVersionStore.ReadAllAsync(reader, cancellationToken);
    }

    /// <summary>The versions in production, deployed last first.</summary>
    public async Task<IReadOnlyList<ProductionModel>> ListProductionAsync(CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"""
            SELECT m.name, v.version, v.stage, v.stage_at {ModelVersionStore.From} WHERE v.stage = 'Production'
            ORDER BY v.stage_at DESC, m.name, v.version DESC LIMIT {MaxVersions}
            """);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var models = new List<ProductionModel>();
        while (await reader.ReadAsync(cancellationToken))
            models.Add(new ProductionModel(reader.GetString(0), reader.GetInt32(1).ToString(), reader.GetString(2), reader.GetFieldValue<DateTimeOffset>(3)));
        return models;
    }

    /// <summary>Adds predictions up by day, once per batch id; false where the batch was counted before, null where there is no such version.</summary>
    public async Task<bool?> AddPredictionsAsync(string name, int version, string batchId, IReadOnlyList<PredictionDay> days, CancellationToken cancellationToken)
    {
        const string Sql = """
            WITH target AS (
                SELECT v.model_id, v.version FROM mlflow.model_versions v JOIN mlflow.registered_models m ON m.id = v.model_id WHERE m.name = $1 AND v.version = $2),
            claimed AS (
                INSERT INTO models.prediction_batches (model_id, version, batch_id, sent_at) SELECT model_id, version, $3, $4 FROM target
                ON CONFLICT DO NOTHING RETURNING model_id, version),
            added AS (
                INSERT INTO models.prediction_days AS d (model_id, version, day, predictions, errors, latency_ms, latencies, labelled, correct, first_at, last_at)
                SELECT c.model_id, c.version, n.* FROM claimed c,
                    unnest($5::date[], $6::bigint[], $7::bigint[], $8::double precision[], $9::bigint[], $10::bigint[], $11::bigint[], $12::timestamptz[], $13::timestamptz[]) n
                ON CONFLICT (model_id, version, day) DO UPDATE SET predictions = d.predictions + excluded.predictions, errors = d.errors + excluded.errors,
                    latency_ms = d.latency_ms + excluded.latency_ms, latencies = d.latencies + excluded.latencies, labelled = d.labelled + excluded.labelled,
                    correct = d.correct + excluded.correct, first_at = least(d.first_at, excluded.first_at), last_at = greatest(d.last_at, excluded.last_at))
            SELECT EXISTS (SELECT 1 FROM target), EXISTS (SELECT 1 FROM claimed)
            """;
        var command = Command(
            Sql, name, version, batchId, time.GetUtcNow(), days.Select(day => day.Day).ToArray(), days.Select(day => day.Predictions).ToArray(),
            days.Select(day => day.Errors).ToArray(), days.Select(day => day.LatencyMs).ToArray(), days.Select(day => day.Latencies).ToArray(),
            days.Select(day => day.Labelled).ToArray(), days.Select(day => day.Correct).ToArray(), days.Select(day => day.FirstAt).ToArray(),
            days.Select(day => day.LastAt).ToArray());
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(command);
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return reader.GetBoolean(0) ? reader.GetBoolean(1) : null;
    }

    /// <summary>The days on which predictions of a version were reported, in order.</summary>
    public async Task<IReadOnlyList<PredictionDay>> ListPredictionDaysAsync(string name, int version, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT d.day, d.predictions, d.errors, d.latency_ms, d.latencies, d.labelled, d.correct, d.first_at, d.last_at
            FROM models.prediction_days d JOIN mlflow.registered_models m ON m.id = d.model_id WHERE m.name = $1 AND d.version = $2 ORDER BY d.day
            """);
        command.Parameters.Add(new() { Value = name });
        command.Parameters.Add(new() { Value = version });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var days = new List<PredictionDay>();
        while (await reader.ReadAsync(cancellationToken))
            days.Add(new PredictionDay(
                reader.GetFieldValue<DateOnly>(0), reader.GetInt64(1), reader.GetInt64(2), reader.GetDouble(3), reader.GetInt64(4), reader.GetInt64(5), reader.GetInt64(6),
                reader.GetFieldValue<DateTimeOffset>(7), reader.GetFieldValue<DateTimeOffset>(8)));
        return days;
    }

    /// <summary>Forgets the ids of batches sent before a time.</summary>
    public async Task PurgeBatchesAsync(DateTimeOffset before, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("DELETE FROM models.prediction_batches WHERE sent_at < $1");
        command.Parameters.Add(new() { Value = before });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    private static NpgsqlBatchCommand Command(string sql, params object[] values)
    {
        var command = new NpgsqlBatchCommand(sql);
        foreach (var value in values)
            command.Parameters.Add(new() { Value = value });
        return command;
    }
}
