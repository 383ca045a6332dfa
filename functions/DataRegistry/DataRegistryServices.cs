using FunctionsRegistry.DataRegistry;
using Microsoft.AspNetCore.Hosting;

namespace FunctionsRegistry.Functions.DataRegistry;

/// <summary>This slice's part of the composition root.</summary>
internal static class DataRegistryServices
{
    public static void AddDataRegistry(this IServiceCollection services, IConfiguration configuration)
    {
        services.AddSingleton(DataRegistryOptions.FromConfiguration(configuration));
        services.AddSingleton<RegistryMetrics>();
        services.AddSingleton<RegistryDatabase>();
        services.AddSingleton<AgentDirectoryStore>();
        services.AddSingleton<AntigravityStore>();
        services.AddSingleton<ResearchStore>();
        services.AddSingleton<MediaStore>();
        services.AddSingleton<EventStore>();
        services.AddSingleton<ConversationStore>();
        services.AddSingleton<ConversationSearch>();
        services.AddSingleton<RegistrySockets>();
        // The real host forwards no WebSockets.
        if (RuntimeFlavour.IsLocal)
            services.AddSingleton<IStartupFilter, RegistrySocketEndpoint>();
    }
}
