using FunctionsRegistry.Errors;
using FunctionsRegistry.IndexAgent;

namespace FunctionsRegistry.Functions.IndexAgent;

/// <summary>
/// Indexes one generation of a repository: fetch, one segment after the other, finish, mine patterns. The rows are the truth; every activity may run
/// again after a crash.
/// </summary>
public sealed class IndexOrchestration(IndexService index, PatternService patterns)
{
    private const string Name = "indexagent_index";

    private static readonly TaskOptions s_retries = TaskOptions.FromRetryPolicy(new RetryPolicy(5, TimeSpan.FromSeconds(1), backoffCoefficient: 2, maxRetryInterval: TimeSpan.FromSeconds(30)));

    /// <summary>Schedules the orchestration under an id that belongs to the generation: starting it twice is harmless.</summary>
    public static async Task StartAsync(DurableTaskClient client, long generationId, CancellationToken cancellationToken)
    {
        var instanceId = $"index-{generationId}";
        if (await client.GetInstanceAsync(instanceId, cancellationToken) is { IsRunning: true })
            return;
        await client.ScheduleNewOrchestrationInstanceAsync(Name, generationId, new StartOrchestrationOptions(instanceId), cancellationToken);
    }

    /// <summary>The orchestrator; its custom status is the progress.</summary>
    [Function(Name)]
    public static async Task<string> Run([OrchestrationTrigger] TaskOrchestrationContext context, long generationId)
    {
        try
        {
            await context.CallActivityAsync("indexagent_index_fetch", generationId, s_retries);
            while (true)
            {
                var progress = await context.CallActivityAsync<IndexProgress>("indexagent_index_segment", generationId, s_retries);
                context.SetCustomStatus(progress);
                if (progress.State != "indexing")
                    return progress.State;
                if (progress.IsComplete)
                    break;
            }
            await context.CallActivityAsync("indexagent_index_finish", generationId, s_retries);
        }
        catch (TaskFailedException exception)
        {
            await context.CallActivityAsync("indexagent_index_fail", new IndexFailure(generationId, Reason(exception)), s_retries);
            return "failed";
        }
        await context.CallActivityAsync("indexagent_index_patterns", generationId, s_retries);
        return "ready";
    }

    // An error of ours was written for users; another one's message may tell about our insides.
    private static string Reason(TaskFailedException exception) => exception.FailureDetails.ErrorType.EndsWith(nameof(RegistryException), StringComparison.Ordinal)
        ? exception.FailureDetails.ErrorMessage
        : "Indexing failed repeatedly; the log has the reason.";

    /// <summary>Fetches the archive where only its URL is known.</summary>
    [Function("indexagent_index_fetch")]
    public Task Fetch([ActivityTrigger] long generationId, CancellationToken cancellationToken) => index.FetchAsync(generationId, cancellationToken);

    /// <summary>Indexes the next part.</summary>
    [Function("indexagent_index_segment")]
    public Task<IndexProgress> IndexSegment([ActivityTrigger] long generationId, CancellationToken cancellationToken) => index.IndexSegmentAsync(generationId, cancellationToken);

    /// <summary>Lets searches see the new index.</summary>
    [Function("indexagent_index_finish")]
    public Task Finish([ActivityTrigger] long generationId, CancellationToken cancellationToken) => index.FinishAsync(generationId, cancellationToken);

    /// <summary>Mines the repository's patterns.</summary>
    [Function("indexagent_index_patterns")]
    public Task MinePatterns([ActivityTrigger] long generationId, CancellationToken cancellationToken) => patterns.MineAsync(generationId, cancellationToken);

    /// <summary>Notes why it failed.</summary>
    [Function("indexagent_index_fail")]
    public Task Fail([ActivityTrigger] IndexFailure failure, CancellationToken cancellationToken) => index.FailAsync(failure.GenerationId, failure.Error, cancellationToken);
}

/// <summary>Why a generation could not be indexed.</summary>
public sealed record IndexFailure(long GenerationId, string Error);
