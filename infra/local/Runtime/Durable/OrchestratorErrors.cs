namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>An orchestrator broke the rules that make replay possible; the message says which and what to do.</summary>
internal sealed class NonDeterministicOrchestrationException(string message) : Exception(message)
{
    public static NonDeterministicOrchestrationException ForeignAwait(string orchestrator) => new(
        $"Orchestrator '{orchestrator}' made an invalid asynchronous invocation: it awaited a task that is not of its context, or used the context from another thread. " +
        "Await only what TaskOrchestrationContext returns (and Task.WhenAll or Task.WhenAny over that): CreateTimer instead of Task.Delay; " +
        "I/O, HttpClient and Task.Run belong in an activity; no ConfigureAwait(false).");

    public static NonDeterministicOrchestrationException Diverged(string orchestrator, int sequence, string history, string code) => new(
        $"Orchestrator '{orchestrator}' does not do what its history says, at sequence {sequence}: the history has {history}, the code did {code}. " +
        "Orchestrators must be deterministic (time, ids and random choices only from the context or from activities), and one whose code changes needs a new name " +
        "while instances of the old one run.");
}
