using System.Text.Json;

namespace FunctionsRegistry.Tests.DataRegistry;

/// <summary>Projects, conversations, messages and artifacts.</summary>
public sealed class ConversationTests(DataRegistryApp app) : IClassFixture<DataRegistryApp>
{
    [Fact]
    public async Task A_project_is_created_with_any_knowledge_and_counts_its_conversations()
    {
        var project = await app.PostAsync("/projects", new { name = "Sleep", project_id = "ext-1", knowledge_files = new object[] { "a.md", new { b = 1 } }, meta_data = new { x = 1 } });
        await app.PostAsync("/conversations", new { title = "In it", export_source = "manual", project_id = project.Id() });
        await app.PostAsync("/conversations", new { title = "In it, too", export_source = "manual", project_id = project.Id() });

        project.Names().ShouldBe(["id", "name", "project_id", "description", "custom_instructions", "knowledge_files", "created_at", "updated_at", "conversation_count"]);
        var read = await app.GetAsync($"/projects/{project.Id()}");
        read.GetProperty("conversation_count").GetInt64().ShouldBe(2);
        read.GetProperty("knowledge_files")[1].GetProperty("b").GetInt32().ShouldBe(1);
        (await app.GetAsync("/projects?limit=1000")).EnumerateArray().Single(one => one.Id() == project.Id()).GetProperty("conversation_count").GetInt64().ShouldBe(2);
        (await app.GetAsync($"/conversations?project_id={project.Id()}")).GetArrayLength().ShouldBe(2);
        (await app.GetAsync($"/events?entity_id={project.Id()}"))[0].Text("description").ShouldBe("Created project: Sleep");
    }

    [Fact]
    public async Task Duplicate_external_ids_are_409_and_one_of_many_at_once_wins()
    {
        var projects = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => app.Client.PostAsync(DataRegistryApp.Base + "/projects",
            new StringContent("""{"name":"p","project_id":"race"}""", System.Text.Encoding.UTF8, "application/json"))));
        projects.Count(response => (int)response.StatusCode == 201).ShouldBe(1);
        projects.Count(response => (int)response.StatusCode == 409).ShouldBe(7);

        await app.PostAsync("/conversations", new { title = "a", export_source = "manual", conversation_id = "c-1", messages = new[] { new { role = "human", content = "kept" } } });
        (await app.PostAsync("/conversations", new { title = "b", export_source = "manual", conversation_id = "c-1", messages = new[] { new { role = "human", content = "lost" } } }, 409))
            .Text("detail")!.ShouldContain("c-1");
        (await app.ScalarAsync<long>("SELECT count(*) FROM dhg.messages WHERE content = 'lost'")).ShouldBe(0);
    }

    [Fact]
    public async Task Messages_keep_their_order_times_and_attachments_of_any_json()
    {
        var created = await app.PostAsync("/conversations", new
        {
            title = "Attachments",
            export_source = "official_export",
            model_name = "claude",
            created_at = "2025-03-01T10:00:00+02:00",
            messages = new object[]
            {
                new { role = "human", content = "zero", attachments = Array.Empty<object>() },
                new { role = "assistant", content = "one", attachments = new { file = "x" }, created_at = "2025-03-01T09:00:00" },
                new { role = "user", content = "", attachments = "text", message_index = 7 },
            },
        });

        created.Names().ShouldBe(["id", "title", "conversation_id", "export_source", "model_name", "project_id", "created_at", "updated_at", "message_count", "artifact_count"]);
        created.GetProperty("message_count").GetInt64().ShouldBe(3);
        created.Text("created_at").ShouldBe("2025-03-01T08:00:00Z");
        var messages = await app.GetAsync($"/messages/conversation/{created.Id()}");
        messages.Texts("message_index").ShouldBe(["0", "1", "7"]);
        messages.Texts("attachments").ShouldBe(["[]", """{"file": "x"}""", "text"]);
        messages.Texts("created_at").ShouldBe(["2025-03-01T08:00:00Z", "2025-03-01T09:00:00Z", "2025-03-01T08:00:00Z"]);
        messages[0].Names().ShouldBe(["id", "conversation_id", "message_index", "role", "content", "attachments", "created_at"]);
        (await app.GetAsync($"/messages/conversation/{Guid.CreateVersion7()}")).GetArrayLength().ShouldBe(0);
    }

    [Fact]
    public async Task A_conversation_of_more_messages_than_one_answer_holds_is_read_to_its_end()
    {
        var id = await app.CreateConversationAsync("Endless");
        await app.ScalarAsync<long>("""
            WITH added AS (
                INSERT INTO dhg.messages (conversation_id, message_index, role, content) SELECT $1, number, 'human', 'm' FROM generate_series(0, 10001) number RETURNING 1)
            SELECT count(*) FROM added
            """, id);

        using var response = await app.Client.GetAsync($"{DataRegistryApp.Base}/messages/conversation/{id}");
        (await DataRegistryApp.ReadAsync(response, 200)).GetArrayLength().ShouldBe(10_000);
        response.Headers.GetValues("Link").ShouldBe(["<?skip=10000>; rel=\"next\""]);
        (await app.GetAsync($"/messages/conversation/{id}?skip=10000")).Texts("message_index").ShouldBe(["10000", "10001"]);
        (await app.GetAsync($"/artifacts/conversation/{id}?skip=1")).GetArrayLength().ShouldBe(0);
    }

    [Fact]
    public async Task Documents_of_several_megabytes_are_stored_whole()
    {
        var text = string.Concat(Enumerable.Repeat("Of sleep and its stages, number by number. ", 50_000));
        var id = (await app.PostAsync("/conversations", new { title = "Long", export_source = "manual", messages = new[] { new { role = "human", content = text } } })).Id();
        var artifact = await app.PostAsync("/artifacts", new { conversation_id = id, title = "Long", artifact_type = "document", content = text });

        (await app.GetAsync($"/messages/conversation/{id}"))[0].Text("content").ShouldBe(text);
        (await app.GetAsync($"/artifacts/{artifact.Id()}")).Text("content").ShouldBe(text);
        await app.PostAsync("/artifacts", new { conversation_id = id, title = "Longer", artifact_type = "document", content = new string('a', 17 << 20) }, 413);
        await app.PostAsync("/events", new { event_type = "e", entity_type = "t", description = text }, 413);
    }

    [Fact]
    public async Task Counts_are_true_with_several_messages_and_artifacts()
    {
        var id = await app.CreateConversationAsync("Counted", "one", "two");
        foreach (var title in (string[])["a", "b"])
            await app.PostAsync("/artifacts", new { conversation_id = id, title, artifact_type = "code", content = "print()" });

        foreach (var read in (JsonElement[])[await app.GetAsync($"/conversations/{id}"), (await app.GetAsync("/conversations?limit=1000")).EnumerateArray().Single(one => one.Id() == id)])
            (read.GetProperty("message_count").GetInt64(), read.GetProperty("artifact_count").GetInt64()).ShouldBe((2, 2));
    }

    [Fact]
    public async Task Conversations_are_filtered_by_source_and_sorted_newest_first()
    {
        await app.PostAsync("/conversations", new { title = "old", export_source = "browser_extension", created_at = "2020-01-01T00:00:00Z" });
        await app.PostAsync("/conversations", new { title = "new", export_source = "browser_extension", created_at = "2021-01-01T00:00:00Z" });

        (await app.GetAsync("/conversations?export_source=browser_extension")).Texts("title").ShouldBe(["new", "old"]);
        (await app.GetAsync("/conversations?export_source=browser_extension&skip=1")).Texts("title").ShouldBe(["old"]);
    }

    [Fact]
    public async Task Artifacts_are_listed_by_type_by_conversation_and_alone()
    {
        var id = await app.CreateConversationAsync("With artifacts", "make a page");
        var messageId = (await app.GetAsync($"/messages/conversation/{id}"))[0].Id();
        var first = await app.PostAsync("/artifacts", new { conversation_id = id, message_id = messageId, title = "Page", artifact_type = "html", language = "html", content = "<p>", file_path = "/p", published_url = "https://example.org" });
        await app.PostAsync("/artifacts", new { conversation_id = id, title = "Picture", artifact_type = "svg", content = "<svg>" });

        first.Names().ShouldBe(["id", "conversation_id", "message_id", "title", "artifact_type", "language", "content", "file_path", "published_url", "created_at"]);
        (await app.GetAsync($"/artifacts/{first.Id()}")).GetRawText().ShouldBe(first.GetRawText());
        (await app.GetAsync($"/artifacts/conversation/{id}")).Texts("title").ShouldBe(["Page", "Picture"]);
        (await app.GetAsync("/artifacts?artifact_type=svg")).Texts("title").ShouldBe(["Picture"]);
        (await app.GetAsync($"/events?entity_id={first.Id()}"))[0].Text("entity_type").ShouldBe("artifact");
    }

    [Fact]
    public async Task Missing_parents_are_404()
    {
        var none = Guid.CreateVersion7();
        var id = await app.CreateConversationAsync("Parent");

        (await app.PostAsync("/conversations", new { title = "t", export_source = "manual", project_id = none }, 404)).Text("detail").ShouldBe("Project not found");
        (await app.PostAsync("/artifacts", new { conversation_id = none, title = "t", artifact_type = "code", content = "" }, 404)).Text("detail").ShouldBe("Conversation not found");
        (await app.PostAsync("/artifacts", new { conversation_id = id, message_id = none, title = "t", artifact_type = "code", content = "" }, 404)).Text("detail").ShouldBe("Message not found");
        (await app.GetAsync($"/projects/{none}", 404)).Text("detail").ShouldBe("Project not found");
        (await app.GetAsync($"/conversations/{none}", 404)).Text("detail").ShouldBe("Conversation not found");
        (await app.GetAsync($"/artifacts/{none}", 404)).Text("detail").ShouldBe("Artifact not found");
        (await app.GetAsync($"/artifacts/conversation/{none}")).GetArrayLength().ShouldBe(0);
    }

    [Theory]
    [InlineData("/projects", """{"name":5,"project_id":[]}""", "body.name,body.project_id")]
    [InlineData("/conversations", """{"title":"t","export_source":"m","messages":[{"role":"human"},7,{"role":"r","content":"c","message_index":"x"}]}""", "body.messages.1,body.messages.0.content,body.messages.2.message_index")]
    [InlineData("/conversations", """{"title":"t","messages":{}}""", "body.export_source,body.messages")]
    [InlineData("/artifacts", """{"conversation_id":"x","message_id":5,"title":"t","artifact_type":"a"}""", "body.conversation_id,body.message_id,body.content")]
    public async Task Bad_bodies_are_422_with_every_fault(string path, string body, string places) =>
        string.Join(',', (await app.SendAsync(HttpMethod.Post, path, body, 422)).Faults()).ShouldBe(places);

    [Theory]
    [InlineData("/projects/x", "path.project_id")]
    [InlineData("/conversations/x", "path.conversation_id")]
    [InlineData("/messages/conversation/x", "path.conversation_id")]
    [InlineData("/artifacts/x", "path.artifact_id")]
    [InlineData("/artifacts/conversation/x", "path.conversation_id")]
    [InlineData("/messages/conversation/01a1feec-a4c4-7808-84ce-5f1173e67066?skip=-1", "query.skip")]
    [InlineData("/conversations?project_id=x&limit=-5", "query.limit,query.project_id")]
    public async Task Bad_ids_are_422(string path, string places) => string.Join(',', (await app.GetAsync(path, 422)).Faults()).ShouldBe(places);

    [Fact]
    public async Task Rows_of_the_original_s_importer_are_read()
    {
        // As ingest_claude_data.py writes them: with the columns it names, and nothing else.
        await app.ScalarAsync<Guid>("""
            WITH p AS (INSERT INTO dhg.projects (id, name, project_id, knowledge_files, created_at, updated_at, meta_data)
                VALUES (gen_random_uuid(), 'Imported', 'imp', '[{"file_name":"a"}]', now(), now(), '{}') RETURNING id),
            c AS (INSERT INTO dhg.conversations (id, title, conversation_id, export_source, project_id, created_at, updated_at, meta_data)
                SELECT gen_random_uuid(), 'Imported talk', 'imp-c', 'official_export', id, now(), now(), '{}' FROM p RETURNING id),
            m AS (INSERT INTO dhg.messages (conversation_id, message_index, role, content, attachments, created_at, meta_data)
                SELECT id, 0, 'human', 'Imported words', '[]', now(), '{}' FROM c),
            a AS (INSERT INTO dhg.artifacts (conversation_id, title, artifact_type, content, meta_data) SELECT id, 'A', 'document', '# A', '{}' FROM c),
            e AS (INSERT INTO dhg.events (event_type, entity_type, entity_id, description, meta_data) SELECT 'create', 'conversation', id, 'Imported', '{}' FROM c)
            SELECT id FROM c
            """);

        var found = (await app.GetAsync("/conversations/search?q=imported+words"))[0];
        (found.Text("title"), found.GetProperty("message_count").GetInt64(), found.GetProperty("artifact_count").GetInt64()).ShouldBe(("Imported talk", 1, 1));
        (await app.GetAsync($"/messages/conversation/{found.Id()}"))[0].GetProperty("attachments").GetArrayLength().ShouldBe(0);
    }
}
