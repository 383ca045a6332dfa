using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Json;
using Npgsql;

namespace FunctionsRegistry.DataRegistry;

/// <summary>Research requests: what somebody wants to know, for agents to take up and report on.</summary>
public sealed class ResearchStore(RegistryDatabase database, TimeProvider time)
{
    // The table's times have no zone; they are UTC.
    private const string Columns = """
        request_id, user_id, agent_type, status, input_params::text, output_summary::text, processing_metadata::text, created_at AT TIME ZONE 'UTC',
        started_at AT TIME ZONE 'UTC', completed_at AT TIME ZONE 'UTC', error_message
        """;

    /// <summary>Creates a pending request.</summary>
    public async Task<ResearchRequest> InsertAsync(NewResearchRequest request, CancellationToken cancellationToken)
    {
        const string Sql = $"""
            INSERT INTO dhg.research_requests (request_id, user_id, agent_type, input_params, created_at, updated_at)
            VALUES ($1, $2, $3, $4, $5::timestamptz AT TIME ZONE 'UTC', $5::timestamptz AT TIME ZONE 'UTC')
            ON CONFLICT (request_id) DO NOTHING RETURNING {Columns}
            """;
        var input = Json(request.InputParams, DataRegistryJson.Default.ResearchInput);
        while (true)
        {
            // Twelve hex digits are the contract's form; among millions of requests two can meet.
            var id = "req_" + RandomNumberGenerator.GetHexString(12, lowercase: true);
            var created = await database.WriteAsync(
                "create_research_request", Sql, Read, cancellationToken, id, request.UserId, request.AgentType, input, time.GetUtcNow());
            if (created is not null)
                return created;
        }
    }

    /// <summary>A numbered page of requests, newest first, and how many there are.</summary>
    public async Task<ResearchListResponse> ListAsync(
        string? userId, string? status, string? agentType, int page, int pageSize, CancellationToken cancellationToken)
    {
        const string Where = "WHERE ($1::text IS NULL OR user_id = $1) AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR agent_type = $3)";
        // The outer join keeps the total where the page is empty.
        const string Sql = $"""
            SELECT total.requests, p.* FROM (SELECT count(*) AS requests FROM dhg.research_requests {Where}) total LEFT JOIN (
                SELECT {Columns}, created_at AS place FROM dhg.research_requests {Where} ORDER BY created_at DESC, request_id DESC LIMIT $4 OFFSET $5) p ON true
            ORDER BY p.place DESC, p.request_id DESC
            """;
        var rows = await database.ReadAsync(
            "list_research_requests", Sql, reader => (Total: reader.GetInt64(0), Request: reader.IsDBNull(1) ? null : Read(reader, 1)),
            cancellationToken, userId, status, agentType, pageSize, (long)(page - 1) * pageSize);
        return new ResearchListResponse([.. rows.Select(row => row.Request).OfType<ResearchRequest>()], rows[0].Total, page, pageSize);
    }

    /// <summary>One request, or null.</summary>
    public Task<ResearchRequest?> FindAsync(string id, CancellationToken cancellationToken) =>
        database.FindAsync("get_research_request", $"SELECT {Columns} FROM dhg.research_requests WHERE request_id = $1", Read, cancellationToken, id);

    /// <summary>Those of some requests that exist.</summary>
    public Task<List<ResearchRequest>> ListAsync(IReadOnlyCollection<string> ids, CancellationToken cancellationToken) => database.ReadAsync(
        "list_research_requests", $"SELECT {Columns} FROM dhg.research_requests WHERE request_id = ANY($1) ORDER BY request_id", Read, cancellationToken,
        (object)ids.ToArray());

    /// <summary>The median time in seconds that the last hundred completed requests of a type took; null where there is none.</summary>
    public async Task<double?> EstimateSecondsAsync(string agentType, CancellationToken cancellationToken)
    {
        const string Sql = """
            SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM completed_at - coalesce(started_at, created_at)))::float8 FROM (
                SELECT created_at, started_at, completed_at FROM dhg.research_requests
                WHERE status = 'completed' AND agent_type = $1 AND completed_at >= coalesce(started_at, created_at)
                ORDER BY created_at DESC, request_id DESC LIMIT 100) last
            """;
        return (await database.ReadAsync("estimate_research_request", Sql, reader => reader.Number(0), cancellationToken, agentType))[0];
    }

    /// <summary>Changes what was sent. The first time that a request runs sets started_at.</summary>
    /// <exception cref="RegistryException">404: no such request.</exception>
    public async Task<ResearchRequest> UpdateAsync(string id, ResearchPatch patch, CancellationToken cancellationToken)
    {
        const string Sql = $"""
            UPDATE dhg.research_requests SET
                status = coalesce($2::text, status),
                started_at = CASE WHEN $2 = 'running' THEN coalesce(started_at, $11::timestamptz AT TIME ZONE 'UTC') ELSE started_at END,
                output_summary = CASE WHEN $3 THEN $4::jsonb ELSE output_summary END,
                processing_metadata = CASE WHEN $5 THEN $6::jsonb ELSE processing_metadata END,
                error_message = CASE WHEN $7 THEN $8::text ELSE error_message END,
                completed_at = CASE WHEN $9 THEN $10::timestamptz AT TIME ZONE 'UTC' ELSE completed_at END,
                updated_at = $11::timestamptz AT TIME ZONE 'UTC'
            WHERE request_id = $1 RETURNING {Columns}
            """;
        return await database.WriteAsync("update_research_request", Sql, Read, cancellationToken, id, patch.Status,
            patch.OutputSummary.IsSent, Json(patch.OutputSummary.Value, DataRegistryJson.Default.ResearchOutput),
            patch.ProcessingMetadata.IsSent, Json(patch.ProcessingMetadata.Value, DataRegistryJson.Default.ResearchProcessing),
            patch.ErrorMessage.IsSent, patch.ErrorMessage.Value, patch.CompletedAt.IsSent, patch.CompletedAt.Value, time.GetUtcNow())
            ?? throw DataRegistryErrors.ResearchRequestNotFound();
    }

    /// <summary>Fails a request that is not over yet; null where there is none, or it is over.</summary>
    public Task<ResearchRequest?> CancelAsync(string id, CancellationToken cancellationToken)
    {
        const string Sql = $"""
            UPDATE dhg.research_requests SET status = 'failed', error_message = 'Cancelled by the client',
                completed_at = $2::timestamptz AT TIME ZONE 'UTC', updated_at = $2::timestamptz AT TIME ZONE 'UTC'
            WHERE request_id = $1 AND status IN ('pending', 'running') RETURNING {Columns}
            """;
        return database.WriteAsync("cancel_research_request", Sql, Read, cancellationToken, id, time.GetUtcNow());
    }

    /// <summary>Deletes a request.</summary>
    /// <exception cref="RegistryException">404: no such request.</exception>
    public async Task DeleteAsync(string id, CancellationToken cancellationToken) => _ = await database.WriteAsync(
        "delete_research_request", $"DELETE FROM dhg.research_requests WHERE request_id = $1 RETURNING {Columns}", Read, cancellationToken, id)
        ?? throw DataRegistryErrors.ResearchRequestNotFound();

    private static RawJson? Json<T>(T? value, JsonTypeInfo<T> type) where T : class =>
        value is null ? null : new RawJson(JsonSerializer.Serialize(value, type));

    private static ResearchRequest Read(NpgsqlDataReader reader) => Read(reader, 0);

    private static ResearchRequest Read(NpgsqlDataReader reader, int at) => new(
        reader.GetString(at), reader.GetString(at + 1), reader.GetString(at + 2), reader.GetString(at + 3), new RawJson(reader.GetString(at + 4)),
        reader.Json(at + 5), reader.Json(at + 6), reader.Time(at + 7), reader.OptionalTime(at + 8), reader.OptionalTime(at + 9), reader.Text(at + 10));
}
