using Azure.Core;
using FunctionsRegistry.Identity;
using FunctionsRegistry.Postgres;
using FunctionsRegistry.Tests.Identity;
using FunctionsRegistry.Tests.Support;
using Microsoft.Extensions.Configuration;
using Npgsql;

namespace FunctionsRegistry.Tests.Postgres;

/// <summary>
/// A role whose password changes stands for Entra's tokens. That Azure's server accepts the real ones cannot be shown here; that the app signs in with
/// the token of the moment can.
/// </summary>
public sealed class EntraLoginTests(TestServices services) : IAsyncLifetime
{
    private readonly string _database = $"entra_{Guid.CreateVersion7():N}";
    private readonly string _role = $"app-{Guid.CreateVersion7():N}";
    private readonly FakeCredential _credential = new();
    private readonly MovedTime _time = new();

    public async ValueTask InitializeAsync()
    {
        await services.ExecuteAsync($"CREATE DATABASE {_database}");
        await services.ExecuteAsync($"CREATE ROLE \"{_role}\" LOGIN");
        await new Migrator(services.ConnectionTo(_database), appRole: _role).MigrateAsync(default);
        await SetTokenAsync("token-1");
    }

    public async ValueTask DisposeAsync()
    {
        await services.ExecuteAsync($"DROP DATABASE {_database} WITH (FORCE)");
        await services.ExecuteAsync($"DROP ROLE \"{_role}\"");
    }

    [Fact]
    public async Task A_new_connection_signs_in_with_the_token_of_the_moment_and_open_ones_live_on()
    {
        var tokens = Tokens();
        await using var before = Options().CreateDataSource(tokens);
        await using var open = await before.OpenConnectionAsync();

        await SetTokenAsync("token-2");
        // The token at hand has an hour to live, so it is used; the server knows another one by now.
        await using (var stale = Options().CreateDataSource(tokens))
            (await Should.ThrowAsync<PostgresException>(async () => await stale.OpenConnectionAsync())).SqlState.ShouldBe(PostgresErrorCodes.InvalidPassword);

        _time.Move(TimeSpan.FromMinutes(56));
        await using var after = Options().CreateDataSource(tokens);
        await using (var fresh = await after.OpenConnectionAsync())
            (await ScalarAsync(fresh, "SELECT current_user::text")).ShouldBe(_role);
        (await ScalarAsync(open, "SELECT current_user::text")).ShouldBe(_role);
        _credential.Scopes.ShouldAllBe(scope => scope == EntraTokens.PostgresScope);
    }

    [Fact]
    public async Task Without_a_token_the_error_names_the_setting()
    {
        _credential.Next = null;
        var migrator = Options().CreateMigrator(Tokens());

        (await Should.ThrowAsync<EntraTokenException>(() => migrator.CheckAsync(default))).Message.ShouldContain("AZURE_CLIENT_ID");
    }

    [Fact]
    public async Task The_app_role_reads_and_writes_every_row_and_changes_nothing_else()
    {
        await using var owner = NpgsqlDataSource.Create(services.ConnectionTo(_database));
        await using var lacking = owner.CreateCommand("""
            SELECT schemaname || '.' || tablename FROM pg_tables
            WHERE tableowner = current_user AND schemaname NOT LIKE 'pg\_%' AND schemaname <> 'information_schema'
              AND tablename <> 'schema_migrations'
              AND EXISTS (SELECT 1 FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS needed
                          WHERE NOT has_table_privilege($1, format('%I.%I', schemaname, tablename), needed))
            """);
        lacking.Parameters.Add(new() { Value = _role });
        (await lacking.ExecuteScalarAsync()).ShouldBeNull();

        // It starts: the check at start reads the applied migrations.
        await Options().CreateMigrator(Tokens()).CheckAsync(default);
        await using var database = Options().CreateDataSource(Tokens());
        var store = new IdempotencyStore(database, _time);
        (await store.ClaimAsync([1], [2], default)).Claim.ShouldNotBeNull();

        foreach (var sql in (string[])["CREATE TABLE platform.mine (id int)", "DROP TABLE platform.idempotency_keys", "CREATE SCHEMA mine",
            "DELETE FROM platform.schema_migrations", "CREATE ROLE another"])
        {
            await using var command = database.CreateCommand(sql);
            (await Should.ThrowAsync<PostgresException>(() => command.ExecuteNonQueryAsync())).SqlState.ShouldBe(PostgresErrorCodes.InsufficientPrivilege, sql);
        }
    }

    [Fact]
    public async Task A_role_that_only_azure_could_make_is_named_in_the_error()
    {
        var migrator = new Migrator(services.ConnectionTo(_database), appRole: "nobody-" + _role);

        (await Should.ThrowAsync<InvalidOperationException>(() => migrator.MigrateAsync(default))).Message.ShouldStartWith("Database__AppRole: the role nobody-");
    }

    [Theory]
    [InlineData("POSTGRES_AUTH", "kerberos", "POSTGRES_AUTH must be password or entra.")]
    [InlineData("POSTGRES_PASSWORD", "hidden-one", "POSTGRES_AUTH is entra")]
    public void Contradictions_are_refused_without_the_password(string name, string value, string message)
    {
        var error = Should.Throw<InvalidOperationException>(() => Options((name, value)));

        error.Message.ShouldStartWith(message);
        error.Message.ShouldNotContain("hidden-one");
    }

    private DatabaseOptions Options(params (string Name, string Value)[] more)
    {
        var server = new NpgsqlConnectionStringBuilder(services.Postgres);
        var settings = new Dictionary<string, string?>
        {
            ["POSTGRES_AUTH"] = "entra",
            ["POSTGRES_HOST"] = server.Host,
            ["POSTGRES_PORT"] = server.Port.ToString(),
            ["POSTGRES_USER"] = _role,
            ["POSTGRES_DB"] = _database,
        };
        foreach (var (name, value) in more)
            settings[name] = value;
        return DatabaseOptions.FromConfiguration(new ConfigurationBuilder().AddInMemoryCollection(settings).Build(), migrateByDefault: false);
    }

    private EntraTokens Tokens() => new(new Lazy<TokenCredential>(() => _credential), _time);

    // The server asks for a password only where its pg_hba.conf says so; the local one does (scram-sha-256).
    private async Task SetTokenAsync(string token)
    {
        await services.ExecuteAsync($"ALTER ROLE \"{_role}\" PASSWORD '{token}'");
        _credential.Next = new AccessToken(token, _time.GetUtcNow() + TimeSpan.FromHours(1));
    }

    private static async Task<string> ScalarAsync(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        return (string)(await command.ExecuteScalarAsync())!;
    }
}
