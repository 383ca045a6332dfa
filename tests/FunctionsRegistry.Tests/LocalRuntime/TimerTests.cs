using System.Collections.Concurrent;
using FunctionsRegistry.LocalRuntime;
using FunctionsRegistry.LocalRuntime.Timers;
using FunctionsRegistry.Tests.Support;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace FunctionsRegistry.Tests.LocalRuntime;

public sealed class TimerTests(TestServices services)
{
    [Fact]
    public async Task A_timer_fires_at_its_times_with_its_status_through_the_middleware()
    {
        var clock = new Clock(new DateTimeOffset(2026, 1, 1, 0, 0, 30, TimeSpan.Zero));
        var runs = new Runs();
        var wrapped = new ConcurrentQueue<string>();
        await using var app = await StartAsync(typeof(EveryMinute), clock, runs, builder => builder.UseMiddleware((context, next) =>
        {
            context.GetHttpContext().ShouldBeNull();
            wrapped.Enqueue(context.FunctionDefinition.InputBindings["timer"].Type);
            return next();
        }));

        clock.Advance(TimeSpan.FromSeconds(20));
        await Task.Delay(200, TestContext.Current.CancellationToken);
        runs.Done.ShouldBeEmpty();

        await clock.AdvanceUntilAsync(() => runs.Done.Count == 2);

        var minutes = runs.Done.Select(run => run.ScheduleStatus!.LastUpdated.Minute).ToList();
        minutes.ShouldBe([1, 2]);
        var second = runs.Done.Last();
        second.ScheduleStatus!.Last.Minute.ShouldBe(1);
        second.ScheduleStatus.Next.ShouldBe(new DateTime(2026, 1, 1, 0, 3, 0));
        wrapped.ShouldBe(["timerTrigger", "timerTrigger"]);
    }

    [Fact]
    public async Task A_timer_that_is_still_running_does_not_start_again()
    {
        var clock = new Clock(new DateTimeOffset(2026, 1, 1, 0, 0, 30, TimeSpan.Zero));
        var runs = new Runs { Gate = new SemaphoreSlim(0) };
        await using var app = await StartAsync(typeof(EveryMinute), clock, runs);

        await clock.AdvanceUntilAsync(() => runs.Started == 1);
        clock.Advance(TimeSpan.FromMinutes(5));
        await Task.Delay(200, TestContext.Current.CancellationToken);

        runs.Started.ShouldBe(1);
        runs.Gate.Release(100);
        await clock.AdvanceUntilAsync(() => runs.Done.Count >= 2);
        runs.MostAtOnce.ShouldBe(1);
    }

    [Fact]
    public async Task A_failed_run_is_logged_and_the_next_one_comes()
    {
        var clock = new Clock(new DateTimeOffset(2026, 1, 1, 0, 0, 30, TimeSpan.Zero));
        var runs = new Runs { Fails = true };
        await using var app = await StartAsync(typeof(EveryMinute), clock, runs);

        await clock.AdvanceUntilAsync(() => runs.Started == 3);

        app.Log.Count(entry => entry == (LogLevel.Error, "Timer function every_minute failed")).ShouldBeGreaterThanOrEqualTo(2);
    }

    [Fact]
    public async Task Run_on_startup_runs_at_once_and_a_running_timer_ends_with_the_host()
    {
        var runs = new Runs();
        var app = await StartAsync(typeof(AtStart), new Clock(new DateTimeOffset(2026, 1, 1, 0, 0, 30, TimeSpan.Zero)), runs);
        await Runs.WaitAsync(() => runs.Started == 1);

        await app.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(5), TestContext.Current.CancellationToken);

        runs.Cancelled.ShouldBeTrue();
        app.Log.ShouldNotContain(entry => entry.Level >= LogLevel.Error);
    }

    [Fact]
    public async Task Of_two_processes_on_one_database_one_fires_until_it_ends()
    {
        await using var first = new TimerLocks(services.Postgres, NullLogger.Instance);
        var second = new TimerLocks(services.Postgres, NullLogger.Instance);
        await using (second)
        {
            var name = "timer_" + Guid.CreateVersion7();
            (await second.TryHoldAsync(name, CancellationToken.None)).ShouldBeTrue();
            (await first.TryHoldAsync(name, CancellationToken.None)).ShouldBeFalse();
            (await second.TryHoldAsync(name, CancellationToken.None)).ShouldBeTrue();
            (await first.TryHoldAsync(name + "_other", CancellationToken.None)).ShouldBeTrue();

            // The server ends its session and waits for that: it loses the lock, and whoever comes first takes it.
            await services.ExecuteAsync(
                $"SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32 | objid::bigint) = {TimerLocks.KeyOf(name)}");
            (await second.TryHoldAsync(name, CancellationToken.None)).ShouldBeFalse();
            (await first.TryHoldAsync(name, CancellationToken.None)).ShouldBeTrue();
            (await second.TryHoldAsync(name, CancellationToken.None)).ShouldBeFalse();
        }
    }

    [Fact]
    public async Task Without_a_reachable_database_nothing_fires_and_without_a_configured_one_everything_does()
    {
        await using var unreachable = new TimerLocks("Host=127.0.0.1;Port=1;Username=x;Timeout=2;Pooling=false", NullLogger.Instance);
        await using var alone = new TimerLocks(null, NullLogger.Instance);

        (await unreachable.TryHoldAsync("x", CancellationToken.None)).ShouldBeFalse();
        (await alone.TryHoldAsync("x", CancellationToken.None)).ShouldBeTrue();
    }

    [Theory]
    [InlineData("DATABASE_URL=postgres://me:p%40ss@db.example:6543/things?sslmode=require", "db.example|6543|me|p@ss|things|Require")]
    [InlineData("POSTGRES_HOST=h;POSTGRES_PORT=6000;POSTGRES_USER=u;POSTGRES_PASSWORD=p;POSTGRES_DB=d", "h|6000|u|p|d|Prefer")]
    [InlineData("POSTGRES_HOST=h", "h|5432|registry||registry|Prefer")]
    [InlineData("POSTGRES_PORT=6000", null)]
    public void The_locks_use_the_app_s_database(string settings, string? expected)
    {
        var pairs = settings.Split(';').Select(pair => pair.Split('=', 2)).ToDictionary(pair => pair[0], pair => (string?)pair[1]);

        var found = TimerLocks.FindConnectionString(new ConfigurationBuilder().AddInMemoryCollection(pairs).Build());

        var builder = new NpgsqlConnectionStringBuilder(found);
        (found is null ? null : $"{builder.Host}|{builder.Port}|{builder.Username}|{builder.Password}|{builder.Database}|{builder.SslMode}").ShouldBe(expected);
    }

    private static Task<RuntimeApp> StartAsync(Type functions, Clock clock, Runs runs, Action<FunctionsApplicationBuilder>? configure = null) =>
        RuntimeApp.StartAsync([functions], builder =>
        {
            builder.Services.AddSingleton<TimeProvider>(clock).AddSingleton(runs);
            configure?.Invoke(builder);
        }, "", null, "--POSTGRES_HOST=", "--DATABASE_URL=");

    internal sealed class Runs
    {
        private int _running;
        private int _started;

        public ConcurrentQueue<TimerInfo> Done { get; } = [];

        public SemaphoreSlim? Gate { get; init; }

        public bool Fails { get; init; }

        public int Started => Volatile.Read(ref _started);

        public int MostAtOnce { get; private set; }

        public bool Cancelled { get; private set; }

        public async Task RunAsync(TimerInfo timer, CancellationToken cancellationToken)
        {
            MostAtOnce = Math.Max(MostAtOnce, Interlocked.Increment(ref _running));
            Interlocked.Increment(ref _started);
            try
            {
                if (Fails)
                    throw new InvalidOperationException("no");
                if (Gate is not null)
                    await Gate.WaitAsync(cancellationToken);
                Done.Enqueue(timer);
            }
            finally
            {
                Interlocked.Decrement(ref _running);
            }
        }

        public async Task HangAsync(CancellationToken cancellationToken)
        {
            Interlocked.Increment(ref _started);
            try
            {
                await Task.Delay(Timeout.Infinite, cancellationToken);
            }
            finally
            {
                Cancelled = cancellationToken.IsCancellationRequested;
            }
        }

        public static async Task WaitAsync(Func<bool> condition)
        {
            for (var i = 0; i < 500 && !condition(); i++)
                await Task.Delay(10);
            condition().ShouldBeTrue();
        }
    }

    /// <summary>A clock that the test moves; timers whose time has come fire when it does.</summary>
    internal sealed class Clock(DateTimeOffset start) : TimeProvider
    {
        private readonly Lock _lock = new();
        private readonly List<Alarm> _alarms = [];
        private DateTimeOffset _now = start;

        public override DateTimeOffset GetUtcNow()
        {
            lock (_lock)
                return _now;
        }

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var alarm = new Alarm(this, callback, state);
            alarm.Change(dueTime, period);
            return alarm;
        }

        public void Advance(TimeSpan by)
        {
            Alarm[] due;
            lock (_lock)
            {
                _now += by;
                due = [.. _alarms.Where(alarm => alarm.Due <= _now)];
                _alarms.RemoveAll(alarm => due.Contains(alarm));
            }
            foreach (var alarm in due)
                alarm.Fire();
        }

        /// <summary>Second by second, with time for the loops to go on.</summary>
        public async Task AdvanceUntilAsync(Func<bool> condition)
        {
            for (var i = 0; i < 1000 && !condition(); i++)
            {
                Advance(TimeSpan.FromSeconds(1));
                await Task.Delay(5);
            }
            condition().ShouldBeTrue();
        }

        private sealed class Alarm(Clock clock, TimerCallback callback, object? state) : ITimer
        {
            public DateTimeOffset Due { get; private set; }

            public void Fire() => callback(state);

            public bool Change(TimeSpan dueTime, TimeSpan period)
            {
                lock (clock._lock)
                {
                    clock._alarms.Remove(this);
                    if (dueTime != Timeout.InfiniteTimeSpan)
                    {
                        Due = clock._now + dueTime;
                        clock._alarms.Add(this);
                    }
                }
                return true;
            }

            public void Dispose()
            {
                lock (clock._lock)
                    clock._alarms.Remove(this);
            }

            public ValueTask DisposeAsync()
            {
                Dispose();
                return ValueTask.CompletedTask;
            }
        }
    }

    internal sealed class EveryMinute(Runs runs)
    {
        [Function("every_minute")]
        public Task Run([TimerTrigger("0 * * * * *")] TimerInfo timer, CancellationToken cancellationToken) => runs.RunAsync(timer, cancellationToken);
    }

    internal sealed class AtStart(Runs runs)
    {
        [Function("at_start")]
        public Task Run([TimerTrigger("0 0 0 1 1 *", RunOnStartup = true)] TimerInfo timer, CancellationToken cancellationToken) => runs.HangAsync(cancellationToken);
    }
}
