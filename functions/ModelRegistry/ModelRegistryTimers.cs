using FunctionsRegistry.ModelRegistry;
using FunctionsRegistry.ModelRegistry.Dspy;
using FunctionsRegistry.ModelRegistry.Mlflow;

namespace FunctionsRegistry.Functions.ModelRegistry;

/// <summary>Cleaning up; repeating any of it is harmless.</summary>
public sealed class ModelRegistryTimers(ArtifactService artifacts, PurgeService purge, ApiKeyStore keys, ModelStore models, DspyService dspy, EvaluationStore evaluations, TimeProvider time)
{
    private const int UsageDays = 90;
    private const int BatchDays = 30;
    private const int EvaluationDays = 90;

    /// <summary>Daily: blobs that nothing points to, such as those of broken uploads.</summary>
    [Function("timer_models_orphans")]
    public Task SweepOrphans([TimerTrigger("0 40 3 * * *")] TimerInfo timer, CancellationToken cancellationToken) => artifacts.SweepAsync(cancellationToken);

    /// <summary>Daily: executions of DSPy programs that are past their time, and blobs of programs that nothing points to.</summary>
    [Function("timer_models_dspy")]
    public Task PurgeDspy([TimerTrigger("0 50 3 * * *")] TimerInfo timer, CancellationToken cancellationToken) => dspy.PurgeAsync(cancellationToken);

    /// <summary>Hourly: what is past its time.</summary>
    [Function("timer_models_purge")]
    public async Task Purge([TimerTrigger("0 17 * * * *")] TimerInfo timer, CancellationToken cancellationToken)
    {
        await purge.PurgeOldAsync(cancellationToken);
        await keys.PurgeUsesAsync(time.GetUtcNow().AddDays(-UsageDays), cancellationToken);
        await models.PurgeBatchesAsync(time.GetUtcNow().AddDays(-BatchDays), cancellationToken);
        await evaluations.PurgeAsync(time.GetUtcNow().AddDays(-EvaluationDays), cancellationToken);
    }
}
