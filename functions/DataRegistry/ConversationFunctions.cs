using FunctionsRegistry.DataRegistry;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.DataRegistry;

/// <summary>spec-dhg.md, "Projects &amp; Conversations": conversations and their messages.</summary>
[Contract(Family.Dhg)]
public sealed class ConversationFunctions(ConversationStore store, ConversationSearch search)
{
    private const string Base = "dhg/api/v1/conversations";
    private const int MaxMessages = 10_000;

    // Ranking looks at a bounded number of matches, so deeper pages would be empty in any case.
    private const int DeepestMatch = 10_000;

    /// <summary>GET /conversations: newest first.</summary>
    [Function("dhg_conversations_list")]
    [Query("project_id?: uuid, export_source?: string, skip?: integer(0..), limit?: integer(0..), cursor?: string(..1000)")]
    [Answers(typeof(IReadOnlyList<Conversation>))]
    public async Task<IResult> List(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        var query = FieldReader.OfQuery(request);
        var part = query.Part();
        var (projectId, exportSource) = (query.OptionalUuid("project_id"), query.Filter("export_source"));
        query.ThrowIfFaulty();
        var rows = await store.ListAsync(part, projectId, exportSource, cancellationToken);
        return RegistryRequests.Answer(request, rows, DataRegistryJson.Default.IReadOnlyListConversation);
    }

    /// <summary>GET /conversations/search: titles and what was said, best first. Its name sorts before <c>get</c>, as its route must.</summary>
    [Function("dhg_conversations_find")]
    [Query("q: string(1..1000), skip?: integer(0..10000), limit?: integer(0..)")]
    [Answers(typeof(IReadOnlyList<Conversation>))]
    public async Task<IResult> Search(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/search")] HttpRequest request, CancellationToken cancellationToken)
    {
        var query = FieldReader.OfQuery(request);
        var text = query.Text("q", 1, 1_000);
        var (skip, limit) = (query.WholeNumber("skip", 0, 0, DeepestMatch), query.WholeNumber("limit", 50, 0, int.MaxValue));
        if (text.Length > 0 && string.IsNullOrWhiteSpace(text))
            query.Fault("q", "ensure this value has at least 1 characters", "value_error.any_str.min_length");
        query.ThrowIfFaulty();
        var found = await search.FindAsync(text.Trim(), skip, Math.Min(limit, RegistryRequests.MaxListed), cancellationToken);
        return JsonBody.Cacheable(found, DataRegistryJson.Default.IReadOnlyListConversation);
    }

    /// <summary>POST /conversations: 201, with its messages or not at all; 409 where conversation_id is taken.</summary>
    [Function("dhg_conversations_create"), BodyLimit(RegistryRequests.DocumentMegabytes)]
    [Body(
        "title: string(..1024), conversation_id?: string(..256), export_source: string(..64), model_name?: string(..128), project_id?: uuid, " +
        "meta_data?: object, created_at?: time, messages?: {message_index?: integer, role: string(..32), content: string, attachments?: any, " +
        "meta_data?: object, created_at?: time}[]")]
    [Answers(typeof(Conversation), 201)]
    public async Task<IResult> Create(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = await RegistryRequests.ReadDocumentAsync(request, cancellationToken);
        var conversation = new NewConversation(
            fields.Text("title", maxLength: 1024), fields.OptionalText("conversation_id", maxLength: 256), fields.Text("export_source", maxLength: 64),
            fields.OptionalText("model_name", maxLength: 128), fields.OptionalUuid("project_id"), fields.RawObject("meta_data"),
            fields.OptionalTime("created_at"), [.. fields.ListOfFields("messages", MaxMessages).Select(ReadMessage)]);
        fields.ThrowIfFaulty();
        return JsonBody.Create(await store.InsertAsync(conversation, cancellationToken), DataRegistryJson.Default.Conversation, StatusCodes.Status201Created);
    }

    /// <summary>GET /conversations/{conversation_id}: the row's id.</summary>
    [Function("dhg_conversations_get")]
    [Answers(typeof(Conversation))]
    public async Task<IResult> Get(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/{conversationId}")] HttpRequest request,
        string conversationId, CancellationToken cancellationToken) =>
        JsonBody.Cacheable(
            await store.FindAsync(RegistryRequests.Id("conversation_id", conversationId), cancellationToken)
                ?? throw DataRegistryErrors.ConversationNotFound(),
            DataRegistryJson.Default.Conversation);

    /// <summary>GET /messages/conversation/{conversation_id}: in their order; none where there is no such conversation.</summary>
    [Function("dhg_messages_by_conversation")]
    [Query("skip?: integer(0..)")]
    [Answers(typeof(IReadOnlyList<Message>))]
    public async Task<IResult> ListMessages(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "dhg/api/v1/messages/conversation/{conversationId}")] HttpRequest request,
        string conversationId, CancellationToken cancellationToken) =>
        RegistryRequests.Answer(
            request, await store.ListMessagesAsync(RegistryRequests.Id("conversation_id", conversationId), RegistryRequests.Skip(request), cancellationToken),
            DataRegistryJson.Default.IReadOnlyListMessage, "skip");

    private static NewMessage ReadMessage(FieldReader fields, int place) => new(
        fields.OptionalInt("message_index") ?? place, fields.Text("role", maxLength: 32), fields.Text("content", maxLength: RegistryRequests.AnyLength),
        fields.RawValue("attachments"), fields.RawObject("meta_data"), fields.OptionalTime("created_at"));
}
