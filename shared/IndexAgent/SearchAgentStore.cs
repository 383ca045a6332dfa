using System.Text.Json;
using System.Text.Json.Nodes;
using Npgsql;
using NpgsqlTypes;

namespace FunctionsRegistry.IndexAgent;

/// <summary>A search agent as it is stored.</summary>
/// <param name="Parameters">What the user gave, without genome and corpus.</param>
/// <param name="Corpus">What its fitness was measured on.</param>
public sealed record SearchAgent(
    string Id, string Name, string Language, IReadOnlyList<string> Capabilities, string Parameters, Genome Genome, double Fitness, int Generation,
    string? PopulationId, IReadOnlyList<string> Parents, string Status, DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt)
{
    /// <summary>The agent on the wire; its genome is among its parameters.</summary>
    public AgentResponse ToResponse(bool withUpdatedAt = false)
    {
        var parameters = new JsonObject();
        // jsonb has an order of its own; the answer to POST shall be that of GET.
        foreach (var (name, value) in JsonNode.Parse(Parameters)!.AsObject().OrderBy(member => member.Key, StringComparer.Ordinal).ToList())
            parameters[name] = value?.DeepClone();
        parameters["genome"] = JsonSerializer.SerializeToNode(Genome.ToDictionary(), IndexAgentJson.Default.IReadOnlyDictionaryStringDouble);
        return new AgentResponse(
            Id, Name, new AgentConfig(Name, Language, Capabilities, JsonSerializer.Deserialize(parameters.ToJsonString(), IndexAgentJson.Default.JsonElement)),
            Math.Round(Fitness, 6), Generation, CreatedAt, Status, withUpdatedAt ? UpdatedAt : null);
    }
}

/// <summary>Agents: one method is one transaction. Counters move with what they count.</summary>
public sealed class SearchAgentStore(NpgsqlDataSource database)
{
    internal const string Columns = "id, name, language, capabilities, parameters::text, genome, fitness, generation, population_id, parents, status, created_at, updated_at";

    private const string Insert = """
        INSERT INTO indexagent.agents (id, name, language, capabilities, parameters, genome, fitness, generation, population_id, parents, status, created_at, updated_at, place)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'active', $11, $11, $12)
        """;

    /// <summary>Active agents in the order in which they were made.</summary>
    public async Task<(IReadOnlyList<SearchAgent> Agents, long Total)> ListAsync(int limit, int offset, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(new("SELECT count(*) FROM indexagent.agents WHERE status = 'active'"));
        batch.BatchCommands.Add(IndexStore.Command($"SELECT {Columns} FROM indexagent.agents WHERE status = 'active' ORDER BY number LIMIT $1 OFFSET $2", limit, offset));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        var total = reader.GetInt64(0);
        await reader.NextResultAsync(cancellationToken);
        return (await ReadAllAsync(reader, cancellationToken), total);
    }

    /// <summary>Of any status; null where there is none.</summary>
    public async Task<SearchAgent?> FindAsync(string id, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"SELECT {Columns} FROM indexagent.agents WHERE id = $1");
        command.Parameters.Add(new() { Value = id });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await ReadAllAsync(reader, cancellationToken) is [var agent] ? agent : null;
    }

    /// <summary>Stores a new agent.</summary>
    public async Task InsertAsync(SearchAgent agent, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(InsertCommand(agent, 0));
        batch.BatchCommands.Add(CountCommand("agents_created", 1));
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Stores a new agent where its id is free.</summary>
    public async Task InsertMissingAsync(SearchAgent agent, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        var insert = InsertCommand(agent, 0);
        insert.CommandText = $"""
            WITH added AS ({Insert} ON CONFLICT (id) DO NOTHING RETURNING 1)
            INSERT INTO indexagent.counters AS c (name, value) SELECT 'agents_created', 1 FROM added ON CONFLICT (name) DO UPDATE SET value = c.value + excluded.value
            """;
        batch.BatchCommands.Add(insert);
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Replaces what may change, unless somebody else did since it was read; then false.</summary>
    public async Task<bool> UpdateAsync(SearchAgent agent, DateTimeOffset readUpdatedAt, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            UPDATE indexagent.agents SET name = $2, language = $3, capabilities = $4, parameters = $5, genome = $6, fitness = $7, status = $8, updated_at = $9
            WHERE id = $1 AND updated_at = $10
            """);
        command.Parameters.Add(new() { Value = agent.Id });
        command.Parameters.Add(new() { Value = agent.Name });
        command.Parameters.Add(new() { Value = agent.Language });
        command.Parameters.Add(new() { Value = agent.Capabilities.ToArray() });
        command.Parameters.Add(new() { Value = agent.Parameters, NpgsqlDbType = NpgsqlDbType.Jsonb });
        command.Parameters.Add(new() { Value = agent.Genome.Weights.ToArray() });
        command.Parameters.Add(new() { Value = agent.Fitness });
        command.Parameters.Add(new() { Value = agent.Status });
        command.Parameters.Add(new() { Value = agent.UpdatedAt });
        command.Parameters.Add(new() { Value = readUpdatedAt });
        return await command.ExecuteNonQueryAsync(cancellationToken) == 1;
    }

    /// <summary>False where there is none.</summary>
    public async Task<bool> DeleteAsync(string id, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("DELETE FROM indexagent.agents WHERE id = $1");
        command.Parameters.Add(new() { Value = id });
        return await command.ExecuteNonQueryAsync(cancellationToken) == 1;
    }

    /// <summary>Ancestors that are still there, at most a thousand; the nearest first.</summary>
    public async Task<IReadOnlyList<SearchAgent>> ListAncestorsAsync(string id, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"""
            WITH RECURSIVE line (id, depth) AS (
                SELECT unnest(parents), 1 FROM indexagent.agents WHERE id = $1
                UNION
                SELECT unnest(a.parents), line.depth + 1 FROM line JOIN indexagent.agents a ON a.id = line.id WHERE line.depth < 50)
            SELECT {Columns} FROM (SELECT id, min(depth) AS depth FROM line GROUP BY id) near JOIN indexagent.agents USING (id) ORDER BY near.depth, number LIMIT 1000
            """);
        command.Parameters.Add(new() { Value = id });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await ReadAllAsync(reader, cancellationToken);
    }

    /// <summary>All counters and what they are about.</summary>
    public async Task<MetricsResponse> GetMetricsAsync(CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            WITH c AS (SELECT coalesce(jsonb_object_agg(name, value), '{}') AS counters FROM indexagent.counters)
            SELECT (SELECT count(*) FROM indexagent.agents WHERE status = 'active'), (SELECT count(*) FROM indexagent.populations),
                (SELECT count(*) FROM indexagent.patterns), (SELECT coalesce(avg(fitness), 0) FROM indexagent.agents WHERE status = 'active'),
                coalesce((counters ->> 'agents_created')::bigint, 0), coalesce((counters ->> 'patterns_extracted')::bigint, 0),
                coalesce((counters ->> 'search_queries')::bigint, 0), coalesce((counters ->> 'search_microseconds')::bigint, 0) FROM c
            """);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        var queries = reader.GetInt64(6);
        return new MetricsResponse(
            reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2), Math.Round(reader.GetDouble(3), 3),
            new CounterMetrics(reader.GetInt64(4), reader.GetInt64(5), queries, queries == 0 ? 0 : Math.Round(reader.GetInt64(7) / 1000.0 / queries, 3)));
    }

    internal static NpgsqlBatchCommand InsertCommand(SearchAgent agent, int place) => IndexStore.Command(
        Insert, agent.Id, agent.Name, agent.Language, agent.Capabilities.ToArray(), new NpgsqlParameter { Value = agent.Parameters, NpgsqlDbType = NpgsqlDbType.Jsonb },
        agent.Genome.Weights.ToArray(), agent.Fitness, agent.Generation, IndexStore.Nullable(agent.PopulationId, NpgsqlDbType.Text), agent.Parents.ToArray(), agent.CreatedAt, place);

    internal static NpgsqlBatchCommand CountCommand(string name, long count) => IndexStore.Command(
        "INSERT INTO indexagent.counters AS c (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = c.value + excluded.value", name, count);

    internal static async Task<IReadOnlyList<SearchAgent>> ReadAllAsync(NpgsqlDataReader reader, CancellationToken cancellationToken)
    {
        var agents = new List<SearchAgent>();
        while (await reader.ReadAsync(cancellationToken))
            agents.Add(new SearchAgent(
                reader.GetString(0), reader.GetString(1), reader.GetString(2), reader.GetFieldValue<string[]>(3), reader.GetString(4), new Genome(reader.GetFieldValue<double[]>(5)),
                reader.GetDouble(6), reader.GetInt32(7), reader.GetValue(8) as string, reader.GetFieldValue<string[]>(9), reader.GetString(10),
                reader.GetFieldValue<DateTimeOffset>(11), reader.GetFieldValue<DateTimeOffset>(12)));
        return agents;
    }
}
