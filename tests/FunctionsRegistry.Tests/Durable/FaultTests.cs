using System.Diagnostics;
using FunctionsRegistry.LocalRuntime;
using FunctionsRegistry.LocalStack;
using FunctionsRegistry.Tests.LocalRuntime;
using FunctionsRegistry.Tests.Support;
using FunctionsRegistry.TestWorker;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace FunctionsRegistry.Tests.Durable;

/// <summary>Processes that are killed, and a database that goes away: every instance ends, and every task has one result.</summary>
public sealed class FaultTests(TestServices services)
{
    [Fact]
    public async Task Killed_at_random_points_fifty_times_every_instance_ends_and_every_task_has_one_result()
    {
        const int Kills = 50;
        // They do get on amid the kills; on a busy machine it takes some more.
        const int Instances = 20;
        await using var hub = await EffectHub.StartAsync(services);
        await using var client = hub.CreateClient();
        var instances = new List<string>();
        var workers = Enumerable.Range(0, 3).Select(_ => hub.StartWorker()).ToList();
        try
        {
            var kills = 0;
            for (var limit = Stopwatch.StartNew(); kills < Kills || instances.Count <= Instances; await Task.Delay(10))
            {
                limit.Elapsed.ShouldBeLessThan(TimeSpan.FromMinutes(4));
                while (await hub.ScalarAsync<long>("SELECT count(*) FROM durable.instances WHERE status NOT IN (1, 3, 4, 5)") < 10 && instances.Count < 2000)
                    instances.Add(await client.Client.ScheduleNewOrchestrationInstanceAsync("ten_steps"));
                // One that has done something; the others are starting.
                var busy = await hub.ListAsync<int>("SELECT DISTINCT process FROM effects");
                if (workers.Find(worker => busy.Contains(worker.Id)) is not { } victim)
                    continue;
                await Task.Delay(Random.Shared.Next(0, 250));
                victim.Kill();
                kills++;
                workers.Remove(victim);
                victim.Dispose();
                workers.Add(hub.StartWorker());
            }
            foreach (var instance in instances)
                await hub.CheckEndAsync(client.Client, instance, 60);
        }
        finally
        {
            workers.ForEach(EffectHub.Stop);
        }
        await hub.CheckAsync(instances);
    }

    [Fact]
    public async Task A_worker_that_is_started_again_goes_on_at_once()
    {
        await using var hub = await EffectHub.StartAsync(services);
        await using var client = hub.CreateClient();
        var instances = new List<string>();
        using (var first = hub.StartWorker())
        {
            for (var i = 0; i < 20; i++)
                instances.Add(await client.Client.ScheduleNewOrchestrationInstanceAsync("ten_steps"));
            await Eventually.UntilAsync(async () => await hub.ScalarAsync<long>("SELECT count(*) FROM effects") > 10);
            first.Kill();
        }
        var second = hub.StartWorker();
        try
        {
            // Well before a lease would have ended.
            foreach (var instance in instances)
                await hub.CheckEndAsync(client.Client, instance, 15);
        }
        finally
        {
            EffectHub.Stop(second);
        }
        await hub.CheckAsync(instances);
    }

    [Fact]
    public async Task Two_runtimes_share_a_hub_and_no_task_has_two_results()
    {
        await using var hub = await EffectHub.StartAsync(services);
        await using var first = await hub.StartRuntimeAsync();
        await using var second = await hub.StartRuntimeAsync();

        var instances = await Task.WhenAll(Enumerable.Range(0, 60).Select(number =>
            (number % 2 == 0 ? first : second).Durable().ScheduleNewOrchestrationInstanceAsync("ten_steps")));
        foreach (var instance in instances)
            await hub.CheckEndAsync(second.Durable(), instance, 20);

        await hub.CheckAsync(instances);
        (await hub.ScalarAsync<long>("SELECT count(*) FROM effects")).ShouldBe(60 * EffectFunctions.Steps);
    }

    [Fact]
    public async Task Connections_that_break_again_and_again_lose_nothing()
    {
        var server = new NpgsqlConnectionStringBuilder(services.Postgres);
        using var proxy = new FaultProxy(server.Host!, server.Port);
        await using var hub = await EffectHub.StartAsync(services);
        await using var app = await hub.StartRuntimeAsync($"--POSTGRES_PORT={proxy.Port}");
        var instances = new List<string>();
        for (var round = 0; round < 6; round++)
        {
            for (var i = 0; i < 5; i++)
                instances.Add(await EffectHub.ScheduleAsync(app));
            await Task.Delay(Random.Shared.Next(20, 150));
            proxy.Break();
            await Task.Delay(Random.Shared.Next(0, 300));
            proxy.Mend();
            // Until the pool's broken connections are gone, scheduling may fail; nothing was acknowledged then.
            await Eventually.UntilAsync(async () =>
            {
                try
                {
                    return await app.Durable().GetInstanceAsync("none") is null;
                }
                catch (NpgsqlException)
                {
                    return false;
                }
            });
        }
        foreach (var instance in instances)
            await hub.CheckEndAsync(app.Durable(), instance, 40);
        await hub.CheckAsync(instances);
        app.Log.ShouldNotContain(entry => entry.Text.Contains("engine failed", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_server_that_crashes_and_recovers_amid_runs_loses_nothing()
    {
        var folder = Directory.CreateTempSubdirectory("durable-crash").FullName;
        try
        {
            // Not the suite's: that runs without waiting for the disk, and others use it.
            using var own = LocalServices.Start(new StackOptions { DataDirectory = folder, Redis = false, Blobs = false }, _ => { });
            var settings = own.Settings;
            var connection = $"Host={settings["POSTGRES_HOST"]};Port={settings["POSTGRES_PORT"]};Username={settings["POSTGRES_USER"]};Password={settings["POSTGRES_PASSWORD"]};Database={settings["POSTGRES_DB"]}";
            await using var hub = await EffectHub.OnAsync(connection);
            await using var app = await hub.StartRuntimeAsync();
            var instances = new List<string>();
            for (var round = 0; round < 3; round++)
            {
                for (var i = 0; i < 10; i++)
                    instances.Add(await EffectHub.ScheduleAsync(app));
                var seen = await hub.ScalarAsync<long>("SELECT count(*) FROM effects");
                await Eventually.UntilAsync(async () => await hub.ScalarAsync<long>("SELECT count(*) FROM effects") > seen + 5);
                await DatabaseCrash.RunAsync(connection);
                // Until the pools' broken connections are gone.
                await Eventually.UntilAsync(async () =>
                {
                    try
                    {
                        return await hub.ScalarAsync<int>("SELECT 1") == 1 && await app.Durable().GetInstanceAsync("none") is null;
                    }
                    catch (NpgsqlException)
                    {
                        return false;
                    }
                });
            }
            foreach (var instance in instances)
                await hub.CheckEndAsync(app.Durable(), instance, 40);
            await hub.CheckAsync(instances);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>A database with the table effects, and workers on it.</summary>
    private sealed class EffectHub : IAsyncDisposable
    {
        private readonly NpgsqlConnectionStringBuilder _connection;
        private readonly Func<Task>? _drop;

        private EffectHub(NpgsqlConnectionStringBuilder connection, Func<Task>? drop)
        {
            (_connection, _drop) = (connection, drop);
            Database = NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(connection.ConnectionString) { Pooling = true, MaxPoolSize = 8 }.ConnectionString);
        }

        private NpgsqlDataSource Database { get; }

        public static async Task<EffectHub> StartAsync(TestServices services)
        {
            var name = $"effects_{Guid.CreateVersion7():N}{Random.Shared.Next(0x1000, 0xffff):x}";
            await services.ExecuteAsync($"CREATE DATABASE {name}");
            var hub = new EffectHub(
                new NpgsqlConnectionStringBuilder(services.ConnectionTo(name)), () => services.ExecuteAsync($"DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
            await hub.CreateTableAsync();
            return hub;
        }

        public static async Task<EffectHub> OnAsync(string connection)
        {
            var hub = new EffectHub(new NpgsqlConnectionStringBuilder(connection), null);
            await hub.CreateTableAsync();
            return hub;
        }

        public async ValueTask DisposeAsync()
        {
            await Database.DisposeAsync();
            if (_drop is not null)
                await _drop();
        }

        public Task<RuntimeApp> StartRuntimeAsync(params string[] args) => RuntimeApp.StartAsync(
            [typeof(EffectFunctions)], builder => builder.Services.AddSingleton(Database), "", null, [.. Settings, .. args]);

        /// <summary>A client of a runtime that is not started, so that it works on nothing.</summary>
        public IdleClient CreateClient()
        {
            var folder = Directory.CreateTempSubdirectory("durable-client");
            File.WriteAllText(Path.Combine(folder.FullName, "host.json"), """{ "version": "2.0" }""");
            var builder = RuntimeApp.CreateBuilder(folder.FullName, [typeof(EffectFunctions)], null, [.. Settings]);
            builder.Services.AddSingleton(Database);
            return new IdleClient(builder.Build(), folder);
        }

        /// <summary>A worker in a process of its own.</summary>
        public Process StartWorker()
        {
            string[] own = ["--Local:Stack=false", "--Local:Port=0", "--Local:ContractPorts=false", $"--Effects={_connection.ConnectionString}", "--Logging:LogLevel:Default=Error"];
            return Process.Start(new ProcessStartInfo(
                "dotnet", ["exec", Path.Combine(AppContext.BaseDirectory, "FunctionsRegistry.TestWorker.dll"), .. own, .. Settings]))!;
        }

        public static void Stop(Process worker)
        {
            worker.Kill();
            worker.Dispose();
        }

        /// <summary>Schedules until it is acknowledged; the id tells whether an earlier try was stored.</summary>
        public static async Task<string> ScheduleAsync(RuntimeApp app)
        {
            var id = Guid.CreateVersion7().ToString("N");
            while (true)
            {
                try
                {
                    return await app.Durable().ScheduleNewOrchestrationInstanceAsync(
                        "ten_steps", new StartOrchestrationOptions(id).WithDedupeStatuses(Enum.GetValues<OrchestrationRuntimeStatus>()));
                }
                catch (InvalidOperationException)
                {
                    return id;
                }
                catch (NpgsqlException)
                {
                    await Task.Delay(50);
                }
            }
        }

        /// <summary>Waits for the end; what is stuck is shown with all that the engine has of it.</summary>
        public async Task CheckEndAsync(DurableTaskClient client, string instance, int seconds)
        {
            try
            {
                var end = await client.EndOfAsync(instance, seconds);
                (end.RuntimeStatus, end.SerializedOutput, end.FailureDetails?.ToString()).ShouldBe((OrchestrationRuntimeStatus.Completed, "45", null), end.InstanceId);
            }
            catch (TimeoutException exception)
            {
                var rows = await ListAsync<string>(
                    """
                    SELECT 'worker ' || w::text FROM durable.workers w
                    UNION ALL SELECT 'instance ' || i::text FROM durable.instances i WHERE i.status NOT IN (1, 3, 5)
                    UNION ALL SELECT 'message ' || m::text FROM durable.messages m
                    UNION ALL SELECT 'activity ' || a::text FROM durable.activities a
                    UNION ALL (SELECT 'event ' || h::text FROM durable.history h JOIN durable.instances i ON i.execution = h.execution
                        WHERE i.status NOT IN (1, 3, 5) ORDER BY h.execution, h.sequence)
                    """);
                throw new TimeoutException($"{exception.Message}{Environment.NewLine}{string.Join(Environment.NewLine, rows)}", exception);
            }
        }

        public async Task CheckAsync(IReadOnlyCollection<string> instances)
        {
            // Ten steps and a timer in each; the sub-orchestration's two steps are in its own history, and it is a result of its parent's.
            (await ListAsync<long>("SELECT count(*) FROM durable.instances GROUP BY status")).ShouldBe([instances.Count * 2L]);
            (await ScalarAsync<long>("SELECT count(*) FROM durable.history WHERE kind = 2")).ShouldBe(instances.Count * EffectFunctions.Steps);
            (await ScalarAsync<long>("SELECT count(DISTINCT (execution, task)) FROM durable.history WHERE kind = 2")).ShouldBe(instances.Count * EffectFunctions.Steps);
            (await ScalarAsync<long>("SELECT count(DISTINCT (instance, step)) FROM effects")).ShouldBe(instances.Count * EffectFunctions.Steps);
            (await ScalarAsync<long>("SELECT count(*) FROM durable.activities")).ShouldBe(0);
            (await ScalarAsync<long>("SELECT count(*) FROM durable.messages")).ShouldBe(0);
        }

        public async Task<T> ScalarAsync<T>(string sql) => (await ListAsync<T>(sql))[0];

        public async Task<List<T>> ListAsync<T>(string sql)
        {
            await using var command = Database.CreateCommand(sql);
            await using var reader = await command.ExecuteReaderAsync();
            var values = new List<T>();
            while (await reader.ReadAsync())
                values.Add(reader.GetFieldValue<T>(0));
            return values;
        }

        private IEnumerable<string> Settings =>
        [
            $"--POSTGRES_HOST={_connection.Host}", $"--POSTGRES_PORT={_connection.Port}", $"--POSTGRES_USER={_connection.Username}",
            $"--POSTGRES_PASSWORD={_connection.Password}", $"--POSTGRES_DB={_connection.Database}", "--DATABASE_URL=", "--Durable:MaxPoolSize=6",
            // What is begun first is killed first: by the default of 5 some would rightly be given up.
            "--Durable:MaxAttempts=1000",
        ];

        private async Task CreateTableAsync()
        {
            await using var command = Database.CreateCommand("CREATE TABLE effects (instance text, step integer, process integer, at timestamptz DEFAULT now())");
            await command.ExecuteNonQueryAsync();
            await FunctionsRegistry.LocalRuntime.Durable.DurableSchema.CreateAsync(_connection.ConnectionString, CancellationToken.None);
        }
    }

    private sealed class IdleClient(Microsoft.Extensions.Hosting.IHost host, DirectoryInfo folder) : IAsyncDisposable
    {
        public DurableTaskClient Client { get; } = host.Services.GetRequiredService<FunctionsRegistry.LocalRuntime.Durable.LocalDurableTaskClient>();

        public async ValueTask DisposeAsync()
        {
            await ((IAsyncDisposable)host).DisposeAsync();
            folder.Delete(recursive: true);
        }
    }
}
