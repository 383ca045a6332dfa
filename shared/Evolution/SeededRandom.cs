namespace FunctionsRegistry.Evolution;

/// <summary>
/// Random numbers that are the same for the same seed on every machine and in every version: SplitMix64. The framework's seeded generator promises that
/// for no version but its own.
/// </summary>
public sealed class SeededRandom
{
    private ulong _state;

    /// <summary>A stream of its own for every combination of a seed and what it is for (a generation, a query).</summary>
    public SeededRandom(long seed, long stream)
    {
        _state = unchecked((ulong)seed);
        _state = Next() ^ unchecked((ulong)stream * 0x9E37_79B9_7F4A_7C15);
    }

    /// <summary>0 up to, not including, 1.</summary>
    public double NextDouble() => (Next() >> 11) * (1.0 / (1UL << 53));

    /// <summary>0 up to, not including, <paramref name="end"/>.</summary>
    public int NextInt(int end) => (int)(NextDouble() * end);

    /// <summary>Normally distributed around 0 with a deviation of 1: the sum of twelve even numbers, which needs no logarithm.</summary>
    public double NextNormal()
    {
        var sum = -6.0;
        for (var i = 0; i < 12; i++)
            sum += NextDouble();
        return sum;
    }

    private ulong Next()
    {
        unchecked
        {
            _state += 0x9E37_79B9_7F4A_7C15;
            var z = _state;
            z = (z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9;
            z = (z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB;
            return z ^ (z >> 31);
        }
    }
}
