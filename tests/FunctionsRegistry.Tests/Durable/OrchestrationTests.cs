using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using FunctionsRegistry.LocalRuntime;
using FunctionsRegistry.LocalRuntime.Hosting;
using FunctionsRegistry.Tests.LocalRuntime;
using FunctionsRegistry.Tests.Support;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.Tests.Durable;

/// <summary>A hub and a runtime for the class.</summary>
public sealed class OrchestrationApp(Support.TestServices services) : DurableHub(services)
{
    internal RuntimeApp App { get; private set; } = null!;

    internal ConcurrentDictionary<string, int> Calls { get; } = new();

    internal ConcurrentQueue<string> Middleware { get; } = new();

    public override async ValueTask InitializeAsync()
    {
        await base.InitializeAsync();
        App = await StartAsync([typeof(OrchestrationTests.Functions)], builder =>
        {
            builder.Services.AddSingleton(Calls);
            builder.UseMiddleware(async (context, next) =>
            {
                Middleware.Enqueue($"{context.FunctionDefinition.Name} {context.FunctionDefinition.InputBindings.Values.First().Type} {context.BindingContext.BindingData["instanceId"]}");
                await next();
            });
        });
    }

    public override async ValueTask DisposeAsync()
    {
        await App.DisposeAsync();
        await base.DisposeAsync();
    }
}

public sealed partial class OrchestrationTests(OrchestrationApp hub) : IClassFixture<OrchestrationApp>
{
    private readonly RuntimeApp _app = hub.App;
    private readonly DurableTaskClient _client = hub.App.Durable();

    [Fact]
    public async Task A_sequence_of_activities_passes_results_on()
    {
        var end = await _app.RunAsync(nameof(Functions.sequence), 1);

        end.RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Completed);
        end.ReadOutputAs<int>().ShouldBe(6);
        end.ReadInputAs<int>().ShouldBe(1);
        end.InstanceId.Length.ShouldBe(32);
        end.LastUpdatedAt.ShouldBeGreaterThan(end.CreatedAt);
    }

    [Fact]
    public async Task Hundreds_of_activities_fan_out_and_in_and_leave_no_rows()
    {
        var end = await _app.RunAsync(nameof(Functions.fan), 300);

        end.ReadOutputAs<int[]>().ShouldBe(Enumerable.Range(1, 300));
        (await hub.ScalarAsync<long>("SELECT count(*) FROM durable.messages WHERE instance_id = $1", end.InstanceId)).ShouldBe(0);
        (await hub.ScalarAsync<long>("SELECT count(*) FROM durable.activities WHERE instance_id = $1", end.InstanceId)).ShouldBe(0);
        (await hub.ScalarAsync<bool>("SELECT locked_by IS NULL FROM durable.instances WHERE instance_id = $1", end.InstanceId)).ShouldBeTrue();
    }

    [Fact]
    public async Task Payloads_are_pascal_case_with_enums_as_numbers_and_read_ignoring_case()
    {
        var end = await _app.RunAsync(nameof(Functions.echo), new { name = "x\u0000y 🎈", DAY = DayOfWeek.Friday });

        end.SerializedOutput.ShouldBe("""{"Name":"x\u0000y \uD83C\uDF88","Day":5,"None":null}""");
        end.SerializedCustomStatus.ShouldBe("""{"Phase":"echo"}""");
        end.ReadCustomStatusAs<Dictionary<string, string>>()!["Phase"].ShouldBe("echo");
    }

    [Fact]
    public async Task The_middleware_wraps_orchestrators_and_activities()
    {
        var end = await _app.RunAsync(nameof(Functions.sequence), 1);

        hub.Middleware.ShouldContain($"sequence orchestrationTrigger {end.InstanceId}");
        hub.Middleware.Count(line => line == $"add_one activityTrigger {end.InstanceId}").ShouldBe(5);
    }

    [Fact]
    public async Task Time_and_ids_are_the_same_in_every_replay()
    {
        var end = await _app.RunAsync(nameof(Functions.clock));

        var seen = end.ReadOutputAs<Clock[]>()!;
        seen.Select(one => one.Id).Distinct().Count().ShouldBe(3);
        seen.Select(one => one.Now).ShouldBe(seen.Select(one => one.Now).Order());
        seen[^1].Now.ShouldBeGreaterThan(seen[0].Now);
        // The orchestrator noted each reading in every run of its code.
        foreach (var one in seen)
            hub.Calls.Keys.Count(key => key.StartsWith($"clock {end.InstanceId} {one.Step} ", StringComparison.Ordinal)).ShouldBe(1);
        hub.Calls[$"clock {end.InstanceId} {seen[0].Step} {seen[0].Id} {seen[0].Now:O}"].ShouldBe(3);
        hub.Calls[$"replaying {end.InstanceId}"].ShouldBe(3);
        _app.Log.Count(entry => entry.Text == $"step of {end.InstanceId}").ShouldBe(2);
    }

    [Fact]
    public async Task A_failed_activity_is_a_task_failure_with_what_caused_it()
    {
        var end = await _app.RunAsync(nameof(Functions.catches));

        end.ReadOutputAs<string>().ShouldBe(
            "fails #0 System.InvalidOperationException no, wrapped System.ArgumentException: inner; caused by InvalidOperationException True, by SystemException True, by IOException False");
    }

    [Fact]
    public async Task An_uncaught_failure_fails_the_instance_and_says_where()
    {
        var end = await _app.RunAsync(nameof(Functions.throws), "no, wrapped");

        end.RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Failed);
        end.IsCompleted.ShouldBeTrue();
        end.SerializedOutput.ShouldBeNull();
        end.FailureDetails!.ErrorType.ShouldBe(typeof(TaskFailedException).FullName);
        end.FailureDetails.ErrorMessage.ShouldBe("Task 'fails' (#0) failed with an unhandled exception: no, wrapped");
        end.FailureDetails.InnerFailure!.StackTrace.ShouldNotBeNull().ShouldContain("fails");
    }

    [Fact]
    public async Task An_unknown_activity_or_orchestrator_fails_and_names_it()
    {
        var end = await _app.RunAsync(nameof(Functions.calls_unknown));
        end.FailureDetails!.InnerFailure!.ErrorMessage.ShouldBe("The app has no activity function 'no_such_activity'.");

        (await _app.RunAsync("no_such_orchestrator")).FailureDetails!.ErrorMessage.ShouldBe("The app has no orchestrator function 'no_such_orchestrator'.");
    }

    [Fact]
    public async Task A_policy_tries_again_until_it_succeeds_or_the_attempts_are_used_up()
    {
        var fine = await _app.RunAsync(nameof(Functions.retries), new Retry("flaky", 3, 5));
        fine.ReadOutputAs<string>().ShouldBe("3");

        var over = await _app.RunAsync(nameof(Functions.retries), new Retry("flaky", 3, 2));
        over.FailureDetails!.InnerFailure!.ErrorMessage.ShouldBe("attempt 2");
        hub.Calls[$"flaky {over.InstanceId}"].ShouldBe(2);
    }

    [Fact]
    public async Task A_policy_filters_failures_and_a_handler_decides()
    {
        var filtered = await _app.RunAsync(nameof(Functions.retries), new Retry("filtered", 9, 5));
        filtered.RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Failed);
        hub.Calls[$"flaky {filtered.InstanceId}"].ShouldBe(1);

        var handled = await _app.RunAsync(nameof(Functions.retries), new Retry("handler", 4, 0));
        handled.ReadOutputAs<string>().ShouldBe("4");

        var given = await _app.RunAsync(nameof(Functions.retries), new Retry("handler", 9, 0));
        given.FailureDetails!.ErrorMessage.ShouldContain("attempt 5");
    }

    [Fact]
    public async Task Sub_orchestrations_return_fail_know_their_parent_and_are_retried()
    {
        var end = await _app.RunAsync(nameof(Functions.parent), "boom");

        var lines = end.ReadOutputAs<string[]>()!;
        lines[0].ShouldBe($"child of parent {end.InstanceId}");
        lines[1].ShouldBe("Task 'throws' (#1) failed with an unhandled exception: Task 'fails' (#0) failed with an unhandled exception: boom");
        lines[2].ShouldBe("3");
        (await _client.GetInstanceAsync(end.InstanceId + "-child"))!.RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Completed);
    }

    [Fact]
    public async Task A_sub_orchestration_with_the_id_of_a_running_instance_fails()
    {
        var busy = await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.waits), "stop");

        var end = await _app.RunAsync(nameof(Functions.takes_id), busy);

        end.FailureDetails!.InnerFailure!.ErrorMessage.ShouldContain($"instance id '{busy}'");
        (await _client.GetInstanceAsync(busy))!.RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Running);
        await _client.RaiseEventAsync(busy, "stop", 1);
        (await _client.EndOfAsync(busy)).ReadOutputAs<int>().ShouldBe(1);
    }

    [Fact]
    public async Task Events_are_kept_until_waited_for_and_names_ignore_case()
    {
        var id = await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.gathers));
        await _client.RaiseEventAsync(id, "B", "b1");
        await _client.RaiseEventAsync(id, "b", "b2");
        await _client.RaiseEventAsync(id, "a", "a1");
        await _client.RaiseEventAsync(id, "none");

        (await _client.EndOfAsync(id)).ReadOutputAs<string[]>().ShouldBe(["a1", "b1", "b2", "(null)"]);
    }

    [Fact]
    public async Task The_newest_of_several_waiters_is_served_first()
    {
        var id = await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.stacks));
        await _client.WaitForInstanceStartAsync(id);
        await _client.RaiseEventAsync(id, "x", 1);
        await _client.RaiseEventAsync(id, "X", 2);

        (await _client.EndOfAsync(id)).ReadOutputAs<int[]>().ShouldBe([2, 1]);
    }

    [Fact]
    public async Task Waiting_for_an_event_ends_after_its_time_and_an_event_in_time_cancels_the_timer()
    {
        (await _app.RunAsync(nameof(Functions.impatient), 0.05)).ReadOutputAs<string>().ShouldBe("timeout");

        var id = await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.impatient), 3600.0);
        await _client.RaiseEventAsync(id, "answer", "yes");
        (await _client.EndOfAsync(id)).ReadOutputAs<string>().ShouldBe("yes");
        (await hub.ScalarAsync<long>("SELECT count(*) FROM durable.messages WHERE instance_id = $1", id)).ShouldBe(0);
    }

    [Fact]
    public async Task An_instance_is_not_over_while_a_timer_runs_that_lost_and_was_not_cancelled()
    {
        var end = await _app.RunAsync(nameof(Functions.leaves_timer), 0.3);

        end.RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Completed);
        (end.LastUpdatedAt - end.CreatedAt).ShouldBeGreaterThan(TimeSpan.FromSeconds(0.3));
    }

    [Fact]
    public async Task Orchestrations_send_events_to_each_other()
    {
        var other = await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.waits), "hello");

        (await _app.RunAsync(nameof(Functions.sends), other)).RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Completed);

        (await _client.EndOfAsync(other)).ReadOutputAs<int>().ShouldBe(42);
    }

    [Fact]
    public async Task Continue_as_new_starts_over_keeps_events_and_bounds_the_history()
    {
        var id = await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.counts), new Counter(0, 30, true));
        for (var i = 0; i < 30; i++)
            await _client.RaiseEventAsync(id, "add", 2);

        (await _client.EndOfAsync(id)).ReadOutputAs<int>().ShouldBe(60);
        (await hub.ScalarAsync<long>("SELECT count(*) FROM durable.history h JOIN durable.instances i USING (execution) WHERE i.instance_id = $1", id))
            .ShouldBeLessThan(5);
        (await hub.ScalarAsync<long>("SELECT count(*) FROM durable.history h LEFT JOIN durable.instances i USING (execution) WHERE i.instance_id IS NULL")).ShouldBe(0);
    }

    [Fact]
    public async Task Continue_as_new_may_drop_events()
    {
        var id = await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.drops), 0);
        await _client.RaiseEventAsync(id, "dropped", 1);
        await _client.RaiseEventAsync(id, "go", 1);
        await Eventually.UntilAsync(async () => (await _client.GetInstanceAsync(id, true))!.SerializedCustomStatus == "\"second\"");

        await _client.RaiseEventAsync(id, "dropped", 2);

        (await _client.EndOfAsync(id)).ReadOutputAs<int>().ShouldBe(2);
    }

    [Fact]
    public async Task A_later_start_waits_and_may_be_terminated_before()
    {
        var soon = await _client.ScheduleNewOrchestrationInstanceAsync(
            nameof(Functions.sequence), 1, new StartOrchestrationOptions(StartAt: DateTimeOffset.MinValue.AddYears(2000)));
        (await _client.EndOfAsync(soon)).ReadOutputAs<int>().ShouldBe(6);

        var late = await _client.ScheduleNewOrchestrationInstanceAsync(
            nameof(Functions.sequence), 1, new StartOrchestrationOptions(StartAt: TimeProvider.System.GetUtcNow().AddHours(1)));
        await _client.RaiseEventAsync(late, "early");
        (await _client.GetInstanceAsync(late))!.RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Pending);
        await _client.TerminateInstanceAsync(late, "never");
        (await _client.EndOfAsync(late)).ReadOutputAs<string>().ShouldBe("never");
        hub.Calls.ContainsKey($"add_one {late}").ShouldBeFalse();

        var delayed = await _client.ScheduleNewOrchestrationInstanceAsync(
            nameof(Functions.sequence), 1, new StartOrchestrationOptions(StartAt: TimeProvider.System.GetUtcNow().AddMilliseconds(300)));
        var end = await _client.EndOfAsync(delayed);
        (end.LastUpdatedAt - end.CreatedAt).ShouldBeGreaterThan(TimeSpan.FromMilliseconds(300));
    }

    [Fact]
    public void An_orchestrator_may_not_take_a_client() =>
        Should.Throw<LocalHostException>(() => FunctionTable.Scan([typeof(TakesClient)])).Message.ShouldBe("takes_client: nothing can fill the parameter client of type DurableTaskClient.");

    public sealed record Retry(string How, int SucceedsAt, int Attempts);

    public sealed record Counter(int Sum, int Left, bool Keep);

    public sealed record Clock(int Step, Guid Id, DateTime Now);

    public sealed record Echo(string Name, DayOfWeek Day, string? None);

    public static class TakesClient
    {
        [Function("takes_client")]
        public static void Run([OrchestrationTrigger] TaskOrchestrationContext context, [DurableClient] DurableTaskClient client)
        {
        }
    }

    [SuppressMessage("Style", "IDE1006", Justification = "Functions are named so.")]
    public sealed partial class Functions(ConcurrentDictionary<string, int> calls)
    {
        [Function(nameof(sequence))]
        public static async Task<int> sequence([OrchestrationTrigger] TaskOrchestrationContext context, int start)
        {
            for (var i = 0; i < 5; i++)
                start = await context.CallActivityAsync<int>(nameof(add_one), start);
            return start;
        }

        [Function(nameof(fan))]
        public async Task<int[]> fan([OrchestrationTrigger] TaskOrchestrationContext context) =>
            await Task.WhenAll(Enumerable.Range(0, context.GetInput<int>()).Select(number => context.CallActivityAsync<int>(nameof(add_one), number)));

        [Function(nameof(add_one))]
        public int add_one([ActivityTrigger] int number, FunctionContext context)
        {
            calls.AddOrUpdate($"add_one {context.BindingContext.BindingData["instanceId"]}", 1, (_, count) => count + 1);
            return number + 1;
        }

        [Function(nameof(echo))]
        public static async Task<Echo> echo([OrchestrationTrigger] TaskOrchestrationContext context, Echo input)
        {
            context.SetCustomStatus(new { Phase = "echo" });
            return await context.CallActivityAsync<Echo>(nameof(echo_activity), input);
        }

        [Function(nameof(echo_activity))]
        public static Task<Echo> echo_activity([ActivityTrigger] Echo input) => Task.FromResult(input);

        [Function(nameof(clock))]
        public async Task<Clock[]> clock([OrchestrationTrigger] TaskOrchestrationContext context)
        {
            var seen = new List<Clock>();
            for (var step = 0; step < 3; step++)
            {
                var one = new Clock(step, context.NewGuid(), context.CurrentUtcDateTime);
                calls.AddOrUpdate($"clock {context.InstanceId} {step} {one.Id} {one.Now:O}", 1, (_, count) => count + 1);
                if (context.IsReplaying)
                    calls.AddOrUpdate($"replaying {context.InstanceId}", 1, (_, count) => count + 1);
                seen.Add(one);
                if (step == 2)
                    return [.. seen];
                LogStep(context.CreateReplaySafeLogger<Functions>(), context.InstanceId);
                await context.CallActivityAsync(nameof(add_one), step);
            }
            throw new InvalidOperationException("not reached");
        }

        [LoggerMessage(1, LogLevel.Information, "step of {Instance}")]
        private static partial void LogStep(ILogger logger, string instance);

        [Function(nameof(catches))]
        public static async Task<string> catches([OrchestrationTrigger] TaskOrchestrationContext context)
        {
            try
            {
                await context.CallActivityAsync(nameof(fails), "no, wrapped");
                return "?";
            }
            catch (TaskFailedException failed)
            {
                var details = failed.FailureDetails;
                return $"{failed.TaskName} #{failed.TaskId} {details.ErrorType} {details.ErrorMessage} {details.InnerFailure}; caused by InvalidOperationException "
                    + $"{details.IsCausedBy<InvalidOperationException>()}, by SystemException {details.IsCausedBy<SystemException>()}, by IOException {details.IsCausedBy<IOException>()}";
            }
        }

        [Function(nameof(throws))]
        public static async Task throws([OrchestrationTrigger] TaskOrchestrationContext context, string message) =>
            await context.CallActivityAsync(nameof(fails), message);

        [Function(nameof(fails))]
        public static void fails([ActivityTrigger] string message) => throw new InvalidOperationException(message, new ArgumentException("inner"));

        [Function(nameof(calls_unknown))]
        public static async Task calls_unknown([OrchestrationTrigger] TaskOrchestrationContext context) => await context.CallActivityAsync("no_such_activity");

        [Function(nameof(retries))]
        public static async Task<string> retries([OrchestrationTrigger] TaskOrchestrationContext context, Retry retry)
        {
            var wait = TimeSpan.FromMilliseconds(5);
            var options = retry.How switch
            {
                "flaky" => TaskOptions.FromRetryPolicy(new RetryPolicy(retry.Attempts, wait, 1.5)),
                "filtered" => TaskOptions.FromRetryPolicy(new RetryPolicy(retry.Attempts, wait) { HandleFailure = failure => failure.IsCausedBy<IOException>() }),
                _ => TaskOptions.FromRetryHandler(async failed =>
                {
                    await failed.OrchestrationContext.CreateTimer(wait, CancellationToken.None);
                    return failed.LastAttemptNumber < 5;
                }),
            };
            return await context.CallActivityAsync<string>(nameof(flaky), retry.SucceedsAt, options);
        }

        [Function(nameof(flaky))]
        public string flaky([ActivityTrigger] int succeedsAt, FunctionContext context)
        {
            var attempt = calls.AddOrUpdate($"flaky {context.BindingContext.BindingData["instanceId"]}", 1, (_, count) => count + 1);
            return attempt >= succeedsAt ? attempt.ToString() : throw new InvalidOperationException($"attempt {attempt}");
        }

        [Function(nameof(parent))]
        public static async Task<string[]> parent([OrchestrationTrigger] TaskOrchestrationContext context, string message)
        {
            var first = await context.CallSubOrchestratorAsync<string>(nameof(child), options: new SubOrchestrationOptions(instanceId: context.InstanceId + "-child"));
            var second = "";
            try
            {
                await context.CallSubOrchestratorAsync(nameof(throws), message);
            }
            catch (TaskFailedException failed)
            {
                second = failed.Message;
            }
            var third = await context.CallSubOrchestratorAsync<string>(
                nameof(flaky_child), options: TaskOptions.FromRetryPolicy(new RetryPolicy(5, TimeSpan.FromMilliseconds(5))).WithInstanceId(context.InstanceId + "-flaky"));
            return [first, second, third];
        }

        [Function(nameof(child))]
        public static string child([OrchestrationTrigger] TaskOrchestrationContext context) => $"child of {context.Parent!.Name} {context.Parent.InstanceId}";

        [Function(nameof(flaky_child))]
        public static async Task<string> flaky_child([OrchestrationTrigger] TaskOrchestrationContext context) =>
            await context.CallActivityAsync<string>(nameof(flaky), 3);

        [Function(nameof(takes_id))]
        public static async Task takes_id([OrchestrationTrigger] TaskOrchestrationContext context, string id) =>
            await context.CallSubOrchestratorAsync(nameof(child), options: new SubOrchestrationOptions(instanceId: id));

        [Function(nameof(waits))]
        public static async Task<int> waits([OrchestrationTrigger] TaskOrchestrationContext context, string name) => await context.WaitForExternalEvent<int>(name);

        [Function(nameof(sends))]
        public static void sends([OrchestrationTrigger] TaskOrchestrationContext context, string other) => context.SendEvent(other, "HELLO", 42);

        [Function(nameof(gathers))]
        public static async Task<string[]> gathers([OrchestrationTrigger] TaskOrchestrationContext context) =>
        [
            await context.WaitForExternalEvent<string>("a"), await context.WaitForExternalEvent<string>("b"), await context.WaitForExternalEvent<string>("B"),
            await context.WaitForExternalEvent<string?>("none") ?? "(null)",
        ];

        [Function(nameof(stacks))]
        public static async Task<int[]> stacks([OrchestrationTrigger] TaskOrchestrationContext context) =>
            await Task.WhenAll(context.WaitForExternalEvent<int>("x"), context.WaitForExternalEvent<int>("x"));

        [Function(nameof(impatient))]
        public static async Task<string> impatient([OrchestrationTrigger] TaskOrchestrationContext context, double seconds)
        {
            try
            {
                return await context.WaitForExternalEvent<string>("answer", TimeSpan.FromSeconds(seconds));
            }
            catch (TaskCanceledException)
            {
                return "timeout";
            }
        }

        [Function(nameof(leaves_timer))]
        public static void leaves_timer([OrchestrationTrigger] TaskOrchestrationContext context, double seconds) =>
            _ = context.CreateTimer(TimeSpan.FromSeconds(seconds), CancellationToken.None);

        [Function(nameof(counts))]
        public static async Task<int> counts([OrchestrationTrigger] TaskOrchestrationContext context, Counter counter)
        {
            counter = counter with { Sum = counter.Sum + await context.WaitForExternalEvent<int>("add"), Left = counter.Left - 1 };
            if (counter.Left > 0)
                context.ContinueAsNew(counter, counter.Keep);
            return counter.Sum;
        }

        [Function(nameof(drops))]
        public static async Task<int> drops([OrchestrationTrigger] TaskOrchestrationContext context, int round)
        {
            if (round == 0)
            {
                await context.WaitForExternalEvent<int>("go");
                context.ContinueAsNew(1, preserveUnprocessedEvents: false);
                return 0;
            }
            context.SetCustomStatus("second");
            return await context.WaitForExternalEvent<int>("dropped");
        }
    }
}
