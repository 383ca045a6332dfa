using Microsoft.Extensions.Configuration;
using Npgsql;

namespace FunctionsRegistry.LocalRuntime.Timers;

/// <summary>
/// One process of several fires the timers: the one whose session holds an advisory lock, as the real host's singleton lock. When it dies, its session
/// ends and another takes over at its next firing. Without a configured database the process is alone and leads.
/// </summary>
internal sealed class TimerLeader(IConfiguration configuration, TimeProvider time) : IAsyncDisposable
{
    private const long LockKey = 0x54696d657273;
    private static readonly TimeSpan s_checkEvery = TimeSpan.FromSeconds(5);
    private readonly SemaphoreSlim _gate = new(1, 1);
    private NpgsqlConnection? _session;
    private DateTimeOffset _checkedAt;
    private bool _isLeader;

    public async Task<bool> IsLeaderAsync(CancellationToken cancellationToken)
    {
        if (configuration["POSTGRES_HOST"] is not { Length: > 0 } host)
            return true;
        await _gate.WaitAsync(cancellationToken);
        try
        {
            if (time.GetUtcNow() - _checkedAt < s_checkEvery)
                return _isLeader;
            _session ??= await OpenAsync(host, cancellationToken);
            await using var command = new NpgsqlCommand(_isLeader ? "SELECT true" : $"SELECT pg_try_advisory_lock({LockKey})", _session);
            _isLeader = (bool)(await command.ExecuteScalarAsync(cancellationToken))!;
            _checkedAt = time.GetUtcNow();
            return _isLeader;
        }
        catch (NpgsqlException)
        {
            // The session is gone, and the lock with it; the next firing tries again.
            await CloseAsync();
            return false;
        }
        finally
        {
            _gate.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await CloseAsync();
        _gate.Dispose();
    }

    private async Task CloseAsync()
    {
        _isLeader = false;
        if (_session is { } session)
            await session.DisposeAsync();
        _session = null;
    }

    private async Task<NpgsqlConnection> OpenAsync(string host, CancellationToken cancellationToken)
    {
        var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder
        {
            Host = host,
            Port = configuration.GetValue("POSTGRES_PORT", 5432),
            Username = configuration["POSTGRES_USER"] ?? "registry",
            Password = configuration["POSTGRES_PASSWORD"],
            Database = configuration["POSTGRES_DB"] ?? "registry",
            Pooling = false,
            Timeout = 4,
            KeepAlive = 30,
            ApplicationName = "functionsregistry-timers",
        }.ConnectionString);
        await connection.OpenAsync(cancellationToken);
        return connection;
    }
}
