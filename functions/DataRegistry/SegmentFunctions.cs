using FunctionsRegistry.DataRegistry;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.DataRegistry;

/// <summary>spec-dhg.md, "Media &amp; Transcription": segments of transcripts.</summary>
[Contract(Family.Dhg)]
public sealed class SegmentFunctions(MediaStore store)
{
    private const string Base = "dhg/api/v1/segments";

    /// <summary>GET /segments: newest first.</summary>
    [Function("dhg_segments_list")]
    [Query("skip?: integer(0..), limit?: integer(0..), cursor?: string(..1000)")]
    [Answers(typeof(IReadOnlyList<Segment>))]
    public async Task<IResult> List(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        var query = FieldReader.OfQuery(request);
        var part = query.Part();
        query.ThrowIfFaulty();
        return RegistryRequests.Answer(request, await store.ListSegmentsAsync(part, cancellationToken), DataRegistryJson.Default.IReadOnlyListSegment);
    }

    /// <summary>POST /segments: 201. An index may come twice, as in the original.</summary>
    [Function("dhg_segments_create")]
    [Body(
        "transcript_id: uuid, segment_index: integer, start_time_seconds: number, end_time_seconds: number, text: string, confidence_score?: number, " +
        "speaker_id?: string(..64), meta_data?: object")]
    [Answers(typeof(Segment), 201)]
    public async Task<IResult> Create(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var segment = new NewSegment(
            fields.Uuid("transcript_id"), (int)fields.WholeNumber("segment_index"), fields.Number("start_time_seconds"), fields.Number("end_time_seconds"),
            fields.Text("text", maxLength: RegistryRequests.AnyLength), fields.OptionalNumber("confidence_score"),
            fields.OptionalText("speaker_id", maxLength: 64), fields.RawObject("meta_data"));
        fields.ThrowIfFaulty();
        return JsonBody.Create(await store.InsertSegmentAsync(segment, cancellationToken), DataRegistryJson.Default.Segment, StatusCodes.Status201Created);
    }

    /// <summary>GET /segments/transcript/{transcript_id}: in their order; none where there is no such transcript.</summary>
    [Function("dhg_segments_by_transcript")]
    [Query("skip?: integer(0..)")]
    [Answers(typeof(IReadOnlyList<Segment>))]
    public async Task<IResult> ListOfTranscript(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/transcript/{transcriptId}")] HttpRequest request,
        string transcriptId, CancellationToken cancellationToken) =>
        RegistryRequests.Answer(
            request, await store.ListSegmentsOfTranscriptAsync(RegistryRequests.Id("transcript_id", transcriptId), RegistryRequests.Skip(request), cancellationToken),
            DataRegistryJson.Default.IReadOnlyListSegment, "skip");
}
