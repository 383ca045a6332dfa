using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using FunctionsRegistry.Evolution;
using FunctionsRegistry.IndexAgent;

namespace FunctionsRegistry.Airflow.Operators;

/// <summary>Parameters that evolve something: the ranges of the Evolution and IndexAgent contracts.</summary>
internal static class EvolutionParameters
{
    public static readonly IReadOnlyList<OperatorParameter> Breeding =
    [
        new("mutation_rate", false, ParameterChecks.Optional(ParameterChecks.Number(0, 1))),
        new("crossover_rate", false, ParameterChecks.Optional(ParameterChecks.Number(0, 1))),
        new("selection_method", false, ParameterChecks.Optional(node => node?.GetValueKind() == JsonValueKind.String && Enum.GetNames<SelectionMethod>().Contains(node.GetValue<string>(), StringComparer.OrdinalIgnoreCase)
            ? null : "must be tournament, roulette or rank")),
        new("seed", false, ParameterChecks.Optional(node => node is JsonValue && long.TryParse(node.ToString(), out _) ? null : "must be a whole number")),
        new("repository", false, ParameterChecks.Optional(ParameterChecks.Text)),
    ];

    public static double Number(JsonObject parameters, string name, double standard) => ParameterChecks.TryNumber(parameters[name], out var value) ? value : standard;

    public static SelectionMethod Selection(JsonObject parameters) =>
        parameters["selection_method"] is { } node ? Enum.Parse<SelectionMethod>(node.GetValue<string>(), ignoreCase: true) : SelectionMethod.Tournament;

    public static long Seed(JsonObject parameters) => parameters["seed"] is { } node ? long.Parse(node.ToString()) : RandomNumberGenerator.GetInt32(int.MaxValue);

    public static string? Text(JsonObject parameters, string name) => parameters[name]?.GetValue<string>() is { Length: > 0 } text ? text : null;
}

/// <summary>
/// Runs an evolution trial, as a sub-orchestration; <c>trial_id</c> names it, and follows it where it exists. Output: <c>{trial_id, corpus, generations,
/// best_fitness, best_agent_id, patterns_discovered, result_hash}</c>.
/// </summary>
public sealed partial class TrialOperator(TrialService trials) : IOperator
{
    /// <inheritdoc/>
    public string Name => "evolution.trial";

    /// <inheritdoc/>
    public IReadOnlyList<OperatorParameter> Parameters { get; } =
    [
        .. EvolutionParameters.Breeding,
        new("trial_id", false, ParameterChecks.Optional(node => node?.GetValueKind() == JsonValueKind.String && Ids().IsMatch(node.GetValue<string>())
            ? null : "must be 'trial-' and letters, digits, '.', '_' or '-'")),
        new("generations", false, ParameterChecks.Optional(ParameterChecks.Number(1, 100))),
        new("population_size", false, ParameterChecks.Optional(ParameterChecks.Number(5, 100))),
        new("fitness_threshold", false, ParameterChecks.Optional(ParameterChecks.Number(0, 1))),
        new("max_runtime_minutes", false, ParameterChecks.Optional(ParameterChecks.Number(1, 120))),
    ];

    /// <inheritdoc/>
    public async Task<OperatorResult> RunAsync(OperatorCall attempt, CancellationToken cancellationToken)
    {
        var given = attempt.Params;
        var (seed, selection) = (EvolutionParameters.Seed(given), EvolutionParameters.Selection(given));
        var parameters = new JsonObject { ["seed"] = seed, ["selection_method"] = selection.ToString().ToLowerInvariant() };
        var rules = new TrialRules(
            EvolutionParameters.Text(given, "repository"), (int)EvolutionParameters.Number(given, "generations", 10), (int)EvolutionParameters.Number(given, "population_size", 20),
            EvolutionParameters.Number(given, "mutation_rate", 0.1), EvolutionParameters.Number(given, "crossover_rate", 0.7), selection,
            EvolutionParameters.Number(given, "fitness_threshold", 0.9), (int)EvolutionParameters.Number(given, "max_runtime_minutes", 30), parameters.ToJsonString(), seed);
        var trial = await trials.StartAsync(rules, EvolutionParameters.Text(given, "trial_id") ?? $"trial-dag-{attempt.Id}", cancellationToken);
        attempt.Log.Write($"Trial {trial.TrialId} on {trial.Repository}.");
        return new OperatorResult(new JsonObject { ["trial_id"] = trial.TrialId }, TrialId: trial.TrialId);
    }

    /// <inheritdoc/>
    public async Task<OperatorResult> ResumeAsync(JsonNode? output, TaskLog log, CancellationToken cancellationToken)
    {
        var trial = await trials.GetAsync(output!["trial_id"]!.GetValue<string>(), cancellationToken);
        if (trial.Status is "failed" or "cancelled")
            throw new OperatorException($"the trial {trial.TrialId} was {trial.Status}{(trial.Error is null ? "" : ": " + trial.Error)}");
        // Somebody else's orchestration moves it.
        if (trial.Status != "completed")
            return new OperatorResult(output.DeepClone(), Wait: TimeSpan.FromSeconds(5));
        log.Write($"Fitness {trial.BestFitness} after {trial.CurrentGeneration} generations.");
        return new OperatorResult(new JsonObject
        {
            ["trial_id"] = trial.TrialId,
            ["corpus"] = JsonNode.Parse(trial.Config.Parameters.Text)!["corpus"]!.DeepClone(),
            ["generations"] = trial.CurrentGeneration,
            ["best_fitness"] = trial.BestFitness,
            ["best_agent_id"] = trial.BestAgentId,
            ["patterns_discovered"] = trial.PatternsDiscovered,
            ["result_hash"] = trial.ResultHash,
        });
    }

    [GeneratedRegex(@"\Atrial-[A-Za-z0-9._-]{1,90}\z")]
    private static partial Regex Ids();
}

/// <summary>Makes a population of search agents. Output: <c>{population_id, size, seed, corpus, best_fitness, avg_fitness}</c>.</summary>
public sealed class CreatePopulationOperator(PopulationService populations) : IOperator
{
    /// <inheritdoc/>
    public string Name => "population.create";

    /// <inheritdoc/>
    public IReadOnlyList<OperatorParameter> Parameters { get; } =
        [.. EvolutionParameters.Breeding, new("size", false, ParameterChecks.Optional(ParameterChecks.Number(1, 1000)))];

    /// <inheritdoc/>
    public async Task<OperatorResult> RunAsync(OperatorCall attempt, CancellationToken cancellationToken)
    {
        var given = attempt.Params;
        var made = await populations.CreateAsync(
            new PopulationRules(
                (int)EvolutionParameters.Number(given, "size", 10), EvolutionParameters.Number(given, "mutation_rate", 0.1), EvolutionParameters.Number(given, "crossover_rate", 0.7),
                EvolutionParameters.Selection(given), EvolutionParameters.Seed(given), EvolutionParameters.Text(given, "repository")),
            cancellationToken);
        attempt.Log.Write($"{made.Agents.Count} agents on {made.Config.Corpus}, the best with fitness {made.BestFitness}.");
        return new OperatorResult(new JsonObject
        {
            ["population_id"] = made.PopulationId,
            ["size"] = made.Agents.Count,
            ["seed"] = made.Config.Seed,
            ["corpus"] = made.Config.Corpus,
            ["best_fitness"] = made.BestFitness,
            ["avg_fitness"] = made.AvgFitness,
        });
    }
}
