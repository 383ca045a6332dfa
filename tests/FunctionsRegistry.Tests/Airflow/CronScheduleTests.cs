using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.Airflow;

namespace FunctionsRegistry.Tests.Airflow;

public sealed class CronScheduleTests
{
    private static readonly DateTimeOffset s_start = new(2024, 2, 27, 0, 0, 0, TimeSpan.Zero);

    private static readonly Gen<string> s_expressions =
        from minute in Gen.Elements("*", "0", "*/5", "7,30", "58-59", "*/17")
        from hour in Gen.Elements("*", "*", "0", "*/6", "9-17", "23")
        from day in Gen.Elements("*", "*", "1", "29", "*/10", "31")
        from month in day == "31" ? Gen.Elements("*", "*/3") : Gen.Elements("*", "*", "2", "*/3")
        from weekday in Gen.Elements("*", "*", "0", "7", "1-5", "5-7", "3")
        select $"{minute} {hour} {day} {month} {weekday}";

    [Fact]
    public void Next_and_last_are_what_a_walk_minute_by_minute_finds()
    {
        var cases = from text in s_expressions from minutes in Gen.Choose(0, 60 * 24 * 30) select (text, s_start.AddMinutes(minutes).AddSeconds(minutes % 60));
        Prop.ForAll(Arb.From(cases), one =>
        {
            var (text, at) = one;
            var schedule = CronSchedule.TryParse(text, out var fault).ShouldNotBeNull(fault);
            Walk(text, at, 1).ShouldBe(Within(schedule.Next(at), at), $"next of '{text}' after {at:u}");
            Walk(text, at, -1).ShouldBe(Within(schedule.Last(at), at), $"last of '{text}' at {at:u}");
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(200));
    }

    [Theory]
    [InlineData("@hourly", "2024-02-29T10:00:00Z")]
    [InlineData("@daily", "2024-03-01T00:00:00Z")]
    [InlineData("@weekly", "2024-03-03T00:00:00Z")]
    [InlineData("@monthly", "2024-03-01T00:00:00Z")]
    [InlineData("@quarterly", "2024-04-01T00:00:00Z")]
    [InlineData("@yearly", "2025-01-01T00:00:00Z")]
    [InlineData("0 0 29 2 *", "2028-02-29T00:00:00Z")]
    public void A_preset_fires_when_it_says(string text, string next) =>
        CronSchedule.TryParse(text, out _)!.Next(DateTimeOffset.Parse("2024-02-29T09:30:00Z")).ShouldBe(DateTimeOffset.Parse(next));

    [Theory]
    [InlineData("")]
    [InlineData("@often")]
    [InlineData("* * * *")]
    [InlineData("* * * * * *")]
    [InlineData("61 * * * *")]
    [InlineData("a b c d e")]
    [InlineData("0 0 31 2 *")]
    public void What_is_no_schedule_or_never_fires_is_refused(string text)
    {
        CronSchedule.TryParse(text, out var fault).ShouldBeNull();
        fault.ShouldContain(text);
    }

    private static readonly TimeSpan s_horizon = TimeSpan.FromDays(40);

    private static DateTimeOffset? Within(DateTimeOffset? found, DateTimeOffset at) => found is { } time && (time - at).Duration() < s_horizon ? time : null;

    private static DateTimeOffset? Walk(string text, DateTimeOffset at, int direction)
    {
        var fields = text.Split(' ').Select((field, index) => Values(field, index)).ToArray();
        var time = new DateTimeOffset(at.Year, at.Month, at.Day, at.Hour, at.Minute, 0, TimeSpan.Zero);
        if (direction > 0)
            time = time.AddMinutes(1);
        for (; (time - at).Duration() < s_horizon; time = time.AddMinutes(direction))
        {
            var day = fields[2].Contains(time.Day);
            var weekday = fields[4].Contains((int)time.DayOfWeek);
            var either = text.Split(' ') is [_, _, not ['*', ..], _, not ['*', ..]];
            if (fields[0].Contains(time.Minute) && fields[1].Contains(time.Hour) && fields[3].Contains(time.Month) && (either ? day || weekday : day && weekday))
                return time;
        }
        return null;
    }

    private static HashSet<int> Values(string field, int index)
    {
        (int min, int max) = index switch { 0 => (0, 59), 1 => (0, 23), 2 => (1, 31), 3 => (1, 12), _ => (0, 7) };
        var values = new HashSet<int>();
        foreach (var part in field.Split(','))
        {
            var step = part.Split('/');
            var range = step[0] == "*" ? [min, max] : step[0].Split('-').Select(int.Parse).ToArray();
            for (var value = range[0]; value <= range[^1]; value += step.Length > 1 ? int.Parse(step[1]) : 1)
                values.Add(index == 4 ? value % 7 : value);
        }
        return values;
    }
}
