using FunctionsRegistry.DataRegistry;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.DataRegistry;

/// <summary>spec-dhg.md, "Events".</summary>
[Contract(Family.Dhg)]
public sealed class EventFunctions(EventStore store)
{
    private const string Base = "dhg/api/v1/events";

    /// <summary>GET /events: newest first; event_type, entity_type and entity_id are our filters.</summary>
    [Function("dhg_events_list")]
    [Query("event_type?: string, entity_type?: string, entity_id?: uuid, skip?: integer(0..), limit?: integer(0..), cursor?: string(..1000)")]
    [Answers(typeof(IReadOnlyList<RegistryEvent>))]
    public async Task<IResult> List(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        var query = FieldReader.OfQuery(request);
        var part = query.Part();
        var (eventType, entityType, entityId) = (query.Filter("event_type"), query.Filter("entity_type"), query.OptionalUuid("entity_id"));
        query.ThrowIfFaulty();
        var rows = await store.ListAsync(part, eventType, entityType, entityId, cancellationToken);
        return RegistryRequests.Answer(request, rows, DataRegistryJson.Default.IReadOnlyListRegistryEvent);
    }

    /// <summary>POST /events: 201.</summary>
    [Function("dhg_events_create")]
    [Body("event_type: string(..64), entity_type: string(..64), entity_id?: uuid, user_id?: string(..128), description?: string, meta_data?: object")]
    [Answers(typeof(RegistryEvent), 201)]
    public async Task<IResult> Create(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var added = new NewEvent(
            fields.Text("event_type", maxLength: 64), fields.Text("entity_type", maxLength: 64), fields.OptionalUuid("entity_id"),
            fields.OptionalText("user_id", maxLength: 128), fields.OptionalText("description", maxLength: RegistryRequests.AnyLength),
            fields.RawObject("meta_data"));
        fields.ThrowIfFaulty();
        return JsonBody.Create(await store.InsertAsync(added, cancellationToken), DataRegistryJson.Default.RegistryEvent, StatusCodes.Status201Created);
    }
}
