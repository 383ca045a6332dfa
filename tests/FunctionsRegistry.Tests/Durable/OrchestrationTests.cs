using FunctionsRegistry.LocalRuntime;
using FunctionsRegistry.Tests.LocalRuntime;
using Microsoft.Extensions.DependencyInjection;

namespace FunctionsRegistry.Tests.Durable;

/// <summary>A hub and a runtime for the class.</summary>
public sealed class OrchestrationApp(Support.TestServices services) : DurableHub(services)
{
    internal RuntimeApp App { get; private set; } = null!;

    public override async ValueTask InitializeAsync()
    {
        await base.InitializeAsync();
        App = await StartAsync([typeof(OrchestrationTests.Functions)]);
    }

    public override async ValueTask DisposeAsync()
    {
        await App.DisposeAsync();
        await base.DisposeAsync();
    }
}

public sealed class OrchestrationTests(OrchestrationApp hub) : IClassFixture<OrchestrationApp>
{
    private readonly RuntimeApp _app = hub.App;

    [Fact]
    public async Task A_sequence_of_activities_passes_results_on()
    {
        var end = await _app.RunAsync(nameof(Functions.sequence), 1);

        end.RuntimeStatus.ShouldBe(OrchestrationRuntimeStatus.Completed);
        end.ReadOutputAs<int>().ShouldBe(6);
        end.ReadInputAs<int>().ShouldBe(1);
    }

    [Fact]
    public async Task A_hundred_activities_fan_out_and_in()
    {
        var end = await _app.RunAsync(nameof(Functions.fan), 100);

        end.ReadOutputAs<int[]>().ShouldBe(Enumerable.Range(1, 100));
    }

    public sealed class Functions
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
        public static int add_one([ActivityTrigger] int number) => number + 1;
    }
}
