using FunctionsRegistry.LocalRuntime;
using FunctionsRegistry.LocalRuntime.Durable;
using FunctionsRegistry.Tests.LocalRuntime;
using FunctionsRegistry.Tests.Support;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace FunctionsRegistry.Tests.Durable;

/// <summary>A database of its own, for runtimes with chosen functions; more than one may share it, as processes would.</summary>
public class DurableHub(TestServices services) : IAsyncLifetime
{
    private readonly string _name = $"durable_{Guid.CreateVersion7():N}"[..30] + Random.Shared.Next(0x1000, 0xffff).ToString("x");

    public NpgsqlDataSource Database { get; private set; } = null!;

    /// <summary>The settings that lead a runtime here.</summary>
    public string[] Settings
    {
        get
        {
            var server = new NpgsqlConnectionStringBuilder(services.Postgres);
            return
            [
                $"--POSTGRES_HOST={server.Host}", $"--POSTGRES_PORT={server.Port}", $"--POSTGRES_USER={server.Username}",
                $"--POSTGRES_PASSWORD={server.Password}", $"--POSTGRES_DB={_name}", "--DATABASE_URL=", "--Durable:MaxPoolSize=8",
            ];
        }
    }

    public virtual async ValueTask InitializeAsync()
    {
        await services.ExecuteAsync($"CREATE DATABASE {_name}");
        Database = NpgsqlDataSource.Create(services.ConnectionTo(_name).Replace("Pooling=False", "Pooling=True;Maximum Pool Size=4", StringComparison.Ordinal));
    }

    public virtual async ValueTask DisposeAsync()
    {
        await Database.DisposeAsync();
        await services.ExecuteAsync($"DROP DATABASE IF EXISTS {_name} WITH (FORCE)");
        GC.SuppressFinalize(this);
    }

    internal Task<RuntimeApp> StartAsync(Type[] functions, Action<FunctionsApplicationBuilder>? configure = null, string host = "", params string[] args) =>
        RuntimeApp.StartAsync(functions, configure ?? (_ => { }), host, null, [.. Settings, .. args]);

    /// <summary>One value of one row.</summary>
    public async Task<T> ScalarAsync<T>(string sql, params object[] parameters)
    {
        await using var command = Database.CreateCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(new() { Value = parameter });
        return (T)(await command.ExecuteScalarAsync())!;
    }
}

internal static class DurableAppExtensions
{
    public static DurableTaskClient Durable(this RuntimeApp app) => app.Host.Services.GetRequiredService<LocalDurableTaskClient>();

    /// <summary>Starts an instance and waits for its end.</summary>
    public static async Task<OrchestrationMetadata> RunAsync(this RuntimeApp app, string orchestrator, object? input = null, string? id = null)
    {
        var client = app.Durable();
        var instance = await client.ScheduleNewOrchestrationInstanceAsync(orchestrator, input, new StartOrchestrationOptions(id));
        return await client.EndOfAsync(instance);
    }

    /// <summary>Waits for the end; a test that waits too long fails.</summary>
    public static async Task<OrchestrationMetadata> EndOfAsync(this DurableTaskClient client, string instance, int seconds = 20)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        try
        {
            return await client.WaitForInstanceCompletionAsync(instance, getInputsAndOutputs: true, limit.Token);
        }
        catch (OperationCanceledException)
        {
            var found = await client.GetInstanceAsync(instance, true);
            throw new TimeoutException($"{instance} is {found?.RuntimeStatus} after {seconds} s.");
        }
    }
}
