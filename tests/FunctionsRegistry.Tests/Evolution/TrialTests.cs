using System.Text.Json;
using FunctionsRegistry.Evolution;
using FunctionsRegistry.Functions.Evolution;
using FunctionsRegistry.IndexAgent;
using FunctionsRegistry.Tests.Support;
using Microsoft.Extensions.DependencyInjection;

namespace FunctionsRegistry.Tests.Evolution;

public sealed class TrialTests(EvolutionApp app) : IClassFixture<EvolutionApp>
{
    [Fact]
    public async Task A_trial_without_a_repository_runs_on_the_built_in_corpus()
    {
        var started = await app.PostAsync("/evolution/start", new { generations = 3, parameters = new { custom_param = "value" } });

        started.EnumerateObject().Select(member => member.Name).Take(11).ShouldBe(
            ["trial_id", "repository", "config", "status", "started_at", "completed_at", "current_generation", "best_fitness", "improvements", "patterns_discovered", "error"]);
        started.GetProperty("status").GetString().ShouldBe("initializing");
        started.GetProperty("current_generation").GetInt32().ShouldBe(0);
        started.GetProperty("best_fitness").GetDouble().ShouldBe(0);
        started.GetProperty("config").GetProperty("population_size").GetInt32().ShouldBe(20);
        var parameters = started.GetProperty("config").GetProperty("parameters");
        parameters.GetProperty("custom_param").GetString().ShouldBe("value");
        parameters.GetProperty("corpus").GetString().ShouldBe(RepositoryNames.BuiltIn);

        var id = started.GetProperty("trial_id").GetString()!;
        var done = await app.WaitTrialAsync(id, "completed", "failed");
        done.GetProperty("status").GetString().ShouldBe("completed", done.ToString());
        done.GetProperty("current_generation").GetInt32().ShouldBe(3);
        done.GetProperty("improvements").GetArrayLength().ShouldBe(3);
        done.GetProperty("completed_at").ValueKind.ShouldBe(JsonValueKind.String);

        var result = await app.ResultAsync(id);
        var metadata = result.GetProperty("metadata");
        var total = result.GetProperty("total_improvements").GetDouble();
        (metadata.GetProperty("initial_fitness").GetDouble() + total).ShouldBe(result.GetProperty("final_fitness").GetDouble(), 1e-5);
        metadata.GetProperty("improvement_rate").GetDouble().ShouldBe(total / 3, 1e-5);
        // The default genome is among the first members, and the best is never lost.
        metadata.GetProperty("default_fitness").GetDouble().ShouldBeGreaterThan(0.2);
        // contracts/dean.md 3.5: DEAN's own test expects as much of three generations.
        done.GetProperty("best_fitness").GetDouble().ShouldBeGreaterThan(0.5);
        result.GetProperty("final_fitness").GetDouble().ShouldBeGreaterThanOrEqualTo(metadata.GetProperty("default_fitness").GetDouble());
        metadata.GetProperty("stop_reason").GetString().ShouldBe("generations");
        result.GetProperty("patterns_discovered").GetArrayLength().ShouldBe(done.GetProperty("patterns_discovered").GetInt32());
        done.GetProperty("improvements").EnumerateArray().Sum(value => value.GetDouble()).ShouldBe(total, 1e-5);
    }

    [Fact]
    public async Task Equal_seeds_give_equal_hashes_and_another_seed_another()
    {
        await app.UploadAsync("twice", EvolutionApp.Library(30));
        object Body(int seed) => new { repository = "twice", generations = 12, population_size = 30, fitness_threshold = 1, parameters = new { seed, selection_method = "rank" } };

        var ids = await Task.WhenAll(app.StartTrialAsync(Body(7)), app.StartTrialAsync(Body(7)), app.StartTrialAsync(Body(8)));
        var trials = await Task.WhenAll(ids.Select(id => app.WaitTrialAsync(id, "completed", "failed")));

        trials.ShouldAllBe(trial => trial.GetProperty("status").GetString() == "completed");
        var hashes = trials.Select(trial => trial.GetProperty("result_hash").GetString()!).ToArray();
        hashes[0].Length.ShouldBe(64);
        hashes[1].ShouldBe(hashes[0]);
        hashes[2].ShouldNotBe(hashes[0]);
    }

    [Fact]
    public async Task Of_a_parameter_that_comes_twice_the_last_counts()
    {
        var started = await app.PostAsync(
            "/evolution/start", new { generations = 1, population_size = 5, parameters = JsonElement.Parse("""{"seed": 1, "a": {"b": 1}, "seed": 2, "a": {"b": 2, "b": 3}}""") });

        var parameters = started.GetProperty("config").GetProperty("parameters");
        parameters.GetProperty("seed").GetInt32().ShouldBe(2);
        parameters.GetProperty("a").GetProperty("b").GetInt32().ShouldBe(3);
    }

    [Fact]
    public async Task The_best_genome_is_an_agent_that_searches()
    {
        var trial = await app.RunTrialAsync(new { generations = 2, population_size = 5 });
        var agentId = trial.GetProperty("best_agent_id").GetString()!;

        var found = await ((IndexAgent.IndexAgentApp)app).PostAsync($"/agents/{agentId}/search", new { query = "trial", repositories = new[] { RepositoryNames.BuiltIn } });
        found.GetProperty("results").GetArrayLength().ShouldBeGreaterThan(0);
        var agent = await ((IndexAgent.IndexAgentApp)app).GetAsync($"/agents/{agentId}");
        agent.GetProperty("fitness_score").GetDouble().ShouldBe(trial.GetProperty("best_fitness").GetDouble(), 1e-6);
    }

    [Fact]
    public async Task A_threshold_that_is_reached_ends_the_trial()
    {
        var trial = await app.RunTrialAsync(new { generations = 50, fitness_threshold = 0.05 });

        trial.GetProperty("status").GetString().ShouldBe("completed");
        trial.GetProperty("current_generation").GetInt32().ShouldBe(0);
        (await app.ResultAsync(trial.GetProperty("trial_id").GetString()!)).GetProperty("metadata").GetProperty("stop_reason").GetString().ShouldBe("fitness_threshold");
    }

    [Fact]
    public async Task A_paused_trial_halts_goes_on_and_ends_when_its_runtime_is_over()
    {
        var id = await app.StartTrialAsync(new { generations = 100, population_size = 100, fitness_threshold = 1, max_runtime_minutes = 1 });
        (await app.PostAsync("/evolution/pause", new { trial_id = id })).GetProperty("status").GetString().ShouldBe("paused");
        (await app.PostAsync("/evolution/pause", new { trial_id = id }, 400)).GetProperty("detail").GetString().ShouldBe("Trial cannot be paused");
        (await app.GetAsync($"/evolution/status?trial_id={id}")).GetProperty("status").GetString().ShouldBe("paused");

        await app.PostAsync("/evolution/resume", new { trial_id = id });
        var running = await app.WaitTrialAsync(id, "running", "completed", "failed");
        running.GetProperty("status").GetString().ShouldBe("running");
        (await app.PostAsync("/evolution/resume", new { trial_id = id }, 400)).GetProperty("detail").GetString().ShouldBe("Trial cannot be resumed");
        await app.ScalarAsync<string>("UPDATE evolution.trials SET runtime_from = runtime_from - interval '2 minutes' WHERE id = $1 RETURNING id", id);
        var done = await app.WaitTrialAsync(id, "completed", "failed");

        done.GetProperty("status").GetString().ShouldBe("completed");
        done.GetProperty("current_generation").GetInt32().ShouldBeLessThan(100);
        (await app.ResultAsync(id)).GetProperty("metadata").GetProperty("stop_reason").GetString().ShouldBe("max_runtime_minutes");
    }

    [Fact]
    public async Task A_cancelled_trial_stays_cancelled()
    {
        var id = await app.StartTrialAsync(new { generations = 100, population_size = 100, fitness_threshold = 1 });
        (await app.PostAsync($"/evolution/{id}/cancel", new { })).ToString().ShouldBe($$"""{"status":"cancelled","trial_id":"{{id}}"}""");

        (await app.PostAsync($"/evolution/{id}/cancel", new { }, 400)).GetProperty("detail").GetString().ShouldBe("Trial cannot be cancelled");
        (await app.PostAsync("/evolution/stop", new { trial_id = id }, 400)).GetProperty("detail").GetString().ShouldBe("Trial cannot be cancelled");
        await app.WaitInstanceAsync(id);
        var trial = await app.GetAsync($"/evolution/{id}/status");
        trial.GetProperty("status").GetString().ShouldBe("cancelled");
        trial.GetProperty("completed_at").ValueKind.ShouldBe(JsonValueKind.String);
        (await app.ScalarAsync<long>("SELECT count(*) FROM evolution.objectives WHERE trial_id = $1", id)).ShouldBe(0);
        (await Should.ThrowAsync<Npgsql.PostgresException>(() => app.ScalarAsync<string>(
            "UPDATE evolution.trials SET status = 'completed' WHERE id = $1 RETURNING id", id))).Message.ShouldContain("is cancelled");
    }

    [Fact]
    public async Task A_trial_whose_repository_is_deleted_fails_with_that_reason()
    {
        await app.UploadAsync("goes", EvolutionApp.Library(30));
        var id = await app.StartTrialAsync(new { repository = "goes", generations = 100, population_size = 100, fitness_threshold = 1 });
        await app.PostAsync("/evolution/pause", new { trial_id = id });
        await (await app.Client.DeleteAsync("/indexagent/repositories/goes")).Content.ReadAsStringAsync();
        await app.PostAsync("/evolution/resume", new { trial_id = id });

        var trial = await app.WaitTrialAsync(id, "completed", "failed");
        trial.GetProperty("status").GetString().ShouldBe("failed");
        trial.GetProperty("error").GetString().ShouldBe("The repository 'goes' was deleted during the trial.");
        trial.GetProperty("config").GetProperty("parameters").GetProperty("corpus").GetString().ShouldBe("goes");
    }

    [Fact]
    public async Task A_repository_that_says_nothing_about_its_code_fails_the_trial_with_that_reason()
    {
        await app.UploadAsync("silent", ("a.txt", "nothing to see\n"));
        var trial = await app.RunTrialAsync(new { repository = "silent" });

        trial.GetProperty("status").GetString().ShouldBe("failed");
        trial.GetProperty("error").GetString()!.ShouldContain("nothing to measure fitness on");
    }

    [Fact]
    public async Task Trials_that_were_over_long_ago_are_deleted_and_their_agents_stay()
    {
        var trial = await app.RunTrialAsync(new { generations = 1, population_size = 5 });
        var id = trial.GetProperty("trial_id").GetString()!;
        var open = await app.StartTrialAsync(new { generations = 100, population_size = 100, fitness_threshold = 1 });
        await app.PostAsync("/evolution/pause", new { trial_id = open });

        await PurgeAsync(TimeSpan.FromDays(89));
        await app.GetAsync($"/evolution/{id}/status");
        await PurgeAsync(TimeSpan.FromDays(91), keepDays: 0);
        await app.GetAsync($"/evolution/{id}/status");
        await PurgeAsync(TimeSpan.FromDays(91));
        await app.GetAsync($"/evolution/{id}/status", 404);
        (await app.ScalarAsync<long>("SELECT (SELECT count(*) FROM evolution.generations WHERE trial_id = $1) + (SELECT count(*) FROM evolution.events WHERE trial_id = $1)", id)).ShouldBe(0);

        await ((IndexAgent.IndexAgentApp)app).GetAsync($"/agents/{trial.GetProperty("best_agent_id").GetString()}");
        (await app.GetAsync($"/evolution/{open}/status")).GetProperty("status").GetString().ShouldBe("paused");
        await app.PostAsync("/evolution/stop", new { trial_id = open });

        Task PurgeAsync(TimeSpan later, int keepDays = 90) =>
            ActivatorUtilities.CreateInstance<EvolutionTimers>(app.Services, app.Service<EvolutionOptions>() with { KeepTrialsDays = keepDays }, new LaterTime(later)).Purge(null!, default);
    }

    [Fact]
    public async Task Values_out_of_range_are_listed_all_at_once()
    {
        var body = new
        {
            repository = "r",
            generations = 0,
            population_size = 4,
            mutation_rate = 1.5,
            crossover_rate = -1,
            fitness_threshold = 2,
            max_runtime_minutes = 121,
            parameters = new { seed = "x", selection_method = "luck" },
        };
        var answer = await app.PostAsync("/evolution/start", body, 422);

        answer.GetProperty("detail").EnumerateArray().Select(fault => string.Join('.', fault.GetProperty("loc").EnumerateArray())).Order().ShouldBe(
            ["body.crossover_rate", "body.fitness_threshold", "body.generations", "body.max_runtime_minutes", "body.mutation_rate", "body.parameters.seed",
             "body.parameters.selection_method", "body.population_size"]);
        await app.PostAsync("/evolution/start", new { parameters = 5 }, 422);
        await app.PostAsync("/evolution/start", new { generations = 101 }, 422);
        await app.GetAsync("/evolution/trials?status=bogus", 422);
        await app.GetAsync("/evolution/trials?limit=-1", 422);
        await app.GetAsync("/patterns?pattern_type=bogus", 422);
        await app.PostAsync("/evolution/stop", new { }, 422);
    }

    [Fact]
    public async Task Unknown_trials_are_not_found()
    {
        (await app.GetAsync("/evolution/trial-0/status", 404)).GetProperty("detail").GetString().ShouldBe("Trial not found");
        await app.PostAsync("/evolution/trial-0/cancel", new { }, 404);
        await app.PostAsync("/evolution/pause", new { trial_id = "trial-0" }, 404);
        await app.PostAsync("/evolution/resume", new { trial_id = "trial-0" }, 404);
        await app.GetAsync("/evolution/status?trial_id=trial-0", 404);
        await app.GetAsync("/evolution/trial-0/events", 404);
    }
}

/// <summary>Lists and numbers over trials that nobody else adds to.</summary>
public sealed class TrialListTests(EvolutionApp app) : IClassFixture<EvolutionApp>
{
    // Whatever a client calls a repository: as long as an index entry may be, and hard to compress.
    private static readonly string s_path = string.Concat(Enumerable.Range(0, 500).Select(i => (char)('\u4E00' + i * 7)));

    [Fact]
    public async Task Lists_filters_and_metrics_come_from_the_trials()
    {
        (await app.GetAsync("/evolution/metrics")).ToString().ShouldBe(
            """{"total_trials":0,"active_trials":0,"completed_trials":0,"failed_trials":0,"total_patterns":0,"average_fitness":0,"average_generations":0,"average_patterns_per_trial":0}""");
        (await app.GetAsync("/evolution/status")).ToString().ShouldBe("""{"status":"no_active_trial"}""");

        var first = await app.RunTrialAsync(new { generations = 8, population_size = 30, fitness_threshold = 1, parameters = new { seed = 3 } });
        var second = await app.RunTrialAsync(new { repository = s_path, generations = 2, population_size = 5, fitness_threshold = 1 });

        var list = await app.GetAsync("/evolution/trials?limit=1");
        list.GetProperty("total").GetInt64().ShouldBe(2);
        list.GetProperty("trials").EnumerateArray().Single().ToString().ShouldBe(second.ToString());
        (await app.GetAsync("/trials?limit=1&offset=1")).GetProperty("trials").EnumerateArray().Single().ToString().ShouldBe(first.ToString());
        (await app.GetAsync($"/evolution/trials?repository={Uri.EscapeDataString(s_path)}&status=completed")).GetProperty("total").GetInt64().ShouldBe(1);
        (await app.GetAsync("/evolution/trials?status=failed")).GetProperty("total").GetInt64().ShouldBe(0);

        var patterns = await app.GetAsync("/patterns");
        var count = first.GetProperty("patterns_discovered").GetInt32() + second.GetProperty("patterns_discovered").GetInt32();
        count.ShouldBeGreaterThan(0);
        patterns.GetProperty("total").GetInt32().ShouldBe(count);
        patterns.GetProperty("types").EnumerateObject().Sum(type => type.Value.GetInt32()).ShouldBe(count);
        var impacts = patterns.GetProperty("patterns").EnumerateArray().Select(pattern => pattern.GetProperty("impact_score").GetDouble()).ToArray();
        impacts.ShouldBe(impacts.OrderDescending());
        impacts.ShouldAllBe(impact => impact > 0 && impact <= 1);
        var id = first.GetProperty("trial_id").GetString();
        (await app.GetAsync($"/patterns?trial_id={id}&min_effectiveness=1")).GetProperty("patterns").EnumerateArray()
            .ShouldAllBe(pattern => pattern.GetProperty("confidence").GetDouble() == 1 && pattern.GetProperty("trial_id").GetString() == id);

        var results = (await app.GetAsync("/evolution/results")).GetProperty("results").EnumerateArray().Select(result => result.GetProperty("final_fitness").GetDouble()).ToArray();
        results.ShouldBe(results.OrderDescending());
        foreach (var fitness in results)
            (await app.GetAsync($"/evolution/results?min_fitness={fitness.ToString(System.Globalization.CultureInfo.InvariantCulture)}")).GetProperty("total").GetInt64()
                .ShouldBe(results.Count(other => other >= fitness));
        foreach (var confidence in patterns.GetProperty("patterns").EnumerateArray().Select(pattern => pattern.GetProperty("confidence").GetDouble()).ToArray())
            (await app.GetAsync($"/patterns?min_confidence={confidence.ToString(System.Globalization.CultureInfo.InvariantCulture)}")).GetProperty("total").GetInt64()
                .ShouldBe(patterns.GetProperty("patterns").EnumerateArray().Count(pattern => pattern.GetProperty("confidence").GetDouble() >= confidence));
        var metrics = await app.GetAsync("/evolution/metrics");
        metrics.GetProperty("completed_trials").GetInt32().ShouldBe(2);
        metrics.GetProperty("average_generations").GetDouble().ShouldBe(5);
        metrics.GetProperty("total_patterns").GetInt32().ShouldBe(count);
        var health = await app.GetAsync("/health");
        health.GetProperty("service").GetString().ShouldBe("evolution-stub");
        health.GetProperty("active_trials").GetInt32().ShouldBe(0);
    }
}
