using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Marketplace;

namespace FunctionsRegistry.Functions.Marketplace;

/// <summary>spec-agentx.md, "Telemetry".</summary>
[Contract(Family.AgentX)]
public sealed class TelemetryFunctions(TelemetryService telemetry)
{
    /// <summary>POST /telemetry: the spec's body, or the real client's.</summary>
    [Function("telemetry_submit"), Public]
    [Body(
        "agent_name?: string(..200), agent?: string(..200), agent_version?: string(..50), version?: string(..50), success: boolean, " +
        "duration_ms: integer(0..3600000), os?: string(..100), cli_version?: string(..50), error_type?: string(..100)")]
    [Answers(typeof(TelemetryResponse))]
    public async Task<IResult> SubmitTelemetry(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "agentx/api/v1/telemetry")] HttpRequest request, CancellationToken cancellationToken)
    {
        await telemetry.RecordAsync(await RequestBody.ReadJsonAsync(request, MarketplaceJson.Default.TelemetryRequest, cancellationToken), cancellationToken);
        return JsonBody.Create(new TelemetryResponse(true), MarketplaceJson.Default.TelemetryResponse);
    }
}
