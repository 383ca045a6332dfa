using FunctionsRegistry.Postgres;
using FunctionsRegistry.Tests.Support;
using Npgsql;

namespace FunctionsRegistry.Tests.Postgres;

public sealed class MigratorTests(TestServices services) : IAsyncLifetime
{
    private readonly string _database = $"migrations_{Guid.CreateVersion7():N}";

    public async ValueTask InitializeAsync() => await services.ExecuteAsync($"CREATE DATABASE {_database}");

    public async ValueTask DisposeAsync() => await services.ExecuteAsync($"DROP DATABASE {_database} WITH (FORCE)");

    [Fact]
    public async Task Ten_processes_at_once_apply_each_migration_once()
    {
        var applied = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => Migrator().MigrateAsync(default)));

        applied.SelectMany(names => names).Order().ShouldBe(FunctionsRegistry.Postgres.Migrator.Embedded.Select(migration => migration.Name));
        await Migrator().CheckAsync(default);
    }

    [Fact]
    public async Task A_missing_older_newer_or_edited_schema_is_refused()
    {
        await RefusedAsync("no schema yet");
        await Migrator().MigrateAsync(default);

        await ExecuteAsync("UPDATE platform.schema_migrations SET sha256 = 'x' WHERE number = 1");
        await RefusedAsync("0001_platform.sql was changed after it was applied");
        (await Should.ThrowAsync<SchemaMismatchException>(() => Migrator().MigrateAsync(default))).Message.ShouldContain("changed");

        await ExecuteAsync("DELETE FROM platform.schema_migrations WHERE number = 1");
        await RefusedAsync("older than this build");
        await ExecuteAsync("INSERT INTO platform.schema_migrations (number, name, sha256) VALUES (9999, 'x', 'x')");
        await RefusedAsync("newer than this build");
    }

    [Fact]
    public void Migrations_are_numbered_without_a_gap()
    {
        var numbers = FunctionsRegistry.Postgres.Migrator.Embedded.Select(migration => migration.Number).ToList();

        numbers.ShouldBe(Enumerable.Range(1, numbers.Count));
        FunctionsRegistry.Postgres.Migrator.Embedded.ShouldAllBe(migration => System.Text.RegularExpressions.Regex.IsMatch(migration.Name, "^[0-9]{4}_[a-z0-9_]+\\.sql$"));
    }

    private Migrator Migrator() => new(services.ConnectionTo(_database));

    private async Task RefusedAsync(string text) =>
        (await Should.ThrowAsync<SchemaMismatchException>(() => Migrator().CheckAsync(default))).Message.ShouldContain(text);

    private async Task ExecuteAsync(string sql)
    {
        await using var connection = new NpgsqlConnection(services.ConnectionTo(_database));
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }
}
