using NCrontab;

namespace FunctionsRegistry.Airflow;

/// <summary>When a DAG runs by itself: a five-field cron expression or a preset such as <c>@daily</c>. Times are UTC, to the minute.</summary>
public sealed class CronSchedule
{
    private static readonly Dictionary<string, string> s_presets = new()
    {
        ["@hourly"] = "0 * * * *",
        ["@daily"] = "0 0 * * *",
        ["@weekly"] = "0 0 * * 0",
        ["@monthly"] = "0 0 1 * *",
        ["@quarterly"] = "0 0 1 */3 *",
        ["@yearly"] = "0 0 1 1 *",
    };

    // Back from a time, look for the last firing in ever longer stretches: most schedules fire within the first.
    private static readonly TimeSpan[] s_stretches =
        [TimeSpan.FromHours(1), TimeSpan.FromDays(1), TimeSpan.FromDays(32), TimeSpan.FromDays(367), TimeSpan.FromDays(9 * 366)];
    private readonly CrontabSchedule[] _any;

    private CronSchedule(string text, CrontabSchedule[] any) => (Text, _any) = (text, any);

    /// <summary>As written in the DAG.</summary>
    public string Text { get; }

    /// <summary>Reads an expression; where it is none, <paramref name="fault"/> says why.</summary>
    public static CronSchedule? TryParse(string text, out string fault)
    {
        fault = $"'{text}' is neither a cron expression of five fields nor one of {string.Join(", ", s_presets.Keys)}";
        if (text.StartsWith('@') && !s_presets.ContainsKey(text))
            return null;
        var fields = s_presets.GetValueOrDefault(text, text).Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (fields.Length != 5)
            return null;
        fields[4] = SundayAsZero(fields[4]);
        // cron's rule: where both days are restricted, either is enough. NCrontab wants both.
        string[] either = fields[2].StartsWith('*') || fields[4].StartsWith('*')
            ? [string.Join(' ', fields)]
            : [$"{fields[0]} {fields[1]} {fields[2]} {fields[3]} *", $"{fields[0]} {fields[1]} * {fields[3]} {fields[4]}"];
        var parsed = either.Select(expression => CrontabSchedule.TryParse(expression)).ToArray();
        if (Array.Exists(parsed, one => one is null))
            return null;
        var schedule = new CronSchedule(text, parsed!);
        if (schedule.Next(DateTimeOffset.UnixEpoch) is not null)
            return schedule;
        fault = $"'{text}' never fires";
        return null;
    }

    /// <summary>The first firing after a time; null where there is none within nine years.</summary>
    public DateTimeOffset? Next(DateTimeOffset after)
    {
        var from = after.UtcDateTime;
        var end = from.AddDays(9 * 366);
        var next = _any.Min(one => one.GetNextOccurrence(from, end));
        return next >= end ? null : new DateTimeOffset(next, TimeSpan.Zero);
    }

    /// <summary>The last firing at or before a time; null where there is none within nine years.</summary>
    public DateTimeOffset? Last(DateTimeOffset atOrBefore)
    {
        // GetNextOccurrences is exclusive at both ends.
        var end = atOrBefore.UtcDateTime.AddTicks(1);
        foreach (var stretch in s_stretches)
        {
            DateTime? last = null;
            foreach (var one in _any)
                foreach (var time in one.GetNextOccurrences(end - stretch, end))
                    last = last is null || time > last ? time : last;
            if (last is { } found)
                return new DateTimeOffset(found, TimeSpan.Zero);
        }
        return null;
    }

    // NCrontab knows Sunday as 0 only.
    private static string SundayAsZero(string field) => string.Join(',', field.Split(',').SelectMany(part =>
        part == "7" ? ["0"] : part.EndsWith("-7", StringComparison.Ordinal) && part.Length == 3 ? part[0] == '7' ? ["0"] : [part[..2] + "6", "0"] : new[] { part }));
}
