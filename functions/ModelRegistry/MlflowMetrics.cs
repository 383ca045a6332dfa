using System.Diagnostics.Metrics;
using FunctionsRegistry.Functions.ModelRegistry.Mlflow;
using FunctionsRegistry.Metrics;
using FunctionsRegistry.ModelRegistry.Mlflow;

namespace FunctionsRegistry.Functions.ModelRegistry;

/// <summary>spec-hokusai.md, <c>GET /metrics</c>: the connection to whatever serves MLflow, and the circuit breaker before it, under the original's names.</summary>
public sealed class MlflowMetrics
{
    /// <summary>For <see cref="PrometheusMetrics.Write"/>.</summary>
    public const string MeterName = "FunctionsRegistry.ModelRegistry";

    private readonly Counter<long> _attempts;
    private readonly Counter<long> _failures;
    private readonly Counter<long> _breakerFailures;
    private readonly Histogram<double> _seconds;
    private int _status = -1;

    /// <summary>Adds the instruments.</summary>
    public MlflowMetrics(PrometheusMetrics metrics, SharedBreaker breaker, MlflowServerOptions options)
    {
        var meter = metrics.GetMeter(MeterName);
        meter.CreateObservableGauge("mlflow_circuit_breaker_state", () => (long)breaker.Snapshot.State, null, "0 CLOSED, 1 HALF_OPEN, 2 OPEN.");
        meter.CreateObservableCounter("mlflow_circuit_breaker_opened", () => breaker.Opened, null, "How often this process opened the breaker.");
        _breakerFailures = meter.CreateCounter<long>("mlflow_circuit_breaker_failures", null, "Calls that the breaker counted as failures.");
        // Before the first look nothing is known, and nothing is said.
        meter.CreateObservableGauge<long>(
            "mlflow_connection_status", () => Volatile.Read(ref _status) is >= 0 and var status ? [new Measurement<long>(status)] : [], null, "1 when MLflow answers.");
        _attempts = meter.CreateCounter<long>("mlflow_connection_attempts", null, "Calls to MLflow: its traffic through the proxy, and looks at its health.");
        _failures = meter.CreateCounter<long>("mlflow_connection_failures", null, "Calls to MLflow that failed.");
        // The buckets are those of the original's client library.
        _seconds = meter.CreateHistogram("mlflow_response_time_seconds", "s", "Time until MLflow's answers began.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10] });
        var info = new Measurement<long>(1, new("mode", options.Server is null ? "native" : "proxy"), new KeyValuePair<string, object?>("version", MlflowRoutes.MlflowVersion));
        meter.CreateObservableGauge("mlflow_info", () => info, null, "How MLflow is served.");
        // So that rate() has something to start from.
        foreach (var counter in (Counter<long>[])[_attempts, _failures, _breakerFailures])
            counter.Add(0);
    }

    /// <summary>A request that passed the proxy.</summary>
    public void RecordCall(bool failed, TimeSpan elapsed)
    {
        Record(failed, elapsed);
        if (failed)
            _breakerFailures.Add(1);
    }

    /// <summary>A look at MLflow's health, which the breaker does not count.</summary>
    /// <param name="elapsed">Until the answer; null where the breaker kept it from being asked.</param>
    public void RecordLook(bool connected, TimeSpan? elapsed)
    {
        Volatile.Write(ref _status, connected ? 1 : 0);
        if (elapsed is { } time)
            Record(!connected, time);
    }

    private void Record(bool failed, TimeSpan elapsed)
    {
        _attempts.Add(1);
        _seconds.Record(elapsed.TotalSeconds);
        if (failed)
            _failures.Add(1);
    }
}
