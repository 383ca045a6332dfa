using FunctionsRegistry.Errors;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>Checks what a run is to log and puts it into the order that the store wants. Pure.</summary>
public static class RunBatches
{
    /// <summary>Most metrics of a batch, and most entries altogether.</summary>
    public const int MaxMetrics = 1000;

    /// <summary>Most params and most tags of a batch.</summary>
    public const int MaxParamsOrTags = 100;

    /// <summary>A checked batch: duplicates of a point or tag collapse, a param may be there once.</summary>
    /// <exception cref="RegistryException">INVALID_PARAMETER_VALUE with MLflow's limits and texts.</exception>
    public static RunBatch Create(IReadOnlyList<MetricRequest>? metrics, IReadOnlyList<KeyValue>? parameters, IReadOnlyList<KeyValue>? tags)
    {
        metrics ??= [];
        parameters ??= [];
        tags ??= [];
        CheckCount("metrics", MaxMetrics, metrics.Count);
        CheckCount("params", MaxParamsOrTags, parameters.Count);
        CheckCount("tags", MaxParamsOrTags, tags.Count);
        CheckCount("metrics, params, and tags", MaxMetrics, metrics.Count + parameters.Count + tags.Count);
        var points = metrics.Select(ReadMetric).Distinct().ToArray();
        Array.Sort(points, Compare);
        return new RunBatch(
            points, [.. points.GroupBy(point => point.Key).Select(group => group.Aggregate((best, point) => IsLater(point, best) ? point : best))],
            ReadParams(parameters), ReadTags(tags))
        {
            ModelMetrics = [.. metrics.Where(metric => !string.IsNullOrEmpty(metric.ModelId))],
        };
    }

    /// <summary>Checked tags, the last of each key, sorted.</summary>
    public static IReadOnlyList<KeyValue> ReadTags(IReadOnlyList<KeyValue>? tags) =>
        [.. (tags ?? []).Select((tag, i) => tag is null
                ? throw MlflowErrors.Missing($"tags[{i}]")
                : new KeyValue(MlflowNames.CheckKey("tag", tag.Key), MlflowNames.CheckTag(tag.Value)))
            .GroupBy(tag => tag.Key!).Select(group => group.Last()).OrderBy(tag => tag.Key, StringComparer.Ordinal)];

    private static KeyValue[] ReadParams(IReadOnlyList<KeyValue> parameters)
    {
        var read = parameters.Select((param, i) => param is null
            ? throw MlflowErrors.Missing($"params[{i}]")
            : new KeyValue(MlflowNames.CheckKey("parameter", param.Key), MlflowNames.CheckParam(param.Value))).ToArray();
        var twice = read.GroupBy(param => param.Key).Where(group => group.Count() > 1).Select(group => $"'{group.Key}'").ToArray();
        if (twice.Length > 0)
            throw MlflowErrors.Invalid(
                $"Duplicate parameter keys have been submitted: [{string.Join(", ", twice)}]. Please ensure the request contains only one param value per param key.");
        return [.. read.OrderBy(param => param.Key, StringComparer.Ordinal)];
    }

    private static Metric ReadMetric(MetricRequest metric, int index)
    {
        if (metric is null)
            throw MlflowErrors.Missing($"metrics[{index}]");
        var key = MlflowNames.CheckKey("metric", metric.Key);
        if (metric.Value is not { } value)
            throw MlflowErrors.Missing($"metrics[{index}].value");
        if (metric.Timestamp is not { } timestamp)
            throw MlflowErrors.Missing($"metrics[{index}].timestamp");
        if (timestamp < 0)
            throw MlflowErrors.Invalid(
                $"Got invalid timestamp {timestamp} for metric '{key}' (value={value}). Timestamp must be a nonnegative long (64-bit integer)");
        return new Metric(key, value, timestamp, metric.Step ?? 0);
    }

    private static bool IsLater(Metric a, Metric b) =>
        (a.Step, a.Timestamp) == (b.Step, b.Timestamp) ? CompareValues(a.Value, b.Value) > 0 : (a.Step, a.Timestamp).CompareTo((b.Step, b.Timestamp)) > 0;

    private static int Compare(Metric a, Metric b)
    {
        var keys = string.CompareOrdinal(a.Key, b.Key);
        var rest = keys != 0 ? keys : (a.Timestamp, a.Step).CompareTo((b.Timestamp, b.Step));
        return rest != 0 ? rest : CompareValues(a.Value, b.Value);
    }

    // NaN is the highest, as in PostgreSQL; .NET has it as the lowest.
    private static int CompareValues(double a, double b) => double.IsNaN(a) || double.IsNaN(b) ? double.IsNaN(a).CompareTo(double.IsNaN(b)) : a.CompareTo(b);

    private static void CheckCount(string what, int limit, int count)
    {
        if (count > limit)
            throw MlflowErrors.BatchTooLarge(what, limit, count);
    }
}
