using FunctionsRegistry.Errors;
using Npgsql;

namespace FunctionsRegistry.DataRegistry;

/// <summary>Projects, conversations with their messages, and artifacts. What is created and its audit event are one statement.</summary>
public sealed class ConversationStore(RegistryDatabase database, TimeProvider time)
{
    private const string ProjectColumns = """
        t.id, t.name, t.project_id, t.description, t.custom_instructions, t.knowledge_files::text, t.created_at, t.updated_at,
        (SELECT count(*) FROM dhg.conversations c WHERE c.project_id = t.id)
        """;

    /// <summary>Of a conversation <c>t</c>, with its counts.</summary>
    internal const string ConversationColumns = """
        t.id, t.title, t.conversation_id, t.export_source, t.model_name, t.project_id, t.created_at, t.updated_at,
        (SELECT count(*) FROM dhg.messages m WHERE m.conversation_id = t.id), (SELECT count(*) FROM dhg.artifacts a WHERE a.conversation_id = t.id)
        """;

    private const string MessageColumns = "id, conversation_id, message_index, role, content, attachments::text, created_at";

    private const string ArtifactColumns =
        "id, conversation_id, message_id, title, artifact_type, language, content, file_path, published_url, created_at";

    private static readonly ListQuery<Project> s_projects =
        new("list_projects", ProjectColumns, "dhg.projects", "created_at", "id", ReadProject, one => TimeCursor.After(one.CreatedAt, one.Id.ToString()));

    private static readonly ListQuery<Conversation> s_conversations = new(
        "list_conversations", ConversationColumns, "dhg.conversations", "created_at", "id", ReadConversation,
        one => TimeCursor.After(one.CreatedAt, one.Id.ToString()));

    private static readonly ListQuery<Artifact> s_artifacts =
        new("list_artifacts", ArtifactColumns, "dhg.artifacts", "created_at", "id", ReadArtifact, one => TimeCursor.After(one.CreatedAt, one.Id.ToString()));

    /// <summary>Projects, newest first.</summary>
    public Task<Rows<Project>> ListProjectsAsync(ListPart part, CancellationToken cancellationToken) =>
        database.ListAsync(s_projects, part, cancellationToken);

    /// <summary>One project by its own id, not by that of the system it came from; or null.</summary>
    public Task<Project?> FindProjectAsync(Guid id, CancellationToken cancellationToken) =>
        database.FindAsync("get_project", $"SELECT {ProjectColumns} FROM dhg.projects t WHERE id = $1", ReadProject, cancellationToken, id);

    /// <summary>Creates a project.</summary>
    /// <exception cref="RegistryException">409: project_id is taken.</exception>
    public async Task<Project> InsertProjectAsync(NewProject project, CancellationToken cancellationToken)
    {
        const string Sql = $"""
            WITH created AS (
                INSERT INTO dhg.projects (id, name, project_id, description, custom_instructions, knowledge_files, meta_data, created_at, updated_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) RETURNING *),
            event AS (
                INSERT INTO dhg.events (id, event_type, entity_type, entity_id, description, created_at)
                SELECT $9, 'create', 'project', id, 'Created project: ' || name, created_at FROM created)
            SELECT {ProjectColumns} FROM created t
            """;
        var now = time.GetUtcNow();
        try
        {
            return (await database.WriteAsync("create_project", Sql, ReadProject, cancellationToken, Guid.CreateVersion7(now), project.Name,
                project.ProjectId, project.Description, project.CustomInstructions, project.KnowledgeFiles, project.MetaData, now,
                Guid.CreateVersion7(now)))!;
        }
        catch (PostgresException exception) when (exception.ConstraintName == "projects_project_id_key")
        {
            throw DataRegistryErrors.ProjectExists(project.ProjectId);
        }
    }

    /// <summary>Conversations, newest first.</summary>
    public Task<Rows<Conversation>> ListAsync(ListPart part, Guid? projectId, string? exportSource, CancellationToken cancellationToken) =>
        database.ListAsync(s_conversations, part, cancellationToken, ("project_id", projectId), ("export_source", exportSource));

    /// <summary>One conversation by its own id, or null.</summary>
    public Task<Conversation?> FindAsync(Guid id, CancellationToken cancellationToken) => database.FindAsync(
        "get_conversation", $"SELECT {ConversationColumns} FROM dhg.conversations t WHERE id = $1", ReadConversation, cancellationToken, id);

    /// <summary>Creates a conversation with all its messages, or nothing.</summary>
    /// <exception cref="RegistryException">404: no such project; 409: conversation_id is taken.</exception>
    public async Task<Conversation> InsertAsync(NewConversation conversation, CancellationToken cancellationToken)
    {
        // The statement's own rows are not yet visible to its subqueries, so the count of messages is that of the inserted ones.
        const string Sql = """
            WITH created AS (
                INSERT INTO dhg.conversations (id, title, conversation_id, export_source, model_name, project_id, meta_data, created_at, updated_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING *),
            added AS (
                INSERT INTO dhg.messages (id, conversation_id, message_index, role, content, attachments, meta_data, created_at)
                SELECT m.id, created.id, m.message_index, m.role, m.content, m.attachments::jsonb, m.meta_data::jsonb, m.created_at
                FROM created, unnest($10::uuid[], $11::int[], $12::text[], $13::text[], $14::text[], $15::text[], $16::timestamptz[])
                    AS m (id, message_index, role, content, attachments, meta_data, created_at)
                RETURNING 1),
            event AS (
                INSERT INTO dhg.events (id, event_type, entity_type, entity_id, description, meta_data, created_at)
                SELECT $17, 'create', 'conversation', id, 'Created conversation: ' || title,
                    jsonb_build_object('source', export_source, 'message_count', cardinality($10::uuid[])), $9 FROM created)
            SELECT id, title, conversation_id, export_source, model_name, project_id, created_at, updated_at, (SELECT count(*) FROM added), 0::bigint
            FROM created
            """;
        var now = time.GetUtcNow();
        var messages = conversation.Messages;
        try
        {
            return (await database.WriteTextAsync(
                "create_conversation", Sql, messages.Sum(message => (long)message.Content.Length), ReadConversation, cancellationToken, Guid.CreateVersion7(now),
                conversation.Title, conversation.ConversationId, conversation.ExportSource, conversation.ModelName, conversation.ProjectId,
                conversation.MetaData, conversation.CreatedAt ?? now, now,
                messages.Select(_ => Guid.CreateVersion7(now)).ToArray(),
                messages.Select(message => message.MessageIndex).ToArray(),
                messages.Select(message => message.Role).ToArray(),
                messages.Select(message => message.Content).ToArray(),
                messages.Select(message => message.Attachments?.Text).ToArray(),
                messages.Select(message => message.MetaData?.Text).ToArray(),
                messages.Select(message => (message.CreatedAt ?? conversation.CreatedAt ?? now).ToUniversalTime()).ToArray(),
                Guid.CreateVersion7(now)))!;
        }
        catch (PostgresException exception) when (exception.ConstraintName == "conversations_conversation_id_key")
        {
            throw DataRegistryErrors.ConversationExists(conversation.ConversationId);
        }
        catch (PostgresException exception) when (exception.ConstraintName == "conversations_project_id_fkey")
        {
            throw DataRegistryErrors.ProjectNotFound();
        }
    }

    /// <summary>Messages of a conversation in their order.</summary>
    public Task<Rows<Message>> ListMessagesAsync(Guid conversationId, int skip, CancellationToken cancellationToken) => database.ListOfParentAsync(
        "list_messages", $"SELECT {MessageColumns} FROM dhg.messages WHERE conversation_id = $1 ORDER BY message_index, id",
        ReadMessage, conversationId, skip, cancellationToken);

    /// <summary>Artifacts, newest first.</summary>
    public Task<Rows<Artifact>> ListArtifactsAsync(ListPart part, string? artifactType, CancellationToken cancellationToken) =>
        database.ListAsync(s_artifacts, part, cancellationToken, ("artifact_type", artifactType));

    /// <summary>Artifacts of a conversation, oldest first.</summary>
    public Task<Rows<Artifact>> ListArtifactsOfConversationAsync(Guid conversationId, int skip, CancellationToken cancellationToken) => database.ListOfParentAsync(
        "list_artifacts_by_conversation", $"SELECT {ArtifactColumns} FROM dhg.artifacts WHERE conversation_id = $1 ORDER BY created_at, id",
        ReadArtifact, conversationId, skip, cancellationToken);

    /// <summary>One artifact, or null.</summary>
    public Task<Artifact?> FindArtifactAsync(Guid id, CancellationToken cancellationToken) =>
        database.FindAsync("get_artifact", $"SELECT {ArtifactColumns} FROM dhg.artifacts WHERE id = $1", ReadArtifact, cancellationToken, id);

    /// <summary>Creates an artifact.</summary>
    /// <exception cref="RegistryException">404: no such conversation or message.</exception>
    public async Task<Artifact> InsertArtifactAsync(NewArtifact artifact, CancellationToken cancellationToken)
    {
        const string Sql = $"""
            WITH created AS (
                INSERT INTO dhg.artifacts (id, conversation_id, message_id, title, artifact_type, language, content, file_path, published_url, meta_data,
                    created_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING *),
            event AS (
                INSERT INTO dhg.events (id, event_type, entity_type, entity_id, description, created_at)
                SELECT $12, 'create', 'artifact', id, 'Created artifact: ' || title, created_at FROM created)
            SELECT {ArtifactColumns} FROM created
            """;
        var now = time.GetUtcNow();
        try
        {
            return (await database.WriteAsync("create_artifact", Sql, ReadArtifact, cancellationToken, Guid.CreateVersion7(now), artifact.ConversationId,
                artifact.MessageId, artifact.Title, artifact.ArtifactType, artifact.Language, artifact.Content, artifact.FilePath, artifact.PublishedUrl,
                artifact.MetaData, now, Guid.CreateVersion7(now)))!;
        }
        catch (PostgresException exception) when (exception.ConstraintName == "artifacts_conversation_id_fkey")
        {
            throw DataRegistryErrors.ConversationNotFound();
        }
        catch (PostgresException exception) when (exception.ConstraintName == "artifacts_message_id_fkey")
        {
            throw DataRegistryErrors.MessageNotFound();
        }
    }

    internal static Conversation ReadConversation(NpgsqlDataReader reader) => new(
        reader.GetGuid(0), reader.GetString(1), reader.Text(2), reader.GetString(3), reader.Text(4), reader.Uuid(5), reader.Time(6), reader.Time(7),
        reader.GetInt64(8), reader.GetInt64(9));

    private static Project ReadProject(NpgsqlDataReader reader) => new(
        reader.GetGuid(0), reader.GetString(1), reader.Text(2), reader.Text(3), reader.Text(4), reader.Json(5), reader.Time(6), reader.Time(7),
        reader.GetInt64(8));

    private static Message ReadMessage(NpgsqlDataReader reader) => new(
        reader.GetGuid(0), reader.GetGuid(1), reader.GetInt32(2), reader.GetString(3), reader.GetString(4), reader.Json(5), reader.Time(6));

    private static Artifact ReadArtifact(NpgsqlDataReader reader) => new(
        reader.GetGuid(0), reader.GetGuid(1), reader.Uuid(2), reader.GetString(3), reader.GetString(4), reader.Text(5), reader.GetString(6),
        reader.Text(7), reader.Text(8), reader.Time(9));
}
