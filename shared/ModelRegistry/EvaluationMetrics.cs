using FunctionsRegistry.Errors;

namespace FunctionsRegistry.ModelRegistry;

/// <summary>
/// Metrics over a stream of labels and predictions. Constant memory but for auroc, which keeps its scores in a histogram of 2^16 cells of equal width over
/// the logit, exact to about four decimals; classes are counted pairwise, at most <see cref="MaxClasses"/> of them. Pure.
/// </summary>
public sealed class EvaluationMetrics
{
    /// <summary>More different labels than this are no classes.</summary>
    public const int MaxClasses = 1000;

    /// <summary>Every metric by its name.</summary>
    public static readonly IReadOnlyList<string> Known =
    [
        "accuracy", "precision", "recall", "f1_score", "precision_macro", "recall_macro", "f1_score_macro", "precision_weighted", "recall_weighted",
        "f1_score_weighted", "auroc", "log_loss", "mse", "rmse", "mae", "r2",
    ];

    private const int Cells = 1 << 16;
    private const double MaxLogit = 30;
    private const double LogLossFloor = 1e-15;

    private readonly Dictionary<string, ClassCounts> _classes = new(StringComparer.Ordinal);
    private readonly long[] _positives = new long[Cells];
    private readonly long[] _negatives = new long[Cells];
    private long _rows;
    private long _correct;
    private long _scored;
    private long _numbers;
    private double _logLoss;
    private double _squaredError;
    private double _absoluteError;
    private double _labelMean;
    private double _labelSpread;

    /// <summary>Rows seen.</summary>
    public long Rows => _rows;

    /// <summary>Adds a row of a classifier.</summary>
    /// <exception cref="RegistryException">422: too many classes.</exception>
    public void AddClass(string label, string prediction)
    {
        _rows++;
        var (actual, predicted) = (Class(label), Class(prediction));
        actual.Actual++;
        predicted.Predicted++;
        if (!ReferenceEquals(actual, predicted))
            return;
        actual.Hits++;
        _correct++;
    }

    /// <summary>Adds the score of a row: the probability of the positive class, 0 to 1.</summary>
    public void AddScore(bool isPositive, double score)
    {
        _scored++;
        var logit = Math.Clamp(Math.Log(score / (1 - score)), -MaxLogit, MaxLogit);
        var cell = Math.Clamp((int)((logit + MaxLogit) / (2 * MaxLogit) * Cells), 0, Cells - 1);
        (isPositive ? _positives : _negatives)[cell]++;
        var probability = Math.Clamp(isPositive ? score : 1 - score, LogLossFloor, 1);
        _logLoss -= Math.Log(probability);
    }

    /// <summary>Adds a row of a regression.</summary>
    public void AddNumber(double label, double prediction)
    {
        _numbers++;
        var error = label - prediction;
        _squaredError += error * error;
        _absoluteError += Math.Abs(error);
        // Welford: the spread of the labels in one pass.
        var distance = label - _labelMean;
        _labelMean += distance / _numbers;
        _labelSpread += distance * (label - _labelMean);
    }

    /// <summary>A metric, rounded to 6 decimals; null where the data does not have it (one class only, no scores, no numbers).</summary>
    public double? Read(string metric)
    {
        var value = metric switch
        {
            "accuracy" => _rows == 0 ? null : (double)_correct / _rows,
            "precision" => Binary(counts => Ratio(counts.Hits, counts.Predicted)) ?? Weighted(counts => Ratio(counts.Hits, counts.Predicted)),
            "recall" => Binary(counts => Ratio(counts.Hits, counts.Actual)) ?? Weighted(counts => Ratio(counts.Hits, counts.Actual)),
            "f1_score" => Binary(F1) ?? Weighted(F1),
            "precision_macro" => Macro(counts => Ratio(counts.Hits, counts.Predicted)),
            "recall_macro" => Macro(counts => Ratio(counts.Hits, counts.Actual)),
            "f1_score_macro" => Macro(F1),
            "precision_weighted" => Weighted(counts => Ratio(counts.Hits, counts.Predicted)),
            "recall_weighted" => Weighted(counts => Ratio(counts.Hits, counts.Actual)),
            "f1_score_weighted" => Weighted(F1),
            "auroc" => Auroc(),
            "log_loss" => _scored == 0 ? null : _logLoss / _scored,
            "mse" => _numbers == 0 ? null : _squaredError / _numbers,
            "rmse" => _numbers == 0 ? null : Math.Sqrt(_squaredError / _numbers),
            "mae" => _numbers == 0 ? null : _absoluteError / _numbers,
            "r2" => _numbers < 2 || _labelSpread == 0 ? null : 1 - _squaredError / _labelSpread,
            _ => (double?)null,
        };
        return value is { } number ? Math.Round(number, 6) : null;
    }

    /// <summary>Whether a label is the positive one of two: 1, true, yes, positive, in any case.</summary>
    public static bool IsPositive(string label) => label.Trim().ToLowerInvariant() is "1" or "1.0" or "true" or "yes" or "positive" or "pos";

    private static bool IsNegative(string label) => label.Trim().ToLowerInvariant() is "0" or "0.0" or "-1" or "false" or "no" or "negative" or "neg";

    // Two classes of which one is called positive: the metric is that class's, as everywhere.
    private double? Binary(Func<ClassCounts, double> metric)
    {
        if (_classes.Count is 0 or > 2 || _classes.Keys.Any(label => !IsPositive(label) && !IsNegative(label)))
            return null;
        var positive = _classes.FirstOrDefault(pair => IsPositive(pair.Key)).Value;
        return positive is null ? 0 : metric(positive);
    }

    private double? Macro(Func<ClassCounts, double> metric) => _classes.Count == 0 ? null : _classes.Values.Average(metric);

    private double? Weighted(Func<ClassCounts, double> metric) => _rows == 0 ? null : _classes.Values.Sum(counts => metric(counts) * counts.Actual) / _rows;

    private double? Auroc()
    {
        var (positives, negatives) = (_positives.Sum(), _negatives.Sum());
        if (positives == 0 || negatives == 0)
            return null;
        var (below, wins) = (0L, 0.0);
        for (var cell = 0; cell < Cells; cell++)
        {
            // Equal scores count half.
            wins += _positives[cell] * (below + _negatives[cell] / 2.0);
            below += _negatives[cell];
        }
        return wins / ((double)positives * negatives);
    }

    private ClassCounts Class(string label)
    {
        if (_classes.TryGetValue(label, out var counts))
            return counts;
        if (_classes.Count == MaxClasses)
            throw ModelErrors.BadDataset($"more than {MaxClasses} different labels: these are no classes");
        return _classes[label] = new ClassCounts();
    }

    private static double F1(ClassCounts counts) => Ratio(2 * counts.Hits, counts.Actual + counts.Predicted);

    private static double Ratio(long part, long whole) => whole == 0 ? 0 : (double)part / whole;

    private sealed class ClassCounts
    {
        public long Actual { get; set; }

        public long Predicted { get; set; }

        public long Hits { get; set; }
    }
}
