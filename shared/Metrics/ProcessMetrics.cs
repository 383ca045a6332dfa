using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace FunctionsRegistry.Metrics;

/// <summary>What every Prometheus client library tells of its process, under the names that dashboards know.</summary>
public sealed class ProcessMetrics
{
    /// <summary>Adds the instruments; they are read when somebody asks.</summary>
    public ProcessMetrics(PrometheusMetrics metrics)
    {
        var meter = metrics.GetMeter(Meter);
        var startedAt = new DateTimeOffset(Process.GetCurrentProcess().StartTime).ToUnixTimeMilliseconds() / 1000.0;
        meter.CreateObservableCounter("process_cpu_seconds", () => Environment.CpuUsage.TotalTime.TotalSeconds, "s", "Processor time in seconds.");
        meter.CreateObservableGauge("process_start_time_seconds", () => startedAt, "s", "Start of the process as seconds since 1970.");
        meter.CreateObservableGauge("process_resident_memory_bytes", () => Environment.WorkingSet, "By", "Resident memory.");
        meter.CreateObservableGauge("process_virtual_memory_bytes", () => Read(process => process.VirtualMemorySize64), "By", "Virtual memory.");
        meter.CreateObservableGauge("process_threads", () => (long)ThreadPool.ThreadCount, null, "Threads of the pool.");
        meter.CreateObservableGauge("process_managed_memory_bytes", () => GC.GetTotalMemory(forceFullCollection: false), "By", "Objects on the managed heap.");
    }

    /// <summary>For <see cref="PrometheusMetrics.Write"/>.</summary>
    public string Meter { get; } = "FunctionsRegistry.Process";

    private static long Read(Func<Process, long> value)
    {
        using var process = Process.GetCurrentProcess();
        return value(process);
    }
}
