using System.Text.Json;

namespace FunctionsRegistry.Tests.DataRegistry;

public sealed class ResearchTests(DataRegistryApp app) : IClassFixture<DataRegistryApp>
{
    private async Task<string> CreateAsync(string user = "u1") => (await app.PostAsync("/research/requests", DataRegistryApp.ResearchBody(user))).Text("request_id")!;

    [Fact]
    public async Task A_request_is_created_pending_with_its_defaults()
    {
        var request = await app.PostAsync("/research/requests", DataRegistryApp.ResearchBody());

        request.Names().ShouldBe(["request_id", "user_id", "agent_type", "status", "input_params", "output_summary", "processing_metadata", "created_at",
            "started_at", "completed_at", "error_message"]);
        request.Text("request_id")!.ShouldMatch("^req_[0-9a-f]{12}$");
        (request.Text("agent_type"), request.Text("status")).ShouldBe(("cme_research", "pending"));
        var input = request.GetProperty("input_params");
        (input.GetProperty("max_results").GetInt32(), input.Text("minimum_evidence_level"), input.Text("output_format"), input.GetProperty("use_local_llm").GetBoolean())
            .ShouldBe((50, "LEVEL_3", "cme_proposal", false));
        input.Text("date_range_from").ShouldBe("2024-01-01T00:00:00");
        request.Text("created_at")!.ShouldEndWith("Z");
        (await app.GetAsync($"/research/requests/{request.Text("request_id")}")).GetRawText().ShouldBe(request.GetRawText());
    }

    [Fact]
    public async Task Dates_in_the_input_are_stored()
    {
        var body = JsonSerializer.SerializeToNode(DataRegistryApp.ResearchBody())!;
        body["input_params"]!["due_date"] = "2026-05-01T00:00:00";
        body["input_params"]!["unknown"] = 1;

        var input = (await app.SendAsync(HttpMethod.Post, "/research/requests", body.ToJsonString(), 201)).GetProperty("input_params");
        input.Text("due_date").ShouldBe("2026-05-01T00:00:00Z");
        input.TryGetProperty("unknown", out _).ShouldBeFalse();
    }

    [Fact]
    public async Task An_agent_reports_as_the_real_client_does()
    {
        var id = await CreateAsync();
        var running = await app.PatchAsync($"/research/requests/{id}", new { status = "running" });
        var started = running.Text("started_at");
        started.ShouldNotBeNull();
        var done = await app.PatchAsync($"/research/requests/{id}", new
        {
            status = "completed",
            output_summary = new { gaps_identified = 3, evidence_levels = new { LEVEL_1 = 2 }, output_length = 5 },
            processing_metadata = new { model_used = "m", total_cost = 0.5 },
            completed_at = "2026-11-21T10:00:00.123456",
        });

        (done.Text("status"), done.Text("started_at"), done.Text("completed_at")).ShouldBe(("completed", started, "2026-11-21T10:00:00.123456Z"));
        done.GetProperty("output_summary").GetProperty("evidence_levels").GetProperty("LEVEL_1").GetInt32().ShouldBe(2);
        done.GetProperty("output_summary").TryGetProperty("output_length", out _).ShouldBeFalse();
        (await app.PatchAsync($"/research/requests/{id}", new { status = "running" })).Text("started_at").ShouldBe(started);
    }

    [Fact]
    public async Task Null_clears_and_what_is_not_sent_stays()
    {
        var id = await CreateAsync();
        await app.PatchAsync($"/research/requests/{id}", new { status = "failed", error_message = "broke", output_summary = new { citations_count = 1 }, completed_at = "2026-01-01T00:00:00Z" });
        var cleared = await app.SendAsync(HttpMethod.Patch, $"/research/requests/{id}", """{"error_message":null,"completed_at":null}""", 200);

        cleared.GetProperty("error_message").ValueKind.ShouldBe(JsonValueKind.Null);
        cleared.GetProperty("completed_at").ValueKind.ShouldBe(JsonValueKind.Null);
        (cleared.Text("status"), cleared.GetProperty("output_summary").GetProperty("citations_count").GetInt32()).ShouldBe(("failed", 1));
        (await app.SendAsync(HttpMethod.Patch, $"/research/requests/{id}", """{"output_summary":null}""", 200)).GetProperty("output_summary").ValueKind.ShouldBe(JsonValueKind.Null);
        (await app.SendAsync(HttpMethod.Patch, $"/research/requests/{id}", """{"status":null,"completed_at":"never","output_summary":{"gaps_identified":"x"}}""", 422)).Faults()
            .ShouldBe(["body.status", "body.output_summary.gaps_identified", "body.completed_at"]);
    }

    [Fact]
    public async Task Requests_are_listed_in_pages_newest_first_by_each_filter()
    {
        var ids = new List<string>();
        for (var i = 0; i < 3; i++)
            ids.Insert(0, await CreateAsync("pager"));
        await app.PatchAsync($"/research/requests/{ids[1]}", new { status = "running" });

        var page = await app.GetAsync("/research/requests?user_id=pager&page=2&page_size=2");
        page.GetProperty("requests").Texts("request_id").ShouldBe(ids[2..]);
        (page.GetProperty("total").GetInt64(), page.GetProperty("page").GetInt32(), page.GetProperty("page_size").GetInt32()).ShouldBe((3, 2, 2));
        (await app.GetAsync("/research/requests?user_id=pager&status=running&agent_type=cme_research")).GetProperty("requests").Texts("request_id").ShouldBe([ids[1]]);
        (await app.GetAsync("/research/requests?user_id=pager&status=&agent_type=")).GetProperty("total").GetInt64().ShouldBe(3);
        var beyond = await app.GetAsync("/research/requests?user_id=pager&page=2000000000&page_size=100");
        (beyond.GetProperty("requests").GetArrayLength(), beyond.GetProperty("total").GetInt64()).ShouldBe((0, 3));
    }

    [Fact]
    public async Task A_deleted_request_is_gone()
    {
        var id = await CreateAsync();

        await app.SendAsync(HttpMethod.Delete, $"/research/requests/{id}", null, 204);
        (await app.SendAsync(HttpMethod.Delete, $"/research/requests/{id}", null, 404)).Text("detail").ShouldBe("Research request not found");
        await app.GetAsync($"/research/requests/{id}", 404);
        await app.PatchAsync($"/research/requests/{id}", new { status = "running" }, 404);
    }

    [Theory]
    [InlineData("{}", "body.user_id,body.input_params")]
    [InlineData("""{"user_id":"u","input_params":null}""", "body.input_params")]
    [InlineData("""{"user_id":"u","input_params":{"topic":1,"therapeutic_area":"t","query_type":"q","target_audience":"a","date_range_from":"f","max_results":"x","due_date":"soon","specific_questions":[1]}}""",
        "body.input_params.topic,body.input_params.date_range_to,body.input_params.specific_questions.0,body.input_params.max_results,body.input_params.due_date")]
    public async Task Bad_bodies_are_422_with_every_fault(string body, string places) =>
        string.Join(',', (await app.SendAsync(HttpMethod.Post, "/research/requests", body, 422)).Faults()).ShouldBe(places);

    [Theory]
    [InlineData("page=0", "query.page")]
    [InlineData("page_size=101&page=x", "query.page,query.page_size")]
    public async Task Bad_pages_are_422(string query, string places) =>
        string.Join(',', (await app.GetAsync("/research/requests?" + query, 422)).Faults()).ShouldBe(places);
}
