using System.Buffers.Binary;
using System.Security.Cryptography;
using FunctionsRegistry.IndexAgent;

namespace FunctionsRegistry.Evolution;

/// <summary>One generation of a trial as it is stored.</summary>
/// <param name="Hash">SHA-256 over the hash before, the number, and every member's weights and fitness.</param>
internal sealed record Generation(int Number, IReadOnlyList<Individual> Members, byte[] Hash)
{
    /// <summary>The fittest; the first of equals.</summary>
    public Individual Best => Members.MaxBy(member => member.Fitness)!;

    /// <summary>The members that follow on this generation, or are the first where it is null; the same in every process.</summary>
    public static IReadOnlyList<Genome> Breed(Generation? last, int size, BreedingRules rules, long seed) => last is null
        ? Breeding.CreateFirst(size, new SeededRandom(seed, 0))
        : [.. Breeding.CreateNext(last.Members, rules, new SeededRandom(seed, last.Number + 1)).Select(child => child.Genome)];

    /// <summary>The generation after <paramref name="last"/>.</summary>
    public static Generation After(Generation? last, IReadOnlyList<Individual> members)
    {
        var number = last is null ? 0 : last.Number + 1;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(last?.Hash ?? []);
        Span<byte> bytes = stackalloc byte[sizeof(double)];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, number);
        hash.AppendData(bytes);
        foreach (var member in members)
        {
            foreach (var weight in member.Genome.Weights)
            {
                BinaryPrimitives.WriteDoubleLittleEndian(bytes, weight);
                hash.AppendData(bytes);
            }
            BinaryPrimitives.WriteDoubleLittleEndian(bytes, member.Fitness);
            hash.AppendData(bytes);
        }
        return new Generation(number, members, hash.GetHashAndReset());
    }

    /// <summary>0..1: the mean over all weights of their standard deviation, where half of the range is the most there can be.</summary>
    public double Diversity()
    {
        var sum = 0.0;
        for (var gene = 0; gene < Genome.Length; gene++)
        {
            var mean = Members.Average(member => member.Genome.Weights[gene]);
            var variance = Members.Average(member => (member.Genome.Weights[gene] - mean) * (member.Genome.Weights[gene] - mean));
            sum += Math.Sqrt(variance) / (Genome.Max(gene) / 2);
        }
        return Math.Clamp(sum / Genome.Length, 0, 1);
    }
}
