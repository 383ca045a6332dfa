using FunctionsRegistry.DataRegistry;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.DataRegistry;

/// <summary>spec-dhg.md, "Antigravity Session Tracking".</summary>
[Contract(Family.Dhg)]
public sealed class AntigravityFunctions(AntigravityStore store)
{
    private const string Chats = "dhg/api/v1/antigravity/chats";
    private const string Files = "dhg/api/v1/antigravity/files";

    // The contract sets no limit; an index entry has one.
    private const int MaxIdLength = 512;

    /// <summary>GET /antigravity/chats: last modified first.</summary>
    [Function("dhg_chats_list")]
    [Query("status?: string, offset?: integer(0..), limit?: integer(0..), cursor?: string(..1000)")]
    [Answers(typeof(IReadOnlyList<AntigravityChat>))]
    public async Task<IResult> ListChats(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Chats)] HttpRequest request, CancellationToken cancellationToken)
    {
        var query = FieldReader.OfQuery(request);
        var part = query.Part("offset");
        var status = query.Filter("status");
        query.ThrowIfFaulty();
        var rows = await store.ListChatsAsync(part, status, cancellationToken);
        return RegistryRequests.Answer(request, rows, DataRegistryJson.Default.IReadOnlyListAntigravityChat);
    }

    /// <summary>POST /antigravity/chats: creates or updates by conversation_id; 201 in both cases.</summary>
    [Function("dhg_chats_upsert")]
    [Body("conversation_id: string(..512), title?: string, summary?: string, user_objective?: string, tags?: string[], metadata?: object")]
    [Answers(typeof(AntigravityChat), 201)]
    public async Task<IResult> UpsertChat(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Chats)] HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var chat = new ChatUpsert(
            fields.Text("conversation_id", maxLength: MaxIdLength), fields.OptionalText("title", maxLength: RegistryRequests.AnyLength),
            fields.OptionalText("summary", maxLength: RegistryRequests.AnyLength), fields.OptionalText("user_objective", maxLength: RegistryRequests.AnyLength),
            fields.Texts("tags"), fields.RawObject("metadata"));
        fields.ThrowIfFaulty();
        return JsonBody.Create(await store.UpsertChatAsync(chat, cancellationToken), DataRegistryJson.Default.AntigravityChat, StatusCodes.Status201Created);
    }

    /// <summary>GET /antigravity/chats/{conversation_id}.</summary>
    [Function("dhg_chats_get")]
    [Answers(typeof(AntigravityChat))]
    public async Task<IResult> GetChat(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Chats + "/{conversationId}")] HttpRequest request,
        string conversationId, CancellationToken cancellationToken) =>
        JsonBody.Cacheable(
            await store.FindChatAsync(conversationId, cancellationToken) ?? throw DataRegistryErrors.ChatNotFound(conversationId),
            DataRegistryJson.Default.AntigravityChat);

    /// <summary>PATCH /antigravity/chats/{conversation_id}: null clears texts and tags, and leaves numbers and status alone.</summary>
    [Function("dhg_chats_update")]
    [Body(
        "title?: string, summary?: string, user_objective?: string, message_count?: integer(0..), total_tokens?: integer(0..), " +
        "total_cost_usd?: number(0..), status?: string(1..64), tags?: string[], processing_metadata?: object")]
    [Answers(typeof(AntigravityChat))]
    public async Task<IResult> UpdateChat(
        [HttpTrigger(AuthorizationLevel.Anonymous, "patch", Route = Chats + "/{conversationId}")] HttpRequest request,
        string conversationId, CancellationToken cancellationToken)
    {
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var patch = new ChatPatch(
            fields.Change("title", AnyText), fields.Change("summary", AnyText), fields.Change("user_objective", AnyText),
            fields.OptionalInt("message_count", 0), fields.OptionalInt("total_tokens", 0), fields.OptionalNumber("total_cost_usd", 0), fields.OptionalText("status", 1, 64),
            fields.Change("tags", (reader, name) => reader.Texts(name).ToArray()),
            fields.Change("processing_metadata", (reader, name) => reader.RawObject(name)));
        fields.ThrowIfFaulty();
        return JsonBody.Create(await store.UpdateChatAsync(conversationId, patch, cancellationToken), DataRegistryJson.Default.AntigravityChat);
    }

    /// <summary>GET /antigravity/chats/{conversation_id}/files: newest first; none where there is no such chat.</summary>
    [Function("dhg_chats_files")]
    [Query("skip?: integer(0..)")]
    [Answers(typeof(IReadOnlyList<AntigravityFile>))]
    public async Task<IResult> ListFilesOfChat(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Chats + "/{conversationId}/files")] HttpRequest request,
        string conversationId, CancellationToken cancellationToken) =>
        RegistryRequests.Answer(
            request, await store.ListFilesOfChatAsync(conversationId, RegistryRequests.Skip(request), cancellationToken),
            DataRegistryJson.Default.IReadOnlyListAntigravityFile, "skip");

    /// <summary>GET /antigravity/files: newest first.</summary>
    [Function("dhg_files_list")]
    [Query("conversation_id?: string, artifact_type?: string, offset?: integer(0..), limit?: integer(0..), cursor?: string(..1000)")]
    [Answers(typeof(IReadOnlyList<AntigravityFile>))]
    public async Task<IResult> ListFiles(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Files)] HttpRequest request, CancellationToken cancellationToken)
    {
        var query = FieldReader.OfQuery(request);
        var part = query.Part("offset");
        var (conversationId, artifactType) = (query.Filter("conversation_id"), query.Filter("artifact_type"));
        query.ThrowIfFaulty();
        var rows = await store.ListFilesAsync(part, conversationId, artifactType, cancellationToken);
        return RegistryRequests.Answer(request, rows, DataRegistryJson.Default.IReadOnlyListAntigravityFile);
    }

    /// <summary>POST /antigravity/files: 201.</summary>
    [Function("dhg_files_create")]
    [Body(
        "conversation_id: string(..512), file_path: string(..4096), file_type?: string(..256), file_size_bytes?: integer(0..), " +
        "artifact_type?: string(..256), summary?: string, metadata?: object")]
    [Answers(typeof(AntigravityFile), 201)]
    public async Task<IResult> CreateFile(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Files)] HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var file = new NewAntigravityFile(
            fields.Text("conversation_id", maxLength: MaxIdLength), fields.Text("file_path", maxLength: 4_096),
            fields.OptionalText("file_type", maxLength: 256), fields.OptionalWholeNumber("file_size_bytes", 0, long.MaxValue), fields.OptionalText("artifact_type", maxLength: 256),
            fields.OptionalText("summary", maxLength: RegistryRequests.AnyLength), fields.RawObject("metadata"));
        fields.ThrowIfFaulty();
        return JsonBody.Create(await store.InsertFileAsync(file, cancellationToken), DataRegistryJson.Default.AntigravityFile, StatusCodes.Status201Created);
    }

    /// <summary>GET /antigravity/files/{file_id}.</summary>
    [Function("dhg_files_get")]
    [Answers(typeof(AntigravityFile))]
    public async Task<IResult> GetFile(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Files + "/{fileId}")] HttpRequest request,
        string fileId, CancellationToken cancellationToken)
    {
        var id = RegistryRequests.Id("file_id", fileId);
        return JsonBody.Cacheable(
            await store.FindFileAsync(id, cancellationToken) ?? throw DataRegistryErrors.FileNotFound(id), DataRegistryJson.Default.AntigravityFile);
    }

    private static string? AnyText(FieldReader fields, string name) => fields.OptionalText(name, maxLength: RegistryRequests.AnyLength);
}
