using FunctionsRegistry.IndexAgent;

namespace FunctionsRegistry.Evolution;

/// <summary>A query whose answer is known, with the candidates that a search finds for it.</summary>
/// <param name="Text">A documentation comment or a test's name, which the index hid while it was asked.</param>
/// <param name="Answer">The place of the symbol that the text belongs to; -1 where no candidate is it.</param>
/// <param name="Applicable">See <see cref="Genome.Score"/>.</param>
/// <param name="Features">Of all candidates, <see cref="Genome.Length"/> each.</param>
public sealed record ObjectiveQuery(string Text, int Answer, int Applicable, float[] Features)
{
    /// <summary>The number of candidates.</summary>
    public int Candidates => Features.Length / Genome.Length;

    /// <summary>The answer's place under a genome, from 1; null where no candidate is it.</summary>
    public int? RankOf(Genome genome)
    {
        if (Answer < 0)
            return null;
        var answer = genome.Score(Features.AsSpan(Answer * Genome.Length, Genome.Length), Applicable);
        var rank = 1;
        for (var i = 0; i < Candidates; i++)
        {
            if (i == Answer)
                continue;
            var score = genome.Score(Features.AsSpan(i * Genome.Length, Genome.Length), Applicable);
            if (score > answer || (score == answer && i < Answer))
                rank++;
        }
        return rank;
    }
}

/// <summary>What the fitness of a genome is measured on: queries that a repository asks and answers itself.</summary>
/// <param name="Corpus">The repository that was asked; the built-in corpus where the wanted one is not indexed.</param>
/// <param name="Queries">Fitness is measured on these.</param>
/// <param name="HeldOut">And these are kept back, to tell learning from memorising.</param>
public sealed record Objective(string Corpus, IReadOnlyList<ObjectiveQuery> Queries, IReadOnlyList<ObjectiveQuery> HeldOut)
{
    private const int Depth = 10;

    /// <summary>Mean reciprocal rank within the first ten, 0..1; 0 without queries.</summary>
    public double FitnessOf(Genome genome) => MeanReciprocalRank(Queries, genome);

    /// <summary>The same on the queries that were kept back.</summary>
    public double HeldOutOf(Genome genome) => MeanReciprocalRank(HeldOut, genome);

    private static double MeanReciprocalRank(IReadOnlyList<ObjectiveQuery> queries, Genome genome)
    {
        var sum = 0.0;
        foreach (var query in queries)
            if (query.RankOf(genome) is { } rank and <= Depth)
                sum += 1.0 / rank;
        return queries.Count == 0 ? 0 : sum / queries.Count;
    }
}
