using FunctionsRegistry.LocalRuntime.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.LocalRuntime.Timers;

/// <summary>Fires the timer functions, each in a loop of its own, so none overlaps itself. Of several processes on one database one fires.</summary>
internal sealed partial class TimerService(
    FunctionTable functions, FunctionInvoker invoker, IServiceProvider services, IConfiguration configuration, HostSettings settings,
    ILogger<TimerService> logger, TimeProvider? time = null)
    : BackgroundService
{
    // Task.Delay takes at most 49 days, and a machine that slept should notice soon.
    private static readonly TimeSpan s_longestSleep = TimeSpan.FromMinutes(1);
    private readonly TimeProvider _time = time ?? TimeProvider.System;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var timers = functions.Timers.Select(function => (Function: function, Schedule: TimerSchedule.Parse(function.Name, function.Timer!.Schedule, configuration))).ToList();
        if (timers.Count == 0)
            return;
        await using var leader = new TimerLeader(configuration, _time);
        await Task.WhenAll(timers.Select(timer => RunAsync(timer.Function, timer.Schedule, leader, stoppingToken)));
    }

    private async Task RunAsync(LocalFunction function, TimerSchedule schedule, TimerLeader leader, CancellationToken stopping)
    {
        var last = default(DateTime);
        try
        {
            if (function.Timer!.RunOnStartup && await leader.IsLeaderAsync(stopping))
                last = await FireAsync(function, schedule, last, isPastDue: false, stopping);
            while (true)
            {
                var due = schedule.Next(_time.GetUtcNow().UtcDateTime);
                for (var now = _time.GetUtcNow().UtcDateTime; now < due; now = _time.GetUtcNow().UtcDateTime)
                    await Task.Delay(TimeSpan.FromTicks(Math.Min((due - now).Ticks + TimeSpan.TicksPerMillisecond, s_longestSleep.Ticks)), _time, stopping);
                if (await leader.IsLeaderAsync(stopping))
                    last = await FireAsync(function, schedule, last, _time.GetUtcNow().UtcDateTime - due > TimeSpan.FromMinutes(1), stopping);
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // The host stops.
        }
    }

    private async Task<DateTime> FireAsync(LocalFunction function, TimerSchedule schedule, DateTime last, bool isPastDue, CancellationToken stopping)
    {
        var now = _time.GetUtcNow().UtcDateTime;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        limit.CancelAfter(settings.FunctionTimeout);
        await using var scope = services.CreateAsyncScope();
        var info = new TimerInfo { IsPastDue = isPastDue, ScheduleStatus = new ScheduleStatus { Last = last, Next = schedule.Next(now), LastUpdated = now } };
        try
        {
            await invoker.InvokeAsync(new LocalFunctionContext(function, scope.ServiceProvider, limit.Token) { Timer = info });
        }
        catch (Exception exception) when (!stopping.IsCancellationRequested)
        {
            // A failed run is over; the next one comes at its time.
            LogFailure(exception, function.Name);
        }
        return now;
    }

    [LoggerMessage(111, LogLevel.Error, "Timer function {Function} failed")]
    private partial void LogFailure(Exception exception, string function);
}
