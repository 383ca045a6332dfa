using System.Net.Http.Json;
using FunctionsRegistry.Tests.Marketplace;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.Evolution;

/// <summary>Work of a process that died is taken over after three seconds.</summary>
public sealed class ShortLeaseApp(TestServices services) : EvolutionApp(services)
{
    private static readonly Dictionary<string, string> s_settings = new() { ["Durable:LeaseSeconds"] = "3" };

    protected override IReadOnlyDictionary<string, string> Settings => s_settings;

    /// <summary>The settings of a process on the same data.</summary>
    public IReadOnlyDictionary<string, string> ProcessSettings => StandardSettings(s_settings);
}

public sealed class TrialCrashTests(ShortLeaseApp app) : IClassFixture<ShortLeaseApp>
{
    [Fact]
    public async Task A_trial_whose_process_is_killed_ends_with_the_result_of_one_that_nobody_disturbed()
    {
        // Nobody finds everything in the built-in corpus: such a trial goes on to its last generation.
        var body = new { generations = 12, population_size = 20, fitness_threshold = 1, parameters = new { seed = 11 } };
        var undisturbed = await app.RunTrialAsync(body);
        undisturbed.GetProperty("status").GetString().ShouldBe("completed");
        undisturbed.GetProperty("current_generation").GetInt32().ShouldBe(12);

        await using var process = await AppProcess.StartAsync(app.ProcessSettings);
        using var answer = await app.Client.PostAsJsonAsync(process.Address + "/evolution/evolution/start", body);
        var id = (await answer.ShouldBeAsync(200)).GetProperty("trial_id").GetString()!;
        await Eventually.UntilAsync(async () => await app.ScalarAsync<int>("SELECT current_generation FROM evolution.trials WHERE id = $1", id) >= 3);
        await process.KillAsync();
        var disturbed = await app.WaitTrialAsync(id, "completed", "failed");

        disturbed.GetProperty("status").GetString().ShouldBe("completed", disturbed.ToString());
        disturbed.GetProperty("result_hash").GetString().ShouldBe(undisturbed.GetProperty("result_hash").GetString());
        disturbed.GetProperty("improvements").ToString().ShouldBe(undisturbed.GetProperty("improvements").ToString());
        (await app.ScalarAsync<long>("SELECT count(*) FROM evolution.events WHERE trial_id = $1", id)).ShouldBe(
            await app.ScalarAsync<long>("SELECT count(*) FROM evolution.events WHERE trial_id = $1", undisturbed.GetProperty("trial_id").GetString()!));
    }
}
