using System.Text.Json.Nodes;
using FunctionsRegistry.Airflow;
using FunctionsRegistry.Airflow.Operators;
using FunctionsRegistry.Functions.Platform;

namespace FunctionsRegistry.Functions.Airflow;

/// <summary>Asks what the app depends on; its output is <c>{status, services, unhealthy}</c>, the last the names of those that are not healthy.</summary>
public sealed class CheckServicesOperator(HealthChecks health) : IOperator
{
    /// <inheritdoc/>
    public string Name => "check_services";

    /// <inheritdoc/>
    public IReadOnlyList<OperatorParameter> Parameters => [];

    /// <inheritdoc/>
    public async Task<OperatorResult> RunAsync(OperatorCall attempt, CancellationToken cancellationToken)
    {
        var found = await health.CheckAsync(cancellationToken);
        var services = new JsonObject();
        var unhealthy = new JsonArray();
        foreach (var (name, service) in found.Services)
        {
            attempt.Log.Write($"{name}: {service.Status}, {service.DurationMs} ms{(service.Detail is null ? "" : $" ({service.Detail})")}");
            services[name] = new JsonObject { ["status"] = service.Status, ["duration_ms"] = service.DurationMs };
            if (service.Status != "healthy")
                unhealthy.Add(name);
        }
        return new OperatorResult(new JsonObject { ["status"] = found.Status, ["services"] = services, ["unhealthy"] = unhealthy });
    }
}
