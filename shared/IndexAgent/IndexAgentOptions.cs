using FunctionsRegistry.Archives;
using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.IndexAgent;

/// <summary>Limits of the code index.</summary>
/// <param name="MaxArchiveBytes"><c>IndexAgent__MaxArchiveMegabytes</c>: packed, 256.</param>
/// <param name="Archive"><c>IndexAgent__MaxUnpackedMegabytes</c>: 2048; at most 200,000 entries and 100 times the packed size.</param>
/// <param name="SegmentBytes"><c>IndexAgent__SegmentMegabytes</c>: text that one step indexes, 32. More costs memory, less costs time to search.</param>
/// <param name="FetchTimeout"><c>IndexAgent__FetchMinutes</c>: to fetch an archive from a URL, 10.</param>
/// <param name="RegexBudget"><c>IndexAgent__RegexMilliseconds</c>: reading sections for phrases and regular expressions of one search, 200.</param>
public sealed record IndexAgentOptions(long MaxArchiveBytes, ArchiveLimits Archive, int SegmentBytes, TimeSpan FetchTimeout, TimeSpan RegexBudget)
{
    /// <summary>Reads the settings named above.</summary>
    public static IndexAgentOptions FromConfiguration(IConfiguration configuration) => new(
        configuration.GetValue("IndexAgent:MaxArchiveMegabytes", 256L) << 20,
        new ArchiveLimits(200_000, configuration.GetValue("IndexAgent:MaxUnpackedMegabytes", 2048L) << 20),
        configuration.GetValue("IndexAgent:SegmentMegabytes", 32) << 20,
        TimeSpan.FromMinutes(configuration.GetValue("IndexAgent:FetchMinutes", 10.0)),
        TimeSpan.FromMilliseconds(configuration.GetValue("IndexAgent:RegexMilliseconds", 200)));
}
