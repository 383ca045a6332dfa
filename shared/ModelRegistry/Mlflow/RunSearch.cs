using NpgsqlTypes;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>What a filter and an order_by of runs may name; the table of runs is <c>r</c>.</summary>
public static class RunSearch
{
    private const string Known =
        "metrics.<key>, params.<key>, tags.<key>, datasets.name, datasets.digest, datasets.context, and the attributes run_id, run_name, status, "
        + "user_id, start_time, end_time, artifact_uri, lifecycle_stage";

    private const string RunId = "replace(r.id::text, '-', '')";
    private const string ArtifactUri =
        "(SELECT coalesce(e.artifact_location, 'mlflow-artifacts:/' || e.id) FROM mlflow.experiments e WHERE e.id = r.experiment_id) || '/' || replace(r.id::text, '-', '') || '/artifacts'";

    private const string Lifecycle = "CASE WHEN r.deleted_at IS NULL THEN 'active' ELSE 'deleted' END";

    /// <summary>The condition of one term.</summary>
    public static string Compile(SearchSql sql, FilterTerm term)
    {
        switch (term.Name.Entity)
        {
            case "metric" or "metrics":
                var key = sql.Add(term.Name.Key, NpgsqlDbType.Text);
                return $"EXISTS (SELECT 1 FROM mlflow.latest_metrics m WHERE m.run_id = r.id AND m.key = {key} AND {SearchConditions.Metric(sql, term, "m.value")})";
            case "param" or "params" or "parameter" or "parameters":
                return SearchConditions.KeyedText(sql, term, "mlflow.params p WHERE p.run_id = r.id", "p");
            case "tag" or "tags":
                return SearchConditions.KeyedText(sql, term, "mlflow.tags t WHERE t.run_id = r.id", "t");
            case "dataset" or "datasets":
                return Dataset(sql, term);
            case null or "attribute" or "attributes" or "attr" or "run":
                return Attribute(sql, term);
            default:
                throw SearchConditions.UnknownName(term.Name, Known);
        }
    }

    /// <summary>Adds the sort keys of one clause: missing values last in either direction, NaN before them, as MLflow sorts.</summary>
    public static void AddOrder(SearchSql sql, OrderTerm order)
    {
        var (name, alias) = (order.Name, $"o{sql.KeyCount}");
        switch (name.Entity)
        {
            case "metric" or "metrics":
                sql.Join($"LEFT JOIN mlflow.latest_metrics {alias} ON {alias}.run_id = r.id AND {alias}.key = {sql.Add(name.Key, NpgsqlDbType.Text)}");
                sql.OrderBy(new SortKey($"(CASE WHEN {alias}.value IS NULL THEN 2 WHEN {alias}.value = 'NaN' THEN 1 ELSE 0 END)", NpgsqlDbType.Integer, false));
                sql.OrderBy(new SortKey($"coalesce({alias}.value, 0)", NpgsqlDbType.Double, order.Descending));
                return;
            case "param" or "params" or "parameter" or "parameters":
                AddText("mlflow.params");
                return;
            case "tag" or "tags":
                AddText("mlflow.tags");
                return;
            case null or "attribute" or "attributes" or "attr" or "run":
                AddAttribute(sql, order);
                return;
            default:
                throw Unknown(order);
        }

        void AddText(string table)
        {
            sql.Join($"LEFT JOIN {table} {alias} ON {alias}.run_id = r.id AND {alias}.key = {sql.Add(name.Key, NpgsqlDbType.Text)}");
            sql.OrderBy(new SortKey($"(CASE WHEN {alias}.value IS NULL THEN 1 ELSE 0 END)", NpgsqlDbType.Integer, false));
            sql.OrderBy(new SortKey($"coalesce({alias}.value, '')", NpgsqlDbType.Text, order.Descending));
        }
    }

    private static string Attribute(SearchSql sql, FilterTerm term)
    {
        switch (Canonical(term.Name.Key))
        {
            case "run_id" when term.Operator is FilterOperator.Equal or FilterOperator.In:
                // By the primary key; a text that is no id of ours matches nothing.
                var ids = (term.List ?? [SearchConditions.NeedText(term)]).Where(id => MlflowNames.TryParseRunId(id, out _)).Select(id => Guid.ParseExact(id, "N"));
                return $"r.id = ANY ({sql.Add(ids.ToArray(), NpgsqlDbType.Array | NpgsqlDbType.Uuid)})";
            case "run_id":
                return SearchConditions.Text(sql, term, RunId);
            case "run_name":
                return SearchConditions.Text(sql, term, "r.name");
            case "status":
                return SearchConditions.Text(sql, term, "r.status");
            case "user_id":
                return SearchConditions.Text(sql, term, "r.user_id");
            case "artifact_uri":
                return SearchConditions.Text(sql, term, ArtifactUri);
            case "lifecycle_stage":
                return SearchConditions.Text(sql, term, Lifecycle);
            case "start_time":
                return SearchConditions.Number(sql, term, "r.start_ms");
            case "end_time":
                return SearchConditions.Number(sql, term, "r.end_ms");
            default:
                throw SearchConditions.UnknownName(term.Name, Known);
        }
    }

    private static void AddAttribute(SearchSql sql, OrderTerm order)
    {
        switch (Canonical(order.Name.Key))
        {
            case "start_time":
                sql.OrderBy(new SortKey("r.start_ms", NpgsqlDbType.Bigint, order.Descending));
                return;
            case "end_time":
                sql.OrderBy(new SortKey("(CASE WHEN r.end_ms IS NULL THEN 1 ELSE 0 END)", NpgsqlDbType.Integer, false));
                sql.OrderBy(new SortKey("coalesce(r.end_ms, 0)", NpgsqlDbType.Bigint, order.Descending));
                return;
            case "run_id":
                sql.OrderBy(new SortKey("r.id", NpgsqlDbType.Uuid, order.Descending));
                return;
            case "experiment_id":
                sql.OrderBy(new SortKey("r.experiment_id", NpgsqlDbType.Bigint, order.Descending));
                return;
            case "run_name":
                sql.OrderBy(new SortKey("r.name", NpgsqlDbType.Text, order.Descending));
                return;
            case "status":
                sql.OrderBy(new SortKey("r.status", NpgsqlDbType.Text, order.Descending));
                return;
            case "user_id":
                sql.OrderBy(new SortKey("r.user_id", NpgsqlDbType.Text, order.Descending));
                return;
            default:
                throw Unknown(order);
        }
    }

    private static string Dataset(SearchSql sql, FilterTerm term)
    {
        const string From = "EXISTS (SELECT 1 FROM mlflow.dataset_inputs i JOIN mlflow.datasets d ON d.id = i.dataset_id WHERE i.run_id = r.id AND ";
        return term.Name.Key switch
        {
            "name" => $"{From}{SearchConditions.Text(sql, term, "d.name")})",
            "digest" => $"{From}{SearchConditions.Text(sql, term, "d.digest")})",
            "context" => $"{From}EXISTS (SELECT 1 FROM jsonb_array_elements(i.tags) g WHERE g->>'key' = 'mlflow.data.context' AND {SearchConditions.Text(sql, term, "(g->>'value')")}))",
            _ => throw SearchConditions.UnknownName(term.Name, Known),
        };
    }

    private static string Canonical(string key) => key switch
    {
        "Created" or "created" => "start_time",
        "Run name" or "run name" or "Run Name" => "run_name",
        "Run ID" or "run id" => "run_id",
        "User" => "user_id",
        _ => key,
    };

    private static Errors.RegistryException Unknown(OrderTerm order) => MlflowErrors.InvalidOrderBy(
        order.Name.Key, order.Name.Position, "known are metrics.<key>, params.<key>, tags.<key>, start_time, end_time, run_id, run_name, experiment_id, status and user_id");
}
