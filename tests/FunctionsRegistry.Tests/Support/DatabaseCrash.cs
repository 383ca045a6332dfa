using System.Diagnostics;
using Npgsql;

namespace FunctionsRegistry.Tests.Support;

/// <summary>
/// Crashes a PostgreSQL server that belongs to the test: a backend that is killed makes it end all sessions and recover from its log as after a power cut,
/// answering nobody meanwhile.
/// </summary>
internal static class DatabaseCrash
{
    /// <summary>Returns when it answers again.</summary>
    public static async Task RunAsync(string connectionString)
    {
        var notPooled = new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false }.ConnectionString;
        await using var victim = new NpgsqlConnection(notPooled);
        await victim.OpenAsync();
        await using var witness = new NpgsqlConnection(notPooled);
        await witness.OpenAsync();
        using (var backend = Process.GetProcessById(victim.ProcessID))
            backend.Kill();
        // Ended by the server: from here on it recovers.
        await using var sleep = new NpgsqlCommand("SELECT pg_sleep(60)", witness);
        await Should.ThrowAsync<NpgsqlException>(() => sleep.ExecuteNonQueryAsync());
        for (var tries = 0; ; tries++)
        {
            try
            {
                await using var connection = new NpgsqlConnection(notPooled);
                await connection.OpenAsync();
                return;
            }
            catch (NpgsqlException) when (tries < 300)
            {
                await Task.Delay(100);
            }
        }
    }
}
