using System.Diagnostics;
using System.Diagnostics.Metrics;
using FunctionsRegistry.Metrics;

namespace FunctionsRegistry.Functions.Http;

/// <summary>Counts requests by function: labels are the route as it is declared, the method and the status' first digit, so their number is bounded.</summary>
public sealed class HttpMetrics
{
    private static readonly string[] s_families = ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx"];

    private readonly Histogram<double> _duration;
    private readonly UpDownCounter<long> _active;
    private readonly Counter<long> _limited;
    private long _requests;

    /// <summary>Adds the instruments.</summary>
    public HttpMetrics(PrometheusMetrics metrics)
    {
        var meter = metrics.GetMeter("FunctionsRegistry.Http");
        _duration = meter.CreateHistogram("http_server_request_duration_seconds", "s", "Time from a request's arrival to the end of its answer.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5] });
        _active = meter.CreateUpDownCounter<long>("http_server_active_requests", null, "Requests that are being answered.");
        _limited = meter.CreateCounter<long>("rate_limit_decisions", null, "Requests that were counted against a limit.");
    }

    /// <summary>Requests answered since the start of this process.</summary>
    public long Requests => Interlocked.Read(ref _requests);

    /// <summary>A request arrived.</summary>
    /// <returns>For <see cref="End"/>.</returns>
    public long Begin()
    {
        _active.Add(1);
        return Stopwatch.GetTimestamp();
    }

    /// <summary>Its answer is out.</summary>
    public void End(long begin, string method, string route, int status)
    {
        _active.Add(-1);
        Interlocked.Increment(ref _requests);
        _duration.Record(
            Stopwatch.GetElapsedTime(begin).TotalSeconds, new("method", Known(method)), new("route", route), new("status", s_families[status / 100 < s_families.Length ? status / 100 : 0]));
    }

    /// <summary>A limit was asked.</summary>
    /// <param name="policy">The limit's name.</param>
    public void CountLimit(string policy, bool accepted) => _limited.Add(1, new("policy", policy), new("outcome", accepted ? "accepted" : "refused"));

    private static string Known(string method) => method is "GET" or "HEAD" or "POST" or "PUT" or "PATCH" or "DELETE" or "OPTIONS" ? method : "other";
}
