using System.Globalization;
using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.ModelRegistry.Dspy;

/// <summary>How programs run.</summary>
/// <param name="CacheEntries"><c>Dspy__CacheEntries</c>: so many answers are kept at most, 10,000; 0: none.</param>
/// <param name="CacheAge"><c>Dspy__CacheMinutes</c>: so long an answer is kept, 1,440.</param>
/// <param name="BatchConcurrency"><c>Dspy__BatchConcurrency</c>: so many inputs of one batch run at the same time, 8.</param>
/// <param name="ExecutionAge"><c>Dspy__ExecutionDays</c>: so long an execution can be looked up, 30.</param>
public sealed record DspyOptions(int CacheEntries, TimeSpan CacheAge, int BatchConcurrency, TimeSpan ExecutionAge)
{
    /// <summary>Reads the settings named above.</summary>
    /// <exception cref="InvalidOperationException">One is wrong; the message names it.</exception>
    public static DspyOptions FromConfiguration(IConfiguration configuration)
    {
        return new DspyOptions(
            Read("Dspy:CacheEntries", 10_000, 0, 1_000_000), TimeSpan.FromMinutes(Read("Dspy:CacheMinutes", 1440, 1, 525_600)), Read("Dspy:BatchConcurrency", 8, 1, 100),
            TimeSpan.FromDays(Read("Dspy:ExecutionDays", 30, 1, 3650)));

        int Read(string name, int standard, int min, int max) => configuration[name] is not { Length: > 0 } set ? standard
            : int.TryParse(set, CultureInfo.InvariantCulture, out var number) && number >= min && number <= max ? number
            : throw new InvalidOperationException($"{name.Replace(":", "__", StringComparison.Ordinal)} must be a whole number from {min} to {max}, not '{set}'.");
    }
}
