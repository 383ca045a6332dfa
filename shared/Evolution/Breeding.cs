using FunctionsRegistry.IndexAgent;

namespace FunctionsRegistry.Evolution;

/// <summary>How parents are chosen.</summary>
public enum SelectionMethod
{
    /// <summary>The best of three drawn at random.</summary>
    Tournament,

    /// <summary>With a chance in proportion to fitness.</summary>
    Roulette,

    /// <summary>With a chance in proportion to the place, counted from the worst.</summary>
    Rank,
}

/// <summary>How a population breeds.</summary>
/// <param name="MutationRate">0..1: chance of each weight to change.</param>
/// <param name="CrossoverRate">0..1: chance of a child to have two parents.</param>
public sealed record BreedingRules(double MutationRate, double CrossoverRate, SelectionMethod Selection);

/// <summary>A genome with its fitness.</summary>
public sealed record Individual(Genome Genome, double Fitness);

/// <summary>A member of the next generation.</summary>
/// <param name="Parents">Places in the generation before: none of the first generation, one or two of later ones.</param>
/// <param name="IsElite">The parent lives on unchanged.</param>
public sealed record Offspring(Genome Genome, IReadOnlyList<int> Parents, bool IsElite);

/// <summary>Selection, crossover and mutation. Pure: the same rules, members and random numbers give the same generation.</summary>
public static class Breeding
{
    private const int TournamentSize = 3;

    // A mutation moves a weight by about this part of its range, and one in ten draws it anew.
    private const double Step = 0.15;
    private const double Anew = 0.1;

    /// <summary>
    /// A first generation: the default genome, and by turns one near it and one drawn evenly from all genomes. Those near it are where a short trial gains, the
    /// others keep a long one from staying there.
    /// </summary>
    public static IReadOnlyList<Genome> CreateFirst(int size, SeededRandom random) =>
    [
        .. Enumerable.Range(0, size).Select(i => i == 0 ? Genome.Default : new Genome(
        [
            .. Enumerable.Range(0, Genome.Length).Select(gene =>
                i % 2 == 1 ? Genome.Default.Weights[gene] + (random.NextNormal() * Step * Genome.Max(gene)) : random.NextDouble() * Genome.Max(gene)),
        ])),
    ];

    /// <summary>The next generation, of the same size: the best live on, the rest are children.</summary>
    public static IReadOnlyList<Offspring> CreateNext(IReadOnlyList<Individual> members, BreedingRules rules, SeededRandom random)
    {
        var order = Enumerable.Range(0, members.Count).OrderByDescending(i => members[i].Fitness).ThenBy(i => i).ToArray();
        var elite = Math.Max(1, members.Count / 10);
        var next = order.Take(elite).Select(i => new Offspring(members[i].Genome, [i], true)).ToList();
        while (next.Count < members.Count)
            next.Add(CreateChild(members, order, rules, random));
        return next;
    }

    private static Offspring CreateChild(IReadOnlyList<Individual> members, int[] order, BreedingRules rules, SeededRandom random)
    {
        var mother = Select(members, order, rules.Selection, random);
        var weights = members[mother].Genome.Weights.ToArray();
        IReadOnlyList<int> parents = [mother];
        if (random.NextDouble() < rules.CrossoverRate)
        {
            var father = Select(members, order, rules.Selection, random);
            for (var gene = 0; gene < weights.Length; gene++)
                if (random.NextDouble() < 0.5)
                    weights[gene] = members[father].Genome.Weights[gene];
            if (father != mother)
                parents = [mother, father];
        }
        for (var gene = 0; gene < weights.Length; gene++)
            if (random.NextDouble() < rules.MutationRate)
                weights[gene] = random.NextDouble() < Anew
                    ? random.NextDouble() * Genome.Max(gene)
                    : weights[gene] + (random.NextNormal() * Step * Genome.Max(gene));
        return new Offspring(new Genome(weights), parents, false);
    }

    /// <summary>The place of a parent.</summary>
    /// <param name="order">Places from the fittest to the least fit.</param>
    internal static int Select(IReadOnlyList<Individual> members, int[] order, SelectionMethod method, SeededRandom random)
    {
        switch (method)
        {
            case SelectionMethod.Tournament:
                var best = random.NextInt(members.Count);
                for (var i = 1; i < TournamentSize; i++)
                {
                    var other = random.NextInt(members.Count);
                    if (members[other].Fitness > members[best].Fitness)
                        best = other;
                }
                return best;
            case SelectionMethod.Roulette:
                // Fitness is never below 0; where all is 0 everybody has the same chance.
                var at = random.NextDouble() * members.Sum(member => member.Fitness);
                for (var i = 0; i < members.Count; i++)
                    if ((at -= members[i].Fitness) < 0)
                        return i;
                return random.NextInt(members.Count);
            default:
                var n = members.Count;
                var place = random.NextInt(n * (n + 1) / 2);
                for (var i = 0; i < n; i++)
                    if ((place -= n - i) < 0)
                        return order[i];
                return order[0];
        }
    }
}
