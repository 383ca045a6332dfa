using FunctionsRegistry.LocalRuntime.Hosting;
using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.LocalRuntime.Timers;

/// <summary>A timer function and when it fires.</summary>
internal sealed record TimerFunction(LocalFunction Function, TimerSchedule Schedule);

/// <summary>All timer functions, their schedules read, so that a wrong one is found before anything runs.</summary>
internal sealed record TimerTable(IReadOnlyList<TimerFunction> All)
{
    /// <exception cref="LocalHostException">A schedule cannot be read.</exception>
    public static TimerTable Read(FunctionTable functions, IConfiguration configuration) =>
        new([.. functions.Timers.Select(function => new TimerFunction(function, TimerSchedule.Parse(function.Name, function.Timer!.Schedule, configuration)))]);
}
