using Npgsql;

namespace FunctionsRegistry.Marketplace;

/// <summary>One checked telemetry event. <paramref name="Agent"/> is "@scope/name" or what the client knows of it.</summary>
public sealed record TelemetryEvent(string Agent, string? Version, bool Success, int DurationMs, string? ErrorType, string? Os, string? CliVersion);

/// <summary>What clients tell of runs. Kept for 180 days.</summary>
public sealed class TelemetryStore(NpgsqlDataSource database, TimeProvider time)
{
    private static readonly TimeSpan s_keptFor = TimeSpan.FromDays(180);

    /// <summary>Stores one telemetry event; the agent is linked where its full name is known.</summary>
    public async Task InsertAsync(TelemetryEvent telemetry, CancellationToken cancellationToken)
    {
        const string Sql = """
            INSERT INTO marketplace.telemetry (id, agent_id, agent_name, version, success, duration_ms, error_type, os, cli_version, created_at)
            VALUES ($1, (SELECT id FROM marketplace.agents WHERE lower(scope) = lower(split_part($2, '/', 1)) AND name = split_part($2, '/', 2)),
                    $2, $3, $4, $5, $6, $7, $8, $9)
            """;
        var now = time.GetUtcNow();
        await using var command = database.CreateCommand(Sql);
        foreach (var value in (object?[])[Guid.CreateVersion7(now), telemetry.Agent, telemetry.Version, telemetry.Success, telemetry.DurationMs,
            telemetry.ErrorType, telemetry.Os, telemetry.CliVersion, now])
            command.Parameters.Add(new() { Value = value ?? DBNull.Value });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Deletes what is past its time, in batches that lock little.</summary>
    public async Task PurgeAsync(CancellationToken cancellationToken)
    {
        const string Sql = """
            DELETE FROM marketplace.telemetry WHERE id IN (SELECT id FROM marketplace.telemetry WHERE created_at < $1 ORDER BY created_at LIMIT 5000)
            """;
        int deleted;
        do
        {
            await using var command = database.CreateCommand(Sql);
            command.Parameters.Add(new() { Value = time.GetUtcNow() - s_keptFor });
            deleted = await command.ExecuteNonQueryAsync(cancellationToken);
        }
        while (deleted == 5000);
    }
}
