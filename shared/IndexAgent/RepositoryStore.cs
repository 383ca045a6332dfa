using FunctionsRegistry.Json;
using Npgsql;

namespace FunctionsRegistry.IndexAgent;

/// <summary>Repositories as users see them.</summary>
public sealed class RepositoryStore(NpgsqlDataSource database)
{
    // c: what searches see; n: the newest upload.
    private const string Query = """
        SELECT r.name, n.state, coalesce(c.files, 0), coalesce(c.lines, 0), coalesce(c.bytes, 0), coalesce(c.languages, '{}')::text, coalesce(c.skipped, '{}')::text,
            n.error, n.source_url, r.created_at, c.finished_at, n.files, n.lines
        FROM indexagent.repositories r
        JOIN LATERAL (SELECT * FROM indexagent.generations g WHERE g.repository_id = r.id ORDER BY g.id DESC LIMIT 1) n ON true
        LEFT JOIN indexagent.generations c ON c.id = r.current_generation
        """;

    /// <summary>A page, by name.</summary>
    public async Task<(IReadOnlyList<RepositoryResponse> Repositories, long Total)> ListAsync(int limit, int offset, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(new("SELECT count(*) FROM indexagent.repositories"));
        batch.BatchCommands.Add(IndexStore.Command($"{Query} ORDER BY r.name COLLATE \"C\" LIMIT $1 OFFSET $2", limit, offset));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        var total = reader.GetInt64(0);
        await reader.NextResultAsync(cancellationToken);
        var repositories = new List<RepositoryResponse>();
        while (await reader.ReadAsync(cancellationToken))
            repositories.Add(Read(reader));
        return (repositories, total);
    }

    /// <summary>Null where there is none of that name.</summary>
    public async Task<RepositoryResponse?> FindAsync(string name, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"{Query} WHERE r.name = $1");
        command.Parameters.Add(new() { Value = name });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    /// <summary>What a new index of a repository is made of, or null where it has no archive.</summary>
    public async Task<(string BlobName, long ArchiveBytes, string Root)?> FindArchiveAsync(string name, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT g.blob_name, coalesce(g.archive_bytes, 0), g.root FROM indexagent.repositories r JOIN indexagent.generations g ON g.id = r.current_generation
            WHERE r.name = $1 AND g.blob_name IS NOT NULL
            """);
        command.Parameters.Add(new() { Value = name });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? (reader.GetString(0), reader.GetInt64(1), reader.GetString(2)) : null;
    }

    /// <summary>Names of repositories that have an archive, in order.</summary>
    public async Task<IReadOnlyList<string>> ListNamesAsync(CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            SELECT r.name FROM indexagent.repositories r JOIN indexagent.generations g ON g.id = r.current_generation WHERE g.blob_name IS NOT NULL ORDER BY r.name COLLATE "C"
            """);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var names = new List<string>();
        while (await reader.ReadAsync(cancellationToken))
            names.Add(reader.GetString(0));
        return names;
    }

    private static RepositoryResponse Read(NpgsqlDataReader reader)
    {
        var state = reader.GetString(1);
        // The built-in corpus has its version there.
        var url = reader.GetValue(8) is string text && text.StartsWith("http", StringComparison.OrdinalIgnoreCase) ? text : null;
        return new RepositoryResponse(
            reader.GetString(0), state, reader.GetInt32(2), reader.GetInt64(3), reader.GetInt64(4), new RawJson(reader.GetString(5)), new RawJson(reader.GetString(6)),
            reader.GetValue(7) as string, url, reader.GetFieldValue<DateTimeOffset>(9), reader.GetValue(10) is DateTime at ? new DateTimeOffset(at) : null,
            state == "indexing" ? new RepositoryProgress(reader.GetInt32(11), reader.GetInt64(12)) : null);
    }
}
