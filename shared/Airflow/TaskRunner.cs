using System.Text.Json;
using System.Text.Json.Nodes;
using FunctionsRegistry.Airflow.Operators;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace FunctionsRegistry.Airflow;

/// <summary>Executes tries. A try whose end is recorded is never executed again; one that a crash cut off is.</summary>
public sealed partial class TaskRunner(TaskInstanceStore tasks, DagCatalog catalog, TimeProvider time, ILogger<TaskRunner> logger)
{
    private const int MaxOutputCharacters = 64 << 10;

    // The host ends an activity after ten minutes; the try must be recorded before.
    private static readonly TimeSpan s_longest = TimeSpan.FromMinutes(9);

    /// <summary>The run's tasks as they are now.</summary>
    public async Task<RunTasks> BeginAsync(DagRunRef run, CancellationToken cancellationToken)
    {
        if (await tasks.ListForRunAsync(run, cancellationToken) is not { } states)
            return new RunTasks(false, []);
        var dag = await catalog.GetAsync(run.DagId, run.Version, cancellationToken);
        return new RunTasks(true, [.. dag.Tasks.Select(task =>
        {
            var (state, tryNumber, maxTries, output) = states[task.Id];
            return new RunTask(
                task.Id, [.. task.Needs], task.TriggerRule, task.Operator == BranchOperator.OperatorName, state, ReadChosen(output), tryNumber, maxTries + 1,
                task.RetryDelaySeconds, task.RetryBackoff, task.MaxRetryDelaySeconds);
        })]);
    }

    /// <summary>Executes one try and records how it ended.</summary>
    public async Task<TryOutcome> RunAsync(TaskTry attempt, CancellationToken cancellationToken)
    {
        var dag = await catalog.GetAsync(attempt.Run.DagId, attempt.Run.Version, cancellationToken);
        var task = dag.FindTask(attempt.TaskId)!;
        var references = TemplateText.References(task.Params).ToList();
        var claim = await tasks.ClaimAsync(
            attempt, task.Pool, [.. references.Select(reference => reference.TaskId).OfType<string>().Distinct()],
            [.. references.Where(reference => reference.Path[0] == "variables").Select(reference => reference.Path[1]).Distinct()], cancellationToken);
        if (claim is not { IsCurrent: true })
            return new TryOutcome(TaskState.None);
        if (!claim.IsClaimed)
            return await AnswerUnclaimedAsync(attempt, task, claim, cancellationToken);

        var log = new TaskLog(time);
        log.Write($"Try {attempt.TryNumber} of {claim.MaxTries + 1}: {task.Operator}.");
        try
        {
            var result = await ExecuteAsync(attempt, dag, task, claim, log, cancellationToken);
            return await RecordAsync(attempt, result, log, cancellationToken);
        }
        catch (Exception exception) when (exception is OperatorException or TemplateException)
        {
            return await FailAsync(attempt, claim.MaxTries, exception.Message, log, cancellationToken);
        }
    }

    /// <summary>Ends a deferred task whose time has come.</summary>
    public async Task<TryOutcome> ResumeAsync(TaskTry attempt, CancellationToken cancellationToken)
    {
        var claim = await tasks.ClaimAsync(attempt, Pool.DefaultName, [], [], cancellationToken);
        if (claim is not { IsCurrent: true })
            return new TryOutcome(TaskState.None);
        if (claim.State != TaskState.Deferred || claim.TryNumber != attempt.TryNumber)
            return new TryOutcome(claim.State, ReadChosen(claim.Output));
        var dag = await catalog.GetAsync(attempt.Run.DagId, attempt.Run.Version, cancellationToken);
        var log = new TaskLog(time);
        try
        {
            var output = claim.Output is null ? null : JsonNode.Parse(claim.Output);
            var result = await catalog.Operator(dag.FindTask(attempt.TaskId)!.Operator).ResumeAsync(output, log, cancellationToken);
            return result.Wait is { } wait
                ? new TryOutcome(TaskState.Deferred, ResumeAt: (time.GetUtcNow() + wait).UtcDateTime)
                : await RecordAsync(attempt, result, log, cancellationToken);
        }
        catch (OperatorException exception)
        {
            return await FailAsync(attempt, claim.MaxTries, exception.Message, log, cancellationToken);
        }
        catch (Exception exception) when (IsDefect(exception))
        {
            return await FailAsync(attempt, claim.MaxTries, Describe(exception, attempt), log, cancellationToken);
        }
    }

    private async Task<TryOutcome> AnswerUnclaimedAsync(TaskTry attempt, TaskDefinition task, ClaimedTry claim, CancellationToken cancellationToken)
    {
        // The try was executed before, and only its answer was lost.
        if (claim.TryNumber == attempt.TryNumber && claim.State is not TaskState.None)
            return OutcomeOf(claim);
        if (claim.TryNumber >= attempt.TryNumber || claim.State.IsFinal())
            return new TryOutcome(TaskState.None);
        if (claim.Slots is null)
            return await FailAsync(attempt, claim.MaxTries, $"there is no pool '{task.Pool}'", new TaskLog(time), cancellationToken);
        await tasks.SetQueuedAsync(attempt, cancellationToken);
        return new TryOutcome(TaskState.Queued);
    }

    private async Task<OperatorResult> ExecuteAsync(
        TaskTry attempt, DagDefinition dag, TaskDefinition task, ClaimedTry claim, TaskLog log, CancellationToken cancellationToken)
    {
        var found = catalog.Operator(task.Operator);
        var parameters = FillParameters(dag, task, claim);
        foreach (var parameter in found.Parameters)
            if (parameters.TryGetPropertyValue(parameter.Name, out var value) && parameter.Check(value) is { } fault)
                throw new OperatorException($"the parameter '{parameter.Name}' {fault}");
        var longest = TimeSpan.FromSeconds(task.TimeoutSeconds) < s_longest ? TimeSpan.FromSeconds(task.TimeoutSeconds) : s_longest;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(longest);
        try
        {
            var result = await found.RunAsync(new OperatorCall($"{attempt.Run.RunId}-{attempt.TaskId}-{attempt.TryNumber}", parameters, log), limit.Token);
            return result.Output is { } output && output.ToJsonString().Length > MaxOutputCharacters
                ? throw new OperatorException($"the output is over the limit of {MaxOutputCharacters} characters")
                : result;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new OperatorException($"timed out after {longest.TotalSeconds:0.###} s");
        }
        catch (Exception exception) when (IsDefect(exception))
        {
            throw new OperatorException(Describe(exception, attempt));
        }
    }

    // A dependency that is down is not the task's failure: the activity is repeated. Everything else is, whatever it is, or the run would never end.
    private static bool IsDefect(Exception exception) => exception is not (OperatorException or NpgsqlException or OperationCanceledException or OutOfMemoryException);

    private string Describe(Exception exception, TaskTry attempt)
    {
        LogDefect(exception, attempt.Run.RunId, attempt.TaskId, attempt.TryNumber);
        return $"unexpected {exception.GetType().Name}: {exception.Message}";
    }

    private static JsonObject FillParameters(DagDefinition dag, TaskDefinition task, ClaimedTry claim)
    {
        var conf = JsonNode.Parse(claim.Conf);
        return TemplateText.Fill(task.Params, reference => reference.Path[0] switch
        {
            "conf" => TemplateText.Follow(reference, conf, 1),
            // As in Airflow, a run's conf overrides the DAG's parameters by name.
            "params" => TemplateText.Follow(
                reference, conf is JsonObject given && given.TryGetPropertyValue(reference.Path[1], out var own) ? own : dag.Params[reference.Path[1]], 2),
            "variables" => claim.Variables.TryGetValue(reference.Path[1], out var value)
                ? TemplateText.Follow(reference, JsonValue.Create(value), 2)
                : throw new TemplateException($"${{{reference}}} has no value: there is no variable '{reference.Path[1]}'"),
            _ => TemplateText.Follow(reference, claim.Outputs.GetValueOrDefault(reference.TaskId!) is { } output ? JsonNode.Parse(output) : null, 3),
        })!.AsObject();
    }

    private async Task<TryOutcome> RecordAsync(TaskTry attempt, OperatorResult result, TaskLog log, CancellationToken cancellationToken)
    {
        var resumeAt = result.Wait is { } wait ? time.GetUtcNow() + wait : (DateTimeOffset?)null;
        var state = resumeAt is null && result.TrialId is null ? TaskState.Success : TaskState.Deferred;
        if (state == TaskState.Success)
            log.Write("Ended: success.");
        return await tasks.FinishAsync(attempt, state, result.Output?.ToJsonString(), resumeAt, log.ToString(), cancellationToken)
            ? new TryOutcome(state, result.Chosen?.ToArray(), resumeAt?.UtcDateTime, result.TrialId)
            : await FindRecordedAsync(attempt, cancellationToken);
    }

    private async Task<TryOutcome> FailAsync(TaskTry attempt, int maxTries, string reason, TaskLog log, CancellationToken cancellationToken)
    {
        var state = attempt.TryNumber <= maxTries ? TaskState.UpForRetry : TaskState.Failed;
        log.Write($"Failed: {reason}");
        log.Write(state == TaskState.Failed ? "Ended: failed." : "Another try follows.");
        return await tasks.FinishAsync(attempt, state, null, null, log.ToString(), cancellationToken)
            ? new TryOutcome(state)
            : await FindRecordedAsync(attempt, cancellationToken);
    }

    // Another execution of this try was faster, or the run was stopped or cleared meanwhile.
    private async Task<TryOutcome> FindRecordedAsync(TaskTry attempt, CancellationToken cancellationToken)
    {
        var claim = await tasks.ClaimAsync(attempt, Pool.DefaultName, [], [], cancellationToken);
        return claim is { IsCurrent: true, IsClaimed: false } && claim.TryNumber == attempt.TryNumber
            ? OutcomeOf(claim)
            : new TryOutcome(TaskState.None);
    }

    private static TryOutcome OutcomeOf(ClaimedTry claim) => new(
        claim.State, ReadChosen(claim.Output), claim.ResumeAt?.UtcDateTime,
        claim is { State: TaskState.Deferred, ResumeAt: null, Output: { } output } ? JsonNode.Parse(output)?["trial_id"]?.GetValue<string>() : null);

    // Only a branch's output is read as its choice, and the plan looks at no other's.
    private static string[]? ReadChosen(string? output)
    {
        if (output is null || JsonNode.Parse(output) is not JsonArray items || items.Any(item => item?.GetValueKind() != JsonValueKind.String))
            return null;
        return [.. items.Select(item => item!.GetValue<string>())];
    }

    [LoggerMessage(4001, LogLevel.Error, "Run {RunId}, task {TaskId}, try {TryNumber} failed unexpectedly")]
    private partial void LogDefect(Exception exception, long runId, string taskId, int tryNumber);
}
