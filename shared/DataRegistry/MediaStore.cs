using FunctionsRegistry.Errors;
using Npgsql;

namespace FunctionsRegistry.DataRegistry;

/// <summary>Media files, their transcripts and the transcripts' segments. What is created and its audit event are one statement.</summary>
public sealed class MediaStore(RegistryDatabase database, TimeProvider time)
{
    private const string MediaColumns = "id, filename, filepath, file_size_bytes, mime_type, duration_seconds, status, meta_data::text, created_at, updated_at";

    private const string TranscriptColumns =
        "id, media_id, full_text, language, confidence_score, model_name, model_version, processing_time_seconds, meta_data::text, created_at";

    private const string SegmentColumns =
        "id, transcript_id, segment_index, start_time_seconds, end_time_seconds, text, confidence_score, speaker_id, meta_data::text, created_at";

    private static readonly ListQuery<MediaFile> s_media =
        new("list_media", MediaColumns, "dhg.media", "created_at", "id", ReadMedia, media => TimeCursor.After(media.CreatedAt, media.Id.ToString()));

    private static readonly ListQuery<Transcript> s_transcripts = new(
        "list_transcripts", TranscriptColumns, "dhg.transcripts", "created_at", "id", ReadTranscript,
        one => TimeCursor.After(one.CreatedAt, one.Id.ToString()));

    private static readonly ListQuery<Segment> s_segments =
        new("list_segments", SegmentColumns, "dhg.segments", "created_at", "id", ReadSegment, one => TimeCursor.After(one.CreatedAt, one.Id.ToString()));

    /// <summary>Media, newest first.</summary>
    public Task<Rows<MediaFile>> ListMediaAsync(ListPart part, CancellationToken cancellationToken) => database.ListAsync(s_media, part, cancellationToken);

    /// <summary>One media file, or null.</summary>
    public Task<MediaFile?> FindMediaAsync(Guid id, CancellationToken cancellationToken) =>
        database.FindAsync("get_media", $"SELECT {MediaColumns} FROM dhg.media WHERE id = $1", ReadMedia, cancellationToken, id);

    /// <summary>Creates a pending media file.</summary>
    public async Task<MediaFile> InsertMediaAsync(NewMedia media, CancellationToken cancellationToken)
    {
        const string Sql = $"""
            WITH created AS (
                INSERT INTO dhg.media (id, filename, filepath, file_size_bytes, mime_type, duration_seconds, meta_data, created_at, updated_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) RETURNING *),
            event AS (
                INSERT INTO dhg.events (id, event_type, entity_type, entity_id, description, created_at)
                SELECT $9, 'create', 'media', id, 'Created media: ' || filename, created_at FROM created)
            SELECT {MediaColumns} FROM created
            """;
        var now = time.GetUtcNow();
        return (await database.WriteAsync("create_media", Sql, ReadMedia, cancellationToken, Guid.CreateVersion7(now), media.Filename, media.Filepath,
            media.FileSizeBytes, media.MimeType, media.DurationSeconds, media.MetaData, now, Guid.CreateVersion7(now)))!;
    }

    /// <summary>Transcripts, newest first.</summary>
    public Task<Rows<Transcript>> ListTranscriptsAsync(ListPart part, CancellationToken cancellationToken) =>
        database.ListAsync(s_transcripts, part, cancellationToken);

    /// <summary>Transcripts of a media file, newest first.</summary>
    public Task<Rows<Transcript>> ListTranscriptsOfMediaAsync(Guid mediaId, int skip, CancellationToken cancellationToken) => database.ListOfParentAsync(
        "get_transcripts_by_media", $"SELECT {TranscriptColumns} FROM dhg.transcripts WHERE media_id = $1 ORDER BY created_at DESC, id DESC",
        ReadTranscript, mediaId, skip, cancellationToken);

    /// <summary>Creates a transcript and completes its media file.</summary>
    /// <exception cref="RegistryException">404: no such media.</exception>
    public async Task<Transcript> InsertTranscriptAsync(NewTranscript transcript, CancellationToken cancellationToken)
    {
        const string Sql = $"""
            WITH media AS (
                UPDATE dhg.media SET status = 'completed', updated_at = $10 WHERE id = $2 RETURNING id),
            created AS (
                INSERT INTO dhg.transcripts (id, media_id, full_text, language, confidence_score, model_name, model_version, processing_time_seconds,
                    meta_data, created_at)
                SELECT $1::uuid, id, $3::text, $4::text, $5::float8, $6::text, $7::text, $8::float8, $9::jsonb, $10::timestamptz FROM media RETURNING *),
            event AS (
                INSERT INTO dhg.events (id, event_type, entity_type, entity_id, description, created_at)
                SELECT $11::uuid, 'transcribe', 'transcript', id, 'Transcribed media ' || media_id, created_at FROM created)
            SELECT {TranscriptColumns} FROM created
            """;
        var now = time.GetUtcNow();
        return await database.WriteAsync("create_transcript", Sql, ReadTranscript, cancellationToken, Guid.CreateVersion7(now), transcript.MediaId,
            transcript.FullText, transcript.Language, transcript.ConfidenceScore, transcript.ModelName, transcript.ModelVersion,
            transcript.ProcessingTimeSeconds, transcript.MetaData, now, Guid.CreateVersion7(now)) ?? throw DataRegistryErrors.MediaNotFound();
    }

    /// <summary>Segments of all transcripts, newest first.</summary>
    public Task<Rows<Segment>> ListSegmentsAsync(ListPart part, CancellationToken cancellationToken) => database.ListAsync(s_segments, part, cancellationToken);

    /// <summary>Segments of a transcript in their order.</summary>
    public Task<Rows<Segment>> ListSegmentsOfTranscriptAsync(Guid transcriptId, int skip, CancellationToken cancellationToken) => database.ListOfParentAsync(
        "get_segments_by_transcript", $"SELECT {SegmentColumns} FROM dhg.segments WHERE transcript_id = $1 ORDER BY segment_index, id",
        ReadSegment, transcriptId, skip, cancellationToken);

    /// <summary>Creates a segment. No event: there are thousands of them to a transcript, which has one.</summary>
    /// <exception cref="RegistryException">404: no such transcript.</exception>
    public async Task<Segment> InsertSegmentAsync(NewSegment segment, CancellationToken cancellationToken)
    {
        const string Sql = $"""
            INSERT INTO dhg.segments (id, transcript_id, segment_index, start_time_seconds, end_time_seconds, text, confidence_score, speaker_id,
                meta_data, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING {SegmentColumns}
            """;
        var now = time.GetUtcNow();
        try
        {
            return (await database.WriteAsync("create_segment", Sql, ReadSegment, cancellationToken, Guid.CreateVersion7(now), segment.TranscriptId,
                segment.SegmentIndex, segment.StartTimeSeconds, segment.EndTimeSeconds, segment.Text, segment.ConfidenceScore, segment.SpeakerId,
                segment.MetaData, now))!;
        }
        catch (PostgresException exception) when (exception.ConstraintName == "segments_transcript_id_fkey")
        {
            throw DataRegistryErrors.TranscriptNotFound();
        }
    }

    private static MediaFile ReadMedia(NpgsqlDataReader reader) => new(
        reader.GetGuid(0), reader.GetString(1), reader.GetString(2), reader.GetInt64(3), reader.GetString(4), reader.Number(5), reader.GetString(6),
        reader.Json(7), reader.Time(8), reader.Time(9));

    private static Transcript ReadTranscript(NpgsqlDataReader reader) => new(
        reader.GetGuid(0), reader.GetGuid(1), reader.GetString(2), reader.Text(3), reader.Number(4), reader.Text(5), reader.Text(6), reader.GetDouble(7),
        reader.Json(8), reader.Time(9));

    private static Segment ReadSegment(NpgsqlDataReader reader) => new(
        reader.GetGuid(0), reader.GetGuid(1), reader.GetInt32(2), reader.GetDouble(3), reader.GetDouble(4), reader.GetString(5), reader.Number(6),
        reader.Text(7), reader.Json(8), reader.Time(9));
}
