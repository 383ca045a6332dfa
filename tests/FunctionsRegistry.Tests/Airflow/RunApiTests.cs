using System.Text.Json;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.Airflow;

public sealed class RunApiTests(RunApiTests.App app) : IClassFixture<RunApiTests.App>
{
    public sealed class App(TestServices services) : AirflowApp(services)
    {
        protected override IReadOnlyDictionary<string, string> DagFiles { get; } = new Dictionary<string, string>(Chain)
        {
            ["listed.yaml"] = "id: listed\ntasks:\n  - { id: a, operator: echo }\n  - { id: b, operator: echo, needs: [a] }\n",
            ["forever.yaml"] = "id: forever\ntasks:\n  - { id: w, operator: wait, params: { seconds: 86400 } }\n",
        };
    }

    [Fact]
    public async Task A_run_without_an_id_is_named_by_its_logical_date_and_counted()
    {
        const string Body = """{"conf": {}, "execution_date": "2024-12-14T10:30:00Z", "logical_date": "2024-12-14T10:30:00Z", "note": "Triggered by DEAN orchestration"}""";
        var first = await app.PostAsync("/dags/chain/dagRuns", Body);

        first.GetProperty("dag_run_id").GetString().ShouldBe("manual__2024-12-14T10:30:00.000000__1");
        (first.GetProperty("logical_date").GetString(), first.GetProperty("execution_date").GetString()).ShouldBe(("2024-12-14T10:30:00Z", "2024-12-14T10:30:00Z"));
        (first.GetProperty("state").GetString(), first.GetProperty("external_trigger").GetBoolean()).ShouldBe(("running", true));
        first.GetProperty("start_date").ValueKind.ShouldBe(JsonValueKind.String);
        first.GetProperty("end_date").ValueKind.ShouldBe(JsonValueKind.Null);
        first.GetProperty("note").GetString().ShouldBe("Triggered by DEAN orchestration");

        var others = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => app.PostAsync("/dags/chain/dagRuns", Body)));
        others.Select(run => run.GetProperty("dag_run_id").GetString()![^1]).Order().ShouldBe("23456789");
    }

    [Theory]
    [InlineData("2023-12-14T10:30:00", "2023-12-14T10:30:00Z")]
    [InlineData("2023-12-14T10:30:00.123456", "2023-12-14T10:30:00.123456Z")]
    [InlineData("2023-12-14T12:30:00+02:00", "2023-12-14T10:30:00Z")]
    [InlineData("2023-12-14", "2023-12-14T00:00:00Z")]
    public async Task Dates_may_be_naive_or_have_a_zone(string sent, string expected)
    {
        var run = await app.PostAsync("/dags/chain/dagRuns", $$"""{"execution_date": "{{sent}}"}""");
        run.GetProperty("logical_date").GetString().ShouldBe(expected);
    }

    [Theory]
    [InlineData("""{"execution_date": "not a date"}""", "execution_date")]
    [InlineData("""{"logical_date": "2024-13-01T00:00:00Z"}""", "logical_date")]
    [InlineData("""{"logical_date": 5}""", "logical_date")]
    [InlineData("""{"logical_date": "0001-01-01T00:00:00+14:00"}""", "logical_date")]
    [InlineData("""{"logical_date": "2024-01-01", "execution_date": "2024-01-02"}""", "execution_date")]
    [InlineData("""{"conf": []}""", "conf")]
    [InlineData("""{"conf": "x"}""", "conf")]
    [InlineData("""{"conf": {"a": 1, "a": 2}}""", "conf")]
    [InlineData("""{"conf": {"a": "\u0000"}}""", "conf")]
    [InlineData("""{"conf": {"a": "\ud800"}}""", "conf")]
    [InlineData("""{"dag_run_id": "a/b"}""", "dag_run_id")]
    [InlineData("""{"dag_run_id": ""}""", "dag_run_id")]
    [InlineData("""{"note": 1}""", "note")]
    [InlineData("[]", "body")]
    [InlineData("{", "body")]
    [InlineData("", "body")]
    public async Task A_bad_trigger_is_a_400_that_says_where_and_makes_no_run(string body, string where)
    {
        var before = await app.ScalarAsync<long>("SELECT count(*) FROM airflow.dag_runs WHERE dag_id = 'listed'");
        var problem = await app.PostAsync("/dags/listed/dagRuns", body, 400);

        problem.GetProperty("errors")[0].GetProperty("loc").EnumerateArray().Select(part => part.ToString()).ShouldContain(where);
        problem.GetProperty("detail").GetString()!.ShouldContain(where);
        (await app.ScalarAsync<long>("SELECT count(*) FROM airflow.dag_runs WHERE dag_id = 'listed'")).ShouldBe(before);
    }

    [Fact]
    public async Task A_conf_over_its_limit_is_refused()
    {
        var problem = await app.PostAsync("/dags/listed/dagRuns", $$$"""{"conf": {"a": "{{{new string('x', 70_000)}}}"}}""", 400);
        problem.GetProperty("errors")[0].GetProperty("msg").GetString()!.ShouldContain("65536");
    }

    [Fact]
    public async Task Null_and_missing_members_of_a_trigger_are_as_good_as_absent()
    {
        var run = await app.PostAsync("/dags/chain/dagRuns", """{"conf": null, "execution_date": null, "note": null, "other": 1}""");
        run.GetProperty("conf").GetRawText().ShouldBe("{}");
        run.GetProperty("note").ValueKind.ShouldBe(JsonValueKind.Null);
    }

    [Fact]
    public async Task A_run_id_exists_once_however_many_ask_for_it()
    {
        var responses = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => app.SendAsync(HttpMethod.Post, "/dags/chain/dagRuns", """{"dag_run_id": "once"}""")));

        responses.Count(response => (int)response.StatusCode == 200).ShouldBe(1);
        responses.Count(response => (int)response.StatusCode == 409).ShouldBe(7);
        var problem = await app.PostAsync("/dags/chain/dagRuns", """{"dag_run_id": "once"}""", 409);
        problem.GetProperty("detail").GetString().ShouldBe("DAGRun with DAG ID: 'chain' and DAGRun ID: 'once' already exists");
        problem.GetProperty("title").GetString().ShouldBe("Conflict");
        await app.UntilAsync(AirflowApp.RunPath("chain", "once"), "success");
        await CountersMatchAsync();
    }

    [Fact]
    public async Task What_is_not_there_is_a_404_that_says_what()
    {
        await app.PostAsync("/dags/forever/dagRuns", """{"dag_run_id": "there"}""");
        foreach (var (method, path, body, detail) in ((HttpMethod, string, string?, string)[])
        [
            (HttpMethod.Post, "/dags/nothing/dagRuns", "{}", "DAG not found"),
            (HttpMethod.Get, "/dags/nothing/dagRuns", null, "DAG not found"),
            (HttpMethod.Get, "/dags/nothing/dagRuns/x", null, "DAG not found"),
            (HttpMethod.Get, "/dags/forever/dagRuns/x", null, "DAG run not found"),
            (HttpMethod.Patch, "/dags/forever/dagRuns/x", """{"state": "failed"}""", "DAG run not found"),
            (HttpMethod.Patch, "/dags/nothing/dagRuns/x", """{"state": "failed"}""", "DAG not found"),
            (HttpMethod.Post, "/dags/forever/dagRuns/x/clear", "{}", "DAG run not found"),
            (HttpMethod.Patch, "/dags/forever/dagRuns/x/setNote", """{"note": "n"}""", "DAG run not found"),
            (HttpMethod.Get, "/dags/forever/dagRuns/x/taskInstances", null, "DAG run not found"),
            (HttpMethod.Get, "/dags/nothing/dagRuns/x/taskInstances", null, "DAG not found"),
            (HttpMethod.Get, "/dags/forever/dagRuns/there/taskInstances/y", null, "Task instance not found"),
            (HttpMethod.Get, "/dags/forever/dagRuns/there/taskInstances/w/logs/7", null, "There is no log of try 7"),
            (HttpMethod.Post, "/dags/forever/clearTaskInstances", """{"dag_run_id": "there", "task_ids": ["y"]}""", "Task 'y' not found"),
            (HttpMethod.Post, "/dags/nothing/clearTaskInstances", """{"dag_run_id": "there"}""", "DAG not found"),
        ])
            (await app.CallAsync(method, path, body, 404)).GetProperty("detail").GetString().ShouldBe(detail, $"{method} {path}");
    }

    [Theory]
    [InlineData("state=running,wrong", "state")]
    [InlineData("limit=-5", "positive integer")]
    [InlineData("order_by=conf", "'conf' is disallowed")]
    [InlineData("execution_date_gte=yesterday", "execution_date_gte")]
    [InlineData("start_date_lte=2024-02-30", "start_date_lte")]
    public async Task A_bad_list_parameter_is_a_400_that_names_it(string query, string part) =>
        (await app.GetAsync("/dags/chain/dagRuns?" + query, 400)).GetProperty("detail").GetString()!.ShouldContain(part);

    [Fact]
    public async Task Runs_are_listed_by_state_date_and_order_as_a_plain_query_would()
    {
        await FillAsync();
        (string, string)[] orders = [("execution_date", "logical_at"), ("start_date", "started_at"), ("end_date", "ended_at"), ("dag_run_id", "run_id"), ("id", "id"), ("state", "state"), ("external_trigger", "external_trigger"), ("dag_id", "dag_id")];
        string[] filters = ["", "state=success", "state=running,failed", "state=queued&state=success", "execution_date_gte=2024-01-05T00:00:00Z&execution_date_lte=2024-01-20T00:00:00+00:00", "start_date_gte=2024-01-10&state=failed", "end_date_lte=2024-01-15", "start_date_gte=2024-01-10&end_date_lte=2024-01-15", "updated_at_gte=2024-01-25"];
        foreach (var (field, column) in orders)
            foreach (var minus in (string[])["", "-"])
                foreach (var filter in filters)
                    foreach (var dag in (string[])["listed", "~"])
                    {
                        var list = await app.GetAsync($"/dags/{dag}/dagRuns?order_by={minus}{field}&limit=7&offset=3&{filter.Replace("+", "%2B", StringComparison.Ordinal)}");
                        var (ids, total) = await ExpectedAsync(column, minus.Length > 0, filter, dag);
                        list.GetProperty("dag_runs").EnumerateArray().Select(run => run.GetProperty("dag_id").GetString() + "/" + run.GetProperty("dag_run_id").GetString())
                            .ShouldBe(ids, $"{dag} {minus}{field} {filter}");
                        list.GetProperty("total_entries").GetInt64().ShouldBe(total, $"{dag} {filter}");
                    }
        (await app.GetAsync("/dags/listed/dagRuns?execution_date_gte=2024-01-30T00:00:00+00:00")).GetProperty("total_entries").GetInt32().ShouldBe(1);

        var batch = await app.PostAsync("/dags/~/dagRuns/list", """{"dag_ids": ["listed", "other"], "states": ["failed"], "order_by": "-execution_date", "page_limit": 2, "page_offset": 1}""");
        batch.GetProperty("dag_runs").EnumerateArray().Select(run => run.GetProperty("dag_run_id").GetString()).ShouldBe(["r22", "r18"]);
        await app.PostAsync("/dags/~/dagRuns/list", """{"dag_ids": "listed"}""", 400);

        var tasks = await app.GetAsync("/dags/listed/dagRuns/~/taskInstances?state=success&limit=3");
        tasks.GetProperty("total_entries").GetInt64().ShouldBe(30);
        tasks.GetProperty("task_instances").EnumerateArray().Select(task => task.GetProperty("dag_run_id").GetString() + task.GetProperty("task_id").GetString()).ShouldBe(["r29a", "r28a", "r27a"]);
        (await app.GetAsync("/dags/~/dagRuns/~/taskInstances?pool=none")).GetProperty("total_entries").GetInt32().ShouldBe(0);
        (await app.GetAsync("/dags/listed/dagRuns/r3/taskInstances?limit=1&offset=1")).GetProperty("total_entries").GetInt32().ShouldBe(2);
    }

    [Fact]
    public async Task A_note_is_set_and_removed()
    {
        var path = await app.TriggerAsync("forever");
        (await app.PatchAsync(path + "/setNote", """{"note": "looked at"}""")).GetProperty("note").GetString().ShouldBe("looked at");
        (await app.PatchAsync(path + "/setNote", """{"note": null}""")).GetProperty("note").ValueKind.ShouldBe(JsonValueKind.Null);
        (await app.PatchAsync(path + "/taskInstances/w/setNote", """{"note": "slow"}""")).GetProperty("note").GetString().ShouldBe("slow");
        await app.PatchAsync(path + "/setNote", "{}", 400);
    }

    [Fact]
    public async Task Ending_a_run_by_hand_sticks()
    {
        var path = await app.TriggerAsync("forever");
        await Eventually.UntilAsync(async () => (await app.StatesAsync(path))["w"] == "deferred");
        (await app.PatchAsync(path, """{"state": "success"}""")).GetProperty("state").GetString().ShouldBe("success");
        (await app.StatesAsync(path))["w"].ShouldBe("success");
        (await app.PatchAsync(path, """{"state": "failed"}""")).GetProperty("state").GetString().ShouldBe("failed");
        foreach (var body in (string[])["{}", """{"state": "running"}""", """{"state": 1}"""])
            await app.PatchAsync(path, body, 400);
        await CountersMatchAsync();
    }

    [Fact]
    public async Task A_clear_needs_to_know_which_runs()
    {
        await app.PostAsync("/dags/chain/clearTaskInstances", "{}", 400);
        await app.PostAsync("/dags/chain/clearTaskInstances", """{"dag_run_id": "x", "include_future": true}""", 400);
        (await app.PostAsync("/dags/chain/clearTaskInstances", """{"start_date": "1990-01-01", "end_date": "1990-01-02"}""")).GetProperty("task_instances").GetArrayLength().ShouldBe(0);
    }

    private async Task FillAsync()
    {
        await using var command = app.Database.CreateCommand("""
            INSERT INTO airflow.dag_runs (dag_id, run_id, version, state, external_trigger, logical_at, interval_end_at, queued_at, started_at, ended_at, updated_at, checked_at, conf)
            SELECT 'listed', 'r' || n, d.version, (ARRAY['success', 'running', 'failed', 'queued'])[1 + n % 4], n % 3 = 0, t, t, t,
                CASE WHEN n % 4 < 3 THEN t + (n * 7 % 5) * interval '1 hour' END, CASE WHEN n % 4 IN (0, 2) THEN t + (4 + n * 11 % 7) * interval '1 hour' END, t, '2100-01-01', '{}'
            FROM generate_series(0, 29) n CROSS JOIN LATERAL (SELECT '2024-01-01Z'::timestamptz + n * interval '1 day' AS t) x JOIN airflow.dags d ON d.dag_id = 'listed';
            INSERT INTO airflow.task_instances (run_id, task_id, position, operator, pool, state, max_tries)
            SELECT r.id, t.id, t.position, 'echo', 'default_pool', t.state, 0 FROM airflow.dag_runs r, (VALUES ('a', 0, 'success'), ('b', 1, 'skipped')) t (id, position, state) WHERE r.dag_id = 'listed';
            UPDATE airflow.dags d SET runs_queued = (SELECT count(*) FROM airflow.dag_runs r WHERE r.dag_id = d.dag_id AND state = 'queued'),
                runs_running = (SELECT count(*) FROM airflow.dag_runs r WHERE r.dag_id = d.dag_id AND state = 'running'),
                runs_success = (SELECT count(*) FROM airflow.dag_runs r WHERE r.dag_id = d.dag_id AND state = 'success'),
                runs_failed = (SELECT count(*) FROM airflow.dag_runs r WHERE r.dag_id = d.dag_id AND state = 'failed'), is_paused = true WHERE dag_id = 'listed'
            """);
        await command.ExecuteNonQueryAsync();
        // Nothing else moves while lists are compared.
        await Eventually.UntilAsync(async () => await app.ScalarAsync<long>("SELECT count(*) FROM airflow.dag_runs WHERE state IN ('queued', 'running') AND dag_id NOT IN ('listed', 'forever')") == 0);
    }

    private async Task<(List<string> Ids, long Total)> ExpectedAsync(string column, bool descending, string filter, string dag)
    {
        var where = new List<string> { dag == "~" ? "true" : "dag_id = 'listed'" };
        var states = new List<string>();
        foreach (var part in filter.Split('&', StringSplitOptions.RemoveEmptyEntries).Select(part => part.Split('=')))
        {
            var name = part[0].Replace("execution_date", "logical_at", StringComparison.Ordinal).Replace("start_date", "started_at", StringComparison.Ordinal).Replace("end_date", "ended_at", StringComparison.Ordinal);
            if (name == "state")
                states.AddRange(part[1].Split(','));
            else
                where.Add($"{name[..^4]} {(name.EndsWith("gte", StringComparison.Ordinal) ? ">=" : "<=")} '{part[1]}{(part[1].Contains('T', StringComparison.Ordinal) ? "" : "T00:00:00Z")}'::timestamptz");
        }
        if (states.Count > 0)
            where.Add($"state IN ('{string.Join("','", states)}')");
        var condition = string.Join(" AND ", where);
        var direction = descending ? "DESC" : "ASC";
        await using var command = app.Database.CreateCommand($"SELECT dag_id || '/' || run_id FROM airflow.dag_runs WHERE {condition} ORDER BY {column} {direction}, id {direction} LIMIT 7 OFFSET 3");
        await using var reader = await command.ExecuteReaderAsync();
        var ids = new List<string>();
        while (await reader.ReadAsync())
            ids.Add(reader.GetString(0));
        return (ids, await app.ScalarAsync<long>($"SELECT count(*) FROM airflow.dag_runs WHERE {condition}"));
    }

    private async Task CountersMatchAsync() => await Eventually.UntilAsync(async () => await app.ScalarAsync<long>("""
        SELECT count(*) FROM airflow.dags d LEFT JOIN (
            SELECT dag_id, count(*) FILTER (WHERE state = 'queued') q, count(*) FILTER (WHERE state = 'running') r, count(*) FILTER (WHERE state = 'success') s,
                count(*) FILTER (WHERE state = 'failed') f FROM airflow.dag_runs GROUP BY dag_id) c USING (dag_id)
        WHERE (runs_queued, runs_running, runs_success, runs_failed) IS DISTINCT FROM (coalesce(q, 0), coalesce(r, 0), coalesce(s, 0), coalesce(f, 0))
        """) == 0);
}
