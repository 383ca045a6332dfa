using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.LocalRuntime;
using FunctionsRegistry.LocalRuntime.Durable;
using Microsoft.Extensions.Logging.Abstractions;

namespace FunctionsRegistry.Tests.Durable;

/// <summary>Random orchestrators under random orders of arrival: whatever comes when, a replay does what was done, and the result is that of the plain program.</summary>
public sealed class ReplayTests
{
    private static readonly DateTime s_start = new(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    /// <param name="Kind">call, fail (caught), retry, fan, race, timer, event, patience, sub, guid, status.</param>
    public sealed record Op(string Kind, int Number);

    [Fact]
    public void A_random_orchestrator_replays_the_same_whatever_arrives_when()
    {
        var step = from kind in Gen.Elements("call", "fail", "retry", "fan", "race", "timer", "event", "patience", "sub", "guid", "status")
                   from number in Gen.Choose(1, 4)
                   select new Op(kind, number);
        var cases = from count in Gen.Choose(0, 8)
                    from steps in Gen.ListOf(step, count)
                    from seed in Gen.Choose(0, int.MaxValue - 1)
                    select (Steps: steps.ToArray(), Seed: seed);

        Prop.ForAll(cases.ToArbitrary(), one => Simulate(one.Steps, new Random(one.Seed)) == Expected(one.Steps))
            .Check(Config.QuickThrowOnFailure.WithMaxTest(400));
    }

    [Fact]
    public void The_simulation_notices_a_program_that_changes()
    {
        var instance = NewInstance();
        var first = Run(instance, [], [Told(0, EventKind.Started, -1, null)], [new Op("call", 1)]);

        var second = Run(instance with { Turns = 1 }, first.NewEvents, [Told(1, EventKind.TaskCompleted, 0, "2")], [new Op("sub", 1)]);

        second.Status.ShouldBe(OrchestrationRuntimeStatus.Failed);
        second.Failure!.ErrorMessage.ShouldContain("at sequence 1");
    }

    private static string Simulate(Op[] steps, Random random)
    {
        var instance = NewInstance();
        var history = new List<HistoryEvent>();
        var pending = new List<(EventKind Kind, int Task, string? Name, string? Payload)> { (EventKind.Started, -1, null, null) };
        pending.AddRange(steps.Where(step => step.Kind == "event").Select(step => (EventKind.EventRaised, -1, (string?)$"E{step.Number}", (string?)$"{step.Number}")));
        while (true)
        {
            // Something arrives; the start before everything else.
            var count = random.Next(1, pending.Count + 1);
            var arriving = history.Count == 0 ? [.. pending.Take(1)] : pending.OrderBy(_ => random.Next()).Take(count).ToList();
            arriving.ForEach(one => pending.Remove(one));
            var incoming = arriving.Select(one => new HistoryEvent(instance.Turns, one.Kind, one.Task, one.Name, null, one.Payload, null, s_start.AddSeconds(instance.Turns))).ToList();
            if (random.Next(4) == 0)
            {
                // Suspended and resumed in between, the rest in the middle.
                incoming.Insert(0, Told(instance.Turns, EventKind.Suspended, -1, null));
                incoming.Add(Told(instance.Turns, EventKind.Resumed, -1, null));
            }

            // A turn whose commit failed is decided again, with the same outcome.
            var result = Run(instance, history, incoming, steps);
            var again = Run(instance, history, incoming, steps);
            again.NewEvents.ShouldBe(result.NewEvents);
            again.Output.ShouldBe(result.Output);

            history.AddRange(result.NewEvents);
            if (result.Status != OrchestrationRuntimeStatus.Running)
                return result.Output ?? result.Failure!.ToString();
            foreach (var action in result.NewEvents.Where(entry => entry.IsAction && !result.CancelledTimers.Contains(entry.Task)))
                pending.Add(Answer(action, history));
            pending.RemoveAll(one => one.Kind == EventKind.TimerFired && result.CancelledTimers.Contains(one.Task));
            instance = instance with { Turns = instance.Turns + 1 };
            if (pending.Count == 0)
                return "stuck";
        }
    }

    // What the world says to an action: activities add one; "fails" always does, "flaky" until its third attempt.
    private static (EventKind, int, string?, string?) Answer(HistoryEvent action, List<HistoryEvent> history)
    {
        var failure = Payload.Write(new TaskFailureDetails("System.IO.IOException", "no", null, null, null));
        return action.Kind switch
        {
            EventKind.TimerCreated => (EventKind.TimerFired, action.Task, null, null),
            EventKind.SubCreated => (EventKind.SubCompleted, action.Task, action.Name, action.Payload),
            _ when action.Name == "fails" => (EventKind.TaskFailed, action.Task, action.Name, failure),
            _ when action.Name!.StartsWith("flaky", StringComparison.Ordinal) && history.Count(entry => entry.Name == action.Name && entry.IsAction) < 3 =>
                (EventKind.TaskFailed, action.Task, action.Name, failure),
            _ => (EventKind.TaskCompleted, action.Task, action.Name, $"{int.Parse(action.Payload!) + 1}"),
        };
    }

    private static string Expected(Op[] steps) => Payload.Write(steps.Sum(step => step.Kind switch
    {
        "call" or "retry" => step.Number + 1,
        "fail" => 100,
        "fan" => Enumerable.Range(0, step.Number).Sum(number => number + 1),
        "race" or "timer" or "guid" or "status" => 0,
        _ => step.Number,
    }))!;

    private static async Task<string?> ProgramAsync(TaskOrchestrationContext context, Op[] steps)
    {
        var sum = 0;
        for (var i = 0; i < steps.Length; i++)
        {
            var number = steps[i].Number;
            switch (steps[i].Kind)
            {
                case "call":
                    sum += await context.CallActivityAsync<int>("add", number);
                    break;
                case "fail":
                    try
                    {
                        await context.CallActivityAsync("fails", number);
                    }
                    catch (TaskFailedException failed) when (failed.FailureDetails.IsCausedBy<IOException>())
                    {
                        sum += 100;
                    }
                    break;
                case "retry":
                    sum += await context.CallActivityAsync<int>($"flaky{i}", number, TaskOptions.FromRetryPolicy(new RetryPolicy(5, TimeSpan.FromSeconds(1), 2)));
                    break;
                case "fan":
                    sum += (await Task.WhenAll(Enumerable.Range(0, number).Select(one => context.CallActivityAsync<int>("add", one)))).Sum();
                    break;
                case "race":
                    using (var loser = new CancellationTokenSource())
                    {
                        var timers = Enumerable.Range(0, number).Select(one => context.CreateTimer(TimeSpan.FromSeconds(one + 1), loser.Token)).ToList();
                        await Task.WhenAny(timers);
#pragma warning disable CA1849 // On the orchestrator's thread.
                        loser.Cancel();
#pragma warning restore CA1849
                    }
                    break;
                case "timer":
                    await context.CreateTimer(context.CurrentUtcDateTime.AddSeconds(number), CancellationToken.None);
                    break;
                case "event":
                    sum += await context.WaitForExternalEvent<int>($"e{number}");
                    break;
                case "patience":
                    try
                    {
                        await context.WaitForExternalEvent<int>("never", TimeSpan.FromDays(number));
                    }
                    catch (TaskCanceledException)
                    {
                        sum += number;
                    }
                    break;
                case "sub":
                    sum += await context.CallSubOrchestratorAsync<int>("child", number);
                    break;
                case "guid":
                    await context.CallActivityAsync<int>("add", BitConverter.ToInt32(context.NewGuid().ToByteArray()) & 0xffff);
                    break;
                default:
                    context.SetCustomStatus(number);
                    break;
            }
        }
        return Payload.Write(sum);
    }

    private static TurnResult Run(Instance instance, IReadOnlyList<HistoryEvent> history, IReadOnlyList<HistoryEvent> incoming, Op[] steps) => Turn.Run(
        instance, history, incoming, s_start.AddSeconds(instance.Turns), context => ProgramAsync(context, steps), NullLoggerFactory.Instance, () => { });

    private static HistoryEvent Told(int turn, EventKind kind, int task, string? payload) => new(turn, kind, task, null, null, payload, null, s_start.AddSeconds(turn));

    private static Instance NewInstance() =>
        new("i", Guid.Parse("00000000-0000-0000-0000-000000000001"), "program", OrchestrationRuntimeStatus.Pending, 0, 1, null, null, s_start);
}
