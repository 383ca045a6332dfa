using FunctionsRegistry.DataRegistry;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.DataRegistry;

/// <summary>spec-dhg.md, "Media &amp; Transcription": transcripts.</summary>
[Contract(Family.Dhg)]
public sealed class TranscriptFunctions(MediaStore store)
{
    private const string Base = "dhg/api/v1/transcripts";

    /// <summary>GET /transcripts: newest first.</summary>
    [Function("dhg_transcripts_list")]
    [Query("skip?: integer(0..), limit?: integer(0..), cursor?: string(..1000)")]
    [Answers(typeof(IReadOnlyList<Transcript>))]
    public async Task<IResult> List(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        var query = FieldReader.OfQuery(request);
        var part = query.Part();
        query.ThrowIfFaulty();
        return RegistryRequests.Answer(request, await store.ListTranscriptsAsync(part, cancellationToken), DataRegistryJson.Default.IReadOnlyListTranscript);
    }

    /// <summary>POST /transcripts: 201; completes the media file.</summary>
    [Function("dhg_transcripts_create"), BodyLimit(RegistryRequests.DocumentMegabytes)]
    [Body(
        "media_id: uuid, full_text: string, language?: string(..16), confidence_score?: number, model_name?: string(..64), " +
        "model_version?: string(..32), processing_time_seconds: number, meta_data?: object")]
    [Answers(typeof(Transcript), 201)]
    public async Task<IResult> Create(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = await RegistryRequests.ReadDocumentAsync(request, cancellationToken);
        var transcript = new NewTranscript(
            fields.Uuid("media_id"), fields.Text("full_text", maxLength: RegistryRequests.AnyLength), fields.OptionalText("language", maxLength: 16),
            fields.OptionalNumber("confidence_score"), fields.OptionalText("model_name", maxLength: 64),
            fields.OptionalText("model_version", maxLength: 32), fields.Number("processing_time_seconds"), fields.RawObject("meta_data"));
        fields.ThrowIfFaulty();
        var created = await store.InsertTranscriptAsync(transcript, cancellationToken);
        return JsonBody.Create(created, DataRegistryJson.Default.Transcript, StatusCodes.Status201Created);
    }

    /// <summary>GET /transcripts/media/{media_id}: none where there is no such media.</summary>
    [Function("dhg_transcripts_by_media")]
    [Query("skip?: integer(0..)")]
    [Answers(typeof(IReadOnlyList<Transcript>))]
    public async Task<IResult> ListOfMedia(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/media/{mediaId}")] HttpRequest request,
        string mediaId, CancellationToken cancellationToken) =>
        RegistryRequests.Answer(
            request, await store.ListTranscriptsOfMediaAsync(RegistryRequests.Id("media_id", mediaId), RegistryRequests.Skip(request), cancellationToken),
            DataRegistryJson.Default.IReadOnlyListTranscript, "skip");
}
