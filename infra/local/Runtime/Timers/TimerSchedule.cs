using System.Globalization;
using FunctionsRegistry.LocalRuntime.Hosting;
using Microsoft.Extensions.Configuration;
using NCrontab;

namespace FunctionsRegistry.LocalRuntime.Timers;

/// <summary>When a timer fires: a six-field NCRONTAB expression, or a time span between runs. Times are UTC.</summary>
internal sealed class TimerSchedule
{
    private readonly CrontabSchedule? _cron;
    private readonly TimeSpan _every;

    private TimerSchedule(CrontabSchedule? cron, TimeSpan every) => (_cron, _every) = (cron, every);

    /// <summary>Reads an expression, or the setting that %name% names.</summary>
    /// <exception cref="LocalHostException">Neither form.</exception>
    public static TimerSchedule Parse(string function, string text, IConfiguration configuration)
    {
        var expression = text is ['%', .., '%'] && text.Length > 2
            ? configuration[text[1..^1].Replace("__", ":", StringComparison.Ordinal)] ?? throw new LocalHostException($"{function}: the setting {text} is not set.")
            : text;
        if (!expression.Contains(' ', StringComparison.Ordinal) && TimeSpan.TryParse(expression, CultureInfo.InvariantCulture, out var every) && every > TimeSpan.Zero)
            return new TimerSchedule(null, every);
        return CrontabSchedule.TryParse(expression, new CrontabSchedule.ParseOptions { IncludingSeconds = true }) is { } cron
            ? new TimerSchedule(cron, default)
            : throw new LocalHostException($"{function}: '{expression}' is neither a six-field NCRONTAB expression nor a time span.");
    }

    /// <summary>The first time after the given one.</summary>
    public DateTime Next(DateTime after) => _cron?.GetNextOccurrence(after) ?? after + _every;
}
