using FunctionsRegistry.Blobs;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Functions.Marketplace;
using FunctionsRegistry.Functions.Platform;
using FunctionsRegistry.IndexAgent;
using FunctionsRegistry.Marketplace;
using FunctionsRegistry.Postgres;
using FunctionsRegistry.RateLimits;

namespace FunctionsRegistry.Functions.IndexAgent;

/// <summary>The services of code search, its agents and patterns.</summary>
public static class IndexAgentServices
{
    /// <summary>Registers them. Wrong settings fail here.</summary>
    public static void AddIndexAgent(this IServiceCollection services, IConfiguration configuration)
    {
        services.AddSingleton(IndexAgentOptions.FromConfiguration(configuration));
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
