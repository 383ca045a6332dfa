using FunctionsRegistry.IndexAgent;
using FunctionsRegistry.Json;
using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.Evolution;

/// <summary>What a trial is started with.</summary>
/// <param name="Repository">As it was asked for.</param>
/// <param name="Parameters">JSON object.</param>
public sealed record TrialRules(
    string? Repository, int Generations, int PopulationSize, double MutationRate, double CrossoverRate, SelectionMethod Selection, double FitnessThreshold, int MaxRuntimeMinutes,
    string Parameters, long Seed)
{
    internal BreedingRules Breeding => new(MutationRate, CrossoverRate, Selection);
}

/// <summary>A live update: the frame that sockets get.</summary>
/// <param name="Number">Counts up from 1 within a trial.</param>
public sealed record TrialEvent(string TrialId, int Number, string Frame);

/// <summary>Trials as users see and move them. Moves are conditional: a trial that is over stays as it is.</summary>
public sealed class TrialStore(NpgsqlDataSource database, TimeProvider time)
{
    private const string Columns = """
        t.id, t.repository, t.corpus, t.generations, t.population_size, t.mutation_rate, t.crossover_rate, t.fitness_threshold, t.max_runtime_minutes, t.parameters::text, t.status,
        t.started_at, t.completed_at, t.current_generation, t.best_fitness, t.improvements, t.patterns_discovered, t.error, t.result_hash, t.best_agent_id
        """;

    // Answers have six digits, and who asks with one of them must find what it came from.
    private const double HalfDigit = 0.0000005;

    private const string PatternColumns = "p.id, p.trial_id, p.name, p.type, p.description, p.confidence, p.occurrences, p.impact_score, p.discovered_at, p.generation, p.repositories";

    /// <summary>Stores a new trial, on the repository of that name where it is indexed, else on the built-in corpus.</summary>
    /// <returns>False where the id is taken.</returns>
    public async Task<bool> InsertAsync(string id, TrialRules rules, CancellationToken cancellationToken)
    {
        var now = time.GetStorableNow();
        await using var command = database.CreateCommand("""
            INSERT INTO evolution.trials (id, repository, corpus, repository_id, generations, population_size, mutation_rate, crossover_rate, selection_method, fitness_threshold,
                max_runtime_minutes, parameters, seed, status, started_at, runtime_from, updated_at)
            SELECT $1, $2, coalesce(r.name, $3), r.id, $4, $5, $6, $7, $8, $9, $10, $11::jsonb || jsonb_build_object('corpus', coalesce(r.name, $3)), $12, 'initializing', $13, $13, $13
            FROM (VALUES (1)) one LEFT JOIN indexagent.repositories r ON r.name = $2 AND r.name <> $3 AND r.current_generation IS NOT NULL
            ON CONFLICT (id) DO NOTHING
            """);
        Add(
            command, id, IndexStore.Nullable(rules.Repository, NpgsqlDbType.Text), RepositoryNames.BuiltIn, rules.Generations, rules.PopulationSize, rules.MutationRate,
            rules.CrossoverRate, rules.Selection.ToString(), rules.FitnessThreshold, rules.MaxRuntimeMinutes,
            new NpgsqlParameter { Value = rules.Parameters, NpgsqlDbType = NpgsqlDbType.Jsonb }, rules.Seed, now);
        return await command.ExecuteNonQueryAsync(cancellationToken) == 1;
    }

    /// <summary>Null where there is none.</summary>
    public async Task<TrialResponse?> FindAsync(string id, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"SELECT {Columns} FROM evolution.trials t WHERE t.id = $1");
        Add(command, id);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    /// <summary>How far a trial is, or the newest that is not over; null where there is none.</summary>
    public async Task<TrialProgressResponse?> FindProgressAsync(string? id, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"""
            SELECT id, status, current_generation, generations, best_fitness, diversity FROM evolution.trials
            WHERE {(id is null ? "completed_at IS NULL" : "id = $1")} ORDER BY started_at DESC, number DESC LIMIT 1
            """);
        if (id is not null)
            Add(command, id);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken)
            ? new TrialProgressResponse(reader.GetString(0), reader.GetString(1), reader.GetInt32(2), reader.GetInt32(3), Math.Round(reader.GetDouble(4), 6), Math.Round(reader.GetDouble(5), 6))
            : null;
    }

    /// <summary>A page, the newest first.</summary>
    public async Task<(IReadOnlyList<TrialResponse> Trials, long Total)> ListAsync(
        string? repository, string? status, int limit, int offset, CancellationToken cancellationToken)
    {
        const string Filter = "FROM evolution.trials t WHERE ($1::text IS NULL OR coalesce(t.repository, t.corpus) = $1) AND ($2::text IS NULL OR t.status = $2)";
        object[] filter = [IndexStore.Nullable(repository, NpgsqlDbType.Text), IndexStore.Nullable(status, NpgsqlDbType.Text)];
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(IndexStore.Command($"SELECT count(*) {Filter}", filter));
        batch.BatchCommands.Add(IndexStore.Command($"SELECT {Columns} {Filter} ORDER BY t.started_at DESC, t.number DESC LIMIT $3 OFFSET $4", [.. Copy(filter), limit, offset]));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        var total = await ReadCountAsync(reader, cancellationToken);
        var trials = new List<TrialResponse>();
        while (await reader.ReadAsync(cancellationToken))
            trials.Add(Read(reader));
        return (trials, total);
    }

    /// <summary>A page of completed trials, the fittest first.</summary>
    public async Task<TrialResultListResponse> ListResultsAsync(string? repository, double minFitness, int limit, int offset, CancellationToken cancellationToken)
    {
        const string Filter = "FROM evolution.trials t WHERE t.status = 'completed' AND ($1::text IS NULL OR coalesce(t.repository, t.corpus) = $1) AND t.best_fitness >= $2";
        const string Order = "ORDER BY t.best_fitness DESC, t.number LIMIT $3 OFFSET $4";
        object[] filter = [IndexStore.Nullable(repository, NpgsqlDbType.Text), minFitness - HalfDigit];
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(IndexStore.Command($"SELECT count(*) {Filter}", filter));
        batch.BatchCommands.Add(IndexStore.Command(
            $"SELECT {PatternColumns} FROM evolution.patterns p WHERE p.trial_id IN (SELECT t.id {Filter} {Order}) ORDER BY p.generation", [.. Copy(filter), limit, offset]));
        batch.BatchCommands.Add(IndexStore.Command($"""
            SELECT t.id, coalesce(t.repository, t.corpus), t.status, t.current_generation, t.best_fitness, t.initial_fitness, extract(epoch FROM t.completed_at - t.started_at)::double precision,
                t.stop_reason, t.corpus, t.seed, t.result_hash, t.best_agent_id, t.default_fitness, t.held_out_default, t.held_out_best {Filter} {Order}
            """, [.. Copy(filter), limit, offset]));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        var total = await ReadCountAsync(reader, cancellationToken);
        var patterns = (await ReadPatternsAsync(reader, cancellationToken)).ToLookup(pattern => pattern.TrialId);
        await reader.NextResultAsync(cancellationToken);
        var results = new List<TrialResult>();
        while (await reader.ReadAsync(cancellationToken))
            results.Add(ReadResult(reader, [.. patterns[reader.GetString(0)]]));
        return new TrialResultListResponse(results, total);
    }

    /// <summary>A page of patterns, those with the most impact first.</summary>
    public async Task<TrialPatternListResponse> ListPatternsAsync(
        string? type, double minConfidence, string? trialId, int limit, int offset, CancellationToken cancellationToken)
    {
        const string Filter = "FROM evolution.patterns p WHERE ($1::text IS NULL OR p.type = $1) AND p.confidence >= $2 AND ($3::text IS NULL OR p.trial_id = $3)";
        object[] filter = [IndexStore.Nullable(type, NpgsqlDbType.Text), minConfidence - HalfDigit, IndexStore.Nullable(trialId, NpgsqlDbType.Text)];
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(IndexStore.Command($"SELECT count(*) {Filter}", filter));
        batch.BatchCommands.Add(IndexStore.Command($"SELECT {PatternColumns} {Filter} ORDER BY p.impact_score DESC, p.id LIMIT $4 OFFSET $5", [.. Copy(filter), limit, offset]));
        batch.BatchCommands.Add(new("SELECT type, count(*) FROM evolution.patterns GROUP BY type ORDER BY type"));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        var total = await ReadCountAsync(reader, cancellationToken);
        var patterns = await ReadPatternsAsync(reader, cancellationToken);
        await reader.NextResultAsync(cancellationToken);
        var types = new SortedDictionary<string, long>(StringComparer.Ordinal);
        while (await reader.ReadAsync(cancellationToken))
            types[reader.GetString(0)] = reader.GetInt64(1);
        return new TrialPatternListResponse(patterns, total, types);
    }

    /// <summary>Counts over all trials; means over the completed ones.</summary>
    public async Task<TrialMetricsResponse> GetMetricsAsync(CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT count(*), count(*) FILTER (WHERE status = 'running'), count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'failed'),
                (SELECT count(*) FROM evolution.patterns), coalesce(avg(best_fitness) FILTER (WHERE status = 'completed'), 0),
                coalesce(avg(current_generation) FILTER (WHERE status = 'completed'), 0)::double precision,
                coalesce(avg(patterns_discovered) FILTER (WHERE status = 'completed'), 0)::double precision
            FROM evolution.trials
            """);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return new TrialMetricsResponse(
            reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2), reader.GetInt64(3), reader.GetInt64(4), Math.Round(reader.GetDouble(5), 3), Math.Round(reader.GetDouble(6), 1),
            Math.Round(reader.GetDouble(7), 1));
    }

    /// <summary>Trials that run.</summary>
    public async Task<long> CountActiveAsync(CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("SELECT count(*) FROM evolution.trials WHERE completed_at IS NULL AND status = 'running'");
        return (long)(await command.ExecuteScalarAsync(cancellationToken))!;
    }

    /// <summary>A trial's events behind a number, in order; and whether the trial is over. Null where there is no such trial.</summary>
    public async Task<(IReadOnlyList<TrialEvent> Events, bool IsOver)?> ListEventsAsync(string id, int after, int limit, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        // First whether it is over: events come in the transaction that ends it.
        batch.BatchCommands.Add(IndexStore.Command("SELECT completed_at IS NOT NULL FROM evolution.trials WHERE id = $1", id));
        batch.BatchCommands.Add(IndexStore.Command("SELECT number, frame FROM evolution.events WHERE trial_id = $1 AND number > $2 ORDER BY number LIMIT $3", id, after, limit));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            return null;
        var isOver = reader.GetBoolean(0);
        await reader.NextResultAsync(cancellationToken);
        var events = new List<TrialEvent>();
        while (await reader.ReadAsync(cancellationToken))
            events.Add(new TrialEvent(id, reader.GetInt32(0), reader.GetString(1)));
        return (events, isOver);
    }

    /// <summary>Ends a trial on a user's wish; null where it is over or unknown.</summary>
    public Task<TrialEvent?> CancelAsync(string id, string frame, CancellationToken cancellationToken) =>
        MoveAsync(id, "status = 'cancelled', completed_at = $2", "completed_at IS NULL", frame, cancellationToken);

    /// <summary>Ends a trial that cannot go on; null where it is over.</summary>
    public Task<TrialEvent?> FailAsync(string id, string error, string frame, CancellationToken cancellationToken) =>
        MoveAsync(id, "status = 'failed', completed_at = $2, error = $4", "completed_at IS NULL", frame, cancellationToken, error);

    /// <summary>Halts a trial; null where it is over or paused.</summary>
    public Task<TrialEvent?> PauseAsync(string id, string frame, CancellationToken cancellationToken) =>
        MoveAsync(id, "status = 'paused', paused_at = $2", "status IN ('initializing', 'running')", frame, cancellationToken);

    /// <summary>Lets a trial go on; its runtime does not count the pause. Null where it is not paused.</summary>
    public Task<TrialEvent?> ResumeAsync(string id, string frame, CancellationToken cancellationToken) => MoveAsync(
        id, "status = CASE WHEN is_prepared THEN 'running' ELSE 'initializing' END, runtime_from = runtime_from + ($2 - paused_at), paused_at = NULL", "status = 'paused'", frame,
        cancellationToken);

    /// <summary>Trials that should move and did not since a time.</summary>
    public async Task<IReadOnlyList<string>> ListStillAsync(DateTimeOffset since, int limit, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(
            "SELECT id FROM evolution.trials WHERE completed_at IS NULL AND status <> 'paused' AND updated_at < $1 ORDER BY updated_at, number LIMIT $2");
        Add(command, since, limit);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var ids = new List<string>();
        while (await reader.ReadAsync(cancellationToken))
            ids.Add(reader.GetString(0));
        return ids;
    }

    /// <summary>Deletes trials that were over before a time, with their generations, patterns and events; in parts, so that no lock lasts.</summary>
    public async Task PurgeAsync(DateTimeOffset before, CancellationToken cancellationToken)
    {
        const int PartSize = 200;
        var deleted = PartSize;
        while (deleted == PartSize)
        {
            // What ended before began before: the index is on the beginning.
            await using var command = database.CreateCommand("""
                DELETE FROM evolution.trials WHERE id IN (
                    SELECT id FROM evolution.trials WHERE started_at < $1 AND completed_at < $1 ORDER BY started_at, number LIMIT $2)
                """);
            Add(command, before, PartSize);
            deleted = await command.ExecuteNonQueryAsync(cancellationToken);
        }
    }

    private async Task<TrialEvent?> MoveAsync(string id, string change, string condition, string frame, CancellationToken cancellationToken, string? error = null)
    {
        await using var command = database.CreateCommand($"""
            WITH moved AS (
                UPDATE evolution.trials SET {change}, updated_at = $2, last_event = last_event + 1 WHERE id = $1 AND {condition} RETURNING id, last_event, completed_at),
            told AS (INSERT INTO evolution.events (trial_id, number, frame) SELECT id, last_event, $3 FROM moved),
            done AS (DELETE FROM evolution.objectives o USING moved WHERE o.trial_id = moved.id AND moved.completed_at IS NOT NULL)
            SELECT last_event FROM moved
            """);
        Add(command, id, time.GetStorableNow(), frame);
        if (error is not null)
            Add(command, error);
        return await command.ExecuteScalarAsync(cancellationToken) is int number ? new TrialEvent(id, number, frame) : null;
    }

    private static TrialResponse Read(NpgsqlDataReader reader)
    {
        var repository = reader.GetValue(1) as string;
        return new TrialResponse(
            reader.GetString(0), repository ?? reader.GetString(2),
            new TrialConfig(
                repository, reader.GetInt32(3), reader.GetInt32(4), reader.GetDouble(5), reader.GetDouble(6), reader.GetDouble(7), reader.GetInt32(8), new RawJson(reader.GetString(9))),
            reader.GetString(10), reader.GetFieldValue<DateTimeOffset>(11), reader.IsDBNull(12) ? null : reader.GetFieldValue<DateTimeOffset>(12), reader.GetInt32(13),
            Math.Round(reader.GetDouble(14), 6), [.. reader.GetFieldValue<double[]>(15).Select(value => Math.Round(value, 6))], reader.GetInt32(16), reader.GetValue(17) as string,
            reader.GetValue(18) as string, reader.GetValue(19) as string);
    }

    private static TrialResult ReadResult(NpgsqlDataReader reader, IReadOnlyList<TrialPattern> patterns)
    {
        var (generations, final, initial) = (reader.GetInt32(3), reader.GetDouble(4), reader.GetDouble(5));
        return new TrialResult(
            reader.GetString(0), reader.GetString(1), reader.GetString(2), generations, Math.Round(final, 6), Math.Round(final - initial, 6), patterns, reader.GetDouble(6),
            new TrialResultMetadata(
                Math.Round(initial, 6), generations == 0 ? 0 : Math.Round((final - initial) / generations, 6), reader.GetString(7), reader.GetString(8), reader.GetInt64(9),
                reader.GetString(10), reader.GetString(11), Math.Round(reader.GetDouble(12), 6), Math.Round(reader.GetDouble(13), 6), Math.Round(reader.GetDouble(14), 6)));
    }

    private static async Task<List<TrialPattern>> ReadPatternsAsync(NpgsqlDataReader reader, CancellationToken cancellationToken)
    {
        var patterns = new List<TrialPattern>();
        while (await reader.ReadAsync(cancellationToken))
            patterns.Add(new TrialPattern(
                reader.GetString(0), reader.GetString(1), reader.GetString(2), reader.GetString(3), reader.GetString(4), Math.Round(reader.GetDouble(5), 6), reader.GetInt32(6),
                Math.Round(reader.GetDouble(7), 6), reader.GetFieldValue<DateTimeOffset>(8), reader.GetInt32(9), reader.GetFieldValue<string[]>(10)));
        return patterns;
    }

    private static async Task<long> ReadCountAsync(NpgsqlDataReader reader, CancellationToken cancellationToken)
    {
        await reader.ReadAsync(cancellationToken);
        var count = reader.GetInt64(0);
        await reader.NextResultAsync(cancellationToken);
        return count;
    }

    // A parameter object belongs to one command.
    private static IEnumerable<object> Copy(object[] parameters) => parameters.Select(parameter => parameter is NpgsqlParameter one ? one.Clone() : parameter);

    private static void Add(NpgsqlCommand command, params object[] parameters)
    {
        foreach (var parameter in parameters)
            command.Parameters.Add(parameter as NpgsqlParameter ?? new NpgsqlParameter { Value = parameter });
    }
}
