using FunctionsRegistry.Tests.Support;
using Npgsql;

namespace FunctionsRegistry.Tests.Airflow;

/// <summary>PostgreSQL goes down and comes back while runs go on.</summary>
public sealed class DatabaseRestartTests(DatabaseRestartTests.App app) : IClassFixture<DatabaseRestartTests.App>
{
    private const int Runs = 10;

    public sealed class App : AirflowApp
    {
        private readonly TestServices _own;

        public App() : this(TestServices.CreateOwn())
        {
        }

        private App(TestServices own) : base(own) => _own = own;

        protected override IReadOnlyDictionary<string, string> DagFiles { get; } = new Dictionary<string, string>
        {
            ["ten.yaml"] = "id: ten\nmax_active_runs: 100\ntasks:\n" + string.Concat(Enumerable.Range(0, 10).Select(i => $$"""
                  - { id: t{{i}}, operator: wait, needs: [{{(i == 0 ? "" : $"t{i - 1}")}}], params: { seconds: 0.2 } }

                """)),
        };

        public override async ValueTask InitializeAsync()
        {
            await _own.InitializeAsync();
            await base.InitializeAsync();
        }

        public override async ValueTask DisposeAsync()
        {
            await base.DisposeAsync();
            await _own.DisposeAsync();
            GC.SuppressFinalize(this);
        }
    }

    [Fact]
    public async Task Runs_go_on_after_postgresql_was_restarted_and_repeat_nothing_that_was_recorded()
    {
        var started = await app.ScalarAsync<DateTime>("SELECT pg_postmaster_start_time()");
        for (var i = 0; i < Runs; i++)
            await app.PostAsync("/dags/ten/dagRuns", $$"""{"dag_run_id": "r{{i}}"}""");
        for (var crash = 0; crash < 3; crash++)
        {
            await Task.Delay(400);
            await DatabaseCrash.RunAsync(app.Servers.Postgres);
        }

        await Eventually.UntilAsync(SucceededAsync, 60, () => app.ScalarAsync<string>("""
            SELECT coalesce((SELECT string_agg(r.run_id || ' ' || r.state || ' ' || t.task_id || ' ' || t.state, '; ') FROM airflow.task_instances t JOIN airflow.dag_runs r ON r.id = t.run_id
                WHERE t.state NOT IN ('success', 'none')), '') || coalesce((SELECT string_agg(i.instance_id || ' ' || i.status || ' locked by ' || coalesce(i.locked_by::text, 'nobody') || ' attempts ' || i.attempts || ' turns ' || i.turns
                    || (SELECT coalesce(string_agg(m.kind || ' ' || m.task || ' ' || m.due_at, ', '), ' no message') FROM durable.messages m WHERE m.instance_id = i.instance_id)
                    || (SELECT coalesce(string_agg('activity ' || a.task || ' ' || coalesce(a.locked_by::text, 'free'), ', '), ' no activity') FROM durable.activities a WHERE a.instance_id = i.instance_id)
                    || (SELECT string_agg(h.sequence || ' ' || h.kind || ' ' || h.task || ' ' || coalesce(h.name, ''), ', ' ORDER BY sequence) FROM durable.history h WHERE h.execution = i.execution), '; ')
                FROM durable.instances i WHERE i.locked_by IS NOT NULL OR i.status NOT IN (1, 3, 5)), '') || now()
            """).GetAwaiter().GetResult());
        (await app.ScalarAsync<DateTime>("SELECT pg_postmaster_start_time()")).ShouldBe(started, "the postmaster itself stayed: it was the server that recovered");
        (await app.ScalarAsync<long>("SELECT count(*) FROM airflow.task_instances WHERE state = 'success' AND try_number = 1")).ShouldBe(Runs * 10);
        (await app.ScalarAsync<long>("SELECT count(*) FROM airflow.task_logs WHERE content LIKE '%Ended: success.%Ended: success.%'")).ShouldBe(0);
    }

    private async Task<bool> SucceededAsync()
    {
        try
        {
            return await app.ScalarAsync<long>("SELECT count(*) FROM airflow.dag_runs WHERE state = 'success'") == Runs;
        }
        catch (NpgsqlException)
        {
            return false;
        }
    }
}
