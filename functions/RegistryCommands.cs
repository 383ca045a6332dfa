using FunctionsRegistry.Airflow;
using FunctionsRegistry.Functions.ModelRegistry;
using FunctionsRegistry.Postgres;
using FunctionsRegistry.RateLimits;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Npgsql;

namespace FunctionsRegistry.Functions;

/// <summary>What the process does: serve, or one command (<c>migrate</c>, <c>keys</c>) and end.</summary>
public static class RegistryCommands
{
    /// <summary>Builds the host and runs it to the end; returns the exit code. One printed line says what is wrong when it cannot start.</summary>
    public static async Task<int> RunAsync(string[] args, Func<IHost> build)
    {
        try
        {
            using var host = build();
            if (args is ["migrate", ..])
                return await MigrateAsync(host);
            if (args is ["keys", .. var keys])
            {
                await PrepareAsync(host, CancellationToken.None);
                return await KeyCommands.RunAsync(host.Services, keys, Console.Out, Console.Error);
            }
            await PrepareAsync(host, CancellationToken.None);
            await host.StartAsync();
            if (RuntimeFlavour.IsLocal)
                PrintWelcome(host);
            await host.WaitForShutdownAsync();
            return 0;
        }
        // Option classes throw InvalidOperationException, with the setting's name, and the framework FormatException for a broken URL.
        catch (Exception exception) when (exception is SchemaMismatchException or NpgsqlException or DagFileException or InvalidOperationException or FormatException)
        {
            await Console.Error.WriteLineAsync($"Cannot start: {exception.Message}");
            return 1;
        }
    }

    /// <summary>
    /// Refuses settings that are unsafe in Azure; brings the schema up to date, or checks it where migrating is a deployment step of its own; connects Redis;
    /// reads the DAG files.
    /// </summary>
    public static async Task PrepareAsync(IHost host, CancellationToken cancellationToken)
    {
        if (!RuntimeFlavour.IsLocal)
            StartupChecks.Refuse(
                host.Services.GetRequiredService<IConfiguration>(),
                host.Services.GetRequiredService<DatabaseOptions>(),
                host.Services.GetRequiredService<RedisOptions>());
        var migrator = host.Services.GetRequiredService<Migrator>();
        if (host.Services.GetRequiredService<DatabaseOptions>().MigrateAtStart)
            await migrator.MigrateAsync(cancellationToken);
        else
            await migrator.CheckAsync(cancellationToken);
        await host.Services.GetRequiredService<RedisConnection>().ConnectAsync(TimeSpan.FromSeconds(2));
        await host.Services.GetRequiredService<DagCatalog>().LoadAsync(cancellationToken);
    }

    private static async Task<int> MigrateAsync(IHost host)
    {
        var applied = await host.Services.GetRequiredService<Migrator>().MigrateAsync(CancellationToken.None);
        foreach (var name in applied)
            Console.WriteLine($"applied {name}");
        Console.WriteLine(applied.Count == 0 ? "the schema is up to date" : $"{applied.Count} migrations applied");
        return 0;
    }

    private static void PrintWelcome(IHost host)
    {
        var address = host.Services.GetService<IServer>()?.Features.Get<IServerAddressesFeature>()?.Addresses.FirstOrDefault();
        if (address is null)
            return;
        var url = address.Replace("127.0.0.1", "localhost", StringComparison.Ordinal);
        Console.WriteLine($"""

            FunctionsRegistry is ready: {url}/
              agentx     curl {url}/agentx/api/v1/agents
              dhg        curl {url}/dhg/api/v1/agents/discover
              hokusai    curl {url}/hokusai/health
              indexagent curl {url}/indexagent/repositories
              airflow    curl -u airflow:airflow {url}/airflow/api/v1/dags
              health     curl {url}/health
            """);
    }
}
