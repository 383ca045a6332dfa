using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.Evolution;
using FunctionsRegistry.IndexAgent;

namespace FunctionsRegistry.Tests.IndexAgent;

public sealed class BreedingTests
{
    private static readonly BreedingRules s_rules = new(0.1, 0.7, SelectionMethod.Tournament);

    [Fact]
    public void The_same_seed_breeds_the_same_generations()
    {
        foreach (var method in Enum.GetValues<SelectionMethod>())
        {
            var rules = s_rules with { Selection = method };
            Weights(Evolve(7, 20, 10, rules)).ShouldBe(Weights(Evolve(7, 20, 10, rules)));
            Weights(Evolve(7, 20, 10, rules)).ShouldNotBe(Weights(Evolve(8, 20, 10, rules)));
        }
    }

    [Fact]
    public void Random_numbers_are_those_of_every_machine() =>
        Enumerable.Range(0, 3).Select(_ => new SeededRandom(42, 1)).Select(random => (random.NextInt(1000), random.NextInt(1000), random.NextInt(1000))).Distinct().Single()
            .ShouldBe((693, 461, 1));

    [Fact]
    public void Sizes_hold_weights_stay_in_range_and_the_best_is_never_lost() =>
        Check.One(Config.QuickThrowOnFailure, Prop.ForAll<PositiveInt, int, int>((size, seed, method) =>
        {
            var rules = new BreedingRules((uint)seed % 11 / 10.0, (uint)method % 11 / 10.0, (SelectionMethod)((uint)method % 3));
            var count = (size.Get % 40) + 1;
            var members = Breeding.CreateFirst(count, new SeededRandom(seed, 0)).Select(Judge).ToList();
            for (var generation = 1; generation < 5; generation++)
            {
                var next = Breeding.CreateNext(members, rules, new SeededRandom(seed, generation));
                var bred = next.Select(child => Judge(child.Genome)).ToList();
                var inRange = next.All(child => child.Genome.Weights.Select((weight, i) => weight >= 0 && weight <= Genome.Max(i)).All(good => good));
                var parents = next.All(child => child.Parents.Count is 1 or 2 && child.Parents.All(parent => parent >= 0 && parent < count));
                if (next.Count != count || !inRange || !parents || bred.Max(one => one.Fitness) < members.Max(one => one.Fitness))
                    return false;
                members = bred;
            }
            return true;
        }));

    [Theory]
    [InlineData(SelectionMethod.Tournament)]
    [InlineData(SelectionMethod.Roulette)]
    [InlineData(SelectionMethod.Rank)]
    public void Fitter_members_are_parents_more_often(SelectionMethod method)
    {
        var members = Enumerable.Range(0, 10).Select(i => new Individual(Genome.Default, i / 10.0)).ToList();
        var order = Enumerable.Range(0, 10).Reverse().ToArray();
        var random = new SeededRandom(3, 0);

        var counts = new int[10];
        for (var i = 0; i < 10_000; i++)
            counts[Breeding.Select(members, order, method, random)]++;

        counts[9].ShouldBeGreaterThan(counts[5]);
        counts[5].ShouldBeGreaterThan(counts[1]);
    }

    [Fact]
    public void Without_any_fitness_everybody_may_be_a_parent()
    {
        var members = Enumerable.Repeat(new Individual(Genome.Default, 0), 4).ToList();
        var random = new SeededRandom(1, 0);

        Enumerable.Range(0, 500).Select(_ => Breeding.Select(members, [0, 1, 2, 3], SelectionMethod.Roulette, random)).Distinct().Count().ShouldBe(4);
    }

    [Fact]
    public void Evolution_finds_a_better_genome_than_chance()
    {
        var start = Evolve(11, 30, 0, s_rules).Max(one => one.Fitness);
        Evolve(11, 30, 15, s_rules).Max(one => one.Fitness).ShouldBeGreaterThan(start);
    }

    [Fact]
    public void The_parts_of_a_score_add_up_to_it()
    {
        Check.One(Config.QuickThrowOnFailure, Prop.ForAll<int, int>((seed, bits) =>
        {
            var random = new SeededRandom(seed, 5);
            var genome = Breeding.CreateFirst(2, random)[1];
            var features = Enumerable.Range(0, Genome.Length).Select(i => i >= Genome.GainLength ? random.NextInt(2) : (float)random.NextDouble()).ToArray();
            var applicable = (bits & 0x3FF) | 1;
            var score = genome.Score(features, applicable);
            return score is >= 0 and <= 1 && Math.Abs(genome.Explain(features, applicable).Values.Sum() - score) < 1e-4;
        }));
    }

    [Fact]
    public void The_place_of_the_answer_counts_better_and_earlier_candidates()
    {
        static float[] Candidate(float body) => [body, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        float[] features = [.. Candidate(0.5f), .. Candidate(0.9f), .. Candidate(0.5f), .. Candidate(0.1f)];

        new ObjectiveQuery("q", 2, 1, features).RankOf(Genome.Default).ShouldBe(3);
        new ObjectiveQuery("q", 0, 1, features).RankOf(Genome.Default).ShouldBe(2);
        new ObjectiveQuery("q", -1, 1, features).RankOf(Genome.Default).ShouldBeNull();
        new Objective("c", [new("q", 2, 1, features), new("q", -1, 1, features)], []).FitnessOf(Genome.Default).ShouldBe(1.0 / 6, 1e-12);
    }

    // Near to a hidden point is fit.
    private static Individual Judge(Genome genome) => new(genome, 1 / (1 + genome.Weights.Select((weight, i) => Math.Abs(weight - (Genome.Max(i) * (i % 3) / 2))).Sum()));

    private static List<Individual> Evolve(long seed, int size, int generations, BreedingRules rules)
    {
        var members = Breeding.CreateFirst(size, new SeededRandom(seed, 0)).Select(Judge).ToList();
        for (var generation = 1; generation <= generations; generation++)
            members = [.. Breeding.CreateNext(members, rules, new SeededRandom(seed, generation)).Select(child => Judge(child.Genome))];
        return members;
    }

    private static double[] Weights(IEnumerable<Individual> members) => [.. members.SelectMany(member => member.Genome.Weights)];
}
