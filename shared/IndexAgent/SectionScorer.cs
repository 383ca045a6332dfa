namespace FunctionsRegistry.IndexAgent;

/// <summary>
/// A genome and a query's words made ready to score some hundred thousand sections: the weight of a set of words is looked up by eight at a time, and
/// every constant is multiplied in once.
/// </summary>
internal sealed class SectionScorer
{
    private readonly float[] _sums;
    private readonly int _bytes;

    /// <param name="wordWeights">Per bit.</param>
    /// <param name="scored">The bits that count.</param>
    public SectionScorer(Genome genome, int applicable, ReadOnlySpan<float> wordWeights, ulong scored)
    {
        _bytes = Math.Max(1, (64 - System.Numerics.BitOperations.LeadingZeroCount(scored) + 7) / 8);
        _sums = new float[_bytes * 256];
        for (var b = 0; b < _bytes; b++)
            for (var bits = 1; bits < 256; bits++)
            {
                var lowest = System.Numerics.BitOperations.TrailingZeroCount(bits);
                var bit = (b * 8) + lowest;
                _sums[(b * 256) + bits] = _sums[(b * 256) + (bits & (bits - 1))] + ((scored & (1UL << bit)) == 0 ? 0 : wordWeights[bit]);
            }
        TotalWeight = Sum(scored);
        var most = 0.0;
        for (var i = 0; i < Genome.GainLength; i++)
            if ((applicable & (1 << i)) != 0)
                most += genome.Weights[i];
        float Part(RankingFeature feature, double scale = 1) =>
            most > 0 && (applicable & (1 << (int)feature)) != 0 ? (float)(genome[feature] / most / scale) : 0;
        var total = TotalWeight > 0 ? TotalWeight : 1;
        Body = Part(RankingFeature.Body, total * (SegmentScan.K1 + 1));
        Comment = Part(RankingFeature.Comment, total);
        Name = Part(RankingFeature.Name, total);
        Path = Part(RankingFeature.Path, total);
        File = Part(RankingFeature.File, total);
        Coverage = Part(RankingFeature.Coverage, total);
        Identifier = Part(RankingFeature.Identifier);
        Definition = Part(RankingFeature.Definition);
        Phrase = Part(RankingFeature.Phrase);
        var (test, docs) = ((float)(1 - genome[RankingFeature.Test]), (float)(1 - genome[RankingFeature.Docs]));
        Kept = [1, test, docs, docs];
    }

    /// <summary>The weight of all words together.</summary>
    public float TotalWeight { get; }

    public float Body { get; }

    public float Comment { get; }

    public float Name { get; }

    public float Path { get; }

    public float File { get; }

    public float Coverage { get; }

    public float Identifier { get; }

    public float Definition { get; }

    public float Phrase { get; }

    /// <summary>By <see cref="FileRole"/>: the part that a section keeps.</summary>
    public float[] Kept { get; }

    /// <summary>The weight of a set of words.</summary>
    public float Sum(ulong mask)
    {
        var sum = _sums[(int)(mask & 0xFF)];
        for (var b = 1; b < _bytes; b++)
            sum += _sums[(b * 256) + (int)((mask >> (8 * b)) & 0xFF)];
        return sum;
    }
}
