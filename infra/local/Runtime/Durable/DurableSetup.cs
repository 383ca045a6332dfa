using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>The engine's services.</summary>
internal static class DurableSetup
{
    // In UTF-16 characters: about 64 MB.
    private const long CacheCharacters = 32 << 20;

    public static void Add(IServiceCollection services, DurableOptions options)
    {
        services.AddSingleton(options);
        services.AddSingleton(new HistoryCache(CacheCharacters));
        services.AddSingleton<CompletionWatch>();
        // Not the app's data source, which is the app's to configure.
        services.AddSingleton<DurableDatabase>();
        services.AddSingleton(provider => new TurnStore(provider.GetRequiredService<DurableDatabase>().Source, provider.GetRequiredService<HistoryCache>()));
        services.AddSingleton(provider => new ClientStore(provider.GetRequiredService<DurableDatabase>().Source));
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<WorkerSession>(provider, provider.GetRequiredService<DurableDatabase>().Source));
        services.AddSingleton<DurableWorker>();
        services.AddHostedService(provider => provider.GetRequiredService<DurableWorker>());
        services.AddSingleton<LocalDurableTaskClient>();
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<Rewind>(provider, provider.GetRequiredService<DurableDatabase>().Source));
        services.AddSingleton<ManagementApi>();
    }
}

/// <summary>The engine's connections.</summary>
internal sealed class DurableDatabase(DurableOptions options) : IAsyncDisposable
{
    public NpgsqlDataSource Source { get; } = new NpgsqlDataSourceBuilder(options.ConnectionString) { Name = "durable" }.Build();

    public ValueTask DisposeAsync() => Source.DisposeAsync();
}
