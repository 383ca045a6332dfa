using System.Collections.Concurrent;
using FunctionsRegistry.LocalRuntime.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>
/// Runs turns and activities. What this process leaves to do it mostly does itself, without asking the database: a commit locks what comes next in the same
/// round trip. What it has no room for, timers, and what others left, a poll finds.
/// </summary>
internal sealed partial class DurableWorker(
    DurableOptions options, TurnStore store, WorkerSession session, FunctionTable functions, FunctionInvoker invoker, HostSettings settings,
    IServiceProvider services, CompletionWatch watch, ILoggerFactory loggers, ILogger<DurableWorker> logger, TimeProvider? time = null) : IHostedService, IAsyncDisposable
{
    private static readonly TimeSpan s_pollInterval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_retryInterval = TimeSpan.FromMilliseconds(300);
    private static readonly TimeSpan s_drainTime = TimeSpan.FromSeconds(5);
    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private readonly Dictionary<string, LocalFunction> _orchestrators =
        functions.All.Where(function => function.IsOrchestrator).ToDictionary(function => function.Name, StringComparer.OrdinalIgnoreCase);

    private readonly Dictionary<string, LocalFunction> _activities =
        functions.All.Where(function => function.IsActivity).ToDictionary(function => function.Name, StringComparer.OrdinalIgnoreCase);

    private readonly Slots _turnSlots = new(options.MaxOrchestrators);
    private readonly Slots _activitySlots = new(options.MaxActivities);
    private readonly ConcurrentDictionary<string, Running> _running = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<(Guid Execution, int Task), bool> _runningActivities = new();
    private readonly Backlog _waiting = new();
    private readonly Backlog _freeActivities = new();
    private readonly SemaphoreSlim _wake = new(0, 1);
    private readonly CancellationTokenSource _stopping = new();
    private readonly CancellationTokenSource _drained = new();
    private Task _loops = Task.CompletedTask;
    private long _nextPollTicks;
    private int _notifying;
    private int _troubled;
    private HashSet<(Guid Execution, int Task)> _suspects = [];

    /// <summary>Whether the app has such an orchestrator.</summary>
    public bool HasOrchestrator(string name) => _orchestrators.ContainsKey(name);

    /// <summary>Who locks; null while this process takes no work.</summary>
    public Guid? Id => _stopping.IsCancellationRequested || _loops.IsCompleted ? null : session.Id;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await DurableSchema.CreateAsync(options.ConnectionString, cancellationToken);
        await session.BeginAsync(cancellationToken);
        // So that rate() has something to start from before the first turn.
        DurableMetrics.CountTurns(0);
        _loops = Task.WhenAll(
            LoopAsync(PollAsync), LoopAsync(ListenAsync), LoopAsync(MaintainAsync));
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (_stopping.IsCancellationRequested)
            return;
        await _stopping.CancelAsync();
        await _loops;
        if (!await WaitUntilIdleAsync(s_drainTime, cancellationToken))
        {
            await _drained.CancelAsync();
            await WaitUntilIdleAsync(s_drainTime, cancellationToken);
        }
        await _drained.CancelAsync();
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(3));
        try
        {
            await session.EndAsync(limit.Token);
        }
        catch (Exception exception) when (exception is NpgsqlException or OperationCanceledException or TimeoutException)
        {
            // Others free it when they see that this worker is gone.
            LogTrouble(exception.Message);
        }
        await session.DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync(CancellationToken.None);
        _wake.Dispose();
        _stopping.Dispose();
        _drained.Dispose();
    }

    /// <summary>An instance may have something to do.</summary>
    public void Hint(string instanceId)
    {
        if (TryBegin(instanceId))
            Detach(() => RunTurnsAsync(instanceId, null));
    }

    /// <summary>Reserves a place for a turn of an instance that nobody else here works on; if it is worked on, it is looked at again afterwards.</summary>
    public bool TryBegin(string instanceId)
    {
        if (Id is null)
            return false;
        if (_turnSlots.Take(1) == 0)
        {
            Leave(_waiting);
            return false;
        }
        while (true)
        {
            var mine = new Running();
            var first = _running.GetOrAdd(instanceId, mine);
            if (first == mine)
                return true;
            first.Again = true;
            if (!_running.TryGetValue(instanceId, out var now) || now != first)
                continue;
            _turnSlots.Return(1);
            return false;
        }
    }

    /// <summary>Runs the turns of an instance for which <see cref="TryBegin"/> was true.</summary>
    public void RunTurns(string instanceId, ClaimedTurn? turn) => Detach(() => RunTurnsAsync(instanceId, turn));

    /// <summary>Gives the place back.</summary>
    public void End(string instanceId)
    {
        _running.TryRemove(instanceId, out var running);
        _turnSlots.Return(1);
        if (running is { Again: true })
            Hint(instanceId);
        if (_waiting.IsMarked)
            Wake();
    }

    /// <summary>A timer or a later start must not be overslept.</summary>
    public void ExpectAt(DateTime due)
    {
        var ticks = Interlocked.Read(ref _nextPollTicks);
        while (due.Ticks < ticks)
        {
            var before = Interlocked.CompareExchange(ref _nextPollTicks, due.Ticks, ticks);
            if (before == ticks)
            {
                Wake();
                return;
            }
            ticks = before;
        }
    }

    /// <summary>Whether the orchestrator does what a history says.</summary>
    public async Task<bool> CanReplayAsync(Instance instance, List<HistoryEvent> history)
    {
        if (!_orchestrators.TryGetValue(instance.Name, out var function))
            return false;
        await using var scope = services.CreateAsyncScope();
        var replayed = await Task.Run(() => Turn.Run(
            instance, history, [], history.Count == 0 ? Now() : history[^1].At, context => InvokeAsync(function, scope.ServiceProvider, context), loggers, () => { }));
        return replayed.Status == OrchestrationRuntimeStatus.Running;
    }

    /// <summary>To the microsecond, as PostgreSQL keeps it: an orchestrator must read the same time in every replay.</summary>
    public DateTime Now()
    {
        var now = _time.GetUtcNow().UtcDateTime;
        return now.AddTicks(-(now.Ticks % TimeSpan.TicksPerMicrosecond));
    }

    private async Task RunTurnsAsync(string instanceId, ClaimedTurn? turn)
    {
        try
        {
            while (!_stopping.IsCancellationRequested)
            {
                turn ??= await store.ClaimAsync(instanceId, session.Id, Now(), _drained.Token);
                if (turn is null || !await RunTurnAsync(turn))
                    return;
                turn = null;
            }
        }
        finally
        {
            End(instanceId);
        }
    }

    private async Task<bool> RunTurnAsync(ClaimedTurn turn)
    {
        var instance = turn.Instance;
        var now = TurnTime(turn);
        var incoming = Incoming(turn, now);
        if (instance.IsOver || incoming.Count == 0)
        {
            await store.ReleaseTurnAsync(turn, turn.Messages.Select(message => message.Id), _drained.Token);
            return false;
        }
        var result = await DecideAsync(turn, incoming, now);
        var scheduled = result.NewEvents.Count(entry => entry.Kind == EventKind.TaskScheduled && !Instance.IsOverStatus(result.Status));
        var takes = scheduled == 0 ? 0 : _activitySlots.Take(scheduled);
        if (await CommitAsync(turn, result, takes, now) is not { } committed)
        {
            _activitySlots.Return(takes);
            return true;
        }
        foreach (var work in committed.Activities)
            RunActivities(work);
        if (committed.LeavesActivities)
            Leave(_freeActivities);
        foreach (var other in committed.Others)
            Hint(other);
        foreach (var timer in result.NewEvents.Where(entry => entry.Kind == EventKind.TimerCreated))
            ExpectAt(timer.DueAt!.Value);
        watch.Changed(instance.Id, Instance.IsOverStatus(result.Status));
        return committed.HasMore;
    }

    private async Task<TurnResult> DecideAsync(ClaimedTurn turn, List<HistoryEvent> incoming, DateTime now)
    {
        var instance = turn.Instance;
        if (instance.Attempts > options.MaxAttempts)
            return Failed(incoming, instance, now, $"A turn of orchestrator '{instance.Name}' was begun {options.MaxAttempts} times and never ended: it is given up.");
        if (!_orchestrators.TryGetValue(instance.Name, out var function))
            return Failed(incoming, instance, now, $"The app has no orchestrator function '{instance.Name}'.");
        if (instance.Status == OrchestrationRuntimeStatus.Suspended && !incoming.Any(entry => entry.Kind is EventKind.Resumed or EventKind.Terminated))
            return new TurnResult(incoming, OrchestrationRuntimeStatus.Suspended) { HasOpenTasks = true };
        await using var scope = services.CreateAsyncScope();
        return Turn.Run(
            instance, turn.History, incoming, now, context => InvokeAsync(function, scope.ServiceProvider, context), loggers, () => ReportStray(instance));
    }

    private async Task<string?> InvokeAsync(LocalFunction function, IServiceProvider scope, TaskOrchestrationContext context)
    {
        var invocation = new LocalFunctionContext(function, scope, CancellationToken.None)
        {
            TriggerValue = context,
            TriggerData = new Dictionary<string, object?> { ["instanceId"] = context.InstanceId },
        };
        await invoker.InvokeAsync(invocation);
        return Payload.Write(invocation.Result.Value);
    }

    private static TurnResult Failed(List<HistoryEvent> incoming, Instance instance, DateTime now, string message)
    {
        var failure = new TaskFailureDetails(typeof(InvalidOperationException).FullName!, message, null, null, null);
        incoming.Add(new HistoryEvent(
            instance.Turns, EventKind.Ended, -1, nameof(OrchestrationRuntimeStatus.Failed), null, Payload.Write(failure), null, now));
        return new TurnResult(incoming, OrchestrationRuntimeStatus.Failed) { Failure = failure, HasOpenTasks = true };
    }

    // Not before anything that it knows of.
    private DateTime TurnTime(ClaimedTurn turn)
    {
        var now = Now();
        if (turn.History.Count > 0 && turn.History[^1].At > now)
            now = turn.History[^1].At;
        foreach (var message in turn.Messages)
            if (message.Kind == EventKind.TimerFired && message.DueAt > now)
                now = message.DueAt;
        return now;
    }

    private static List<HistoryEvent> Incoming(ClaimedTurn turn, DateTime now)
    {
        var results = turn.Messages.Any(message => HistoryEvent.IsResultKind(message.Kind))
            ? turn.History.Where(entry => entry.IsResult).Select(entry => entry.Task).ToHashSet()
            : [];
        var incoming = new List<HistoryEvent>();
        // Events that came before an execution began wait until it has.
        foreach (var message in turn.Messages.OrderBy(message => message.Kind != EventKind.Started))
        {
            if (message.Execution is { } execution && execution != turn.Instance.Execution)
                continue;
            if (message.Kind == EventKind.Started && turn.History.Count > 0 || HistoryEvent.IsResultKind(message.Kind) && !results.Add(message.Task))
                continue;
            incoming.Add(new HistoryEvent(
                turn.Instance.Turns, message.Kind, message.Task, message.Name, null, message.Payload,
                message.Kind == EventKind.TimerFired ? message.DueAt : null, now));
        }
        return incoming;
    }

    // Stored again and again until the database answers: if it was stored the first time, the lock is lost the second.
    private async Task<CommittedTurn?> CommitAsync(ClaimedTurn turn, TurnResult result, int takes, DateTime now)
    {
        var isLast = false;
        while (true)
        {
            try
            {
                var committed = await store.CommitAsync(turn, result, takes, now, _drained.Token);
                DurableMetrics.CountTurns(1);
                NoteRecovery();
                return committed;
            }
            catch (LockLostException)
            {
                return null;
            }
            catch (Exception exception) when (IsTransient(exception))
            {
                await WaitAfterTroubleAsync(exception);
            }
            catch (PostgresException exception) when (!isLast)
            {
                // What the orchestrator did cannot be stored, now or later.
                LogUnstorable(exception, turn.Instance.Name, turn.Instance.Id);
                isLast = true;
                result = Failed(Incoming(turn, now), turn.Instance, now, $"A turn of orchestrator '{turn.Instance.Name}' cannot be stored: {exception.MessageText}.");
            }
        }
    }

    private void ReportStray(Instance instance)
    {
        LogStray(instance.Name, instance.Id);
        Detach(async () =>
        {
            await store.TellAsync(instance.Id, instance.Execution, EventKind.Broken, Now(), _drained.Token);
            Hint(instance.Id);
        });
    }

    private sealed class Running
    {
        private volatile bool _again;

        public bool Again
        {
            get => _again;
            set
            {
                _again = value;
                Interlocked.MemoryBarrier();
            }
        }
    }
}
