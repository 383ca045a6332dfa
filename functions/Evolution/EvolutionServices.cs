using FunctionsRegistry.Evolution;
using FunctionsRegistry.Identity;
using Microsoft.AspNetCore.Hosting;

namespace FunctionsRegistry.Functions.Evolution;

/// <summary>The services of evolution trials and their live updates.</summary>
public static class EvolutionServices
{
    /// <summary>Registers them. Wrong settings fail here.</summary>
    public static void AddEvolution(this IServiceCollection services, IConfiguration configuration)
    {
        services.AddSingleton(EvolutionOptions.FromConfiguration(configuration));
        services.AddSingleton(WebPubSubOptions.FromConfiguration(configuration));
        services.AddSingleton(provider => new WebPubSub(
            provider.GetRequiredService<WebPubSubOptions>(), provider.GetRequiredService<EntraTokens>(), provider.GetRequiredService<IHttpClientFactory>().CreateClient(nameof(WebPubSub)),
            provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<WebPubSub>>()));
        services.AddSingleton<LiveUpdates>();
        services.AddSingleton<TrialStore>();
        services.AddSingleton<TrialRunStore>();
        services.AddSingleton<TrialService>();
        services.AddSingleton<TrialStarter>();
        services.AddSingleton<ClientPlaces>();
        // The real host forwards no WebSockets.
        if (RuntimeFlavour.IsLocal)
            services.AddSingleton<IStartupFilter, TrialSockets>();
    }
}
