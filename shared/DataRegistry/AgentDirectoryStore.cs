using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Json;
using Npgsql;

namespace FunctionsRegistry.DataRegistry;

/// <summary>Registered agents and their heartbeats.</summary>
public sealed class AgentDirectoryStore(RegistryDatabase database, DataRegistryOptions options, TimeProvider time)
{
    /// <summary>Lists end here; <c>next</c> says where to go on.</summary>
    public const int MaxListed = 1_000;

    private const string Columns = """
        id, name, version, division, type, description, deployment_type, deployment_url, langsmith_deployment_id, langsmith_org, github_repo,
        github_branch, github_path, endpoint, capabilities::text, coalesce(models, '{}')::text, status, last_heartbeat, registered_at, updated_at
        """;

    /// <summary>Creates an agent or replaces all that it said of itself; its status and last heartbeat stay. True where it is new.</summary>
    public async Task<bool> UpsertAsync(AgentRegistration agent, CancellationToken cancellationToken)
    {
        // xmax tells an inserted row from an updated one.
        const string Sql = """
            INSERT INTO dhg.agents AS a (id, name, version, division, type, description, deployment_type, deployment_url, langsmith_deployment_id,
                langsmith_org, github_repo, github_branch, github_path, endpoint, capabilities, io_schema, models, external_apis, observability,
                registered_at, updated_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $20)
            ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = excluded.version, division = excluded.division, type = excluded.type,
                description = excluded.description, deployment_type = excluded.deployment_type, deployment_url = excluded.deployment_url,
                langsmith_deployment_id = excluded.langsmith_deployment_id, langsmith_org = excluded.langsmith_org, github_repo = excluded.github_repo,
                github_branch = excluded.github_branch, github_path = excluded.github_path, endpoint = excluded.endpoint,
                capabilities = excluded.capabilities, io_schema = excluded.io_schema, models = excluded.models, external_apis = excluded.external_apis,
                observability = excluded.observability, updated_at = excluded.updated_at
            RETURNING (a.xmax = 0)::text
            """;
        var service = agent.Service;
        return await database.WriteAsync("register_agent", Sql, reader => reader.GetString(0), cancellationToken, service.Id, service.Name, service.Version,
            service.Division, service.Type, service.Description, service.DeploymentType, service.DeploymentUrl, service.LangsmithDeploymentId,
            service.LangsmithOrg, service.GithubRepo, service.GithubBranch, service.GithubPath, service.Endpoint,
            Json(agent.Capabilities, DataRegistryJson.Default.AgentCapabilities), agent.IoSchema,
            Json(agent.Models, DataRegistryJson.Default.IReadOnlyDictionaryStringAgentModel),
            Json(agent.ExternalApis, DataRegistryJson.Default.IReadOnlyListExternalApi),
            Json(agent.Observability, DataRegistryJson.Default.AgentObservability), time.GetUtcNow()) == "true";
    }

    /// <summary>Records a heartbeat and the status in it. The time is ours: an agent's clock may be wrong, and nobody may backdate.</summary>
    /// <exception cref="RegistryException">404: no such agent.</exception>
    public async Task<DateTimeOffset> InsertHeartbeatAsync(string id, AgentHeartbeat beat, CancellationToken cancellationToken)
    {
        const string Sql = """
            WITH agent AS (
                UPDATE dhg.agents SET status = $3, last_heartbeat = $13, updated_at = $13 WHERE id = $2 RETURNING id),
            beat AS (
                INSERT INTO dhg.agent_heartbeats (id, agent_id, status, timestamp, models, requests_total, requests_success, requests_failed,
                    avg_latency_ms, total_tokens, total_cost_usd, langsmith_deployment_status, langsmith_traces_count, deployment_tier)
                SELECT $1::uuid, id, $3::text, $13::timestamptz, $4::jsonb, $5::int, $6::int, $7::int, $8::float8, $9::int, $10::float8, $11::text, $12::int,
                    $14::text
                FROM agent)
            SELECT id FROM agent
            """;
        var now = time.GetUtcNow();
        _ = await database.WriteAsync("agent_heartbeat", Sql, reader => reader.GetString(0), cancellationToken, Guid.CreateVersion7(now), id, beat.Status,
            beat.Models, beat.RequestsTotal, beat.RequestsSuccess, beat.RequestsFailed, beat.AvgLatencyMs, beat.TotalTokens, beat.TotalCostUsd,
            beat.LangsmithDeploymentStatus, beat.LangsmithTracesCount, now, beat.DeploymentTier) ?? throw DataRegistryErrors.AgentNotRegistered(id);
        return now;
    }

    /// <summary>Agents by id. A null filter does not filter; <paramref name="after"/> is the last id of the part before.</summary>
    public async Task<AgentListResponse> ListAsync(
        string? division, string? type, string? deploymentType, string? status, string? after, CancellationToken cancellationToken)
    {
        const string Where = """
            WHERE ($1::text IS NULL OR division = $1) AND ($2::text IS NULL OR type = $2) AND ($3::text IS NULL OR deployment_type = $3)
                AND ($4::text IS NULL OR status = $4)
            """;
        var sql = $"""
            SELECT {Columns}, (SELECT count(*) FROM dhg.agents {Where}) FROM dhg.agents {Where} AND id > $5 ORDER BY id LIMIT {MaxListed + 1}
            """;
        return Page(await database.ReadAsync("list_agents", sql, ReadCounted, cancellationToken, division, type, deploymentType, status, after ?? ""));
    }

    /// <summary>
    /// Active agents: healthy, and heard of (registration or heartbeat) within <see cref="DataRegistryOptions.HeartbeatTimeout"/>. With a maximal cost
    /// those remain that have a model within it, or no model at all, or a local one where that is preferred.
    /// </summary>
    public async Task<AgentListResponse> DiscoverAsync(AgentSearch search, CancellationToken cancellationToken)
    {
        const string Sql = $$"""
            SELECT {{Columns}}, count(*) OVER () FROM dhg.agents
            WHERE status = 'healthy' AND greatest(last_heartbeat, updated_at) >= $5
                AND ($1::text IS NULL OR capabilities -> 'primary' ? $1 OR capabilities -> 'secondary' ? $1)
                AND ($4::text IS NULL OR deployment_type = $4)
                AND ($3::float8 IS NULL OR coalesce(models, '{}') = '{}' OR EXISTS (
                    SELECT 1 FROM jsonb_each(models) m
                    WHERE ($2 AND m.value -> 'local' = 'true')
                        OR (coalesce(jsonb_path_query_first(m.value, '$.cost.input ? (@.type() == "number")')::float8, 0)
                            + coalesce(jsonb_path_query_first(m.value, '$.cost.output ? (@.type() == "number")')::float8, 0)) / 2 <= $3))
            ORDER BY id LIMIT 1000
            """;
        var found = await database.ReadAsync("discover_agents", Sql, ReadCounted, cancellationToken, search.Capability, search.PreferLocal, search.MaxCost,
            search.DeploymentType, time.GetUtcNow() - options.HeartbeatTimeout);
        return Page(found) with { Next = null };
    }

    /// <summary>One agent, or null.</summary>
    public Task<RegisteredAgent?> FindAsync(string id, CancellationToken cancellationToken) =>
        database.FindAsync("get_agent", $"SELECT {Columns} FROM dhg.agents WHERE id = $1", Read, cancellationToken, id);

    /// <summary>The models of healthy agents, each with its agent.</summary>
    public async Task<ModelListResponse> ListModelsAsync(string? provider, bool? local, string? status, CancellationToken cancellationToken)
    {
        const string Sql = """
            SELECT (jsonb_build_object('agent_id', a.id, 'agent_name', a.name, 'model_name', m.key) || m.value)::text
            FROM dhg.agents a CROSS JOIN LATERAL jsonb_each(coalesce(a.models, '{}')) m
            WHERE a.status = 'healthy' AND jsonb_typeof(m.value) = 'object' AND ($1::text IS NULL OR m.value ->> 'provider' = $1)
                AND ($2::bool IS NULL OR coalesce(m.value -> 'local', 'false') = to_jsonb($2::bool)) AND ($3::text IS NULL OR m.value ->> 'status' = $3)
            ORDER BY a.id, m.key LIMIT 10000
            """;
        var models = await database.ReadAsync("list_models", Sql, reader => new RawJson(reader.GetString(0)), cancellationToken, provider, local, status);
        return new ModelListResponse(models, models.Count);
    }

    /// <summary>Forgets an agent and its heartbeats.</summary>
    /// <exception cref="RegistryException">404: no such agent.</exception>
    public async Task DeleteAsync(string id, CancellationToken cancellationToken) =>
        _ = await database.WriteAsync(
            "deregister_agent", "DELETE FROM dhg.agents WHERE id = $1 RETURNING id", reader => reader.GetString(0), cancellationToken, id)
            ?? throw DataRegistryErrors.AgentNotFound(id);

    /// <summary>Deletes heartbeats older than <see cref="DataRegistryOptions.HeartbeatsKeptFor"/>, in bounded steps; returns how many.</summary>
    public async Task<int> PruneHeartbeatsAsync(CancellationToken cancellationToken)
    {
        const int Step = 10_000;
        var sql = $"""
            WITH old AS (
                DELETE FROM dhg.agent_heartbeats
                WHERE id IN (SELECT id FROM dhg.agent_heartbeats WHERE timestamp < $1 ORDER BY timestamp LIMIT {Step}) RETURNING 1)
            SELECT count(*)::text FROM old
            """;
        var total = 0;
        int deleted;
        do
        {
            var oldest = time.GetUtcNow() - options.HeartbeatsKeptFor;
            var count = await database.WriteAsync("prune_heartbeats", sql, reader => reader.GetString(0), cancellationToken, oldest);
            deleted = int.Parse(count!);
            total += deleted;
        }
        while (deleted == Step);
        return total;
    }

    private static RawJson? Json<T>(T? value, JsonTypeInfo<T> type) where T : class =>
        value is null ? null : new RawJson(JsonSerializer.Serialize(value, type));

    private static AgentListResponse Page(List<(RegisteredAgent Agent, long Total)> rows)
    {
        var agents = rows.Take(MaxListed).Select(row => row.Agent).ToList();
        return new AgentListResponse(agents, rows.Count == 0 ? 0 : rows[0].Total, rows.Count > MaxListed ? agents[^1].Service.Id : null);
    }

    private static (RegisteredAgent Agent, long Total) ReadCounted(NpgsqlDataReader reader) => (Read(reader), reader.GetInt64(20));

    private static RegisteredAgent Read(NpgsqlDataReader reader) => new(
        new AgentProfile(reader.GetString(0), reader.GetString(1), reader.GetString(2), reader.GetString(3), reader.GetString(4), reader.Text(5),
            reader.GetString(6), reader.Text(7), reader.Text(8), reader.Text(9), reader.Text(10), reader.Text(11), reader.Text(12), reader.Text(13)),
        reader.Json(14), new RawJson(reader.GetString(15)), reader.GetString(16), reader.OptionalTime(17), reader.Time(18), reader.Time(19));
}
