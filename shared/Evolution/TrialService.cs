using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text.Json;
using FunctionsRegistry.Errors;
using FunctionsRegistry.IndexAgent;

namespace FunctionsRegistry.Evolution;

/// <summary>Where a trial stands, for its orchestration.</summary>
/// <param name="Status">The trial's status.</param>
/// <param name="Generation">The generation to evaluate next.</param>
/// <param name="Members">Of one generation.</param>
/// <param name="IsDone">There is no reason for another generation: complete it.</param>
public sealed record TrialStep(string Status, int Generation, int Members, bool IsDone);

/// <summary>Some members of a generation.</summary>
public sealed record TrialChunk(string TrialId, int Generation, int First, int Count);

/// <summary>All members' fitness, in order.</summary>
public sealed record TrialFitness(string TrialId, int Generation, double[] Fitness);

/// <summary>
/// Evolution trials: rankings of search agents, bred and measured on a repository. What users do to a trial and what its orchestration does; the rows decide
/// who was first.
/// </summary>
public sealed class TrialService(
    TrialStore trials, TrialRunStore runs, SearchStore store, ObjectiveService objectives, SearchAgentService agents, LiveUpdates updates, TimeProvider time)
{
    private const int MaxKept = 16;

    // An objective is read once per process and trial.
    private readonly ConcurrentDictionary<string, Objective> _objectives = new();

    /// <summary>Starts a trial; the caller schedules its orchestration.</summary>
    /// <param name="id">Null: a new one. An id that is taken is that trial: starting it twice is harmless.</param>
    public async Task<TrialResponse> StartAsync(TrialRules rules, string? id, CancellationToken cancellationToken)
    {
        id ??= "trial-" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(6));
        await trials.InsertAsync(id, rules, cancellationToken);
        return await GetAsync(id, cancellationToken);
    }

    /// <summary>A trial.</summary>
    /// <exception cref="RegistryException">404.</exception>
    public async Task<TrialResponse> GetAsync(string id, CancellationToken cancellationToken) => await trials.FindAsync(id, cancellationToken) ?? throw EvolutionErrors.TrialNotFound();

    /// <summary>Ends a trial for good.</summary>
    /// <exception cref="RegistryException">404; 400 where it is over.</exception>
    public Task CancelAsync(string id, CancellationToken cancellationToken) =>
        MoveAsync(id, trials.CancelAsync(id, Frame(id, "Trial cancelled by user"), cancellationToken), EvolutionErrors.CannotCancel, cancellationToken);

    /// <summary>Halts a trial after the generation that is being evaluated.</summary>
    /// <exception cref="RegistryException">404; 400 where it is over or paused.</exception>
    public Task PauseAsync(string id, CancellationToken cancellationToken) =>
        MoveAsync(id, trials.PauseAsync(id, Frame(id, "Trial paused"), cancellationToken), EvolutionErrors.CannotPause, cancellationToken);

    /// <summary>Lets a paused trial go on; the caller tells its orchestration.</summary>
    /// <exception cref="RegistryException">404; 400 where it is not paused.</exception>
    public Task ResumeAsync(string id, CancellationToken cancellationToken) =>
        MoveAsync(id, trials.ResumeAsync(id, Frame(id, "Trial resumed"), cancellationToken), EvolutionErrors.CannotResume, cancellationToken);

    /// <summary>Fails a trial that is not over.</summary>
    public async Task FailAsync(string id, string error, CancellationToken cancellationToken)
    {
        if (await trials.FailAsync(id, error, Frame(id, $"Trial failed: {error}"), cancellationToken) is { } told)
            await updates.PublishAsync([told], cancellationToken);
        _objectives.TryRemove(id, out _);
    }

    /// <summary>Makes the objective where there is none, and says where the trial stands.</summary>
    public async Task<TrialStep> PrepareAsync(string id, CancellationToken cancellationToken)
    {
        var run = await runs.FindAsync(id, cancellationToken);
        if (run is { Status: "initializing", IsPrepared: false })
        {
            if (!run.RepositoryIsThere)
                return await FailedAsync(run, EvolutionErrors.RepositoryDeleted(run.Corpus), cancellationToken);
            var objective = await MakeObjectiveAsync(run, cancellationToken);
            if (objective is null)
                return await FailedAsync(run, EvolutionErrors.RepositoryDeleted(run.Corpus), cancellationToken);
            if (objective.Queries.Count == 0)
                return await FailedAsync(run, EvolutionErrors.NothingToMeasure(run.Corpus), cancellationToken);
            if (await runs.PrepareAsync(id, objective, Frame(id, "Trial started"), cancellationToken) is { } told)
                await updates.PublishAsync([told], cancellationToken);
            run = await runs.FindAsync(id, cancellationToken);
        }
        return await StepAsync(run, cancellationToken);
    }

    /// <summary>Measures some members of the next generation; empty where the trial is over.</summary>
    public async Task<double[]> EvaluateAsync(TrialChunk chunk, CancellationToken cancellationToken)
    {
        if (await runs.FindAsync(chunk.TrialId, cancellationToken) is not { } run || NextNumber(run) != chunk.Generation
            || await FindObjectiveAsync(chunk.TrialId, cancellationToken) is not { } objective)
            return [];
        var genomes = Generation.Breed(run.Last, run.Rules.PopulationSize, run.Rules.Breeding, run.Rules.Seed);
        return [.. genomes.Skip(chunk.First).Take(chunk.Count).Select(objective.FitnessOf)];
    }

    /// <summary>Records the next generation and says where the trial stands then.</summary>
    public async Task<TrialStep> AdvanceAsync(TrialFitness measured, CancellationToken cancellationToken)
    {
        var id = measured.TrialId;
        var run = await runs.FindAsync(id, cancellationToken);
        if (run is { Status: "running" } && NextNumber(run) == measured.Generation && measured.Fitness.Length == run.Rules.PopulationSize)
        {
            if (!run.RepositoryIsThere)
                return await FailedAsync(run, EvolutionErrors.RepositoryDeleted(run.Corpus), cancellationToken);
            var genomes = Generation.Breed(run.Last, run.Rules.PopulationSize, run.Rules.Breeding, run.Rules.Seed);
            var generation = Generation.After(run.Last, [.. genomes.Select((genome, i) => new Individual(genome, measured.Fitness[i]))]);
            var advance = await DescribeAsync(run, generation, cancellationToken);
            if (await runs.AdvanceAsync(id, advance, cancellationToken) is { } told)
                await updates.PublishAsync(told, cancellationToken);
        }
        return await StepAsync(await runs.FindAsync(id, cancellationToken), cancellationToken);
    }

    /// <summary>Ends a trial that is done: its best genome becomes an agent that searches can use, and is compared with the default on queries it never saw.</summary>
    public async Task<TrialStep> CompleteAsync(string id, CancellationToken cancellationToken)
    {
        var run = await runs.FindAsync(id, cancellationToken);
        if (run is not { Status: "running", Last: { } last } || await FindObjectiveAsync(id, cancellationToken) is not { } objective)
            return await StepAsync(run, cancellationToken);
        // The agent first: whoever sees the trial completed finds it.
        var best = last.Best;
        var agentId = "agent-" + id;
        await agents.KeepAsync(agentId, $"best of {id}", best.Genome, best.Fitness, last.Number, run.Corpus, cancellationToken);
        var end = new TrialEnd(
            StopReason(run, last) ?? "generations", Convert.ToHexStringLower(last.Hash), agentId, objective.FitnessOf(Genome.Default), objective.HeldOutOf(Genome.Default),
            objective.HeldOutOf(best.Genome));
        if (await runs.CompleteAsync(id, end, Frame(id, "Trial completed successfully"), cancellationToken) is { } told)
            await updates.PublishAsync([told], cancellationToken);
        _objectives.TryRemove(id, out _);
        return await StepAsync(await runs.FindAsync(id, cancellationToken), cancellationToken);
    }

    private async Task<TrialAdvance> DescribeAsync(TrialRun run, Generation generation, CancellationToken cancellationToken)
    {
        // The first members are where evolution begins, not what it did.
        if (run.Last is not { } last)
            return new TrialAdvance(generation, 0, null, []);
        var (id, number, best) = (run.Id, generation.Number, generation.Best);
        var improvement = best.Fitness - last.Best.Fitness;
        var frames = new List<string>();
        TrialPattern? pattern = null;
        if (improvement > 0 && await FindObjectiveAsync(id, cancellationToken) is { } objective && WeightPattern.Find(objective, last.Best.Genome, best.Genome) is { } found)
        {
            pattern = new TrialPattern(
                $"pattern-{id}-{number}", id, found.Name, found.Type, found.Description, found.Confidence, found.Occurrences, Math.Clamp(found.Impact, 0, 1),
                time.GetStorableNow(), number, [run.Corpus]);
            frames.Add(Frame(id, $"Pattern discovered in generation {number}", new UpdateData(Pattern: new UpdatePattern(pattern.Id, pattern.Type, Math.Round(pattern.Confidence, 6)))));
        }
        frames.Add(Frame(id, $"Generation {number} completed", new UpdateData(number, Math.Round(best.Fitness, 6), Math.Round(improvement, 6))));
        return new TrialAdvance(generation, improvement, pattern, frames);
    }

    private async Task<TrialStep> StepAsync(TrialRun? run, CancellationToken cancellationToken)
    {
        if (run is null)
            return new TrialStep("deleted", 0, 0, false);
        if (!run.RepositoryIsThere && run.Status is "initializing" or "running")
            return await FailedAsync(run, EvolutionErrors.RepositoryDeleted(run.Corpus), cancellationToken);
        return new TrialStep(run.Status, NextNumber(run), run.Rules.PopulationSize, run.Last is { } last && StopReason(run, last) is not null);
    }

    private async Task<TrialStep> FailedAsync(TrialRun run, string error, CancellationToken cancellationToken)
    {
        await FailAsync(run.Id, error, cancellationToken);
        return new TrialStep("failed", NextNumber(run), run.Rules.PopulationSize, false);
    }

    private string? StopReason(TrialRun run, Generation last) =>
        last.Best.Fitness >= run.Rules.FitnessThreshold ? "fitness_threshold"
        : last.Number >= run.Rules.Generations ? "generations"
        : time.GetUtcNow() >= run.RuntimeFrom + TimeSpan.FromMinutes(run.Rules.MaxRuntimeMinutes) ? "max_runtime_minutes"
        : null;

    // On one index: a repository that is uploaded anew meanwhile is measured as it is then. Null where it was deleted.
    private async Task<Objective?> MakeObjectiveAsync(TrialRun run, CancellationToken cancellationToken)
    {
        if (run.Corpus == RepositoryNames.BuiltIn)
            return await objectives.GetAsync(null, run.Rules.Seed, cancellationToken);
        while (true)
        {
            var generation = await store.FindGenerationAsync(run.Corpus, cancellationToken);
            if (generation is null)
                return null;
            var objective = await objectives.GetAsync(run.Corpus, run.Rules.Seed, cancellationToken);
            if (objective.Corpus == run.Corpus && await store.FindGenerationAsync(run.Corpus, cancellationToken) == generation)
                return objective;
        }
    }

    private async Task<Objective?> FindObjectiveAsync(string id, CancellationToken cancellationToken)
    {
        if (_objectives.TryGetValue(id, out var kept))
            return kept;
        if (await runs.FindObjectiveAsync(id, cancellationToken) is not { } read)
            return null;
        if (_objectives.Count >= MaxKept)
            _objectives.Clear();
        return _objectives[id] = read;
    }

    private async Task MoveAsync(string id, Task<TrialEvent?> move, Func<RegistryException> refuse, CancellationToken cancellationToken)
    {
        if (await move is not { } told)
            throw await trials.FindAsync(id, cancellationToken) is null ? EvolutionErrors.TrialNotFound() : refuse();
        await updates.PublishAsync([told], cancellationToken);
    }

    private static int NextNumber(TrialRun run) => run.Last is { } last ? last.Number + 1 : 0;

    private string Frame(string id, string message, UpdateData? data = null) =>
        JsonSerializer.Serialize(new UpdateFrame("trial_update", id, message, time.GetStorableNow(), data ?? new UpdateData()), EvolutionJson.Default.UpdateFrame);
}
