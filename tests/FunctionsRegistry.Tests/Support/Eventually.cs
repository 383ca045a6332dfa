using System.Diagnostics;

namespace FunctionsRegistry.Tests.Support;

/// <summary>Waiting that ends: a condition that never holds fails its test instead of hanging the run.</summary>
public static class Eventually
{
    /// <param name="describe">What is so instead, for the failure's message.</param>
    public static async Task UntilAsync(Func<Task<bool>> holds, int seconds = 60, Func<string>? describe = null)
    {
        var clock = Stopwatch.StartNew();
        while (!await holds())
        {
            clock.Elapsed.TotalSeconds.ShouldBeLessThan(seconds, describe?.Invoke());
            await Task.Delay(20);
        }
    }
}
