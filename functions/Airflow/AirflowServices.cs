using FunctionsRegistry.Airflow;
using FunctionsRegistry.Airflow.Operators;
using FunctionsRegistry.Blobs;
using FunctionsRegistry.Functions.DataRegistry;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Functions.Marketplace;
using FunctionsRegistry.Functions.Platform;
using FunctionsRegistry.Marketplace;
using FunctionsRegistry.Postgres;
using FunctionsRegistry.RateLimits;

namespace FunctionsRegistry.Functions.Airflow;

/// <summary>The services of the Airflow contract.</summary>
public static class AirflowServices
{
    /// <summary>Registers them. Wrong settings fail here.</summary>
    public static void AddAirflow(this IServiceCollection services, IConfiguration configuration)
    {
        var options = AirflowOptions.FromConfiguration(configuration, Path.Combine(AppContext.BaseDirectory, "dags"), RuntimeFlavour.IsLocal);
        services.AddSingleton(options);
        services.AddSingleton<IAuthenticator, BasicAuthenticator>();
        services.AddSingleton<IOperator, EchoOperator>();
        services.AddSingleton<IOperator, FailOperator>();
        services.AddSingleton<IOperator, WaitOperator>();
        services.AddSingleton<IOperator, BranchOperator>();
        services.AddSingleton<IOperator, HttpOperator>();
        services.AddSingleton<IOperator, CheckServicesOperator>();
        services.AddSingleton<IOperator, CollectMetricsOperator>();
        services.AddSingleton<IOperator, TrialOperator>();
        services.AddSingleton<IOperator, CreatePopulationOperator>();
        services.AddSingleton<IOperator, IndexRepositoryOperator>();
        services.AddSingleton<IOperator, ExtractPatternsOperator>();
        services.AddSingleton<IOperator, ValidatePatternsOperator>();
        services.AddSingleton<IOperator, PropagatePatternsOperator>();
        services.AddSingleton<IOperator, ReportPatternsOperator>();
        services.AddSingleton<DagStore>();
        services.AddSingleton<DagRunStore>();
        services.AddSingleton<DagRunListStore>();
        services.AddSingleton<TaskInstanceStore>();
        services.AddSingleton<ResourceStore>();
        services.AddSingleton<DagCatalog>();
        services.AddSingleton<DagRunService>();
        services.AddSingleton<TaskRunner>();
        services.AddSingleton<DagRunStarter>();
        // The compatible routes call the same functions.
        services.AddSingleton<DagFunctions>();
        services.AddSingleton<DagRunFunctions>();
        services.AddSingleton<TaskInstanceFunctions>();
        services.AddSingleton<ResourceFunctions>();
        services.AddSingleton<MonitorFunctions>();
    }
}
