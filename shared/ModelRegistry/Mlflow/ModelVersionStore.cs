using FunctionsRegistry.Errors;
using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>What a new version is made of; all checked.</summary>
public sealed record NewModelVersion(
    string Name, string Source, Guid? RunId, string? RunLink, string? Description, string UserId, string? LoggedModelId, IReadOnlyList<KeyValue> Tags);

/// <summary>MLflow's model versions: numbers, stages, tags, search.</summary>
public sealed class ModelVersionStore(NpgsqlDataSource database, TimeProvider time)
{
    // Ordinals as in Read.
    internal const string Columns = """
        m.name, v.version, v.created_ms, v.updated_ms, v.user_id, v.stage, v.description, v.source, v.run_id, v.run_link,
        ARRAY(SELECT key FROM mlflow.model_version_tags t WHERE t.model_id = v.model_id AND t.version = v.version ORDER BY key),
        ARRAY(SELECT value FROM mlflow.model_version_tags t WHERE t.model_id = v.model_id AND t.version = v.version ORDER BY key),
        ARRAY(SELECT alias FROM mlflow.model_aliases a WHERE a.model_id = v.model_id AND a.version = v.version ORDER BY alias), v.logged_model_id
        """;

    internal const string From = "FROM mlflow.model_versions v JOIN mlflow.registered_models m ON m.id = v.model_id";

    internal const string LatestSql = $"SELECT DISTINCT ON (m.name, v.stage) {Columns} {From}";
    internal const string LatestOrder = "ORDER BY m.name, v.stage, v.version DESC";

    /// <summary>The next version of a registered model; concurrent creates get consecutive numbers.</summary>
    public async Task<ModelVersion> CreateAsync(NewModelVersion version, CancellationToken cancellationToken)
    {
        // Updating the model's row takes the number and holds the others back until this one is in.
        const string Sql = """
            WITH model AS (
                UPDATE mlflow.registered_models SET last_version = last_version + 1, updated_ms = $2 WHERE name = $1 RETURNING id, last_version),
            created AS (
                INSERT INTO mlflow.model_versions (model_id, version, created_ms, updated_ms, description, user_id, stage_at, source, run_id, run_link, logged_model_id)
                SELECT id, last_version, $2, $2, $3, $4, $5, $6, $7, $8, $9 FROM model),
            tagged AS (
                INSERT INTO mlflow.model_version_tags (model_id, version, key, value)
                SELECT model.id, model.last_version, t.key, t.value FROM model, unnest($10::text[], $11::text[]) t (key, value))
            SELECT last_version FROM model
            """;
        var now = time.GetUtcNow();
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = version.Name });
        command.Parameters.Add(new() { Value = now.ToUnixTimeMilliseconds() });
        command.Parameters.Add(Text(version.Description));
        command.Parameters.Add(new() { Value = version.UserId });
        command.Parameters.Add(new() { Value = now });
        command.Parameters.Add(new() { Value = version.Source });
        command.Parameters.Add(new() { Value = (object?)version.RunId ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid });
        command.Parameters.Add(Text(version.RunLink));
        command.Parameters.Add(Text(version.LoggedModelId));
        command.Parameters.Add(new() { Value = version.Tags.Select(tag => tag.Key!).ToArray() });
        command.Parameters.Add(new() { Value = version.Tags.Select(tag => tag.Value!).ToArray() });
        var number = await command.ExecuteScalarAsync(cancellationToken) as int? ?? throw MlflowErrors.ModelNotFound(version.Name);
        return new ModelVersion(
            version.Name, number.ToString(), now.ToUnixTimeMilliseconds(), now.ToUnixTimeMilliseconds(), version.UserId, "None", version.Description, version.Source,
            version.RunId?.ToString("N"), version.RunLink, "READY", "", version.Tags, [], version.LoggedModelId);
    }

    /// <summary>A version, or null.</summary>
    public async Task<ModelVersion?> FindAsync(string name, int version, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"SELECT {Columns} {From} WHERE m.name = $1 AND v.version = $2");
        command.Parameters.Add(new() { Value = name });
        command.Parameters.Add(new() { Value = version });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    /// <summary>A version.</summary>
    /// <exception cref="RegistryException">RESOURCE_DOES_NOT_EXIST.</exception>
    public async Task<ModelVersion> GetAsync(string name, int version, CancellationToken cancellationToken) =>
        await FindAsync(name, version, cancellationToken) ?? throw MlflowErrors.VersionNotFound(name, version.ToString());

    /// <summary>The version that an alias points at, or null.</summary>
    public async Task<ModelVersion?> FindByAliasAsync(string name, string alias, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(
            $"SELECT {Columns} {From} JOIN mlflow.model_aliases x ON x.model_id = v.model_id AND x.version = v.version WHERE m.name = $1 AND x.alias = $2");
        command.Parameters.Add(new() { Value = name });
        command.Parameters.Add(new() { Value = alias });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    /// <summary>The newest version of each stage, or of the given ones.</summary>
    public async Task<IReadOnlyList<ModelVersion>> ListLatestAsync(string name, string[] stages, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"{LatestSql} WHERE m.name = $1 AND ($2 OR v.stage = ANY ($3)) {LatestOrder}");
        command.Parameters.Add(new() { Value = name });
        command.Parameters.Add(new() { Value = stages.Length == 0 });
        command.Parameters.Add(new() { Value = stages });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await ReadAllAsync(reader, cancellationToken);
    }

    /// <summary>A page of versions, those changed last first unless another order is asked for.</summary>
    public async Task<(IReadOnlyList<ModelVersion> Versions, string? Next)> SearchAsync(
        IReadOnlyList<FilterTerm> filter, IReadOnlyList<OrderTerm> orderBy, int limit, string? token, CancellationToken cancellationToken)
    {
        var sql = new SearchSql();
        foreach (var term in filter)
            sql.Where(Compile(sql, term));
        foreach (var order in orderBy)
            sql.OrderBy(OrderKey(order));
        sql.OrderBy(new SortKey("v.updated_ms", NpgsqlDbType.Bigint, Descending: true));
        sql.OrderBy(new SortKey("m.name", NpgsqlDbType.Text, Descending: false));
        sql.OrderBy(new SortKey("v.version", NpgsqlDbType.Integer, Descending: true));
        var where = sql.BuildWhere(token);
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(sql.CreateCommand(
            $"SELECT {Columns}, {sql.KeyColumns} {From} {where} {sql.OrderByKeys} LIMIT {sql.Add(limit + 1, NpgsqlDbType.Integer)}"));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        var versions = new List<ModelVersion>();
        string? last = null;
        while (await reader.ReadAsync(cancellationToken))
        {
            if (versions.Count == limit)
                return (versions, last);
            versions.Add(Read(reader));
            if (versions.Count == limit)
                last = sql.ReadToken(reader, 14);
        }
        return (versions, null);
    }

    /// <summary>Changes the description.</summary>
    public Task UpdateAsync(string name, int version, string? description, CancellationToken cancellationToken) => ChangeAsync("""
        UPDATE mlflow.model_versions v SET description = $4, updated_ms = $3 FROM mlflow.registered_models m
        WHERE m.id = v.model_id AND m.name = $1 AND v.version = $2
        """, name, version, description, null, cancellationToken);

    /// <summary>Changes the description where it is not null, and writes the given tags; all or nothing.</summary>
    public async Task PatchAsync(string name, int version, string? description, IReadOnlyList<KeyValue> tags, CancellationToken cancellationToken)
    {
        const string Sql = """
            WITH changed AS (
                UPDATE mlflow.model_versions v SET description = coalesce($4, v.description), updated_ms = $3 FROM mlflow.registered_models m
                WHERE m.id = v.model_id AND m.name = $1 AND v.version = $2 RETURNING v.model_id, v.version),
            tagged AS (
                INSERT INTO mlflow.model_version_tags (model_id, version, key, value)
                SELECT changed.model_id, changed.version, t.key, t.value FROM changed, unnest($5::text[], $6::text[]) t (key, value)
                ON CONFLICT (model_id, version, key) DO UPDATE SET value = excluded.value)
            SELECT version FROM changed
            """;
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = name });
        command.Parameters.Add(new() { Value = version });
        command.Parameters.Add(new() { Value = time.GetUtcNow().ToUnixTimeMilliseconds() });
        command.Parameters.Add(Text(description));
        command.Parameters.Add(new() { Value = tags.Select(tag => tag.Key!).ToArray() });
        command.Parameters.Add(new() { Value = tags.Select(tag => tag.Value!).ToArray() });
        if (await command.ExecuteScalarAsync(cancellationToken) is null)
            throw MlflowErrors.VersionNotFound(name, version.ToString());
    }

    /// <summary>Deletes a version; its number is never given again.</summary>
    public Task DeleteAsync(string name, int version, CancellationToken cancellationToken) => ChangeAsync("""
        DELETE FROM mlflow.model_versions v USING mlflow.registered_models m WHERE m.id = v.model_id AND m.name = $1 AND v.version = $2 AND $3 > 0
        """, name, version, null, null, cancellationToken);

    /// <summary>Writes a tag.</summary>
    public Task SetTagAsync(string name, int version, string key, string value, CancellationToken cancellationToken) => ChangeAsync($"""
        INSERT INTO mlflow.model_version_tags (model_id, version, key, value) SELECT v.model_id, v.version, $4, $5 {From} WHERE m.name = $1 AND v.version = $2 AND $3 > 0
        ON CONFLICT (model_id, version, key) DO UPDATE SET value = excluded.value
        """, name, version, key, value, cancellationToken);

    /// <summary>Removes a tag; no error when there is none.</summary>
    public Task DeleteTagAsync(string name, int version, string key, CancellationToken cancellationToken) => ChangeAsync($"""
        WITH found AS (SELECT v.model_id, v.version {From} WHERE m.name = $1 AND v.version = $2 AND $3 > 0),
        removed AS (DELETE FROM mlflow.model_version_tags t USING found WHERE t.model_id = found.model_id AND t.version = found.version AND t.key = $4)
        SELECT version FROM found
        """, name, version, key, null, cancellationToken);

    /// <summary>Moves a version to a stage; with <paramref name="archiveExisting"/> the others there go to Archived, in the same transaction.</summary>
    public async Task<ModelVersion> TransitionAsync(string name, int version, string stage, bool archiveExisting, CancellationToken cancellationToken)
    {
        const string Sql = """
            WITH target AS (
                SELECT v.model_id FROM mlflow.model_versions v JOIN mlflow.registered_models m ON m.id = v.model_id WHERE m.name = $1 AND v.version = $2)
            UPDATE mlflow.model_versions v
            SET stage = CASE WHEN v.version = $2 THEN $3 ELSE 'Archived' END, updated_ms = $5,
                stage_at = CASE WHEN v.version = $2 AND v.stage = $3 THEN v.stage_at ELSE $6 END
            FROM target WHERE v.model_id = target.model_id AND (v.version = $2 OR ($4 AND v.stage = $3))
            """;
        var now = time.GetUtcNow();
        await using var batch = database.CreateBatch();
        var change = new NpgsqlBatchCommand(Sql);
        foreach (var value in new object[] { name, version, stage, archiveExisting, now.ToUnixTimeMilliseconds(), now })
            change.Parameters.Add(new() { Value = value });
        // First and by itself: two transitions with archiving cannot leave two versions in the stage.
        var lockModel = new NpgsqlBatchCommand("SELECT id FROM mlflow.registered_models WHERE name = $1 FOR NO KEY UPDATE");
        lockModel.Parameters.Add(new() { Value = name });
        var read = new NpgsqlBatchCommand($"SELECT {Columns} {From} WHERE m.name = $1 AND v.version = $2");
        read.Parameters.Add(new() { Value = name });
        read.Parameters.Add(new() { Value = version });
        batch.BatchCommands.Add(lockModel);
        batch.BatchCommands.Add(change);
        batch.BatchCommands.Add(read);
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        // The change has no result set: the second one is the read's.
        await reader.NextResultAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : throw MlflowErrors.VersionNotFound(name, version.ToString());
    }

    internal static async Task<List<ModelVersion>> ReadAllAsync(NpgsqlDataReader reader, CancellationToken cancellationToken)
    {
        var versions = new List<ModelVersion>();
        while (await reader.ReadAsync(cancellationToken))
            versions.Add(Read(reader));
        return versions;
    }

    internal static ModelVersion Read(NpgsqlDataReader reader)
    {
        var (keys, values) = (reader.GetFieldValue<string[]>(10), reader.GetFieldValue<string[]>(11));
        return new ModelVersion(
            reader.GetString(0), reader.GetInt32(1).ToString(), reader.GetInt64(2), reader.GetInt64(3), reader.GetString(4), reader.GetString(5),
            reader.GetValue(6) as string, reader.GetString(7), reader.IsDBNull(8) ? null : reader.GetGuid(8).ToString("N"), reader.GetValue(9) as string,
            "READY", "", [.. keys.Zip(values, (key, value) => new KeyValue(key, value))], reader.GetFieldValue<string[]>(12), reader.GetValue(13) as string);
    }

    // $1 and $2 are name and version, $3 now in milliseconds, $4 and $5 texts. No row: there is no such version.
    private async Task ChangeAsync(string sql, string name, int version, string? fourth, string? fifth, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(sql);
        command.Parameters.Add(new() { Value = name });
        command.Parameters.Add(new() { Value = version });
        command.Parameters.Add(new() { Value = time.GetUtcNow().ToUnixTimeMilliseconds() });
        if (sql.Contains("$4", StringComparison.Ordinal))
            command.Parameters.Add(Text(fourth));
        if (fifth is not null)
            command.Parameters.Add(new() { Value = fifth });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken) && reader.RecordsAffected <= 0)
            throw MlflowErrors.VersionNotFound(name, version.ToString());
    }

    private static string Compile(SearchSql sql, FilterTerm term) => (term.Name.Entity, term.Name.Key) switch
    {
        (null or "attribute" or "attributes" or "attr", "name") => SearchConditions.Text(sql, term, "m.name"),
        (null or "attribute" or "attributes" or "attr", "version_number") => SearchConditions.Number(sql, term, "v.version"),
        (null or "attribute" or "attributes" or "attr", "run_id") => SearchConditions.Text(sql, term, "replace(v.run_id::text, '-', '')"),
        (null or "attribute" or "attributes" or "attr", "source_path") => SearchConditions.Text(sql, term, "v.source"),
        ("tag" or "tags", _) =>
            SearchConditions.KeyedText(sql, term, "mlflow.model_version_tags t WHERE t.model_id = v.model_id AND t.version = v.version", "t"),
        _ => throw SearchConditions.UnknownName(term.Name, "name, version_number, run_id, source_path and tags.<key>"),
    };

    private static SortKey OrderKey(OrderTerm order) => (order.Name.Entity, order.Name.Key) switch
    {
        (null, "name") => new SortKey("m.name", NpgsqlDbType.Text, order.Descending),
        (null, "version_number") => new SortKey("v.version", NpgsqlDbType.Integer, order.Descending),
        (null, "creation_timestamp") => new SortKey("v.created_ms", NpgsqlDbType.Bigint, order.Descending),
        (null, "last_updated_timestamp") => new SortKey("v.updated_ms", NpgsqlDbType.Bigint, order.Descending),
        _ => throw MlflowErrors.InvalidOrderBy(
            order.Name.Key, order.Name.Position, "known are name, version_number, creation_timestamp and last_updated_timestamp"),
    };

    private static NpgsqlParameter Text(string? value) => new() { Value = (object?)value ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text };
}
