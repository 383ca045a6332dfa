using FunctionsRegistry.Functions.ModelRegistry;
using FunctionsRegistry.Metrics;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace FunctionsRegistry.Functions.Platform;

/// <summary>
/// Starts what measures: instruments that are read when somebody asks, and traces and metrics by OTLP where <c>OTEL_EXPORTER_OTLP_ENDPOINT</c> is set; the other <c>OTEL_*</c> variables are the exporter's own.
/// </summary>
public sealed class Telemetry(IConfiguration configuration, IServiceProvider services) : IHostedService, IDisposable
{
    private TracerProvider? _traces;
    private MeterProvider? _metrics;

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        services.GetRequiredService<ProcessMetrics>();
        services.GetRequiredService<MlflowMetrics>();
        if (configuration["OTEL_EXPORTER_OTLP_ENDPOINT"] is not { Length: > 0 })
            return Task.CompletedTask;
        var resource = ResourceBuilder.CreateDefault().AddService(configuration["OTEL_SERVICE_NAME"] is { Length: > 0 } name ? name : "functionsregistry");
        // The exporter looks for its variables in this configuration, so that a settings file works, too.
        _traces = Sdk.CreateTracerProviderBuilder().SetResourceBuilder(resource).ConfigureServices(own => own.AddSingleton(configuration))
            .AddSource("Microsoft.AspNetCore", "System.Net.Http", "Npgsql").AddOtlpExporter().Build();
        _metrics = Sdk.CreateMeterProviderBuilder().SetResourceBuilder(resource).ConfigureServices(own => own.AddSingleton(configuration))
            .AddMeter("FunctionsRegistry.*", "Npgsql", "System.Runtime").AddOtlpExporter().Build();
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken)
    {
        _traces?.ForceFlush(2_000);
        _metrics?.ForceFlush(2_000);
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _traces?.Dispose();
        _metrics?.Dispose();
    }
}
