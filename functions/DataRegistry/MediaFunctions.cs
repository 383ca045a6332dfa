using FunctionsRegistry.DataRegistry;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.DataRegistry;

/// <summary>spec-dhg.md, "Media &amp; Transcription": media files.</summary>
[Contract(Family.Dhg)]
public sealed class MediaFunctions(MediaStore store)
{
    private const string Base = "dhg/api/v1/media";

    /// <summary>GET /media: newest first.</summary>
    [Function("dhg_media_list")]
    [Query("skip?: integer(0..), limit?: integer(0..), cursor?: string(..1000)")]
    [Answers(typeof(IReadOnlyList<MediaFile>))]
    public async Task<IResult> List(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        var query = FieldReader.OfQuery(request);
        var part = query.Part();
        query.ThrowIfFaulty();
        return RegistryRequests.Answer(request, await store.ListMediaAsync(part, cancellationToken), DataRegistryJson.Default.IReadOnlyListMediaFile);
    }

    /// <summary>POST /media: 201.</summary>
    [Function("dhg_media_create")]
    [Body(
        "filename: string(..512), filepath: string(..1024), file_size_bytes: integer(0..), mime_type: string(..128), duration_seconds?: number, " +
        "meta_data?: object")]
    [Answers(typeof(MediaFile), 201)]
    public async Task<IResult> Create(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var media = new NewMedia(
            fields.Text("filename", maxLength: 512), fields.Text("filepath", maxLength: 1024), fields.WholeNumber("file_size_bytes", 0, long.MaxValue),
            fields.Text("mime_type", maxLength: 128), fields.OptionalNumber("duration_seconds"), fields.RawObject("meta_data"));
        fields.ThrowIfFaulty();
        return JsonBody.Create(await store.InsertMediaAsync(media, cancellationToken), DataRegistryJson.Default.MediaFile, StatusCodes.Status201Created);
    }

    /// <summary>GET /media/{media_id}.</summary>
    [Function("dhg_media_get")]
    [Answers(typeof(MediaFile))]
    public async Task<IResult> Get(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/{mediaId}")] HttpRequest request,
        string mediaId, CancellationToken cancellationToken) =>
        JsonBody.Cacheable(
            await store.FindMediaAsync(RegistryRequests.Id("media_id", mediaId), cancellationToken) ?? throw DataRegistryErrors.MediaNotFound(),
            DataRegistryJson.Default.MediaFile);
}
