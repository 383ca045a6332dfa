using System.Diagnostics;
using System.Net.Http.Headers;
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace FunctionsRegistry.Benchmarks;

/// <summary>Lists of DAG runs in every order with every kind of filter over a full table, and runs of five tasks from trigger to end.</summary>
internal sealed class AirflowBench : IAsyncDisposable
{
    private static readonly string[] s_orders = ["id", "state", "dag_id", "execution_date", "dag_run_id", "start_date", "end_date", "external_trigger"];

    private static readonly string[] s_filters =
    [
        "", "state=success", "state=failed", "state=running,queued", "state=failed&state=success", "execution_date_gte=2024-03-01&execution_date_lte=2024-03-08",
        "execution_date_lte=2025-06-01&state=failed", "start_date_gte=2025-01-01", "end_date_lte=2024-06-01&start_date_gte=2024-05-01", "updated_at_gte=2025-11-20", "offset=2000",
    ];

    private readonly BenchHost _host;
    private readonly HttpClient _client;

    private AirflowBench(BenchHost host)
    {
        (_host, _client) = (host, host.CreateClient());
        _client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String("airflow:airflow"u8));
    }

    public static async Task<AirflowBench> StartAsync()
    {
        var dags = Directory.CreateDirectory(Path.Combine(BenchHost.Folder, "bench-dags")).FullName;
        await File.WriteAllTextAsync(
            Path.Combine(dags, "five.yaml"),
            "id: five\nmax_active_runs: 1000\ntasks:\n" + string.Concat(Enumerable.Range(1, 5).Select(i => $"  - {{ id: t{i}, operator: echo, needs: [{(i > 1 ? $"t{i - 1}" : "")}] }}\n")));
        return new AirflowBench(await BenchHost.StartAsync(("Airflow:DagDirectory", dags), ("RateLimits:DeanPerAddress", "1000000/1s")));
    }

    /// <summary>Runs of four DAGs over two years: nine in ten succeeded, a few hundred are open.</summary>
    public async Task FillAsync(int runs)
    {
        var clock = Stopwatch.StartNew();
        await _host.ExecuteAsync([.. s_fill.Select(sql => sql.Replace("{runs}", runs.ToString(), StringComparison.Ordinal))]);
        Console.WriteLine($"{runs:N0} runs filled in {clock.Elapsed.TotalSeconds:0.0} s");
    }

    public async Task RunAsync()
    {
        Console.WriteLine($"{Environment.ProcessorCount} cores, one request at a time, pages of 100; milliseconds over all eight orders, both ways");
        Console.WriteLine($"{"filter",-62}{"one DAG p50",12}{"worst p50",11}{"in order",18}{"all p50",9}{"worst p50",11}{"in order",18}");
        foreach (var filter in s_filters)
        {
            var (one, oneWorst, oneOrder) = await MeasureListsAsync("filled1", filter);
            var (all, allWorst, allOrder) = await MeasureListsAsync("~", filter);
            Console.WriteLine($"{(filter.Length == 0 ? "none" : filter),-62}{one,12:0.0}{oneWorst,11:0.0}{oneOrder,18}{all,9:0.0}{allWorst,11:0.0}{allOrder,18}");
        }
        await MeasureRunsAsync();
        Console.WriteLine($"resident {Process.GetCurrentProcess().WorkingSet64 >> 20} MB (app and client in one process)");
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _host.DisposeAsync();
    }

    private async Task<(double P50, double WorstP50, string Order)> MeasureListsAsync(string dag, string filter)
    {
        var all = new List<double>();
        var worst = (Ms: 0.0, Order: "");
        foreach (var order in s_orders.SelectMany(order => (string[])[order, "-" + order]))
        {
            var own = new List<double>();
            for (var i = 0; i < 11; i++)
            {
                var start = Stopwatch.GetTimestamp();
                using var response = await _client.GetAsync($"/airflow/api/v1/dags/{dag}/dagRuns?order_by={order}&{filter}");
                response.EnsureSuccessStatusCode();
                await response.Content.CopyToAsync(Stream.Null);
                own.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            }
            all.AddRange(own);
            own.Sort();
            if (own[own.Count / 2] > worst.Ms)
                worst = (own[own.Count / 2], order);
        }
        all.Sort();
        return (all[all.Count / 2], worst.Ms, worst.Order);
    }

    private async Task MeasureRunsAsync()
    {
        var database = _host.Services.GetRequiredService<NpgsqlDataSource>();
        for (var i = 0; i < 60; i++)
            await TriggerAndWaitAsync(database);
        await using (var command = database.CreateCommand("""
            SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY first), percentile_cont(0.99) WITHIN GROUP (ORDER BY first), percentile_cont(0.5) WITHIN GROUP (ORDER BY whole)
            FROM (SELECT extract(epoch FROM min(t.started_at) - r.queued_at) * 1000 AS first, extract(epoch FROM r.ended_at - r.queued_at) * 1000 AS whole
                FROM airflow.dag_runs r JOIN airflow.task_instances t ON t.run_id = r.id WHERE r.dag_id = 'five' GROUP BY r.id ORDER BY r.id DESC LIMIT 50) x
            """))
        await using (var reader = await command.ExecuteReaderAsync())
        {
            await reader.ReadAsync();
            Console.WriteLine($"trigger to first task running: p50 {reader.GetDouble(0):0.0} ms, p99 {reader.GetDouble(1):0.0} ms; to the end of five tasks: p50 {reader.GetDouble(2):0.0} ms");
        }
        const int Many = 400;
        var clock = Stopwatch.StartNew();
        await Parallel.ForEachAsync(Enumerable.Range(0, Many), new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (_, _) => await TriggerAndWaitAsync(database));
        Console.WriteLine($"runs of five tasks, 16 in flight: {Many / clock.Elapsed.TotalSeconds:0.0} per second");
    }

    private async Task TriggerAndWaitAsync(NpgsqlDataSource database)
    {
        using var body = new StringContent("{}", Encoding.UTF8, "application/json");
        using var response = await _client.PostAsync("/airflow/api/v1/dags/five/dagRuns", body);
        response.EnsureSuccessStatusCode();
        using var run = System.Text.Json.JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        var runId = run.RootElement.GetProperty("dag_run_id").GetString()!;
        while (true)
        {
            await using var command = database.CreateCommand("SELECT state FROM airflow.dag_runs WHERE dag_id = 'five' AND run_id = $1");
            command.Parameters.Add(new() { Value = runId });
            if (await command.ExecuteScalarAsync() is "success")
                return;
            await Task.Delay(5);
        }
    }

    private static readonly string[] s_fill =
    [
        """
        INSERT INTO airflow.dag_versions (dag_id, version, file_name, source, created_at) SELECT 'filled' || n, 'v', 'filled.yaml', '', now() FROM generate_series(0, 3) n
        """,
        """
        INSERT INTO airflow.dags (dag_id, version, file_name, description, owners, tags, max_active_runs, is_active, is_paused, parsed_at)
        SELECT 'filled' || n, 'v', 'filled.yaml', '', '{}', '{}', 16, false, true, now() FROM generate_series(0, 3) n
        """,
        // filled1 has most of them.
        """
        INSERT INTO airflow.dag_runs (dag_id, run_id, version, state, external_trigger, logical_at, interval_end_at, queued_at, started_at, ended_at, updated_at, checked_at, conf)
        SELECT 'filled' || CASE WHEN n % 10 < 7 THEN 1 ELSE n % 4 END, 'run-' || md5(n::text), 'v', s, n % 7 = 0, t, t, t, CASE WHEN s <> 'queued' THEN t + (n % 50) * interval '1 minute' END,
            CASE WHEN s IN ('success', 'failed') THEN t + (n % 120) * interval '1 minute' END, t + (n % 120) * interval '1 minute', '2100-01-01', '{"repository": "test-repo", "trial_id": "trial-123"}'
        FROM generate_series(1, {runs}) n
        CROSS JOIN LATERAL (SELECT '2024-01-01Z'::timestamptz + n * (interval '690 days' / {runs}) AS t,
            CASE WHEN n % 9973 = 0 THEN 'running' WHEN n % 9967 = 0 THEN 'queued' WHEN n % 11 = 0 THEN 'failed' ELSE 'success' END AS s) x
        """,
        """
        UPDATE airflow.dags d SET runs_queued = q, runs_running = r, runs_success = s, runs_failed = f FROM (
            SELECT dag_id, count(*) FILTER (WHERE state = 'queued') q, count(*) FILTER (WHERE state = 'running') r, count(*) FILTER (WHERE state = 'success') s,
                count(*) FILTER (WHERE state = 'failed') f FROM airflow.dag_runs GROUP BY dag_id) c WHERE d.dag_id = c.dag_id
        """,
        "VACUUM ANALYZE airflow.dag_runs",
    ];
}
