using Npgsql;

namespace FunctionsRegistry.Postgres;

/// <summary>How much there is of everything, for the front page: at most one look per half minute, and an estimate for tables that are large.</summary>
public sealed class RegistryCounts(NpgsqlDataSource database, TimeProvider time)
{
    // Name, as a person calls it, and table. A table that is not there yet counts as none.
    private static readonly (string Name, string Table)[] s_tables =
    [
        ("marketplace_agents", "marketplace.agents"),
        ("registered_agents", "dhg.agents"),
        ("conversations", "dhg.conversations"),
        ("models", "mlflow.registered_models"),
        ("runs", "mlflow.runs"),
        ("search_agents", "indexagent.agents"),
        ("repositories", "indexagent.repositories"),
        ("dag_runs", "airflow.dag_runs"),
        ("trials", "evolution.trials"),
    ];

    private static readonly TimeSpan s_keptFor = TimeSpan.FromSeconds(30);
    private volatile Known? _last;

    /// <summary>Rows by name, in the order of the slices; null where the database does not answer.</summary>
    public async Task<IReadOnlyDictionary<string, long>?> GetAsync(CancellationToken cancellationToken)
    {
        if (_last is { } last && time.GetUtcNow() - last.At < s_keptFor)
            return last.Counts;
        try
        {
            var counts = new Dictionary<string, long>();
            // The planner's estimate, which is -1 for a table that was never analysed; small tables are counted next.
            await using var estimates = database.CreateCommand("SELECT i, c.reltuples FROM unnest($1) WITH ORDINALITY AS t (name, i) JOIN pg_class c ON c.oid = to_regclass(t.name)");
            estimates.Parameters.Add(new() { Value = s_tables.Select(table => table.Table).ToArray() });
            var parts = new List<string>();
            await using (var reader = await estimates.ExecuteReaderAsync(cancellationToken))
                while (await reader.ReadAsync(cancellationToken))
                {
                    var (name, table) = s_tables[reader.GetInt64(0) - 1];
                    var estimate = (long)reader.GetFloat(1);
                    counts[name] = estimate;
                    if (estimate < 20_000)
                        parts.Add($"SELECT '{name}', count(*) FROM {table}");
                }
            await using var exact = database.CreateCommand(string.Join(" UNION ALL ", parts));
            await using (var reader = await exact.ExecuteReaderAsync(cancellationToken))
                while (await reader.ReadAsync(cancellationToken))
                    counts[reader.GetString(0)] = reader.GetInt64(1);
            var ordered = s_tables.ToDictionary(table => table.Name, table => counts.GetValueOrDefault(table.Name));
            _last = new Known(ordered, time.GetUtcNow());
            return ordered;
        }
        catch (Exception exception) when (PostgresErrors.Translate(exception) is not null)
        {
            return null;
        }
    }

    private sealed record Known(IReadOnlyDictionary<string, long> Counts, DateTimeOffset At);
}
