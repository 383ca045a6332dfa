using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using FunctionsRegistry.Postgres;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace FunctionsRegistry.LocalRuntime.Timers;

/// <summary>
/// Of several processes on one database, a timer fires in the one whose session holds the timer's advisory lock; like the real host's singleton lock, it
/// is kept until the process ends: a lock per firing would let a process whose clock is behind fire once more. When a session ends, its locks are free, and
/// others take them at their next firing. Without a configured database the process is alone.
/// </summary>
internal sealed partial class TimerLocks(string? connectionString, ILogger logger) : IAsyncDisposable
{
    private readonly SemaphoreSlim _gate = new(1, 1);
    private readonly HashSet<string> _held = [];
    private NpgsqlConnection? _session;

    /// <summary>Whether this process fires the timer now; asks the server each time, because the session may be gone.</summary>
    public async Task<bool> TryHoldAsync(string function, CancellationToken cancellationToken)
    {
        if (connectionString is null)
            return true;
        await _gate.WaitAsync(cancellationToken);
        try
        {
            if (_session is not { State: System.Data.ConnectionState.Open })
            {
                await CloseAsync();
                _session = new NpgsqlConnection(connectionString);
                await _session.OpenAsync(cancellationToken);
            }
            await using var command = new NpgsqlCommand(_held.Contains(function) ? "SELECT true" : "SELECT pg_try_advisory_lock($1)", _session);
            if (!_held.Contains(function))
                command.Parameters.Add(new() { Value = KeyOf(function) });
            if (await command.ExecuteScalarAsync(cancellationToken) is not true)
                return false;
            _held.Add(function);
            return true;
        }
        catch (Exception exception) when (exception is NpgsqlException or InvalidOperationException)
        {
            // Who fires is not known without the database; the next firing tries again.
            LogUnavailable(function, exception.Message);
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

    /// <summary>The lock of a function: the same number in every process and version.</summary>
    internal static long KeyOf(string function) =>
        BinaryPrimitives.ReadInt64BigEndian(SHA256.HashData(Encoding.UTF8.GetBytes("timer:" + function.ToLowerInvariant())));

    /// <summary>From <c>DATABASE_URL</c> or <c>POSTGRES_*</c>; null when neither is set.</summary>
    internal static string? FindConnectionString(IConfiguration configuration)
    {
        var builder = new NpgsqlConnectionStringBuilder
        {
            // Locks belong to the session, and a pool would hand it to others.
            Pooling = false,
            Timeout = 4,
            CommandTimeout = 4,
            KeepAlive = 30,
            ApplicationName = "functionsregistry-timers",
        };
        return PostgresSettings.TryRead(configuration, builder) ? builder.ConnectionString : null;
    }

    private async Task CloseAsync()
    {
        _held.Clear();
        if (_session is { } session)
            await session.DisposeAsync();
        _session = null;
    }

    [LoggerMessage(112, LogLevel.Warning, "Timer function {Function} does not run now, because the database that decides which process runs it is unreachable: {Reason}")]
    private partial void LogUnavailable(string function, string reason);
}
