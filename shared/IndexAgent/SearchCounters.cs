using Npgsql;

namespace FunctionsRegistry.IndexAgent;

/// <summary>
/// Counts searches and their time. A search does not wait for its count: counts are added up here and written at most once a second, and before
/// somebody reads them; a process that dies loses the last second's.
/// </summary>
public sealed class SearchCounters(NpgsqlDataSource database, TimeProvider time)
{
    private static readonly TimeSpan s_writeEvery = TimeSpan.FromSeconds(1);

    private long _queries;
    private long _microseconds;
    private long _writtenAt = time.GetTimestamp();

    /// <summary>Counts one search.</summary>
    public async ValueTask AddAsync(TimeSpan elapsed, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _queries);
        Interlocked.Add(ref _microseconds, (long)elapsed.TotalMicroseconds);
        var writtenAt = Interlocked.Read(ref _writtenAt);
        if (time.GetElapsedTime(writtenAt) >= s_writeEvery && Interlocked.CompareExchange(ref _writtenAt, time.GetTimestamp(), writtenAt) == writtenAt)
            await WriteAsync(cancellationToken);
    }

    /// <summary>Writes what was counted since the last time.</summary>
    public async Task WriteAsync(CancellationToken cancellationToken)
    {
        var (queries, microseconds) = (Interlocked.Exchange(ref _queries, 0), Interlocked.Exchange(ref _microseconds, 0));
        if (queries == 0)
            return;
        try
        {
            await using var command = database.CreateCommand("""
                INSERT INTO indexagent.counters AS c (name, value) VALUES ('search_microseconds', $2), ('search_queries', $1)
                ON CONFLICT (name) DO UPDATE SET value = c.value + excluded.value
                """);
            command.Parameters.Add(new() { Value = queries });
            command.Parameters.Add(new() { Value = microseconds });
            await command.ExecuteNonQueryAsync(cancellationToken);
        }
        catch
        {
            Interlocked.Add(ref _queries, queries);
            Interlocked.Add(ref _microseconds, microseconds);
            throw;
        }
    }
}
