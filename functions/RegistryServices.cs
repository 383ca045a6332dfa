using FunctionsRegistry.Blobs;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Functions.Marketplace;
using FunctionsRegistry.Functions.Platform;
using FunctionsRegistry.Http;
using FunctionsRegistry.IndexAgent;
using FunctionsRegistry.Marketplace;
using FunctionsRegistry.Postgres;
using FunctionsRegistry.RateLimits;
using Npgsql;

namespace FunctionsRegistry.Functions;

/// <summary>The composition root: every service and the middleware order.</summary>
public static class RegistryServices
{
    /// <summary>Registers the app on a builder of either runtime. Wrong settings fail here, before anything listens.</summary>
    public static void AddRegistry(this FunctionsApplicationBuilder builder)
    {
        // The Redis client answers on the thread pool: a burst at start must not wait for threads to be added one by one.
        ThreadPool.SetMinThreads(16, 16);
        AddMiddleware(builder);
        AddShared(builder.Services, builder.Configuration);
        AddMarketplace(builder.Services, builder.Configuration);
        AddIndexAgent(builder.Services, builder.Configuration);
    }

    private static void AddMiddleware(FunctionsApplicationBuilder builder)
    {
        builder.UseMiddleware<ErrorBoundaryMiddleware>();
        builder.UseMiddleware<CallerMiddleware>();
        builder.UseMiddleware<RateLimitMiddleware>();
        builder.UseMiddleware<RequireCallerMiddleware>();
        builder.UseMiddleware<IdempotencyMiddleware>();
    }

    private static void AddShared(IServiceCollection services, IConfiguration configuration)
    {
        services.AddSingleton(TimeProvider.System);
        services.AddHttpClient();

        services.AddSingleton(DatabaseOptions.FromConfiguration(configuration, migrateByDefault: RuntimeFlavour.IsLocal));
        services.AddSingleton(provider => new NpgsqlDataSourceBuilder(provider.GetRequiredService<DatabaseOptions>().ConnectionString).Build());
        services.AddSingleton(provider => new Migrator(provider.GetRequiredService<DatabaseOptions>().ConnectionString));
        services.AddSingleton<IdempotencyStore>();

        services.AddSingleton(BlobOptions.FromConfiguration(configuration));
        services.AddSingleton<BlobStore>();

        services.AddSingleton(RateLimitOptions.FromConfiguration(configuration));
        services.AddSingleton(RedisOptions.FromConfiguration(configuration));
        services.AddSingleton<RedisConnection>();
        services.AddSingleton<RateLimiter>();

        services.AddSingleton<ClientAddress>();
        services.AddSingleton<SecretCache>();
        services.AddSingleton<IAuthenticator, InternalKeyAuthenticator>();
        services.AddSingleton<HealthChecks>();
    }

    private static void AddMarketplace(IServiceCollection services, IConfiguration configuration)
    {
        services.AddSingleton(MarketplaceOptions.FromConfiguration(configuration));
        services.AddSingleton(GitHubOptions.FromConfiguration(configuration));
        services.AddHttpClient(AccountService.HttpClientName, client => client.Timeout = TimeSpan.FromSeconds(10));
        services.AddSingleton<IAuthenticator, MarketplaceAuthenticator>();
        services.AddSingleton<AgentStore>();
        services.AddSingleton<AgentListStore>();
        services.AddSingleton<AgentSearchService>();
        services.AddSingleton<AgentService>();
        services.AddSingleton<UserStore>();
        services.AddSingleton<AccountService>();
        services.AddSingleton<TelemetryStore>();
        services.AddSingleton<TelemetryService>();
    }

    private static void AddIndexAgent(IServiceCollection services, IConfiguration configuration)
    {
        services.AddSingleton(IndexAgentOptions.FromConfiguration(configuration));
        services.AddSingleton<OutboundHttp>();
        services.AddSingleton<OutboundArchive>();
        services.AddSingleton<IndexStore>();
        services.AddSingleton<RepositoryStore>();
        services.AddSingleton<IndexService>();
        services.AddSingleton<BuiltInCorpus>();
        services.AddSingleton<SearchStore>();
        services.AddSingleton<CodeSearch>();
        services.AddSingleton<SearchCounters>();
        services.AddSingleton<SearchService>();
        services.AddSingleton<ObjectiveService>();
        services.AddSingleton<SearchAgentStore>();
        services.AddSingleton<SearchAgentService>();
        services.AddSingleton<PopulationService>();
        services.AddSingleton<PatternService>();
    }
}
