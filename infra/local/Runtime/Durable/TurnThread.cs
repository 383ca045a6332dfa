namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>
/// The one thread of a turn. What an orchestrator awaits of its context goes on here and at once; a continuation that comes from another thread, or after
/// the turn, belongs to a task that is none of the context's, and is never run.
/// </summary>
internal sealed class TurnThread : SynchronizationContext
{
    private readonly Queue<(SendOrPostCallback Callback, object? State)> _queue = new();
    private readonly int _thread = Environment.CurrentManagedThreadId;
    private readonly Action _onStray;
    private volatile bool _isOver;
    private int _strays;

    /// <param name="onStray">Called once, from the other thread, when something strays after the turn.</param>
    public TurnThread(Action onStray) => _onStray = onStray;

    /// <summary>Whether something came from elsewhere.</summary>
    public bool HasStrays => Volatile.Read(ref _strays) > 0;

    /// <summary>Whether the caller may use the context now; if not, that is noted.</summary>
    public bool IsHere()
    {
        if (!_isOver && Environment.CurrentManagedThreadId == _thread)
            return true;
        NoteStray();
        return false;
    }

    public override void Post(SendOrPostCallback d, object? state)
    {
        if (IsHere())
            _queue.Enqueue((d, state));
    }

    public override void Send(SendOrPostCallback d, object? state)
    {
        if (IsHere())
            d(state);
    }

    public override SynchronizationContext CreateCopy() => this;

    /// <summary>Runs what was posted until nothing is left.</summary>
    public void Drain()
    {
        while (_queue.TryDequeue(out var next))
            next.Callback(next.State);
    }

    /// <summary>Ends the turn; returns whether nothing had strayed.</summary>
    public bool End()
    {
        _isOver = true;
        return !HasStrays;
    }

    private void NoteStray()
    {
        if (Interlocked.Increment(ref _strays) == 1 && _isOver)
            _onStray();
    }
}
