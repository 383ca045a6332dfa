using System.Diagnostics.Metrics;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.Metrics;

namespace FunctionsRegistry.Tests.Metrics;

public sealed class PrometheusMetricsTests : IDisposable
{
    private readonly PrometheusMetrics _metrics = new();

    public void Dispose() => _metrics.Dispose();

    private string Write(params string[] meters) => Encoding.UTF8.GetString(_metrics.Write(meters));

    [Fact]
    public void Counters_histograms_and_gauges_are_written_as_prometheus_reads_them()
    {
        var meter = _metrics.GetMeter("m");
        var counter = meter.CreateCounter<long>("hits.all", null, "Hits.");
        var histogram = meter.CreateHistogram("wait", advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [1, 2.5] });
        meter.CreateObservableGauge("depth", () => 7, null, "Two\nlines \\ of help");
        counter.Add(2, new KeyValuePair<string, object?>("op", "a"), new KeyValuePair<string, object?>("code", 200));
        counter.Add(3, new KeyValuePair<string, object?>("op", "a"), new KeyValuePair<string, object?>("code", 200));
        counter.Add(1, new KeyValuePair<string, object?>("op", "quote\" back\\ line\n"), new KeyValuePair<string, object?>("code", 500));
        foreach (var value in (double[])[0.5, 1, 2, 99])
            histogram.Record(value);

        Write("m").ShouldBe("""
            # HELP depth Two\nlines \\ of help
            # TYPE depth gauge
            depth 7
            # HELP hits_all_total Hits.
            # TYPE hits_all_total counter
            hits_all_total{op="a",code="200"} 5
            hits_all_total{op="quote\" back\\ line\n",code="500"} 1
            # TYPE wait histogram
            wait_bucket{le="1"} 2
            wait_bucket{le="2.5"} 3
            wait_bucket{le="+Inf"} 4
            wait_sum 102.5
            wait_count 4

            """.ReplaceLineEndings("\n"));
    }

    [Fact]
    public void Only_the_named_meters_are_written_and_others_of_the_process_are_not_heard()
    {
        _metrics.GetMeter("one").CreateCounter<long>("first").Add(1);
        _metrics.GetMeter("two").CreateCounter<long>("second").Add(1);
        using var stranger = new Meter("one");
        stranger.CreateCounter<long>("third").Add(1);

        Write("one").ShouldBe("# TYPE first_total counter\nfirst_total 1\n");
        Write().ShouldContain("second_total 1\n");
        Write().ShouldNotContain("third");
        _metrics.GetMeter("one").ShouldBeSameAs(_metrics.GetMeter("one"));
    }

    [Fact]
    public void Labels_without_end_end_in_one_series()
    {
        var counter = _metrics.GetMeter("m").CreateCounter<long>("wild");
        for (var i = 0; i < 5_000; i++)
            counter.Add(1, new KeyValuePair<string, object?>("id", i));

        var lines = Write("m").Split('\n', StringSplitOptions.RemoveEmptyEntries);
        lines.Length.ShouldBeLessThan(2_100);
        lines.ShouldContain("wild_total{overflow=\"true\"} 3000");
    }

    [Fact]
    public void What_is_not_observed_any_more_is_not_written()
    {
        var names = new List<string> { "a", "b" };
        _metrics.GetMeter("m").CreateObservableGauge("present", () => names.Select(name => new Measurement<long>(1, new KeyValuePair<string, object?>("name", name))));

        Write("m").ShouldContain("name=\"b\"");
        names.Remove("b");
        Write("m").ShouldBe("# TYPE present gauge\npresent{name=\"a\"} 1\n");
    }

    [Fact]
    public async Task Nothing_is_lost_when_many_count_at_once()
    {
        var counter = _metrics.GetMeter("m").CreateCounter<long>("busy");
        var histogram = _metrics.GetMeter("m").CreateHistogram<double>("slow");
        await Task.WhenAll(Enumerable.Range(0, 8).Select(worker => Task.Run(() =>
        {
            for (var i = 0; i < 10_000; i++)
            {
                counter.Add(1, new KeyValuePair<string, object?>("worker", worker % 2));
                histogram.Record(1);
            }
        })));

        var text = Write("m");
        text.ShouldContain("busy_total{worker=\"0\"} 40000\n");
        text.ShouldContain("slow_count 80000\n");
        text.ShouldContain("slow_sum 80000\n");
    }

    [Fact]
    public void A_histogram_s_buckets_are_cumulative_and_end_with_everything() => Prop.ForAll(ArbMap.Default.ArbFor<NormalFloat[]>(), values =>
    {
        using var metrics = new PrometheusMetrics();
        double[] bounds = [-10, 0, 3, 100];
        var histogram = metrics.GetMeter("m").CreateHistogram("h", advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = bounds });
        foreach (var value in values)
            histogram.Record(value.Get);
        var text = Encoding.UTF8.GetString(metrics.Write("m"));
        return (values.Length == 0 || bounds.All(bound => text.Contains($"h_bucket{{le=\"{bound}\"}} {values.Count(value => value.Get <= bound)}\n")))
            && (values.Length == 0 || text.Contains($"h_bucket{{le=\"+Inf\"}} {values.Length}\nh_sum"));
    }).QuickCheckThrowOnFailure();
}
