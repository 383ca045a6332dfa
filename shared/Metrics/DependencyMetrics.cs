using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace FunctionsRegistry.Metrics;

/// <summary>Calls to Redis and to the blob storage, of the whole process: their clients are made before any metrics listen.</summary>
public static class DependencyMetrics
{
    /// <summary>For <see cref="PrometheusMetrics"/>.</summary>
    public const string MeterName = "FunctionsRegistry.Dependencies";

    private static readonly Meter s_meter = new(MeterName);
    private static readonly InstrumentAdvice<double> s_buckets = new() { HistogramBucketBoundaries = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5] };
    private static readonly Histogram<double> s_redis = s_meter.CreateHistogram("redis_call_duration_seconds", "s", "Time of calls to Redis.", advice: s_buckets);
    private static readonly Histogram<double> s_blobs = s_meter.CreateHistogram("blob_call_duration_seconds", "s", "Time of calls to the blob storage.", advice: s_buckets);

    /// <summary>A call to Redis ended.</summary>
    /// <param name="start">A timestamp of <see cref="Stopwatch"/>.</param>
    public static void RecordRedis(long start, bool succeeded) =>
        s_redis.Record(Stopwatch.GetElapsedTime(start).TotalSeconds, new KeyValuePair<string, object?>("outcome", succeeded ? "success" : "failure"));

    /// <summary>A try of a call to the blob storage ended.</summary>
    /// <param name="start">A timestamp of <see cref="Stopwatch"/>.</param>
    /// <param name="status">The HTTP status; 0 where there was no answer.</param>
    public static void RecordBlobs(long start, string method, int status) => s_blobs.Record(
        Stopwatch.GetElapsedTime(start).TotalSeconds,
        new("method", method),
        new("status", status switch { 0 => "none", < 300 => "2xx", < 400 => "3xx", < 500 => "4xx", _ => "5xx" }));
}
