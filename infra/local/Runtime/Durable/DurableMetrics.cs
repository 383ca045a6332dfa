using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>What the orchestration engine of this process does; whoever wants it listens to the meter <c>FunctionsRegistry.Durable</c>.</summary>
internal static class DurableMetrics
{
    private static readonly Meter s_meter = new("FunctionsRegistry.Durable");
    private static readonly Counter<long> s_turns = s_meter.CreateCounter<long>("durable_turns", null, "Turns of orchestrators that were committed.");
    private static readonly UpDownCounter<long> s_running = s_meter.CreateUpDownCounter<long>("durable_activities_running", null, "Activities that run.");
    private static readonly Histogram<double> s_activities = s_meter.CreateHistogram("durable_activity_duration_seconds", "s", "Time of activities.",
        advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.005, 0.025, 0.1, 0.5, 2.5, 10, 60] });

    public static void CountTurns(int count) => s_turns.Add(count);

    public static long BeginActivity()
    {
        s_running.Add(1);
        return Stopwatch.GetTimestamp();
    }

    // Names are the app's functions, and one word for those that it does not have.
    public static void EndActivity(long begin, string name, bool succeeded)
    {
        s_running.Add(-1);
        s_activities.Record(Stopwatch.GetElapsedTime(begin).TotalSeconds, new("activity", name), new("outcome", succeeded ? "success" : "failure"));
    }
}
