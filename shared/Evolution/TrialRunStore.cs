using FunctionsRegistry.IndexAgent;
using Npgsql;

namespace FunctionsRegistry.Evolution;

/// <summary>A trial as its orchestration needs it.</summary>
/// <param name="RepositoryIsThere">False where the repository was deleted.</param>
/// <param name="Last">The last generation that is recorded; null before the first.</param>
internal sealed record TrialRun(
    string Id, TrialRules Rules, string Corpus, string Status, bool IsPrepared, bool RepositoryIsThere, DateTimeOffset RuntimeFrom, double BestFitness, Generation? Last);

/// <summary>What a recorded generation changes.</summary>
internal sealed record TrialAdvance(Generation Generation, double Improvement, TrialPattern? Pattern, IReadOnlyList<string> Frames);

/// <summary>How a trial ended that was completed.</summary>
internal sealed record TrialEnd(string StopReason, string ResultHash, string BestAgentId, double DefaultFitness, double HeldOutDefault, double HeldOutBest);

/// <summary>Trials as their orchestrations move them; every move may be repeated.</summary>
public sealed class TrialRunStore(NpgsqlDataSource database, TimeProvider time)
{
    /// <summary>A trial and its last generation; null where there is none.</summary>
    internal async Task<TrialRun?> FindAsync(string id, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT t.repository, t.generations, t.population_size, t.mutation_rate, t.crossover_rate, t.selection_method, t.fitness_threshold, t.max_runtime_minutes, t.seed, t.corpus,
                t.status, t.is_prepared, t.repository_id IS NULL OR EXISTS (SELECT 1 FROM indexagent.repositories r WHERE r.id = t.repository_id), t.runtime_from, t.best_fitness,
                g.generation, g.genomes, g.fitness, g.hash
            FROM evolution.trials t
            LEFT JOIN LATERAL (SELECT * FROM evolution.generations g WHERE g.trial_id = t.id ORDER BY g.generation DESC LIMIT 1) g ON true WHERE t.id = $1
            """);
        command.Parameters.Add(new() { Value = id });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            return null;
        var rules = new TrialRules(
            reader.GetValue(0) as string, reader.GetInt32(1), reader.GetInt32(2), reader.GetDouble(3), reader.GetDouble(4), Enum.Parse<SelectionMethod>(reader.GetString(5)),
            reader.GetDouble(6), reader.GetInt32(7), "", reader.GetInt64(8));
        var last = reader.IsDBNull(15) ? null : ReadGeneration(reader.GetInt32(15), reader.GetFieldValue<double[]>(16), reader.GetFieldValue<double[]>(17), reader.GetFieldValue<byte[]>(18));
        return new TrialRun(
            id, rules, reader.GetString(9), reader.GetString(10), reader.GetBoolean(11), reader.GetBoolean(12), reader.GetFieldValue<DateTimeOffset>(13), reader.GetDouble(14), last);
    }

    /// <summary>Null where the trial is not prepared, or over.</summary>
    internal async Task<Objective?> FindObjectiveAsync(string id, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("SELECT data FROM evolution.objectives WHERE trial_id = $1");
        command.Parameters.Add(new() { Value = id });
        return await command.ExecuteScalarAsync(cancellationToken) is byte[] data ? ObjectiveFile.Read(data) : null;
    }

    /// <summary>Stores the objective and lets the trial run, unless it is paused; null where it does already or is over.</summary>
    internal async Task<TrialEvent?> PrepareAsync(string id, Objective objective, string frame, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            WITH moved AS (
                UPDATE evolution.trials SET is_prepared = true, status = CASE WHEN status = 'initializing' THEN 'running' ELSE status END, last_event = last_event + 1, updated_at = $2
                WHERE id = $1 AND NOT is_prepared AND completed_at IS NULL RETURNING id, last_event),
            kept AS (INSERT INTO evolution.objectives (trial_id, data) SELECT id, $3 FROM moved),
            told AS (INSERT INTO evolution.events (trial_id, number, frame) SELECT id, last_event, $4 FROM moved)
            SELECT last_event FROM moved
            """);
        command.Parameters.Add(new() { Value = id });
        command.Parameters.Add(new() { Value = time.GetStorableNow() });
        command.Parameters.Add(new() { Value = ObjectiveFile.Write(objective) });
        command.Parameters.Add(new() { Value = frame });
        return await command.ExecuteScalarAsync(cancellationToken) is int number ? new TrialEvent(id, number, frame) : null;
    }

    /// <summary>Records a generation of a running trial; null where it is recorded already, or the trial does not run.</summary>
    internal async Task<IReadOnlyList<TrialEvent>?> AdvanceAsync(string id, TrialAdvance advance, CancellationToken cancellationToken)
    {
        var generation = advance.Generation;
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await using var move = new NpgsqlCommand("""
            UPDATE evolution.trials SET current_generation = $2, best_fitness = $3, best_genome = $4, diversity = $5, updated_at = $6, last_event = last_event + $7,
                initial_fitness = CASE WHEN $2 = 0 THEN $3 ELSE initial_fitness END, improvements = CASE WHEN $2 = 0 THEN improvements ELSE improvements || $8 END,
                patterns_discovered = patterns_discovered + $9
            WHERE id = $1 AND status = 'running' AND is_prepared
                AND CASE WHEN $2 = 0 THEN best_genome IS NULL ELSE best_genome IS NOT NULL AND current_generation = $2 - 1 END
            RETURNING last_event
            """, connection);
        object[] values =
        [
            id, generation.Number, generation.Best.Fitness, generation.Best.Genome.Weights.ToArray(), generation.Diversity(), time.GetStorableNow(), advance.Frames.Count,
            advance.Improvement, advance.Pattern is null ? 0 : 1,
        ];
        foreach (var value in values)
            move.Parameters.Add(new() { Value = value });
        if (await move.ExecuteScalarAsync(cancellationToken) is not int lastEvent)
            return null;
        var events = advance.Frames.Select((frame, i) => new TrialEvent(id, lastEvent - advance.Frames.Count + i + 1, frame)).ToList();
        await using var batch = new NpgsqlBatch(connection);
        batch.BatchCommands.Add(IndexStore.Command(
            "INSERT INTO evolution.generations (trial_id, generation, genomes, fitness, hash) VALUES ($1, $2, $3, $4, $5)", id, generation.Number,
            generation.Members.SelectMany(member => member.Genome.Weights).ToArray(), generation.Members.Select(member => member.Fitness).ToArray(), generation.Hash));
        if (advance.Pattern is { } found)
            batch.BatchCommands.Add(IndexStore.Command("""
                INSERT INTO evolution.patterns (id, trial_id, generation, name, type, description, confidence, occurrences, impact_score, repositories, discovered_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
                """, found.Id, id, found.Generation, found.Name, found.Type, found.Description, found.Confidence, found.Occurrences, found.ImpactScore, found.Repositories.ToArray(),
                found.DiscoveredAt));
        foreach (var one in events)
            batch.BatchCommands.Add(IndexStore.Command("INSERT INTO evolution.events (trial_id, number, frame) VALUES ($1, $2, $3)", id, one.Number, one.Frame));
        await batch.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return events;
    }

    /// <summary>Completes a running trial; null where it does not run.</summary>
    internal async Task<TrialEvent?> CompleteAsync(string id, TrialEnd end, string frame, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            WITH moved AS (
                UPDATE evolution.trials SET status = 'completed', completed_at = $2, updated_at = $2, last_event = last_event + 1, stop_reason = $4, result_hash = $5, best_agent_id = $6,
                    default_fitness = $7, held_out_default = $8, held_out_best = $9 WHERE id = $1 AND status = 'running' RETURNING id, last_event),
            told AS (INSERT INTO evolution.events (trial_id, number, frame) SELECT id, last_event, $3 FROM moved),
            done AS (DELETE FROM evolution.objectives o USING moved WHERE o.trial_id = moved.id)
            SELECT last_event FROM moved
            """);
        object[] values = [id, time.GetStorableNow(), frame, end.StopReason, end.ResultHash, end.BestAgentId, end.DefaultFitness, end.HeldOutDefault, end.HeldOutBest];
        foreach (var value in values)
            command.Parameters.Add(new() { Value = value });
        return await command.ExecuteScalarAsync(cancellationToken) is int number ? new TrialEvent(id, number, frame) : null;
    }

    private static Generation ReadGeneration(int number, double[] genomes, double[] fitness, byte[] hash) => new(
        number, [.. fitness.Select((value, i) => new Individual(new Genome(genomes.AsSpan(i * Genome.Length, Genome.Length).ToArray()), value))], hash);
}
