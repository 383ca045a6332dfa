using System.Diagnostics;
using System.Text.Json.Nodes;
using Npgsql;

namespace FunctionsRegistry.Airflow.Operators;

/// <summary>Measures this system: runs and tasks, the database, this process.</summary>
public sealed class CollectMetricsOperator(DagStore dags, NpgsqlDataSource database, TimeProvider time) : IOperator
{
    /// <inheritdoc/>
    public string Name => "collect_metrics";

    /// <inheritdoc/>
    public IReadOnlyList<OperatorParameter> Parameters => [];

    /// <inheritdoc/>
    public async Task<OperatorResult> RunAsync(OperatorCall attempt, CancellationToken cancellationToken)
    {
        var counts = await dags.CountAsync(cancellationToken);
        var metrics = new JsonObject
        {
            ["collected_at"] = time.GetUtcNow().UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ"),
            ["dags"] = new JsonObject { ["total"] = counts.Dags, ["active"] = counts.ActiveDags },
            ["dag_runs"] = new JsonObject { ["queued"] = counts.Queued, ["running"] = counts.Running, ["success"] = counts.Success, ["failed"] = counts.Failed },
            ["database"] = await MeasureDatabaseAsync(cancellationToken),
            ["process"] = MeasureProcess(),
        };
        attempt.Log.Write(metrics.ToJsonString());
        return new OperatorResult(metrics);
    }

    private async Task<JsonObject> MeasureDatabaseAsync(CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT pg_database_size(current_database()), (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()),
                (SELECT count(*) FROM airflow.task_instances WHERE state = 'running')
            """);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return new JsonObject { ["size_bytes"] = reader.GetInt64(0), ["connections"] = reader.GetInt64(1), ["tasks_running"] = reader.GetInt64(2) };
    }

    private JsonObject MeasureProcess()
    {
        using var process = Process.GetCurrentProcess();
        return new JsonObject
        {
            ["resident_bytes"] = process.WorkingSet64,
            ["heap_bytes"] = GC.GetTotalMemory(forceFullCollection: false),
            ["cpu_seconds"] = Math.Round(process.TotalProcessorTime.TotalSeconds, 2),
            ["threads"] = process.Threads.Count,
            ["uptime_seconds"] = Math.Round((time.GetUtcNow() - process.StartTime.ToUniversalTime()).TotalSeconds),
        };
    }
}
