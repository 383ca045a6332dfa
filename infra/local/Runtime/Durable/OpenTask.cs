namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>Something that an orchestrator may be waiting for.</summary>
internal abstract class OpenTask(string name, int number, EventKind kind)
{
    private CancellationTokenRegistration _cancellation;

    /// <summary>Ends it as the history says.</summary>
    public void End(HistoryEvent entry)
    {
        _cancellation.Unregister();
        if (entry.Kind is EventKind.TaskFailed or EventKind.SubFailed)
            Fail(new TaskFailedException(name, number, Payload.Read<TaskFailureDetails>(entry.Payload)!));
        else
            Complete(entry.Payload);
    }

    public abstract void Complete(string? json);

    public abstract void Fail(Exception exception);

    public abstract void Cancel(CancellationToken cancellationToken);

    /// <summary>Cancellation goes on at once, on the thread that cancels.</summary>
    public void CancelBy(Action cancel, CancellationToken cancellationToken)
    {
        if (cancellationToken.CanBeCanceled)
            _cancellation = cancellationToken.Register(cancel, useSynchronizationContext: false);
    }

    /// <summary>What was called.</summary>
    public EventKind Kind => kind;
}

/// <inheritdoc/>
internal sealed class OpenTask<T>(string name, int number, EventKind kind) : OpenTask(name, number, kind)
{
    // Continuations run inside SetResult, on the turn's thread.
    private readonly TaskCompletionSource<T> _source = new();

    public Task<T> Task => _source.Task;

    public override void Complete(string? json)
    {
        if (typeof(T) == typeof(NoResult))
        {
            _source.TrySetResult(default!);
            return;
        }
        T? value;
        try
        {
            value = Payload.Read<T>(json);
        }
        catch (Exception exception) when (exception is System.Text.Json.JsonException or NotSupportedException)
        {
            _source.TrySetException(exception);
            return;
        }
        _source.TrySetResult(value!);
    }

    public override void Fail(Exception exception) => _source.TrySetException(exception);

    public override void Cancel(CancellationToken cancellationToken) => _source.TrySetCanceled(cancellationToken);
}
