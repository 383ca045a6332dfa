using FunctionsRegistry.ModelRegistry;

namespace FunctionsRegistry.Functions.ModelRegistry;

/// <summary>Evaluates a data set in the background. Reading it again after a crash gives the same result, and a row that ended stays as it is.</summary>
public sealed class EvaluationOrchestration(ModelService models, EvaluationStore evaluations, TimeProvider time)
{
    private const string Name = "hokusai_evaluation";
    private static readonly TimeSpan s_lostAfter = TimeSpan.FromMinutes(1);

    private static readonly TaskOptions s_retries = TaskOptions.FromRetryPolicy(new RetryPolicy(5, TimeSpan.FromSeconds(1), backoffCoefficient: 2, maxRetryInterval: TimeSpan.FromSeconds(30)));

    /// <summary>Schedules the orchestration under an id that belongs to the evaluation: starting it twice is harmless.</summary>
    public static async Task StartAsync(DurableTaskClient client, Guid id, CancellationToken cancellationToken)
    {
        var instanceId = $"evaluation-{id:N}";
        if (await client.GetInstanceAsync(instanceId, cancellationToken) is { IsRunning: true })
            return;
        await client.ScheduleNewOrchestrationInstanceAsync(Name, id, new StartOrchestrationOptions(instanceId), cancellationToken);
    }

    /// <summary>The orchestrator.</summary>
    [Function(Name)]
    public static async Task Run([OrchestrationTrigger] TaskOrchestrationContext context, Guid id)
    {
        try
        {
            await context.CallActivityAsync("hokusai_evaluation_read", id, s_retries);
        }
        catch (TaskFailedException)
        {
            await context.CallActivityAsync("hokusai_evaluation_fail", id, s_retries);
        }
    }

    /// <summary>Reads the data set and ends the row.</summary>
    [Function("hokusai_evaluation_read")]
    public Task Read([ActivityTrigger] Guid id, CancellationToken cancellationToken) => models.RunEvaluationAsync(id, cancellationToken);

    /// <summary>Ends the row of an evaluation that failed for no fault of the data set's.</summary>
    [Function("hokusai_evaluation_fail")]
    public Task Fail([ActivityTrigger] Guid id, CancellationToken cancellationToken) =>
        evaluations.FinishAsync(id, null, "The evaluation failed repeatedly; the log has the reason.", time.GetUtcNow(), cancellationToken);

    /// <summary>Starts what a crash between row and orchestration kept from being started.</summary>
    [Function("timer_models_evaluations")]
    public async Task StartLost([TimerTrigger("15 */5 * * * *")] TimerInfo timer, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken)
    {
        foreach (var id in await evaluations.ListQueuedAsync(time.GetUtcNow() - s_lostAfter, cancellationToken))
            await StartAsync(client, id, cancellationToken);
    }
}
