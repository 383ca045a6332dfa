using FunctionsRegistry.LocalRuntime.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace FunctionsRegistry.LocalRuntime.Durable;

/// <content>Activities, and the loops.</content>
internal sealed partial class DurableWorker
{
    // Known as running before it is: a lock without anybody who runs it would be taken for a forgotten one.
    private void RunActivities(ActivityWork work)
    {
        _runningActivities[(work.Execution, work.Task)] = true;
        Detach(() => RunActivitiesAsync(work));
    }

    // One place: an activity, and then those that wait.
    private async Task RunActivitiesAsync(ActivityWork? work)
    {
        try
        {
            while (work is not null)
            {
                using var running = new RunningActivity(_runningActivities, work);
                var begin = DurableMetrics.BeginActivity();
                var outcome = await ExecuteAsync(work);
                DurableMetrics.EndActivity(begin, work.Name is { } name && _activities.ContainsKey(name) ? name : "unknown", outcome is { Failure: null });
                if (outcome is not { } result)
                {
                    await store.ReleaseActivityAsync(work, CancellationToken.None);
                    return;
                }
                work = await RecordAsync(work, result);
            }
        }
        finally
        {
            _activitySlots.Return(1);
            if (_freeActivities.IsMarked)
                Wake();
        }
    }

    // Null: the host stops, and another process or the next start runs it again.
    private async Task<ActivityResult?> ExecuteAsync(ActivityWork work)
    {
        if (work.Attempt > options.MaxAttempts)
            return Failure(new InvalidOperationException($"Activity '{work.Name}' was begun {options.MaxAttempts} times and never ended: it is given up."));
        if (work.Name is null || !_activities.TryGetValue(work.Name, out var function))
            return Failure(new InvalidOperationException($"The app has no activity function '{work.Name}'."));
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_drained.Token);
        limit.CancelAfter(settings.FunctionTimeout);
        try
        {
            await using var scope = services.CreateAsyncScope();
            var invocation = new LocalFunctionContext(function, scope.ServiceProvider, limit.Token)
            {
                TriggerValue = work.Input,
                TriggerData = new Dictionary<string, object?> { ["instanceId"] = work.InstanceId },
            };
            await invoker.InvokeAsync(invocation);
            return new ActivityResult(Payload.Write(invocation.Result.Value), null);
        }
        catch (OperationCanceledException) when (_drained.IsCancellationRequested)
        {
            return null;
        }
        catch (OperationCanceledException exception) when (limit.IsCancellationRequested)
        {
            return Failure(new TimeoutException($"Activity '{work.Name}' did not end within the functionTimeout of {settings.FunctionTimeout}.", exception));
        }
        catch (Exception exception)
        {
            return Failure(exception);
        }
    }

    private static ActivityResult Failure(Exception exception) => new(null, TaskFailureDetails.FromException(exception));

    // Recorded until the database answers. If it was recorded the first time, the second finds no activity and changes nothing.
    private async Task<ActivityWork?> RecordAsync(ActivityWork work, ActivityResult result)
    {
        while (true)
        {
            var begun = TryBegin(work.InstanceId);
            try
            {
                var seen = _freeActivities.Seen;
                var takes = _freeActivities.IsMarked && Id == work.Worker ? 1 : 0;
                var (turn, next) = await store.CompleteActivityAsync(work, result, begun ? session.Id : null, takes, Now(), CancellationToken.None);
                NoteRecovery();
                if (takes > 0 && next.Count == 0)
                    _freeActivities.Clear(seen);
                if (turn is not null)
                    RunTurns(work.InstanceId, turn);
                else if (begun)
                    RunTurns(work.InstanceId, null);
                else
                    Hint(work.InstanceId);
                return next.Count > 0 ? next[0] : null;
            }
            catch (Exception exception) when (IsTransient(exception) && !_drained.IsCancellationRequested)
            {
                if (begun)
                    End(work.InstanceId);
                await WaitAfterTroubleAsync(exception);
            }
            catch (PostgresException exception) when (result.Failure is null)
            {
                if (begun)
                    End(work.InstanceId);
                LogUnstorable(exception, work.Name!, work.InstanceId);
                result = Failure(new InvalidOperationException($"The result of activity '{work.Name}' cannot be stored: {exception.MessageText}."));
            }
            catch
            {
                if (begun)
                    End(work.InstanceId);
                throw;
            }
        }
    }

    private async Task PollAsync()
    {
        var wait = new DateTime(Interlocked.Read(ref _nextPollTicks), DateTimeKind.Utc) - Now();
        var hasRoom = _waiting.IsMarked && !_turnSlots.IsFull || _freeActivities.IsMarked && !_activitySlots.IsFull;
        if (wait > TimeSpan.Zero && !hasRoom)
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token);
            var woken = _wake.WaitAsync(limit.Token);
            await Task.WhenAny(woken, Task.Delay(wait < s_pollInterval ? wait : s_pollInterval, _time, limit.Token));
            await limit.CancelAsync();
            await woken.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            return;
        }
        var (waiting, activities) = (_waiting.Seen, _freeActivities.Seen);
        var room = _activitySlots.Take(options.MaxActivities);
        var used = 0;
        try
        {
            var now = Now();
            // First, so that an earlier time that is told meanwhile counts.
            Interlocked.Exchange(ref _nextPollTicks, (now + s_pollInterval).Ticks);
            var found = await store.PollAsync(session.Id, room, options.MaxOrchestrators, now, _stopping.Token);
            NoteRecovery();
            _waiting.Clear(waiting);
            _freeActivities.Clear(activities);
            if (found.NextDue is { } due)
                ExpectAt(due);
            foreach (var work in found.Activities)
            {
                used++;
                RunActivities(work);
            }
            if (room > 0 && used == room || room == 0)
                _freeActivities.Mark();
            foreach (var instance in found.Instances)
                Hint(instance);
            if (found.Instances.Count == options.MaxOrchestrators)
                _waiting.Mark();
        }
        finally
        {
            _activitySlots.Return(room - used);
        }
    }

    private async Task ListenAsync()
    {
        await session.ListenAsync(_stopping.Token);
        _waiting.Mark();
        _freeActivities.Mark();
        Wake();
    }

    private async Task MaintainAsync()
    {
        await Task.Delay(s_pollInterval, _stopping.Token);
        await FreeForgottenAsync();
        if (!await session.MaintainAsync(Now(), _stopping.Token))
            return;
        _waiting.Mark();
        _freeActivities.Mark();
        Wake();
    }

    // When a connection breaks, the database may have locked for us what we never heard of, also some time later: it works through what it had received.
    // Nobody would work on it while this process lives.
    private async Task FreeForgottenAsync()
    {
        var (instances, activities) = await store.ListLocksAsync(session.Id, Now(), _stopping.Token);
        // A turn takes a lock of its own worker back. Those that are worked on are looked at again the next time.
        foreach (var instance in instances.Where(instance => !_running.ContainsKey(instance)))
            Hint(instance);
        var suspects = activities.Where(work => !_runningActivities.ContainsKey((work.Execution, work.Task))).ToList();
        // Twice in a row: of one that was locked just now this process may not have heard yet.
        foreach (var work in suspects.Where(work => _suspects.Contains((work.Execution, work.Task))))
        {
            await store.ReleaseActivityAsync(work, _stopping.Token);
            _freeActivities.Mark();
        }
        _suspects = suspects.Select(work => (work.Execution, work.Task)).ToHashSet();
    }

    private async Task LoopAsync(Func<Task> step)
    {
        await Task.Yield();
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                await step();
            }
            catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
            {
                return;
            }
            catch (Exception exception)
            {
                await WaitAfterTroubleAsync(exception);
            }
        }
    }

    private void Detach(Func<Task> work) => _ = Task.Run(async () =>
    {
        try
        {
            await work();
        }
        catch (OperationCanceledException) when (_drained.IsCancellationRequested)
        {
            // The host stops; what was not finished is given back.
        }
        catch (Exception exception)
        {
            await WaitAfterTroubleAsync(exception);
            // Whatever it was is still in the database.
            _waiting.Mark();
            _freeActivities.Mark();
            Wake();
        }
    });

    // Work that this process has no room for: it looks for it when it has, and others may take it.
    private void Leave(Backlog backlog)
    {
        backlog.Mark();
        if (!session.HasOthers || Interlocked.Exchange(ref _notifying, 1) == 1)
            return;
        Detach(async () =>
        {
            // NOTIFY takes a lock that all its users share: one for all that is left within a moment.
            await Task.Delay(20, _drained.Token);
            Interlocked.Exchange(ref _notifying, 0);
            await session.NotifyAsync(_drained.Token);
        });
    }

    private void Wake()
    {
        try
        {
            if (_wake.CurrentCount == 0)
                _wake.Release();
        }
        catch (Exception exception) when (exception is SemaphoreFullException or ObjectDisposedException)
        {
            // It is awake, or gone.
        }
    }

    private async Task<bool> WaitUntilIdleAsync(TimeSpan atMost, CancellationToken cancellationToken)
    {
        var end = Environment.TickCount64 + (long)atMost.TotalMilliseconds;
        while (!_turnSlots.AllFree || !_activitySlots.AllFree)
        {
            if (Environment.TickCount64 > end || cancellationToken.IsCancellationRequested)
                return false;
            await Task.Delay(10, CancellationToken.None);
        }
        return true;
    }

    private static bool IsTransient(Exception exception) => exception switch
    {
        // Connections, resources, shutdown, deadlocks, timeouts; everything else would fail again.
        PostgresException { SqlState: var state } => state.StartsWith("08", StringComparison.Ordinal) || state.StartsWith("53", StringComparison.Ordinal)
            || state.StartsWith("57", StringComparison.Ordinal) || state.StartsWith("40", StringComparison.Ordinal) || state.StartsWith("55", StringComparison.Ordinal)
            || state.StartsWith("58", StringComparison.Ordinal),
        NpgsqlException or TimeoutException or IOException or System.Net.Sockets.SocketException => true,
        _ => false,
    };

    private async Task WaitAfterTroubleAsync(Exception exception)
    {
        // Once until it is over: a database that is down would fill the log.
        if (Interlocked.Exchange(ref _troubled, 1) == 0)
        {
            if (IsTransient(exception))
                LogTrouble(exception.Message);
            else
                LogDefect(exception);
        }
        await Task.Delay(s_retryInterval, _drained.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _drained.Token.ThrowIfCancellationRequested();
    }

    private void NoteRecovery()
    {
        if (Volatile.Read(ref _troubled) != 0)
            Interlocked.Exchange(ref _troubled, 0);
    }

    private sealed class RunningActivity : IDisposable
    {
        private readonly System.Collections.Concurrent.ConcurrentDictionary<(Guid, int), bool> _all;
        private readonly (Guid, int) _key;

        public RunningActivity(System.Collections.Concurrent.ConcurrentDictionary<(Guid, int), bool> all, ActivityWork work)
        {
            (_all, _key) = (all, (work.Execution, work.Task));
            _all[_key] = true;
        }

        public void Dispose() => _all.TryRemove(_key, out _);
    }

    [LoggerMessage(133, LogLevel.Warning, "Durable functions wait for the database: {Reason}")]
    private partial void LogTrouble(string reason);

    [LoggerMessage(134, LogLevel.Error, "The durable engine failed")]
    private partial void LogDefect(Exception exception);

    [LoggerMessage(135, LogLevel.Error, "What {Function} of instance {Instance} did cannot be stored")]
    private partial void LogUnstorable(Exception exception, string function, string instance);

    [LoggerMessage(136, LogLevel.Error, "Orchestrator {Orchestrator} of instance {Instance} went on outside its turn: it awaited something that is not of its context")]
    private partial void LogStray(string orchestrator, string instance);
}
