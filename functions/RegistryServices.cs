using FunctionsRegistry.Blobs;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Functions.Marketplace;
using FunctionsRegistry.Functions.ModelRegistry;
using FunctionsRegistry.Functions.ModelRegistry.Mlflow;
using FunctionsRegistry.Functions.Platform;
using FunctionsRegistry.Marketplace;
using FunctionsRegistry.ModelRegistry;
using FunctionsRegistry.ModelRegistry.Mlflow;
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
        AddModelRegistry(builder.Services, builder.Configuration);
    }

    private static void AddMiddleware(FunctionsApplicationBuilder builder)
    {
        builder.UseMiddleware<KeyUsageMiddleware>();
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

    private static void AddModelRegistry(IServiceCollection services, IConfiguration configuration)
    {
        services.AddSingleton<ApiKeyStore>();
        services.AddSingleton<ApiKeyService>();
        services.AddSingleton<IAuthenticator, HokusaiAuthenticator>();
        services.AddSingleton<KeyUsage>();
        services.AddHostedService(provider => provider.GetRequiredService<KeyUsage>());

        services.AddSingleton(MlflowOptions.FromConfiguration(configuration));
        services.AddSingleton<ExperimentStore>();
        services.AddSingleton<RunStore>();
        services.AddSingleton<RunLogStore>();
        services.AddSingleton<RegisteredModelStore>();
        services.AddSingleton<ModelVersionStore>();
        services.AddSingleton<ArtifactStore>();
        services.AddSingleton<ArtifactService>();
        services.AddSingleton<PurgeService>();
        services.AddSingleton<ExperimentOperations>();
        services.AddSingleton<RunOperations>();
        services.AddSingleton<MetricOperations>();
        services.AddSingleton<ModelOperations>();
        services.AddSingleton<ArtifactOperations>();
        services.AddSingleton<LoggedModelStore>();
        services.AddSingleton<LoggedModelOperations>();
        services.AddSingleton<TraceStore>();
        services.AddSingleton<TraceOperations>();
        services.AddSingleton<MlflowRoutes>();
        services.AddSingleton(MlflowServerOptions.FromConfiguration(configuration));
        services.AddSingleton<SharedBreaker>();
        services.AddSingleton<MlflowProxyCounts>();
        services.AddSingleton<MlflowProxy>();
        services.AddHttpClient(MlflowProxy.ClientName, client => client.Timeout = Timeout.InfiniteTimeSpan).ConfigurePrimaryHttpMessageHandler(() => new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            AutomaticDecompression = System.Net.DecompressionMethods.None,
            ConnectTimeout = TimeSpan.FromSeconds(5),
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            ActivityHeadersPropagator = null,
        });
        services.AddSingleton<HokusaiHealth>();
        services.AddSingleton<ModelStore>();
        services.AddSingleton<ModelService>();
    }
}
