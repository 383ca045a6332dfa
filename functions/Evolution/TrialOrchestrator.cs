using FunctionsRegistry.Errors;
using FunctionsRegistry.Evolution;

namespace FunctionsRegistry.Functions.Evolution;

/// <summary>
/// Moves one trial: prepare, then generation after generation measure and record, then complete. What it learns comes from activities, and they ask the
/// rows: a trial that was cancelled stays so. The instance's id is the trial's.
/// </summary>
public sealed class TrialOrchestrator(TrialService trials)
{
    /// <summary>The orchestration's name.</summary>
    public const string Name = "TrialOrchestrator";

    /// <summary>Sent when a trial was resumed or cancelled.</summary>
    public const string ChangedEvent = "changed";

    private const string Prepare = "evolution_trial_prepare";
    private const string Evaluate = "evolution_trial_evaluate";
    private const string Advance = "evolution_trial_advance";
    private const string Complete = "evolution_trial_complete";
    private const string Fail = "evolution_trial_fail";

    // Members that one activity measures.
    private const int ChunkSize = 25;

    // A history is replayed at every turn: it stays short.
    private const int StepsPerHistory = 10;

    private static readonly TimeSpan s_longestPause = TimeSpan.FromMinutes(5);

    private static readonly TaskOptions s_retries = TaskOptions.FromRetryPolicy(
        new RetryPolicy(20, TimeSpan.FromSeconds(1), backoffCoefficient: 2, maxRetryInterval: TimeSpan.FromSeconds(30)));

    /// <summary>Runs to the end of the trial; the result is its status.</summary>
    [Function(Name)]
    public static async Task<string> RunAsync([OrchestrationTrigger] TaskOrchestrationContext context, string trialId)
    {
        try
        {
            var step = await context.CallActivityAsync<TrialStep>(Prepare, trialId, s_retries);
            for (var i = 0; i < StepsPerHistory; i++)
            {
                if (step.Status == "paused")
                {
                    await WaitForChangeAsync(context);
                    step = await context.CallActivityAsync<TrialStep>(Prepare, trialId, s_retries);
                }
                else if (step.Status != "running")
                {
                    return step.Status;
                }
                else if (step.IsDone)
                {
                    step = await context.CallActivityAsync<TrialStep>(Complete, trialId, s_retries);
                }
                else
                {
                    context.SetCustomStatus(step.Generation);
                    step = await context.CallActivityAsync<TrialStep>(Advance, await MeasureAsync(context, trialId, step), s_retries);
                }
            }
        }
        catch (TaskFailedException exception)
        {
            await context.CallActivityAsync(Fail, new TrialFailure(trialId, Reason(exception)), s_retries);
            return "failed";
        }
        context.ContinueAsNew(trialId);
        return "running";
    }

    private static async Task<TrialFitness> MeasureAsync(TaskOrchestrationContext context, string trialId, TrialStep step)
    {
        var chunks = new List<Task<double[]>>();
        for (var first = 0; first < step.Members; first += ChunkSize)
            chunks.Add(context.CallActivityAsync<double[]>(Evaluate, new TrialChunk(trialId, step.Generation, first, ChunkSize), s_retries));
        var fitness = await Task.WhenAll(chunks);
        return new TrialFitness(trialId, step.Generation, [.. fitness.SelectMany(chunk => chunk)]);
    }

    // Looks again now and then, should the event be lost with its sender.
    private static async Task WaitForChangeAsync(TaskOrchestrationContext context)
    {
        try
        {
            await context.WaitForExternalEvent<bool>(ChangedEvent, s_longestPause);
        }
        catch (TaskCanceledException)
        {
            // Nothing was sent.
        }
    }

    // An error of ours was written for users; another one's message may tell about our insides.
    private static string Reason(TaskFailedException exception) => exception.FailureDetails.ErrorType.EndsWith(nameof(RegistryException), StringComparison.Ordinal)
        ? exception.FailureDetails.ErrorMessage
        : "The trial failed repeatedly; the log has the reason.";

    /// <summary>Makes what fitness is measured on.</summary>
    [Function(Prepare)]
    public Task<TrialStep> PrepareAsync([ActivityTrigger] string trialId, CancellationToken cancellationToken) => trials.PrepareAsync(trialId, cancellationToken);

    /// <summary>Measures some members.</summary>
    [Function(Evaluate)]
    public Task<double[]> EvaluateAsync([ActivityTrigger] TrialChunk chunk, CancellationToken cancellationToken) => trials.EvaluateAsync(chunk, cancellationToken);

    /// <summary>Records a generation.</summary>
    [Function(Advance)]
    public Task<TrialStep> AdvanceAsync([ActivityTrigger] TrialFitness measured, CancellationToken cancellationToken) => trials.AdvanceAsync(measured, cancellationToken);

    /// <summary>Completes the trial.</summary>
    [Function(Complete)]
    public Task<TrialStep> CompleteAsync([ActivityTrigger] string trialId, CancellationToken cancellationToken) => trials.CompleteAsync(trialId, cancellationToken);

    /// <summary>Notes why it failed.</summary>
    [Function(Fail)]
    public Task FailAsync([ActivityTrigger] TrialFailure failure, CancellationToken cancellationToken) => trials.FailAsync(failure.TrialId, failure.Error, cancellationToken);
}

/// <summary>Why a trial cannot go on.</summary>
public sealed record TrialFailure(string TrialId, string Error);
