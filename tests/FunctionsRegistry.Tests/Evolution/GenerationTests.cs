using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.Evolution;
using FunctionsRegistry.IndexAgent;

namespace FunctionsRegistry.Tests.Evolution;

public sealed class GenerationTests
{
    private static readonly BreedingRules s_rules = new(0.2, 0.7, SelectionMethod.Rank);

    // Queries whose answers stand out in one feature each, drawn from a seed.
    private static Objective Draw(int seed, int queries)
    {
        var random = new SeededRandom(seed, 99);
        ObjectiveQuery Query(int number)
        {
            var features = new float[(3 + random.NextInt(20)) * Genome.Length];
            for (var i = 0; i < features.Length; i++)
                features[i] = (float)random.NextDouble();
            return new ObjectiveQuery($"query {number} ü\n", random.NextInt(features.Length / Genome.Length), (1 << Genome.GainLength) - 1, features);
        }
        return new Objective($"corpus {seed}", [.. Enumerable.Range(0, queries).Select(Query)], [.. Enumerable.Range(0, queries / 2).Select(Query)]);
    }

    private static Generation Evolve(Objective objective, int seed, int generations)
    {
        Generation? last = null;
        for (var i = 0; i <= generations; i++)
            last = Generation.After(last, [.. Generation.Breed(last, 8, s_rules, seed).Select(genome => new Individual(genome, objective.FitnessOf(genome)))]);
        return last!;
    }

    [Fact]
    public void An_objective_is_read_as_it_was_written_bit_for_bit() =>
        Check.One(Config.QuickThrowOnFailure, Prop.ForAll<int, NonNegativeInt>((seed, count) =>
        {
            var objective = Draw(seed, count.Get % 12);
            var read = ObjectiveFile.Read(ObjectiveFile.Write(objective));
            return read.Corpus == objective.Corpus && Same(read.Queries, objective.Queries) && Same(read.HeldOut, objective.HeldOut);

            static bool Same(IReadOnlyList<ObjectiveQuery> one, IReadOnlyList<ObjectiveQuery> other) => one.Count == other.Count && one.Zip(other).All(pair =>
                pair.First.Text == pair.Second.Text && pair.First.Answer == pair.Second.Answer && pair.First.Applicable == pair.Second.Applicable
                && pair.First.Features.AsSpan().SequenceEqual(pair.Second.Features));
        }));

    [Fact]
    public void A_hash_is_of_every_generation_weight_and_fitness() =>
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(30), Prop.ForAll<int>(seed =>
        {
            var objective = Draw(seed, 5);
            var hash = Evolve(objective, seed, 4).Hash;
            var before = Evolve(objective, seed, 3);
            var members = Generation.Breed(before, 8, s_rules, seed).Select(genome => new Individual(genome, objective.FitnessOf(genome))).ToList();
            var changed = members.ToList();
            changed[^1] = changed[^1] with { Fitness = Math.BitIncrement(changed[^1].Fitness) };
            return hash.AsSpan().SequenceEqual(Evolve(objective, seed, 4).Hash) && hash.AsSpan().SequenceEqual(Generation.After(before, members).Hash)
                && !hash.AsSpan().SequenceEqual(before.Hash) && !hash.AsSpan().SequenceEqual(Generation.After(before, changed).Hash);
        }));

    [Fact]
    public void Diversity_is_none_of_equals_and_within_its_range() =>
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(30), Prop.ForAll<int>(seed =>
        {
            var equals = Generation.After(null, [.. Enumerable.Repeat(new Individual(Genome.Default, 0.5), 6)]);
            return equals.Diversity() < 1e-9 && Generation.After(null, [.. Breeding.CreateFirst(20, new SeededRandom(seed, 0)).Select(genome => new Individual(genome, 0))]).Diversity() is > 0 and <= 1;
        }));

    [Fact]
    public void A_pattern_is_a_changed_weight_whose_impact_is_what_its_loss_costs() =>
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(50), Prop.ForAll<int>(seed =>
        {
            var objective = Draw(seed, 12);
            var random = new SeededRandom(seed, 5);
            var (before, after) = (Breeding.CreateFirst(2, random)[1], Breeding.CreateFirst(2, random)[1]);
            var losses = Enumerable.Range(0, Genome.Length)
                .Select(i => objective.FitnessOf(after) - objective.FitnessOf(new Genome([.. after.Weights.Select((weight, j) => i == j ? before.Weights[j] : weight)]))).ToList();
            var found = WeightPattern.Find(objective, before, after);
            return losses.Max() <= 0
                ? found is null
                : found is not null && found.Impact == losses.Max() && found.Name.EndsWith(Genome.Names[losses.IndexOf(losses.Max())], StringComparison.Ordinal) && found.Occurrences > 0
                    && found.Confidence is > 0 and <= 1;
        }));

    [Fact]
    public void Nothing_is_found_where_nothing_changed() => WeightPattern.Find(Draw(1, 5), Genome.Default, Genome.Default).ShouldBeNull();
}
