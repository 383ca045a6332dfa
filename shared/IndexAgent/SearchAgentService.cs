using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Evolution;
using FunctionsRegistry.Json;

namespace FunctionsRegistry.IndexAgent;

/// <summary>What an agent is made of, or changed to; null leaves a member as it is.</summary>
public sealed record AgentChange(string? Name, string? Language, IReadOnlyList<string>? Capabilities, JsonElement? Parameters, string? Status);

/// <summary>Agents: each has a genome, and a fitness that is measured.</summary>
public sealed class SearchAgentService(SearchAgentStore store, ObjectiveService objectives, SearchCounters counters, TimeProvider time)
{
    /// <summary>Objectives of agents outside of populations use it, so that their fitnesses compare.</summary>
    public const long StandardSeed = 0;

    /// <summary>Capabilities of the spec, where none are given.</summary>
    public static readonly IReadOnlyList<string> StandardCapabilities = ["search", "analyze", "evolve"];

    /// <summary>An id that nobody guesses or meets twice.</summary>
    public static string NewId(string prefix) => prefix + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(6));

    /// <summary>Makes an agent: with the genome in its parameters, or the default one. Its fitness is measured on <c>parameters.repository</c> or the built-in corpus.</summary>
    /// <exception cref="RegistryException">422 of a wrong genome.</exception>
    public async Task<SearchAgent> CreateAsync(AgentChange given, CancellationToken cancellationToken)
    {
        var (parameters, genome) = Split(given.Parameters, Genome.Default);
        var objective = await objectives.GetAsync(RepositoryOf(parameters), StandardSeed, cancellationToken);
        parameters["corpus"] = objective.Corpus;
        var now = time.GetStorableNow();
        var agent = new SearchAgent(
            NewId("agent-"), given.Name!, given.Language ?? "python", given.Capabilities ?? StandardCapabilities, parameters.ToJsonString(), genome, objective.FitnessOf(genome), 0,
            null, [], "active", now, now);
        await store.InsertAsync(agent, cancellationToken);
        return agent;
    }

    /// <summary>Keeps a genome that was evolved elsewhere as an agent; an id that is taken is that agent.</summary>
    public Task KeepAsync(string id, string name, Genome genome, double fitness, int generation, string corpus, CancellationToken cancellationToken)
    {
        var parameters = new JsonObject { ["corpus"] = corpus };
        if (corpus != RepositoryNames.BuiltIn)
            parameters["repository"] = corpus;
        var now = time.GetStorableNow();
        return store.InsertMissingAsync(
            new SearchAgent(id, name, "python", StandardCapabilities, parameters.ToJsonString(), genome, fitness, generation, null, [], "active", now, now), cancellationToken);
    }

    /// <summary>Changes an agent; parameters are merged member by member. A new genome is measured anew.</summary>
    /// <exception cref="RegistryException">404, or 422 of a wrong genome.</exception>
    public async Task<SearchAgent> UpdateAsync(string id, AgentChange change, CancellationToken cancellationToken)
    {
        while (true)
        {
            var agent = await store.FindAsync(id, cancellationToken) ?? throw IndexAgentErrors.AgentNotFound();
            var (given, genome) = Split(change.Parameters, agent.Genome);
            var parameters = JsonNode.Parse(agent.Parameters)!.AsObject();
            foreach (var (name, value) in given)
                parameters[name] = value?.DeepClone();
            var objective = await objectives.GetAsync(RepositoryOf(parameters), StandardSeed, cancellationToken);
            parameters["corpus"] = objective.Corpus;
            var changed = agent with
            {
                Name = change.Name ?? agent.Name,
                Language = change.Language ?? agent.Language,
                Capabilities = change.Capabilities ?? agent.Capabilities,
                Parameters = parameters.ToJsonString(),
                Genome = genome,
                Fitness = change.Parameters is null ? agent.Fitness : objective.FitnessOf(genome),
                Status = change.Status ?? agent.Status,
                UpdatedAt = time.GetStorableNow(),
            };
            if (await store.UpdateAsync(changed, agent.UpdatedAt, cancellationToken))
                return changed;
        }
    }

    /// <summary>The agent's ancestors.</summary>
    /// <exception cref="RegistryException">404.</exception>
    public async Task<LineageResponse> GetLineageAsync(string id, CancellationToken cancellationToken)
    {
        var agent = await store.FindAsync(id, cancellationToken) ?? throw IndexAgentErrors.AgentNotFound();
        var ancestors = await store.ListAncestorsAsync(id, cancellationToken);
        return new LineageResponse(
            id, agent.Generation, agent.Parents, [.. ancestors.Select(one => new AncestorResponse(one.Id, one.Name, one.Generation, Math.Round(one.Fitness, 6), one.Parents))]);
    }

    /// <summary>Counters, this process's latest searches included.</summary>
    public async Task<MetricsResponse> GetMetricsAsync(CancellationToken cancellationToken)
    {
        await counters.WriteAsync(cancellationToken);
        return await store.GetMetricsAsync(cancellationToken);
    }

    private static string? RepositoryOf(JsonObject parameters) =>
        parameters["repository"] is JsonValue value && value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : null;

    // Takes the genome out of parameters: weights by feature name; those not named stay as they are.
    private static (JsonObject Parameters, Genome Genome) Split(JsonElement? given, Genome genome)
    {
        if (given is not { } element)
            return ([], genome);
        var parameters = JsonNodes.OfObject(element);
        var weights = genome.Weights.ToArray();
        if (parameters["genome"] is { } node)
        {
            if (node is not JsonObject named)
                throw Wrong("value is not a valid dict");
            foreach (var (name, value) in named)
            {
                var index = Genome.Names.ToList().IndexOf(name);
                if (index < 0)
                    throw Wrong($"'{name}' is no ranking feature; those are {string.Join(", ", Genome.Names)}");
                if (value is not JsonValue number || !number.TryGetValue<double>(out var weight) || !(weight >= 0 && weight <= Genome.Max(index)))
                    throw Wrong(string.Create(CultureInfo.InvariantCulture, $"'{name}' must be a number from 0 to {Genome.Max(index)}"));
                weights[index] = weight;
            }
        }
        parameters.Remove("genome");
        parameters.Remove("corpus");
        return (parameters, new Genome(weights));
    }

    private static RegistryException Wrong(string message) => IndexAgentErrors.Invalid(["body", "parameters", "genome"], message);
}
