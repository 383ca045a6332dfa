using System.Text;
using Npgsql;

namespace FunctionsRegistry.Airflow;

/// <summary>Both ends included; null: open.</summary>
public sealed record TimeRange(DateTimeOffset? From, DateTimeOffset? To)
{
    /// <summary>Whether it narrows anything.</summary>
    public bool IsSet => From is not null || To is not null;
}

/// <summary>What a list of runs is narrowed by; all of it at once.</summary>
/// <param name="DagIds">Empty: all DAGs.</param>
/// <param name="States">Empty: all.</param>
/// <param name="OrderBy">One of <see cref="DagRunListStore.OrderFields"/>.</param>
public sealed record DagRunFilter(
    IReadOnlyList<string> DagIds, IReadOnlyList<RunState> States, TimeRange Logical, TimeRange Started, TimeRange Ended, TimeRange Updated,
    string OrderBy, bool Descending, int Offset, int Limit);

/// <summary>Lists of runs that read no more than their page, whatever the filter and order: one index scan per state, merged.</summary>
public sealed class DagRunListStore(NpgsqlDataSource database)
{
    // With a filter by date, counting stops this far behind the page: a client that goes on while there is more still sees every row.
    private const int CountedAhead = 50_000;

    private static readonly Dictionary<string, string> s_orders = new()
    {
        ["id"] = "id",
        ["state"] = "state",
        ["dag_id"] = "dag_id",
        ["run_id"] = "run_id",
        ["dag_run_id"] = "run_id",
        ["execution_date"] = "logical_at",
        ["logical_date"] = "logical_at",
        ["start_date"] = "started_at",
        ["end_date"] = "ended_at",
        ["external_trigger"] = "external_trigger",
    };

    /// <summary>The fields that a list may be ordered by.</summary>
    public static IReadOnlyCollection<string> OrderFields => s_orders.Keys;

    /// <summary>A page, and how many there are: exact, but with a filter by date at least that many.</summary>
    public async Task<(IReadOnlyList<DagRun> Runs, long Total)> ListAsync(DagRunFilter filter, CancellationToken cancellationToken)
    {
        if (IsOrderedByItsDates(filter))
            return await ReadAsync(CountCommand(filter), MergeCommand(filter), cancellationToken);
        // Few rows are sorted; among many, a walk in order meets enough of them soon. How many there are must be known first: for a range with two ends, which
        // seldom has too many, in the same scan.
        if (HasTwoEnds(filter) && await ReadSortedAsync(filter, cancellationToken) is { } found)
            return found;
        var (_, total) = await ReadAsync(CountCommand(filter), null, cancellationToken);
        return total < MostCounted(filter) && await ReadSortedAsync(filter, cancellationToken) is { } few
            ? few
            : ((await ReadAsync(null, MergeCommand(filter), cancellationToken)).Runs, total);
    }

    private async Task<(IReadOnlyList<DagRun> Runs, long Total)> ReadAsync(NpgsqlBatchCommand? count, NpgsqlBatchCommand? page, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        foreach (var command in new[] { count, page }.OfType<NpgsqlBatchCommand>())
            batch.BatchCommands.Add(command);
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        var total = 0L;
        if (count is not null && await reader.ReadAsync(cancellationToken))
            total = reader.GetInt64(0);
        var runs = new List<DagRun>();
        if (page is not null && (count is null || await reader.NextResultAsync(cancellationToken)))
            while (await reader.ReadAsync(cancellationToken))
                runs.Add(DagRunStore.Read(reader));
        return (runs, total);
    }

    // Null: there are too many to sort.
    private async Task<(IReadOnlyList<DagRun> Runs, long Total)?> ReadSortedAsync(DagRunFilter filter, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(SortCommand(filter));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        var (runs, total) = (new List<DagRun>(), 0L);
        while (await reader.ReadAsync(cancellationToken))
        {
            total = reader.GetInt64(reader.FieldCount - 1);
            if (!await reader.IsDBNullAsync(0, cancellationToken))
                runs.Add(DagRunStore.Read(reader));
        }
        return total < MostCounted(filter) ? (runs, total) : null;
    }

    private static long MostCounted(DagRunFilter filter) => filter.Offset + (long)filter.Limit + CountedAhead;

    private static bool HasTwoEnds(DagRunFilter filter) =>
        new[] { filter.Logical, filter.Started, filter.Ended, filter.Updated }.Any(range => range is { From: not null, To: not null }) || IsBetween(filter);

    // No run ends before it starts: what starts late enough and ends early enough lies between, in both indexes.
    private static bool IsBetween(DagRunFilter filter) => filter is { Started.From: not null, Ended.To: not null };

    // Then one index has the filter and the order.
    private static bool IsOrderedByItsDates(DagRunFilter filter) => s_orders[filter.OrderBy] switch
    {
        "logical_at" => filter is { Started.IsSet: false, Ended.IsSet: false, Updated.IsSet: false },
        "started_at" => filter is { Logical.IsSet: false, Ended.IsSet: false, Updated.IsSet: false },
        "ended_at" => filter is { Logical.IsSet: false, Started.IsSet: false, Updated.IsSet: false },
        _ => filter is { Logical.IsSet: false, Started.IsSet: false, Ended.IsSet: false, Updated.IsSet: false },
    };

    private static NpgsqlBatchCommand CountCommand(DagRunFilter filter)
    {
        var command = new NpgsqlBatchCommand();
        if (filter is { Logical.IsSet: false, Started.IsSet: false, Ended.IsSet: false, Updated.IsSet: false })
        {
            var sum = string.Join(" + ", States(filter).Select(state => $"runs_{state.Name()}"));
            command.CommandText = $"SELECT coalesce(sum({sum}), 0)::bigint FROM airflow.dags";
            if (filter.DagIds.Count > 0)
            {
                command.CommandText += " WHERE dag_id = ANY ($1)";
                command.Parameters.Add(new() { Value = filter.DagIds.ToArray() });
            }
            return command;
        }
        command.CommandText = $"SELECT count(*) FROM (SELECT 1 {FromFiltered(command, filter)} LIMIT {MostCounted(filter)}) c";
        return command;
    }

    // MATERIALIZED: the server would rather walk an index in the wanted order, in the hope of meeting the few rows soon. Behind each row, how many there are;
    // where those are too many, nothing is sorted.
    private static NpgsqlBatchCommand SortCommand(DagRunFilter filter)
    {
        var command = new NpgsqlBatchCommand();
        var (column, direction) = (s_orders[filter.OrderBy], filter.Descending ? "DESC" : "ASC");
        command.CommandText = $"""
            WITH found AS MATERIALIZED (SELECT id, {column} AS k {FromFiltered(command, filter)} LIMIT {MostCounted(filter)}),
            total AS MATERIALIZED (SELECT count(*) AS runs FROM found),
            p AS (SELECT id, k FROM found WHERE (SELECT runs FROM total) < {MostCounted(filter)}
                ORDER BY k {direction}, id {direction} LIMIT {filter.Limit} OFFSET {filter.Offset})
            SELECT {DagRunStore.Columns}, total.runs FROM total LEFT JOIN (p JOIN airflow.dag_runs r ON r.id = p.id) ON true ORDER BY p.k {direction}, p.id {direction}
            """;
        return command;
    }

    private static string FromFiltered(NpgsqlBatchCommand command, DagRunFilter filter)
    {
        var where = Where(command, filter);
        var states = string.Join(", ", States(filter).Select(state => $"'{state.Name()}'"));
        var dags = filter.DagIds.Count == 0 ? "" : $" AND dag_id = ANY (${Parameter(command, filter.DagIds.ToArray())})";
        return $"FROM airflow.dag_runs WHERE state IN ({states}){dags}{where}";
    }

    // Each scan is ordered and limited by itself: the server does not see that the scans of a plain UNION ALL are in order, and would sort the table. LIMIT and
    // OFFSET are written into the text, because with parameters it plans for a tenth of the table. Both are checked integers.
    private static NpgsqlBatchCommand MergeCommand(DagRunFilter filter)
    {
        var command = new NpgsqlBatchCommand();
        var column = s_orders[filter.OrderBy];
        var direction = filter.Descending ? "DESC" : "ASC";
        var where = Where(command, filter);
        var dags = filter.DagIds.Select(dagId => $"dag_id = ${Parameter(command, dagId)} AND ").DefaultIfEmpty("").ToList();
        // The index by id has the kind of trigger before it, which gives that order for free.
        var byId = column is "id" or "external_trigger" or "state" || (column == "dag_id" && filter.DagIds.Count > 0);
        string[] triggers = byId ? [" AND external_trigger", " AND NOT external_trigger"] : [""];
        var scans =
            from dag in dags
            from state in States(filter)
            from trigger in triggers
            select $"""
                (SELECT id, {column} AS k FROM airflow.dag_runs WHERE {dag}state = '{state.Name()}'{trigger}{where}
                 ORDER BY {column} {direction}, id {direction} LIMIT {filter.Offset + (long)filter.Limit})
                """;
        command.CommandText = $"""
            SELECT {DagRunStore.Columns} FROM (
                SELECT id, k FROM ({string.Join(" UNION ALL ", scans)}) u ORDER BY k {direction}, id {direction} LIMIT {filter.Limit} OFFSET {filter.Offset}) p
            JOIN airflow.dag_runs r ON r.id = p.id ORDER BY p.k {direction}, p.id {direction}
            """;
        return command;
    }

    private static IEnumerable<RunState> States(DagRunFilter filter) => filter.States.Count > 0 ? filter.States.Distinct().Order() : Enum.GetValues<RunState>();

    private static string Where(NpgsqlBatchCommand command, DagRunFilter filter)
    {
        var where = new StringBuilder();
        Add("logical_at", filter.Logical);
        var isBetween = IsBetween(filter);
        Add("started_at", isBetween ? filter.Started with { To = Earlier(filter.Started.To, filter.Ended.To!.Value) } : filter.Started);
        Add("ended_at", isBetween ? filter.Ended with { From = Later(filter.Ended.From, filter.Started.From!.Value) } : filter.Ended);
        Add("updated_at", filter.Updated);
        return where.ToString();

        void Add(string column, TimeRange range)
        {
            if (range.From is { } from)
                where.Append($" AND {column} >= ${Parameter(command, from)}");
            if (range.To is { } to)
                where.Append($" AND {column} <= ${Parameter(command, to)}");
        }
    }

    private static DateTimeOffset Earlier(DateTimeOffset? one, DateTimeOffset other) => one < other ? one.Value : other;

    private static DateTimeOffset Later(DateTimeOffset? one, DateTimeOffset other) => one > other ? one.Value : other;

    private static int Parameter(NpgsqlBatchCommand command, object value)
    {
        command.Parameters.Add(new() { Value = value });
        return command.Parameters.Count;
    }
}
