using FunctionsRegistry.LocalStack;
using FunctionsRegistry.Postgres;
using FunctionsRegistry.Tests.Support;
using Npgsql;

[assembly: AssemblyFixture(typeof(TestServices))]

namespace FunctionsRegistry.Tests.Support;

/// <summary>
/// Real PostgreSQL, Redis and Azurite for the whole run: those that REGISTRY_TEST_POSTGRES (a connection string), REGISTRY_TEST_REDIS and
/// REGISTRY_TEST_BLOBS name, and started ones for the rest. One that cannot be had fails the run.
/// </summary>
public sealed class TestServices : IAsyncLifetime
{
    private bool _alwaysStarts;
    private LocalServices? _started;
    private string? _dataDirectory;

    /// <summary>Services that are started for one test class, whatever the environment names: such a class may break them. What they commit stays.</summary>
    public static TestServices CreateOwn() => new() { _alwaysStarts = true };

    /// <summary>Connection string of the server, on its maintenance database.</summary>
    public string Postgres { get; private set; } = "";

    /// <summary>Host and port.</summary>
    public string Redis { get; private set; } = "";

    /// <summary>Blob connection string.</summary>
    public string Blobs { get; private set; } = "";

    /// <summary>The migrated database that every test class gets a copy of.</summary>
    public string Template { get; } = $"registry_template_{Environment.ProcessId}_{Guid.CreateVersion7():N}"[..50];

    public async ValueTask InitializeAsync()
    {
        var postgres = _alwaysStarts ? null : Environment.GetEnvironmentVariable("REGISTRY_TEST_POSTGRES");
        var redis = _alwaysStarts ? null : Environment.GetEnvironmentVariable("REGISTRY_TEST_REDIS");
        var blobs = _alwaysStarts ? null : Environment.GetEnvironmentVariable("REGISTRY_TEST_BLOBS");
        _dataDirectory = Path.Combine(Path.GetTempPath(), $"functionsregistry-tests-{Environment.ProcessId}{(_alwaysStarts ? "-own" : "")}");
        _started = LocalServices.Start(
            new StackOptions { DataDirectory = _dataDirectory, Postgres = postgres is null, Redis = redis is null, Blobs = blobs is null, Fsync = _alwaysStarts },
            line => Console.Error.WriteLine(line));
        var settings = _started.Settings;
        Postgres = postgres ?? $"Host={settings["POSTGRES_HOST"]};Port={settings["POSTGRES_PORT"]};Username={settings["POSTGRES_USER"]};Password={settings["POSTGRES_PASSWORD"]};Database={settings["POSTGRES_DB"]}";
        Redis = redis ?? settings["REDIS_CONNECTION"]!;
        Blobs = blobs ?? settings["BLOB_CONNECTION"]!;
        await ExecuteAsync($"CREATE DATABASE {Template}");
        await new Migrator(ConnectionTo(Template)).MigrateAsync(CancellationToken.None);
        NpgsqlConnection.ClearAllPools();
    }

    public async ValueTask DisposeAsync()
    {
        NpgsqlConnection.ClearAllPools();
        await ExecuteAsync($"DROP DATABASE IF EXISTS {Template} WITH (FORCE)");
        _started?.Dispose();
        if (_dataDirectory is not null && Directory.Exists(_dataDirectory))
            Directory.Delete(_dataDirectory, recursive: true);
    }

    /// <summary>A connection string to another database of the server.</summary>
    public string ConnectionTo(string database) => new NpgsqlConnectionStringBuilder(Postgres) { Database = database, Pooling = false }.ConnectionString;

    /// <summary>Runs one statement on the maintenance database.</summary>
    public async Task ExecuteAsync(string sql)
    {
        await using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(Postgres) { Pooling = false }.ConnectionString);
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }
}
