using FunctionsRegistry.Evolution;
using FunctionsRegistry.IndexAgent;
using Microsoft.Extensions.Configuration;
using Npgsql;

namespace FunctionsRegistry.Benchmarks;

/// <summary>How well searches rank: mean reciprocal rank (@10) of the default genome, of an evolved one, and of PostgreSQL's ts_rank on the same sections.</summary>
internal static class QualityBench
{
    public static async Task RunAsync(NpgsqlDataSource source, IConfiguration configuration, string? repository)
    {
        var store = new SearchStore(source);
        var search = new CodeSearch(store, IndexAgentOptions.FromConfiguration(configuration));
        var objective = await new ObjectiveService(store, search, new BuiltInCorpus(new IndexStore(source, TimeProvider.System))).GetAsync(repository, 1, CancellationToken.None);
        var members = Breeding.CreateFirst(20, new SeededRandom(1, 0)).Select(genome => new Individual(genome, objective.FitnessOf(genome))).ToList();
        for (var generation = 1; generation <= 20; generation++)
            members = [.. Breeding.CreateNext(members, new BreedingRules(0.15, 0.7, SelectionMethod.Tournament), new SeededRandom(1, generation))
                .Select(child => new Individual(child.Genome, objective.FitnessOf(child.Genome)))];
        var best = members.MaxBy(member => member.Fitness)!;
        Console.WriteLine(
            $"{objective.Corpus}: {objective.Queries.Count} + {objective.HeldOut.Count} queries, answer found {objective.Queries.Concat(objective.HeldOut).Count(query => query.Answer >= 0)}; "
            + $"default {objective.FitnessOf(Genome.Default):0.000}, held out {objective.HeldOutOf(Genome.Default):0.000}; evolved {best.Fitness:0.000}, held out {objective.HeldOutOf(best.Genome):0.000}");
        Console.WriteLine($"  ts_rank on the same queries: {await FullTextAsync(source, store, objective.Queries, repository ?? RepositoryNames.BuiltIn):0.000}, held out {await FullTextAsync(source, store, objective.HeldOut, repository ?? RepositoryNames.BuiltIn):0.000}");
        Console.WriteLine("  evolved: " + string.Join(", ", best.Genome.ToDictionary().Select(pair => $"{pair.Key} {pair.Value:0.00}")));
    }

    /// <summary>What the seeds of a trial make of a repository: many draws of queries, for a mean that does not hang on one of them.</summary>
    /// <param name="seeds">Trials from seed 1 on.</param>
    public static async Task RunSeedsAsync(NpgsqlDataSource source, IConfiguration configuration, string repository, int seeds)
    {
        var store = new SearchStore(source);
        var objectives = new ObjectiveService(store, new CodeSearch(store, IndexAgentOptions.FromConfiguration(configuration)), new BuiltInCorpus(new IndexStore(source, TimeProvider.System)));
        var rules = new BreedingRules(0.1, 0.7, SelectionMethod.Tournament);
        var (asked, defaults, shorts, longs) = (new Dictionary<string, ObjectiveQuery>(), new List<double>(), new List<double>(), new List<(double Default, double Best)>());
        for (var seed = 1; seed <= seeds; seed++)
        {
            var objective = await objectives.GetAsync(repository, seed, CancellationToken.None);
            foreach (var query in objective.Queries.Concat(objective.HeldOut))
                asked.TryAdd(query.Text, query);
            defaults.Add(objective.FitnessOf(Genome.Default));
            Generation? last = null;
            for (var number = 0; number <= 20; number++)
            {
                last = Generation.After(last, [.. Generation.Breed(last, 20, rules, seed).Select(genome => new Individual(genome, objective.FitnessOf(genome)))]);
                if (number == 3)
                    shorts.Add(last.Best.Fitness);
            }
            longs.Add((objective.HeldOutOf(Genome.Default), objective.HeldOutOf(last!.Best.Genome)));
        }
        if (Environment.GetEnvironmentVariable("QUALITY_DUMP") is { } folder)
            await File.WriteAllLinesAsync(Path.Combine(folder, repository + ".jsonl"), asked.Values.OrderBy(query => query.Text, StringComparer.Ordinal).Select(query =>
                System.Text.Json.JsonSerializer.Serialize(new { query.Text, query.Answer, query.Applicable, query.Features, Rank = query.RankOf(Genome.Default) })));
        Console.WriteLine($"{repository}, {seeds} seeds, {asked.Count} different queries: default {defaults.Average():0.000} (least {defaults.Min():0.000}), after 3 generations "
            + $"{shorts.Average():0.000} (least {shorts.Min():0.000}: {string.Join(' ', shorts.Select(one => one.ToString("0.000")))}), after 20 held out {longs.Average(one => one.Best):0.000} (default {longs.Average(one => one.Default):0.000})");
    }

    // The same sections in a tsvector column, the query's words joined by OR; the answer's comments are taken out of its text.
    private static async Task<double> FullTextAsync(NpgsqlDataSource source, SearchStore store, IReadOnlyList<ObjectiveQuery> queries, string repository)
    {
        var generation = (await store.FindGenerationAsync(repository, CancellationToken.None))!.Value;
        await using var connection = await source.OpenConnectionAsync();
        await using (var patience = new NpgsqlCommand("SET statement_timeout = 0", connection))
            await patience.ExecuteNonQueryAsync();
        await using (var create = new NpgsqlCommand("""
            CREATE TEMP TABLE IF NOT EXISTS texts AS SELECT t.segment_id, t.number, to_tsvector('english', regexp_replace(t.text, '([a-z])([A-Z])|_', '\1 \2', 'g')) AS words
            FROM indexagent.segments s JOIN indexagent.sections t ON t.segment_id = s.id WHERE s.generation_id = $1
            """, connection) { CommandTimeout = 0 })
        {
            create.CommandText = create.CommandText.Replace("$1", generation.ToString(System.Globalization.CultureInfo.InvariantCulture), StringComparison.Ordinal);
            await create.ExecuteNonQueryAsync();
        }
        var known = await store.ListAnswersAsync(generation, 1, 10_000, CancellationToken.None);
        var sum = 0.0;
        foreach (var query in queries)
        {
            var answer = known.First(one => one.Text == query.Text);
            var text = (await store.ReadSectionsAsync([(answer.SegmentId, answer.Section)], CancellationToken.None))[0].Text;
            var shown = answer.IsName ? text : TextMatcher.WithoutComments(text, Language.Find("csharp")!);
            await using var rank = new NpgsqlCommand("""
                WITH q AS (SELECT replace(plainto_tsquery('english', $1)::text, '&', '|')::tsquery AS query),
                target AS (SELECT ts_rank(to_tsvector('english', regexp_replace($2, '([a-z])([A-Z])|_', '\1 \2', 'g')), query, 1) AS rank FROM q)
                SELECT 1 + count(*) FROM texts, q, target WHERE words @@ query AND ts_rank(words, query, 1) > target.rank AND NOT (segment_id = $3 AND number = $4)
                """, connection) { CommandTimeout = 0 };
            rank.Parameters.Add(new() { Value = query.Text });
            rank.Parameters.Add(new() { Value = shown });
            rank.Parameters.Add(new() { Value = answer.SegmentId });
            rank.Parameters.Add(new() { Value = answer.Section });
            var place = (long)(await rank.ExecuteScalarAsync())!;
            sum += place <= 10 ? 1.0 / place : 0;
        }
        return queries.Count == 0 ? 0 : sum / queries.Count;
    }
}
