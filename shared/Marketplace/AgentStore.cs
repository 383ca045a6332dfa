using FunctionsRegistry.Errors;
using FunctionsRegistry.Json;
using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.Marketplace;

/// <summary>A stored tarball that a version row will point to.</summary>
public sealed record StoredTarball(Guid Id, string BlobName, string Sha256, long SizeBytes);

/// <summary>What a download needs.</summary>
public sealed record VersionDownload(string Scope, string Name, string Version, string BlobName, string Sha256, long SizeBytes, DateTimeOffset PublishedAt);

/// <summary>Agents, versions, stars and download counts. Scopes are compared ignoring case.</summary>
public sealed class AgentStore(NpgsqlDataSource database, TimeProvider time)
{
    /// <summary>One agent with its newest 20 versions in one round trip, or null where none is published.</summary>
    public async Task<AgentDetail?> FindAsync(string scope, string name, CancellationToken cancellationToken)
    {
        const string Sql = """
            SELECT a.scope, a.name, a.description, a.readme, a.category, a.tags, a.license, a.repository, a.homepage, a.latest_version,
                   c.download_count, c.star_count, a.is_verified, a.is_featured, a.is_deprecated, u.username, u.display_name, u.avatar_url,
                   a.permissions::text, a.mcp_servers, a.examples::text, v.versions::text,
                   (SELECT count(*) FROM marketplace.agent_versions WHERE agent_id = a.id AND unpublished_at IS NULL), a.created_at, a.updated_at
            FROM marketplace.agents a
            JOIN marketplace.agent_counters c ON c.agent_id = a.id
            JOIN marketplace.users u ON u.id = a.author_id
            CROSS JOIN LATERAL (
                SELECT json_agg(n.version) AS versions
                FROM (
                    SELECT json_build_object('version', version, 'tarball_size', size_bytes, 'download_count', download_count,
                        'published_at', to_char(published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'requires', manifest -> 'requires',
                        'mcp_servers', manifest -> 'mcp_servers', 'permissions', manifest -> 'permissions') AS version
                    FROM marketplace.agent_versions WHERE agent_id = a.id AND unpublished_at IS NULL ORDER BY published_at DESC, id LIMIT 20) n) v
            WHERE lower(a.scope) = lower($1) AND a.name = $2 AND a.latest_version IS NOT NULL
            """;
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = scope });
        command.Parameters.Add(new() { Value = name });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? ReadDetail(reader) : null;
    }

    /// <summary>A page of published versions, newest first; null where the agent is unknown.</summary>
    public async Task<IReadOnlyList<VersionSummary>?> ListVersionsAsync(string scope, string name, int offset, int limit, CancellationToken cancellationToken)
    {
        const string Sql = """
            SELECT v.version, v.size_bytes, v.download_count, v.published_at
            FROM marketplace.agents a LEFT JOIN LATERAL (
                SELECT * FROM marketplace.agent_versions WHERE agent_id = a.id AND unpublished_at IS NULL
                ORDER BY published_at DESC, id LIMIT $4 OFFSET $3) v ON true
            WHERE lower(a.scope) = lower($1) AND a.name = $2 AND a.latest_version IS NOT NULL
            ORDER BY v.published_at DESC, v.id
            """;
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = scope });
        command.Parameters.Add(new() { Value = name });
        command.Parameters.Add(new() { Value = offset });
        command.Parameters.Add(new() { Value = limit });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        List<VersionSummary>? versions = null;
        while (await reader.ReadAsync(cancellationToken))
        {
            versions ??= [];
            if (!reader.IsDBNull(0))
                versions.Add(new(reader.GetString(0), reader.GetInt64(1), reader.GetInt64(2), reader.GetFieldValue<DateTimeOffset>(3)));
        }
        return versions;
    }

    /// <summary>Finds a published version and counts one download of it, in one statement.</summary>
    /// <exception cref="RegistryException">404 of the agent or of the version.</exception>
    public async Task<VersionDownload> GetForDownloadAsync(string scope, string name, string version, CancellationToken cancellationToken)
    {
        // Rows are locked in one order everywhere: version, counters, hour.
        const string Sql = """
            WITH agent AS MATERIALIZED (
                SELECT id, scope, name FROM marketplace.agents WHERE lower(scope) = lower($1) AND name = $2 AND latest_version IS NOT NULL),
            counted AS (
                UPDATE marketplace.agent_versions v SET download_count = v.download_count + 1 FROM agent
                WHERE v.agent_id = agent.id AND v.version = $3 AND v.unpublished_at IS NULL
                RETURNING v.agent_id, v.version, v.blob_name, v.sha256, v.size_bytes, v.published_at),
            total AS (
                UPDATE marketplace.agent_counters c SET download_count = c.download_count + 1 FROM counted WHERE c.agent_id = counted.agent_id),
            hour AS (
                INSERT INTO marketplace.download_hours AS h (hour, agent_id, downloads) SELECT date_trunc('hour', $4::timestamptz), agent_id, 1 FROM counted
                ON CONFLICT (hour, agent_id) DO UPDATE SET downloads = h.downloads + 1)
            SELECT agent.scope, agent.name, counted.version, blob_name, sha256, size_bytes, published_at FROM agent LEFT JOIN counted ON true
            """;
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = scope });
        command.Parameters.Add(new() { Value = name });
        command.Parameters.Add(new() { Value = version });
        command.Parameters.Add(new() { Value = time.GetUtcNow() });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            throw MarketplaceErrors.AgentNotFound();
        if (await reader.IsDBNullAsync(2, cancellationToken))
            throw MarketplaceErrors.VersionNotFound();
        return new VersionDownload(reader.GetString(0), reader.GetString(1), reader.GetString(2), reader.GetString(3), reader.GetString(4),
            reader.GetInt64(5), reader.GetFieldValue<DateTimeOffset>(6));
    }

    /// <summary>Publishes a version: the row is the commit point. Who wins a race for a version is decided by its unique constraint.</summary>
    /// <exception cref="RegistryException">403: the agent is somebody else's; 409: the version exists, or existed.</exception>
    public async Task InsertVersionAsync(Guid authorId, AgentManifest manifest, string readme, StoredTarball tarball, CancellationToken cancellationToken)
    {
        const string UpsertAgent = """
            INSERT INTO marketplace.agents AS a (id, scope, name, author_id, description, readme, tags, license, mcp_servers, created_at, updated_at, search)
            VALUES ($1, $2, $3, $4, '', '', '{}', '', '{}', $5, $5, '')
            ON CONFLICT (lower(scope), name) DO UPDATE SET updated_at = $5 WHERE a.author_id = $4
            RETURNING id
            """;
        const string InsertCounters = """
            INSERT INTO marketplace.agent_counters (agent_id, author_id, is_listed, created_at) VALUES ($1, $2, false, $3) ON CONFLICT (agent_id) DO NOTHING
            """;
        const string InsertVersion = """
            INSERT INTO marketplace.agent_versions (id, agent_id, version, blob_name, sha256, size_bytes, manifest, readme, published_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            """;
        var now = time.GetUtcNow();
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        // The agent's row stays locked to the end: publishers of one agent take turns, so each sees the versions before it.
        // No row: it belongs to whoever had this login before a rename at GitHub, and its users trust that account, not the new one.
        if (await ScalarAsync(connection, UpsertAgent, cancellationToken, Guid.CreateVersion7(now), manifest.Scope, manifest.Name, authorId, now) is not Guid agentId)
            throw MarketplaceErrors.NotYourAgent(manifest.Scope, manifest.Name);
        await using var batch = new NpgsqlBatch(connection, transaction);
        batch.BatchCommands.Add(Command(InsertCounters, agentId, authorId, now));
        batch.BatchCommands.Add(Command(InsertVersion, tarball.Id, agentId, manifest.Version, tarball.BlobName, tarball.Sha256, tarball.SizeBytes,
            Json(manifest.Json), readme, now));
        try
        {
            await batch.ExecuteNonQueryAsync(cancellationToken);
        }
        catch (PostgresException exception) when (exception.ConstraintName == "agent_versions_agent_id_version_key")
        {
            throw MarketplaceErrors.VersionExists(manifest.Version);
        }
        await MoveLatestAsync(connection, agentId, cancellationToken);
        // Not cancellable: a client that hangs up must not leave it open whether the commit happened.
        await transaction.CommitAsync(CancellationToken.None);
    }

    /// <summary>Unpublishes a version of the caller's; it stays reserved.</summary>
    /// <exception cref="RegistryException">403: the agent is somebody else's; 404 of the agent or the version.</exception>
    public async Task UnpublishAsync(string scope, string name, string version, CancellationToken cancellationToken)
    {
        // Not FOR UPDATE: that waits for the key share locks of counted downloads (download_hours refers to agents), which hold the version's row.
        const string FindAgent = """
            SELECT a.id, lower('@' || u.username) = lower(a.scope) FROM marketplace.agents a JOIN marketplace.users u ON u.id = a.author_id
            WHERE lower(a.scope) = lower($1) AND a.name = $2 FOR NO KEY UPDATE OF a
            """;
        const string Unpublish = """
            UPDATE marketplace.agent_versions SET unpublished_at = $3 WHERE agent_id = $1 AND version = $2 AND unpublished_at IS NULL
            """;
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        var agentId = await LockOwnAsync(connection, FindAgent, scope, name, cancellationToken);
        await using var command = new NpgsqlCommand(Unpublish, connection, transaction);
        command.Parameters.Add(new() { Value = agentId });
        command.Parameters.Add(new() { Value = version });
        command.Parameters.Add(new() { Value = time.GetUtcNow() });
        if (await command.ExecuteNonQueryAsync(cancellationToken) == 0)
            throw MarketplaceErrors.VersionNotFound();
        await MoveLatestAsync(connection, agentId, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
    }

    /// <summary>Sets or takes back a star; the same twice changes nothing. Returns the new count, or null where the agent is unknown.</summary>
    public async Task<long?> SetStarAsync(Guid userId, string scope, string name, bool starred, CancellationToken cancellationToken)
    {
        const string Add = """
            WITH agent AS (SELECT id FROM marketplace.agents WHERE lower(scope) = lower($1) AND name = $2 AND latest_version IS NOT NULL),
            star AS (INSERT INTO marketplace.stars (agent_id, user_id, created_at) SELECT id, $3, $4 FROM agent ON CONFLICT DO NOTHING RETURNING agent_id),
            counted AS (UPDATE marketplace.agent_counters c SET star_count = c.star_count + 1 FROM star WHERE c.agent_id = star.agent_id RETURNING c.star_count)
            SELECT coalesce((SELECT star_count FROM counted), c.star_count) FROM agent JOIN marketplace.agent_counters c ON c.agent_id = agent.id
            """;
        const string Remove = """
            WITH agent AS (SELECT id FROM marketplace.agents WHERE lower(scope) = lower($1) AND name = $2 AND latest_version IS NOT NULL),
            star AS (DELETE FROM marketplace.stars s USING agent WHERE s.agent_id = agent.id AND s.user_id = $3 RETURNING s.agent_id),
            counted AS (UPDATE marketplace.agent_counters c SET star_count = c.star_count - 1 FROM star WHERE c.agent_id = star.agent_id RETURNING c.star_count)
            SELECT coalesce((SELECT star_count FROM counted), c.star_count) FROM agent JOIN marketplace.agent_counters c ON c.agent_id = agent.id
            """;
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        return (long?)(starred
            ? await ScalarAsync(connection, Add, cancellationToken, scope, name, userId, time.GetUtcNow())
            : await ScalarAsync(connection, Remove, cancellationToken, scope, name, userId));
    }

    /// <summary>Those of the given blobs that no version points to.</summary>
    public async Task<IReadOnlyList<string>> ListUnreferencedAsync(IReadOnlyList<string> blobNames, CancellationToken cancellationToken)
    {
        const string Sql = "SELECT name FROM unnest($1::text[]) AS name WHERE NOT EXISTS (SELECT 1 FROM marketplace.agent_versions WHERE blob_name = name)";
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = blobNames.ToArray() });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var names = new List<string>();
        while (await reader.ReadAsync(cancellationToken))
            names.Add(reader.GetString(0));
        return names;
    }

    /// <summary>Takes hours that left a trending period off its sums and forgets those that no period reaches. To be called every hour.</summary>
    public async Task PurgeDownloadHoursAsync(CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(Command("SELECT marketplace.move_trends($1)", now));
        batch.BatchCommands.Add(Command("DELETE FROM marketplace.download_hours WHERE hour < $1", now - TimeSpan.FromDays(31)));
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    // Copies the metadata of the highest version (semver decides, which SQL cannot) into the agent, where lists and detail read it.
    private static async Task MoveLatestAsync(NpgsqlConnection connection, Guid agentId, CancellationToken cancellationToken)
    {
        const string Versions = "SELECT array_agg(version) FROM marketplace.agent_versions WHERE agent_id = $1 AND unpublished_at IS NULL";
        const string Copy = """
            UPDATE marketplace.agents a SET
                latest_version = v.version, readme = v.readme, description = v.manifest ->> 'description', category = v.manifest ->> 'category',
                license = coalesce(v.manifest ->> 'license', 'MIT'),
                repository = nullif(v.manifest ->> 'repository', ''), homepage = nullif(v.manifest ->> 'homepage', ''),
                permissions = v.manifest -> 'permissions', examples = v.manifest -> 'examples', tags = m.tags,
                mcp_servers = ARRAY(SELECT jsonb_object_keys(coalesce(v.manifest -> 'mcp_servers', '{}'))),
                search = setweight(to_tsvector('english', a.name || ' ' || replace(a.name, '-', ' ')), 'A')
                    || setweight(to_tsvector('english', array_to_string(m.tags, ' ')), 'B')
                    || setweight(to_tsvector('english', v.manifest ->> 'description'), 'C')
                    || setweight(to_tsvector('english', left(v.readme, 20000)), 'D')
                    || CASE WHEN v.manifest ->> 'category' IS NULL THEN '' ELSE array_to_tsvector(ARRAY['§' || (v.manifest ->> 'category')]) END
            FROM marketplace.agent_versions v
            CROSS JOIN LATERAL (SELECT ARRAY(SELECT jsonb_array_elements_text(coalesce(v.manifest -> 'tags', '[]'))) AS tags) m
            WHERE a.id = $1 AND v.agent_id = $1 AND v.version = $2 AND a.latest_version IS DISTINCT FROM $2
            """;
        const string Words = """
            INSERT INTO marketplace.words SELECT word FROM marketplace.agents a CROSS JOIN LATERAL marketplace.words_of(a.name, a.tags, a.description) AS word
            WHERE a.id = $1 ON CONFLICT DO NOTHING
            """;
        const string Hide = "UPDATE marketplace.agents SET latest_version = NULL WHERE id = $1 AND $2::text IS NULL";
        const string List = """
            UPDATE marketplace.agent_counters c SET is_listed = a.latest_version IS NOT NULL AND NOT a.is_deprecated, category = a.category
            FROM marketplace.agents a WHERE a.id = $1 AND c.agent_id = $1
                AND (c.is_listed, c.category) IS DISTINCT FROM (a.latest_version IS NOT NULL AND NOT a.is_deprecated, a.category)
            """;
        var versions = await ScalarAsync(connection, Versions, cancellationToken, agentId) as string[] ?? [];
        var latest = PackageVersion.Latest(versions);
        await using var batch = new NpgsqlBatch(connection);
        batch.BatchCommands.Add(latest is null
            ? Command(Hide, agentId, new NpgsqlParameter { Value = DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text })
            : Command(Copy, agentId, latest));
        batch.BatchCommands.Add(Command(List, agentId));
        if (latest is not null)
            batch.BatchCommands.Add(Command(Words, agentId));
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    // The service checked that the scope is the caller's login; here, that the agent's author still has that login.
    private static async Task<Guid> LockOwnAsync(
        NpgsqlConnection connection, string sql, string scope, string name, CancellationToken cancellationToken)
    {
#pragma warning disable CA2100 // The text is always one of this class's constants.
        await using var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
        foreach (var value in (object[])[scope, name])
            command.Parameters.Add(new() { Value = value });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            throw MarketplaceErrors.AgentNotFound();
        return reader.GetBoolean(1) ? reader.GetGuid(0) : throw MarketplaceErrors.NotYourAgent(scope, name);
    }

    private static AgentDetail ReadDetail(NpgsqlDataReader reader)
    {
        var (scope, name) = (reader.GetString(0), reader.GetString(1));
        return new AgentDetail(
            scope, name, $"{scope}/{name}", reader.GetString(2), reader.GetString(3), reader.GetValue(4) as string, reader.GetFieldValue<string[]>(5),
            reader.GetString(6), reader.GetValue(7) as string, reader.GetValue(8) as string, reader.GetString(9), reader.GetInt64(10), reader.GetInt64(11),
            reader.GetBoolean(12), reader.GetBoolean(13), reader.GetBoolean(14),
            new AuthorSummary(reader.GetString(15), reader.GetValue(16) as string ?? reader.GetString(15), reader.GetValue(17) as string),
            new RawJson(Permissions(reader.GetValue(18) as string)), reader.GetFieldValue<string[]>(19), new RawJson(reader.GetValue(20) as string ?? "[]"),
            new RawJson(reader.GetString(21)), reader.GetInt64(22), reader.GetFieldValue<DateTimeOffset>(23), reader.GetFieldValue<DateTimeOffset>(24));
    }

    // The contract shows all three, whatever the manifest left out.
    private static string Permissions(string? json)
    {
        using var document = System.Text.Json.JsonDocument.Parse(json ?? "{}");
        string Of(string name) => document.RootElement.TryGetProperty(name, out var value) && value.ValueKind == System.Text.Json.JsonValueKind.True ? "true" : "false";
        return $$"""{"filesystem":{{Of("filesystem")}},"network":{{Of("network")}},"execute_commands":{{Of("execute_commands")}}}""";
    }

    private static NpgsqlParameter Json(string text) => new() { Value = text, NpgsqlDbType = NpgsqlDbType.Jsonb };

    private static NpgsqlBatchCommand Command(string sql, params object[] parameters)
    {
        var command = new NpgsqlBatchCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(parameter as NpgsqlParameter ?? new NpgsqlParameter { Value = parameter });
        return command;
    }

    private static async Task<object?> ScalarAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken, params object[] parameters)
    {
#pragma warning disable CA2100 // The text is always one of this class's constants.
        await using var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
        foreach (var parameter in parameters)
            command.Parameters.Add(new() { Value = parameter });
        var value = await command.ExecuteScalarAsync(cancellationToken);
        return value is DBNull ? null : value;
    }
}
