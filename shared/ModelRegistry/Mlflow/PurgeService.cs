using FunctionsRegistry.Errors;
using Microsoft.Extensions.Configuration;
using Npgsql;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>Settings of the native MLflow store.</summary>
/// <param name="DeletedRetention"><c>Mlflow__DeletedRetentionDays</c>: deleted runs and experiments are purged after so many days; unset: never.</param>
public sealed record MlflowOptions(TimeSpan? DeletedRetention)
{
    /// <summary>Reads the settings named above.</summary>
    /// <exception cref="InvalidOperationException">Not a whole number of days of at least 1.</exception>
    public static MlflowOptions FromConfiguration(IConfiguration configuration)
    {
        var text = configuration["Mlflow:DeletedRetentionDays"];
        if (string.IsNullOrEmpty(text))
            return new MlflowOptions((TimeSpan?)null);
        return int.TryParse(text, out var days) && days >= 1
            ? new MlflowOptions(TimeSpan.FromDays(days))
            : throw new InvalidOperationException($"Mlflow__DeletedRetentionDays must be a whole number of days of at least 1, not '{text}'.");
    }
}

/// <summary>Permanent deletion, artifacts included: of what was deleted before, so that nothing goes by one wrong call.</summary>
public sealed class PurgeService(
    NpgsqlDataSource database, ArtifactService artifacts, ModelVersionStore versions, RunStore runs, ExperimentStore experiments, LoggedModelStore loggedModels, MlflowOptions options, TimeProvider time)
{
    /// <summary>Purges a deleted run.</summary>
    /// <exception cref="RegistryException">The run is missing or active.</exception>
    public async Task PurgeRunAsync(Guid id, CancellationToken cancellationToken)
    {
        if ((await runs.GetAsync(id, cancellationToken)).Info.LifecycleStage == "active")
            throw MlflowErrors.WrongState("run", id.ToString("N"), isDeleted: false);
        await RemoveRunAsync(id, cancellationToken);
    }

    /// <summary>Purges a deleted experiment with all its runs.</summary>
    /// <exception cref="RegistryException">The experiment is missing, active, or the one that must exist.</exception>
    public async Task PurgeExperimentAsync(long id, CancellationToken cancellationToken)
    {
        if (id == 0)
            throw MlflowErrors.Invalid("The experiment 0 must exist: clients log to it when they name none.");
        var experiment = await experiments.FindAsync(id, cancellationToken) ?? throw MlflowErrors.ExperimentNotFound(id.ToString());
        if (experiment.LifecycleStage == "active")
            throw MlflowErrors.WrongState("experiment", experiment.ExperimentId, isDeleted: false);
        while (await ListAsync("SELECT id FROM mlflow.runs WHERE experiment_id = $1 ORDER BY id LIMIT 100", id, cancellationToken) is { Count: > 0 } found)
            foreach (var run in found)
                await RemoveRunAsync(run, cancellationToken);
        await RunAsync(
            [
                "DELETE FROM mlflow.logged_models WHERE experiment_id = $1", "DELETE FROM mlflow.traces WHERE experiment_id = $1",
                "DELETE FROM mlflow.experiments WHERE id = $1 AND deleted_at IS NOT NULL",
            ], id, cancellationToken);
        await artifacts.DeleteAsync(id.ToString(), cancellationToken);
    }

    /// <summary>Deletes a version and, where no other version has the same source, its artifacts.</summary>
    public async Task PurgeVersionAsync(string name, int version, CancellationToken cancellationToken)
    {
        var found = await versions.GetAsync(name, version, cancellationToken);
        await versions.DeleteAsync(name, version, cancellationToken);
        await using var command = database.CreateCommand("SELECT EXISTS (SELECT 1 FROM mlflow.model_versions WHERE source = $1)");
        command.Parameters.Add(new() { Value = found.Source });
        if (!(bool)(await command.ExecuteScalarAsync(cancellationToken))! && await FindPathAsync(found.Source, cancellationToken) is { Length: > 0 } path)
            await artifacts.DeleteAsync(path, cancellationToken);
    }

    /// <summary>The path in our own store that a source points at, or null where it is elsewhere.</summary>
    public async Task<string?> FindPathAsync(string source, CancellationToken cancellationToken)
    {
        if (ArtifactPaths.OfUri(source) is { } own)
            return own;
        if (source.StartsWith("models:/m-", StringComparison.Ordinal) && source["models:/".Length..].Split('/', 2) is [var modelId, ..])
            return await loggedModels.FindAsync(modelId, cancellationToken) is { } model ? ArtifactPaths.OfUri(model.Info.ArtifactUri) : null;
        if (ArtifactPaths.OfRunUri(source) is not var (runId, below) || await runs.FindAsync(runId, cancellationToken) is not { } run)
            return null;
        return ArtifactPaths.OfUri(run.Info.ArtifactUri) is { } root ? below.Length == 0 ? root : $"{root}/{below}" : null;
    }

    /// <summary>Purges what was deleted longer ago than <see cref="MlflowOptions.DeletedRetention"/>.</summary>
    public async Task PurgeOldAsync(CancellationToken cancellationToken)
    {
        if (options.DeletedRetention is not { } retention)
            return;
        var before = time.GetUtcNow() - retention;
        while (await ListAsync("SELECT id FROM mlflow.runs WHERE deleted_at < $1 ORDER BY id LIMIT 100", before, cancellationToken) is { Count: > 0 } found)
            foreach (var run in found)
                await RemoveRunAsync(run, cancellationToken);
        await using var command = database.CreateCommand("SELECT id FROM mlflow.experiments WHERE deleted_at < $1 AND id <> 0 ORDER BY id");
        command.Parameters.Add(new() { Value = before });
        var old = new List<long>();
        await using (var reader = await command.ExecuteReaderAsync(cancellationToken))
            while (await reader.ReadAsync(cancellationToken))
                old.Add(reader.GetInt64(0));
        foreach (var id in old)
            await PurgeExperimentAsync(id, cancellationToken);
    }

    // The run's row is locked first, which those who log to it notice; its artifacts go last, so that a failure leaves nothing unreachable.
    private async Task RemoveRunAsync(Guid id, CancellationToken cancellationToken)
    {
        await using var find = database.CreateCommand("SELECT experiment_id FROM mlflow.runs WHERE id = $1");
        find.Parameters.Add(new() { Value = id });
        if (await find.ExecuteScalarAsync(cancellationToken) is not long experiment)
            return;
        await artifacts.DeleteAsync($"{experiment}/{id:N}", cancellationToken);
        await RunAsync(
            [
                "SELECT 1 FROM mlflow.runs WHERE id = $1 FOR UPDATE", "DELETE FROM mlflow.metric_points WHERE run_id = $1",
                "DELETE FROM mlflow.latest_metrics WHERE run_id = $1", "DELETE FROM mlflow.params WHERE run_id = $1", "DELETE FROM mlflow.tags WHERE run_id = $1",
                "DELETE FROM mlflow.dataset_inputs WHERE run_id = $1", "DELETE FROM mlflow.model_links WHERE run_id = $1",
                "DELETE FROM mlflow.logged_model_metrics WHERE run_id = $1", "DELETE FROM mlflow.runs WHERE id = $1",
            ], id, cancellationToken);
    }

    private async Task RunAsync(string[] statements, object id, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        foreach (var sql in statements)
        {
            var command = new NpgsqlBatchCommand(sql);
            command.Parameters.Add(new() { Value = id });
            batch.BatchCommands.Add(command);
        }
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    private async Task<List<Guid>> ListAsync(string sql, object value, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(sql);
        command.Parameters.Add(new() { Value = value });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var ids = new List<Guid>();
        while (await reader.ReadAsync(cancellationToken))
            ids.Add(reader.GetGuid(0));
        return ids;
    }
}
