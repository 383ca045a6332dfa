using FunctionsRegistry.Airflow;
using FunctionsRegistry.Functions.Airflow;
using FunctionsRegistry.LocalRuntime.Durable;
using FunctionsRegistry.Tests.Support;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.Tests.Airflow;

/// <summary>Schedules, sweeping and broken orchestrations.</summary>
public sealed class FaultTests(FaultTests.App app) : IClassFixture<FaultTests.App>
{
    public sealed class App(TestServices services) : AirflowApp(services)
    {
        protected override IReadOnlyDictionary<string, string> DagFiles { get; } = new Dictionary<string, string>(Chain)
        {
            // Never by itself while a test runs.
            ["yearly.yaml"] = "id: yearly\nschedule: \"0 3 * * *\"\nmax_active_runs: 1\ntasks:\n  - { id: a, operator: echo }\n",
            ["hanging.yaml"] = "id: hanging\nschedule: \"@yearly\"\nmax_active_runs: 1\ntasks:\n  - { id: w, operator: wait, params: { seconds: 86400 } }\n",
            ["waiting.yaml"] = "id: waiting\nmax_active_runs: 1\ntasks:\n  - { id: w, operator: wait, params: { seconds: 86400 } }\n",
        };
    }

    [Fact]
    public async Task A_schedule_fires_once_for_its_last_interval_whatever_the_number_of_processes()
    {
        await app.StartAsync(new Dictionary<string, string> { ["Airflow:DagDirectory"] = app.DagFolder });
        for (var round = 1; round <= 5; round++)
        {
            await SetAsync($"UPDATE airflow.dags SET next_run_at = now() - interval '{round * 3} days' WHERE dag_id = 'yearly'; DELETE FROM airflow.dag_runs WHERE dag_id = 'yearly'; UPDATE airflow.dags SET runs_success = 0 WHERE dag_id = 'yearly'");
            var fired = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => app.Service<DagRunService>().FireSchedulesAsync(default)));
            // The timers of both apps may have been faster than all eight.
            fired.Sum(runs => runs.Count).ShouldBeLessThanOrEqualTo(1);

            var run = (await app.GetAsync("/dags/yearly/dagRuns")).GetProperty("dag_runs").EnumerateArray().ShouldHaveSingleItem();
            var end = run.GetProperty("data_interval_end").GetDateTimeOffset();
            end.Hour.ShouldBe(3);
            (TimeProvider.System.GetUtcNow() - end).ShouldBeLessThan(TimeSpan.FromDays(1));
            run.GetProperty("logical_date").GetDateTimeOffset().ShouldBe(end.AddDays(-1));
            run.GetProperty("dag_run_id").GetString().ShouldBe($"scheduled__{end.AddDays(-1):yyyy-MM-ddTHH:mm:ss}+00:00");
            (run.GetProperty("external_trigger").GetBoolean(), run.GetProperty("run_type").GetString()).ShouldBe((false, "scheduled"));
            (await app.GetAsync("/dags/yearly")).GetProperty("next_dagrun_create_after").GetDateTimeOffset().ShouldBe(end.AddDays(1));
            await Timers().Sweep(null!, Client(), default);
            if (fired.SelectMany(runs => runs).SingleOrDefault() is { } mine)
                await app.Service<DagRunStarter>().StartAsync(Client(), [mine]);
            await app.UntilAsync(AirflowApp.RunPath("yearly", run.GetProperty("dag_run_id").GetString()!), "success");
        }
    }

    [Fact]
    public async Task A_schedule_whose_run_exists_or_whose_dag_is_paused_or_hangs_makes_none()
    {
        var service = app.Service<DagRunService>();
        await app.PatchAsync("/dags/hanging", """{"is_paused": true}""");
        await SetAsync("UPDATE airflow.dags SET next_run_at = now() - interval '1 day' WHERE dag_id = 'hanging'");
        await service.FireSchedulesAsync(default);
        (await app.GetAsync("/dags/hanging/dagRuns")).GetProperty("total_entries").GetInt32().ShouldBe(0);

        // One runs, one waits, and then no more.
        await app.PatchAsync("/dags/hanging", """{"is_paused": false}""");
        for (var i = 0; i < 4; i++)
        {
            await service.FireSchedulesAsync(default);
            await SetAsync("UPDATE airflow.dags SET next_run_at = now() - interval '1 day' WHERE dag_id = 'hanging'");
            await SetAsync($"UPDATE airflow.dag_runs SET run_id = run_id || '_{i}' WHERE dag_id = 'hanging'");
        }
        (await app.GetAsync("/dags/hanging/dagRuns")).GetProperty("total_entries").GetInt32().ShouldBe(2);

        await SetAsync("UPDATE airflow.dag_runs SET run_id = substring(run_id FROM '^[^_]+__[^_]+') || CASE WHEN state = 'queued' THEN '_q' ELSE '' END WHERE dag_id = 'hanging'");
        await SetAsync("UPDATE airflow.dags SET runs_queued = 0 WHERE dag_id = 'hanging'; DELETE FROM airflow.dag_runs WHERE dag_id = 'hanging' AND state = 'queued'");
        await service.FireSchedulesAsync(default);
        (await app.GetAsync("/dags/hanging/dagRuns")).GetProperty("total_entries").GetInt32().ShouldBe(1);
        (await app.ScalarAsync<bool>("SELECT next_run_at > now() FROM airflow.dags WHERE dag_id = 'hanging'")).ShouldBeTrue();
    }

    [Fact]
    public async Task A_run_whose_orchestration_was_never_started_is_started_by_the_sweeper()
    {
        var now = TimeProvider.System.GetUtcNow();
        var run = await app.Service<DagRunStore>().InsertAsync(new NewDagRun("chain", "lost", now, now, true, "{}", null), null, null, default);
        await SetAsync($"UPDATE airflow.dag_runs SET checked_at = now() - interval '1 minute' WHERE id = {run!.Id}");
        await Timers().Sweep(null!, Client(), default);

        await app.UntilAsync(AirflowApp.RunPath("chain", "lost"), "success");
    }

    [Fact]
    public async Task A_run_whose_orchestration_was_terminated_is_failed_by_the_sweeper_and_can_be_cleared()
    {
        await app.PatchAsync("/dags/waiting", """{"is_paused": false}""");
        var run = await app.PostAsync("/dags/waiting/dagRuns", """{"dag_run_id": "stopped"}""");
        await app.PatchAsync("/dags/waiting/dagRuns/stopped", """{"state": "queued"}""");
        await SetAsync("UPDATE airflow.dags SET max_active_runs = 5 WHERE dag_id = 'waiting'");
        await app.Service<DagRunStarter>().PromoteAsync(Client(), "waiting", default);
        var instance = (await app.GetAsync("/dags/waiting/dagRuns/stopped")).GetProperty("instance_id").GetString()!;
        await Eventually.UntilAsync(async () => (await app.StatesAsync("/dags/waiting/dagRuns/stopped"))["w"] == "deferred");
        using (var answer = await app.Client.PostAsync($"/runtime/webhooks/durabletask/instances/{instance}/terminate?reason=test", null))
            ((int)answer.StatusCode).ShouldBe(202);
        await Eventually.UntilAsync(async () =>
        {
            await SetAsync("UPDATE airflow.dag_runs SET checked_at = now() - interval '1 minute' WHERE run_id = 'stopped'");
            await Timers().Sweep(null!, Client(), default);
            return (await app.GetAsync("/dags/waiting/dagRuns/stopped")).GetProperty("state").GetString() == "failed";
        });
        (await app.StatesAsync("/dags/waiting/dagRuns/stopped"))["w"].ShouldBe("failed");
        run.GetProperty("dag_id").GetString().ShouldBe("waiting");
    }

    [Fact]
    public async Task Tasks_cleared_while_their_run_goes_on_are_executed_again()
    {
        await File.WriteAllTextAsync(Path.Combine(app.DagFolder, "late.yaml"), """
            id: late
            tasks:
              - { id: quick, operator: fail, params: { message: no, when: "${variables.late}" } }
              - { id: long, operator: wait, params: { seconds: 1.5 } }
            """);
        await app.PostAsync("/variables", """{"key": "late", "value": "1"}""");
        await app.Service<DagCatalog>().LoadAsync(default);
        var path = await app.TriggerAsync("late");
        await Eventually.UntilAsync(async () => await app.StatesAsync(path) is { } states && states["quick"] == "failed" && states["long"] == "deferred");

        await app.PatchAsync("/variables/late", """{"value": ""}""");
        var cleared = await app.PostAsync("/dags/late/clearTaskInstances", $$"""{"dag_run_id": "{{Uri.UnescapeDataString(path.Split('/')[^1])}}", "dry_run": false}""");
        cleared.GetProperty("task_instances").GetArrayLength().ShouldBe(1);
        await app.UntilAsync(path, "success");
        (await app.GetAsync(path + "/taskInstances/quick")).GetProperty("try_number").GetInt32().ShouldBe(2);
        (await app.GetAsync(path + "/taskInstances/long")).GetProperty("try_number").GetInt32().ShouldBe(1);
    }

    [Theory]
    [InlineData("id: bad\ntasks:\n  - { id: a, operator: nothing }\n", "bad.yaml:3: task 'a': there is no operator 'nothing'")]
    [InlineData("id: chain\ntasks:\n  - { id: a, operator: echo }\n", "chain.yaml:1: the DAG 'chain' is already in bad.yaml")]
    public async Task A_bad_file_stops_the_start_with_file_line_and_reason(string text, string fault)
    {
        var folder = Directory.CreateTempSubdirectory("functionsregistry-dags-").FullName;
        File.Copy(Path.Combine(app.DagFolder, "chain.yaml"), Path.Combine(folder, "chain.yaml"));
        await File.WriteAllTextAsync(Path.Combine(folder, "bad.yaml"), text);
        try
        {
            var exception = await Should.ThrowAsync<DagFileException>(app.StartAsync(new Dictionary<string, string> { ["Airflow:DagDirectory"] = folder }));
            exception.Message.ShouldContain(fault);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private LocalDurableTaskClient Client() => app.Services.GetRequiredService<LocalDurableTaskClient>();

    private AirflowTimers Timers() =>
        new(app.Service<DagRunService>(), app.Service<DagRunStore>(), app.Service<DagRunStarter>(), app.Service<ILogger<AirflowTimers>>());

    private async Task SetAsync(string sql)
    {
        await using var command = app.Database.CreateCommand(sql);
        await command.ExecuteNonQueryAsync();
    }
}
