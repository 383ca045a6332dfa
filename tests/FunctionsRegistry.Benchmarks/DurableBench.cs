using System.Diagnostics;
using FunctionsRegistry.LocalRuntime;
using FunctionsRegistry.LocalRuntime.Durable;
using FunctionsRegistry.LocalRuntime.Hosting;
using FunctionsRegistry.LocalStack;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace FunctionsRegistry.Benchmarks;

/// <summary>
/// The durable engine beside the least that a work queue in PostgreSQL does for one item: insert it, notify, select and lock it, mark it done. An
/// orchestration of five activities is six items. Both in this process, on one PostgreSQL with fsync on.
/// </summary>
internal sealed class DurableBench : IAsyncDisposable
{
    private const int InFlight = 16;
    private const int Activities = 5;
    private readonly LocalServices _services;
    private readonly IHost _app;
    private readonly LocalDurableTaskClient _client;
    private readonly NpgsqlDataSource _database;
    private readonly string _folder;

    private DurableBench(LocalServices services, string folder, IHost app, NpgsqlDataSource database)
    {
        (_services, _folder, _app, _database) = (services, folder, app, database);
        _client = app.Services.GetRequiredService<LocalDurableTaskClient>();
    }

    public static async Task<DurableBench> StartAsync()
    {
        var folder = Path.Combine(Path.GetTempPath(), $"functionsregistry-bench-{Environment.ProcessId}");
        var services = LocalServices.Start(new StackOptions { DataDirectory = folder, Redis = false, Blobs = false }, Console.WriteLine);
        var settings = new Dictionary<string, string?>(services.Settings) { ["Local:Stack"] = "false", ["Local:Port"] = "0", ["Local:ContractPorts"] = "false" };
        var builder = LocalHost.CreateBuilder(
            [.. settings.Select(pair => $"--{pair.Key}={pair.Value}")], new LocalHostOptions { FunctionTypes = [typeof(Functions)] });
        builder.ConfigureFunctionsWebApplication();
        builder.Logging.AddFilter(null, LogLevel.Warning);
        var app = builder.Build();
        await app.StartAsync();
        var database = NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder
        {
            Host = settings["POSTGRES_HOST"],
            Port = int.Parse(settings["POSTGRES_PORT"]!),
            Username = settings["POSTGRES_USER"],
            Password = settings["POSTGRES_PASSWORD"],
            Database = settings["POSTGRES_DB"],
            MaxPoolSize = InFlight,
            MaxAutoPrepare = 32,
            AutoPrepareMinUsages = 2,
            NoResetOnClose = true,
        }.ConnectionString);
        return new DurableBench(services, folder, app, database);
    }

    public async Task RunAsync(TimeSpan time)
    {
        Console.WriteLine($"{Environment.ProcessorCount} cores, fsync on, {time.TotalSeconds:0} s a row");
        await SequencesAsync(TimeSpan.FromSeconds(3));
        var bare = await BareAsync(time);
        Console.WriteLine($"bare insert, notify, select, update          {bare,10:N0} items/s, {InFlight} in flight");
        var (own, server) = (Process.GetCurrentProcess().TotalProcessorTime, ServerTime());
        var sequences = await SequencesAsync(time);
        (own, server) = (Process.GetCurrentProcess().TotalProcessorTime - own, ServerTime() - server);
        Console.WriteLine($"five activities in sequence                  {sequences,10:N0} orchestrations/s, {InFlight} in flight");
        // On a machine that others use, too, this says more than the clock.
        var each = sequences * time.TotalSeconds;
        Console.WriteLine($"  processor time of one                      {own.TotalMilliseconds / each,10:0.00} ms here, {server.TotalMilliseconds / each:0.00} ms in PostgreSQL");
        Console.WriteLine($"  items (1 + {Activities}) per second / bare           {sequences * (1 + Activities) / bare,10:0.00}");
        await AloneAsync();
        await FanAsync(1000);
        await ReplayAsync(1000);
        Console.WriteLine("without any instance that is not over");
        await RestAsync();
        await IdleAsync(10_000);
        Console.WriteLine($"resident {Process.GetCurrentProcess().WorkingSet64 >> 20} MB");
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync();
        _app.Dispose();
        await _database.DisposeAsync();
        _services.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private async Task<double> BareAsync(TimeSpan time)
    {
        await ExecuteAsync("CREATE SCHEMA bare; CREATE TABLE bare.items (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner int, payload text, done bool)");
        var count = await LoopAsync(time, async worker =>
        {
            await ExecuteAsync("INSERT INTO bare.items (owner, payload) VALUES ($1, $2)", worker, "\"x\"");
            await ExecuteAsync("NOTIFY bare");
            await ExecuteAsync("SELECT id FROM bare.items WHERE owner = $1 AND done IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED", worker);
            await ExecuteAsync("UPDATE bare.items SET done = true WHERE owner = $1 AND done IS NULL", worker);
        });
        await ExecuteAsync("DROP SCHEMA bare CASCADE");
        return count / time.TotalSeconds;
    }

    private async Task<double> SequencesAsync(TimeSpan time) => await LoopAsync(time, async _ =>
    {
        var id = await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.Sequence), 0);
        await EndAsync(id);
    }) / time.TotalSeconds;

    private async Task AloneAsync()
    {
        var times = new List<double>();
        for (var i = 0; i < 200; i++)
        {
            var start = Stopwatch.GetTimestamp();
            await EndAsync(await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.Sequence), 0));
            times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }
        times.Sort();
        Console.WriteLine($"one alone, p50 / p99                         {times[100],10:0.0} / {times[197]:0.0} ms");
    }

    private async Task FanAsync(int width)
    {
        var times = new List<double>();
        for (var i = 0; i < 3; i++)
        {
            var start = Stopwatch.GetTimestamp();
            await EndAsync(await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.Fan), width));
            times.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        times.Sort();
        Console.WriteLine($"{width:N0} activities out and in                   {times[1],10:0.00} s (median of 3)");
    }

    // The orchestrator's code again over a stored history, as a turn does it, but without the database.
    private async Task ReplayAsync(int activities)
    {
        var id = await _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.Chain), activities / 2);
        await EndAsync(id);
        var history = await _app.Services.GetRequiredService<ClientStore>().ReadHistoryAsync(id, CancellationToken.None);
        history.RemoveAll(entry => entry.Kind == EventKind.Ended);
        var instance = new Instance(id, Guid.Empty, nameof(Functions.Chain), OrchestrationRuntimeStatus.Running, 1 << 20, 1, $"{activities / 2}", null, history[0].At);
        var times = new List<double>();
        for (var i = 0; i < 50; i++)
        {
            var start = Stopwatch.GetTimestamp();
            var result = Turn.Run(
                instance, history, [], history[^1].At, async context => Payload.Write(await Functions.Chain(context, activities / 2)), NullLoggerFactory.Instance, () => { });
            times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            if (result.Status != OrchestrationRuntimeStatus.Completed)
                throw new InvalidOperationException($"The replay ended as {result.Status}: {result.Failure}");
        }
        Console.WriteLine($"replay of {history.Count:N0} events, first / p50          {times[0],10:0.0} / {times.Order().ElementAt(25):0.0} ms");
    }

    private async Task IdleAsync(int instances)
    {
        var start = Stopwatch.GetTimestamp();
        var ids = new List<string>();
        foreach (var chunk in Enumerable.Range(0, instances).Chunk(500))
            ids.AddRange(await Task.WhenAll(chunk.Select(_ => _client.ScheduleNewOrchestrationInstanceAsync(nameof(Functions.Waits)))));
        foreach (var id in ids)
            await _client.WaitForInstanceStartAsync(id);
        Console.WriteLine($"{instances:N0} instances begun and waiting in      {Stopwatch.GetElapsedTime(start).TotalSeconds,10:0.0} s");
        await RestAsync();
        start = Stopwatch.GetTimestamp();
        await Task.WhenAll(ids.Take(1000).Select(id => _client.RaiseEventAsync(id, "go", 1)));
        foreach (var id in ids.Take(1000))
            await EndAsync(id);
        Console.WriteLine($"  1,000 of them woken and over in            {Stopwatch.GetElapsedTime(start).TotalSeconds,10:0.0} s");
    }

    // What the worker and the server use while nothing happens.
    private async Task RestAsync()
    {
        await ExecuteAsync("CHECKPOINT");
        await Task.Delay(3000);
        var (own, server) = (Process.GetCurrentProcess().TotalProcessorTime, ServerTime());
        await Task.Delay(20_000);
        Console.WriteLine(
            $"  at rest, of one core                       {(Process.GetCurrentProcess().TotalProcessorTime - own).TotalSeconds / 20,10:P1} here, {(ServerTime() - server).TotalSeconds / 20:P1} in PostgreSQL");
    }

    // Of the server that was started here and its children; others on the machine may run their own.
    private TimeSpan ServerTime()
    {
        var server = int.Parse(File.ReadLines(Path.Combine(_folder, "postgres", "postmaster.pid")).First());
        var ticks = 0L;
        foreach (var folder in Directory.EnumerateDirectories("/proc").Where(folder => char.IsAsciiDigit(Path.GetFileName(folder)[0])))
        {
            try
            {
                // After the name in parentheses: state, parent, ..., user and system time in ticks of 10 ms.
                var fields = File.ReadAllText(Path.Combine(folder, "stat")).Split(')')[^1].Split(' ', StringSplitOptions.RemoveEmptyEntries);
                if (int.Parse(fields[1]) == server || Path.GetFileName(folder) == server.ToString())
                    ticks += long.Parse(fields[11]) + long.Parse(fields[12]);
            }
            catch (IOException)
            {
                // It has ended.
            }
        }
        return TimeSpan.FromMilliseconds(ticks * 10);
    }

    private async Task EndAsync(string id)
    {
        var end = await _client.WaitForInstanceCompletionAsync(id);
        if (end.RuntimeStatus != OrchestrationRuntimeStatus.Completed)
            throw new InvalidOperationException($"{id} ended as {end.RuntimeStatus}: {end.FailureDetails}");
    }

    private static async Task<int> LoopAsync(TimeSpan time, Func<int, Task> step)
    {
        var end = Stopwatch.GetTimestamp() + (long)(time.TotalSeconds * Stopwatch.Frequency);
        var count = 0;
        await Task.WhenAll(Enumerable.Range(0, InFlight).Select(async worker =>
        {
            await Task.Yield();
            for (; Stopwatch.GetTimestamp() < end; Interlocked.Increment(ref count))
                await step(worker);
        }));
        return count;
    }

    private async Task ExecuteAsync(string sql, params object[] parameters)
    {
        await using var command = _database.CreateCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(new() { Value = parameter });
        await command.ExecuteNonQueryAsync();
    }

    /// <summary>What is measured.</summary>
    public static class Functions
    {
        [Function(nameof(Sequence))]
        public static async Task<int> Sequence([OrchestrationTrigger] TaskOrchestrationContext context, int start)
        {
            for (var i = 0; i < Activities; i++)
                start = await context.CallActivityAsync<int>(nameof(AddOne), start);
            return start;
        }

        [Function(nameof(Chain))]
        public static async Task<int> Chain([OrchestrationTrigger] TaskOrchestrationContext context, int length)
        {
            var sum = 0;
            for (var i = 0; i < length; i++)
                sum = await context.CallActivityAsync<int>(nameof(AddOne), sum);
            return sum;
        }

        [Function(nameof(Fan))]
        public static async Task<int> Fan([OrchestrationTrigger] TaskOrchestrationContext context, int width) =>
            (await Task.WhenAll(Enumerable.Range(0, width).Select(number => context.CallActivityAsync<int>(nameof(AddOne), number)))).Sum();

        [Function(nameof(Waits))]
        public static async Task<int> Waits([OrchestrationTrigger] TaskOrchestrationContext context) => await context.WaitForExternalEvent<int>("go");

        [Function(nameof(AddOne))]
        public static int AddOne([ActivityTrigger] int number) => number + 1;
    }
}
