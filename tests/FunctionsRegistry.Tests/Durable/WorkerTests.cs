using System.Diagnostics.CodeAnalysis;
using FunctionsRegistry.LocalRuntime;
using FunctionsRegistry.LocalRuntime.Durable;
using FunctionsRegistry.LocalRuntime.Hosting;
using FunctionsRegistry.Tests.LocalRuntime;
using FunctionsRegistry.Tests.Support;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace FunctionsRegistry.Tests.Durable;

/// <summary>Locks, leases, poison, stopping and starting.</summary>
public sealed class WorkerTests(TestServices services)
{
    [Fact]
    public async Task A_worker_that_lost_its_lock_cannot_store_its_turn()
    {
        await using var hub = await HubAsync();
        await using var idle = await IdleAsync(hub);
        var store = idle.Service<TurnStore>();
        var (slow, fast) = (Guid.CreateVersion7(), Guid.CreateVersion7());
        var id = await idle.Client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.gated));

        var late = (await store.ClaimAsync(id, slow, Later, CancellationToken.None))!;
        (await store.ClaimAsync(id, fast, Later, CancellationToken.None)).ShouldBeNull();
        await hub.ScalarAsync<int>("UPDATE durable.instances SET locked_by = NULL RETURNING 1");
        var taken = (await store.ClaimAsync(id, fast, Later, CancellationToken.None))!;
        taken.Instance.Attempts.ShouldBe(2);
        var result = new TurnResult([new HistoryEvent(0, EventKind.Started, -1, null, null, null, null, Later)], OrchestrationRuntimeStatus.Running);

        await Should.ThrowAsync<LockLostException>(() => store.CommitAsync(late, result, 0, Later, CancellationToken.None));
        (await hub.ScalarAsync<long>("SELECT count(*) FROM durable.history")).ShouldBe(0);
        await store.CommitAsync(taken, result, 0, Later, CancellationToken.None);
        (await hub.ScalarAsync<long>("SELECT count(*) FROM durable.history")).ShouldBe(1);
        await Should.ThrowAsync<LockLostException>(() => store.CommitAsync(taken, result, 0, Later, CancellationToken.None));
    }

    [Fact]
    public async Task Of_two_results_of_one_activity_the_one_of_the_lock_s_holder_counts()
    {
        await using var hub = await HubAsync();
        await using var idle = await IdleAsync(hub);
        var store = idle.Service<TurnStore>();
        var (slow, fast) = (Guid.CreateVersion7(), Guid.CreateVersion7());
        var id = await idle.Client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.gated));
        var turn = (await store.ClaimAsync(id, slow, Later, CancellationToken.None))!;
        var begun = await store.CommitAsync(
            turn,
            new TurnResult(
                [new HistoryEvent(0, EventKind.Started, -1, null, null, null, null, Later), new HistoryEvent(0, EventKind.TaskScheduled, 0, "gate", null, "1", null, Later)],
                OrchestrationRuntimeStatus.Running),
            1, Later, CancellationToken.None);
        var first = begun.Activities.ShouldHaveSingleItem();
        await store.ReleaseActivityAsync(first, CancellationToken.None);
        var second = (await store.PollAsync(fast, 5, 5, Later, CancellationToken.None)).Activities.ShouldHaveSingleItem();
        (second.Name, second.Input, second.Attempt).ShouldBe(("gate", "1", 1));

        await store.CompleteActivityAsync(first, new ActivityResult("\"slow\"", null), null, 0, Later, CancellationToken.None);
        await store.CompleteActivityAsync(second, new ActivityResult("\"fast\"", null), null, 0, Later, CancellationToken.None);
        await store.CompleteActivityAsync(second, new ActivityResult("\"again\"", null), null, 0, Later, CancellationToken.None);

        (await hub.ScalarAsync<string>("SELECT string_agg(payload, ',') FROM durable.messages")).ShouldBe("\"fast\"");
        // And the schema itself refuses a second result.
        await hub.ScalarAsync<string>("INSERT INTO durable.history SELECT execution, 2, 1, 2, 0, 'gate', NULL, '1', NULL, now() FROM durable.instances RETURNING name");
        (await Should.ThrowAsync<PostgresException>(() => hub.ScalarAsync<string>(
            "INSERT INTO durable.history SELECT execution, 3, 1, 3, 0, 'gate', NULL, '1', NULL, now() FROM durable.instances RETURNING name")))
            .ConstraintName.ShouldBe("history_one_result");
    }

    [Fact]
    public async Task A_worker_whose_lease_or_session_ended_is_dead_and_its_locks_are_free()
    {
        await using var hub = await HubAsync();
        await using var app = await hub.StartAsync([typeof(Functions)], With(new Gates()));
        var id = await app.Durable().ScheduleNewOrchestrationInstanceAsync(nameof(Functions.waits));
        await app.Durable().WaitForInstanceStartAsync(id);
        // Another worker, that never was: its lease has ended, and it holds a lock with something to do.
        await hub.ScalarAsync<int>(
            """
            WITH dead AS (INSERT INTO durable.workers (worker_id, lease_until) VALUES ('00000000-0000-0000-0000-00000000dead', now() - interval '1 s')),
            letter AS (INSERT INTO durable.messages (instance_id, kind, name, payload, due_at) SELECT instance_id, 10, 'go', '7', now() FROM durable.instances)
            UPDATE durable.instances SET locked_by = '00000000-0000-0000-0000-00000000dead' RETURNING 1
            """);

        (await app.Durable().EndOfAsync(id)).ReadOutputAs<int>().ShouldBe(7);

        app.Log.ShouldContain(entry => entry.Text.Contains("1 durable worker(s) died: 1 turn(s)", StringComparison.Ordinal));
        (await hub.ScalarAsync<long>("SELECT count(*) FROM durable.workers")).ShouldBe(1);
    }

    [Fact]
    public async Task A_lock_that_was_stored_after_its_connection_broke_is_found_at_any_time()
    {
        await using var hub = await HubAsync();
        var gates = new Gates();
        await using var app = await hub.StartAsync([typeof(Functions)], With(gates), """ "extensions": { "durableTask": { "maxConcurrentActivityFunctions": 1 } } """);
        var waits = await app.Durable().ScheduleNewOrchestrationInstanceAsync(nameof(Functions.waits));
        await app.Durable().WaitForInstanceStartAsync(waits);
        var gated = new List<string>();
        for (var i = 0; i < 2; i++)
            gated.Add(await app.Durable().ScheduleNewOrchestrationInstanceAsync(nameof(Functions.gated), i.ToString()));
        await Eventually.UntilAsync(async () => await hub.ScalarAsync<long>("SELECT count(*) FROM durable.activities") == 2);
        await gates.BegunAsync(1);

        // As the database does it for a batch whose sender is gone, of which this worker hears nothing.
        await hub.ScalarAsync<int>("UPDATE durable.activities SET locked_by = (SELECT worker_id FROM durable.workers) WHERE locked_by IS NULL RETURNING 1");
        await hub.ScalarAsync<int>(
            """
            WITH letter AS (INSERT INTO durable.messages (instance_id, kind, name, payload, due_at) VALUES ($1, 10, 'go', '7', now()))
            UPDATE durable.instances SET locked_by = (SELECT worker_id FROM durable.workers) WHERE instance_id = $1 RETURNING 1
            """,
            waits);
        gates.Open.Release(2);

        (await app.Durable().EndOfAsync(waits)).ReadOutputAs<int>().ShouldBe(7);
        foreach (var id in gated)
            (await app.Durable().EndOfAsync(id)).RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Completed);
    }

    [Fact]
    public async Task A_turn_that_was_stored_is_not_stored_again_under_a_late_lock_of_its_worker()
    {
        await using var hub = await HubAsync();
        await using var idle = await IdleAsync(hub);
        var (store, worker) = (idle.Service<TurnStore>(), Guid.CreateVersion7());
        var id = await idle.Client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.gated));
        var turn = (await store.ClaimAsync(id, worker, Later, CancellationToken.None))!;
        var result = new TurnResult([new HistoryEvent(0, EventKind.Started, -1, null, null, null, null, Later)], OrchestrationRuntimeStatus.Running);
        await store.CommitAsync(turn with { History = [] }, result, 0, Later, CancellationToken.None);

        await hub.ScalarAsync<int>("UPDATE durable.instances SET locked_by = $1::uuid RETURNING 1", worker);

        await Should.ThrowAsync<LockLostException>(() => store.CommitAsync(turn, result, 0, Later, CancellationToken.None));
    }

    [Fact]
    public async Task A_worker_that_was_taken_for_dead_goes_on_under_another_name()
    {
        await using var hub = await HubAsync();
        await using var app = await hub.StartAsync([typeof(Functions)], With(new Gates()), "", "--Durable:LeaseSeconds=4");
        await hub.ScalarAsync<Guid>("DELETE FROM durable.workers RETURNING worker_id");

        await Eventually.UntilAsync(async () => await hub.ScalarAsync<long>("SELECT count(*) FROM durable.workers") == 1);

        app.Log.ShouldContain(entry => entry.Text.Contains("taken for dead", StringComparison.Ordinal));
        (await app.RunAsync(nameof(Functions.quick))).RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Completed);
    }

    [Fact]
    public async Task Poison_is_given_up_after_so_many_attempts_and_the_instance_says_so()
    {
        await using var hub = await HubAsync();
        var gates = new Gates();
        var app = await hub.StartAsync([typeof(Functions)], With(gates));
        var activity = await app.Durable().ScheduleNewOrchestrationInstanceAsync(nameof(Functions.gated), "a");
        var turn = await app.Durable().ScheduleNewOrchestrationInstanceAsync(nameof(Functions.waits));
        await gates.BegunAsync(1);
        await app.Durable().WaitForInstanceStartAsync(turn);
        await app.DisposeAsync();
        // Stopped in good order, nothing counts as an attempt.
        (await hub.ScalarAsync<int>("SELECT attempts FROM durable.activities")).ShouldBe(0);

        await hub.ScalarAsync<int>("UPDATE durable.activities SET attempts = 3 RETURNING 1");
        await hub.ScalarAsync<int>(
            "WITH m AS (INSERT INTO durable.messages (instance_id, kind, name, due_at) VALUES ($1, 10, 'go', now())) UPDATE durable.instances SET attempts = 3 WHERE instance_id = $1 RETURNING 1",
            turn);
        await using var again = await hub.StartAsync([typeof(Functions)], With(gates), "", "--Durable:MaxAttempts=3");

        (await again.Durable().EndOfAsync(activity)).FailureDetails!.ErrorMessage.ShouldContain("Activity 'gate' was begun 3 times and never ended");
        (await again.Durable().EndOfAsync(turn)).FailureDetails!.ErrorMessage.ShouldContain("A turn of orchestrator 'waits' was begun 3 times and never ended");
    }

    [Fact]
    public async Task Stopping_lets_activities_end_and_gives_back_those_that_do_not()
    {
        await using var hub = await HubAsync();
        var gates = new Gates();
        var app = await hub.StartAsync([typeof(Functions)], With(gates));
        var ends = await app.Durable().ScheduleNewOrchestrationInstanceAsync(nameof(Functions.gated), "ends");
        await gates.BegunAsync(1);

        var stopped = app.DisposeAsync();
        gates.Open.Release();
        await stopped;
        (await hub.ScalarAsync<long>("SELECT count(*) FROM durable.messages WHERE instance_id = $1 AND kind = 2", ends)
            + await hub.ScalarAsync<long>("SELECT count(*) FROM durable.history WHERE kind = 2")).ShouldBe(1);
        (await hub.ScalarAsync<long>("SELECT count(*) FROM durable.workers")).ShouldBe(0);
        (await hub.ScalarAsync<long>("SELECT count(*) FROM durable.instances WHERE locked_by IS NOT NULL")).ShouldBe(0);

        gates.Open.Release();
        await using var again = await hub.StartAsync([typeof(Functions)], With(gates));
        (await again.Durable().EndOfAsync(ends)).ReadOutputAs<string>().ShouldBe("ends");
        gates.Begun.ShouldBe(1);
    }

    [Fact]
    public async Task A_timer_of_ten_days_fires_when_they_are_over_also_in_the_next_process()
    {
        await using var hub = await HubAsync();
        var clock = new TimerTests.Clock(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
        var app = await hub.StartAsync([typeof(Functions)], builder => Configure(builder, clock));
        var id = await app.Durable().ScheduleNewOrchestrationInstanceAsync(nameof(Functions.sleeps), 10);
        await app.Durable().WaitForInstanceStartAsync(id);
        clock.Advance(TimeSpan.FromDays(9.9));
        await app.DisposeAsync();

        await using var again = await hub.StartAsync([typeof(Functions)], builder => Configure(builder, clock));
        (await again.Durable().GetInstanceAsync(id))!.RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Running);
        clock.Advance(TimeSpan.FromDays(0.1));
        (await again.Durable().EndOfAsync(id)).ReadOutputAs<double>().ShouldBeInRange(10, 10.01);

        void Configure(FunctionsApplicationBuilder builder, TimeProvider time) => builder.Services.AddSingleton(time).AddSingleton(new Gates());
    }

    [Fact]
    public async Task No_more_activities_run_at_once_than_host_json_says_and_all_of_them_do()
    {
        await using var hub = await HubAsync();
        var gates = new Gates();
        await using var app = await hub.StartAsync(
            [typeof(Functions)], With(gates), """ "extensions": { "durableTask": { "maxConcurrentActivityFunctions": 3, "maxConcurrentOrchestratorFunctions": 1 } } """);
        var ids = new List<string>();
        for (var i = 0; i < 8; i++)
            ids.Add(await app.Durable().ScheduleNewOrchestrationInstanceAsync(nameof(Functions.gated), i.ToString()));
        await gates.BegunAsync(3);
        await Task.Delay(200);
        gates.Begun.ShouldBe(3);

        gates.Open.Release(8);
        foreach (var id in ids)
            (await app.Durable().EndOfAsync(id)).RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Completed);
        gates.MostAtOnce.ShouldBe(3);
    }

    [Fact]
    public async Task An_activity_over_the_function_timeout_fails()
    {
        await using var hub = await HubAsync();
        await using var app = await hub.StartAsync([typeof(Functions)], With(new Gates()), """ "functionTimeout": "00:00:00.2" """);

        (await app.RunAsync(nameof(Functions.gated), "x")).FailureDetails!.InnerFailure!.ErrorType.ShouldBe(typeof(TimeoutException).FullName);
    }

    [Fact]
    public async Task Processes_that_start_together_make_the_schema_once_and_a_newer_one_is_refused()
    {
        await using var hub = await HubAsync();
        var apps = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => hub.StartAsync([typeof(Functions)], With(new Gates()))));
        foreach (var app in apps)
            await app.DisposeAsync();

        await hub.ScalarAsync<int>("INSERT INTO durable.schema_version (version) VALUES (99) RETURNING version");
        (await Should.ThrowAsync<LocalHostException>(() => hub.StartAsync([typeof(Functions)], With(new Gates())))).Message.ShouldContain("newer (99)");
    }

    [Theory]
    [InlineData(""" "extensions": { "durableTask": { "maxConcurrentActivityFunctions": 0 } } """, "", "maxConcurrentActivityFunctions")]
    [InlineData(""" "extensions": { "durableTask": { "hubName": 5 } } """, "", "hubName")]
    [InlineData(""" "extensions": { "durableTask": { "overridableExistingInstanceStates": "Some" } } """, "", "NonRunningStates or AnyState")]
    [InlineData(""" "extensions": { "durableTask": [] } """, "", "must be an object")]
    [InlineData("", "--Durable:MaxAttempts=none", "Durable:MaxAttempts")]
    [InlineData("", "--POSTGRES_HOST=", "POSTGRES_HOST")]
    public async Task Wrong_settings_are_named(string host, string setting, string named)
    {
        await using var hub = await HubAsync();

        (await Should.ThrowAsync<LocalHostException>(() => hub.StartAsync([typeof(Functions)], null, host, setting.Length == 0 ? [] : [setting]))).Message.ShouldContain(named);
    }

    private static DateTime Later { get; } = new(2100, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    private static Action<FunctionsApplicationBuilder> With(Gates gates) => builder => builder.Services.AddSingleton(gates);

    private async Task<DurableHub> HubAsync()
    {
        var hub = new DurableHub(services);
        await hub.InitializeAsync();
        return hub;
    }

    // Services of a runtime that has stopped working, so that only the test does.
    private static async Task<IdleRuntime> IdleAsync(DurableHub hub)
    {
        var app = await hub.StartAsync([typeof(Functions)], With(new Gates()));
        await app.Host.Services.GetRequiredService<DurableWorker>().StopAsync(CancellationToken.None);
        return new IdleRuntime(app);
    }

    private sealed class IdleRuntime(RuntimeApp app) : IAsyncDisposable
    {
        public DurableTaskClient Client => app.Durable();

        public T Service<T>()
            where T : notnull => app.Host.Services.GetRequiredService<T>();

        public ValueTask DisposeAsync() => app.DisposeAsync();
    }

    /// <summary>Activities wait here until the test lets them go on.</summary>
    internal sealed class Gates
    {
        private int _begun;
        private int _running;

        public SemaphoreSlim Open { get; } = new(0);

        public int Begun => Volatile.Read(ref _begun);

        public int MostAtOnce { get; private set; }

        public Task BegunAsync(int count) => Eventually.UntilAsync(() => Task.FromResult(Begun >= count));

        public async Task PassAsync(CancellationToken cancellationToken)
        {
            MostAtOnce = Math.Max(MostAtOnce, Interlocked.Increment(ref _running));
            Interlocked.Increment(ref _begun);
            try
            {
                await Open.WaitAsync(cancellationToken);
            }
            finally
            {
                Interlocked.Decrement(ref _running);
            }
        }
    }

    [SuppressMessage("Style", "IDE1006", Justification = "Functions are named so.")]
    internal sealed class Functions(Gates gates)
    {
        [Function(nameof(gated))]
        public static async Task<string> gated([OrchestrationTrigger] TaskOrchestrationContext context, string name) =>
            await context.CallActivityAsync<string>(nameof(gate), name);

        [Function(nameof(gate))]
        public async Task<string> gate([ActivityTrigger] string name, CancellationToken cancellationToken)
        {
            await gates.PassAsync(cancellationToken);
            return name;
        }

        [Function(nameof(waits))]
        public static async Task<int> waits([OrchestrationTrigger] TaskOrchestrationContext context) => await context.WaitForExternalEvent<int>("go");

        [Function(nameof(quick))]
        public static void quick([OrchestrationTrigger] TaskOrchestrationContext context)
        {
        }

        [Function(nameof(sleeps))]
        public static async Task<double> sleeps([OrchestrationTrigger] TaskOrchestrationContext context, int days)
        {
            var start = context.CurrentUtcDateTime;
            await context.CreateTimer(TimeSpan.FromDays(days), CancellationToken.None);
            return (context.CurrentUtcDateTime - start).TotalDays;
        }
    }
}
