namespace FunctionsRegistry.Tests.Support;

/// <summary>The real clock, set forward.</summary>
internal sealed class LaterTime(TimeSpan by) : TimeProvider
{
    public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + by;
}
