using FunctionsRegistry.Functions;
using FunctionsRegistry.LocalRuntime;
using FunctionsRegistry.LocalStack;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace FunctionsRegistry.Benchmarks;

/// <summary>The whole app in this process on services of its own, in a folder that goes with it.</summary>
internal sealed class BenchHost : IAsyncDisposable
{
    private readonly LocalServices _services;
    private readonly IHost _app;

    private BenchHost(LocalServices services, IHost app) => (_services, _app) = (services, app);

    /// <summary>Holds the services' data until the end.</summary>
    public static string Folder { get; } = Path.Combine(Path.GetTempPath(), $"functionsregistry-bench-{Environment.ProcessId}");

    /// <summary>The app's services.</summary>
    public IServiceProvider Services => _app.Services;

    /// <summary>Starts services and app; PostgreSQL with fsync on, because writing must pay what it pays in production.</summary>
    /// <param name="settings">Beside those of every benchmark.</param>
    public static async Task<BenchHost> StartAsync(params (string Name, string Value)[] settings)
    {
        var services = LocalServices.Start(new StackOptions { DataDirectory = Folder }, Console.WriteLine);
        return new BenchHost(services, await StartAppAsync(services, settings));
    }

    /// <summary>One more app on the same services, as a second process would be.</summary>
    public Task<IHost> StartAnotherAsync(params (string Name, string Value)[] settings) => StartAppAsync(_services, settings);

    private static async Task<IHost> StartAppAsync(LocalServices services, (string Name, string Value)[] settings)
    {
        (string Name, string Value)[] own =
        [
            ("Local:Stack", "false"), ("Local:Port", "0"), ("Local:ContractPorts", "false"), ("Local:FunctionsAssembly", "FunctionsRegistry.Functions"),
        ];
        var all = services.Settings.Select(pair => (Name: pair.Key, Value: pair.Value ?? "")).Concat(own).Concat(settings);
        var builder = FunctionsApplication.CreateBuilder([.. all.Select(setting => $"--{setting.Name}={setting.Value}")]);
        builder.ConfigureFunctionsWebApplication();
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        builder.Logging.AddFilter(null, LogLevel.Warning);
        builder.AddRegistry();
        var app = builder.Build();
        await RegistryCommands.PrepareAsync(app, CancellationToken.None);
        await app.StartAsync();
        return app;
    }

    /// <summary>A client of the app.</summary>
    public HttpClient CreateClient() => CreateClient(Services);

    /// <summary>A client of any server in this process.</summary>
    public static HttpClient CreateClient(IServiceProvider services) => new(new SocketsHttpHandler { MaxConnectionsPerServer = 128 })
    {
        BaseAddress = new Uri(services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()),
        Timeout = TimeSpan.FromMinutes(5),
    };

    /// <summary>Statements one after the other on one connection, without limits of time.</summary>
    public async Task ExecuteAsync(params string[] statements)
    {
        await using var connection = await Services.GetRequiredService<NpgsqlDataSource>().OpenConnectionAsync();
        foreach (var sql in statements.Prepend("SET statement_timeout = 0").Append("RESET ALL"))
        {
            await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 0 };
            await command.ExecuteNonQueryAsync();
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync();
        _app.Dispose();
        _services.Dispose();
        Directory.Delete(Folder, recursive: true);
    }
}
