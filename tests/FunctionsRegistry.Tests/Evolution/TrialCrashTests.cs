using System.Diagnostics;
using System.Net.Http.Json;
using System.Text.RegularExpressions;
using FunctionsRegistry.Tests.Marketplace;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.Evolution;

/// <summary>Work of a process that died is taken over after three seconds.</summary>
public sealed class ShortLeaseApp(TestServices services) : EvolutionApp(services)
{
    private static readonly Dictionary<string, string> s_settings = new() { ["Durable:LeaseSeconds"] = "3" };

    protected override IReadOnlyDictionary<string, string> Settings => s_settings;

    /// <summary>The settings of a process on the same data.</summary>
    public IEnumerable<string> Arguments => StandardSettings(s_settings).Select(pair => $"--{pair.Key}={pair.Value}");
}

public sealed class TrialCrashTests(ShortLeaseApp app) : IClassFixture<ShortLeaseApp>
{
    [Fact]
    public async Task A_trial_whose_process_is_killed_ends_with_the_result_of_one_that_nobody_disturbed()
    {
        await app.UploadAsync("shared", EvolutionApp.Library(30));
        var body = new { repository = "shared", generations = 40, population_size = 60, fitness_threshold = 1, parameters = new { seed = 11 } };
        var undisturbed = await app.RunTrialAsync(body);
        undisturbed.GetProperty("status").GetString().ShouldBe("completed");

        using var process = Start();
        var address = await ReadAddressAsync(process);
        using var answer = await app.Client.PostAsJsonAsync(address + "/evolution/evolution/start", body);
        var id = (await answer.ShouldBeAsync(200)).GetProperty("trial_id").GetString()!;
        while (await app.ScalarAsync<int>("SELECT current_generation FROM evolution.trials WHERE id = $1", id) < 5)
            await Task.Delay(5);
        process.Kill();
        await process.WaitForExitAsync();
        var disturbed = await app.WaitTrialAsync(id, "completed", "failed");

        disturbed.GetProperty("status").GetString().ShouldBe("completed", disturbed.ToString());
        disturbed.GetProperty("result_hash").GetString().ShouldBe(undisturbed.GetProperty("result_hash").GetString());
        disturbed.GetProperty("improvements").ToString().ShouldBe(undisturbed.GetProperty("improvements").ToString());
        (await app.ScalarAsync<long>("SELECT count(*) FROM evolution.events WHERE trial_id = $1", id)).ShouldBe(
            await app.ScalarAsync<long>("SELECT count(*) FROM evolution.events WHERE trial_id = $1", undisturbed.GetProperty("trial_id").GetString()!));
    }

    private Process Start()
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, WorkingDirectory = AppContext.BaseDirectory };
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "FunctionsRegistry.Functions.dll"));
        foreach (var argument in app.Arguments)
            start.ArgumentList.Add(argument);
        return Process.Start(start)!;
    }

    private static async Task<string> ReadAddressAsync(Process process)
    {
        while (await process.StandardOutput.ReadLineAsync() is { } line)
            if (Regex.Match(line, @"is ready: (http://\S+)/") is { Success: true } match)
            {
                _ = process.StandardOutput.BaseStream.CopyToAsync(Stream.Null);
                return match.Groups[1].Value;
            }
        throw new InvalidOperationException("The process ended before it listened.");
    }
}
