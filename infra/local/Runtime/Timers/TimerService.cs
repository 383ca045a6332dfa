using FunctionsRegistry.LocalRuntime.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.LocalRuntime.Timers;

/// <summary>Fires the timer functions, each in a loop of its own, so none overlaps itself. Of several processes on one database one fires.</summary>
internal sealed partial class TimerService(
    TimerTable timers, FunctionInvoker invoker, IServiceProvider services, HostSettings settings, ILogger<TimerService> logger, TimeProvider? time = null)
    : BackgroundService
{
    // Task.Delay takes at most 49 days, and a machine that slept should notice soon.
    private static readonly TimeSpan s_longestSleep = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_pastDueAfter = TimeSpan.FromMinutes(1);
    private readonly TimeProvider _time = time ?? TimeProvider.System;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (timers.All.Count == 0)
            return;
        await using var locks = new TimerLocks(TimerLocks.FindConnectionString(services.GetRequiredService<IConfiguration>()), logger);
        await Task.WhenAll(timers.All.Select(timer => RunAsync(timer, locks, stoppingToken)));
    }

    private async Task RunAsync(TimerFunction timer, TimerLocks locks, CancellationToken stopping)
    {
        var last = default(DateTime);
        try
        {
            if (timer.Function.Timer!.RunOnStartup && await locks.TryHoldAsync(timer.Function.Name, stopping))
                last = await FireAsync(timer, last, isPastDue: false, stopping);
            while (true)
            {
                var due = timer.Schedule.Next(Now());
                for (var now = Now(); now < due; now = Now())
                    await Task.Delay(TimeSpan.FromTicks(Math.Min((due - now).Ticks + TimeSpan.TicksPerMillisecond, s_longestSleep.Ticks)), _time, stopping);
                if (await locks.TryHoldAsync(timer.Function.Name, stopping))
                    last = await FireAsync(timer, last, Now() - due > s_pastDueAfter, stopping);
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // The host stops.
        }
    }

    private async Task<DateTime> FireAsync(TimerFunction timer, DateTime last, bool isPastDue, CancellationToken stopping)
    {
        var now = Now();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        limit.CancelAfter(settings.FunctionTimeout);
        await using var scope = services.CreateAsyncScope();
        var status = new ScheduleStatus { Last = last, Next = timer.Schedule.Next(now), LastUpdated = now };
        try
        {
            await invoker.InvokeAsync(new LocalFunctionContext(timer.Function, scope.ServiceProvider, limit.Token)
            {
                TriggerValue = new TimerInfo { IsPastDue = isPastDue, ScheduleStatus = status },
            });
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // The host stops.
        }
        catch (Exception exception)
        {
            // A failed run is over; the next one comes at its time.
            LogFailure(exception, timer.Function.Name);
        }
        return now;
    }

    private DateTime Now() => _time.GetUtcNow().UtcDateTime;

    [LoggerMessage(111, LogLevel.Error, "Timer function {Function} failed")]
    private partial void LogFailure(Exception exception, string function);
}
