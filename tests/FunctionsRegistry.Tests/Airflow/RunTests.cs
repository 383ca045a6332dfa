using System.Text.Json;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.Airflow;

/// <summary>Runs of real DAG files, driven over HTTP and executed by the durable engine.</summary>
public sealed class RunTests(RunTests.App app) : IClassFixture<RunTests.App>
{
    public sealed class App(TestServices services) : AirflowApp(services)
    {
        protected override IReadOnlyDictionary<string, string> DagFiles { get; } = new Dictionary<string, string>(Chain)
        {
            ["diamond.yaml"] = """
                id: diamond
                tasks:
                  - { id: choose, operator: branch, params: { value: "${conf.way}", cases: { left: left, right: [right] } } }
                  - { id: left, operator: echo, needs: [choose] }
                  - { id: right, operator: echo, needs: [choose] }
                  - { id: join, operator: echo, needs: [left, right], trigger_rule: none_failed }
                """,
            ["flaky.yaml"] = """
                id: flaky
                tasks:
                  - { id: first, operator: echo }
                  - { id: risky, operator: fail, needs: [first], retries: 2, retry_delay_seconds: 0.05, retry_backoff: 2, params: { message: "no ${conf.what}", when: "${variables.broken}" } }
                  - { id: after, operator: echo, needs: [risky] }
                  - { id: always, operator: echo, needs: [risky], trigger_rule: all_done }
                  - { id: alarm, operator: echo, needs: [risky], trigger_rule: one_failed }
                """,
            ["slow.yaml"] = """
                id: slow
                max_active_runs: 1
                tasks:
                  - { id: pause, operator: wait, params: { seconds: "${conf.seconds}" } }
                  - { id: done, operator: echo, needs: [pause] }
                """,
            ["trial.yaml"] = """
                id: trial
                tasks:
                  - { id: breed, operator: evolution.trial, params: { trial_id: "${conf.trial}", generations: 100, population_size: 100, fitness_threshold: 1 } }
                """,
            ["pooled.yaml"] = """
                id: pooled
                tasks:
                  - { id: one, operator: echo, pool: narrow }
                  - { id: two, operator: echo, pool: narrow }
                  - { id: lost, operator: echo, pool: nowhere, needs: [one, two] }
                """,
        };
    }

    [Fact]
    public async Task A_run_executes_its_tasks_in_order_and_passes_outputs_on()
    {
        var triggered = await app.PostAsync("/dags/chain/dagRuns", """{"conf": {"who": "world", "n": 1.50}, "note": "hi"}""");
        triggered.GetProperty("state").GetString().ShouldBe("running");
        triggered.GetProperty("conf").GetRawText().ShouldBe("""{"who": "world", "n": 1.50}""");
        var path = AirflowApp.RunPath("chain", triggered.GetProperty("dag_run_id").GetString()!);
        var run = await app.UntilAsync(path, "success");

        run.GetProperty("note").GetString().ShouldBe("hi");
        run.GetProperty("end_date").GetDateTimeOffset().ShouldBeGreaterThan(run.GetProperty("start_date").GetDateTimeOffset());
        var tasks = (await app.GetAsync(path + "/taskInstances")).GetProperty("task_instances").EnumerateArray().ToList();
        tasks.Select(task => task.GetProperty("task_id").GetString()).ShouldBe(["a", "b", "c"]);
        for (var i = 0; i < tasks.Count; i++)
        {
            tasks[i].GetProperty("state").GetString().ShouldBe("success");
            tasks[i].GetProperty("try_number").GetInt32().ShouldBe(1);
            tasks[i].GetProperty("duration").GetDouble().ShouldBeGreaterThanOrEqualTo(0);
            if (i > 0)
                tasks[i].GetProperty("start_date").GetDateTimeOffset().ShouldBeGreaterThanOrEqualTo(tasks[i - 1].GetProperty("end_date").GetDateTimeOffset());
        }
        (await app.OutputAsync("chain", path, "b")).ShouldBe("\"hello world\"");
        JsonDocument.Parse((await app.OutputAsync("chain", path, "c"))!).RootElement.GetProperty("n").GetDouble().ShouldBe(1.5);
    }

    [Fact]
    public async Task The_orchestration_of_a_run_can_be_asked_for_its_status()
    {
        var run = await app.PostAsync("/dags/chain/dagRuns", "{}");
        await app.UntilAsync(AirflowApp.RunPath("chain", run.GetProperty("dag_run_id").GetString()!), "success");

        await Eventually.UntilAsync(async () =>
        {
            using var response = await app.Client.GetAsync($"/runtime/webhooks/durabletask/instances/{run.GetProperty("instance_id").GetString()}");
            using var document = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
            return document.RootElement.GetProperty("runtimeStatus").GetString() == "Completed"
                && document.RootElement.GetProperty("output").GetString() == "success"
                && document.RootElement.GetProperty("customStatus").GetProperty("Done").GetInt32() == 3;
        });
    }

    [Theory]
    [InlineData("left", "success", "skipped", "success")]
    [InlineData("right", "skipped", "success", "success")]
    [InlineData("nowhere", "skipped", "skipped", "success")]
    public async Task A_branch_decides_which_tasks_run(string way, string left, string right, string join)
    {
        var path = await app.TriggerAsync("diamond", $$$"""{"conf": {"way": "{{{way}}}"}}""");
        await app.UntilAsync(path, "success");

        (await app.StatesAsync(path)).ShouldBe(
            new Dictionary<string, string> { ["choose"] = "success", ["left"] = left, ["right"] = right, ["join"] = join }, ignoreOrder: true);
    }

    [Fact]
    public async Task A_failing_task_is_tried_again_then_fails_the_run_and_a_clear_repeats_only_what_failed()
    {
        await app.PostAsync("/variables", """{"key": "broken", "value": "yes"}""");
        var path = await app.TriggerAsync("flaky", """{"conf": {"what": "luck"}}""");
        await app.UntilAsync(path, "failed");

        (await app.StatesAsync(path)).ShouldBe(
            new Dictionary<string, string>
            {
                ["first"] = "success",
                ["risky"] = "failed",
                ["after"] = "upstream_failed",
                ["always"] = "success",
                ["alarm"] = "success",
            },
            ignoreOrder: true);
        var risky = await app.GetAsync(path + "/taskInstances/risky");
        (risky.GetProperty("try_number").GetInt32(), risky.GetProperty("max_tries").GetInt32()).ShouldBe((3, 2));
        for (var number = 1; number <= 3; number++)
            (await app.GetAsync($"{path}/taskInstances/risky/logs/{number}?full_content=true")).GetProperty("content").GetString()!.ShouldContain("no luck");
        await app.GetAsync(path + "/taskInstances/risky/logs/4", 404);
        var firstStarted = (await app.GetAsync(path + "/taskInstances/first")).GetProperty("start_date").GetString();

        // Only told at first.
        var selection = $$"""{"dag_run_id": "{{RunId(path)}}", "only_failed": true, "task_ids": ["risky"]}""";
        var would = await app.PostAsync("/dags/flaky/clearTaskInstances", selection);
        would.GetProperty("task_instances").EnumerateArray().Select(task => task.GetProperty("task_id").GetString()).ShouldBe(["risky", "after"]);
        (await app.StatesAsync(path))["risky"].ShouldBe("failed");

        await app.PatchAsync("/variables/broken", """{"value": ""}""");
        await app.PostAsync("/dags/flaky/clearTaskInstances", selection.Replace("\"only_failed\"", "\"dry_run\": false, \"only_failed\"", StringComparison.Ordinal));
        await app.UntilAsync(path, "success");

        (await app.StatesAsync(path)).ShouldBe(
            new Dictionary<string, string>
            {
                ["first"] = "success",
                ["risky"] = "success",
                ["after"] = "success",
                ["always"] = "success",
                ["alarm"] = "success",
            },
            ignoreOrder: true);
        (await app.GetAsync(path + "/taskInstances/first")).GetProperty("start_date").GetString().ShouldBe(firstStarted);
        (await app.GetAsync(path + "/taskInstances/risky")).GetProperty("try_number").GetInt32().ShouldBe(4);
    }

    [Fact]
    public async Task Runs_beyond_max_active_runs_wait_their_turn_and_a_cancelled_one_makes_room()
    {
        var first = await app.TriggerAsync("slow", """{"conf": {"seconds": 3600}}""");
        var second = await app.TriggerAsync("slow", """{"conf": {"seconds": 0}}""");
        (await app.GetAsync(second)).GetProperty("state").GetString().ShouldBe("queued");
        await Eventually.UntilAsync(async () => (await app.StatesAsync(first))["pause"] == "deferred");

        var cancelled = await app.PatchAsync(first, """{"state": "failed"}""");
        cancelled.GetProperty("state").GetString().ShouldBe("failed");
        cancelled.GetProperty("end_date").ValueKind.ShouldBe(JsonValueKind.String);
        (await app.StatesAsync(first)).ShouldBe(new Dictionary<string, string> { ["pause"] = "failed", ["done"] = "skipped" }, ignoreOrder: true);

        await app.UntilAsync(second, "success");
        (await app.GetAsync(first)).GetProperty("state").GetString().ShouldBe("failed");
        // The answer shows the next generation; the one that was stopped is the first.
        var instance = cancelled.GetProperty("instance_id").GetString()![..^1] + "1";
        await Eventually.UntilAsync(async () =>
        {
            using var document = JsonDocument.Parse(await app.Client.GetStringAsync($"/runtime/webhooks/durabletask/instances/{instance}"));
            return document.RootElement.GetProperty("runtimeStatus").GetString() == "Terminated";
        });
    }

    [Fact]
    public async Task A_cleared_run_starts_over()
    {
        var path = await app.TriggerAsync("chain");
        await app.UntilAsync(path, "success");
        var would = await app.PostAsync(path + "/clear", "{}");
        would.GetProperty("task_instances").GetArrayLength().ShouldBe(3);

        (await app.PostAsync(path + "/clear", """{"dry_run": false}""")).GetProperty("state").GetString().ShouldBe("running");
        await app.UntilAsync(path, "success");
        (await app.GetAsync(path + "/taskInstances/a")).GetProperty("try_number").GetInt32().ShouldBe(2);

        (await app.PatchAsync(path, """{"state": "queued"}""")).GetProperty("state").GetString().ShouldBeOneOf("running", "queued");
        await app.UntilAsync(path, "success");
        (await app.GetAsync(path + "/taskInstances/a")).GetProperty("try_number").GetInt32().ShouldBe(3);
    }

    [Fact]
    public async Task Tasks_share_the_slots_of_their_pool_and_one_without_a_pool_fails()
    {
        await app.PostAsync("/pools", """{"name": "narrow", "slots": 0}""");
        var path = await app.TriggerAsync("pooled");
        await Eventually.UntilAsync(async () => (await app.StatesAsync(path)) is { } states && states["one"] == "queued" && states["two"] == "queued");
        var full = await app.GetAsync("/pools/narrow");
        (full.GetProperty("queued_slots").GetInt32(), full.GetProperty("running_slots").GetInt32(), full.GetProperty("open_slots").GetInt32()).ShouldBe((2, 0, 0));

        await app.PatchAsync("/pools/narrow", """{"slots": 1}""");
        await app.UntilAsync(path, "failed");
        (await app.StatesAsync(path)).ShouldBe(new Dictionary<string, string> { ["one"] = "success", ["two"] = "success", ["lost"] = "failed" }, ignoreOrder: true);
        (await app.GetAsync(path + "/taskInstances/lost/logs/1")).GetProperty("content").GetString()!.ShouldContain("no pool 'nowhere'");
    }

    [Fact]
    public async Task A_deleted_run_is_gone_with_its_tasks()
    {
        var path = await app.TriggerAsync("chain", """{"dag_run_id": "to-delete"}""");
        await app.UntilAsync(path, "success");
        await app.CallAsync(HttpMethod.Delete, path, null, 204);

        await app.GetAsync(path, 404);
        await app.CallAsync(HttpMethod.Delete, path, null, 404);
        (await app.ScalarAsync<long>("SELECT count(*) FROM airflow.task_logs l WHERE NOT EXISTS (SELECT 1 FROM airflow.dag_runs r WHERE r.id = l.run_id)")).ShouldBe(0);
    }

    [Theory]
    [InlineData("system_monitoring")]
    [InlineData("evolution_workflow")]
    [InlineData("pattern_propagation")]
    public async Task The_dags_that_ship_run(string dagId)
    {
        var path = await app.TriggerAsync(dagId, """{"conf": {"repository": "test-repo"}}""");
        await app.UntilAsync(path, "success");
        (await app.StatesAsync(path)).Values.ShouldAllBe(state => state == "success");
        if (dagId == "evolution_workflow")
        {
            // test-repo is not indexed: the built-in corpus serves, and says so.
            var trial = JsonDocument.Parse((await app.OutputAsync(dagId, path, "run_evolution"))!).RootElement;
            trial.GetProperty("corpus").GetString().ShouldBe("built-in");
            trial.GetProperty("generations").GetInt32().ShouldBe(10);
            var id = trial.GetProperty("trial_id").GetString()!;
            (await app.ScalarAsync<string>("SELECT status FROM evolution.trials WHERE id = $1", id)).ShouldBe("completed");
            (await app.ScalarAsync<string>("SELECT result_hash FROM evolution.trials WHERE id = $1", id)).ShouldBe(trial.GetProperty("result_hash").GetString());
            var population = JsonDocument.Parse((await app.OutputAsync(dagId, path, "initialize_population"))!).RootElement;
            (await app.ScalarAsync<double>("SELECT initial_fitness FROM evolution.trials WHERE id = $1", id)).ShouldBe(population.GetProperty("best_fitness").GetDouble(), 1e-6);
            var found = JsonDocument.Parse((await app.OutputAsync(dagId, path, "extract_patterns"))!).RootElement.GetProperty("patterns").GetInt32();
            found.ShouldBeGreaterThan(0);
            JsonDocument.Parse((await app.OutputAsync(dagId, path, "persist_results"))!).RootElement.GetProperty("total").GetInt32().ShouldBe(found);
        }
        if (dagId == "system_monitoring")
        {
            JsonDocument.Parse((await app.OutputAsync(dagId, path, "check_services"))!).RootElement.GetProperty("services").GetProperty("postgresql").GetProperty("status").GetString().ShouldBe("healthy");
            JsonDocument.Parse((await app.OutputAsync(dagId, path, "collect_metrics"))!).RootElement.GetProperty("database").GetProperty("size_bytes").GetInt64().ShouldBeGreaterThan(1 << 20);
        }
    }

    [Fact]
    public async Task A_task_that_follows_a_trial_which_runs_already_ends_with_it()
    {
        using var started = await app.Client.PostAsync("/evolution/evolution/start", new StringContent(
            """{"generations": 100, "population_size": 100, "fitness_threshold": 1}""", new System.Net.Http.Headers.MediaTypeHeaderValue("application/json")));
        var id = JsonDocument.Parse(await started.Content.ReadAsStringAsync()).RootElement.GetProperty("trial_id").GetString()!;
        var path = await app.TriggerAsync("trial", $$$"""{"conf": {"trial": "{{{id}}}"}}""");
        await Eventually.UntilAsync(async () => (await app.StatesAsync(path))["breed"] == "deferred");
        (await app.Client.PostAsync($"/evolution/evolution/{id}/cancel", null)).EnsureSuccessStatusCode();
        await app.UntilAsync(path, "failed");

        (await LogAsync(path)).ShouldContain($"the trial {id} was cancelled");
    }

    [Fact]
    public async Task A_deferred_task_that_cannot_go_on_fails_instead_of_being_tried_for_ever()
    {
        var path = await app.TriggerAsync("trial", """{"conf": {"trial": "trial-damaged"}}""");
        await Eventually.UntilAsync(async () => (await app.StatesAsync(path))["breed"] == "deferred");
        (await app.ScalarAsync<string>("""
            UPDATE airflow.task_instances SET output = '{}' WHERE run_id = (SELECT id FROM airflow.dag_runs WHERE dag_id = 'trial' AND run_id = $1) RETURNING task_id
            """, RunId(path))).ShouldBe("breed");
        (await app.Client.PostAsync("/evolution/evolution/trial-damaged/cancel", null)).EnsureSuccessStatusCode();
        await app.UntilAsync(path, "failed");

        (await LogAsync(path)).ShouldContain("unexpected NullReferenceException");
    }

    private async Task<string> LogAsync(string path) => await (await app.SendAsync(HttpMethod.Get, path + "/taskInstances/breed/logs/1")).Content.ReadAsStringAsync();

    private static string RunId(string path) => Uri.UnescapeDataString(path[(path.LastIndexOf('/') + 1)..]);
}
