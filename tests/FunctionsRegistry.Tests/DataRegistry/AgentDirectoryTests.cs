using System.Text.Json;
using FunctionsRegistry.DataRegistry;
using FunctionsRegistry.Tests.Support;
using Microsoft.Extensions.DependencyInjection;

namespace FunctionsRegistry.Tests.DataRegistry;

public sealed class AgentDirectoryTests(DataRegistryApp app) : IClassFixture<DataRegistryApp>
{
    private static readonly object s_models = new
    {
        small = new { provider = "ollama", model_id = "llama", status = "active", cost = new { input = 0.1, output = 0.3 }, local = true },
        large = new { provider = "anthropic", model_id = "claude", status = "active", cost = new { input = 3, output = 15 }, context_window = 200000, use_cases = new[] { "writing" } },
    };

    private Task<JsonElement> RegisterAsync(string id, object? models = null, string[]? primary = null, string deployment = "langsmith_cloud") => app.PostAsync(
        "/agents/register", DataRegistryApp.Registration(id, models, primary is null ? null : new { primary, secondary = new[] { "second-" + id } }, deployment: deployment), 200);

    private Task<JsonElement> BeatAsync(string id, string status = "healthy") => app.PostAsync($"/agents/{id}/heartbeat", new { status }, 200);

    [Fact]
    public async Task Registering_answers_200_and_says_whether_it_was_new()
    {
        (await RegisterAsync("new-agent")).GetRawText().ShouldBe("""{"status":"registered","agent_id":"new-agent","message":"Agent new-agent registered successfully"}""");
        (await RegisterAsync("new-agent")).GetRawText().ShouldBe("""{"status":"updated","agent_id":"new-agent","message":"Agent new-agent registration updated"}""");
    }

    [Fact]
    public async Task An_agent_reads_as_it_was_registered_with_its_defaults()
    {
        await RegisterAsync("full-agent", s_models, ["search"]);
        var agent = await app.GetAsync("/agents/full-agent");

        agent.Names().ShouldBe(["id", "service", "capabilities", "models", "status", "last_heartbeat", "registered_at", "updated_at"]);
        agent.GetProperty("service").Names().ShouldBe(["id", "name", "version", "division", "type", "description", "deployment_type", "deployment_url",
            "langsmith_deployment_id", "langsmith_org", "github_repo", "github_branch", "github_path", "endpoint"]);
        agent.GetProperty("service").Text("github_branch").ShouldBe("main");
        agent.Text("status").ShouldBe("healthy");
        agent.GetProperty("last_heartbeat").ValueKind.ShouldBe(JsonValueKind.Null);
        var small = agent.GetProperty("models").GetProperty("small");
        small.GetProperty("use_cases").GetArrayLength().ShouldBe(0);
        small.GetProperty("context_window").ValueKind.ShouldBe(JsonValueKind.Null);
        agent.GetProperty("capabilities").GetProperty("primary")[0].GetString().ShouldBe("search");
    }

    [Fact]
    public async Task Registering_again_replaces_everything_but_status_and_heartbeat()
    {
        await RegisterAsync("replaced", s_models, ["search"]);
        await BeatAsync("replaced", "degraded");
        await RegisterAsync("replaced");

        var agent = await app.GetAsync("/agents/replaced");
        agent.GetProperty("capabilities").ValueKind.ShouldBe(JsonValueKind.Null);
        agent.GetProperty("models").EnumerateObject().ShouldBeEmpty();
        agent.Text("status").ShouldBe("degraded");
        agent.GetProperty("last_heartbeat").ValueKind.ShouldBe(JsonValueKind.String);
    }

    [Fact]
    public async Task Many_registrations_of_one_agent_at_once_make_one()
    {
        var answers = await Task.WhenAll(Enumerable.Range(0, 32).Select(_ => RegisterAsync("crowded", s_models)));

        answers.Count(answer => answer.Text("status") == "registered").ShouldBe(1);
        (await app.ScalarAsync<long>("SELECT count(*) FROM dhg.agents WHERE id = 'crowded'")).ShouldBe(1);
    }

    [Fact]
    public async Task A_heartbeat_is_recorded_at_our_time_whatever_it_says()
    {
        await RegisterAsync("beating");
        var before = DateTimeOffset.UnixEpoch.AddDays(1);
        var answer = await app.PostAsync("/agents/beating/heartbeat", new
        {
            status = "unhealthy",
            timestamp = "1999-01-01T00:00:00Z",
            models = new { small = new { status = "active" } },
            metrics = new { requests_total = 7, requests_failed = 1, avg_latency_ms = 12.5, total_cost_usd = 0.25 },
            deployment_tier = "gold",
        }, 200);

        answer.Text("status").ShouldBe("received");
        answer.GetProperty("timestamp").GetDateTimeOffset().ShouldBeGreaterThan(before.AddYears(40));
        (await app.GetAsync("/agents/beating")).Text("status").ShouldBe("unhealthy");
        (await app.ScalarAsync<string>("SELECT requests_total || ' ' || requests_success || ' ' || avg_latency_ms || ' ' || deployment_tier FROM dhg.agent_heartbeats WHERE agent_id = 'beating'"))
            .ShouldBe("7 0 12.5 gold");
        (await app.PostAsync("/agents/nobody/heartbeat", new { status = "healthy" }, 404)).Text("detail").ShouldBe("Agent nobody not found. Please register first.");
    }

    [Fact]
    public async Task Agents_are_listed_by_each_filter_with_their_total()
    {
        await RegisterAsync("listed-a", deployment: "local_dev");
        await RegisterAsync("listed-b", deployment: "local_dev");
        await BeatAsync("listed-b", "degraded");

        var local = await app.GetAsync("/agents?deployment_type=local_dev");
        local.GetProperty("agents").Texts("id").ShouldBe(["listed-a", "listed-b"]);
        local.GetProperty("total").GetInt64().ShouldBe(2);
        (await app.GetAsync("/agents?deployment_type=local_dev&status=degraded&division=DHG%20AI&type=research_agent")).GetProperty("agents").Texts("id").ShouldBe(["listed-b"]);
        (await app.GetAsync("/agents?deployment_type=local_dev&status=&division=&type=")).GetProperty("total").GetInt64().ShouldBe(2);
        (await app.GetAsync("/agents?division=none")).GetRawText().ShouldBe("""{"agents":[],"total":0}""");
    }

    [Fact]
    public async Task Models_of_healthy_agents_are_listed()
    {
        await RegisterAsync("modelled", s_models);
        var all = (await app.GetAsync("/agents/models/list?provider=ollama&local=true&status=active")).GetProperty("models").EnumerateArray().Where(model => model.Text("agent_id") == "modelled").ToList();

        all.Single().Text("model_name").ShouldBe("small");
        all[0].GetProperty("cost").GetProperty("output").GetDouble().ShouldBe(0.3);
        await BeatAsync("modelled", "unhealthy");
        (await app.GetAsync("/agents/models/list")).GetProperty("models").Texts("agent_id").ShouldNotContain("modelled");
        (await app.GetAsync("/agents/models/list?local=maybe", 422)).Faults().ShouldBe(["query.local"]);
    }

    [Fact]
    public async Task Discovery_finds_the_capability_in_either_list_by_get_and_by_post()
    {
        await RegisterAsync("finder", primary: ["find-me"]);
        await RegisterAsync("incapable");
        await RegisterAsync("sick", primary: ["find-me"]);
        await BeatAsync("sick", "unhealthy");

        (await app.GetAsync("/agents/discover?capability=find-me")).GetProperty("agents").Texts("id").ShouldBe(["finder"]);
        (await app.GetAsync("/agents/discover?capability=second-finder")).GetProperty("total").GetInt64().ShouldBe(1);
        (await app.PostAsync("/agents/discover", new { capability = "find-me" }, 200)).GetProperty("agents").Texts("id").ShouldBe(["finder"]);
        (await app.GetAsync("/agents/discover?capability=find")).GetProperty("total").GetInt64().ShouldBe(0);
        foreach (var path in (string[])["/agents/discover", "/agents/discover?capability=&deployment_type="])
            (await app.GetAsync(path)).GetProperty("agents").Texts("id").ShouldContain("incapable");
        (await app.PostAsync("/agents/discover", new { }, 422)).Faults().ShouldBe(["body.capability"]);
    }

    [Fact]
    public async Task Discovery_keeps_to_the_cost_or_prefers_local_models()
    {
        var dear = new { big = new { provider = "p", model_id = "m", status = "active", cost = new { input = 10, output = 30 } } };
        await RegisterAsync("cost-cheap", s_models, ["priced"]);
        await RegisterAsync("cost-dear", dear, ["priced"]);
        await RegisterAsync("cost-none", primary: ["priced"]);
        await RegisterAsync("cost-local", new { own = new { provider = "p", model_id = "m", status = "active", cost = new { input = 100 }, local = true } }, ["priced"]);

        async Task<string> Find(string query) => string.Join(',', (await app.GetAsync("/agents/discover?capability=priced" + query)).GetProperty("agents").Texts("id"));
        (await Find("")).ShouldBe("cost-cheap,cost-dear,cost-local,cost-none");
        (await Find("&max_cost=0.2")).ShouldBe("cost-cheap,cost-none");
        (await Find("&max_cost=0.1")).ShouldBe("cost-none");
        (await Find("&max_cost=20")).ShouldBe("cost-cheap,cost-dear,cost-none");
        (await Find("&max_cost=0.1&prefer_local=true")).ShouldBe("cost-cheap,cost-local,cost-none");
        (await Find("&prefer_local=true")).ShouldBe("cost-cheap,cost-dear,cost-local,cost-none");
        (await Find("&deployment_type=self_hosted")).ShouldBe("");
    }

    [Fact]
    public async Task A_silent_agent_is_not_active_and_keeps_its_status()
    {
        await RegisterAsync("silent", primary: ["quiet"]);
        await BeatAsync("silent");
        await app.ScalarAsync<string>("UPDATE dhg.agents SET last_heartbeat = now() - interval '301 seconds', updated_at = now() - interval '301 seconds' WHERE id = 'silent' RETURNING id");

        (await app.GetAsync("/agents/discover?capability=quiet")).GetProperty("total").GetInt64().ShouldBe(0);
        (await app.GetAsync("/agents/silent")).Text("status").ShouldBe("healthy");
        var patient = await app.StartAsync(new Dictionary<string, string> { ["Dhg:HeartbeatTimeoutSeconds"] = "3600" });
        using var response = await patient.GetAsync(DataRegistryApp.Base + "/agents/discover?capability=quiet");
        (await DataRegistryApp.ReadAsync(response, 200)).GetProperty("total").GetInt64().ShouldBe(1);
        await BeatAsync("silent");
        (await app.GetAsync("/agents/discover?capability=quiet")).GetProperty("total").GetInt64().ShouldBe(1);
    }

    [Fact]
    public async Task Old_heartbeats_are_pruned_and_newer_ones_stay()
    {
        await RegisterAsync("pruned");
        await BeatAsync("pruned");
        await app.ScalarAsync<string>("""
            WITH old AS (INSERT INTO dhg.agent_heartbeats (agent_id, status, timestamp) SELECT 'pruned', 'healthy', now() - interval '31 days' FROM generate_series(1, 10500) RETURNING 1)
            SELECT count(*)::text FROM old
            """);

        (await app.Service<AgentDirectoryStore>().PruneHeartbeatsAsync(default)).ShouldBe(10_500);
        (await app.ScalarAsync<long>("SELECT count(*) FROM dhg.agent_heartbeats WHERE agent_id = 'pruned'")).ShouldBe(1);
    }

    [Fact]
    public async Task A_deleted_agent_is_gone_with_its_heartbeats()
    {
        await RegisterAsync("leaving");
        await BeatAsync("leaving");

        (await app.SendAsync(HttpMethod.Delete, "/agents/leaving", null, 200)).Text("status").ShouldBe("deregistered");
        (await app.SendAsync(HttpMethod.Delete, "/agents/leaving", null, 404)).Text("detail").ShouldBe("Agent leaving not found");
        (await app.GetAsync("/agents/leaving", 404)).Text("detail").ShouldBe("Agent leaving not found");
        (await app.ScalarAsync<long>("SELECT count(*) FROM dhg.agent_heartbeats WHERE agent_id = 'leaving'")).ShouldBe(0);
    }

    [Theory]
    [InlineData("""{}""", "body.service")]
    [InlineData("""{"service":null}""", "body.service")]
    [InlineData("""{"service":[]}""", "body.service")]
    [InlineData("""{"service":{"id":"Capital","name":"n","version":"1","division":"DHG","type":"specialized_agent"}}""", "body.service.id,body.service.division,body.service.type")]
    [InlineData("""{"service":{"id":"discover","name":"n","version":"1","division":"DHG AI","type":"orchestrator"}}""", "body.service.id")]
    [InlineData("""{"service":{"id":"","name":"n","version":"1","division":"DHG AI","type":"orchestrator","deployment_type":"moon"},"models":{"m":null,"k":{"provider":"p","cost":{"input":"x"}}}}""",
        "body.service.id,body.service.deployment_type,body.models.m,body.models.k.cost.input,body.models.k.model_id,body.models.k.status")]
    [InlineData("""{"service":{"id":"a","name":"n","version":"1","division":"DHG AI","type":"orchestrator"},"external_apis":[{"name":"n"}],"capabilities":{"primary":[1]},"observability":{}}""",
        "body.capabilities.primary.0,body.external_apis.0.type,body.external_apis.0.endpoint,body.observability.langsmith_project")]
    public async Task Bad_registrations_are_422_with_every_fault(string body, string places) =>
        string.Join(',', (await app.SendAsync(HttpMethod.Post, "/agents/register", body, 422)).Faults()).ShouldBe(places);

    [Fact]
    public async Task Bad_heartbeats_are_422()
    {
        await RegisterAsync("strict");

        (await app.PostAsync("/agents/strict/heartbeat", new { status = "fine", timestamp = "yesterday", metrics = new { requests_total = "x" } }, 422)).Faults()
            .ShouldBe(["body.timestamp", "body.status", "body.metrics.requests_total"]);
    }

    [Fact]
    public void Wrong_settings_are_told_at_once()
    {
        var configuration = new Microsoft.Extensions.Configuration.ConfigurationManager { ["Dhg:HeartbeatTimeoutSeconds"] = "soon", ["Dhg:MaxSockets"] = "-1" };

        Should.Throw<InvalidOperationException>(() => DataRegistryOptions.FromConfiguration(configuration)).Message
            .ShouldBe("Dhg__HeartbeatTimeoutSeconds=soon is not a number from 1 to 31536000; Dhg__MaxSockets=-1 is not a number from 0 to 100000");
    }
}
