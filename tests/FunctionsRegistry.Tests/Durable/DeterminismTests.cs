using System.Diagnostics.CodeAnalysis;
using FunctionsRegistry.LocalRuntime;
using FunctionsRegistry.Tests.LocalRuntime;

namespace FunctionsRegistry.Tests.Durable;

/// <summary>A hub and a runtime for the class.</summary>
public sealed class DeterminismApp(Support.TestServices services) : DurableHub(services)
{
    internal RuntimeApp App { get; private set; } = null!;

    public override async ValueTask InitializeAsync()
    {
        await base.InitializeAsync();
        App = await StartAsync([typeof(DeterminismTests.Functions)]);
    }

    public override async ValueTask DisposeAsync()
    {
        await App.DisposeAsync();
        await base.DisposeAsync();
    }
}

/// <summary>Orchestrators that break the rules fail, and the failure says which orchestrator, where, and what to do.</summary>
public sealed class DeterminismTests(DeterminismApp hub) : IClassFixture<DeterminismApp>
{
    private readonly RuntimeApp _app = hub.App;
    private readonly DurableTaskClient _client = hub.App.Durable();

    [Theory]
    [InlineData(nameof(Functions.delays))]
    [InlineData(nameof(Functions.runs_in_the_pool))]
    [InlineData(nameof(Functions.uses_http))]
    [InlineData(nameof(Functions.configures_await))]
    [InlineData(nameof(Functions.calls_from_the_pool))]
    [InlineData(nameof(Functions.delays_after_an_activity))]
    [InlineData(nameof(Functions.awaits_a_source_of_its_own))]
    [InlineData(nameof(Functions.never_returns_from_yield))]
    public async Task Awaiting_what_is_not_the_context_s_fails_the_instance(string orchestrator)
    {
        var end = await _app.RunAsync(orchestrator);

        end.RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Failed);
        end.FailureDetails!.ErrorType.ShouldEndWith("NonDeterministicOrchestrationException");
        end.FailureDetails.ErrorMessage.ShouldContain($"Orchestrator '{orchestrator}' made an invalid asynchronous invocation");
        end.FailureDetails.ErrorMessage.ShouldContain("CreateTimer instead of Task.Delay");
    }

    [Fact]
    public async Task A_foreign_task_that_ends_while_a_durable_one_is_open_fails_the_instance_later()
    {
        var end = await _app.RunAsync(nameof(Functions.races_delay_and_event));

        end.FailureDetails!.ErrorMessage.ShouldContain("'races_delay_and_event' made an invalid asynchronous invocation");
    }

    [Theory]
    [InlineData("other name", "at sequence 1: the history has activity 'one' (#0), the code did activity 'two' (#0)")]
    [InlineData("other kind", "at sequence 1: the history has activity 'one' (#0), the code did a timer (#0)")]
    [InlineData("one more", "at sequence 2: the history has no action there, the code did activity 'two' (#1)")]
    [InlineData("none", "at sequence 1: the history has activity 'one' (#0), the code did nothing")]
    public async Task A_replay_that_diverges_fails_and_says_where(string change, string expected)
    {
        var end = await _app.RunAsync(nameof(Functions.changes), change);

        end.RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Failed);
        end.FailureDetails!.ErrorMessage.ShouldContain("Orchestrator 'changes' does not do what its history says, " + expected);
        end.FailureDetails.ErrorMessage.ShouldContain("needs a new name");
    }

    [Fact]
    public async Task Divergence_that_the_orchestrator_catches_still_fails_it()
    {
        var end = await _app.RunAsync(nameof(Functions.changes), "caught");

        end.FailureDetails!.ErrorMessage.ShouldContain("the code did activity 'two'");
    }

    [Fact]
    public async Task Options_in_the_place_of_the_input_are_refused()
    {
        var end = await _app.RunAsync(nameof(Functions.swaps_arguments));

        end.FailureDetails!.ErrorType.ShouldBe(typeof(ArgumentException).FullName);
        end.FailureDetails.ErrorMessage.ShouldContain("`options:`");
    }

    [Fact]
    public async Task A_result_of_the_wrong_type_fails_with_what_json_says()
    {
        var end = await _app.RunAsync(nameof(Functions.misreads));

        end.FailureDetails!.ErrorType.ShouldBe("System.Text.Json.JsonException");
        end.FailureDetails.ErrorMessage.ShouldContain("System.Int32");
    }

    [Fact]
    public void A_retry_policy_refuses_values_that_make_no_sense()
    {
        Should.Throw<ArgumentOutOfRangeException>(() => new RetryPolicy(0, TimeSpan.FromSeconds(1)));
        Should.Throw<ArgumentOutOfRangeException>(() => new RetryPolicy(1, TimeSpan.Zero));
        Should.Throw<ArgumentOutOfRangeException>(() => new RetryPolicy(1, TimeSpan.FromSeconds(1), 0.5));
        Should.Throw<ArgumentOutOfRangeException>(() => new RetryPolicy(1, TimeSpan.FromSeconds(2), 1, TimeSpan.FromSeconds(1)));
        new RetryPolicy(1, TimeSpan.FromHours(2)).MaxRetryInterval.ShouldBe(TimeSpan.FromHours(2));
    }

    [SuppressMessage("Style", "IDE1006", Justification = "Functions are named so.")]
    public sealed class Functions
    {
        [Function(nameof(one))]
        public static string one([ActivityTrigger] string? input) => "one";

        [Function(nameof(two))]
        public static string two([ActivityTrigger] string? input) => "two";

        [Function(nameof(delays))]
        public static async Task delays([OrchestrationTrigger] TaskOrchestrationContext context) => await Task.Delay(5);

        [Function(nameof(delays_after_an_activity))]
        public static async Task delays_after_an_activity([OrchestrationTrigger] TaskOrchestrationContext context)
        {
            await context.CallActivityAsync(nameof(one));
            await Task.Delay(5);
            await context.CallActivityAsync(nameof(two));
        }

        [Function(nameof(runs_in_the_pool))]
        public static async Task<int> runs_in_the_pool([OrchestrationTrigger] TaskOrchestrationContext context) =>
            await Task.Run(async () =>
            {
                await Task.Delay(5);
                return 1;
            });

        [Function(nameof(uses_http))]
        public static async Task uses_http([OrchestrationTrigger] TaskOrchestrationContext context)
        {
#pragma warning disable RS0030
            using var client = new HttpClient();
#pragma warning restore RS0030
            await client.GetAsync(new Uri("http://127.0.0.1:1/"));
        }

        [Function(nameof(configures_await))]
        public static async Task configures_await([OrchestrationTrigger] TaskOrchestrationContext context)
        {
            await context.CallActivityAsync(nameof(one)).ConfigureAwait(false);
            Thread.Sleep(20);
            await context.CallActivityAsync(nameof(two));
        }

        [Function(nameof(calls_from_the_pool))]
        public static async Task calls_from_the_pool([OrchestrationTrigger] TaskOrchestrationContext context) =>
            await Task.Run(() => context.CallActivityAsync(nameof(one)));

        [Function(nameof(awaits_a_source_of_its_own))]
        public static async Task awaits_a_source_of_its_own([OrchestrationTrigger] TaskOrchestrationContext context) =>
            await new TaskCompletionSource().Task;

        [Function(nameof(never_returns_from_yield))]
        public static async Task never_returns_from_yield([OrchestrationTrigger] TaskOrchestrationContext context)
        {
            await Task.Delay(1).ConfigureAwait(false);
            await context.CreateTimer(TimeSpan.FromMilliseconds(1), CancellationToken.None);
        }

        [Function(nameof(races_delay_and_event))]
        public static async Task races_delay_and_event([OrchestrationTrigger] TaskOrchestrationContext context) =>
            await Task.WhenAny(Task.Delay(50), context.WaitForExternalEvent<string>("never"));

        [Function(nameof(changes))]
        public static async Task changes([OrchestrationTrigger] TaskOrchestrationContext context, string change)
        {
            if (!context.IsReplaying)
            {
                await context.CallActivityAsync(nameof(one));
                return;
            }
            switch (change)
            {
                case "other name":
                    await context.CallActivityAsync(nameof(two));
                    break;
                case "other kind":
                    await context.CreateTimer(TimeSpan.FromSeconds(1), CancellationToken.None);
                    break;
                case "one more":
                    await Task.WhenAll(context.CallActivityAsync(nameof(one)), context.CallActivityAsync(nameof(two)));
                    break;
                case "caught":
                    try
                    {
                        await context.CallActivityAsync(nameof(two));
                    }
                    catch (Exception)
                    {
                        return;
                    }
                    break;
            }
        }

        [Function(nameof(swaps_arguments))]
        public static async Task swaps_arguments([OrchestrationTrigger] TaskOrchestrationContext context)
        {
            object options = new TaskOptions(retry: null);
            await context.CallActivityAsync(nameof(one), options);
        }

        [Function(nameof(misreads))]
        public static async Task misreads([OrchestrationTrigger] TaskOrchestrationContext context) => await context.CallActivityAsync<int>(nameof(one));
    }
}
