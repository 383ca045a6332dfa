using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>The orchestrator's side of one turn: its calls become tasks, numbered in the order of the calls, that <see cref="Turn"/> ends.</summary>
internal sealed class LocalOrchestrationContext(Instance instance, TurnThread thread, Turn turn, ILoggerFactory loggers) : TaskOrchestrationContext
{
    private int _guids;

    public override TaskName Name => instance.Name;

    public override string InstanceId => instance.Id;

    public override ParentOrchestrationInstance? Parent { get; } =
        instance.Parent is { } parent ? new ParentOrchestrationInstance(parent.Name, parent.InstanceId) : null;

    public override DateTime CurrentUtcDateTime => turn.Now;

    public override bool IsReplaying => turn.IsReplaying;

    protected override ILoggerFactory LoggerFactory => loggers;

    public override T? GetInput<T>()
        where T : default => Payload.Read<T>(instance.Input);

    public override Task CallActivityAsync(TaskName name, object? input = null, TaskOptions? options = null) => CallActivityAsync<NoResult>(name, input, options);

    public override Task<TResult> CallActivityAsync<TResult>(TaskName name, object? input = null, TaskOptions? options = null)
    {
        CheckCall(name, input);
        var json = Payload.Write(input);
        return WithRetriesAsync(() => turn.Schedule<TResult>(EventKind.TaskScheduled, name.Name, null, json, null), options);
    }

    public override Task CallSubOrchestratorAsync(TaskName orchestratorName, object? input = null, TaskOptions? options = null) =>
        CallSubOrchestratorAsync<NoResult>(orchestratorName, input, options);

    public override Task<TResult> CallSubOrchestratorAsync<TResult>(TaskName orchestratorName, object? input = null, TaskOptions? options = null)
    {
        CheckCall(orchestratorName, input);
        var chosen = (options as SubOrchestrationOptions)?.InstanceId;
        if (chosen is not null)
            InstanceIds.Check(chosen);
        var json = Payload.Write(input);
        return WithRetriesAsync(
            () => turn.Schedule<TResult>(EventKind.SubCreated, orchestratorName.Name, chosen ?? NewGuid().ToString("N"), json, null), options);
    }

    public override Task CreateTimer(DateTime fireAt, CancellationToken cancellationToken)
    {
        Check();
        if (cancellationToken.IsCancellationRequested)
            return Task.FromCanceled(cancellationToken);
        var utc = fireAt.Kind == DateTimeKind.Local ? fireAt.ToUniversalTime() : DateTime.SpecifyKind(fireAt, DateTimeKind.Utc);
        return turn.ScheduleTimer(utc, cancellationToken);
    }

    public override Task<T> WaitForExternalEvent<T>(string eventName, CancellationToken cancellationToken = default)
    {
        Check();
        ArgumentException.ThrowIfNullOrEmpty(eventName);
        return cancellationToken.IsCancellationRequested ? Task.FromCanceled<T>(cancellationToken) : turn.WaitForEvent<T>(eventName, cancellationToken);
    }

    public override void SendEvent(string instanceId, string eventName, object payload)
    {
        Check();
        InstanceIds.Check(instanceId);
        EventNames.Check(eventName);
        turn.SendEvent(instanceId, eventName, Payload.Write(payload));
    }

    public override void SetCustomStatus(object? customStatus)
    {
        Check();
        turn.SetCustomStatus(Payload.Write(customStatus));
    }

    public override void ContinueAsNew(object? newInput = null, bool preserveUnprocessedEvents = true)
    {
        Check();
        turn.ContinueAsNew(Payload.Write(newInput), preserveUnprocessedEvents);
    }

    public override Guid NewGuid()
    {
        Check();
        var bytes = SHA256.HashData(Encoding.UTF8.GetBytes($"{instance.Execution:N}:{_guids++}")).AsSpan(0, 16);
        // RFC 9562: version 8, made from what we like.
        bytes[6] = (byte)((bytes[6] & 0x0F) | 0x80);
        bytes[8] = (byte)((bytes[8] & 0x3F) | 0x80);
        return new Guid(bytes, bigEndian: true);
    }

    private void CheckCall(TaskName name, object? input)
    {
        Check();
        ArgumentException.ThrowIfNullOrEmpty(name.Name, nameof(name));
        if (input is TaskOptions)
            throw new ArgumentException("TaskOptions were given as the input: name the argument, `options:`.", nameof(input));
    }

    private void Check()
    {
        if (!thread.IsHere())
            throw NonDeterministicOrchestrationException.ForeignAwait(instance.Name);
    }

    // Each attempt is a task of its own, and each wait a timer: both are in the history.
    private async Task<T> WithRetriesAsync<T>(Func<Task<T>> attempt, TaskOptions? options)
    {
        if (options?.Retry is not { } retry)
            return await attempt();
        var began = CurrentUtcDateTime;
        for (var number = 1; ; number++)
        {
            TaskFailedException failure;
            try
            {
                return await attempt();
            }
            catch (TaskFailedException exception)
            {
                failure = exception;
            }
            if (retry.Policy is { } policy)
            {
                if (NextWait(policy, number, began, failure.FailureDetails) is not { } wait)
                    throw failure;
                await CreateTimer(CurrentUtcDateTime + wait, CancellationToken.None);
            }
            else if (!await retry.Handler!(new RetryContext(this, number, failure.FailureDetails, CurrentUtcDateTime - began, CancellationToken.None)))
            {
                throw failure;
            }
        }
    }

    private TimeSpan? NextWait(RetryPolicy policy, int attempts, DateTime began, TaskFailureDetails failure)
    {
        if (attempts >= policy.MaxNumberOfAttempts || policy.Filter?.Invoke(failure) == false)
            return null;
        if (policy.RetryTimeout != Timeout.InfiniteTimeSpan && CurrentUtcDateTime >= began + policy.RetryTimeout)
            return null;
        var longest = policy.MaxRetryInterval == Timeout.InfiniteTimeSpan ? TimeSpan.FromDays(36500) : policy.MaxRetryInterval;
        var ticks = policy.FirstRetryInterval.Ticks * Math.Pow(policy.BackoffCoefficient, attempts - 1);
        return ticks < longest.Ticks ? TimeSpan.FromTicks((long)ticks) : longest;
    }
}

/// <summary>The result of a call whose result nobody reads.</summary>
internal readonly struct NoResult;

/// <summary>Ids that can stand in a URL.</summary>
internal static class InstanceIds
{
    private const int MaxLength = 256;

    /// <exception cref="ArgumentException">It is none.</exception>
    public static void Check(string instanceId)
    {
        if (Problem(instanceId) is { } problem)
            throw new ArgumentException($"The instance id {problem}.", nameof(instanceId));
    }

    /// <summary>Whether an instance may have it.</summary>
    public static bool IsValid(string instanceId) => Problem(instanceId) is null;

    private static string? Problem(string instanceId) => instanceId switch
    {
        null or "" => "is empty",
        { Length: > MaxLength } => $"has more than {MaxLength} characters",
        ['@', ..] => "begins with '@'",
        _ when instanceId.AsSpan().IndexOfAny('/', '\\', '#') >= 0 || instanceId.Contains('?') => "contains one of / \\ # ?",
        _ when instanceId.Any(char.IsControl) => "contains a control character",
        _ => null,
    };
}

/// <summary>Names of events.</summary>
internal static class EventNames
{
    /// <exception cref="ArgumentException">It is none.</exception>
    public static void Check(string eventName)
    {
        if (string.IsNullOrEmpty(eventName) || eventName.Length > 256 || eventName.Any(char.IsControl))
            throw new ArgumentException("An event's name has 1 to 256 characters and no control characters.", nameof(eventName));
    }
}
