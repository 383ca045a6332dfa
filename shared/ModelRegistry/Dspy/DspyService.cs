using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using FunctionsRegistry.Errors;

namespace FunctionsRegistry.ModelRegistry.Dspy;

/// <summary>What a program is run as.</summary>
/// <param name="Mode">normal; dry_run: the inputs are only checked; debug: nothing is kept or taken from what was kept, and the messages are in the metadata.</param>
public sealed record DspyCall(string ProgramId, int Revision, DspyProgram Program, string Mode, TimeSpan Timeout);

/// <summary>Executions of programs.</summary>
public sealed class DspyService(DspyProgramService programs, DspyStore store, LanguageModel model, DspyOptions options, TimeProvider time)
{
    /// <summary>How an execution may be asked for.</summary>
    public static readonly IReadOnlyList<string> Modes = ["normal", "dry_run", "debug"];

    private const int MaxCachedChars = 64 << 10;


    /// <summary>Everything that can be wrong before the first input is looked at.</summary>
    /// <exception cref="RegistryException">404; 503 where a language model is needed and none is configured.</exception>
    public async Task<DspyCall> PrepareAsync(string id, string mode, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var (programId, revision, program) = await programs.FindAsync(id, cancellationToken);
        return mode == "dry_run" || model.IsConfigured ? new DspyCall(programId, revision, program, mode, timeout) : throw DspyErrors.NotConfigured();
    }

    /// <summary>Runs a program once and stores that it ran. What goes wrong is in the answer.</summary>
    /// <param name="onDelta">Told the outputs' text while it arrives; null for nobody.</param>
    public async Task<DspyExecution> ExecuteAsync(
        DspyCall call, JsonElement inputs, Guid? batchId, Func<DspyDelta, ValueTask>? onDelta, CancellationToken cancellationToken)
    {
        var (start, now) = (Stopwatch.GetTimestamp(), time.GetUtcNow());
        var metadata = new JsonObject { ["mode"] = call.Mode, ["revision"] = call.Revision };
        var execution = new DspyExecution(Guid.CreateVersion7(now), false, null, null, 0, call.ProgramId, metadata);
        var (isCounted, cacheKey) = (false, (byte[]?)null);
        if (FindFaults(call.Program, inputs) is { Length: > 0 } faults)
        {
            execution = execution with { Error = faults, Failure = DspyFailure.Inputs };
        }
        else if (call.Mode == "dry_run")
        {
            metadata["validation_passed"] = true;
            execution = execution with { Success = true };
        }
        else
        {
            cacheKey = call.Mode == "normal" && options.CacheEntries > 0 ? CacheKey(call, inputs) : null;
            if (cacheKey is not null && await store.FindCachedAsync(cacheKey, now - options.CacheAge, cancellationToken) is { } kept)
            {
                metadata["cache_hit"] = true;
                (execution, cacheKey) = (execution with { Success = true, Outputs = kept }, null);
            }
            else
            {
                isCounted = true;
                execution = await RunAsync(call, inputs, execution, onDelta, cancellationToken);
            }
        }
        execution = execution with { ExecutionTime = Math.Round(Stopwatch.GetElapsedTime(start).TotalSeconds, 3) };
        if (!execution.Success || execution.Outputs?.ToJsonString().Length > MaxCachedChars)
            cacheKey = null;
        // What was paid for is stored, whether or not the caller still listens.
        await store.RecordAsync(new NewExecution(execution, batchId, call.Revision, call.Mode, inputs, isCounted, now), cacheKey, options.CacheEntries, CancellationToken.None);
        return execution;
    }

    /// <summary>Runs a program for each of several inputs, a few at a time; results in their order, each by itself.</summary>
    public async Task<DspyBatchResponse> ExecuteBatchAsync(DspyCall call, IReadOnlyList<JsonElement> inputs, CancellationToken cancellationToken)
    {
        var batchId = Guid.CreateVersion7(time.GetUtcNow());
        var results = new DspyExecution[inputs.Count];
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = options.BatchConcurrency, CancellationToken = cancellationToken };
        await Parallel.ForAsync(0, inputs.Count, parallel, async (index, token) => results[index] = await ExecuteAsync(call, inputs[index], batchId, null, token));
        var successful = results.Count(result => result.Success);
        return new DspyBatchResponse(batchId, results.Length, successful, results.Length - successful, results);
    }

    /// <summary>Statistics of all processes.</summary>
    public async Task<DspyStatsResponse> GetStatisticsAsync(CancellationToken cancellationToken)
    {
        var (statistics, cached) = await store.ReadStatisticsAsync(time.GetUtcNow() - options.CacheAge, cancellationToken);
        // Executions are rows of ours, not runs in MLflow.
        return new DspyStatsResponse(statistics, options.CacheEntries > 0, false, cached);
    }

    /// <summary>Forgets kept answers and loaded programs.</summary>
    public async Task ClearCacheAsync(CancellationToken cancellationToken)
    {
        programs.Forget();
        await store.ClearCacheAsync(cancellationToken);
    }

    /// <summary>What the executor's health endpoint says; without a language model nothing can be executed.</summary>
    public async Task<DspyHealthResponse> GetHealthAsync(CancellationToken cancellationToken)
    {
        try
        {
            var (statistics, _) = await store.ReadStatisticsAsync(time.GetUtcNow(), cancellationToken);
            return new DspyHealthResponse(
                model.IsConfigured ? "healthy" : "unhealthy", statistics.TotalExecutions, statistics.SuccessRate, model.IsConfigured ? null : DspyErrors.NotConfiguredText);
        }
        catch (Exception exception) when (Postgres.PostgresErrors.Translate(exception) is not null)
        {
            return new DspyHealthResponse("unhealthy", null, null, "The database does not answer");
        }
    }

    /// <summary>Removes what is past its time, and blobs that nothing points to.</summary>
    public async Task PurgeAsync(CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        await store.PurgeAsync(now - options.ExecutionAge, now - options.CacheAge, cancellationToken);
        await programs.PurgeAsync(cancellationToken);
    }

    private async Task<DspyExecution> RunAsync(
        DspyCall call, JsonElement inputs, DspyExecution execution, Func<DspyDelta, ValueTask>? onDelta, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(call.Timeout);
        var trace = call.Mode == "debug" ? new JsonArray() : null;
        var outputs = new JsonObject();
        var (input, output) = (0L, 0L);
        try
        {
            var values = inputs.EnumerateObject().Where(member => member.Value.ValueKind != JsonValueKind.Null).ToDictionary(member => member.Name, member => member.Value);
            foreach (var signature in call.Program.Signatures)
            {
                var messages = ChatFormat.Write(signature, values);
                var step = trace is null ? null : new JsonObject { ["signature"] = signature.Name, ["messages"] = Describe(messages) };
                trace?.Add(step);
                var (completion, made, error) = await AskAsync(signature, messages, onDelta, limit.Token);
                (input, output) = (input + completion.InputTokens, output + completion.OutputTokens);
                step?.Add("response", completion.Text);
                if (error is not null)
                    return Finish(execution with { Error = error, Failure = DspyFailure.LanguageModel });
                foreach (var (name, value) in made)
                {
                    outputs[name] = value?.DeepClone();
                    if (value is not null)
                        values[name] = JsonElement.Parse(value.ToJsonString());
                }
            }
            return Finish(execution with { Success = true, Outputs = outputs });
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            return Finish(execution with
            {
                Error = string.Create(CultureInfo.InvariantCulture, $"Execution timeout after {call.Timeout.TotalSeconds:0} seconds"),
                Failure = DspyFailure.Timeout,
            });
        }
        catch (LanguageModelException exception)
        {
            return Finish(execution with { Error = exception.Message, Failure = DspyFailure.LanguageModel });
        }

        DspyExecution Finish(DspyExecution done)
        {
            done.Metadata["model"] = model.Model;
            done.Metadata["usage"] = new JsonObject { ["prompt_tokens"] = input, ["completion_tokens"] = output };
            if (trace is not null)
                done.Metadata["debug_trace"] = new JsonObject
                {
                    ["program_type"] = call.Program.Signatures.Count == 1 ? "predict" : "chain",
                    ["input_count"] = inputs.EnumerateObject().Count(),
                    ["output_count"] = done.Outputs?.Count ?? 0,
                    ["steps"] = trace,
                };
            return done;
        }
    }

    private async Task<(Completion Completion, JsonObject Outputs, string? Error)> AskAsync(
        DspySignature signature, IReadOnlyList<ChatMessage> messages, Func<DspyDelta, ValueTask>? onDelta, CancellationToken cancellationToken)
    {
        string? error;
        if (onDelta is null)
        {
            var answer = await model.CompleteAsync(messages, null, cancellationToken);
            return (answer, ChatFormat.Read(signature, answer.Text, out error), error);
        }
        var arrived = new List<DspyDelta>();
        var reader = new AnswerReader((field, text) => arrived.Add(new DspyDelta(field, text)));
        var streamed = await model.CompleteAsync(messages, AppendAsync, cancellationToken);
        reader.Complete();
        await SendAsync();
        return (streamed, ChatFormat.Read(signature, reader.Fields, streamed.Text, out error), error);

        async ValueTask AppendAsync(string text)
        {
            reader.Append(text);
            await SendAsync();
        }

        async ValueTask SendAsync()
        {
            foreach (var delta in arrived.Where(delta => signature.Outputs.Any(field => field.Name == delta.Field)))
                await onDelta(delta);
            arrived.Clear();
        }
    }

    private static string FindFaults(DspyProgram program, JsonElement inputs)
    {
        var faults = new List<string>();
        foreach (var field in program.Inputs)
        {
            if (!inputs.TryGetProperty(field.Name, out var value) || value.ValueKind == JsonValueKind.Null)
            {
                if (!field.IsOptional)
                    faults.Add($"Missing required field: {field.Name}");
            }
            else if (!DspyTypes.Accepts(field, value))
            {
                faults.Add($"Invalid type for field '{field.Name}': must be {DspyTypes.Describe(field)}");
            }
        }
        foreach (var member in inputs.EnumerateObject().Where(member => program.Inputs.All(field => field.Name != member.Name)))
            faults.Add($"Unknown field: {(member.Name.Length > 100 ? member.Name[..100] + "..." : member.Name)}");
        return string.Join("; ", faults);
    }

    // Everything that the answer hangs on; inputs in the program's order, so that the caller's does not count.
    private byte[] CacheKey(DspyCall call, JsonElement inputs)
    {
        var text = new StringBuilder().Append(model.Model).Append('\n');
        foreach (var signature in call.Program.Signatures)
            foreach (var message in ChatFormat.Write(signature, new Dictionary<string, JsonElement>()))
                text.Append(message.Content).Append('\0');
        foreach (var field in call.Program.Inputs)
            text.Append('\n').Append(inputs.TryGetProperty(field.Name, out var value) ? value.GetRawText() : "null");
        return SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString()));
    }

    private static JsonArray Describe(IReadOnlyList<ChatMessage> messages) =>
        [.. messages.Select(message => new JsonObject { ["role"] = message.Role, ["content"] = message.Content })];
}
