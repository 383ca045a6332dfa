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
    private const int CountedAhead = 10_000;

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
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(CountCommand(filter));
        batch.BatchCommands.Add(PageCommand(filter));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        var total = reader.GetInt64(0);
        await reader.NextResultAsync(cancellationToken);
        var runs = new List<DagRun>();
        while (await reader.ReadAsync(cancellationToken))
            runs.Add(DagRunStore.Read(reader));
        return (runs, total);
    }

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
        var where = Where(command, filter);
        var states = string.Join(", ", States(filter).Select(state => $"'{state.Name()}'"));
        var dags = filter.DagIds.Count == 0 ? "" : $" AND dag_id = ANY (${Parameter(command, filter.DagIds.ToArray())})";
        command.CommandText =
            $"SELECT count(*) FROM (SELECT 1 FROM airflow.dag_runs WHERE state IN ({states}){dags}{where} LIMIT {filter.Offset + (long)filter.Limit + CountedAhead}) c";
        return command;
    }

    // Each scan is ordered and limited by itself: the server does not see that the scans of a plain UNION ALL are in order, and would sort the table. LIMIT and
    // OFFSET are written into the text, because with parameters it plans for a tenth of the table. Both are checked integers.
    private static NpgsqlBatchCommand PageCommand(DagRunFilter filter)
    {
        var command = new NpgsqlBatchCommand();
        var column = s_orders[filter.OrderBy];
        var direction = filter.Descending ? "DESC" : "ASC";
        var where = Where(command, filter);
        var dags = filter.DagIds.Select(dagId => $"dag_id = ${Parameter(command, dagId)} AND ").DefaultIfEmpty("").ToList();
        var sql = new StringBuilder($"SELECT {DagRunStore.Columns} FROM (SELECT id, k FROM (");
        var first = true;
        foreach (var dag in dags)
            foreach (var state in States(filter))
                // The index by id has the kind of trigger before it, which gives that order for free.
                foreach (var trigger in column is "id" or "external_trigger" or "state" || (column == "dag_id" && dag.Length > 0) ? [" AND external_trigger", " AND NOT external_trigger"] : (string[])[""])
                {
                    sql.Append(first ? "(" : " UNION ALL (").Append(
                        $"SELECT id, {column} AS k FROM airflow.dag_runs WHERE {dag}state = '{state.Name()}'{trigger}{where} "
                        + $"ORDER BY {column} {direction}, id {direction} LIMIT {filter.Offset + (long)filter.Limit})");
                    first = false;
                }
        sql.Append($") u ORDER BY k {direction}, id {direction} LIMIT {filter.Limit} OFFSET {filter.Offset}) p ");
        sql.Append($"JOIN airflow.dag_runs r ON r.id = p.id ORDER BY p.k {direction}, p.id {direction}");
        command.CommandText = sql.ToString();
        return command;
    }

    private static IEnumerable<RunState> States(DagRunFilter filter) => filter.States.Count > 0 ? filter.States.Distinct().Order() : Enum.GetValues<RunState>();

    private static string Where(NpgsqlBatchCommand command, DagRunFilter filter)
    {
        var where = new StringBuilder();
        Add("logical_at", filter.Logical);
        Add("started_at", filter.Started);
        Add("ended_at", filter.Ended);
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

    private static int Parameter(NpgsqlBatchCommand command, object value)
    {
        command.Parameters.Add(new() { Value = value });
        return command.Parameters.Count;
    }
}
