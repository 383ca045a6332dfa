using System.Diagnostics.CodeAnalysis;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.LocalRuntime;
using FunctionsRegistry.Tests.LocalRuntime;
using FunctionsRegistry.Tests.Support;
using Microsoft.AspNetCore.Http;

namespace FunctionsRegistry.Tests.Durable;

/// <summary>A hub and a runtime for the class.</summary>
public sealed class ManagementApp(Support.TestServices services) : DurableHub(services)
{
    internal RuntimeApp App { get; private set; } = null!;

    public override async ValueTask InitializeAsync()
    {
        await base.InitializeAsync();
        App = await StartAsync([typeof(ManagementTests.Functions)], host: """ "extensions": { "durableTask": { "hubName": "MyHub" } } """);
    }

    public override async ValueTask DisposeAsync()
    {
        await App.DisposeAsync();
        await base.DisposeAsync();
    }
}

/// <summary>What a client may do with instances, through the client and over HTTP.</summary>
public sealed class ManagementTests(ManagementApp hub) : IClassFixture<ManagementApp>
{
    private const string Base = "/runtime/webhooks/durabletask";
    private readonly RuntimeApp _app = hub.App;
    private readonly DurableTaskClient _client = hub.App.Durable();

    [Fact]
    public async Task A_suspended_instance_works_on_nothing_until_it_is_resumed()
    {
        var id = await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.two_events));
        await _client.WaitForInstanceStartAsync(id);

        await _client.SuspendInstanceAsync(id, "lunch");
        await StatusAsync(id, OrchestrationRuntimeStatus.Suspended);
        await _client.RaiseEventAsync(id, "first", 1);
        await _client.RaiseEventAsync(id, "second", 2);
        await Eventually.UntilAsync(async () =>
            await hub.ScalarAsync<long>("SELECT count(*) FROM durable.messages WHERE instance_id = $1", id) == 0);
        (await _client.GetInstanceAsync(id, true))!.ShouldSatisfyAllConditions(
            found => found.RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Suspended), found => found.SerializedCustomStatus.ShouldBeNull());

        await _client.ResumeInstanceAsync(id);
        (await _client.EndOfAsync(id)).ReadOutputAs<int>().ShouldBe(3);
    }

    [Fact]
    public async Task Terminate_ends_an_instance_and_only_if_asked_its_children()
    {
        var kept = await ParentAsync();
        await _client.TerminateInstanceAsync(kept, new TerminateInstanceOptions(new { Why = "test" }));
        var end = await _client.EndOfAsync(kept);
        end.RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Terminated);
        end.SerializedOutput.ShouldBe("""{"Why":"test"}""");
        (await _client.GetInstanceAsync(kept + "-1"))!.IsCompleted.ShouldBeFalse();

        var all = await ParentAsync();
        await _client.TerminateInstanceAsync(all, new TerminateInstanceOptions(Recursive: true));
        (await _client.EndOfAsync(all)).RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Terminated);
        (await _client.EndOfAsync(all + "-1")).RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Terminated);
        (await _client.EndOfAsync(all + "-1-0")).RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Terminated);

        await _client.TerminateInstanceAsync(all, "again");
        (await _client.GetInstanceAsync(all))!.RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Terminated);
    }

    [Fact]
    public async Task A_terminated_child_fails_its_parent_s_task()
    {
        var parent = await ParentAsync();
        await _client.TerminateInstanceAsync(parent + "-1-0", "x");

        (await _client.EndOfAsync(parent)).FailureDetails!.ErrorMessage.ShouldContain("was terminated");
    }

    [Fact]
    public async Task Purge_removes_what_is_over_and_nothing_else()
    {
        var done = await _app.RunAsync(nameof(Functions.echo), "x");
        var busy = await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.two_events));

        (await _client.PurgeInstanceAsync(busy)).PurgedInstanceCount.ShouldBe(0);
        (await _client.PurgeInstanceAsync(done.InstanceId)).PurgedInstanceCount.ShouldBe(1);
        (await _client.PurgeInstanceAsync(done.InstanceId)).PurgedInstanceCount.ShouldBe(0);

        (await _client.GetInstanceAsync(done.InstanceId)).ShouldBeNull();
        (await _client.GetInstanceAsync(busy)).ShouldNotBeNull();
        await _client.TerminateInstanceAsync(busy);
        await _client.EndOfAsync(busy);
    }

    [Fact]
    public async Task Purge_with_children_removes_the_tree_and_by_filter_only_what_matches()
    {
        var parent = await ParentAsync();
        await _client.TerminateInstanceAsync(parent, new TerminateInstanceOptions(Recursive: true));
        await _client.EndOfAsync(parent + "-1-0");
        (await _client.PurgeInstanceAsync(parent, new PurgeInstanceOptions(Recursive: true))).PurgedInstanceCount.ShouldBe(3);

        var failed = await _app.RunAsync(nameof(Functions.fails));
        var fine = await _app.RunAsync(nameof(Functions.echo), "y");
        var filter = new PurgeInstancesFilter(failed.CreatedAt, fine.CreatedAt, [OrchestrationRuntimeStatus.Failed, OrchestrationRuntimeStatus.Running]);
        (await _client.PurgeAllInstancesAsync(filter)).PurgedInstanceCount.ShouldBe(1);
        (await _client.GetInstanceAsync(failed.InstanceId)).ShouldBeNull();
        (await _client.GetInstanceAsync(fine.InstanceId)).ShouldNotBeNull();
        (await hub.ScalarAsync<long>("SELECT count(*) FROM durable.history h LEFT JOIN durable.instances i USING (execution) WHERE i.instance_id IS NULL")).ShouldBe(0);
    }

    [Fact]
    public async Task Queries_filter_and_page_in_order_of_creation()
    {
        var prefix = $"page-{Guid.CreateVersion7():N}-";
        var ids = new List<string>();
        for (var i = 0; i < 7; i++)
            ids.Add((await _app.RunAsync(i == 3 ? nameof(Functions.fails) : nameof(Functions.echo), "z", prefix + (9 - i))).InstanceId);

        var pages = new List<Page<OrchestrationMetadata>>();
        await foreach (var page in _client.GetAllInstancesAsync(new OrchestrationQuery(InstanceIdPrefix: prefix, PageSize: 3, FetchInputsAndOutputs: true)).AsPages())
            pages.Add(page);

        pages.Select(page => page.Values.Count).ShouldBe([3, 3, 1]);
        pages.SelectMany(page => page.Values).Select(found => found.InstanceId).ShouldBe(ids);
        pages[0].Values[0].ReadInputAs<string>().ShouldBe("z");
        pages[2].ContinuationToken.ShouldBeNull();

        var failed = _client.GetAllInstancesAsync(new OrchestrationQuery(InstanceIdPrefix: prefix, Statuses: [OrchestrationRuntimeStatus.Failed]));
        var found = new List<OrchestrationMetadata>();
        await foreach (var one in failed)
            found.Add(one);
        found.ShouldHaveSingleItem().InstanceId.ShouldBe(ids[3]);
        Should.Throw<InvalidOperationException>(() => found[0].ReadInputAs<string>()).Message.ShouldContain("getInputsAndOutputs");
    }

    [Fact]
    public async Task Restart_runs_again_with_the_same_input_under_the_same_or_a_new_id()
    {
        var first = await _app.RunAsync(nameof(Functions.echo), "again");

        (await _client.RestartAsync(first.InstanceId)).ShouldBe(first.InstanceId);
        var second = await _client.EndOfAsync(first.InstanceId);
        second.CreatedAt.ShouldBeGreaterThan(first.CreatedAt);
        var third = await _client.RestartAsync(first.InstanceId, restartWithNewInstanceId: true);
        third.ShouldNotBe(first.InstanceId);
        (await _client.EndOfAsync(third)).ReadOutputAs<string>().ShouldBe("again");

        await Should.ThrowAsync<ArgumentException>(() => _client.RestartAsync("no-such-instance"));
        var busy = await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.two_events));
        await Should.ThrowAsync<InvalidOperationException>(() => _client.RestartAsync(busy));
    }

    [Fact]
    public async Task An_id_is_taken_while_its_instance_runs_and_free_when_it_is_over()
    {
        var id = "taken-" + Guid.CreateVersion7();
        var options = new StartOrchestrationOptions(id);
        await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.two_events), options);
        (await Should.ThrowAsync<InvalidOperationException>(() => _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.echo), "1", options)))
            .Message.ShouldContain(id);

        await _client.TerminateInstanceAsync(id);
        await _client.EndOfAsync(id);
        await Should.ThrowAsync<InvalidOperationException>(() => _client.ScheduleNewOrchestrationInstanceAsync(
            nameof(Functions.echo), "2", options.WithDedupeStatuses(OrchestrationRuntimeStatus.Terminated)));
        await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.echo), "3", options);
        (await _client.EndOfAsync(id)).ReadOutputAs<string>().ShouldBe("3");

        // Allowed to replace what runs, it does.
        var waits = "replaced-" + Guid.CreateVersion7();
        await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.two_events), new StartOrchestrationOptions(waits));
        await _client.WaitForInstanceStartAsync(waits);
        await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.echo), "4", new StartOrchestrationOptions(waits) { DedupeStatuses = [] });
        (await _client.EndOfAsync(waits)).ReadOutputAs<string>().ShouldBe("4");
    }

    [Fact]
    public async Task Of_many_who_schedule_one_id_at_once_one_wins()
    {
        var options = new StartOrchestrationOptions("race-" + Guid.CreateVersion7());

        var outcomes = await Task.WhenAll(Enumerable.Range(0, 20).Select(async number =>
        {
            try
            {
                await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.two_events), number, options);
                return true;
            }
            catch (InvalidOperationException)
            {
                return false;
            }
        }));

        outcomes.Count(won => won).ShouldBe(1);
    }

    [Fact]
    public async Task Rewind_tries_what_failed_again_and_keeps_what_succeeded()
    {
        Functions.Broken = true;
        var id = (await _app.RunAsync(nameof(Functions.breaks), "rewind")).InstanceId;
        (await _client.GetInstanceAsync(id))!.RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Failed);

        Functions.Broken = false;
        (await SendAsync(HttpMethod.Post, $"/instances/{id}/rewind?reason=mended")).Status.ShouldBe(202);

        (await _client.EndOfAsync(id)).ReadOutputAs<int[]>().ShouldBe([1, 3, 10, 20, 30, 5]);
        Functions.Calls[id + 1].ShouldBe(1);
        Functions.Calls[id + 10].ShouldBe(1);
        // One was caught by the orchestrator, which acted on it: that one stays.
        Functions.Calls[id + 2].ShouldBe(1);
        Functions.Calls[id + 20].ShouldBe(2);
        (await _client.EndOfAsync(id + "-child")).RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Completed);

        await Should.ThrowAsync<InvalidOperationException>(() => _client.RewindInstanceAsync(id, "again"));
        await Should.ThrowAsync<ArgumentException>(() => _client.RewindInstanceAsync("no-such-instance", ""));
        (await SendAsync(HttpMethod.Post, $"/instances/{id}/rewind")).Status.ShouldBe(410);
        (await SendAsync(HttpMethod.Post, "/instances/no-such-instance/rewind")).Status.ShouldBe(404);
        var busy = await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.two_events));
        (await SendAsync(HttpMethod.Post, $"/instances/{busy}/rewind")).Status.ShouldBe(400);
    }

    [Fact]
    public async Task Rewind_of_an_orchestrator_that_throws_runs_its_mended_code()
    {
        Functions.Broken = true;
        var end = await _app.RunAsync(nameof(Functions.throws_when_broken), "x");
        await _client.RewindInstanceAsync(end.InstanceId, "not mended");
        (await _client.EndOfAsync(end.InstanceId)).RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Failed);

        Functions.Broken = false;
        await _client.RewindInstanceAsync(end.InstanceId, "mended");
        (await _client.EndOfAsync(end.InstanceId)).RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Completed);
    }

    [Theory]
    [InlineData("@x", "begins with '@'")]
    [InlineData("a/b", "contains one of")]
    [InlineData("a\\b", "contains one of")]
    [InlineData("a#b", "contains one of")]
    [InlineData("a?b", "contains one of")]
    [InlineData("a\u0001b", "control character")]
    [InlineData("", "is empty")]
    public async Task Ids_that_cannot_stand_in_a_url_are_refused(string id, string problem) =>
        (await Should.ThrowAsync<ArgumentException>(() => _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.echo), new StartOrchestrationOptions(id))))
            .Message.ShouldContain(problem);

    [Fact]
    public async Task Http_starts_an_instance_tells_where_to_ask_and_answers_there()
    {
        var (status, start, headers) = await SendAsync(HttpMethod.Post, "/orchestrators/two_events/http-1", """{"a": 1}""");

        status.ShouldBe(202);
        headers.RetryAfter!.Delta.ShouldBe(TimeSpan.FromSeconds(10));
        var instance = $"{_app.Client.BaseAddress!.GetLeftPart(UriPartial.Authority)}{Base}/instances/http-1";
        const string Query = "taskHub=MyHub&connection=Storage";
        start.GetProperty("id").GetString().ShouldBe("http-1");
        start.GetProperty("statusQueryGetUri").GetString().ShouldBe($"{instance}?{Query}");
        headers.Location!.ToString().ShouldBe($"{instance}?{Query}");
        start.GetProperty("sendEventPostUri").GetString().ShouldBe($"{instance}/raiseEvent/{{eventName}}?{Query}");
        start.GetProperty("terminatePostUri").GetString().ShouldBe($"{instance}/terminate?reason={{text}}&{Query}");
        start.GetProperty("suspendPostUri").GetString().ShouldBe($"{instance}/suspend?reason={{text}}&{Query}");
        start.GetProperty("resumePostUri").GetString().ShouldBe($"{instance}/resume?reason={{text}}&{Query}");
        start.GetProperty("purgeHistoryDeleteUri").GetString().ShouldBe($"{instance}?{Query}");
        start.GetProperty("restartPostUri").GetString().ShouldBe($"{instance}/restart?{Query}");

        await _client.WaitForInstanceStartAsync("http-1");
        var (running, found, runningHeaders) = await SendAsync(HttpMethod.Get, "/instances/http-1");
        running.ShouldBe(202);
        runningHeaders.RetryAfter!.Delta.ShouldBe(TimeSpan.FromSeconds(5));
        runningHeaders.Location!.ToString().ShouldBe(instance);
        found.EnumerateObject().Select(member => member.Name).ShouldBe(
            ["name", "instanceId", "runtimeStatus", "input", "customStatus", "output", "createdTime", "lastUpdatedTime"]);
        found.GetProperty("runtimeStatus").GetString().ShouldBe("Running");
        found.GetProperty("input").GetProperty("a").GetInt32().ShouldBe(1);
        found.GetProperty("output").ValueKind.ShouldBe(JsonValueKind.Null);
        found.GetProperty("createdTime").GetString()!.ShouldMatch(@"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$");

        (await SendAsync(HttpMethod.Post, "/instances/http-1/raiseEvent/first", "1")).Status.ShouldBe(202);
        (await SendAsync(HttpMethod.Post, "/instances/http-1/RAISEEVENT/Second", "2")).Status.ShouldBe(202);
        await _client.EndOfAsync("http-1");
        var (done, end, _) = await SendAsync(HttpMethod.Get, "/instances/http-1?showHistory=true&showHistoryOutput=true&showInput=false");
        done.ShouldBe(200);
        end.GetProperty("output").GetInt32().ShouldBe(3);
        end.GetProperty("customStatus").GetString().ShouldBe("got first");
        end.GetProperty("input").ValueKind.ShouldBe(JsonValueKind.Null);
        end.GetProperty("historyEvents").EnumerateArray().Select(one => one.GetProperty("EventType").GetString()).ShouldBe(
            ["ExecutionStarted", "EventRaised", "EventRaised", "TaskCompleted", "ExecutionCompleted"]);
        end.GetProperty("historyEvents")[3].GetProperty("FunctionName").GetString().ShouldBe("add");
        end.GetProperty("historyEvents")[3].GetProperty("Result").GetInt32().ShouldBe(3);
        end.GetProperty("historyEvents")[3].GetProperty("ScheduledTime").GetDateTime().ShouldBeLessThanOrEqualTo(
            end.GetProperty("historyEvents")[3].GetProperty("Timestamp").GetDateTime());

        foreach (var action in (string[])["raiseEvent/x", "terminate", "suspend", "resume"])
            (await SendAsync(HttpMethod.Post, $"/instances/http-1/{action}", "1")).Status.ShouldBe(410, action);
        (await SendAsync(HttpMethod.Delete, "/instances/http-1")).Body.GetProperty("instancesDeleted").GetInt32().ShouldBe(1);
        (await SendAsync(HttpMethod.Delete, "/instances/http-1")).Status.ShouldBe(404);
        (await SendAsync(HttpMethod.Get, "/instances/http-1")).Status.ShouldBe(404);
    }

    [Fact]
    public async Task Http_waits_for_the_output_when_told_how_long()
    {
        var (status, body, _) = await SendAsync(HttpMethod.Post, "/orchestrators/echo?timeout=10&pollingInterval=1", "\"now\"");
        status.ShouldBe(200);
        body.GetString().ShouldBe("now");

        (await SendAsync(HttpMethod.Post, "/orchestrators/two_events?timeout=0.1&pollingInterval=1", "1")).Status.ShouldBe(202);
        (await SendAsync(HttpMethod.Post, "/orchestrators/fails?timeout=10&pollingInterval=1")).Body.GetProperty("runtimeStatus").GetString().ShouldBe("Failed");
    }

    [Fact]
    public async Task Http_shows_failures_as_200_or_500_as_asked()
    {
        var end = await _app.RunAsync(nameof(Functions.fails));

        var (status, body, _) = await SendAsync(HttpMethod.Get, $"/instances/{end.InstanceId}");
        status.ShouldBe(200);
        body.GetProperty("output").GetString()!.ShouldContain("on purpose");
        (await SendAsync(HttpMethod.Get, $"/instances/{end.InstanceId}?returnInternalServerErrorOnFailure=true")).Status.ShouldBe(500);
    }

    [Fact]
    public async Task Http_suspends_resumes_terminates_and_restarts()
    {
        await SendAsync(HttpMethod.Post, "/orchestrators/two_events/http-2", "1");
        (await SendAsync(HttpMethod.Post, "/instances/http-2/suspend?reason=a")).Status.ShouldBe(202);
        await StatusAsync("http-2", OrchestrationRuntimeStatus.Suspended);
        (await SendAsync(HttpMethod.Get, "/instances/http-2")).Status.ShouldBe(202);
        (await SendAsync(HttpMethod.Post, "/instances/http-2/resume")).Status.ShouldBe(202);
        await StatusAsync("http-2", OrchestrationRuntimeStatus.Running);
        (await SendAsync(HttpMethod.Post, "/instances/http-2/restart?restartWithNewInstanceId=false")).Status.ShouldBe(409);
        (await SendAsync(HttpMethod.Post, "/instances/http-2/terminate?reason=enough")).Status.ShouldBe(202);
        (await _client.EndOfAsync("http-2")).ReadOutputAs<string>().ShouldBe("enough");

        var (status, body, _) = await SendAsync(HttpMethod.Post, "/instances/http-2/restart");
        status.ShouldBe(202);
        body.GetProperty("id").GetString().ShouldNotBe("http-2");
        var history = (await SendAsync(HttpMethod.Get, "/instances/http-2?showHistory=true")).Body.GetProperty("historyEvents").EnumerateArray().ToList();
        history.Single(one => one.GetProperty("EventType").GetString() == "ExecutionSuspended").GetProperty("Reason").GetString().ShouldBe("a");
    }

    [Fact]
    public async Task Http_lists_pages_and_purges_by_time()
    {
        var prefix = $"list-{Guid.CreateVersion7():N}-";
        for (var i = 0; i < 5; i++)
            await _app.RunAsync(i == 0 ? nameof(Functions.fails) : nameof(Functions.echo), i, prefix + i);

        var seen = new List<string>();
        var token = "";
        do
        {
            var (status, body, headers) = await SendAsync(HttpMethod.Get, $"/instances?instanceIdPrefix={prefix}&top=2&runtimeStatus=Completed,Failed", null, token);
            status.ShouldBe(200);
            seen.AddRange(body.EnumerateArray().Select(one => one.GetProperty("instanceId").GetString()!));
            token = headers.GetValues("x-ms-continuation-token").Single();
        }
        while (token.Length > 0);
        seen.ShouldBe(Enumerable.Range(0, 5).Select(i => prefix + i));
        (await SendAsync(HttpMethod.Get, $"/instances?instanceIdPrefix={prefix}&runtimeStatus=Failed&runtimeStatus=Pending")).Body.GetArrayLength().ShouldBe(1);

        var from = (await _client.GetInstanceAsync(prefix + 0))!.CreatedAt.ToString("O");
        var to = (await _client.GetInstanceAsync(prefix + 4))!.CreatedAt.ToString("O");
        var range = $"createdTimeFrom={Uri.EscapeDataString(from)}&createdTimeTo={Uri.EscapeDataString(to)}";
        (await SendAsync(HttpMethod.Delete, $"/instances?{range}&runtimeStatus=Failed")).Body.GetProperty("instancesDeleted").GetInt32().ShouldBe(1);
        (await SendAsync(HttpMethod.Delete, $"/instances?{range}&runtimeStatus=Terminated")).Status.ShouldBe(404);
        (await SendAsync(HttpMethod.Get, $"/instances?instanceIdPrefix={prefix}")).Body.GetArrayLength().ShouldBe(4);
    }

    [Theory]
    [InlineData("POST", "/orchestrators/no_such", "1", 400, "no_such")]
    [InlineData("POST", "/orchestrators/echo", "{", 400, "not valid JSON")]
    [InlineData("POST", "/orchestrators/echo/@id", "1", 400, "begins with")]
    [InlineData("POST", "/orchestrators/echo?timeout=x&pollingInterval=1", "1", 400, "timeout")]
    [InlineData("POST", "/instances/none/raiseEvent/x", "1", 404, null)]
    [InlineData("POST", "/instances/none/terminate", null, 404, null)]
    [InlineData("POST", "/instances/none/suspend", null, 404, null)]
    [InlineData("POST", "/instances/none/restart", null, 400, "none")]
    [InlineData("POST", "/instances/none/unknown", null, 404, null)]
    [InlineData("GET", "/instances/a%01b", null, 404, null)]
    [InlineData("GET", "/instances/none", null, 404, null)]
    [InlineData("GET", "/instances/none?showHistory=maybe", null, 400, "showHistory")]
    [InlineData("GET", "/instances?top=0", null, 400, "top")]
    [InlineData("GET", "/instances?runtimeStatus=Sleeping", null, 400, "Sleeping")]
    [InlineData("GET", "/instances?createdTimeFrom=yesterday", null, 400, "createdTimeFrom")]
    [InlineData("GET", "/instances?instanceIdPrefix=a%00", null, 400, "instanceIdPrefix")]
    [InlineData("GET", "/instances/none?taskHub=Other", null, 404, "Other")]
    [InlineData("DELETE", "/instances", null, 400, "createdTimeFrom")]
    [InlineData("PUT", "/instances/none", null, 404, null)]
    [InlineData("GET", "/nothing", null, 404, null)]
    [InlineData("GET", "", null, 404, null)]
    public async Task Http_says_what_is_wrong_with_a_request(string method, string path, string? body, int expected, string? says)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), Base + path)
        {
            Content = body is null ? null : new StringContent(body, Encoding.UTF8, "application/json"),
        };
        using var response = await _app.Client.SendAsync(request);

        ((int)response.StatusCode).ShouldBe(expected);
        var text = await response.Content.ReadAsStringAsync();
        if (says is not null)
            JsonDocument.Parse(text).RootElement.GetProperty("Message").GetString()!.ShouldContain(says);
    }

    [Fact]
    public async Task Http_takes_events_as_json_only_and_no_huge_bodies_and_no_broken_tokens()
    {
        var id = await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.two_events));
        using var text = new StringContent("1", Encoding.UTF8, "text/plain");
        using var plain = await _app.Client.PostAsync($"{Base}/instances/{id}/raiseEvent/x", text);
        plain.StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await SendAsync(HttpMethod.Post, $"/instances/{id}/raiseEvent/x", "{\"a\":")).Status.ShouldBe(400);
        using var huge = new HttpRequestMessage(HttpMethod.Post, $"{Base}/instances/{id}/raiseEvent/x")
        {
            Content = new StringContent($"\"{new string('a', 2 << 20)}\"", Encoding.UTF8, "application/json"),
            // Otherwise the connection may break before the answer is read, because the server does not wait for the rest.
            Headers = { ExpectContinue = true },
        };
        using var refused = await _app.Client.SendAsync(huge);
        refused.StatusCode.ShouldBe(HttpStatusCode.RequestEntityTooLarge);
        (await SendAsync(HttpMethod.Get, "/instances", null, "rubbish")).Status.ShouldBe(400);
        (await SendAsync(HttpMethod.Get, "/instances", null, "MTIzfHg")).Status.ShouldBe(200);
    }

    [Fact]
    public async Task Functions_outside_the_prefix_are_not_shadowed() => (await _app.GetAsync("/api/hello")).ShouldBe((200, "\"no\""));

    [Fact]
    public async Task The_system_key_is_required_where_one_is_configured()
    {
        await using var app = await hub.StartAsync([typeof(Functions)], args: "--Durable:SystemKey=s3cret&");

        (await app.GetAsync(Base + "/instances")).Status.ShouldBe(401);
        (await app.GetAsync(Base + "/instances?code=wrong")).Status.ShouldBe(401);
        (await app.GetAsync(Base + "/instances?top=1&code=s3cret%26")).Status.ShouldBe(200);
        using var request = new HttpRequestMessage(HttpMethod.Post, Base + "/orchestrators/echo") { Headers = { { "x-functions-key", "s3cret&" } } };
        using var response = await app.Client.SendAsync(request);
        response.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        response.Headers.Location!.ToString().ShouldEndWith("&code=s3cret%26");
        using var followed = await app.Client.GetAsync(response.Headers.Location);
        followed.IsSuccessStatusCode.ShouldBeTrue();
    }

    private async Task<string> ParentAsync()
    {
        var id = "parent-" + Guid.CreateVersion7();
        await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.nests), 2, new StartOrchestrationOptions(id));
        await Eventually.UntilAsync(async () => await _client.GetInstanceAsync(id + "-1-0") is { RuntimeStatus: OrchestrationRuntimeStatus.Running });
        return id;
    }

    private Task StatusAsync(string id, OrchestrationRuntimeStatus status) =>
        Eventually.UntilAsync(async () => (await _client.GetInstanceAsync(id))!.RuntimeStatus == status);

    private async Task<(int Status, JsonElement Body, HttpResponseHeaders Headers)> SendAsync(
        HttpMethod method, string path, string? json = null, string? token = null)
    {
        using var request = new HttpRequestMessage(method, Base + path);
        if (json is not null)
            request.Content = new StringContent(json, Encoding.UTF8, "application/json");
        if (!string.IsNullOrEmpty(token))
            request.Headers.Add("x-ms-continuation-token", token);
        using var response = await _app.Client.SendAsync(request);
        var text = await response.Content.ReadAsStringAsync();
        return ((int)response.StatusCode, text.Length == 0 ? default : JsonDocument.Parse(text).RootElement, response.Headers);
    }

    [SuppressMessage("Style", "IDE1006", Justification = "Functions are named so.")]
    public sealed class Functions
    {
        [Function(nameof(echo))]
        public static async Task<object?> echo([OrchestrationTrigger] TaskOrchestrationContext context)
        {
            await context.CallActivityAsync(nameof(add), new[] { 1, 2 });
            return context.GetInput<object>();
        }

        [Function(nameof(fails))]
        public static void fails([OrchestrationTrigger] TaskOrchestrationContext context) => throw new InvalidOperationException("on purpose");

        public static bool Broken { get; set; }

        public static System.Collections.Concurrent.ConcurrentDictionary<string, int> Calls { get; } = new();

        [Function(nameof(breaks))]
        public static async Task<int[]> breaks([OrchestrationTrigger] TaskOrchestrationContext context)
        {
            var results = new List<int> { await context.CallActivityAsync<int>(nameof(breaking), new Part(context.InstanceId, 1, false)) };
            try
            {
                await context.CallActivityAsync<int>(nameof(breaking), new Part(context.InstanceId, 2, true));
            }
            catch (TaskFailedException)
            {
                results.Add(await context.CallActivityAsync<int>(nameof(breaking), new Part(context.InstanceId, 3, false)));
            }
            results.AddRange(await Task.WhenAll(new[] { 10, 20, 30 }.Select(number =>
                context.CallActivityAsync<int>(nameof(breaking), new Part(context.InstanceId, number, number >= 20)))));
            results.Add(await context.CallSubOrchestratorAsync<int>(
                nameof(breaking_child), context.InstanceId, new SubOrchestrationOptions(instanceId: context.InstanceId + "-child")));
            return [.. results];
        }

        [Function(nameof(breaking_child))]
        public static async Task<int> breaking_child([OrchestrationTrigger] TaskOrchestrationContext context, string instance) =>
            await context.CallActivityAsync<int>(nameof(breaking), new Part(instance, 5, false));

        public sealed record Part(string Instance, int Number, bool Breaks);

        [Function(nameof(breaking))]
        public static int breaking([ActivityTrigger] Part call)
        {
            Calls.AddOrUpdate(call.Instance + call.Number, 1, (_, count) => count + 1);
            return call.Breaks && (Broken || call.Number == 2) ? throw new InvalidOperationException("broken") : call.Number;
        }

        [Function(nameof(throws_when_broken))]
        public static async Task throws_when_broken([OrchestrationTrigger] TaskOrchestrationContext context)
        {
            await context.CallActivityAsync<int>(nameof(add), new[] { 1 });
            if (Broken)
                throw new InvalidOperationException("broken");
            await context.CallActivityAsync<int>(nameof(add), new[] { 2 });
        }

        [Function(nameof(two_events))]
        public static async Task<int> two_events([OrchestrationTrigger] TaskOrchestrationContext context)
        {
            var first = await context.WaitForExternalEvent<int>("first");
            context.SetCustomStatus("got first");
            return await context.CallActivityAsync<int>(nameof(add), new[] { first, await context.WaitForExternalEvent<int>("second") });
        }

        [Function(nameof(add))]
        public static int add([ActivityTrigger] int[] numbers) => numbers.Sum();

        [Function(nameof(nests))]
        public static async Task nests([OrchestrationTrigger] TaskOrchestrationContext context, int depth)
        {
            if (depth == 0)
                await context.WaitForExternalEvent<int>("never");
            else
                await context.CallSubOrchestratorAsync(nameof(nests), depth - 1, new SubOrchestrationOptions(instanceId: $"{context.InstanceId}-{depth - 1}"));
        }

        [Function("zz_hello")]
        public static async Task<IResult> Hello(
            [HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "hello")] HttpRequest request, [DurableClient] DurableTaskClient client) =>
            Results.Json(await client.GetInstanceAsync("x") is null ? "no" : "yes");
    }
}
