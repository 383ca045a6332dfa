using FunctionsRegistry.Metrics;
using FunctionsRegistry.ModelRegistry.Mlflow;

namespace FunctionsRegistry.Functions.ModelRegistry;

/// <summary>The circuit breaker before the MLflow server, read when somebody asks.</summary>
public sealed class BreakerMetrics
{
    /// <summary>Adds the instruments.</summary>
    public BreakerMetrics(PrometheusMetrics metrics, SharedBreaker breaker)
    {
        var meter = metrics.GetMeter("FunctionsRegistry.ModelRegistry");
        meter.CreateObservableGauge("mlflow_circuit_breaker_state", () => (long)breaker.Snapshot.State, null, "0 CLOSED, 1 HALF_OPEN, 2 OPEN");
        meter.CreateObservableCounter("mlflow_circuit_breaker_opened", () => breaker.Opened, null, "How often this process opened the breaker");
    }
}
