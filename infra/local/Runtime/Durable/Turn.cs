using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>
/// One turn of an instance: runs the orchestrator from its start, feeds it the history and then what is new, and collects what it does. Pure but for the
/// orchestrator itself: nothing is read or stored here.
/// </summary>
internal sealed class Turn
{
    private readonly Instance _instance;
    private readonly TurnThread _thread;
    private readonly LocalOrchestrationContext _context;
    private readonly IReadOnlyList<HistoryEvent> _history;
    private readonly List<HistoryEvent> _actions = [];
    private readonly List<(HistoryEvent Event, int Sequence)> _expected = [];
    private readonly Dictionary<int, OpenTask> _open = [];
    // The newest waiter of a name is served first; an event that nobody waits for is kept, the oldest first.
    private readonly Dictionary<string, List<OpenTask>> _waiters = new(StringComparer.OrdinalIgnoreCase);
    private readonly List<HistoryEvent> _unclaimed = [];
    private readonly List<HistoryEvent> _held = [];
    private readonly List<int> _cancelledTimers = [];
    private int _tasks;
    private int _turn;
    private bool _isSuspended;
    private HistoryEvent? _terminated;
    private Exception? _broken;
    private (string? Json, bool IsSet) _customStatus;
    private (string? Input, bool PreserveEvents)? _continueAsNew;
    private Task<string?>? _run;

    private Turn(Instance instance, IReadOnlyList<HistoryEvent> history, ILoggerFactory loggers, Action onStray)
    {
        (_instance, _history) = (instance, history);
        _thread = new TurnThread(onStray);
        _context = new LocalOrchestrationContext(instance, _thread, this, loggers);
    }

    /// <summary>The time of the turn that is being worked on.</summary>
    public DateTime Now { get; private set; }

    /// <summary>Whether what is worked on was stored before.</summary>
    public bool IsReplaying { get; private set; }

    /// <param name="instance">Which.</param>
    /// <param name="history">All of this execution, in order.</param>
    /// <param name="incoming">What is new: results, events, and what the client asks for.</param>
    /// <param name="now">UTC; not before the history's last.</param>
    /// <param name="orchestrator">Runs the function on a context and returns its result as JSON.</param>
    /// <param name="loggers">For the orchestrator.</param>
    /// <param name="onStray">Called when the orchestrator is seen to break the rules after the turn.</param>
    public static TurnResult Run(
        Instance instance, IReadOnlyList<HistoryEvent> history, IReadOnlyList<HistoryEvent> incoming, DateTime now,
        Func<TaskOrchestrationContext, Task<string?>> orchestrator, ILoggerFactory loggers, Action onStray)
    {
        var turn = new Turn(instance, history, loggers, onStray);
        var before = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(turn._thread);
        try
        {
            turn.Replay(orchestrator);
            turn.TakeIn(incoming, now, orchestrator);
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(before);
        }
        return turn.Finish([.. incoming], now);
    }

    public Task<T> Schedule<T>(EventKind kind, string name, string? target, string? payload, DateTime? dueAt)
    {
        var number = Act(kind, name, target, payload, dueAt);
        var task = new OpenTask<T>(name, number, kind);
        _open.Add(number, task);
        return task.Task;
    }

    public Task ScheduleTimer(DateTime dueAt, CancellationToken cancellationToken)
    {
        var number = Act(EventKind.TimerCreated, null, null, null, dueAt);
        var task = new OpenTask<NoResult>("timer", number, EventKind.TimerCreated);
        _open.Add(number, task);
        task.CancelBy(
            () =>
        {
            if (_thread.IsHere() && _open.Remove(number))
            {
                if (!IsReplaying)
                    _cancelledTimers.Add(number);
                task.Cancel(cancellationToken);
            }
        },
            cancellationToken);
        return task.Task;
    }

    public Task<T> WaitForEvent<T>(string name, CancellationToken cancellationToken)
    {
        var task = new OpenTask<T>(name, -1, EventKind.EventRaised);
        var kept = _unclaimed.FindIndex(raised => raised.Name!.Equals(name, StringComparison.OrdinalIgnoreCase));
        if (kept >= 0)
        {
            task.Complete(_unclaimed[kept].Payload);
            _unclaimed.RemoveAt(kept);
            return task.Task;
        }
        if (!_waiters.TryGetValue(name, out var waiters))
            _waiters.Add(name, waiters = []);
        waiters.Add(task);
        task.CancelBy(
            () =>
        {
            if (_thread.IsHere() && waiters.Remove(task))
                task.Cancel(cancellationToken);
        },
            cancellationToken);
        return task.Task;
    }

    public void SendEvent(string instanceId, string name, string? payload) => Act(EventKind.EventSent, name, instanceId, payload, null);

    public void SetCustomStatus(string? json) => _customStatus = (json, !IsReplaying);

    public void ContinueAsNew(string? input, bool preserveEvents) => _continueAsNew = (input, preserveEvents);

    // Numbers the action; in a replay it must be the one that the history has under the number.
    private int Act(EventKind kind, string? name, string? target, string? payload, DateTime? dueAt)
    {
        var number = _tasks++;
        var action = new HistoryEvent(_turn, kind, number, name, target, payload, dueAt, Now);
        if (number < _expected.Count)
        {
            var (expected, sequence) = _expected[number];
            if (expected.Kind != kind || !string.Equals(expected.Name, name, StringComparison.OrdinalIgnoreCase) || expected.Turn != _turn)
                throw Break(NonDeterministicOrchestrationException.Diverged(
                    _instance.Name, sequence, expected.Describe(), expected.Turn == _turn ? action.Describe() : action.Describe() + " at another time"));
        }
        else if (IsReplaying)
        {
            throw Break(NonDeterministicOrchestrationException.Diverged(_instance.Name, SequenceAfter(_turn), "no action there", action.Describe()));
        }
        else
        {
            _actions.Add(action);
        }
        return number;
    }

    // Noted, too: the orchestrator may catch it.
    private Exception Break(Exception exception)
    {
        _broken ??= exception;
        return exception;
    }

    private int SequenceAfter(int turn)
    {
        var sequence = 0;
        while (sequence < _history.Count && _history[sequence].Turn <= turn)
            sequence++;
        return sequence;
    }

    private void Replay(Func<TaskOrchestrationContext, Task<string?>> orchestrator)
    {
        for (var i = 0; i < _history.Count; i++)
            if (_history[i].IsAction)
                _expected.Add((_history[i], i));
        IsReplaying = true;
        for (var i = 0; i < _history.Count && _broken is null; i++)
        {
            var entry = _history[i];
            (_turn, Now) = (entry.Turn, entry.At);
            if (!entry.IsAction)
                Apply(entry, orchestrator);
            var isTurnsLast = i + 1 == _history.Count || _history[i + 1].Turn != entry.Turn;
            if (isTurnsLast && _tasks < _expected.Count && _expected[_tasks].Event.Turn == entry.Turn)
                Break(NonDeterministicOrchestrationException.Diverged(
                    _instance.Name, _expected[_tasks].Sequence, _expected[_tasks].Event.Describe(), _run is { IsCompleted: true } ? "nothing: it is over" : "nothing there"));
        }
    }

    private void TakeIn(IReadOnlyList<HistoryEvent> incoming, DateTime now, Func<TaskOrchestrationContext, Task<string?>> orchestrator)
    {
        IsReplaying = false;
        (_turn, Now) = (_instance.Turns, now);
        foreach (var entry in incoming)
            if (_broken is null && _terminated is null)
                Apply(entry, orchestrator);
    }

    private void Apply(HistoryEvent entry, Func<TaskOrchestrationContext, Task<string?>> orchestrator)
    {
        switch (entry.Kind)
        {
            case EventKind.Terminated:
                _terminated = entry;
                return;
            case EventKind.Broken:
                Break(NonDeterministicOrchestrationException.ForeignAwait(_instance.Name));
                return;
            case EventKind.Suspended:
                _isSuspended = true;
                return;
            case EventKind.Resumed:
                _isSuspended = false;
                var held = _held.ToList();
                _held.Clear();
                foreach (var one in held)
                    Apply(one, orchestrator);
                return;
            case var _ when _isSuspended:
                _held.Add(entry);
                return;
        }
        try
        {
            Tell(entry, orchestrator);
            _thread.Drain();
        }
        catch (Exception exception)
        {
            // Of an async void method: nobody awaits it, and the orchestrator would go on without what it did.
            Break(exception);
        }
    }

    private void Tell(HistoryEvent entry, Func<TaskOrchestrationContext, Task<string?>> orchestrator)
    {
        switch (entry.Kind)
        {
            case EventKind.Started:
                _run = orchestrator(_context);
                break;
            case EventKind.EventRaised:
                Raise(entry);
                break;
            case var _ when entry.IsResult:
                if (_open.Remove(entry.Task, out var task))
                    task.End(entry);
                else if (entry.Task >= _tasks)
                    Break(NonDeterministicOrchestrationException.Diverged(
                        _instance.Name, SequenceAfter(entry.Turn - 1), $"a result of {entry.Describe()}", "nothing that has one"));
                break;
        }
    }

    private void Raise(HistoryEvent raised)
    {
        if (!_waiters.TryGetValue(raised.Name!, out var waiters) || waiters.Count == 0)
        {
            _unclaimed.Add(raised);
            return;
        }
        var newest = waiters[^1];
        waiters.RemoveAt(waiters.Count - 1);
        newest.Complete(raised.Payload);
    }

    private TurnResult Finish(List<HistoryEvent> events, DateTime now)
    {
        // The order matters: what strays from here on is reported by itself.
        var isClean = _thread.End();
        var waits = _open.Count > 0 || _isSuspended || _waiters.Values.Any(waiters => waiters.Count > 0);
        if (_terminated is null && _broken is null && (!isClean || _run is { IsCompleted: false } && !waits))
            _broken = NonDeterministicOrchestrationException.ForeignAwait(_instance.Name);
        var hasOpenTasks = _open.Count > 0;
        if (_broken is not null)
            return Fail(events, now, _broken);
        events.AddRange(_actions);
        var result = new TurnResult(events, _isSuspended ? OrchestrationRuntimeStatus.Suspended : OrchestrationRuntimeStatus.Running)
        {
            CustomStatus = _customStatus,
            CancelledTimers = _cancelledTimers,
            HasOpenTasks = hasOpenTasks,
        };
        if (_terminated is { } terminated)
            return End(result with { Status = OrchestrationRuntimeStatus.Terminated, Output = terminated.Payload, EndsChildren = terminated.Name == Recursive }, now);
        if (_run is not { IsCompleted: true } || _isSuspended)
            return result;
        if (_run.Exception?.InnerException is { } exception)
            return Fail(events, now, exception);
        if (_run.IsCanceled)
            return Fail(events, now, new TaskCanceledException($"Orchestrator '{_instance.Name}' was cancelled."));
        // As on Azure: not over while a task is, even one that nobody awaits.
        if (hasOpenTasks)
            return result;
        if (_continueAsNew is { } again)
            return result with
            {
                ContinuesAs = new(again.Input, again.PreserveEvents ? [.. _unclaimed.Select(raised => (raised.Name!, raised.Payload))] : []),
            };
#pragma warning disable RS0030 // It is over.
        return End(result with { Status = OrchestrationRuntimeStatus.Completed, Output = _run.Result }, now);
#pragma warning restore RS0030
    }

    /// <summary>The name of a Terminated event that also ends sub-orchestrations.</summary>
    public const string Recursive = "recursive";

    private TurnResult Fail(List<HistoryEvent> events, DateTime now, Exception exception) => End(
        new TurnResult(events, OrchestrationRuntimeStatus.Failed)
        {
            CustomStatus = _customStatus,
            CancelledTimers = _cancelledTimers,
            HasOpenTasks = true,
            Failure = TaskFailureDetails.FromException(exception),
        },
        now);

    private TurnResult End(TurnResult result, DateTime now)
    {
        var payload = result.Failure is { } failure ? Payload.Write(failure) : result.Output;
        result.NewEvents.Add(new HistoryEvent(_instance.Turns, EventKind.Ended, -1, result.Status.ToString(), null, payload, null, now));
        return result;
    }
}
