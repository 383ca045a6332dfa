using System.Text.Json.Nodes;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Evolution;
using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.IndexAgent;

/// <summary>What a population is made with.</summary>
/// <param name="Repository">What fitness is measured on; null: the built-in corpus.</param>
public sealed record PopulationRules(int Size, double MutationRate, double CrossoverRate, SelectionMethod Selection, long Seed, string? Repository)
{
    internal BreedingRules Breeding => new(MutationRate, CrossoverRate, Selection);
}

/// <summary>Populations and their generations.</summary>
public sealed class PopulationService(NpgsqlDataSource database, ObjectiveService objectives, TimeProvider time)
{
    /// <summary>Makes a population: the default genome and random ones.</summary>
    public async Task<PopulationResponse> CreateAsync(PopulationRules rules, CancellationToken cancellationToken)
    {
        var objective = await objectives.GetAsync(rules.Repository, rules.Seed, cancellationToken);
        var now = time.GetStorableNow();
        var id = SearchAgentService.NewId("pop-");
        var agents = Breeding.CreateFirst(rules.Size, new SeededRandom(rules.Seed, 0))
            .Select((genome, place) => NewAgent(rules, id, 0, place, genome, objective, [], now)).ToList();
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(IndexStore.Command("""
            INSERT INTO indexagent.populations (id, size, mutation_rate, crossover_rate, selection_method, seed, repository, generation, best_fitness, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9)
            """, id, rules.Size, rules.MutationRate, rules.CrossoverRate, NameOf(rules.Selection), rules.Seed, IndexStore.Nullable(rules.Repository, NpgsqlDbType.Text),
            agents.Max(agent => agent.Fitness), now));
        for (var place = 0; place < agents.Count; place++)
            batch.BatchCommands.Add(SearchAgentStore.InsertCommand(agents[place], place));
        batch.BatchCommands.Add(SearchAgentStore.CountCommand("agents_created", agents.Count));
        await batch.ExecuteNonQueryAsync(cancellationToken);
        var config = new PopulationConfig(rules.Size, rules.MutationRate, rules.CrossoverRate, NameOf(rules.Selection), rules.Seed, rules.Repository, objective.Corpus);
        return new PopulationResponse(
            id, config, [.. agents.Select(agent => agent.ToResponse())], 0, Math.Round(agents.Max(agent => agent.Fitness), 6), Math.Round(agents.Average(agent => agent.Fitness), 6), now);
    }

    /// <summary>Breeds the next generation. Two calls at once make two generations, one after the other.</summary>
    /// <exception cref="RegistryException">404.</exception>
    public async Task<GenerationResponse> EvolveAsync(string populationId, CancellationToken cancellationToken)
    {
        // Measured before the row is locked: an objective may take seconds to make.
        var wanted = await FindRulesAsync(populationId, cancellationToken) ?? throw IndexAgentErrors.PopulationNotFound();
        var objective = await objectives.GetAsync(wanted.Repository, wanted.Seed, cancellationToken);
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        var (generation, bestBefore) = await LockAsync(connection, populationId, cancellationToken);
        var members = await ReadMembersAsync(connection, populationId, cancellationToken);
        if (members.Count == 0)
            throw IndexAgentErrors.PopulationNotFound();
        generation++;
        var next = Breed(wanted, populationId, generation, members, objective);
        var best = next.Max(agent => agent.Fitness);
        await WriteAsync(connection, populationId, generation, members, next, best, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return new GenerationResponse(
            generation, next.MaxBy(agent => agent.Fitness)!.ToResponse(), [.. next.Select(agent => agent.ToResponse())],
            new GenerationStats(Math.Round(best, 6), Math.Round(next.Average(agent => agent.Fitness), 6), Math.Round(best - bestBefore, 6)));
    }

    private List<SearchAgent> Breed(PopulationRules rules, string populationId, int generation, IReadOnlyList<SearchAgent> members, Objective objective)
    {
        // The repository may have changed since the members were measured, and the best of them must win on what it is now.
        var individuals = members.Select(member => new Individual(member.Genome, objective.FitnessOf(member.Genome))).ToList();
        var now = time.GetStorableNow();
        return
        [
            .. Breeding.CreateNext(individuals, rules.Breeding, new SeededRandom(rules.Seed, generation)).Select((child, place) => child.IsElite
                ? members[child.Parents[0]] with { Generation = generation, Fitness = individuals[child.Parents[0]].Fitness, UpdatedAt = now }
                : NewAgent(rules, populationId, generation, place, child.Genome, objective, [.. child.Parents.Select(parent => members[parent].Id)], now)),
        ];
    }

    private static SearchAgent NewAgent(
        PopulationRules rules, string populationId, int generation, int place, Genome genome, Objective objective, IReadOnlyList<string> parents, DateTimeOffset now)
    {
        var parameters = new JsonObject { ["mutation_rate"] = rules.MutationRate, ["corpus"] = objective.Corpus };
        if (rules.Repository is not null)
            parameters["repository"] = rules.Repository;
        return new SearchAgent(
            SearchAgentService.NewId("agent-"), $"agent-gen{generation}-{place}", "python", SearchAgentService.StandardCapabilities, parameters.ToJsonString(), genome,
            objective.FitnessOf(genome), generation, populationId, parents, "active", now, now);
    }

    private static async Task WriteAsync(
        NpgsqlConnection connection, string populationId, int generation, IReadOnlyList<SearchAgent> members, List<SearchAgent> next, double best, CancellationToken cancellationToken)
    {
        var known = members.Select(member => member.Id).ToHashSet();
        await using var batch = new NpgsqlBatch(connection);
        batch.BatchCommands.Add(IndexStore.Command("UPDATE indexagent.populations SET generation = $2, best_fitness = $3 WHERE id = $1", populationId, generation, best));
        batch.BatchCommands.Add(IndexStore.Command(
            "UPDATE indexagent.agents SET status = 'retired' WHERE population_id = $1 AND status = 'active' AND NOT (id = ANY($2))", populationId, next.Select(agent => agent.Id).ToArray()));
        for (var place = 0; place < next.Count; place++)
            batch.BatchCommands.Add(known.Contains(next[place].Id)
                ? IndexStore.Command(
                    "UPDATE indexagent.agents SET generation = $2, place = $3, fitness = $4, updated_at = $5 WHERE id = $1",
                    next[place].Id, generation, place, next[place].Fitness, next[place].UpdatedAt)
                : SearchAgentStore.InsertCommand(next[place], place));
        batch.BatchCommands.Add(SearchAgentStore.CountCommand("agents_created", next.Count(agent => !known.Contains(agent.Id))));
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    private async Task<PopulationRules?> FindRulesAsync(string id, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(
            "SELECT size, mutation_rate, crossover_rate, selection_method, seed, repository FROM indexagent.populations WHERE id = $1");
        command.Parameters.Add(new() { Value = id });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken)
            ? new PopulationRules(
                reader.GetInt32(0), reader.GetDouble(1), reader.GetDouble(2), Enum.Parse<SelectionMethod>(reader.GetString(3), ignoreCase: true), reader.GetInt64(4), reader.GetValue(5) as string)
            : null;
    }

    private static async Task<(int Generation, double BestFitness)> LockAsync(NpgsqlConnection connection, string id, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand("SELECT generation, best_fitness FROM indexagent.populations WHERE id = $1 FOR NO KEY UPDATE", connection);
        command.Parameters.Add(new() { Value = id });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? (reader.GetInt32(0), reader.GetDouble(1)) : throw IndexAgentErrors.PopulationNotFound();
    }

    private static async Task<IReadOnlyList<SearchAgent>> ReadMembersAsync(NpgsqlConnection connection, string id, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(
            $"SELECT {SearchAgentStore.Columns} FROM indexagent.agents WHERE population_id = $1 AND status = 'active' ORDER BY place, number", connection);
        command.Parameters.Add(new() { Value = id });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await SearchAgentStore.ReadAllAsync(reader, cancellationToken);
    }

    private static string NameOf(SelectionMethod method) => method.ToString().ToLowerInvariant();
}
