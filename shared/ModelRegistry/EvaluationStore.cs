using System.Text.Json;
using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.ModelRegistry;

/// <summary>An evaluation that nobody waits for. Status is queued, succeeded or failed; a metric that the data does not have is null.</summary>
public sealed record StoredEvaluation(
    Guid EvaluationId, string Model, string DatasetPath, IReadOnlyList<string> Metrics, string Status, IReadOnlyDictionary<string, double?>? Results, long? Rows, string? Error,
    DateTimeOffset CreatedAt, DateTimeOffset? FinishedAt);

/// <summary>Evaluations in the background; the row is the truth, the orchestration moves it.</summary>
public sealed class EvaluationStore(NpgsqlDataSource database)
{
    /// <summary>Adds one that is queued.</summary>
    public async Task InsertAsync(
        Guid id, string name, string version, string datasetPath, IReadOnlyList<string> metrics, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            INSERT INTO models.evaluations (id, model_name, version, dataset_path, metrics, status, created_at) VALUES ($1, $2, $3, $4, $5, 'queued', $6)
            """);
        command.Parameters.Add(new() { Value = id });
        command.Parameters.Add(new() { Value = name });
        command.Parameters.Add(new() { Value = version });
        command.Parameters.Add(new() { Value = datasetPath });
        command.Parameters.Add(new() { Value = metrics.ToArray() });
        command.Parameters.Add(new() { Value = now });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>One, or null.</summary>
    public async Task<StoredEvaluation?> FindAsync(Guid id, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT model_name, version, dataset_path, metrics, status, results, rows, error, created_at, finished_at FROM models.evaluations WHERE id = $1
            """);
        command.Parameters.Add(new() { Value = id });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken)
            ? new StoredEvaluation(
                id, $"{reader.GetString(0)}:{reader.GetString(1)}", reader.GetString(2), reader.GetFieldValue<string[]>(3), reader.GetString(4),
                reader.IsDBNull(5) ? null : JsonSerializer.Deserialize(reader.GetString(5), HokusaiJson.Default.DictionaryStringNullableDouble),
                reader.IsDBNull(6) ? null : reader.GetInt64(6), reader.IsDBNull(7) ? null : reader.GetString(7), reader.GetFieldValue<DateTimeOffset>(8),
                reader.IsDBNull(9) ? null : reader.GetFieldValue<DateTimeOffset>(9))
            : null;
    }

    /// <summary>Ends one: with results, or with an error. One that ended already stays as it is.</summary>
    public async Task FinishAsync(Guid id, EvaluateResponse? results, string? error, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            UPDATE models.evaluations SET status = CASE WHEN $2::json IS NULL THEN 'failed' ELSE 'succeeded' END, results = $2::json, rows = $3, error = $4, finished_at = $5
            WHERE id = $1 AND status = 'queued'
            """);
        command.Parameters.Add(new() { Value = id });
        command.Parameters.Add(new()
        {
            Value = results is null ? DBNull.Value : JsonSerializer.Serialize(results.Results.ToDictionary(), HokusaiJson.Default.DictionaryStringNullableDouble),
            NpgsqlDbType = NpgsqlDbType.Text,
        });
        command.Parameters.Add(new() { Value = (object?)results?.Rows ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Bigint });
        command.Parameters.Add(new() { Value = (object?)error ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        command.Parameters.Add(new() { Value = now });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Those that have been queued since before a time, oldest first.</summary>
    public async Task<IReadOnlyList<Guid>> ListQueuedAsync(DateTimeOffset before, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("SELECT id FROM models.evaluations WHERE status = 'queued' AND created_at < $1 ORDER BY created_at, id LIMIT 1000");
        command.Parameters.Add(new() { Value = before });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var ids = new List<Guid>();
        while (await reader.ReadAsync(cancellationToken))
            ids.Add(reader.GetGuid(0));
        return ids;
    }

    /// <summary>Removes what ended before a time.</summary>
    public async Task PurgeAsync(DateTimeOffset before, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("DELETE FROM models.evaluations WHERE created_at < $1 AND status <> 'queued'");
        command.Parameters.Add(new() { Value = before });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }
}
