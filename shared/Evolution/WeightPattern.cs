using System.Globalization;
using FunctionsRegistry.IndexAgent;

namespace FunctionsRegistry.Evolution;

/// <summary>
/// What a generation's new best genome learned: the one weight that it owes the most of its gain to. Measured, not guessed: each changed weight is put back
/// alone, and what fitness that costs is its impact.
/// </summary>
internal sealed record WeightPattern(string Name, string Type, string Description, double Confidence, int Occurrences, double Impact)
{
    /// <summary>Null where no weight's change alone matters.</summary>
    public static WeightPattern? Find(Objective objective, Genome before, Genome after)
    {
        var fitness = objective.FitnessOf(after);
        var (best, impact) = (-1, 0.0);
        for (var i = 0; i < Genome.Length; i++)
        {
            if (after.Weights[i] == before.Weights[i])
                continue;
            var lost = fitness - objective.FitnessOf(Without(before, after, i));
            if (lost > impact)
                (best, impact) = (i, lost);
        }
        return best < 0 ? null : Describe(objective, before, after, best, impact);
    }

    private static WeightPattern Describe(Objective objective, Genome before, Genome after, int weight, double impact)
    {
        var without = Without(before, after, weight);
        var (up, down) = (0, 0);
        foreach (var query in objective.Queries)
        {
            var change = (query.RankOf(without) ?? int.MaxValue).CompareTo(query.RankOf(after) ?? int.MaxValue);
            if (change > 0)
                up++;
            else if (change < 0)
                down++;
        }
        var feature = (RankingFeature)weight;
        var isMore = after.Weights[weight] > before.Weights[weight];
        var name = $"{(isMore ? "More" : "Less")} weight on {Genome.Names[weight]}";
        var description = string.Create(CultureInfo.InvariantCulture,
            $"{Genome.Names[weight]}: {before.Weights[weight]:0.###} to {after.Weights[weight]:0.###}; moves {up} of {objective.Queries.Count} answers up and {down} down.");
        return new WeightPattern(name, TypeOf(feature, isMore), description, up + down == 0 ? 0 : (double)up / (up + down), up, impact);
    }

    // By what the weight is about: where code is in its repository, or what code says; taking weight away makes a ranking simpler.
    private static string TypeOf(RankingFeature feature, bool isMore) => feature switch
    {
        RankingFeature.Path or RankingFeature.File or RankingFeature.Test or RankingFeature.Docs => "architecture",
        _ => isMore ? "optimization" : "refactoring",
    };

    private static Genome Without(Genome before, Genome after, int weight) => new([.. after.Weights.Select((value, i) => i == weight ? before.Weights[i] : value)]);
}
