namespace FunctionsRegistry.Blobs;

/// <summary>Blobs are named by version 7 UUIDs, which begin with the time, so that recent ones can be listed by prefix.</summary>
public static class BlobNames
{
    // Five hex digits of the milliseconds since 1970 stand for 2^28 ms: three days.
    private const int Digits = 5;
    private const int DroppedBits = 48 - 4 * Digits;

    /// <summary>Prefixes that together hold every blob named in the last three to six days; each is <paramref name="folder"/> and some digits.</summary>
    public static IReadOnlyList<string> RecentPrefixes(string folder, DateTimeOffset now)
    {
        var current = now.ToUnixTimeMilliseconds() >> DroppedBits;
        return [$"{folder}{(current - 1):x5}", $"{folder}{current:x5}"];
    }
}
