using System.Diagnostics;
using System.Globalization;

namespace FunctionsRegistry.Benchmarks;

/// <summary>
/// Processor time and memory of this process and of the services that it started, from /proc: on a machine that is shared with others it says more
/// than the clock does.
/// </summary>
internal static class ProcessorTime
{
    private const double TicksPerSecond = 100;

    /// <summary>Seconds used so far by this process, and by its living descendants.</summary>
    public static (double Own, double Services) Read()
    {
        var services = Descendants().Sum(id => Stat(id) is { } fields
            ? (double.Parse(fields[11], CultureInfo.InvariantCulture) + double.Parse(fields[12], CultureInfo.InvariantCulture)) / TicksPerSecond
            : 0);
        return (Process.GetCurrentProcess().TotalProcessorTime.TotalSeconds, services);
    }

    /// <summary>Resident megabytes of this process and its descendants; shared pages of PostgreSQL count once (proportional set size).</summary>
    public static double ReadMemory() => Descendants().Append(Environment.ProcessId).Sum(id =>
    {
        try
        {
            var line = File.ReadLines($"/proc/{id}/smaps_rollup").FirstOrDefault(line => line.StartsWith("Pss:", StringComparison.Ordinal));
            return line is null ? 0 : double.Parse(line[4..^2].Trim(), CultureInfo.InvariantCulture) / 1000;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    });

    private static List<int> Descendants()
    {
        var parents = Directory.GetDirectories("/proc").Select(Path.GetFileName).Where(name => int.TryParse(name, out _)).Select(name => int.Parse(name!, CultureInfo.InvariantCulture))
            .Select(id => (id, parent: Stat(id) is { } fields ? int.Parse(fields[1], CultureInfo.InvariantCulture) : 0)).ToList();
        var found = new List<int> { Environment.ProcessId };
        for (var i = 0; i < found.Count; i++)
            found.AddRange(parents.Where(pair => pair.parent == found[i]).Select(pair => pair.id));
        return found[1..];
    }

    // The fields behind the name, which may hold blanks and parentheses.
    private static string[]? Stat(int id)
    {
        try
        {
            var text = File.ReadAllText($"/proc/{id}/stat");
            return text[(text.LastIndexOf(')') + 2)..].Split(' ');
        }
        catch (IOException)
        {
            return null;
        }
    }
}
