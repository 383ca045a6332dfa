using System.Buffers.Text;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>The client of the hub in the app's database.</summary>
internal sealed class LocalDurableTaskClient(ClientStore store, DurableWorker worker, HistoryCache cache, CompletionWatch watch, Rewind rewind, DurableOptions options)
    : DurableTaskClient("durable")
{
    private static readonly TimeSpan s_askAgainAfter = TimeSpan.FromMilliseconds(500);

    public override async Task<string> ScheduleNewOrchestrationInstanceAsync(
        TaskName orchestratorName, object? input = null, StartOrchestrationOptions? options = null, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(orchestratorName.Name, nameof(orchestratorName));
        return await StartAsync(orchestratorName.Name, Payload.Write(input), options?.InstanceId, options?.StartAt, ReplacedStatuses(options?.DedupeStatuses), cancellation);
    }

    public override async Task RaiseEventAsync(string instanceId, string eventName, object? eventPayload = null, CancellationToken cancellation = default) =>
        await RaiseAsync(instanceId, eventName, Payload.Write(eventPayload), cancellation);

    public override Task<OrchestrationMetadata> WaitForInstanceStartAsync(
        string instanceId, bool getInputsAndOutputs = false, CancellationToken cancellation = default) =>
        WaitAsync(instanceId, getInputsAndOutputs, forEnd: false, cancellation);

    public override Task<OrchestrationMetadata> WaitForInstanceCompletionAsync(
        string instanceId, bool getInputsAndOutputs = false, CancellationToken cancellation = default) =>
        WaitAsync(instanceId, getInputsAndOutputs, forEnd: true, cancellation);

    public override async Task TerminateInstanceAsync(string instanceId, TerminateInstanceOptions? options = null, CancellationToken cancellation = default) =>
        await SendAsync(instanceId, EventKind.Terminated, options is { Recursive: true } ? Turn.Recursive : null, Payload.Write(options?.Output), cancellation);

    public override async Task SuspendInstanceAsync(string instanceId, string? reason = null, CancellationToken cancellation = default) =>
        await SendAsync(instanceId, EventKind.Suspended, null, Payload.Write(reason), cancellation);

    public override async Task ResumeInstanceAsync(string instanceId, string? reason = null, CancellationToken cancellation = default) =>
        await SendAsync(instanceId, EventKind.Resumed, null, Payload.Write(reason), cancellation);

    public override Task<OrchestrationMetadata?> GetInstanceAsync(
        string instanceId, bool getInputsAndOutputs = false, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(instanceId);
        return InstanceIds.IsValid(instanceId)
            ? store.FindAsync(instanceId, getInputsAndOutputs, getInputsAndOutputs, cancellation)
            : Task.FromResult<OrchestrationMetadata?>(null);
    }

    public override AsyncPageable<OrchestrationMetadata> GetAllInstancesAsync(OrchestrationQuery? filter = null)
    {
        filter ??= new OrchestrationQuery();
        ArgumentOutOfRangeException.ThrowIfLessThan(filter.PageSize, 1, nameof(filter));
        return new InstancePages(this, filter);
    }

    public override async Task<PurgeResult> PurgeInstanceAsync(string instanceId, PurgeInstanceOptions? options = null, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(instanceId);
        if (!InstanceIds.IsValid(instanceId))
            return new PurgeResult(0);
        cache.Remove(instanceId);
        return new PurgeResult(await store.PurgeAsync(instanceId, options is { Recursive: true }, cancellation));
    }

    public override async Task<PurgeResult> PurgeAllInstancesAsync(
        PurgeInstancesFilter filter, PurgeInstanceOptions? options = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(filter);
        var statuses = filter.Statuses?.Select(status => (short)status).ToArray() is { Length: > 0 } chosen ? chosen : Instance.OverStatuses;
        var (total, some) = (0, 0);
        do
        {
            some = await store.PurgeSomeAsync(Utc(filter.CreatedFrom), Utc(filter.CreatedTo), statuses, options is { Recursive: true }, cancellation);
            total += some;
        }
        while (some > 0);
        return new PurgeResult(total);
    }

    public override async Task<string> RestartAsync(string instanceId, bool restartWithNewInstanceId = false, CancellationToken cancellation = default)
    {
        var found = await GetInstanceAsync(instanceId, true, cancellation)
            ?? throw new ArgumentException($"There is no instance '{instanceId}'.", nameof(instanceId));
        if (!restartWithNewInstanceId && !found.IsCompleted)
            throw new InvalidOperationException($"The instance '{instanceId}' is {found.RuntimeStatus}: only one that is over can be restarted under its own id.");
        return await StartAsync(found.Name, found.SerializedInput, restartWithNewInstanceId ? null : instanceId, null, Instance.OverStatuses, cancellation);
    }

    public override Task RewindInstanceAsync(string instanceId, string reason, CancellationToken cancellation = default)
    {
        InstanceIds.Check(instanceId);
        return rewind.RunAsync(instanceId, reason, cancellation);
    }

    public override ValueTask DisposeAsync() => default;

    /// <summary>As RaiseEventAsync, with JSON, and the status that the instance has, or null.</summary>
    public Task<OrchestrationRuntimeStatus?> RaiseAsync(string instanceId, string eventName, string? json, CancellationToken cancellationToken)
    {
        EventNames.Check(eventName);
        return SendAsync(instanceId, EventKind.EventRaised, eventName, json, cancellationToken);
    }

    /// <summary>Sends; the status that the instance has, or null.</summary>
    public async Task<OrchestrationRuntimeStatus?> SendAsync(
        string instanceId, EventKind kind, string? name, string? payload, CancellationToken cancellationToken)
    {
        ArgumentException.ThrowIfNullOrEmpty(instanceId);
        if (!InstanceIds.IsValid(instanceId))
            return null;
        var status = await store.SendAsync(instanceId, kind, name, payload, worker.Now(), cancellationToken);
        if (status is { } known && !Instance.IsOverStatus(known))
            worker.Hint(instanceId);
        return status;
    }

    /// <summary>Starts an instance with an input in JSON.</summary>
    public async Task<string> StartAsync(
        string name, string? input, string? instanceId, DateTimeOffset? startAt, short[]? replaced, CancellationToken cancellationToken)
    {
        if (instanceId is not null)
            InstanceIds.Check(instanceId);
        var now = worker.Now();
        var start = Utc(startAt) is { } later && later > now ? later : now;
        var execution = Guid.CreateVersion7(now);
        var id = instanceId ?? Guid.CreateVersion7(now).ToString("N");
        var begun = start == now && worker.TryBegin(id);
        Message? first;
        var made = new NewInstance(
            id, execution, name, input, now, start, begun ? worker.Id : null, instanceId is null ? null : replaced ?? ReplacedStatuses(null));
        try
        {
            first = await store.InsertAsync(made, cancellationToken);
        }
        catch
        {
            if (begun)
                worker.RunTurns(id, null);
            throw;
        }
        if (first is null)
        {
            if (begun)
                worker.End(id);
            throw new InvalidOperationException($"There is an orchestration with the instance id '{id}' that may not be replaced.");
        }
        if (begun)
            worker.RunTurns(id, made.Worker is { } me
                ? new ClaimedTurn(me, new Instance(id, execution, name, OrchestrationRuntimeStatus.Pending, 0, 1, input, null, now), [], [first])
                : null);
        else if (start > now)
            worker.ExpectAt(start);
        else
            worker.Hint(id);
        return id;
    }

    /// <summary>One page, and the token of the next.</summary>
    /// <exception cref="ArgumentException">The token is none of ours.</exception>
    public async Task<(List<OrchestrationMetadata> Instances, string? Next)> ListAsync(InstanceQuery query, string? token, CancellationToken cancellationToken)
    {
        var found = await store.ListAsync(query with { Limit = query.Limit + 1, After = ReadToken(token) }, cancellationToken);
        if (found.Count <= query.Limit)
            return (found, null);
        found.RemoveAt(query.Limit);
        var last = found[^1];
        return (found, Base64Url.EncodeToString(Encoding.UTF8.GetBytes($"{last.CreatedAt.UtcTicks.ToString(CultureInfo.InvariantCulture)}|{last.InstanceId}")));
    }

    private static (DateTime CreatedAt, string Id)? ReadToken(string? token)
    {
        if (string.IsNullOrEmpty(token))
            return null;
        try
        {
            var parts = Encoding.UTF8.GetString(Base64Url.DecodeFromChars(token)).Split('|', 2);
            if (parts.Length == 2 && !parts[1].Contains('\0') && long.TryParse(parts[0], CultureInfo.InvariantCulture, out var ticks) && ticks > 0 && ticks <= DateTime.MaxValue.Ticks)
                return (new DateTime(ticks, DateTimeKind.Utc), parts[1]);
        }
        catch (FormatException)
        {
            // Said below.
        }
        throw new ArgumentException("The continuation token is not one that was given out.", nameof(token));
    }

    private short[] ReplacedStatuses(IReadOnlyList<string>? kept)
    {
        var all = Enum.GetValues<OrchestrationRuntimeStatus>();
        if (kept is null)
            return options.ReplacesRunning ? [.. all.Select(status => (short)status)] : Instance.OverStatuses;
        var statuses = kept.Select(text => Enum.TryParse<OrchestrationRuntimeStatus>(text, ignoreCase: true, out var status)
            ? status
            : throw new ArgumentException($"'{text}' is no runtime status.", nameof(kept))).ToHashSet();
        return [.. all.Where(status => !statuses.Contains(status)).Select(status => (short)status)];
    }

    private static DateTime? Utc(DateTimeOffset? time) => time?.UtcDateTime;

    private async Task<OrchestrationMetadata> WaitAsync(
        string instanceId, bool withPayloads, bool forEnd, CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                var change = watch.Next(instanceId, forEnd);
                if (await GetInstanceAsync(instanceId, withPayloads, cancellationToken) is not { } found)
                    throw new InvalidOperationException($"There is no instance '{instanceId}'.");
                if (forEnd ? found.IsCompleted : found.RuntimeStatus != OrchestrationRuntimeStatus.Pending)
                    return found;
                await Task.WhenAny(change, Task.Delay(s_askAgainAfter, cancellationToken));
                cancellationToken.ThrowIfCancellationRequested();
            }
        }
        finally
        {
            watch.Wake(instanceId, forEnd);
        }
    }

    private sealed class InstancePages(LocalDurableTaskClient client, OrchestrationQuery filter) : AsyncPageable<OrchestrationMetadata>
    {
        public override IAsyncEnumerable<Page<OrchestrationMetadata>> AsPages(string? continuationToken = null, int? pageSizeHint = null) =>
            ReadAsync(continuationToken ?? filter.ContinuationToken, pageSizeHint is > 0 and var size ? size : filter.PageSize, CancellationToken.None);

        private async IAsyncEnumerable<Page<OrchestrationMetadata>> ReadAsync(
            string? token, int pageSize, [EnumeratorCancellation] CancellationToken cancellationToken)
        {
            var query = new InstanceQuery(
                Utc(filter.CreatedFrom), Utc(filter.CreatedTo), filter.Statuses?.Select(status => (short)status).ToArray() is { Length: > 0 } statuses ? statuses : null,
                filter.InstanceIdPrefix, filter.FetchInputsAndOutputs, filter.FetchInputsAndOutputs, pageSize, null);
            do
            {
                (var found, token) = await client.ListAsync(query, token, cancellationToken);
                yield return new Page<OrchestrationMetadata>(found, token);
            }
            while (token is not null);
        }
    }
}
