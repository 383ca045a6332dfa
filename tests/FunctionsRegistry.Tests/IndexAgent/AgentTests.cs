using System.Net.Http.Json;
using System.Text.Json;
using FunctionsRegistry.Evolution;
using FunctionsRegistry.IndexAgent;
using FunctionsRegistry.Tests.Marketplace;

namespace FunctionsRegistry.Tests.IndexAgent;

public sealed class AgentTests(IndexAgentApp app) : IClassFixture<IndexAgentApp>
{
    [Fact]
    public async Task An_agent_is_made_as_the_contract_says()
    {
        var agent = await app.PostAsync("/agents", new { name = "my-agent", language = "go", capabilities = new[] { "search" }, parameters = new { custom_param = "value" }, type = "ignored" });

        agent.GetProperty("id").GetString()!.ShouldMatch("^agent-[0-9a-f]{12}$");
        agent.GetProperty("name").GetString().ShouldBe("my-agent");
        var config = agent.GetProperty("config");
        config.GetProperty("language").GetString().ShouldBe("go");
        config.GetProperty("capabilities").GetRawText().ShouldBe("[\"search\"]");
        config.GetProperty("parameters").GetProperty("custom_param").GetString().ShouldBe("value");
        config.GetProperty("parameters").GetProperty("corpus").GetString().ShouldBe("built-in");
        config.GetProperty("parameters").GetProperty("genome").EnumerateObject().Count().ShouldBe(Genome.Length);
        agent.GetProperty("generation").GetInt32().ShouldBe(0);
        agent.GetProperty("status").GetString().ShouldBe("active");
        // contracts/spec-dean.md shows every time with a Z; Python before 3.11 reads six digits of a second, not seven.
        agent.GetProperty("created_at").GetString()!.ShouldMatch(@"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$");
        agent.TryGetProperty("updated_at", out _).ShouldBeFalse();
        (await app.GetAsync($"/agents/{agent.GetProperty("id").GetString()}")).GetRawText().ShouldBe(agent.GetRawText());
    }

    [Fact]
    public async Task Only_a_name_is_needed_and_it_must_not_be_empty()
    {
        var agent = await app.PostAsync("/agents", new { name = "x" });
        agent.GetProperty("config").GetProperty("language").GetString().ShouldBe("python");
        agent.GetProperty("config").GetProperty("capabilities").GetRawText().ShouldBe("[\"search\",\"analyze\",\"evolve\"]");

        (await app.PostAsync("/agents", new { name = "x", language = (string?)null, capabilities = (string[]?)null, parameters = (object?)null }))
            .GetProperty("config").GetProperty("capabilities").GetRawText().ShouldBe("[\"search\",\"analyze\",\"evolve\"]");

        (await app.PostAsync("/agents", new { language = "go" }, 422)).GetProperty("detail")[0].GetProperty("type").GetString().ShouldBe("value_error.missing");
        await app.PostAsync("/agents", new { name = "" }, 422);
        await app.PostAsync("/agents", new { name = "x", parameters = new { genome = new { speed = 1 } } }, 422);
        await app.PostAsync("/agents", new { name = "x", parameters = new { genome = new { body = -1 } } }, 422);
        await app.PostAsync("/agents", new { name = "x", parameters = new { genome = 7 } }, 422);
        // As in Python.
        var twice = await app.PostAsync("/agents", new { name = "x", parameters = JsonElement.Parse("""{"a": 1, "genome": {"body": -1, "body": 0}, "a": {"b": 1, "b": 2}}""") });
        twice.GetProperty("config").GetProperty("parameters").GetProperty("a").GetProperty("b").GetInt32().ShouldBe(2);
        await app.GetAsync("/agents/agent-nobody", 404);
    }

    [Fact]
    public async Task Fitness_is_measured_and_follows_the_genome()
    {
        var standard = (await app.PostAsync("/agents", new { name = "a" })).GetProperty("fitness_score").GetDouble();
        var again = (await app.PostAsync("/agents", new { name = "b" })).GetProperty("fitness_score").GetDouble();
        var nothing = Genome.Names.ToDictionary(name => name, _ => 0.0);
        var zero = (await app.PostAsync("/agents", new { name = "c", parameters = new { genome = nothing } })).GetProperty("fitness_score").GetDouble();

        standard.ShouldBe(again);
        standard.ShouldBeGreaterThan(0.2);
        zero.ShouldBeLessThan(standard / 2);
    }

    [Fact]
    public async Task Agents_are_listed_in_the_order_of_their_making()
    {
        var ids = new List<string>();
        for (var i = 0; i < 3; i++)
            ids.Add((await app.PostAsync("/agents", new { name = "listed" + i })).GetProperty("id").GetString()!);

        var total = (await app.GetAsync("/agents?limit=1")).GetProperty("total").GetInt32();
        var page = await app.GetAsync($"/agents?limit=3&offset={total - 3}");

        page.GetProperty("agents").EnumerateArray().Select(agent => agent.GetProperty("id").GetString()).ShouldBe(ids);
        page.GetProperty("limit").GetInt32().ShouldBe(3);
        foreach (var query in new[] { "limit=0", "limit=1001", "offset=-1", "limit=x" })
            await app.GetAsync("/agents?" + query, 422);
    }

    [Fact]
    public async Task An_agent_is_changed_member_by_member()
    {
        var id = (await app.PostAsync("/agents", new { name = "before", parameters = new { keep = 1, change = 1 } })).GetProperty("id").GetString();

        var changed = await (await app.Client.PatchAsJsonAsync($"/indexagent/agents/{id}", new { name = "after", parameters = new { change = 2, genome = new { body = 3.5 } } })).ShouldBeAsync(200);

        changed.GetProperty("name").GetString().ShouldBe("after");
        var parameters = changed.GetProperty("config").GetProperty("parameters");
        (parameters.GetProperty("keep").GetInt32(), parameters.GetProperty("change").GetInt32()).ShouldBe((1, 2));
        parameters.GetProperty("genome").GetProperty("body").GetDouble().ShouldBe(3.5);
        changed.GetProperty("updated_at").GetDateTimeOffset().ShouldBeGreaterThan(changed.GetProperty("created_at").GetDateTimeOffset());
        await (await app.Client.PatchAsJsonAsync("/indexagent/agents/agent-nobody", new { name = "x" })).ShouldBeAsync(404);
        await (await app.Client.PatchAsJsonAsync($"/indexagent/agents/{id}", new { status = "sleeping" })).ShouldBeAsync(422);
    }

    [Fact]
    public async Task A_deleted_agent_is_gone()
    {
        var id = (await app.PostAsync("/agents", new { name = "gone" })).GetProperty("id").GetString();

        (await (await app.Client.DeleteAsync($"/indexagent/agents/{id}")).ShouldBeAsync(200)).GetProperty("status").GetString().ShouldBe("deleted");
        (await (await app.Client.DeleteAsync($"/indexagent/agents/{id}")).ShouldBeAsync(404)).GetProperty("detail").GetString().ShouldBe("Agent not found");
    }

    [Fact]
    public async Task A_population_is_made_and_its_generations_get_no_worse()
    {
        var population = await app.PostAsync("/evolution/population", new { size = 8, mutation_rate = 0.3, crossover_rate = 0.7, selection_method = "rank", seed = 5 });
        var id = population.GetProperty("population_id").GetString();
        var fitness = population.GetProperty("agents").EnumerateArray().Select(agent => agent.GetProperty("fitness_score").GetDouble()).ToList();
        population.GetProperty("best_fitness").GetDouble().ShouldBe(fitness.Max());
        population.GetProperty("avg_fitness").GetDouble().ShouldBe(fitness.Average(), 0.00001);
        population.GetProperty("agents")[0].GetProperty("name").GetString().ShouldBe("agent-gen0-0");
        population.GetProperty("config").GetProperty("selection_method").GetString().ShouldBe("rank");

        var best = fitness.Max();
        for (var generation = 1; generation <= 3; generation++)
        {
            var answer = generation == 2
                ? await (await app.Client.PostAsync($"/indexagent/evolution/generation?population_id={id}", null)).ShouldBeAsync(200)
                : await app.PostAsync("/evolution/generation", new { population_id = id, config = new { } });
            answer.GetProperty("generation").GetInt32().ShouldBe(generation);
            answer.GetProperty("population").GetArrayLength().ShouldBe(8);
            var stats = answer.GetProperty("stats");
            stats.GetProperty("best_fitness").GetDouble().ShouldBeGreaterThanOrEqualTo(best);
            stats.GetProperty("improvement").GetDouble().ShouldBe(stats.GetProperty("best_fitness").GetDouble() - best, 0.00001);
            answer.GetProperty("best_agent").GetProperty("fitness_score").GetDouble().ShouldBe(stats.GetProperty("best_fitness").GetDouble());
            best = stats.GetProperty("best_fitness").GetDouble();
        }

        var child = (await app.PostAsync("/evolution/generation", new { population_id = id })).GetProperty("population")[7].GetProperty("id").GetString();
        var lineage = await app.GetAsync($"/agents/{child}/lineage");
        lineage.GetProperty("parents").GetArrayLength().ShouldBeInRange(1, 2);
        lineage.GetProperty("ancestors")[0].GetProperty("generation").GetInt32().ShouldBeLessThanOrEqualTo(4);
        await app.GetAsync("/agents/agent-nobody/lineage", 404);
    }

    [Fact]
    public async Task The_same_seed_gives_the_same_population()
    {
        async Task<string> MakeAsync()
        {
            var population = await app.PostAsync("/evolution/population", new { size = 5, seed = 77 });
            var next = await app.PostAsync("/evolution/generation", new { population_id = population.GetProperty("population_id").GetString() });
            return string.Join('\n', next.GetProperty("population").EnumerateArray()
                .Select(agent => agent.GetProperty("config").GetProperty("parameters").GetProperty("genome").GetRawText() + agent.GetProperty("fitness_score").GetRawText()));
        }

        (await MakeAsync()).ShouldBe(await MakeAsync());
    }

    [Fact]
    public async Task Generations_asked_for_at_once_follow_one_another()
    {
        var id = (await app.PostAsync("/evolution/population", new { size = 6 })).GetProperty("population_id").GetString();

        var answers = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => app.PostAsync("/evolution/generation", new { population_id = id })));

        answers.Select(answer => answer.GetProperty("generation").GetInt32()).Order().ShouldBe(Enumerable.Range(1, 6));
        (await app.ScalarAsync<long>("SELECT count(*) FROM indexagent.agents WHERE population_id = $1 AND status = 'active'", id!)).ShouldBe(6);
        (await app.ScalarAsync<int>("SELECT generation FROM indexagent.populations WHERE id = $1", id!)).ShouldBe(6);
    }

    [Fact]
    public async Task Bad_populations_are_refused_with_every_fault()
    {
        var error = await app.PostAsync("/evolution/population", new { size = 0, mutation_rate = 7, crossover_rate = -1, selection_method = "luck" }, 422);

        error.GetProperty("detail").GetArrayLength().ShouldBe(4);
        (await app.PostAsync("/evolution/generation", new { population_id = "pop-x" }, 404)).GetProperty("detail").GetString().ShouldBe("Population not found");
        await app.PostAsync("/evolution/generation", new { }, 422);
        await (await app.Client.PostAsync("/indexagent/evolution/generation", null)).ShouldBeAsync(422);
    }

    [Fact]
    public async Task Metrics_count_what_was_made()
    {
        var before = await app.GetAsync("/evolution/metrics");
        await app.PostAsync("/evolution/population", new { size = 4 });
        await app.PostAsync("/agents", new { name = "counted" });

        var after = await app.GetAsync("/evolution/metrics?population_id=x");

        (after.GetProperty("active_populations").GetInt32() - before.GetProperty("active_populations").GetInt32()).ShouldBeGreaterThanOrEqualTo(1);
        (after.GetProperty("metrics").GetProperty("agents_created").GetInt64() - before.GetProperty("metrics").GetProperty("agents_created").GetInt64()).ShouldBeGreaterThanOrEqualTo(5);
        after.GetProperty("average_fitness").GetDouble().ShouldBeInRange(0.01, 1);
    }

    [Fact]
    public async Task A_repository_s_own_texts_are_the_measure_where_it_is_named()
    {
        await app.UploadAsync("measure",
            [.. Enumerable.Range(0, 30).Select(i => ($"src/m{i}.py", $"def compute_{Words[i % Words.Length]}_{i}(value):\n    \"\"\"Computes the {Words[i % Words.Length]} of value number{i}.\"\"\"\n    return value.{Words[(i + 3) % Words.Length]}(number{i})\n"))]);

        var agent = await app.PostAsync("/agents", new { name = "m", parameters = new { repository = "measure" } });

        agent.GetProperty("config").GetProperty("parameters").GetProperty("corpus").GetString().ShouldBe("measure");
        agent.GetProperty("fitness_score").GetDouble().ShouldBeGreaterThan(0.5);
        (await app.PostAsync("/agents", new { name = "m", parameters = new { repository = "nowhere" } }))
            .GetProperty("config").GetProperty("parameters").GetProperty("corpus").GetString().ShouldBe("built-in");
    }

    [Fact]
    public async Task Evolution_on_the_built_in_corpus_improves_on_what_it_did_not_see()
    {
        var objective = await app.Service<ObjectiveService>().GetAsync(null, 1, CancellationToken.None);
        objective.Queries.Count.ShouldBe(ObjectiveService.QueryCount);
        var members = Breeding.CreateFirst(20, new SeededRandom(1, 0)).Select(genome => new Individual(genome, objective.FitnessOf(genome))).ToList();
        for (var generation = 1; generation <= 10; generation++)
            members = [.. Breeding.CreateNext(members, new BreedingRules(0.1, 0.7, SelectionMethod.Tournament), new SeededRandom(1, generation)).Select(child => new Individual(child.Genome, objective.FitnessOf(child.Genome)))];

        var best = members.MaxBy(member => member.Fitness)!;
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"default {objective.FitnessOf(Genome.Default):0.000} held out {objective.HeldOutOf(Genome.Default):0.000}; best {best.Fitness:0.000} held out {objective.HeldOutOf(best.Genome):0.000}");
        best.Fitness.ShouldBeGreaterThan(objective.FitnessOf(Genome.Default));
    }

    private static readonly string[] Words = ["total", "average", "median", "variance", "maximum", "minimum", "checksum"];
}
