using Microsoft.Extensions.Logging;
using Npgsql;

namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>
/// This process among the workers of the hub. Locks name a worker, and hold while it lives: it renews a lease, and it has a session that holds its advisory
/// lock. A killed process loses its session at once, so others need not wait for the lease to end; what a dead worker had locked is free again.
/// The session also hears when others leave work.
/// </summary>
internal sealed partial class WorkerSession(NpgsqlDataSource database, DurableOptions options, ILogger<WorkerSession> logger) : IAsyncDisposable
{
    private const string Channel = "functionsregistry_durable";

    // After the server restarts, workers need a moment to take their advisory locks again.
    private const string IsDead = """
        (lease_until < now() OR (now() - pg_postmaster_start_time() > interval '6 seconds' AND pg_try_advisory_xact_lock(hashtextextended(worker_id::text, 0))))
        """;

    private NpgsqlConnection? _connection;
    private long _renewed;

    /// <summary>Who this is; another one after it was taken for dead.</summary>
    public Guid Id { get; private set; } = Guid.CreateVersion7(TimeProvider.System.GetUtcNow());

    /// <summary>Whether there are other workers.</summary>
    public bool HasOthers { get; private set; }

    /// <summary>Registers, so that locks of this worker hold.</summary>
    public async Task BeginAsync(CancellationToken cancellationToken)
    {
        await OpenAsync(cancellationToken);
        await RenewAsync(cancellationToken);
    }

    /// <summary>Waits for a sign that there is work, reconnecting as often as need be; returns after at most a minute.</summary>
    public async Task ListenAsync(CancellationToken cancellationToken)
    {
        if (_connection is not { State: System.Data.ConnectionState.Open })
            await OpenAsync(cancellationToken);
        await _connection!.WaitAsync(TimeSpan.FromMinutes(1), cancellationToken);
    }

    /// <summary>Tells other workers that there is work.</summary>
    public async Task NotifyAsync(CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"NOTIFY {Channel}");
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Renews the lease when it is time, and frees what dead workers had locked; returns whether there was any.</summary>
    public async Task<bool> MaintainAsync(DateTime now, CancellationToken cancellationToken)
    {
        if (System.Diagnostics.Stopwatch.GetElapsedTime(_renewed) > TimeSpan.FromSeconds(options.LeaseSeconds / 4.0))
            await RenewAsync(cancellationToken);
        await using var command = database.CreateCommand(
            $"""
            WITH dead AS (DELETE FROM durable.workers WHERE worker_id <> $1 AND {IsDead} RETURNING worker_id),
            alive AS (SELECT worker_id FROM durable.workers EXCEPT SELECT worker_id FROM dead),
            turns AS (
                UPDATE durable.instances SET locked_by = NULL
                WHERE locked_by NOT IN (SELECT worker_id FROM alive) AND instance_id IN (SELECT instance_id FROM durable.messages WHERE due_at <= $2)
                RETURNING 1),
            work AS (UPDATE durable.activities SET locked_by = NULL WHERE locked_by NOT IN (SELECT worker_id FROM alive) RETURNING 1)
            SELECT (SELECT count(*) FROM dead), (SELECT count(*) FROM turns), (SELECT count(*) FROM work), (SELECT count(*) FROM durable.workers)
            """);
        command.Parameters.Add(DurableSql.Of(Id));
        command.Parameters.Add(DurableSql.Of(now));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        var (dead, turns, activities) = (reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2));
        HasOthers = reader.GetInt64(3) - dead > 1;
        if (dead + turns + activities == 0)
            return false;
        LogDead(dead, turns, activities);
        return true;
    }

    /// <summary>Gives everything back and leaves.</summary>
    public async Task EndAsync(CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.Add("UPDATE durable.activities SET locked_by = NULL, attempts = attempts - 1 WHERE locked_by = $1", DurableSql.Of(Id));
        batch.Add(
            """
            UPDATE durable.instances SET locked_by = NULL, attempts = attempts - 1
            WHERE locked_by = $1 AND instance_id IN (SELECT instance_id FROM durable.messages)
            """,
            DurableSql.Of(Id));
        batch.Add("DELETE FROM durable.workers WHERE worker_id = $1", DurableSql.Of(Id));
        await batch.ExecuteNonQueryAsync(cancellationToken);
        if (HasOthers)
            await NotifyAsync(cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        if (_connection is not null)
            await _connection.DisposeAsync();
    }

    private async Task OpenAsync(CancellationToken cancellationToken)
    {
        if (_connection is not null)
            await _connection.DisposeAsync();
        // Not pooled: the lock and the channel belong to the session.
        var builder = new NpgsqlConnectionStringBuilder(options.ConnectionString) { Pooling = false, KeepAlive = 10, Options = "" };
        _connection = new NpgsqlConnection(builder.ConnectionString);
        await _connection.OpenAsync(cancellationToken);
        await using var command = new NpgsqlCommand($"LISTEN {Channel}", _connection);
        await command.ExecuteNonQueryAsync(cancellationToken);
        await LockAsync(cancellationToken);
    }

    private async Task LockAsync(CancellationToken cancellationToken)
    {
        // A session of ours that broke may hold it for a moment longer; whoever looks whether we are dead holds it for an instant.
        await using var command = new NpgsqlCommand("SELECT pg_advisory_lock(hashtextextended($1::uuid::text, 0))", _connection) { CommandTimeout = 30 };
        command.Parameters.Add(DurableSql.Of(Id));
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    private async Task RenewAsync(CancellationToken cancellationToken)
    {
        var isFirst = _renewed == 0;
        await using var command = database.CreateCommand(isFirst
            ? "INSERT INTO durable.workers (worker_id, lease_until) VALUES ($1, now() + make_interval(secs => $2)) ON CONFLICT (worker_id) DO NOTHING"
            : "UPDATE durable.workers SET lease_until = now() + make_interval(secs => $2) WHERE worker_id = $1");
        command.Parameters.Add(DurableSql.Of(Id));
        command.Parameters.Add(new() { Value = (double)options.LeaseSeconds });
        if (await command.ExecuteNonQueryAsync(cancellationToken) == 0 && !isFirst)
        {
            LogTakenForDead();
            // What was locked under the old name is lost; what is stored under it from now on is refused.
            Id = Guid.CreateVersion7(TimeProvider.System.GetUtcNow());
            _renewed = 0;
            await BeginAsync(cancellationToken);
            return;
        }
        _renewed = System.Diagnostics.Stopwatch.GetTimestamp();
    }

    [LoggerMessage(131, LogLevel.Warning, "{Workers} durable worker(s) died: {Turns} turn(s) and {Activities} activities are free again")]
    private partial void LogDead(long workers, long turns, long activities);

    [LoggerMessage(132, LogLevel.Warning, "This durable worker did not renew its lease in time and was taken for dead: what it was doing is done again")]
    private partial void LogTakenForDead();
}
