using FunctionsRegistry.Errors;
using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>MLflow's experiments and their tags.</summary>
public sealed class ExperimentStore(NpgsqlDataSource database, TimeProvider time)
{
    /// <summary>Most rows of one page.</summary>
    public const int MaxPage = 50_000;

    private const string Known = "name, creation_time, last_update_time, tags.<key>";

    private const string Columns = """
        e.id, e.name, coalesce(e.artifact_location, 'mlflow-artifacts:/' || e.id), e.deleted_at IS NOT NULL, e.updated_ms, e.created_ms,
        ARRAY(SELECT key FROM mlflow.experiment_tags t WHERE t.experiment_id = e.id ORDER BY key),
        ARRAY(SELECT value FROM mlflow.experiment_tags t WHERE t.experiment_id = e.id ORDER BY key)
        """;

    /// <summary>The id of a new experiment.</summary>
    /// <exception cref="RegistryException">RESOURCE_ALREADY_EXISTS, also when the other one is deleted.</exception>
    public async Task<long> CreateAsync(string name, string? artifactLocation, IReadOnlyList<KeyValue> tags, CancellationToken cancellationToken)
    {
        const string Sql = """
            WITH created AS (
                INSERT INTO mlflow.experiments (name, artifact_location, created_ms, updated_ms) VALUES ($1, $2, $3, $3)
                ON CONFLICT (name) DO NOTHING RETURNING id),
            tagged AS (
                INSERT INTO mlflow.experiment_tags (experiment_id, key, value)
                SELECT created.id, t.key, t.value FROM created, unnest($4::text[], $5::text[]) t (key, value))
            SELECT (SELECT id FROM created), (SELECT deleted_at IS NOT NULL FROM mlflow.experiments WHERE name = $1)
            """;
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = name });
        command.Parameters.Add(new() { Value = (object?)artifactLocation ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        command.Parameters.Add(new() { Value = time.GetUtcNow().ToUnixTimeMilliseconds() });
        command.Parameters.Add(new() { Value = tags.Select(tag => tag.Key!).ToArray() });
        command.Parameters.Add(new() { Value = tags.Select(tag => tag.Value!).ToArray() });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return reader.IsDBNull(0) ? throw MlflowErrors.ExperimentExists(name, !reader.IsDBNull(1) && reader.GetBoolean(1)) : reader.GetInt64(0);
    }

    /// <summary>An experiment in any state, or null.</summary>
    public async Task<Experiment?> FindAsync(long id, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"SELECT {Columns} FROM mlflow.experiments e WHERE e.id = $1");
        command.Parameters.Add(new() { Value = id });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    /// <summary>An experiment in any state, or null.</summary>
    public async Task<Experiment?> FindByNameAsync(string name, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"SELECT {Columns} FROM mlflow.experiments e WHERE e.name = $1");
        command.Parameters.Add(new() { Value = name });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    /// <summary>A page of experiments, by default the ones changed last first.</summary>
    public async Task<(IReadOnlyList<Experiment> Experiments, string? Next)> SearchAsync(
        IReadOnlyList<FilterTerm> filter, IReadOnlyList<OrderTerm> orderBy, ViewType view, int limit, string? token, CancellationToken cancellationToken)
    {
        var sql = new SearchSql();
        if (view != ViewType.All)
            sql.Where(view == ViewType.ActiveOnly ? "e.deleted_at IS NULL" : "e.deleted_at IS NOT NULL");
        foreach (var term in filter)
            sql.Where(Compile(sql, term));
        foreach (var order in orderBy)
            sql.OrderBy(OrderKey(order));
        if (orderBy.Count == 0)
            sql.OrderBy(new SortKey("e.updated_ms", NpgsqlDbType.Bigint, Descending: true));
        sql.OrderBy(new SortKey("e.id", NpgsqlDbType.Bigint, Descending: false));
        var where = sql.BuildWhere(token);
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(sql.CreateCommand(
            $"SELECT {Columns}, {sql.KeyColumns} FROM mlflow.experiments e {where} {sql.OrderByKeys} LIMIT {sql.Add(limit + 1, NpgsqlDbType.Integer)}"));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        var experiments = new List<Experiment>();
        string? last = null;
        while (await reader.ReadAsync(cancellationToken))
        {
            if (experiments.Count == limit)
                return (experiments, last);
            experiments.Add(Read(reader));
            if (experiments.Count == limit)
                last = sql.ReadToken(reader, 8);
        }
        return (experiments, null);
    }

    /// <summary>Gives an active experiment another name.</summary>
    public async Task RenameAsync(long id, string name, CancellationToken cancellationToken)
    {
        try
        {
            await ChangeAsync(id, "UPDATE mlflow.experiments SET name = $3, updated_ms = $2 WHERE id = $1 AND deleted_at IS NULL", name, cancellationToken);
        }
        catch (PostgresException exception) when (exception.ConstraintName == "experiments_name_key")
        {
            throw MlflowErrors.ExperimentExists(name, isDeleted: false);
        }
    }

    /// <summary>Writes a tag of an active experiment.</summary>
    public Task SetTagAsync(long id, string key, string value, CancellationToken cancellationToken) => ChangeAsync(id, """
        WITH changed AS (UPDATE mlflow.experiments SET updated_ms = $2 WHERE id = $1 AND deleted_at IS NULL RETURNING id)
        INSERT INTO mlflow.experiment_tags (experiment_id, key, value) SELECT id, $3, $4 FROM changed
        ON CONFLICT (experiment_id, key) DO UPDATE SET value = excluded.value
        """, key, value, cancellationToken);

    /// <summary>Removes a tag of an active experiment.</summary>
    public async Task DeleteTagAsync(long id, string key, CancellationToken cancellationToken)
    {
        var experiment = await FindAsync(id, cancellationToken) ?? throw MlflowErrors.ExperimentNotFound(id.ToString());
        if (experiment.LifecycleStage == "deleted")
            throw MlflowErrors.WrongState("experiment", experiment.ExperimentId, isDeleted: true);
        await using var command = database.CreateCommand("DELETE FROM mlflow.experiment_tags WHERE experiment_id = $1 AND key = $2");
        command.Parameters.Add(new() { Value = id });
        command.Parameters.Add(new() { Value = key });
        if (await command.ExecuteNonQueryAsync(cancellationToken) == 0)
            throw MlflowErrors.TagNotFound(key, id.ToString());
    }

    /// <summary>Deletes an active experiment with its active runs, so that it can be restored.</summary>
    public Task DeleteAsync(long id, CancellationToken cancellationToken) => ChangeAsync(id, """
        WITH changed AS (UPDATE mlflow.experiments SET deleted_at = $3, updated_ms = $2 WHERE id = $1 AND deleted_at IS NULL RETURNING id),
        runs AS (UPDATE mlflow.runs r SET deleted_at = $3 FROM changed WHERE r.experiment_id = changed.id AND r.deleted_at IS NULL)
        SELECT id FROM changed
        """, time.GetUtcNow(), cancellationToken);

    /// <summary>Restores a deleted experiment, with the runs that were deleted with it.</summary>
    public async Task RestoreAsync(long id, CancellationToken cancellationToken)
    {
        const string Sql = """
            WITH before AS (SELECT id, deleted_at FROM mlflow.experiments WHERE id = $1 AND deleted_at IS NOT NULL FOR UPDATE),
            runs AS (UPDATE mlflow.runs r SET deleted_at = NULL FROM before WHERE r.experiment_id = before.id AND r.deleted_at = before.deleted_at),
            changed AS (UPDATE mlflow.experiments e SET deleted_at = NULL, updated_ms = $2 FROM before WHERE e.id = before.id)
            SELECT (SELECT id FROM before), (SELECT id FROM mlflow.experiments WHERE id = $1)
            """;
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = id });
        command.Parameters.Add(new() { Value = time.GetUtcNow().ToUnixTimeMilliseconds() });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        if (reader.IsDBNull(1))
            throw MlflowErrors.ExperimentNotFound(id.ToString());
        if (reader.IsDBNull(0))
            throw MlflowErrors.WrongState("experiment", id.ToString(), isDeleted: false);
    }

    // $1 is the id, $2 now in milliseconds, $3 the value.
    private Task ChangeAsync(long id, string sql, object value, CancellationToken cancellationToken) => ChangeAsync(id, sql, value, null, cancellationToken);

    private async Task ChangeAsync(long id, string sql, object value, string? second, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(sql);
        command.Parameters.Add(new() { Value = id });
        command.Parameters.Add(new() { Value = time.GetUtcNow().ToUnixTimeMilliseconds() });
        command.Parameters.Add(new() { Value = value });
        if (second is not null)
            command.Parameters.Add(new() { Value = second });
        await using (var reader = await command.ExecuteReaderAsync(cancellationToken))
        {
            if (await reader.ReadAsync(cancellationToken) || reader.RecordsAffected > 0)
                return;
        }
        _ = await FindAsync(id, cancellationToken) ?? throw MlflowErrors.ExperimentNotFound(id.ToString());
        throw MlflowErrors.WrongState("experiment", id.ToString(), isDeleted: true);
    }

    private static string Compile(SearchSql sql, FilterTerm term) => (Attribute(term.Name.Entity), term.Name.Key) switch
    {
        (true, "name") => SearchConditions.Text(sql, term, "e.name"),
        (true, "creation_time") => SearchConditions.Number(sql, term, "e.created_ms"),
        (true, "last_update_time") => SearchConditions.Number(sql, term, "e.updated_ms"),
        (false, _) when term.Name.Entity is "tag" or "tags" =>
            SearchConditions.KeyedText(sql, term, "mlflow.experiment_tags t WHERE t.experiment_id = e.id", "t"),
        _ => throw SearchConditions.UnknownName(term.Name, Known),
    };

    private static SortKey OrderKey(OrderTerm order) => (Attribute(order.Name.Entity), order.Name.Key) switch
    {
        (true, "name") => new SortKey("e.name", NpgsqlDbType.Text, order.Descending),
        (true, "experiment_id") => new SortKey("e.id", NpgsqlDbType.Bigint, order.Descending),
        (true, "creation_time") => new SortKey("e.created_ms", NpgsqlDbType.Bigint, order.Descending),
        (true, "last_update_time") => new SortKey("e.updated_ms", NpgsqlDbType.Bigint, order.Descending),
        _ => throw MlflowErrors.InvalidOrderBy(order.Name.Key, order.Name.Position, "known are name, experiment_id, creation_time and last_update_time"),
    };

    private static bool Attribute(string? entity) => entity is null or "attribute" or "attributes" or "attr";

    private static Experiment Read(NpgsqlDataReader reader)
    {
        var (keys, values) = (reader.GetFieldValue<string[]>(6), reader.GetFieldValue<string[]>(7));
        return new Experiment(
            reader.GetInt64(0).ToString(), reader.GetString(1), reader.GetString(2), reader.GetBoolean(3) ? "deleted" : "active", reader.GetInt64(4), reader.GetInt64(5),
            [.. keys.Zip(values, (key, value) => new KeyValue(key, value))]);
    }
}

/// <summary>Which rows a search shows.</summary>
public enum ViewType
{
    /// <summary>The default.</summary>
    ActiveOnly,

    /// <summary>Those deleted and not yet purged.</summary>
    DeletedOnly,

    /// <summary>Both.</summary>
    All,
}
