using FunctionsRegistry.Airflow;
using FunctionsRegistry.Airflow.Operators;
using FunctionsRegistry.Blobs;
using FunctionsRegistry.Functions.Airflow;
using FunctionsRegistry.Functions.DataRegistry;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Functions.Platform;
using FunctionsRegistry.Marketplace;
using FunctionsRegistry.Postgres;
using FunctionsRegistry.RateLimits;

namespace FunctionsRegistry.Functions.Marketplace;

/// <summary>The services of the agent marketplace.</summary>
public static class MarketplaceServices
{
    /// <summary>Registers them. Wrong settings fail here.</summary>
    public static void AddMarketplace(this IServiceCollection services, IConfiguration configuration)
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
}
