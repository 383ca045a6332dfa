using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using FunctionsRegistry.Blobs;
using FunctionsRegistry.Errors;
using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.ModelRegistry.Dspy;

/// <summary>How programs run.</summary>
/// <param name="CacheEntries"><c>Dspy__CacheEntries</c>: so many answers are kept at most, 10,000; 0: none.</param>
/// <param name="CacheAge"><c>Dspy__CacheMinutes</c>: so long an answer is kept, 1,440.</param>
/// <param name="BatchConcurrency"><c>Dspy__BatchConcurrency</c>: so many inputs of one batch run at the same time, 8.</param>
/// <param name="ExecutionAge"><c>Dspy__ExecutionDays</c>: so long an execution can be looked up, 30.</param>
public sealed record DspyOptions(int CacheEntries, TimeSpan CacheAge, int BatchConcurrency, TimeSpan ExecutionAge)
{
    /// <summary>Reads the settings named above.</summary>
    /// <exception cref="InvalidOperationException">One is wrong; the message names it.</exception>
    public static DspyOptions FromConfiguration(IConfiguration configuration)
    {
        return new DspyOptions(
            Read("Dspy:CacheEntries", 10_000, 0, 1_000_000), TimeSpan.FromMinutes(Read("Dspy:CacheMinutes", 1440, 1, 525_600)), Read("Dspy:BatchConcurrency", 8, 1, 100),
            TimeSpan.FromDays(Read("Dspy:ExecutionDays", 30, 1, 3650)));

        int Read(string name, int standard, int min, int max) => configuration[name] is not { Length: > 0 } set ? standard
            : int.TryParse(set, CultureInfo.InvariantCulture, out var number) && number >= min && number <= max ? number
            : throw new InvalidOperationException($"{name.Replace(":", "__", StringComparison.Ordinal)} must be a whole number from {min} to {max}, not '{set}'.");
    }
}

/// <summary>What a program is run as.</summary>
/// <param name="Mode">normal; dry_run: the inputs are only checked; debug: nothing is kept or taken from what was kept, and the messages are in the metadata.</param>
public sealed record DspyCall(string ProgramId, int Revision, DspyProgram Program, string Mode, TimeSpan Timeout);

/// <summary>Programs and their executions.</summary>
public sealed partial class DspyService(
    DspyStore store, DspyLibrary library, LanguageModel model, BlobStore blobs, DspyOptions options, TimeProvider time)
{
    /// <summary>How an execution may be asked for.</summary>
    public static readonly IReadOnlyList<string> Modes = ["normal", "dry_run", "debug"];

    private const int MaxCachedChars = 64 << 10;
    private const int MaxLoaded = 1000;

    // By blob: a blob never changes.
    private readonly ConcurrentDictionary<string, DspyProgram> _loaded = new(StringComparer.Ordinal);

    /// <summary>Stores a program; one that is the newest revision already stays it.</summary>
    /// <exception cref="RegistryException">422 with every fault.</exception>
    public async Task<DspyProgramStored> PutAsync(string id, JsonElement json, string caller, CancellationToken cancellationToken)
    {
        if (!ProgramId().IsMatch(id))
            throw DspyErrors.InvalidProgramId();
        var program = DspyProgramReader.Read(id, json);
        if (program.Aliases.Count > 0)
            throw ModelErrors.InvalidField("aliases", "only programs that ship with the registry have aliases");
        var bytes = Encoding.UTF8.GetBytes(json.GetRawText());
        var hash = SHA256.HashData(bytes);
        if (await store.FindAsync(id, null, cancellationToken) is { } newest && newest.Hash.AsSpan().SequenceEqual(hash))
            return Stored(newest.Summary, newest.Summary.Revision, created: false);
        var now = time.GetUtcNow();
        var blobName = $"{Guid.CreateVersion7(now):N}.json";
        using var content = new MemoryStream(bytes, writable: false);
        await blobs.UploadAsync(BlobContainers.Programs, blobName, content, "application/json", cancellationToken);
        var summary = Summarise(id, program, 0, now);
        var (revision, isNew) = await store.InsertAsync(new DspyRevision(summary, blobName, hash), caller, cancellationToken);
        // Somebody stored the same at the same time.
        if (!isNew)
            await blobs.DeleteAsync(BlobContainers.Programs, blobName, cancellationToken);
        return Stored(summary, revision, isNew);
    }

    /// <summary>Removes a program with all its revisions.</summary>
    public async Task DeleteAsync(string id, CancellationToken cancellationToken)
    {
        var names = await store.DeleteAsync(id, cancellationToken);
        if (names.Count == 0)
            throw library.Find(id) is null ? DspyErrors.ProgramNotFound(id) : DspyErrors.ProgramShipped(id);
        foreach (var name in names)
            await blobs.DeleteAsync(BlobContainers.Programs, name, cancellationToken);
    }

    /// <summary>Programs after an id, by id; a stored one hides the shipped one of the same id.</summary>
    public async Task<IReadOnlyList<DspyProgramSummary>> ListAsync(string after, int limit, CancellationToken cancellationToken)
    {
        var stored = await store.ListAsync(after, limit, cancellationToken);
        return [.. stored
            .Concat(library.Programs.Where(one => string.CompareOrdinal(one.Id, after) > 0).Select(one => Summarise(one.Id, one.Program, 0, null)))
            .DistinctBy(program => program.ProgramId).OrderBy(program => program.ProgramId, StringComparer.Ordinal).Take(limit)];
    }

    /// <summary>A program with its fields; the newest revision, or that of <c>id@revision</c>.</summary>
    public async Task<DspyProgramDetail> GetAsync(string id, CancellationToken cancellationToken)
    {
        var (programId, revision, program) = await LoadAsync(id, cancellationToken);
        return new DspyProgramDetail(
            programId, program.Name, program.Version, program.Description, revision,
            [.. program.Signatures.Select(signature => new DspySignatureDetail(
                signature.Name, signature.Instructions, Describe(signature.Inputs), Describe(signature.Outputs), signature.Demos.Count))]);
    }

    /// <summary>Everything that can be wrong before the first input is looked at.</summary>
    /// <exception cref="RegistryException">404; 503 where a language model is needed and none is configured.</exception>
    public async Task<DspyCall> PrepareAsync(string id, string mode, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var (programId, revision, program) = await LoadAsync(id, cancellationToken);
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
        _loaded.Clear();
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
        var names = new List<string>();
        await foreach (var (name, createdAt) in blobs.ListAsync(BlobContainers.Programs, "", cancellationToken))
            if (createdAt < now - TimeSpan.FromDays(1))
                names.Add(name);
        foreach (var chunk in names.Chunk(1000))
            foreach (var orphan in await store.ListOrphansAsync(chunk, cancellationToken))
                await blobs.DeleteAsync(BlobContainers.Programs, orphan, cancellationToken);
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

    // A stored program comes before a shipped one of the same id.
    private async Task<(string Id, int Revision, DspyProgram Program)> LoadAsync(string name, CancellationToken cancellationToken)
    {
        var parts = name.Split('@');
        int? revision = null;
        if (parts.Length > 2 || (parts.Length == 2 && !TryParseRevision(parts[1], out revision)))
            throw DspyErrors.ProgramNotFound(name);
        if (await store.FindAsync(parts[0], revision, cancellationToken) is { } found)
            return (found.Summary.ProgramId, found.Summary.Revision, await LoadAsync(found, cancellationToken));
        return revision is null or 0 && library.Find(parts[0]) is { } shipped ? (shipped.Id, 0, shipped.Program) : throw DspyErrors.ProgramNotFound(name);
    }

    private async Task<DspyProgram> LoadAsync(DspyRevision revision, CancellationToken cancellationToken)
    {
        if (_loaded.TryGetValue(revision.BlobName, out var loaded))
            return loaded;
        // Deleted this moment: as if it had been deleted before.
        await using var content = await blobs.OpenReadAsync(BlobContainers.Programs, revision.BlobName, 0, 0, cancellationToken)
            ?? throw DspyErrors.ProgramNotFound(revision.Summary.ProgramId);
        using var document = await JsonDocument.ParseAsync(content, default, cancellationToken);
        if (_loaded.Count >= MaxLoaded)
            _loaded.Clear();
        return _loaded[revision.BlobName] = DspyProgramReader.Read(revision.Summary.ProgramId, document.RootElement);
    }

    private static bool TryParseRevision(string text, out int? revision)
    {
        revision = int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
        return revision is not null;
    }

    private static DspyProgramSummary Summarise(string id, DspyProgram program, int revision, DateTimeOffset? createdAt) => new(
        id, program.Name, program.Version,
        [.. program.Signatures.Select(signature => new DspySignatureSummary([.. signature.Inputs.Select(field => field.Name)], [.. signature.Outputs.Select(field => field.Name)]))],
        program.Description, revision, createdAt);

    private static DspyProgramStored Stored(DspyProgramSummary program, int revision, bool created) =>
        new(program.ProgramId, program.Name, program.Version, program.Signatures, program.Description, revision, created);

    private static DspyFieldDetail[] Describe(IReadOnlyList<DspyField> fields) =>
        [.. fields.Select(field => new DspyFieldDetail(field.Name, field.Type, field.Description, field.IsOptional, field.Values.Count == 0 ? null : field.Values))];

    private static JsonArray Describe(IReadOnlyList<ChatMessage> messages) =>
        [.. messages.Select(message => new JsonObject { ["role"] = message.Role, ["content"] = message.Content })];

    [GeneratedRegex("^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    private static partial Regex ProgramId();
}
