using FunctionsRegistry.DataRegistry;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.DataRegistry;

/// <summary>spec-dhg.md, "Artifacts".</summary>
[Contract(Family.Dhg)]
public sealed class ArtifactFunctions(ConversationStore store)
{
    private const string Base = "dhg/api/v1/artifacts";

    /// <summary>GET /artifacts: newest first.</summary>
    [Function("dhg_artifacts_list")]
    [Query("artifact_type?: string, skip?: integer(0..), limit?: integer(0..), cursor?: string(..1000)")]
    [Answers(typeof(IReadOnlyList<Artifact>))]
    public async Task<IResult> List(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        var query = FieldReader.OfQuery(request);
        var part = query.Part();
        var artifactType = query.Filter("artifact_type");
        query.ThrowIfFaulty();
        var rows = await store.ListArtifactsAsync(part, artifactType, cancellationToken);
        return RegistryRequests.Answer(request, rows, DataRegistryJson.Default.IReadOnlyListArtifact);
    }

    /// <summary>POST /artifacts: 201.</summary>
    [Function("dhg_artifacts_create"), BodyLimit(RegistryRequests.DocumentMegabytes)]
    [Body(
        "conversation_id: uuid, message_id?: uuid, title: string(..512), artifact_type: string(..64), language?: string(..64), content: string, " +
        "file_path?: string(..1024), published_url?: string(..1024), meta_data?: object")]
    [Answers(typeof(Artifact), 201)]
    public async Task<IResult> Create(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = await RegistryRequests.ReadDocumentAsync(request, cancellationToken);
        var artifact = new NewArtifact(
            fields.Uuid("conversation_id"), fields.OptionalUuid("message_id"), fields.Text("title", maxLength: 512),
            fields.Text("artifact_type", maxLength: 64), fields.OptionalText("language", maxLength: 64), fields.Text("content", maxLength: RegistryRequests.AnyLength),
            fields.OptionalText("file_path", maxLength: 1024), fields.OptionalText("published_url", maxLength: 1024), fields.RawObject("meta_data"));
        fields.ThrowIfFaulty();
        return JsonBody.Create(await store.InsertArtifactAsync(artifact, cancellationToken), DataRegistryJson.Default.Artifact, StatusCodes.Status201Created);
    }

    /// <summary>GET /artifacts/conversation/{conversation_id}: oldest first; none where there is no such conversation.</summary>
    [Function("dhg_artifacts_by_conversation")]
    [Query("skip?: integer(0..)")]
    [Answers(typeof(IReadOnlyList<Artifact>))]
    public async Task<IResult> ListOfConversation(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/conversation/{conversationId}")] HttpRequest request,
        string conversationId, CancellationToken cancellationToken) =>
        RegistryRequests.Answer(
            request, await store.ListArtifactsOfConversationAsync(RegistryRequests.Id("conversation_id", conversationId), RegistryRequests.Skip(request), cancellationToken),
            DataRegistryJson.Default.IReadOnlyListArtifact, "skip");

    /// <summary>GET /artifacts/{artifact_id}.</summary>
    [Function("dhg_artifacts_get")]
    [Answers(typeof(Artifact))]
    public async Task<IResult> Get(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/{artifactId}")] HttpRequest request,
        string artifactId, CancellationToken cancellationToken) =>
        JsonBody.Cacheable(
            await store.FindArtifactAsync(RegistryRequests.Id("artifact_id", artifactId), cancellationToken) ?? throw DataRegistryErrors.ArtifactNotFound(),
            DataRegistryJson.Default.Artifact);
}
