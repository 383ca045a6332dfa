using System.Globalization;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.Errors;

namespace FunctionsRegistry.ModelRegistry;

/// <summary>A row of a data set: what the columns for label, prediction and score hold, as text; null where the row has none.</summary>
public readonly record struct DatasetRow(long Number, string? Label, string? Prediction, string? Score);

/// <summary>
/// Reads labels, predictions and scores from CSV (with a header line, RFC 4180) or JSONL, row by row. Columns: label, target, actual or y_true; prediction,
/// predicted or y_pred; score, probability, proba or y_score. One line may have at most <see cref="MaxLineChars"/> characters, so memory is bounded.
/// </summary>
public sealed class DatasetReader(TextReader text)
{
    /// <summary>Longest line or CSV record.</summary>
    public const int MaxLineChars = 1 << 20;

    private static readonly string[] s_labels = ["label", "target", "actual", "y_true", "y"];
    private static readonly string[] s_predictions = ["prediction", "predicted", "y_pred", "pred"];
    private static readonly string[] s_scores = ["score", "probability", "proba", "y_score", "y_prob"];

    private readonly char[] _buffer = new char[16 << 10];
    private int _at;
    private int _count;

    /// <summary>The rows, JSONL where the first character is '{', else CSV.</summary>
    /// <exception cref="RegistryException">400 with the row.</exception>
    public async IAsyncEnumerable<DatasetRow> ReadAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var first = await ReadRecordAsync(1, isCsv: null, cancellationToken);
        while (first is not null && first.Trim().Length == 0)
            first = await ReadRecordAsync(1, isCsv: null, cancellationToken);
        if (first is null)
            throw ModelErrors.BadDataset("it is empty");
        first = first.TrimStart('\uFEFF');
        var rows = first.TrimStart().StartsWith('{') ? ReadJsonAsync(first, cancellationToken) : ReadCsvAsync(first, cancellationToken);
        await foreach (var row in rows)
            yield return row;
    }

    private async IAsyncEnumerable<DatasetRow> ReadJsonAsync(string first, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var number = 1L;
        for (var line = first; line is not null; line = await ReadRecordAsync(++number, isCsv: false, cancellationToken))
            if (line.Trim().Length > 0)
                yield return ParseJson(line, number);
    }

    private async IAsyncEnumerable<DatasetRow> ReadCsvAsync(string header, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var names = SplitCsv(header, 1).Select(name => name.Trim().ToLowerInvariant()).ToList();
        var (label, prediction, score) = (Find(names, s_labels), Find(names, s_predictions), Find(names, s_scores));
        if (label < 0)
            throw ModelErrors.BadDataset($"row 1 has no column {string.Join(", ", s_labels)}");
        if (prediction < 0 && score < 0)
            throw ModelErrors.BadDataset($"row 1 has no column {string.Join(", ", s_predictions)} and none of {string.Join(", ", s_scores)}");
        var number = 1L;
        while (await ReadRecordAsync(++number, isCsv: true, cancellationToken) is { } record)
        {
            if (record.Trim().Length == 0)
                continue;
            var cells = SplitCsv(record, number);
            if (cells.Count != names.Count)
                throw ModelErrors.BadDataset($"row {number} has {cells.Count} columns, the header has {names.Count}");
            yield return new DatasetRow(number, Cell(label), Cell(prediction), Cell(score));

            string? Cell(int index) => index < 0 || cells[index].Length == 0 ? null : cells[index];
        }
    }

    private static DatasetRow ParseJson(string line, long number)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw ModelErrors.BadDataset($"row {number} is no JSON object");
            return new DatasetRow(number, Member(s_labels), Member(s_predictions), Member(s_scores));

            string? Member(string[] names)
            {
                foreach (var name in names)
                    if (document.RootElement.TryGetProperty(name, out var value))
                        return value.ValueKind switch
                        {
                            JsonValueKind.String => value.GetString(),
                            JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False => value.GetRawText(),
                            JsonValueKind.Null => null,
                            _ => throw ModelErrors.BadDataset($"row {number}: '{name}' is neither text nor a number"),
                        };
                return null;
            }
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            throw ModelErrors.BadDataset($"row {number} is not JSON");
        }
    }

    // A line, or in CSV a record, in which quoted cells may hold line ends.
    private async ValueTask<string?> ReadRecordAsync(long number, bool? isCsv, CancellationToken cancellationToken)
    {
        var record = new StringBuilder();
        var quoted = false;
        var any = false;
        while (true)
        {
            if (_at == _count)
            {
                _count = await text.ReadAsync(_buffer, cancellationToken);
                _at = 0;
                if (_count == 0)
                    return !any ? null : quoted ? throw ModelErrors.BadDataset($"row {number}: a quoted cell does not end") : record.ToString();
            }
            any = true;
            var c = _buffer[_at++];
            if (c == '"' && isCsv == true)
                quoted = !quoted;
            if (c == '\n' && !quoted)
                return record.Length > 0 && record[^1] == '\r' ? record.ToString(0, record.Length - 1) : record.ToString();
            if (record.Length == MaxLineChars)
                throw ModelErrors.BadDataset($"row {number} is longer than {MaxLineChars} characters");
            record.Append(c);
        }
    }

    private static List<string> SplitCsv(string record, long number)
    {
        var cells = new List<string>();
        var cell = new StringBuilder();
        for (var i = 0; ; i++)
        {
            if (i < record.Length && record[i] == '"' && cell.Length == 0)
            {
                for (i++; ; i++)
                {
                    if (i >= record.Length)
                        throw ModelErrors.BadDataset($"row {number}: a quoted cell does not end");
                    if (record[i] != '"')
                        cell.Append(record[i]);
                    else if (i + 1 < record.Length && record[i + 1] == '"')
                        cell.Append(record[++i]);
                    else
                        break;
                }
                i++;
                if (i < record.Length && record[i] != ',')
                    throw ModelErrors.BadDataset($"row {number}: text after a quoted cell");
            }
            if (i < record.Length && record[i] != ',')
            {
                cell.Append(record[i]);
                continue;
            }
            cells.Add(cell.ToString().Trim());
            cell.Clear();
            if (i >= record.Length)
                return cells;
        }
    }

    private static int Find(List<string> names, string[] wanted) => wanted.Select(name => names.IndexOf(name)).Where(index => index >= 0).DefaultIfEmpty(-1).First();

    /// <summary>A finite number, or null.</summary>
    public static double? Number(string? text) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number) ? number : null;
}
