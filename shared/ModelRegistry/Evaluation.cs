using FunctionsRegistry.Errors;

namespace FunctionsRegistry.ModelRegistry;

/// <summary>Feeds a data set to <see cref="EvaluationMetrics"/>: only what the asked metrics need, and with the row where something is missing.</summary>
public static class Evaluation
{
    private static readonly string[] s_scored = ["auroc", "log_loss"];
    private static readonly string[] s_numeric = ["mse", "rmse", "mae", "r2"];

    /// <summary>Reads all rows.</summary>
    /// <exception cref="RegistryException">400 with the row.</exception>
    public static async Task<EvaluationMetrics> ReadAsync(DatasetReader dataset, IReadOnlyList<string> metrics, CancellationToken cancellationToken)
    {
        var scores = metrics.Any(s_scored.Contains);
        var numbers = metrics.Any(s_numeric.Contains);
        var classes = metrics.Any(metric => !s_scored.Contains(metric) && !s_numeric.Contains(metric));
        var result = new EvaluationMetrics();
        var rows = 0L;
        await foreach (var row in dataset.ReadAsync(cancellationToken))
        {
            rows++;
            if (row.Label is null || IsNaN(row.Label))
                throw ModelErrors.BadDataset($"row {row.Number}: the label is missing or NaN");
            if (classes)
                AddClass(result, row);
            if (scores)
                result.AddScore(EvaluationMetrics.IsPositive(row.Label), Score(row));
            if (numbers)
                result.AddNumber(Number(row.Number, "label", row.Label), Number(row.Number, "prediction", row.Prediction));
        }
        return rows > 0 ? result : throw ModelErrors.BadDataset("it has no rows");
    }

    private static void AddClass(EvaluationMetrics result, DatasetRow row)
    {
        if (row.Prediction is { } prediction)
            result.AddClass(row.Label!, IsNaN(prediction) ? throw ModelErrors.BadDataset($"row {row.Number}: the prediction is NaN") : prediction);
        else
            // Scores alone: the class that is the likelier one.
            result.AddClass(EvaluationMetrics.IsPositive(row.Label!) ? "1" : "0", Score(row) >= 0.5 ? "1" : "0");
    }

    private static double Score(DatasetRow row) => DatasetReader.Number(row.Score) is >= 0 and <= 1 and { } score
        ? score
        : throw ModelErrors.BadDataset($"row {row.Number}: the score must be a number from 0 to 1");

    private static double Number(long row, string column, string? text) =>
        DatasetReader.Number(text) ?? throw ModelErrors.BadDataset($"row {row}: the {column} must be a finite number");

    private static bool IsNaN(string text) => text.Equals("nan", StringComparison.OrdinalIgnoreCase);
}
