using FunctionsRegistry.Errors;
using Npgsql;

namespace FunctionsRegistry.DataRegistry;

/// <summary>Sessions of the Antigravity coding assistant and the files in them.</summary>
public sealed class AntigravityStore(RegistryDatabase database, TimeProvider time)
{
    private const string ChatColumns = """
        t.id, t.conversation_id, t.title, t.summary, t.user_objective, t.created_at, t.last_modified, t.message_count, t.total_tokens, t.total_cost_usd,
        t.status, coalesce(t.tags, '{}'), (SELECT count(*) FROM dhg.antigravity_files f WHERE f.conversation_id = t.conversation_id), t.metadata::text
        """;

    private const string FileColumns =
        "id, conversation_id, file_path, file_type, file_size_bytes, artifact_type, summary, created_at, last_modified, metadata::text";

    private static readonly ListQuery<AntigravityChat> s_chats = new(
        "list_chats", ChatColumns, "dhg.antigravity_chats", "last_modified", "id", ReadChat, one => TimeCursor.After(one.LastModified, one.Id.ToString()));

    private static readonly ListQuery<AntigravityFile> s_files = new(
        "list_files", FileColumns, "dhg.antigravity_files", "created_at", "id", ReadFile, one => TimeCursor.After(one.CreatedAt, one.Id.ToString()));

    /// <summary>Chats, last modified first.</summary>
    public Task<Rows<AntigravityChat>> ListChatsAsync(ListPart part, string? status, CancellationToken cancellationToken) =>
        database.ListAsync(s_chats, part, cancellationToken, ("status", status));

    /// <summary>One chat by its conversation_id, or null.</summary>
    public Task<AntigravityChat?> FindChatAsync(string conversationId, CancellationToken cancellationToken) => database.FindAsync(
        "get_chat", $"SELECT {ChatColumns} FROM dhg.antigravity_chats t WHERE conversation_id = $1", ReadChat, cancellationToken, conversationId);

    /// <summary>Creates a chat, or updates the one of that conversation_id with what is not empty.</summary>
    public async Task<AntigravityChat> UpsertChatAsync(ChatUpsert chat, CancellationToken cancellationToken)
    {
        const string Sql = $$"""
            WITH t AS (
                INSERT INTO dhg.antigravity_chats AS c (id, conversation_id, title, summary, user_objective, tags, metadata, created_at, last_modified)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
                ON CONFLICT (conversation_id) DO UPDATE SET title = coalesce(nullif(excluded.title, ''), c.title),
                    summary = coalesce(nullif(excluded.summary, ''), c.summary),
                    user_objective = coalesce(nullif(excluded.user_objective, ''), c.user_objective),
                    tags = coalesce(nullif(excluded.tags, '{}'), c.tags), metadata = coalesce(nullif(excluded.metadata, '{}'), c.metadata),
                    last_modified = excluded.last_modified
                RETURNING *)
            SELECT {{ChatColumns}} FROM t
            """;
        var now = time.GetUtcNow();
        return (await database.WriteAsync("upsert_chat", Sql, ReadChat, cancellationToken, Guid.CreateVersion7(now), chat.ConversationId, chat.Title,
            chat.Summary, chat.UserObjective, chat.Tags.ToArray(), chat.Metadata, now))!;
    }

    /// <summary>Changes what was sent; last_modified moves in any case.</summary>
    /// <exception cref="RegistryException">404: no such chat.</exception>
    public async Task<AntigravityChat> UpdateChatAsync(string conversationId, ChatPatch patch, CancellationToken cancellationToken)
    {
        const string Sql = $$"""
            WITH t AS (
                UPDATE dhg.antigravity_chats SET
                    title = CASE WHEN $2 THEN $3::text ELSE title END, summary = CASE WHEN $4 THEN $5::text ELSE summary END,
                    user_objective = CASE WHEN $6 THEN $7::text ELSE user_objective END, message_count = coalesce($8::int, message_count),
                    total_tokens = coalesce($9::int, total_tokens), total_cost_usd = coalesce($10::float8, total_cost_usd),
                    status = coalesce($11::text, status), tags = CASE WHEN $12 THEN coalesce($13::text[], '{}') ELSE tags END,
                    metadata = CASE WHEN NOT $14 THEN metadata WHEN $15::jsonb IS NULL THEN metadata - 'processing_metadata'
                        ELSE coalesce(metadata, '{}') || jsonb_build_object('processing_metadata', $15::jsonb) END,
                    last_modified = $16
                WHERE conversation_id = $1 RETURNING *)
            SELECT {{ChatColumns}} FROM t
            """;
        return await database.WriteAsync("update_chat", Sql, ReadChat, cancellationToken, conversationId, patch.Title.IsSent, patch.Title.Value,
            patch.Summary.IsSent, patch.Summary.Value, patch.UserObjective.IsSent, patch.UserObjective.Value, patch.MessageCount, patch.TotalTokens,
            patch.TotalCostUsd, patch.Status, patch.Tags.IsSent, patch.Tags.Value, patch.ProcessingMetadata.IsSent, patch.ProcessingMetadata.Value,
            time.GetUtcNow()) ?? throw DataRegistryErrors.ChatNotFound(conversationId);
    }

    /// <summary>Files, newest first.</summary>
    public Task<Rows<AntigravityFile>> ListFilesAsync(ListPart part, string? conversationId, string? artifactType, CancellationToken cancellationToken) =>
        database.ListAsync(s_files, part, cancellationToken, ("conversation_id", conversationId), ("artifact_type", artifactType));

    /// <summary>Files of a chat, newest first; none where there is no such chat.</summary>
    public Task<Rows<AntigravityFile>> ListFilesOfChatAsync(string conversationId, int skip, CancellationToken cancellationToken) => database.ListOfParentAsync(
        "list_files_by_chat", $"SELECT {FileColumns} FROM dhg.antigravity_files WHERE conversation_id = $1 ORDER BY created_at DESC, id DESC",
        ReadFile, conversationId, skip, cancellationToken);

    /// <summary>One file, or null.</summary>
    public Task<AntigravityFile?> FindFileAsync(Guid id, CancellationToken cancellationToken) =>
        database.FindAsync("get_file", $"SELECT {FileColumns} FROM dhg.antigravity_files WHERE id = $1", ReadFile, cancellationToken, id);

    /// <summary>Creates a file of a chat.</summary>
    /// <exception cref="RegistryException">404: no such chat.</exception>
    public async Task<AntigravityFile> InsertFileAsync(NewAntigravityFile file, CancellationToken cancellationToken)
    {
        const string Sql = $"""
            INSERT INTO dhg.antigravity_files (id, conversation_id, file_path, file_type, file_size_bytes, artifact_type, summary, metadata, created_at,
                last_modified)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) RETURNING {FileColumns}
            """;
        var now = time.GetUtcNow();
        try
        {
            return (await database.WriteAsync("create_file", Sql, ReadFile, cancellationToken, Guid.CreateVersion7(now), file.ConversationId, file.FilePath,
                file.FileType, file.FileSizeBytes, file.ArtifactType, file.Summary, file.Metadata, now))!;
        }
        catch (PostgresException exception) when (exception.ConstraintName == "antigravity_files_conversation_id_fkey")
        {
            throw DataRegistryErrors.ChatNotCreated(file.ConversationId);
        }
    }

    private static AntigravityChat ReadChat(NpgsqlDataReader reader) => new(
        reader.GetGuid(0), reader.GetString(1), reader.Text(2), reader.Text(3), reader.Text(4), reader.Time(5), reader.Time(6), reader.GetInt32(7),
        reader.GetInt32(8), reader.GetDouble(9), reader.GetString(10), reader.GetFieldValue<string[]>(11), reader.GetInt64(12), reader.Json(13));

    private static AntigravityFile ReadFile(NpgsqlDataReader reader) => new(
        reader.GetGuid(0), reader.GetString(1), reader.GetString(2), reader.Text(3), reader.Integer(4), reader.Text(5), reader.Text(6), reader.Time(7),
        reader.Time(8), reader.Json(9));
}
