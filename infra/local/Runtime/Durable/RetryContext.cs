namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>
/// What a retry handler is told. In a namespace of its own, because the worker has a <see cref="LocalRuntime.RetryContext"/>, too; code for both runtimes
/// lets the type be inferred.
/// </summary>
/// <param name="OrchestrationContext">The orchestration.</param>
/// <param name="LastAttemptNumber">1 after the first.</param>
/// <param name="LastFailure">Why it failed.</param>
/// <param name="TotalRetryTime">Since the first attempt, by the orchestration's clock.</param>
/// <param name="CancellationToken">Never cancelled.</param>
public record RetryContext(
    TaskOrchestrationContext OrchestrationContext, int LastAttemptNumber, TaskFailureDetails LastFailure, TimeSpan TotalRetryTime, CancellationToken CancellationToken);
