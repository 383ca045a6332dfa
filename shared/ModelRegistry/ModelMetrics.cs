using System.Globalization;
using System.Text.Json;
using FunctionsRegistry.ModelRegistry.Mlflow;

namespace FunctionsRegistry.ModelRegistry;

/// <summary>
/// What is known of how good a version is: the metrics of its run, told apart by prefix, and those that the Hokusai SDK writes into tags
/// (<c>metrics</c> as JSON, <c>benchmark_metric</c> with <c>benchmark_value</c>). Not finite ones are left out. Pure.
/// </summary>
public sealed record ModelMetrics(IReadOnlyDictionary<string, double> Training, IReadOnlyDictionary<string, double> Validation, IReadOnlyDictionary<string, double> Tagged)
{
    private static readonly string[] s_training = ["training_", "training/", "train_", "train/"];
    private static readonly string[] s_validation = ["validation_", "validation/", "valid_", "val_", "val/", "eval_", "eval/", "test_", "test/"];

    /// <summary>Reads a version and the latest metrics of its run; none where it has none.</summary>
    public static ModelMetrics Of(ModelVersion version, IEnumerable<Metric> run)
    {
        var (training, validation) = (New(), New());
        foreach (var metric in run)
        {
            if (!double.IsFinite(metric.Value))
                continue;
            if (Strip(metric.Key, s_validation) is { } validated)
                validation[validated] = metric.Value;
            else
                training[Strip(metric.Key, s_training) ?? metric.Key] = metric.Value;
        }
        return new ModelMetrics(training, validation, ReadTags(Tags(version)));
    }

    /// <summary>One value per name: what was written with the version before what was validated, that before what was trained.</summary>
    public IReadOnlyDictionary<string, double> Effective
    {
        get
        {
            var all = New();
            foreach (var (name, value) in Training.Concat(Validation).Concat(Tagged))
                all[name] = value;
            return all;
        }
    }

    /// <summary>The tags of a version as a map.</summary>
    public static IReadOnlyDictionary<string, string> Tags(ModelVersion version) => version.Tags.ToDictionary(tag => tag.Key!, tag => tag.Value!);

    /// <summary>The numbers of a JSON object in a tag; empty where it is none.</summary>
    public static IReadOnlyDictionary<string, double> ReadNumbers(string? json)
    {
        var numbers = New();
        if (string.IsNullOrEmpty(json))
            return numbers;
        try
        {
            using var document = JsonDocument.Parse(json);
            if (document.RootElement.ValueKind == JsonValueKind.Object)
                foreach (var member in document.RootElement.EnumerateObject())
                    if (member.Value.ValueKind == JsonValueKind.Number && member.Value.TryGetDouble(out var value) && double.IsFinite(value))
                        numbers[member.Name] = value;
        }
        catch (JsonException)
        {
            // Anybody may write any text into a tag.
        }
        return numbers;
    }

    private static SortedDictionary<string, double> ReadTags(IReadOnlyDictionary<string, string> tags)
    {
        var tagged = New();
        foreach (var (name, value) in ReadNumbers(tags.GetValueOrDefault("metrics")))
            tagged[name] = value;
        if (tags.GetValueOrDefault("benchmark_metric") is { Length: > 0 } metric
            && double.TryParse(tags.GetValueOrDefault("benchmark_value"), NumberStyles.Float, CultureInfo.InvariantCulture, out var benchmark) && double.IsFinite(benchmark))
            tagged[metric] = benchmark;
        return tagged;
    }

    private static string? Strip(string key, string[] prefixes)
    {
        foreach (var prefix in prefixes)
            if (key.Length > prefix.Length && key.StartsWith(prefix, StringComparison.OrdinalIgnoreCase))
                return key[prefix.Length..];
        return null;
    }

    private static SortedDictionary<string, double> New() => new(StringComparer.Ordinal);
}
