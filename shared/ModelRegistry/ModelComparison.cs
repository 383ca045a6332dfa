namespace FunctionsRegistry.ModelRegistry;

/// <summary>What speaks for which of two versions. Pure.</summary>
/// <param name="Delta">Second minus first of every metric that both have, rounded to 6 decimals.</param>
/// <param name="Preferred">1 or 2, or 0 where nothing speaks for either.</param>
public sealed record ModelComparison(IReadOnlyDictionary<string, double> Delta, int Preferred, string Reason)
{
    private static readonly string[] s_lowerIsBetter =
        ["loss", "error", "latency", "mse", "rmse", "mae", "mape", "perplexity", "duration", "time", "cost", "fpr", "fnr", "entropy", "distance", "deviance"];

    private static readonly char[] s_separators = ['_', '-', '.', '/', ' ', ':'];

    /// <summary>
    /// The version that is better in more metrics; where that is even, in the benchmark metric; where that says nothing, by the sum of relative changes.
    /// </summary>
    public static ModelComparison Of(IReadOnlyDictionary<string, double> first, IReadOnlyDictionary<string, double> second, string? benchmarkMetric)
    {
        var delta = new SortedDictionary<string, double>(StringComparer.Ordinal);
        foreach (var (name, value) in first)
            if (second.TryGetValue(name, out var other) && double.IsFinite(value) && double.IsFinite(other))
                delta[name] = Math.Round(other - value, 6);
        if (delta.Count == 0)
            return new ModelComparison(delta, 0, "The versions have no metric in common.");
        var gains = delta.ToDictionary(pair => pair.Key, pair => Gain(pair.Key, pair.Value));
        var better = gains.Where(pair => pair.Value > 0).Select(pair => pair.Key).Order(StringComparer.Ordinal).ToArray();
        var worse = gains.Where(pair => pair.Value < 0).Select(pair => pair.Key).Order(StringComparer.Ordinal).ToArray();
        var sign = Math.Sign(better.Length - worse.Length);
        var by = "";
        if (sign == 0 && benchmarkMetric is not null && gains.TryGetValue(benchmarkMetric, out var benchmark) && benchmark != 0)
            (sign, by) = (Math.Sign(benchmark), $"; the benchmark metric {benchmarkMetric} decides");
        else if (sign == 0)
            (sign, by) = (Math.Sign(gains.Sum(pair => first[pair.Key] == 0 ? 0 : pair.Value / Math.Abs(first[pair.Key]))), better.Length == 0 ? "" : "; the larger relative change decides");
        var reason = better.Length + worse.Length == 0
            ? $"Equal in {string.Join(", ", delta.Keys)}."
            : $"The second is better in {List(better)} and worse in {List(worse)}{by}.";
        return new ModelComparison(delta, sign > 0 ? 2 : sign < 0 ? 1 : 0, reason);
    }

    /// <summary>A change of a metric as a gain: positive is better, whichever direction is better for it.</summary>
    public static double Gain(string metric, double delta) => IsLowerBetter(metric) ? -delta : delta;

    /// <summary>Whether smaller is better: by the words that the name is made of.</summary>
    public static bool IsLowerBetter(string metric) =>
        metric.ToLowerInvariant().Split(s_separators).Any(word => s_lowerIsBetter.Contains(word));

    private static string List(string[] names) => names.Length == 0 ? "none" : string.Join(", ", names);
}
