using Npgsql;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>A stored artifact.</summary>
public sealed record StoredArtifact(string Path, string BlobName, long SizeBytes, string ContentType, DateTimeOffset CreatedAt);

/// <summary>A multipart upload under way.</summary>
public sealed record ArtifactUpload(Guid Id, string Path, string BlobName, int Parts);

/// <summary>Which blob is at which path. Directories are not rows: they are where paths share a beginning.</summary>
public sealed class ArtifactStore(NpgsqlDataSource database, TimeProvider time)
{
    // After every character that a path may have.
    private const string Last = "\U0010FFFF";

    /// <summary>The artifact at a path, or null.</summary>
    public async Task<StoredArtifact?> FindAsync(string path, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("SELECT path, blob_name, size_bytes, content_type, created_at FROM mlflow.artifacts WHERE path = $1");
        command.Parameters.Add(new() { Value = path });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    /// <summary>Puts a blob at a path and returns the name of the one that was there, or null.</summary>
    public async Task<string?> PutAsync(string path, string blobName, long sizeBytes, string contentType, CancellationToken cancellationToken)
    {
        const string Sql = """
            WITH before AS MATERIALIZED (SELECT blob_name FROM mlflow.artifacts WHERE path = $1 FOR UPDATE),
            put AS (
                INSERT INTO mlflow.artifacts (path, blob_name, size_bytes, content_type, created_at) VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT (path) DO UPDATE SET blob_name = excluded.blob_name, size_bytes = excluded.size_bytes,
                    content_type = excluded.content_type, created_at = excluded.created_at)
            SELECT blob_name FROM before
            """;
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = path });
        command.Parameters.Add(new() { Value = blobName });
        command.Parameters.Add(new() { Value = sizeBytes });
        command.Parameters.Add(new() { Value = contentType });
        command.Parameters.Add(new() { Value = time.GetUtcNow() });
        return await command.ExecuteScalarAsync(cancellationToken) as string;
    }

    /// <summary>Removes the artifact at a path and all below it; returns their blobs.</summary>
    public async Task<IReadOnlyList<string>> DeleteAsync(string path, CancellationToken cancellationToken)
    {
        const string Sql = "DELETE FROM mlflow.artifacts WHERE path = $1 OR (path > $2 AND path < $3) RETURNING blob_name";
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = path });
        command.Parameters.Add(new() { Value = path + "/" });
        command.Parameters.Add(new() { Value = path + "0" });
        return await ReadNamesAsync(command, cancellationToken);
    }

    /// <summary>All artifacts below a directory, in path order.</summary>
    public async Task<IReadOnlyList<StoredArtifact>> ListBelowAsync(string directory, int limit, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT path, blob_name, size_bytes, content_type, created_at FROM mlflow.artifacts WHERE path > $1 AND path < $2 ORDER BY path LIMIT $3
            """);
        command.Parameters.Add(new() { Value = directory + "/" });
        command.Parameters.Add(new() { Value = directory + "0" });
        command.Parameters.Add(new() { Value = limit });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var artifacts = new List<StoredArtifact>();
        while (await reader.ReadAsync(cancellationToken))
            artifacts.Add(Read(reader));
        return artifacts;
    }

    /// <summary>The files and directories directly in a directory, by name. One index step per entry, however much is below it.</summary>
    /// <param name="after">The last entry of the page before, or null.</param>
    public async Task<(IReadOnlyList<ArtifactFile> Files, bool More)> ListAsync(
        string directory, ArtifactFile? after, int limit, CancellationToken cancellationToken)
    {
        // In code point order '/' is followed by '0': "a/..." ends before "a0". Names hold no control characters, so path || chr(1) is next.
        const string Sql = """
            WITH RECURSIVE entries AS (
                (SELECT path, size_bytes FROM mlflow.artifacts WHERE path > $1 AND path < $2 ORDER BY path LIMIT 1)
                UNION ALL
                SELECT n.path, n.size_bytes FROM entries e CROSS JOIN LATERAL (
                    SELECT path, size_bytes FROM mlflow.artifacts
                    WHERE path >= CASE strpos(substr(e.path, $3), '/') WHEN 0 THEN e.path || chr(1)
                        ELSE left(e.path, $3 - 2 + strpos(substr(e.path, $3), '/')) || '0' END AND path < $2
                    ORDER BY path LIMIT 1) n)
            SELECT substr(path, $3), size_bytes FROM entries LIMIT $4
            """;
        var prefix = directory.Length == 0 ? "" : directory + "/";
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = after is null ? prefix : prefix + after.Path + (after.IsDir ? "/" + Last : "") });
        command.Parameters.Add(new() { Value = directory.Length == 0 ? Last : directory + "0" });
        // PostgreSQL counts code points, .NET UTF-16 units.
        command.Parameters.Add(new() { Value = prefix.EnumerateRunes().Count() + 1 });
        command.Parameters.Add(new() { Value = limit + 1 });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var files = new List<ArtifactFile>();
        while (await reader.ReadAsync(cancellationToken))
        {
            if (files.Count == limit)
                return (files, true);
            var rest = reader.GetString(0);
            var slash = rest.IndexOf('/', StringComparison.Ordinal);
            files.Add(slash < 0 ? new ArtifactFile(rest, false, reader.GetInt64(1)) : new ArtifactFile(rest[..slash], true));
        }
        return (files, false);
    }

    /// <summary>Remembers a multipart upload.</summary>
    public async Task StartUploadAsync(ArtifactUpload upload, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(
            "INSERT INTO mlflow.artifact_uploads (id, path, blob_name, parts, created_at) VALUES ($1, $2, $3, $4, $5)");
        command.Parameters.Add(new() { Value = upload.Id });
        command.Parameters.Add(new() { Value = upload.Path });
        command.Parameters.Add(new() { Value = upload.BlobName });
        command.Parameters.Add(new() { Value = upload.Parts });
        command.Parameters.Add(new() { Value = time.GetUtcNow() });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>A multipart upload under way, or null.</summary>
    public async Task<ArtifactUpload?> FindUploadAsync(Guid id, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("SELECT id, path, blob_name, parts FROM mlflow.artifact_uploads WHERE id = $1");
        command.Parameters.Add(new() { Value = id });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken)
            ? new ArtifactUpload(reader.GetGuid(0), reader.GetString(1), reader.GetString(2), reader.GetInt32(3))
            : null;
    }

    /// <summary>Forgets a multipart upload.</summary>
    public async Task EndUploadAsync(Guid id, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("DELETE FROM mlflow.artifact_uploads WHERE id = $1");
        command.Parameters.Add(new() { Value = id });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Forgets multipart uploads begun before a time.</summary>
    public async Task PurgeUploadsAsync(DateTimeOffset before, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("DELETE FROM mlflow.artifact_uploads WHERE created_at < $1");
        command.Parameters.Add(new() { Value = before });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Those of the given blobs that no artifact and no upload points to.</summary>
    public async Task<IReadOnlyList<string>> ListOrphansAsync(string[] blobNames, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT n.name FROM unnest($1::text[]) n (name)
            WHERE NOT EXISTS (SELECT 1 FROM mlflow.artifacts a WHERE a.blob_name = n.name) AND NOT EXISTS (SELECT 1 FROM mlflow.artifact_uploads u WHERE u.blob_name = n.name)
            """);
        command.Parameters.Add(new() { Value = blobNames });
        return await ReadNamesAsync(command, cancellationToken);
    }

    private static async Task<IReadOnlyList<string>> ReadNamesAsync(NpgsqlCommand command, CancellationToken cancellationToken)
    {
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var names = new List<string>();
        while (await reader.ReadAsync(cancellationToken))
            names.Add(reader.GetString(0));
        return names;
    }

    private static StoredArtifact Read(NpgsqlDataReader reader) =>
        new(reader.GetString(0), reader.GetString(1), reader.GetInt64(2), reader.GetString(3), reader.GetFieldValue<DateTimeOffset>(4));
}
