using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>Where an MLflow server is, if MLflow is not served from our own store.</summary>
/// <param name="Server"><c>MLFLOW_SERVER_URL</c>, without a slash at the end; null: our own store.</param>
/// <param name="ServeArtifacts"><c>MLFLOW_SERVE_ARTIFACTS</c>: whether the server keeps artifacts, true.</param>
/// <param name="FailureThreshold"><c>MLFLOW_CB_FAILURE_THRESHOLD</c>: failures that open the breaker, 5.</param>
/// <param name="RecoveryTimeout"><c>MLFLOW_CB_RECOVERY_TIMEOUT</c>: seconds until a probe may pass, 60.</param>
/// <param name="Timeout"><c>MLFLOW_TIMEOUT_SECONDS</c>: until the server's answer begins, and between its parts, 30.</param>
public sealed record MlflowServerOptions(Uri? Server, bool ServeArtifacts, int FailureThreshold, TimeSpan RecoveryTimeout, TimeSpan Timeout)
{
    /// <summary>The server as messages and reports name it; <c>native</c> for our own store.</summary>
    public string Name => Server?.AbsoluteUri.TrimEnd('/') ?? "native";

    /// <summary>Reads the settings named above.</summary>
    /// <exception cref="InvalidOperationException">One is wrong; the message names it.</exception>
    public static MlflowServerOptions FromConfiguration(IConfiguration configuration)
    {
        var text = configuration["MLFLOW_SERVER_URL"];
        Uri? server = null;
        if (!string.IsNullOrEmpty(text) && (!Uri.TryCreate(text.TrimEnd('/'), UriKind.Absolute, out server) || server.Scheme is not ("http" or "https")
            || server.Query.Length + server.Fragment.Length + server.UserInfo.Length > 0))
            throw new InvalidOperationException("MLFLOW_SERVER_URL must be a URL such as http://mlflow:5000, without user, query and fragment.");
        return new MlflowServerOptions(
            server, !string.Equals(configuration["MLFLOW_SERVE_ARTIFACTS"], "false", StringComparison.OrdinalIgnoreCase), Read("MLFLOW_CB_FAILURE_THRESHOLD", 5),
            TimeSpan.FromSeconds(Read("MLFLOW_CB_RECOVERY_TIMEOUT", 60)), TimeSpan.FromSeconds(Read("MLFLOW_TIMEOUT_SECONDS", 30)));

        int Read(string name, int standard) => configuration[name] is not { Length: > 0 } set ? standard
            : int.TryParse(set, out var number) && number is >= 1 and <= 86_400 ? number
            : throw new InvalidOperationException($"{name} must be a whole number from 1 to 86400, not '{set}'.");
    }
}

/// <summary>States of the breaker, with spec-hokusai.md's names and the numbers of its metric.</summary>
public enum BreakerState
{
    /// <summary>CLOSED: calls pass.</summary>
    Closed,

    /// <summary>HALF_OPEN: one call at a time passes, as a probe.</summary>
    HalfOpen,

    /// <summary>OPEN: no call passes.</summary>
    Open,
}

/// <summary>What a breaker is like at one moment.</summary>
/// <param name="RetryAfter">Until a probe may pass; zero unless open.</param>
public sealed record BreakerSnapshot(BreakerState State, int FailureCount, DateTimeOffset? LastFailureAt, TimeSpan RetryAfter)
{
    /// <summary>CLOSED, HALF_OPEN or OPEN.</summary>
    public string Name => State switch
    {
        BreakerState.Closed => "CLOSED",
        BreakerState.HalfOpen => "HALF_OPEN",
        _ => "OPEN",
    };
}

/// <summary>
/// spec-hokusai.md, note 6, with the original's counting: a failure counts one up, a success one down; at the threshold it opens; after the recovery time
/// one probe at a time passes, two successes close it, a failure opens it again. Written out because Polly's breaker goes by ratios and closes after one.
/// </summary>
public sealed class CircuitBreaker(int failureThreshold, TimeSpan recoveryTimeout, TimeProvider time)
{
    private const int SuccessesToClose = 2;

    // A probe that never reports, because its request was lost, blocks the next one for as long as a recovery takes.
    private readonly Lock _gate = new();
    private BreakerState _state;
    private int _failures;
    private int _successes;
    private DateTimeOffset? _lastFailureAt;
    private DateTimeOffset _openUntil;
    private DateTimeOffset? _probeSince;

    /// <summary>The present state; an open breaker whose time is over is half open.</summary>
    public BreakerSnapshot Snapshot
    {
        get
        {
            lock (_gate)
            {
                Refresh();
                return new BreakerSnapshot(_state, _failures, _lastFailureAt, _state == BreakerState.Open ? _openUntil - time.GetUtcNow() : TimeSpan.Zero);
            }
        }
    }

    /// <summary>Whether a call may pass; who may must report.</summary>
    public bool TryEnter()
    {
        lock (_gate)
        {
            Refresh();
            if (_state == BreakerState.Open || (_state == BreakerState.HalfOpen && _probeSince is { } since && time.GetUtcNow() - since < recoveryTimeout))
                return false;
            if (_state == BreakerState.HalfOpen)
                _probeSince = time.GetUtcNow();
            return true;
        }
    }

    /// <summary>The call worked; true where that closed the breaker.</summary>
    public bool ReportSuccess()
    {
        lock (_gate)
        {
            _probeSince = null;
            if (_state == BreakerState.Closed)
                _failures = Math.Max(0, _failures - 1);
            if (_state != BreakerState.HalfOpen || ++_successes < SuccessesToClose)
                return false;
            Close();
            return true;
        }
    }

    /// <summary>The call failed; true where that opened the breaker.</summary>
    public bool ReportFailure()
    {
        lock (_gate)
        {
            _probeSince = null;
            _lastFailureAt = time.GetUtcNow();
            _failures++;
            if (_state == BreakerState.Open || (_state == BreakerState.Closed && _failures < failureThreshold))
                return false;
            Open(time.GetUtcNow() + recoveryTimeout);
            return true;
        }
    }

    /// <summary>The call ended without telling anything of the server: the client went away.</summary>
    public void Leave()
    {
        lock (_gate)
            _probeSince = null;
    }

    /// <summary>Another process found the server down.</summary>
    public void OpenUntil(DateTimeOffset until)
    {
        lock (_gate)
            if (_state == BreakerState.Closed && until > time.GetUtcNow())
                Open(until);
    }

    /// <summary>CLOSED with all counts at zero.</summary>
    public void Reset()
    {
        lock (_gate)
        {
            Close();
            _lastFailureAt = null;
        }
    }

    private void Refresh()
    {
        if (_state == BreakerState.Open && time.GetUtcNow() >= _openUntil)
            (_state, _successes, _probeSince) = (BreakerState.HalfOpen, 0, null);
    }

    private void Open(DateTimeOffset until) => (_state, _openUntil, _successes, _probeSince) = (BreakerState.Open, until, 0, null);

    private void Close() => (_state, _failures, _successes, _probeSince) = (BreakerState.Closed, 0, 0, null);
}
