using Npgsql;

namespace FunctionsRegistry.TestWorker;

/// <summary>Orchestrations whose activities leave a row in the table effects each time they run.</summary>
public sealed class EffectFunctions(NpgsqlDataSource database)
{
    /// <summary>Tasks of <see cref="TenSteps"/>.</summary>
    public const int Steps = 10;

    // The effect's own database may be away for a moment.
    private static readonly TaskOptions s_options = TaskOptions.FromRetryPolicy(
        new RetryPolicy(50, TimeSpan.FromMilliseconds(50)) { HandleFailure = failure => failure.IsCausedBy<NpgsqlException>() });

    /// <summary>A step.</summary>
    public sealed record Work(string Instance, int Number);

    /// <summary>Ten activities: three in sequence, a timer, four at once, a sub-orchestration with two, and one more. Returns the sum of their numbers.</summary>
    [Function("ten_steps")]
    public static async Task<int> TenSteps([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        var sum = 0;
        for (var number = 0; number < 3; number++)
            sum += await EffectAsync(context, number);
        await context.CreateTimer(TimeSpan.FromMilliseconds(30), CancellationToken.None);
        sum += (await Task.WhenAll(Enumerable.Range(3, 4).Select(number => EffectAsync(context, number)))).Sum();
        sum += await context.CallSubOrchestratorAsync<int>("two_steps", context.InstanceId);
        return sum + await EffectAsync(context, 9);
    }

    /// <summary>Steps 7 and 8 for another instance.</summary>
    [Function("two_steps")]
    public static async Task<int> TwoSteps([OrchestrationTrigger] TaskOrchestrationContext context, string instance) =>
        await context.CallActivityAsync<int>("effect", new Work(instance, 7), s_options) + await context.CallActivityAsync<int>("effect", new Work(instance, 8), s_options);

    /// <summary>Leaves its row, then takes a moment; returns its number.</summary>
    [Function("effect")]
    public async Task<int> Effect([ActivityTrigger] Work work, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(work);
        await using var command = database.CreateCommand("INSERT INTO effects (instance, step, process) VALUES ($1, $2, $3)");
        command.Parameters.Add(new() { Value = work.Instance });
        command.Parameters.Add(new() { Value = work.Number });
        command.Parameters.Add(new() { Value = Environment.ProcessId });
        await command.ExecuteNonQueryAsync(cancellationToken);
        await Task.Delay(Random.Shared.Next(0, 10), cancellationToken);
        return work.Number;
    }

    private static Task<int> EffectAsync(TaskOrchestrationContext context, int number) =>
        context.CallActivityAsync<int>("effect", new Work(context.InstanceId, number), s_options);
}
