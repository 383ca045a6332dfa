using System.Net.Http.Headers;
using FunctionsRegistry.Functions;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;

namespace FunctionsRegistry.Tests.Support;

/// <summary>The real app on a free port with a database, Redis keys and blob containers of its own. A class fixture; more apps can share its data.</summary>
public class RegistryApp(TestServices services) : IAsyncLifetime
{
    private readonly string _id = Guid.CreateVersion7().ToString("N")[..20] + Random.Shared.Next(0x1000, 0xffff).ToString("x");
    private readonly List<IHost> _hosts = [];
    private readonly SocketsHttpHandler _handler = new() { AllowAutoRedirect = false, MaxConnectionsPerServer = 256 };

    /// <summary>Client of the first app, with its base address.</summary>
    public HttpClient Client { get; private set; } = null!;

    /// <summary>For arranging and looking at rows.</summary>
    public NpgsqlDataSource Database { get; private set; } = null!;

    /// <summary>The app's services.</summary>
    public IServiceProvider Services => _hosts[0].Services;

    /// <summary>One of the app's services.</summary>
    public T Service<T>() where T : notnull => Services.GetRequiredService<T>();

    /// <summary>The servers behind.</summary>
    public TestServices Servers => services;

    /// <summary>Settings on top of the standard ones; limits are off unless a class says otherwise.</summary>
    protected virtual IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>();

    public virtual async ValueTask InitializeAsync()
    {
        await services.ExecuteAsync($"CREATE DATABASE test_{_id} TEMPLATE {services.Template}");
        Database = NpgsqlDataSource.Create(services.ConnectionTo("test_" + _id).Replace("Pooling=False", "Pooling=True", StringComparison.Ordinal));
        Client = await StartAsync(Settings);
    }

    public virtual async ValueTask DisposeAsync()
    {
        foreach (var host in _hosts)
        {
            await host.StopAsync(TimeSpan.FromSeconds(5));
            host.Dispose();
        }
        _handler.Dispose();
        await Database.DisposeAsync();
        await services.ExecuteAsync($"DROP DATABASE IF EXISTS test_{_id} WITH (FORCE)");
        GC.SuppressFinalize(this);
    }

    /// <summary>Starts one more app on the same data, with other settings; as a second process would be.</summary>
    public async Task<HttpClient> StartAsync(IReadOnlyDictionary<string, string> settings)
    {
        var builder = FunctionsRegistry.LocalRuntime.FunctionsApplication.CreateBuilder([.. StandardSettings(settings).Select(pair => $"--{pair.Key}={pair.Value}")]);
        FunctionsRegistry.LocalRuntime.FunctionsApplicationBuilderAspNetCoreExtensions.ConfigureFunctionsWebApplication(builder);
        builder.AddRegistry();
        Configure(builder.Services);
        var host = builder.Build();
        _hosts.Add(host);
        await RegistryCommands.PrepareAsync(host, CancellationToken.None);
        await host.StartAsync();
        var address = host.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
#pragma warning disable CA2000 // Lives as long as the fixture, and its handler is disposed there.
        return new HttpClient(_handler, disposeHandler: false) { BaseAddress = new Uri(address), Timeout = TimeSpan.FromSeconds(60) };
#pragma warning restore CA2000
    }

    /// <summary>The settings that place an app on this fixture's data; also for child processes.</summary>
    public Dictionary<string, string> StandardSettings(IReadOnlyDictionary<string, string> more)
    {
        var server = new NpgsqlConnectionStringBuilder(services.Postgres);
        var settings = new Dictionary<string, string>
        {
            ["Local:FunctionsAssembly"] = "FunctionsRegistry.Functions",
            ["Local:Stack"] = "false",
            ["Local:Port"] = "0",
            ["Local:ContractPorts"] = "false",
            ["POSTGRES_HOST"] = server.Host!,
            ["POSTGRES_PORT"] = server.Port.ToString(),
            ["POSTGRES_USER"] = server.Username!,
            ["POSTGRES_PASSWORD"] = server.Password ?? "",
            ["POSTGRES_DB"] = "test_" + _id,
            ["Database:MaxPoolSize"] = "24",
            ["REDIS_CONNECTION"] = services.Redis,
            ["RateLimits:KeyPrefix"] = $"test-{_id}:",
            ["BLOB_CONNECTION"] = services.Blobs,
            ["Blobs:ContainerPrefix"] = $"t{_id}-",
        };
        foreach (var policy in Enum.GetNames<FunctionsRegistry.RateLimits.RateLimitPolicy>())
            settings[$"RateLimits:{policy}"] = "off";
        settings["RateLimits:DeanConnections"] = "off";
        foreach (var (key, value) in more)
            settings[key] = value;
        return settings;
    }

    /// <summary>One value of one row.</summary>
    public async Task<T> ScalarAsync<T>(string sql, params object[] parameters)
    {
        await using var command = Database.CreateCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(new() { Value = parameter });
        return (T)(await command.ExecuteScalarAsync())!;
    }

    /// <summary>For fakes of third parties.</summary>
    protected virtual void Configure(IServiceCollection collection)
    {
    }
}
