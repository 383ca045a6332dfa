using FunctionsRegistry.Errors;
using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>MLflow's registered models: rows, tags, aliases, search. Versions are in <see cref="ModelVersionStore"/>.</summary>
public sealed class RegisteredModelStore(NpgsqlDataSource database, TimeProvider time)
{
    private const string Columns = """
        m.name, m.created_ms, m.updated_ms, m.description,
        ARRAY(SELECT key FROM mlflow.registered_model_tags t WHERE t.model_id = m.id ORDER BY key),
        ARRAY(SELECT value FROM mlflow.registered_model_tags t WHERE t.model_id = m.id ORDER BY key),
        ARRAY(SELECT alias FROM mlflow.model_aliases a WHERE a.model_id = m.id ORDER BY alias),
        ARRAY(SELECT version FROM mlflow.model_aliases a WHERE a.model_id = m.id ORDER BY alias), m.id
        """;

    /// <summary>A new registered model.</summary>
    /// <exception cref="RegistryException">RESOURCE_ALREADY_EXISTS.</exception>
    public async Task<RegisteredModel> CreateAsync(string name, string? description, IReadOnlyList<KeyValue> tags, CancellationToken cancellationToken)
    {
        const string Sql = """
            WITH created AS (
                INSERT INTO mlflow.registered_models (id, name, description, created_ms, updated_ms) VALUES ($1, $2, $3, $4, $4)
                ON CONFLICT (name) DO NOTHING RETURNING id),
            tagged AS (
                INSERT INTO mlflow.registered_model_tags (model_id, key, value)
                SELECT created.id, t.key, t.value FROM created, unnest($5::text[], $6::text[]) t (key, value))
            SELECT id FROM created
            """;
        var now = time.GetUtcNow();
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = Guid.CreateVersion7(now) });
        command.Parameters.Add(new() { Value = name });
        command.Parameters.Add(new() { Value = (object?)description ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        command.Parameters.Add(new() { Value = now.ToUnixTimeMilliseconds() });
        command.Parameters.Add(new() { Value = tags.Select(tag => tag.Key!).ToArray() });
        command.Parameters.Add(new() { Value = tags.Select(tag => tag.Value!).ToArray() });
        if (await command.ExecuteScalarAsync(cancellationToken) is null)
            throw MlflowErrors.ModelExists(name);
        return new RegisteredModel(name, now.ToUnixTimeMilliseconds(), now.ToUnixTimeMilliseconds(), description, [], tags, []);
    }

    /// <summary>A registered model with the newest version of each stage, or null.</summary>
    public async Task<RegisteredModel?> FindAsync(string name, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(Command($"SELECT {Columns} FROM mlflow.registered_models m WHERE m.name = $1", name));
        batch.BatchCommands.Add(Command($"{ModelVersionStore.LatestSql} WHERE m.name = $1 {ModelVersionStore.LatestOrder}", name));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            return null;
        var model = Read(reader);
        await reader.NextResultAsync(cancellationToken);
        return model with { LatestVersions = await ModelVersionStore.ReadAllAsync(reader, cancellationToken) };
    }

    /// <summary>A registered model.</summary>
    /// <exception cref="RegistryException">RESOURCE_DOES_NOT_EXIST.</exception>
    public async Task<RegisteredModel> GetAsync(string name, CancellationToken cancellationToken) =>
        await FindAsync(name, cancellationToken) ?? throw MlflowErrors.ModelNotFound(name);

    /// <summary>A page of models, by name unless another order is asked for.</summary>
    public async Task<(IReadOnlyList<RegisteredModel> Models, string? Next)> SearchAsync(
        IReadOnlyList<FilterTerm> filter, IReadOnlyList<OrderTerm> orderBy, int limit, string? token, CancellationToken cancellationToken)
    {
        var sql = new SearchSql();
        foreach (var term in filter)
            sql.Where(Compile(sql, term));
        foreach (var order in orderBy)
            sql.OrderBy(OrderKey(order));
        sql.OrderBy(new SortKey("m.name", NpgsqlDbType.Text, Descending: false));
        var where = sql.BuildWhere(token);
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(sql.CreateCommand(
            $"SELECT {Columns}, {sql.KeyColumns} FROM mlflow.registered_models m {where} {sql.OrderByKeys} LIMIT {sql.Add(limit + 1, NpgsqlDbType.Integer)}"));
        var models = new List<(Guid Id, RegisteredModel Model)>();
        string? last = null;
        var more = false;
        await using (var reader = await batch.ExecuteReaderAsync(cancellationToken))
        {
            while (await reader.ReadAsync(cancellationToken))
            {
                if (models.Count == limit)
                {
                    more = true;
                    break;
                }
                models.Add((reader.GetGuid(8), Read(reader)));
                if (models.Count == limit)
                    last = sql.ReadToken(reader, 9);
            }
        }
        var latest = await ListLatestAsync([.. models.Select(model => model.Id)], cancellationToken);
        return ([.. models.Select(model => model.Model with { LatestVersions = [.. latest[model.Model.Name]] })], more ? last : null);
    }

    /// <summary>Changes the description.</summary>
    public Task UpdateAsync(string name, string? description, CancellationToken cancellationToken) =>
        ChangeAsync("UPDATE mlflow.registered_models SET description = $3, updated_ms = $2 WHERE name = $1", name, description, null, cancellationToken);

    /// <summary>Gives the model another name.</summary>
    public async Task RenameAsync(string name, string newName, CancellationToken cancellationToken)
    {
        try
        {
            await ChangeAsync("UPDATE mlflow.registered_models SET name = $3, updated_ms = $2 WHERE name = $1", name, newName, null, cancellationToken);
        }
        catch (PostgresException exception) when (exception.ConstraintName == "registered_models_name_key")
        {
            throw MlflowErrors.ModelExists(newName);
        }
    }

    /// <summary>Deletes the model with its versions.</summary>
    public Task DeleteAsync(string name, CancellationToken cancellationToken) =>
        ChangeAsync("DELETE FROM mlflow.registered_models WHERE name = $1 AND $2 > 0", name, null, null, cancellationToken);

    /// <summary>Writes a tag.</summary>
    public Task SetTagAsync(string name, string key, string value, CancellationToken cancellationToken) => ChangeAsync("""
        INSERT INTO mlflow.registered_model_tags (model_id, key, value) SELECT id, $3, $4 FROM mlflow.registered_models WHERE name = $1 AND $2 > 0
        ON CONFLICT (model_id, key) DO UPDATE SET value = excluded.value
        """, name, key, value, cancellationToken);

    /// <summary>Removes a tag; no error when there is none, as MLflow does.</summary>
    public Task DeleteTagAsync(string name, string key, CancellationToken cancellationToken) => ChangeAsync("""
        WITH model AS (SELECT id FROM mlflow.registered_models WHERE name = $1 AND $2 > 0),
        removed AS (DELETE FROM mlflow.registered_model_tags t USING model WHERE t.model_id = model.id AND t.key = $3)
        SELECT id FROM model
        """, name, key, null, cancellationToken);

    /// <summary>Points an alias at a version.</summary>
    public async Task SetAliasAsync(string name, string alias, int version, CancellationToken cancellationToken)
    {
        try
        {
            await ChangeAsync("""
                INSERT INTO mlflow.model_aliases (model_id, alias, version) SELECT id, $3, $4::integer FROM mlflow.registered_models WHERE name = $1 AND $2 > 0
                ON CONFLICT (model_id, alias) DO UPDATE SET version = excluded.version
                """, name, alias, version.ToString(), cancellationToken);
        }
        catch (PostgresException exception) when (exception.SqlState == PostgresErrorCodes.ForeignKeyViolation)
        {
            throw MlflowErrors.VersionNotFound(name, version.ToString());
        }
    }

    /// <summary>Removes an alias; no error when there is none.</summary>
    public Task DeleteAliasAsync(string name, string alias, CancellationToken cancellationToken) => ChangeAsync("""
        WITH model AS (SELECT id FROM mlflow.registered_models WHERE name = $1 AND $2 > 0),
        removed AS (DELETE FROM mlflow.model_aliases a USING model WHERE a.model_id = model.id AND a.alias = $3)
        SELECT id FROM model
        """, name, alias, null, cancellationToken);

    // $1 is the name, $2 now in milliseconds, $3 and $4 texts. No row: there is no such model.
    private async Task ChangeAsync(string sql, string name, string? third, string? fourth, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(sql);
        command.Parameters.Add(new() { Value = name });
        command.Parameters.Add(new() { Value = time.GetUtcNow().ToUnixTimeMilliseconds() });
        if (sql.Contains("$3", StringComparison.Ordinal))
            command.Parameters.Add(new() { Value = (object?)third ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        if (fourth is not null)
            command.Parameters.Add(new() { Value = fourth });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken) && reader.RecordsAffected <= 0)
            throw MlflowErrors.ModelNotFound(name);
    }

    private async Task<ILookup<string, ModelVersion>> ListLatestAsync(Guid[] ids, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"{ModelVersionStore.LatestSql} WHERE m.id = ANY ($1) {ModelVersionStore.LatestOrder}");
        command.Parameters.Add(new() { Value = ids });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return (await ModelVersionStore.ReadAllAsync(reader, cancellationToken)).ToLookup(version => version.Name);
    }

    private static string Compile(SearchSql sql, FilterTerm term) => (term.Name.Entity, term.Name.Key) switch
    {
        (null or "attribute" or "attributes" or "attr", "name") => SearchConditions.Text(sql, term, "m.name"),
        ("tag" or "tags", _) => SearchConditions.KeyedText(sql, term, "mlflow.registered_model_tags t WHERE t.model_id = m.id", "t"),
        _ => throw SearchConditions.UnknownName(term.Name, "name and tags.<key>"),
    };

    private static SortKey OrderKey(OrderTerm order) => (order.Name.Entity, order.Name.Key) switch
    {
        (null, "name") => new SortKey("m.name", NpgsqlDbType.Text, order.Descending),
        (null, "creation_timestamp") => new SortKey("m.created_ms", NpgsqlDbType.Bigint, order.Descending),
        // `timestamp` is what older clients call it.
        (null, "last_updated_timestamp" or "timestamp") => new SortKey("m.updated_ms", NpgsqlDbType.Bigint, order.Descending),
        _ => throw MlflowErrors.InvalidOrderBy(order.Name.Key, order.Name.Position, "known are name, creation_timestamp and last_updated_timestamp"),
    };

    private static RegisteredModel Read(NpgsqlDataReader reader)
    {
        var (keys, values) = (reader.GetFieldValue<string[]>(4), reader.GetFieldValue<string[]>(5));
        var (aliases, versions) = (reader.GetFieldValue<string[]>(6), reader.GetFieldValue<int[]>(7));
        return new RegisteredModel(
            reader.GetString(0), reader.GetInt64(1), reader.GetInt64(2), reader.GetValue(3) as string, [],
            [.. keys.Zip(values, (key, value) => new KeyValue(key, value))],
            [.. aliases.Zip(versions, (alias, version) => new ModelAlias(alias, version.ToString()))]);
    }

    private static NpgsqlBatchCommand Command(string sql, object value)
    {
        var command = new NpgsqlBatchCommand(sql);
        command.Parameters.Add(new() { Value = value });
        return command;
    }
}
