using FunctionsRegistry.Blobs;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Functions.Marketplace;
using FunctionsRegistry.Functions.ModelRegistry.Mlflow;
using FunctionsRegistry.Functions.Platform;
using FunctionsRegistry.Marketplace;
using FunctionsRegistry.ModelRegistry;
using FunctionsRegistry.ModelRegistry.Dspy;
using FunctionsRegistry.ModelRegistry.Mlflow;
using FunctionsRegistry.Postgres;
using FunctionsRegistry.RateLimits;

namespace FunctionsRegistry.Functions.ModelRegistry;

/// <summary>The services of the model registry.</summary>
public static class ModelRegistryServices
{
    /// <summary>Registers them. Wrong settings fail here.</summary>
    public static void AddModelRegistry(this IServiceCollection services, IConfiguration configuration)
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
        services.AddSingleton<MlflowMetrics>();
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
        services.AddSingleton<EvaluationStore>();
        services.AddSingleton<ModelService>();

        services.AddSingleton(LanguageModelOptions.FromConfiguration(configuration));
        services.AddSingleton(DspyOptions.FromConfiguration(configuration));
        services.AddSingleton(new DspyLibrary());
        services.AddSingleton<LanguageModel>();
        services.AddSingleton<DspyStore>();
        services.AddSingleton<DspyProgramService>();
        services.AddSingleton<DspyService>();
    }
}
