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
    [Body(typeof(TelemetryRequest))]
    [Answers(typeof(TelemetryResponse))]
    public async Task<IResult> SubmitTelemetry(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "agentx/api/v1/telemetry")] HttpRequest request, CancellationToken cancellationToken)
    {
        await telemetry.RecordAsync(await RequestBody.ReadJsonAsync(request, MarketplaceJson.Default.TelemetryRequest, cancellationToken), cancellationToken);
        return JsonBody.Create(new TelemetryResponse(true), MarketplaceJson.Default.TelemetryResponse);
    }
}
