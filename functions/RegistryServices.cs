using FunctionsRegistry.Blobs;
using FunctionsRegistry.Functions.Airflow;
using FunctionsRegistry.Functions.DataRegistry;
using FunctionsRegistry.Functions.Evolution;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Functions.IndexAgent;
using FunctionsRegistry.Functions.Marketplace;
using FunctionsRegistry.Functions.ModelRegistry;
using FunctionsRegistry.Functions.OpenApi;
using FunctionsRegistry.Functions.Platform;
using FunctionsRegistry.Http;
using FunctionsRegistry.Identity;
using FunctionsRegistry.Metrics;
using FunctionsRegistry.Postgres;
using FunctionsRegistry.RateLimits;

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
        builder.Services.AddMarketplace(builder.Configuration);
        builder.Services.AddAirflow(builder.Configuration);
        builder.Services.AddDataRegistry(builder.Configuration);
        builder.Services.AddModelRegistry(builder.Configuration);
        builder.Services.AddIndexAgent(builder.Configuration);
        builder.Services.AddEvolution(builder.Configuration);
    }

    private static void AddMiddleware(FunctionsApplicationBuilder builder)
    {
        builder.UseMiddleware<KeyUsageMiddleware>();
        builder.UseMiddleware<ErrorBoundaryMiddleware>();
        builder.UseMiddleware<CallerMiddleware>();
        builder.UseMiddleware<RateLimitMiddleware>();
        builder.UseMiddleware<RequireCallerMiddleware>();
        builder.UseMiddleware<BodyLimitMiddleware>();
        builder.UseMiddleware<IdempotencyMiddleware>();
    }

    private static void AddShared(IServiceCollection services, IConfiguration configuration)
    {
        services.AddSingleton(TimeProvider.System);
        services.AddHttpClient();
        services.AddSingleton<OutboundHttp>();

        services.AddSingleton(provider => EntraTokens.OfProcess(provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton(DatabaseOptions.FromConfiguration(configuration, migrateByDefault: RuntimeFlavour.IsLocal));
        services.AddSingleton(provider => provider.GetRequiredService<DatabaseOptions>().CreateDataSource(provider.GetRequiredService<EntraTokens>()));
        services.AddSingleton(provider => provider.GetRequiredService<DatabaseOptions>().CreateMigrator(provider.GetRequiredService<EntraTokens>()));
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
        services.AddSingleton<Summaries>();
        services.AddSingleton<OpenApiDocuments>();
        services.AddSingleton<PageAssets>();
        services.AddSingleton<RegistryCounts>();
        services.AddSingleton<PrometheusMetrics>();
        services.AddSingleton<ProcessMetrics>();
        services.AddSingleton<HttpMetrics>();
        services.AddSingleton<ConnectionLimit>();
        services.AddHostedService<Telemetry>();
    }
}
