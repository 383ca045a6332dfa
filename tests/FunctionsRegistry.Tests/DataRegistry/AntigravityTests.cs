using System.Text.Json;

namespace FunctionsRegistry.Tests.DataRegistry;

public sealed class AntigravityTests(DataRegistryApp app) : IClassFixture<DataRegistryApp>
{
    private Task<JsonElement> UpsertAsync(string id, object? more = null)
    {
        var body = JsonSerializer.SerializeToNode(more ?? new { })!.AsObject();
        body["conversation_id"] = id;
        return app.SendAsync(HttpMethod.Post, "/antigravity/chats", body.ToJsonString(), 201);
    }

    [Fact]
    public async Task A_chat_has_every_field_of_the_contract()
    {
        var chat = await UpsertAsync("c-fields", new { title = "T", tags = new[] { "docker" }, metadata = new { model = "m" } });

        chat.Names().ShouldBe(["id", "conversation_id", "title", "summary", "user_objective", "created_at", "last_modified", "message_count", "total_tokens",
            "total_cost_usd", "status", "tags", "file_count", "metadata"]);
        (chat.Text("status"), chat.GetProperty("message_count").GetInt32(), chat.GetProperty("file_count").GetInt64()).ShouldBe(("active", 0, 0));
        chat.GetProperty("metadata").GetProperty("model").GetString().ShouldBe("m");
        (await app.GetAsync("/antigravity/chats/c-fields")).GetRawText().ShouldBe(chat.GetRawText());
        (await app.GetAsync("/antigravity/chats/none", 404)).Text("detail").ShouldBe("Chat none not found");
    }

    [Fact]
    public async Task Creating_again_updates_and_what_is_empty_keeps_the_old_value()
    {
        var first = await UpsertAsync("c-again", new { title = "T", summary = "S", tags = new[] { "a" }, metadata = new { m = 1 } });
        var second = await UpsertAsync("c-again", new { title = "", summary = "S2", tags = Array.Empty<string>(), metadata = new { } });

        second.Id().ShouldBe(first.Id());
        (second.Text("title"), second.Text("summary"), second.GetProperty("tags").GetArrayLength()).ShouldBe(("T", "S2", 1));
        second.GetProperty("metadata").GetProperty("m").GetInt32().ShouldBe(1);
        second.GetProperty("last_modified").GetDateTimeOffset().ShouldBeGreaterThan(first.GetProperty("last_modified").GetDateTimeOffset());
        second.Text("created_at").ShouldBe(first.Text("created_at"));
    }

    [Fact]
    public async Task Many_at_once_make_one_chat()
    {
        var answers = await Task.WhenAll(Enumerable.Range(0, 64).Select(number => UpsertAsync("c-race", new { title = $"T{number}" })));

        answers.Select(chat => chat.Id()).Distinct().Count().ShouldBe(1);
        (await app.ScalarAsync<long>("SELECT count(*) FROM dhg.antigravity_chats WHERE conversation_id = 'c-race'")).ShouldBe(1);
    }

    [Fact]
    public async Task A_patch_changes_what_was_sent_and_null_clears()
    {
        await UpsertAsync("c-patch", new { title = "T", summary = "S", user_objective = "U", tags = new[] { "a" } });
        var patched = await app.PatchAsync("/antigravity/chats/c-patch", new { message_count = 27, total_tokens = 5, total_cost_usd = 0.5, status = "imported", processing_metadata = new { p = 1 } });

        (patched.Text("title"), patched.Text("status"), patched.GetProperty("message_count").GetInt32(), patched.GetProperty("total_cost_usd").GetDouble()).ShouldBe(("T", "imported", 27, 0.5));
        patched.GetProperty("metadata").GetProperty("processing_metadata").GetProperty("p").GetInt32().ShouldBe(1);
        var cleared = await app.SendAsync(HttpMethod.Patch, "/antigravity/chats/c-patch", """{"title":null,"summary":"S2","tags":[],"message_count":null,"status":null,"processing_metadata":null}""", 200);
        cleared.GetProperty("title").ValueKind.ShouldBe(JsonValueKind.Null);
        (cleared.Text("summary"), cleared.Text("user_objective"), cleared.Text("status"), cleared.GetProperty("message_count").GetInt32()).ShouldBe(("S2", "U", "imported", 27));
        cleared.GetProperty("tags").GetArrayLength().ShouldBe(0);
        cleared.GetProperty("metadata").EnumerateObject().ShouldBeEmpty();
        (await app.PatchAsync("/antigravity/chats/c-patch", new { })).GetProperty("last_modified").GetDateTimeOffset()
            .ShouldBeGreaterThan(cleared.GetProperty("last_modified").GetDateTimeOffset());
        (await app.PatchAsync("/antigravity/chats/none", new { }, 404)).Text("detail").ShouldBe("Chat none not found");
        (await app.PatchAsync("/antigravity/chats/c-patch", new { message_count = "many", tags = "a", total_cost_usd = -1 }, 422)).Faults()
            .ShouldBe(["body.message_count", "body.total_cost_usd", "body.tags"]);
    }

    [Fact]
    public async Task Chats_are_listed_last_modified_first_by_status_and_by_offset()
    {
        foreach (var id in (string[])["c-1", "c-2", "c-3"])
        {
            await UpsertAsync(id);
            await app.PatchAsync($"/antigravity/chats/{id}", new { status = "listed" });
        }
        await app.PatchAsync("/antigravity/chats/c-1", new { summary = "touched" });

        (await app.GetAsync("/antigravity/chats?status=listed")).Texts("conversation_id").ShouldBe(["c-1", "c-3", "c-2"]);
        (await app.GetAsync("/antigravity/chats?status=listed&offset=1&limit=1")).Texts("conversation_id").ShouldBe(["c-3"]);
        (await app.GetAsync("/antigravity/chats?status=")).Texts("conversation_id").ShouldContain("c-1");
        (await app.GetAsync("/antigravity/chats?offset=-1", 422)).Faults().ShouldBe(["query.offset"]);
    }

    [Fact]
    public async Task Files_belong_to_a_chat_and_are_counted()
    {
        await UpsertAsync("c-files");
        var file = await app.PostAsync("/antigravity/files", new { conversation_id = "c-files", file_path = "/a.py", file_type = "py", file_size_bytes = 1234, artifact_type = "code", summary = "A", metadata = new { k = 1 } });
        await app.PostAsync("/antigravity/files", new { conversation_id = "c-files", file_path = "/a.py" });

        file.Names().ShouldBe(["id", "conversation_id", "file_path", "file_type", "file_size_bytes", "artifact_type", "summary", "created_at", "last_modified", "metadata"]);
        (await app.GetAsync($"/antigravity/files/{file.Id()}")).GetRawText().ShouldBe(file.GetRawText());
        (await app.GetAsync("/antigravity/chats/c-files/files")).GetArrayLength().ShouldBe(2);
        (await app.GetAsync("/antigravity/files?conversation_id=c-files&artifact_type=code")).Texts("id").ShouldBe([file.Id().ToString()]);
        (await app.GetAsync("/antigravity/chats/c-files")).GetProperty("file_count").GetInt64().ShouldBe(2);
        (await app.GetAsync("/antigravity/chats/none/files")).GetArrayLength().ShouldBe(0);
    }

    [Fact]
    public async Task A_file_without_its_chat_is_404_and_leaves_nothing()
    {
        (await app.PostAsync("/antigravity/files", new { conversation_id = "nobody", file_path = "/lost" }, 404)).Text("detail").ShouldBe("Chat nobody not found. Create chat first.");
        (await app.ScalarAsync<long>("SELECT count(*) FROM dhg.antigravity_files WHERE file_path = '/lost'")).ShouldBe(0);
        var none = Guid.CreateVersion7();
        (await app.GetAsync($"/antigravity/files/{none}", 404)).Text("detail").ShouldBe($"File {none} not found");
        (await app.GetAsync("/antigravity/files/x", 422)).Faults().ShouldBe(["path.file_id"]);
        (await app.PostAsync("/antigravity/files", new { file_size_bytes = -1 }, 422)).Faults().ShouldBe(["body.conversation_id", "body.file_path", "body.file_size_bytes"]);
    }

    [Fact]
    public async Task A_row_of_the_bulk_loader_is_read_with_empty_tags()
    {
        await app.ScalarAsync<string>("""
            INSERT INTO dhg.antigravity_chats (conversation_id, title, message_count, status) VALUES ('c-loaded', 'L', 3, 'imported')
            ON CONFLICT (conversation_id) DO UPDATE SET title = excluded.title RETURNING title
            """);

        (await app.GetAsync("/antigravity/chats/c-loaded")).GetProperty("tags").GetArrayLength().ShouldBe(0);
    }
}
