namespace FunctionsRegistry.IndexAgent;

/// <summary>PostgreSQL keeps microseconds: a time that is answered before it was stored must be the one that is read later.</summary>
internal static class StorableTime
{
    /// <summary>Now, in whole microseconds.</summary>
    public static DateTimeOffset GetStorableNow(this TimeProvider time)
    {
        var now = time.GetUtcNow();
        return now.AddTicks(-(now.Ticks % TimeSpan.TicksPerMicrosecond));
    }
}
