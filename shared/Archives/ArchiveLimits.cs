namespace FunctionsRegistry.Archives;

/// <summary>How much an archive may hold.</summary>
/// <param name="MaxUnpackedBytes">All entries and headers together.</param>
/// <param name="MaxRatio">Unpacked to packed bytes, judged beyond 10 MB unpacked.</param>
public sealed record ArchiveLimits(int MaxEntries = 10_000, long MaxUnpackedBytes = 500L << 20, int MaxRatio = 100)
{
    private const long RatioFrom = 10 << 20;

    /// <summary>Judges what was read so far.</summary>
    /// <exception cref="Errors.RegistryException">It is too much.</exception>
    public void Check(long unpackedBytes, long packedBytes)
    {
        if (unpackedBytes > MaxUnpackedBytes)
            throw ArchiveErrors.Wrong($"unpacks to more than {MaxUnpackedBytes >> 20} MB");
        if (unpackedBytes > RatioFrom && unpackedBytes > packedBytes * MaxRatio)
            throw ArchiveErrors.Wrong($"unpacks to more than {MaxRatio} times its size");
    }
}
