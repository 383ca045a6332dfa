using System.Collections.Frozen;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Metrics;
using FunctionsRegistry.Postgres;
using Npgsql;

namespace FunctionsRegistry.DataRegistry;

/// <summary>spec-dhg.md, "Prometheus Metrics": its names, buckets and labels, for every operation.</summary>
public sealed class RegistryMetrics
{
    /// <summary>For <see cref="PrometheusMetrics.Write"/>.</summary>
    public const string MeterName = "FunctionsRegistry.DataRegistry";

    // The original's dashboards tell these operations' failures by this suffix, and the others' by the plain name.
    private static readonly FrozenSet<string> s_suffixed = FrozenSet.Create(StringComparer.Ordinal,
        "create_media", "list_media", "get_media", "create_transcript", "list_transcripts", "get_transcripts_by_media",
        "create_segment", "list_segments", "get_segments_by_transcript", "create_event", "list_events");

    private readonly Histogram<double> _writeLatency;
    private readonly Histogram<double> _readLatency;
    private readonly Counter<long> _writes;
    private readonly Counter<long> _reads;
    private readonly Counter<long> _errors;
    private readonly Counter<long> _databaseErrors;
    private long _connections;

    /// <summary>Adds the instruments.</summary>
    public RegistryMetrics(PrometheusMetrics metrics)
    {
        var meter = metrics.GetMeter(MeterName);
        _writeLatency = meter.CreateHistogram("registry_write_latency", "ms", "Database write latency in milliseconds.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000] });
        _readLatency = meter.CreateHistogram("registry_read_latency", "ms", "Database read latency in milliseconds.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [1, 5, 10, 25, 50, 100, 250, 500, 1000] });
        _writes = meter.CreateCounter<long>("registry_write_operations", null, "Write operations by type.");
        _reads = meter.CreateCounter<long>("registry_read_operations", null, "Read operations by type.");
        _errors = meter.CreateCounter<long>("registry_errors", null, "Errors by type.");
        _databaseErrors = meter.CreateCounter<long>("registry_db_errors", null, "Database connection errors.");
        meter.CreateObservableGauge("registry_db_connections", () => Interlocked.Read(ref _connections), null, "Database connections in use by the registry.");
        // So that rate() has something to start from before the first error.
        _databaseErrors.Add(0);
    }

    /// <summary>Runs and counts one read.</summary>
    /// <param name="operation">From a closed set: it becomes a label.</param>
    public Task<T> ReadAsync<T>(string operation, Func<Task<T>> run) => MeasureAsync(operation, _reads, _readLatency, run);

    /// <summary>Runs and counts one write.</summary>
    /// <param name="operation">From a closed set: it becomes a label.</param>
    public Task<T> WriteAsync<T>(string operation, Func<Task<T>> run) => MeasureAsync(operation, _writes, _writeLatency, run);

    /// <summary>Counts a health check that the database did not answer.</summary>
    public void CountDatabaseError() => _databaseErrors.Add(1);

    // Failures count neither as operations nor in the latency, as in the original; refusals (4xx) are no failures.
    private async Task<T> MeasureAsync<T>(string operation, Counter<long> operations, Histogram<double> latency, Func<Task<T>> run)
    {
        var start = Stopwatch.GetTimestamp();
        Interlocked.Increment(ref _connections);
        try
        {
            var result = await run();
            latency.Record(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            operations.Add(1, new KeyValuePair<string, object?>("operation", operation));
            return result;
        }
        catch (Exception exception) when (Count(operation, exception))
        {
            throw;
        }
        finally
        {
            Interlocked.Decrement(ref _connections);
        }
    }

    // Runs as the filter, so it never catches.
    private bool Count(string operation, Exception exception)
    {
        // A missing parent, which the stores answer with 404.
        if (exception is OperationCanceledException or PostgresException { SqlState: PostgresErrorCodes.ForeignKeyViolation })
            return false;
        var kind = (exception as RegistryException ?? PostgresErrors.Translate(exception))?.Kind ?? ErrorKind.Internal;
        if (kind is not (ErrorKind.Internal or ErrorKind.Unavailable))
            return false;
        _errors.Add(1, new KeyValuePair<string, object?>("error_type", s_suffixed.Contains(operation) ? operation + "_failed" : operation));
        if (kind == ErrorKind.Unavailable)
            _databaseErrors.Add(1);
        return false;
    }
}
