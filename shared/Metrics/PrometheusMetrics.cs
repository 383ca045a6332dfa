using System.Buffers;
using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace FunctionsRegistry.Metrics;

/// <summary>
/// The app's meters, and what they measured as Prometheus text (0.0.4). Services that measure take their meter from here, so nothing is measured
/// before somebody listens. Names of instruments are the series' names; dots become underscores, counters get <c>_total</c>.
/// </summary>
public sealed class PrometheusMetrics : IDisposable
{
    /// <summary>Content type of <see cref="Write"/>.</summary>
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    // Meters of the whole process: commands of PostgreSQL, calls to Redis and blobs, the local runtime's orchestrations.
    private static readonly string[] s_libraries = ["Npgsql", "FunctionsRegistry.Durable", DependencyMetrics.MeterName];

    private readonly ConcurrentDictionary<string, Meter> _meters = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<Instrument, MetricFamily> _families = new();
    private readonly MeterListener _listener = new();
    private readonly Lock _observing = new();

    /// <summary>Starts to listen.</summary>
    public PrometheusMetrics()
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            // Ours, and those of libraries: another app in this process, such as a test's, has meters of the same names as ours.
            if (ReferenceEquals(instrument.Meter.Scope, this) || s_libraries.Contains(instrument.Meter.Name))
                listener.EnableMeasurementEvents(instrument, _families.GetOrAdd(instrument, static one => new MetricFamily(one)));
        };
        _listener.SetMeasurementEventCallback<long>(static (_, value, tags, family) => ((MetricFamily)family!).Record(value, tags));
        _listener.SetMeasurementEventCallback<int>(static (_, value, tags, family) => ((MetricFamily)family!).Record(value, tags));
        _listener.SetMeasurementEventCallback<double>(static (_, value, tags, family) => ((MetricFamily)family!).Record(value, tags));
        _listener.Start();
    }

    /// <summary>The meter of that name; made once. Its instruments must measure long, int or double.</summary>
    public Meter GetMeter(string name) => _meters.GetOrAdd(name, static (name, self) => new Meter(new MeterOptions(name) { Scope = self }), this);

    /// <summary>Everything that these meters measured, or all meters when none is named.</summary>
    public byte[] Write(params IReadOnlyList<string> meters)
    {
        var text = new StringBuilder(16 * 1024);
        lock (_observing)
        {
            foreach (var family in _families.Values)
                family.ForgetObserved();
            _listener.RecordObservableInstruments();
            var families = _families.Values.Where(family => meters.Count == 0 || meters.Contains(family.MeterName));
            foreach (var family in families.OrderBy(family => family.Name, StringComparer.Ordinal))
                family.Write(text);
        }
        return Encoding.UTF8.GetBytes(text.ToString());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _listener.Dispose();
        foreach (var meter in _meters.Values)
            meter.Dispose();
    }
}

/// <summary>One instrument: a series per combination of label values, at most so many.</summary>
internal sealed class MetricFamily
{
    /// <summary>Label values come from closed sets. Should one not, the surplus is counted in one series instead of in memory without end.</summary>
    public const int MaxSeries = 2_000;

    private static readonly double[] s_standardBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
    private static readonly SearchValues<char> s_nameCharacters = SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

    private readonly ConcurrentDictionary<LabelSet, MetricSeries> _series = new(LabelSetComparer.Instance);
    private readonly ConcurrentDictionary<LabelSet, MetricSeries>.AlternateLookup<ReadOnlySpan<KeyValuePair<string, object?>>> _lookup;
    private readonly double[]? _buckets;
    private readonly string? _description;
    private readonly string _type;
    private readonly bool _isObservable;

    public MetricFamily(Instrument instrument)
    {
        _lookup = _series.GetAlternateLookup<ReadOnlySpan<KeyValuePair<string, object?>>>();
        _isObservable = instrument.IsObservable;
        _description = instrument.Description;
        MeterName = instrument.Meter.Name;
        var kind = instrument.GetType().Name;
        _type = kind.StartsWith("Histogram", StringComparison.Ordinal) ? "histogram"
            : kind.StartsWith("Counter", StringComparison.Ordinal) || kind.StartsWith("ObservableCounter", StringComparison.Ordinal) ? "counter"
            : "gauge";
        _buckets = instrument switch
        {
            Histogram<double> { Advice.HistogramBucketBoundaries: { } advised } => [.. advised],
            Histogram<long> { Advice.HistogramBucketBoundaries: { } advised } => [.. advised.Select(bound => (double)bound)],
            Histogram<int> { Advice.HistogramBucketBoundaries: { } advised } => [.. advised.Select(bound => (double)bound)],
            _ => _type == "histogram" ? s_standardBuckets : null,
        };
        // A gauge that is set holds its last value; one that goes up and down, and a counter, hold the sum.
        Adds = !_isObservable && !kind.StartsWith("Gauge", StringComparison.Ordinal);
        var name = string.Create(instrument.Name.Length, instrument.Name, static (span, from) =>
        {
            for (var i = 0; i < span.Length; i++)
                span[i] = s_nameCharacters.Contains(from[i]) ? from[i] : '_';
        });
        Name = _type == "counter" && !name.EndsWith("_total", StringComparison.Ordinal) ? name + "_total" : name;
    }

    public string MeterName { get; }

    public string Name { get; }

    private bool Adds { get; }

    public void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        // Single connections outside of the named pools, such as those that hold locks: their label would be a connection string.
        foreach (var (name, label) in tags)
            if (name == "db.client.connection.pool.name" && label is string pool && pool.Contains('=', StringComparison.Ordinal))
                return;
        if (!_lookup.TryGetValue(tags, out var series))
            series = _series.Count < MaxSeries
                ? _series.GetOrAdd(LabelSet.Of(tags), static (labels, buckets) => new MetricSeries(labels.Text, buckets), _buckets)
                : _series.GetOrAdd(LabelSet.Overflow, static (labels, buckets) => new MetricSeries(labels.Text, buckets), _buckets);
        series.Record(value, Adds);
    }

    /// <summary>Observed values are told anew each time: what is not observed any more must not stay.</summary>
    public void ForgetObserved()
    {
        if (_isObservable)
            _series.Clear();
    }

    /// <summary>A text on one line.</summary>
    public static string Escape(string text) =>
        text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);

    public void Write(StringBuilder text)
    {
        if (!string.IsNullOrEmpty(_description))
            text.Append("# HELP ").Append(Name).Append(' ').Append(Escape(_description)).Append('\n');
        text.Append("# TYPE ").Append(Name).Append(' ').Append(_type).Append('\n');
        foreach (var series in _series.Values.OrderBy(series => series.Labels, StringComparer.Ordinal))
            series.Write(text, Name);
    }
}

/// <summary>One line of a counter or gauge, or the lines of one histogram. Recording takes no lock and allocates nothing.</summary>
internal sealed class MetricSeries(string labels, double[]? buckets)
{
    private readonly long[]? _counts = buckets is null ? null : new long[buckets.Length + 1];
    private double _value;

    public string Labels => labels;

    public void Record(double value, bool adds)
    {
        if (_counts is not null)
        {
            var place = Array.BinarySearch(buckets!, value);
            Interlocked.Increment(ref _counts[place < 0 ? ~place : place]);
        }
        if (!adds)
        {
            Volatile.Write(ref _value, value);
            return;
        }
        var before = Volatile.Read(ref _value);
        while (true)
        {
            var seen = Interlocked.CompareExchange(ref _value, before + value, before);
            if (seen.Equals(before))
                return;
            before = seen;
        }
    }

    public void Write(StringBuilder text, string name)
    {
        if (_counts is null)
        {
            Line(text, name, "", labels, _value);
            return;
        }
        var sum = 0L;
        for (var i = 0; i < _counts.Length; i++)
        {
            sum += Volatile.Read(ref _counts[i]);
            var bound = i < buckets!.Length ? Format(buckets[i]) : "+Inf";
            Line(text, name, "_bucket", labels.Length == 0 ? $"le=\"{bound}\"" : $"{labels},le=\"{bound}\"", sum);
        }
        Line(text, name, "_sum", labels, _value);
        Line(text, name, "_count", labels, sum);
    }

    private static void Line(StringBuilder text, string name, string suffix, string labels, double value)
    {
        text.Append(name).Append(suffix);
        if (labels.Length > 0)
            text.Append('{').Append(labels).Append('}');
        text.Append(' ').Append(Format(value)).Append('\n');
    }

    private static string Format(double value) => value switch
    {
        double.PositiveInfinity => "+Inf",
        double.NegativeInfinity => "-Inf",
        _ => value.ToString("R", CultureInfo.InvariantCulture),
    };
}

/// <summary>Label values of one series, as they were recorded, and their text.</summary>
internal sealed class LabelSet(KeyValuePair<string, object?>[] tags, string text)
{
    public static LabelSet Overflow { get; } = Of([new("overflow", "true")]);

    public KeyValuePair<string, object?>[] Tags => tags;

    public string Text => text;

    public static LabelSet Of(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var text = new StringBuilder();
        foreach (var (name, value) in tags)
        {
            var shown = Convert.ToString(value, CultureInfo.InvariantCulture) ?? "";
            text.Append(text.Length == 0 ? "" : ",").Append(name.Replace('.', '_')).Append("=\"")
                .Append(MetricFamily.Escape(shown).Replace("\"", "\\\"", StringComparison.Ordinal)).Append('"');
        }
        return new LabelSet(tags.ToArray(), text.ToString());
    }
}

/// <summary>Finds a series by the tags of a measurement without allocating.</summary>
internal sealed class LabelSetComparer : IEqualityComparer<LabelSet>, IAlternateEqualityComparer<ReadOnlySpan<KeyValuePair<string, object?>>, LabelSet>
{
    public static LabelSetComparer Instance { get; } = new();

    public bool Equals(LabelSet? x, LabelSet? y) => x is not null && y is not null && Equals(x.Tags, y);

    public int GetHashCode(LabelSet obj) => GetHashCode((ReadOnlySpan<KeyValuePair<string, object?>>)obj.Tags);

    public bool Equals(ReadOnlySpan<KeyValuePair<string, object?>> alternate, LabelSet other)
    {
        if (alternate.Length != other.Tags.Length)
            return false;
        for (var i = 0; i < alternate.Length; i++)
            if (alternate[i].Key != other.Tags[i].Key || !Equals(alternate[i].Value, other.Tags[i].Value))
                return false;
        return true;
    }

    public int GetHashCode(ReadOnlySpan<KeyValuePair<string, object?>> alternate)
    {
        var hash = new HashCode();
        foreach (var (name, value) in alternate)
        {
            hash.Add(name);
            hash.Add(value);
        }
        return hash.ToHashCode();
    }

    public LabelSet Create(ReadOnlySpan<KeyValuePair<string, object?>> alternate) => LabelSet.Of(alternate);
}
