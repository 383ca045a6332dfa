using FunctionsRegistry.Tests.Support;
using Microsoft.Extensions.Hosting;

namespace FunctionsRegistry.Tests.Airflow;

/// <summary>Real processes, killed at random moments while runs of ten tasks with effects outside go on.</summary>
public sealed class KillTests(KillTests.App app) : IClassFixture<KillTests.App>
{
    private const int Runs = 50;

    public sealed class App(TestServices services) : AirflowApp(services)
    {
        public EchoServer Server { get; private set; } = null!;

        protected override IReadOnlyDictionary<string, string> DagFiles { get; } = new Dictionary<string, string>
        {
            ["ten.yaml"] = "id: ten\nmax_active_runs: 8\ntasks:\n" + string.Concat(Enumerable.Range(0, 10).Select(i => $$"""
                  - { id: t{{i}}, operator: http, needs: [{{(i == 0 ? "" : i < 5 ? $"t{i - 1}" : i < 9 ? "t4" : "t5, t6, t7, t8")}}], params: { url: "${conf.url}/t{{i}}", method: POST } }

                """)),
        };

        protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>(base.Settings) { ["Outbound:AllowedPrivateNetworks"] = "127.0.0.0/8" };

        public IReadOnlyDictionary<string, string> ProcessSettings => StandardSettings(Settings);

        public override async ValueTask InitializeAsync()
        {
            Server = await EchoServer.StartAsync();
            await base.InitializeAsync();
            // Only the processes that are killed do work.
            await Service<IHost>().StopAsync();
        }

        public override async ValueTask DisposeAsync()
        {
            await base.DisposeAsync();
            await Server.DisposeAsync();
            GC.SuppressFinalize(this);
        }
    }

    [Fact]
    public async Task Runs_go_on_after_every_kill_and_repeat_nothing_that_was_recorded()
    {
        // Fewer while something else is looked for: REGISTRY_TEST_KILLS=5.
        var kills = int.TryParse(Environment.GetEnvironmentVariable("REGISTRY_TEST_KILLS"), out var asked) ? asked : 50;
        var random = new Random(kills);
        var made = 0;
        for (var kill = 0; kill < kills; kill++)
        {
            await using var process = await AppProcess.StartAsync(app.ProcessSettings);
            // Requests in flight die with the process: those that were answered count.
            for (var target = Runs * (kill + 1) / kills; made < target; made++)
                await TriggerAsync(process.Address, made);
            await Task.Delay(random.Next(0, 500));
        }
        await using (await AppProcess.StartAsync(app.ProcessSettings))
            await Eventually.UntilAsync(async () => await app.ScalarAsync<long>("SELECT count(*) FROM airflow.dag_runs WHERE dag_id = 'ten' AND state = 'success'") == Runs, 120);

        (await app.ScalarAsync<long>("SELECT count(*) FROM airflow.dag_runs WHERE dag_id = 'ten'")).ShouldBe(Runs);
        (await app.ScalarAsync<long>("SELECT count(*) FROM airflow.task_instances t JOIN airflow.dag_runs r ON r.id = t.run_id WHERE dag_id = 'ten' AND t.state = 'success' AND try_number = 1")).ShouldBe(Runs * 10);
        (await app.ScalarAsync<long>("SELECT count(*) FROM airflow.task_logs l WHERE content LIKE '%Ended: success.%Ended: success.%'")).ShouldBe(0);
        (await app.ScalarAsync<long>("SELECT runs_success FROM airflow.dags WHERE dag_id = 'ten' AND runs_running = 0 AND runs_queued = 0")).ShouldBe(Runs);

        // Every task was called, again only as long as its end was not recorded, and always with the same key.
        var calls = app.Server.Calls.ToLookup(call => call.Key);
        await using var command = app.Database.CreateCommand("SELECT 'airflow-' || t.run_id || '-' || t.task_id || '-1', t.ended_at FROM airflow.task_instances t JOIN airflow.dag_runs r ON r.id = t.run_id WHERE dag_id = 'ten'");
        await using var reader = await command.ExecuteReaderAsync();
        while (await reader.ReadAsync())
        {
            var own = calls[reader.GetString(0)].ToList();
            own.Count.ShouldBeGreaterThan(0, reader.GetString(0));
            own.Max(call => call.At).ShouldBeLessThanOrEqualTo(reader.GetFieldValue<DateTimeOffset>(1), reader.GetString(0));
        }
        calls.Count.ShouldBe(Runs * 10);
    }

    private async Task TriggerAsync(string address, int number)
    {
        using var client = new HttpClient(new SocketsHttpHandler(), disposeHandler: true) { BaseAddress = new Uri(address) };
        using var answer = await app.SendAsync(HttpMethod.Post, "/dags/ten/dagRuns", $$$"""{"dag_run_id": "r{{{number}}}", "conf": {"url": "{{{app.Server.Url}}}"}}""", client: client);
        ((int)answer.StatusCode).ShouldBe(200);
    }
}
