using System.Text.Json;

namespace FunctionsRegistry.Tests.DataRegistry;

/// <summary>Media, transcripts, segments and events.</summary>
public sealed class MediaTests(DataRegistryApp app) : IClassFixture<DataRegistryApp>
{
    [Fact]
    public async Task A_media_file_is_created_pending_with_every_field_and_its_event()
    {
        var media = await app.PostAsync("/media", new { filename = "a.mp3", filepath = "/x/a.mp3", file_size_bytes = 5_000_000_000, mime_type = "audio/mpeg", meta_data = new { k = new[] { 1, 2 } }, unknown = 1 });

        media.Names().ShouldBe(["id", "filename", "filepath", "file_size_bytes", "mime_type", "duration_seconds", "status", "meta_data", "created_at", "updated_at"]);
        media.Text("status").ShouldBe("pending");
        media.GetProperty("file_size_bytes").GetInt64().ShouldBe(5_000_000_000);
        media.GetProperty("duration_seconds").ValueKind.ShouldBe(JsonValueKind.Null);
        media.GetProperty("meta_data").GetProperty("k").GetArrayLength().ShouldBe(2);
        media.Text("created_at")!.ShouldMatch(@"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$");
        (await app.GetAsync($"/media/{media.Id()}")).GetRawText().ShouldBe(media.GetRawText());
        var audit = (await app.GetAsync($"/events?entity_id={media.Id()}"))[0];
        (audit.Text("event_type"), audit.Text("entity_type"), audit.Text("description")).ShouldBe(("create", "media", "Created media: a.mp3"));
    }

    [Fact]
    public async Task A_transcript_completes_its_media_and_leaves_an_event()
    {
        var mediaId = await app.CreateMediaAsync();
        var transcript = await app.PostAsync("/transcripts", new { media_id = mediaId, full_text = "Grüße 🎉", processing_time_seconds = 2.5, language = "de", confidence_score = 0.9, model_name = "whisper", model_version = "3" });

        transcript.Names().ShouldBe(["id", "media_id", "full_text", "language", "confidence_score", "model_name", "model_version", "processing_time_seconds", "meta_data", "created_at"]);
        (await app.GetAsync($"/media/{mediaId}")).Text("status").ShouldBe("completed");
        (await app.GetAsync($"/transcripts/media/{mediaId}"))[0].GetRawText().ShouldBe(transcript.GetRawText());
        var audit = (await app.GetAsync($"/events?entity_id={transcript.Id()}"))[0];
        (audit.Text("event_type"), audit.Text("description")).ShouldBe(("transcribe", $"Transcribed media {mediaId}"));
    }

    [Fact]
    public async Task Segments_come_in_their_order_and_may_repeat_an_index()
    {
        var transcriptId = await app.CreateTranscriptAsync();
        foreach (var index in (int[])[2, 0, 1, 1])
            await app.PostAsync("/segments", new { transcript_id = transcriptId, segment_index = index, start_time_seconds = index, end_time_seconds = index + 1, text = $"s{index}", speaker_id = "A" });

        var segments = await app.GetAsync($"/segments/transcript/{transcriptId}");
        segments.Texts("segment_index").ShouldBe(["0", "1", "1", "2"]);
        segments[0].Names().ShouldBe(["id", "transcript_id", "segment_index", "start_time_seconds", "end_time_seconds", "text", "confidence_score", "speaker_id", "meta_data", "created_at"]);
        (await app.GetAsync("/segments?limit=2")).GetArrayLength().ShouldBe(2);
        (await app.GetAsync($"/events?entity_type=segment")).GetArrayLength().ShouldBe(0);
    }

    [Fact]
    public async Task Missing_parents_are_404_and_leave_nothing_behind()
    {
        var none = Guid.CreateVersion7();

        (await app.PostAsync("/transcripts", new { media_id = none, full_text = "t", processing_time_seconds = 1 }, 404)).Text("detail").ShouldBe("Media not found");
        (await app.PostAsync("/segments", new { transcript_id = none, segment_index = 0, start_time_seconds = 0, end_time_seconds = 1, text = "t" }, 404)).Text("detail").ShouldBe("Transcript not found");
        (await app.GetAsync($"/media/{none}", 404)).Text("detail").ShouldBe("Media not found");
        (await app.GetAsync($"/transcripts/media/{none}")).GetArrayLength().ShouldBe(0);
        (await app.GetAsync($"/segments/transcript/{none}")).GetArrayLength().ShouldBe(0);
        (await app.ScalarAsync<long>("SELECT count(*) FROM dhg.events WHERE event_type = 'transcribe' AND description LIKE '%' || $1 || '%'", none.ToString())).ShouldBe(0);
    }

    [Fact]
    public async Task A_cursor_walks_a_list_once_while_rows_are_added()
    {
        for (var i = 0; i < 7; i++)
            await app.PostAsync("/events", new { event_type = "walk", entity_type = "test", description = $"{i}" });

        var seen = new List<string>();
        var path = "/events?event_type=walk&limit=3&skip=0";
        while (path.Length > 0)
        {
            using var response = await app.Client.GetAsync(DataRegistryApp.Base + path);
            seen.AddRange((await DataRegistryApp.ReadAsync(response, 200)).Texts("description"));
            await app.PostAsync("/events", new { event_type = "walk", entity_type = "test", description = "new" });
            var link = response.Headers.TryGetValues("Link", out var values) ? values.Single() : "";
            path = link.Length == 0 ? "" : "/events" + link[(link.IndexOf('<', StringComparison.Ordinal) + 1)..link.IndexOf('>', StringComparison.Ordinal)];
        }

        seen.ShouldBe(["6", "5", "4", "3", "2", "1", "0"]);
        (await app.GetAsync("/events?event_type=walk&skip=3&limit=2")).Texts("description").ShouldBe(["6", "5"]);
        (await app.GetAsync("/events?event_type=walk&limit=0")).GetArrayLength().ShouldBe(0);
    }

    [Theory]
    [InlineData("/media?skip=-1", "query.skip")]
    [InlineData("/media?limit=-1", "query.limit")]
    [InlineData("/transcripts?skip=x&limit=1.5", "query.skip,query.limit")]
    [InlineData("/events?skip=99999999999", "query.skip")]
    [InlineData("/segments?cursor=nonsense!", "query.cursor")]
    [InlineData("/events?entity_id=7", "query.entity_id")]
    [InlineData("/media/7", "path.media_id")]
    [InlineData("/transcripts/media/x", "path.media_id")]
    [InlineData("/segments/transcript/x", "path.transcript_id")]
    public async Task Bad_parameters_are_422_and_say_which(string path, string places) =>
        string.Join(',', (await app.GetAsync(path, 422)).Faults()).ShouldBe(places);

    [Theory]
    [InlineData("/media", "{}", "body.filename,body.filepath,body.file_size_bytes,body.mime_type")]
    [InlineData("/media", """{"filename":null,"filepath":1,"file_size_bytes":-1,"mime_type":"m","duration_seconds":"x","meta_data":[]}""", "body.filename,body.filepath,body.file_size_bytes,body.duration_seconds,body.meta_data")]
    [InlineData("/media", """{"filename":"a\u0000b","filepath":"\ud800","file_size_bytes":1e30,"mime_type":"m","meta_data":{"k":"\u0000"}}""", "body.filename,body.filepath,body.file_size_bytes,body.meta_data")]
    [InlineData("/transcripts", """{"media_id":"7","full_text":"t","processing_time_seconds":true,"language":"12345678901234567"}""", "body.media_id,body.language,body.processing_time_seconds")]
    [InlineData("/segments", """{"transcript_id":null,"segment_index":1.5,"start_time_seconds":1,"end_time_seconds":1,"text":[]}""", "body.transcript_id,body.segment_index,body.text")]
    [InlineData("/segments", """{"segment_index":3000000000}""", "body.transcript_id,body.segment_index,body.start_time_seconds,body.end_time_seconds,body.text")]
    [InlineData("/events", """{"event_type":"","entity_id":"x","meta_data":"text"}""", "body.entity_type,body.entity_id,body.meta_data")]
    [InlineData("/media", "[]", "body")]
    [InlineData("/media", "{", "body")]
    [InlineData("/media", "", "body")]
    public async Task Bad_bodies_are_422_with_every_fault(string path, string body, string places) =>
        string.Join(',', (await app.SendAsync(HttpMethod.Post, path, body, 422)).Faults()).ShouldBe(places);

    [Fact]
    public async Task Over_long_text_is_422_and_the_longest_allowed_is_stored()
    {
        (await app.PostAsync("/media", new { filename = new string('f', 513), filepath = new string('p', 1025), file_size_bytes = 1, mime_type = new string('m', 129) }, 422)).Faults()
            .ShouldBe(["body.filename", "body.filepath", "body.mime_type"]);
        await app.PostAsync("/media", new { filename = new string('f', 512), filepath = string.Concat(Enumerable.Repeat("ü", 1024)), file_size_bytes = 1, mime_type = "m" });
    }

    [Theory]
    [InlineData("1e200000")]
    [InlineData("1e-20000")]
    [InlineData("1e99999999999")]
    public async Task A_number_that_cannot_be_stored_is_422_and_harms_no_request_after_it(string number)
    {
        for (var i = 0; i < 4; i++)
        {
            (await app.SendAsync(HttpMethod.Post, "/media", $$$"""{"filename":"a","filepath":"b","file_size_bytes":1,"mime_type":"m","meta_data":{"n":[{{{number}}}]}}""", 422)).Faults()
                .ShouldBe(["body.meta_data"]);
            await app.CreateMediaAsync();
        }
    }

    [Fact]
    public async Task A_repeat_with_the_same_idempotency_key_creates_once()
    {
        async Task<JsonElement> SendAsync()
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, DataRegistryApp.Base + "/media")
            {
                Content = new StringContent("""{"filename":"once.mp4","filepath":"/o","file_size_bytes":1,"mime_type":"m"}""", System.Text.Encoding.UTF8, "application/json"),
                Headers = { { "Idempotency-Key", "once-1" } },
            };
            using var response = await app.Client.SendAsync(request);
            return await DataRegistryApp.ReadAsync(response, 201);
        }

        (await SendAsync()).GetRawText().ShouldBe((await SendAsync()).GetRawText());
        (await app.ScalarAsync<long>("SELECT count(*) FROM dhg.media WHERE filename = 'once.mp4'")).ShouldBe(1);
        (await app.ScalarAsync<long>("SELECT count(*) FROM dhg.events WHERE description = 'Created media: once.mp4'")).ShouldBe(1);
    }
}
