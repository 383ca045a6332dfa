namespace FunctionsRegistry.IndexAgent;

/// <summary>What ranking looks at; each is 0..1 for a section and a query.</summary>
public enum RankingFeature
{
    /// <summary>BM25 of the words in code.</summary>
    Body,

    /// <summary>Words in comments.</summary>
    Comment,

    /// <summary>Words in the symbol's name.</summary>
    Name,

    /// <summary>Words in the file's path.</summary>
    Path,

    /// <summary>Words anywhere in the file.</summary>
    File,

    /// <summary>Words in the section's code, its name or the path: how many of them the code itself knows, whoever wrote about it.</summary>
    Coverage,

    /// <summary>Words side by side that are one identifier in the section.</summary>
    Identifier,

    /// <summary>How much of the name of the section's symbol the words are: side by side the whole of it, or some of its words in any order.</summary>
    Definition,

    /// <summary>Words in the query's order, or an exact text or regular expression that matches.</summary>
    Phrase,

    /// <summary>Words close together.</summary>
    Proximity,

    /// <summary>1 for tests: the part of the score that they lose is the weight.</summary>
    Test,

    /// <summary>1 for prose and settings: the part of the score that they lose is the weight.</summary>
    Docs,
}

/// <summary>How an agent ranks: one weight per feature. Equal weights rank equally on every machine.</summary>
public sealed class Genome
{
    /// <summary>The number of weights.</summary>
    public const int Length = 12;

    /// <summary>Features that say how much a section is about the query; the two behind them only take away.</summary>
    public const int GainLength = 10;

    /// <summary>The highest weight of a gain.</summary>
    public const double MaxGain = 4;

    /// <summary>The highest weight of the two losses: not all of the score.</summary>
    public const double MaxLoss = 0.9;

    private static readonly string[] s_names = [.. Enum.GetNames<RankingFeature>().Select(name => name.ToLowerInvariant())];

    private readonly double[] _weights;

    /// <summary>From weights in the order of <see cref="RankingFeature"/>; each is brought into its range.</summary>
    public Genome(IReadOnlyList<double> weights)
    {
        if (weights.Count != Length)
            throw new ArgumentException($"A genome has {Length} weights.", nameof(weights));
        _weights = [.. weights.Select((weight, i) => double.IsFinite(weight) ? Math.Clamp(weight, 0, Max(i)) : 0)];
    }

    /// <summary>What searches without an agent use: near to what evolves on code of several kinds, as the start that evolution has to beat.
    /// Comments and the words' order weigh more than evolution finds: it asks for symbols whose own comment it hides, users do not.</summary>
    public static Genome Default { get; } = new([3.6, 0.4, 2.4, 0.6, 1.1, 3.6, 1.5, 0.4, 1.0, 1.0, 0.4, 0.4]);

    /// <summary>Feature names on the wire, in order.</summary>
    public static IReadOnlyList<string> Names => s_names;

    /// <summary>The weights in order.</summary>
    public IReadOnlyList<double> Weights => _weights;

    /// <summary>One weight.</summary>
    public double this[RankingFeature feature] => _weights[(int)feature];

    /// <summary>The upper end of a weight's range; the lower is 0.</summary>
    public static double Max(int index) => index < GainLength ? MaxGain : MaxLoss;

    /// <summary>By feature name.</summary>
    public IReadOnlyDictionary<string, double> ToDictionary() => s_names.Select((name, i) => (name, i)).ToDictionary(pair => pair.name, pair => _weights[pair.i]);

    /// <summary>
    /// The score of a section, 0..1: the root of the weighted mean of the gains that the query can have at all, less the losses. The root spreads
    /// the low scores, where most hits are.
    /// </summary>
    /// <param name="features">In order; at least the gains.</param>
    /// <param name="applicable">Bit i: the query can have gain i.</param>
    public double Score(ReadOnlySpan<float> features, int applicable)
    {
        var (sum, most) = (0.0, 0.0);
        for (var i = 0; i < GainLength; i++)
        {
            if ((applicable & (1 << i)) == 0)
                continue;
            sum += _weights[i] * features[i];
            most += _weights[i];
        }
        if (most <= 0)
            return applicable == 0 ? 1 : 0;
        var kept = (1 - (_weights[(int)RankingFeature.Test] * features[(int)RankingFeature.Test]))
            * (1 - (_weights[(int)RankingFeature.Docs] * features[(int)RankingFeature.Docs]));
        return Math.Sqrt(sum / most * kept);
    }

    /// <summary>Each feature's part of a score; they add up to it.</summary>
    public IReadOnlyDictionary<string, double> Explain(ReadOnlySpan<float> features, int applicable)
    {
        var score = Score(features, applicable);
        var parts = new double[Length];
        var sum = 0.0;
        for (var i = 0; i < GainLength; i++)
            if ((applicable & (1 << i)) != 0)
                sum += parts[i] = _weights[i] * features[i];
        var test = _weights[(int)RankingFeature.Test] * features[(int)RankingFeature.Test];
        parts[(int)RankingFeature.Test] = -sum * test;
        parts[(int)RankingFeature.Docs] = -sum * (1 - test) * _weights[(int)RankingFeature.Docs] * features[(int)RankingFeature.Docs];
        var total = parts.Sum();
        var explained = new Dictionary<string, double>();
        for (var i = 0; i < Length; i++)
            if (parts[i] != 0)
                explained[s_names[i]] = Math.Round(parts[i] / total * score, 6);
        return explained;
    }
}
