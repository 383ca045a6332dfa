using System.Net;
using System.Text.Json;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.Airflow;

public sealed class DagApiTests(AirflowApp app) : IClassFixture<AirflowApp>
{
    private static readonly string[] s_shipped = ["evolution_workflow", "pattern_propagation", "system_monitoring"];

    [Theory]
    [InlineData(null, "Not authenticated")]
    [InlineData("airflow:wrong", "Incorrect username or password")]
    [InlineData("airflow", "Incorrect username or password")]
    [InlineData(":", "Incorrect username or password")]
    public async Task Without_the_right_credentials_the_answer_is_401_and_says_how_to_sign_in(string? credentials, string detail)
    {
        using var response = await app.SendAsync(HttpMethod.Get, "/dags", credentials: credentials);

        response.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        response.Headers.WwwAuthenticate.ToString().ShouldStartWith("Basic");
        response.Content.Headers.ContentType!.MediaType.ShouldBe("application/problem+json");
        using var problem = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        problem.RootElement.GetProperty("detail").GetString().ShouldBe(detail);
        problem.RootElement.GetProperty("status").GetInt32().ShouldBe(401);
    }

    [Theory]
    [InlineData("Bearer abc")]
    [InlineData("Basic ???")]
    [InlineData("Basic")]
    public async Task Another_scheme_or_broken_credentials_are_no_credentials(string header)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, AirflowApp.Base + "/dags");
        request.Headers.TryAddWithoutValidation("Authorization", header);
        using var response = await app.Client.SendAsync(request);
        using var problem = JsonDocument.Parse(await response.Content.ReadAsStringAsync());

        problem.RootElement.GetProperty("detail").GetString().ShouldBe("Not authenticated");
    }

    [Fact]
    public async Task Configured_credentials_replace_the_local_ones()
    {
        var client = await app.StartAsync(new Dictionary<string, string> { ["AIRFLOW_USERNAME"] = "ann", ["AIRFLOW_PASSWORD"] = "pä:ss", ["Airflow:DagDirectory"] = app.DagFolder });

        (await app.SendAsync(HttpMethod.Get, "/dags", null, "ann:pä:ss", client)).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await app.SendAsync(HttpMethod.Get, "/dags", null, "airflow:airflow", client)).StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
    }

    [Theory]
    [InlineData("/airflow/health")]
    [InlineData("/airflow/api/v1/health")]
    [InlineData("/airflow/compat/api/v1/health")]
    public async Task Health_needs_no_credentials_and_has_the_contract_s_fields(string path)
    {
        // A second timer firing may still be to come: the scheduler looks every five seconds.
        JsonElement health = default;
        await Eventually.UntilAsync(async () =>
        {
            using var response = await app.SendAsync(HttpMethod.Get, path, credentials: null);
            response.StatusCode.ShouldBe(HttpStatusCode.OK);
            health = JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement;
            return health.GetProperty("scheduler").GetProperty("status").GetString() == "healthy";
        });

        (health.GetProperty("status").GetString(), health.GetProperty("service").GetString()).ShouldBe(("healthy", "airflow-stub"));
        health.GetProperty("timestamp").GetString()!.ShouldEndWith("Z");
        health.GetProperty("uptime_seconds").GetInt64().ShouldBeGreaterThanOrEqualTo(0);
        health.GetProperty("metadatabase").GetProperty("status").GetString().ShouldBe("healthy");
    }

    [Fact]
    public async Task A_dag_has_the_contract_s_fields()
    {
        var dag = await app.GetAsync("/dags/system_monitoring");

        dag.GetProperty("description").GetString().ShouldBe("Monitor DEAN system health");
        (dag.GetProperty("file_token").GetString(), dag.GetProperty("fileloc").GetString()).ShouldBe(("system_monitoring.yaml", "dags/system_monitoring.yaml"));
        (dag.GetProperty("is_paused").GetBoolean(), dag.GetProperty("is_active").GetBoolean(), dag.GetProperty("is_subdag").GetBoolean()).ShouldBe((false, true, false));
        dag.GetProperty("owners").GetRawText().ShouldBe("""["dean"]""");
        dag.GetProperty("tags").GetRawText().ShouldBe("""["monitoring","dean"]""");
        dag.GetProperty("schedule_interval").GetString().ShouldBe("*/5 * * * *");
        dag.GetProperty("next_dagrun_data_interval_end").GetDateTimeOffset().ShouldBe(dag.GetProperty("next_dagrun").GetDateTimeOffset().AddMinutes(5));
        (await app.GetAsync("/dags/evolution_workflow")).GetProperty("schedule_interval").ValueKind.ShouldBe(JsonValueKind.Null);
        (await app.GetAsync("/dags/nothing", 404)).GetProperty("detail").GetString().ShouldBe("DAG not found");
    }

    [Fact]
    public async Task Under_compat_tags_and_schedule_are_objects()
    {
        var dag = await app.GetAsync("/airflow/compat/api/v1/dags/system_monitoring");
        dag.GetProperty("tags").GetRawText().ShouldBe("""[{"name":"monitoring"},{"name":"dean"}]""");
        dag.GetProperty("schedule_interval").GetRawText().ShouldBe("""{"__type":"CronExpression","value":"*/5 * * * *"}""");
        (await app.GetAsync("/airflow/compat/api/v1/dags")).GetProperty("dags")[0].GetProperty("tags")[0].ValueKind.ShouldBe(JsonValueKind.Object);

        var run = await app.PostAsync("/airflow/compat/api/v1/dags/chain/dagRuns", """{"dag_run_id": "by-compat"}""");
        await app.UntilAsync("/airflow/compat/api/v1/dags/chain/dagRuns/by-compat", "success");
        run.GetProperty("dag_run_id").GetString().ShouldBe("by-compat");
    }

    [Theory]
    [InlineData("", "chain,evolution_workflow,pattern_propagation,system_monitoring")]
    [InlineData("?tags=dean", "evolution_workflow,pattern_propagation,system_monitoring")]
    [InlineData("?tags=monitoring,patterns", "pattern_propagation,system_monitoring")]
    [InlineData("?tags=monitoring&tags=chain", "chain,system_monitoring")]
    [InlineData("?tags=none", "")]
    [InlineData("?limit=1&offset=1", "evolution_workflow")]
    [InlineData("?limit=0&only_active=True", "chain,evolution_workflow,pattern_propagation,system_monitoring")]
    [InlineData("?limit=100000&dag_id_pattern=%25_MON%25", "system_monitoring")]
    [InlineData("?order_by=-dag_id&limit=2", "system_monitoring,pattern_propagation")]
    [InlineData("?paused=true", "")]
    public async Task Dags_are_listed_filtered_ordered_and_paged(string query, string expected)
    {
        var list = await app.GetAsync("/dags" + query);

        string.Join(',', list.GetProperty("dags").EnumerateArray().Select(dag => dag.GetProperty("dag_id").GetString())).ShouldBe(expected);
        if (!query.Contains("limit=1&", StringComparison.Ordinal) && !query.Contains("limit=2", StringComparison.Ordinal))
            list.GetProperty("total_entries").GetInt32().ShouldBe(expected.Length == 0 ? 0 : expected.Split(',').Length);
        else
            list.GetProperty("total_entries").GetInt32().ShouldBe(1 + s_shipped.Length);
    }

    [Theory]
    [InlineData("?limit=-1", "positive integer")]
    [InlineData("?limit=abc", "limit")]
    [InlineData("?offset=-1", "offset")]
    [InlineData("?order_by=colour", "'colour' is disallowed")]
    [InlineData("?only_active=maybe", "only_active")]
    [InlineData("?tags=%FF", "tags")]
    [InlineData("?dag_id_pattern=%00", "dag_id_pattern")]
    public async Task A_bad_parameter_is_a_400_that_names_it(string query, string part) =>
        (await app.GetAsync("/dags" + query, 400)).GetProperty("detail").GetString()!.ShouldContain(part);

    [Fact]
    public async Task Pausing_works_by_body_query_and_mask_and_a_paused_dag_takes_no_runs()
    {
        (await app.PatchAsync("/dags/pattern_propagation", """{"is_paused": true}""")).GetProperty("is_paused").GetBoolean().ShouldBeTrue();
        (await app.GetAsync("/dags?paused=true")).GetProperty("total_entries").GetInt32().ShouldBe(1);
        var refused = await app.PostAsync("/dags/pattern_propagation/dagRuns", "{}", 409);
        refused.GetProperty("detail").GetString().ShouldBe("DAG is paused");

        (await app.CallAsync(HttpMethod.Patch, "/dags/pattern_propagation?is_paused=false")).GetProperty("is_paused").GetBoolean().ShouldBeFalse();
        (await app.PatchAsync("/dags/pattern_propagation?update_mask=is_paused", """{"is_paused": false}""")).GetProperty("is_paused").GetBoolean().ShouldBeFalse();
        await app.PatchAsync("/dags/pattern_propagation?update_mask=description", """{"is_paused": false}""", 400);
        await app.PatchAsync("/dags/nothing", """{"is_paused": true}""", 404);
        foreach (var body in (string[])["{}", """{"is_paused": null}""", """{"is_paused": "perhaps"}""", "[]", "{", ""])
            (await app.PatchAsync("/dags/pattern_propagation", body, 400)).GetProperty("errors").GetArrayLength().ShouldBe(1, body);
    }

    [Fact]
    public async Task Tasks_details_and_source_are_the_file_s()
    {
        var tasks = await app.GetAsync("/dags/chain/tasks");
        tasks.GetProperty("total_entries").GetInt32().ShouldBe(3);
        tasks.GetProperty("tasks")[0].GetProperty("downstream_task_ids").GetRawText().ShouldBe("""["b"]""");
        var task = await app.GetAsync("/dags/chain/tasks/b");
        (task.GetProperty("operator_name").GetString(), task.GetProperty("trigger_rule").GetString()).ShouldBe(("echo", "all_success"));
        task.GetProperty("retry_delay").GetRawText().ShouldBe("""{"__type":"TimeDelta","days":0,"seconds":30,"microseconds":0}""");
        await app.GetAsync("/dags/chain/tasks/z", 404);
        await app.GetAsync("/dags/nothing/tasks", 404);

        (await app.GetAsync("/dags/chain/details")).GetProperty("params").GetRawText().ShouldBe("""{"who":"nobody"}""");
        (await app.GetAsync("/dags/chain/source")).GetProperty("content").GetString()!.ShouldStartWith("id: chain");
        (await app.GetAsync("/dagSources/chain.yaml")).GetProperty("content").GetString()!.ShouldStartWith("id: chain");
        await app.GetAsync("/dagSources/other.yaml", 404);
    }

    [Fact]
    public async Task Pools_and_variables_are_made_changed_and_deleted()
    {
        var pool = (await app.GetAsync("/pools")).GetProperty("pools")[0];
        (pool.GetProperty("name").GetString(), pool.GetProperty("slots").GetInt32()).ShouldBe(("default_pool", 128));
        (pool.GetProperty("open_slots").GetInt32() + pool.GetProperty("occupied_slots").GetInt32()).ShouldBe(128);
        await app.CallAsync(HttpMethod.Delete, "/pools/default_pool", null, 400);
        await app.PostAsync("/pools", """{"name": "p", "slots": 2}""");
        await app.PostAsync("/pools", """{"name": "p", "slots": 2}""", 409);
        (await app.PostAsync("/pools", """{"name": "", "slots": -2}""", 400)).GetProperty("errors").GetArrayLength().ShouldBe(2);
        await app.PostAsync("/pools", """{"name": "a/b", "slots": 2}""", 400);
        (await app.PatchAsync("/pools/p", """{"slots": 3, "description": "d"}""")).GetProperty("slots").GetInt32().ShouldBe(3);
        await app.CallAsync(HttpMethod.Delete, "/pools/p", null, 204);
        await app.GetAsync("/pools/p", 404);

        await app.PostAsync("/variables", """{"key": "k é", "value": "v"}""");
        await app.PostAsync("/variables", """{"key": "k é", "value": "v"}""", 409);
        (await app.PatchAsync("/variables/k%20%C3%A9", """{"value": "w"}""")).GetProperty("value").GetString().ShouldBe("w");
        await app.PatchAsync("/variables/k%20%C3%A9", """{"key": "other", "value": "w"}""", 400);
        (await app.GetAsync("/variables")).GetProperty("variables").EnumerateArray().Select(one => one.GetProperty("key").GetString()).ShouldContain("k é");
        await app.CallAsync(HttpMethod.Delete, "/variables/k%20%C3%A9", null, 204);
        await app.GetAsync("/variables/k%20%C3%A9", 404);
    }

    [Fact]
    public async Task Version_and_metrics_answer()
    {
        (await app.GetAsync("/version")).GetProperty("version").GetString()!.ShouldStartWith("2.");
        var metrics = await app.GetAsync("/metrics");
        metrics.GetProperty("dags_count").GetInt64().ShouldBe(4);
        metrics.GetProperty("executor_slots_available").GetInt32().ShouldBeInRange(1, 128);
    }
}
