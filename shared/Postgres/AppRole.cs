using Npgsql;

namespace FunctionsRegistry.Postgres;

/// <summary>
/// The role that the app signs in with where another one migrates: it reads and writes rows and calls functions, in every schema of the app, and cannot
/// change the schema.
/// </summary>
internal static class AppRole
{
    // Where Azure keeps the functions that tie roles to Entra identities.
    private const string AdministrationDatabase = "postgres";

    /// <summary>Makes the role where it is missing, and grants; every run grants again, for what the migrations before it created.</summary>
    /// <param name="migrated">A connection to the migrated database, as the owner of its schemas.</param>
    /// <param name="open">Opens another database of the same server.</param>
    public static async Task GrantAsync(NpgsqlConnection migrated, string role, Func<string, Task<NpgsqlConnection>> open, CancellationToken cancellationToken)
    {
        if (!await ExistsAsync(migrated, role, cancellationToken))
            await using (var administration = await open(AdministrationDatabase))
                await CreateAsync(administration, role, cancellationToken);
        // Ours are the schemas that the migrating role owns, beside `public`, which holds what extensions put there. Identifiers are quoted by PostgreSQL.
        const string Grants = """
            DO $do$
            DECLARE
                app text := current_setting('functionsregistry.app_role');
                one record;
            BEGIN
                EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), app);
                FOR one IN SELECT nspname AS name FROM pg_namespace WHERE nspowner = current_user::regrole ORDER BY nspname LOOP
                    CONTINUE WHEN one.name LIKE 'pg\_%' OR one.name = 'information_schema';
                    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', one.name, app);
                    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO %I', one.name, app);
                    EXECUTE format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %I TO %I', one.name, app);
                    EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA %I TO %I', one.name, app);
                END LOOP;
                EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON platform.schema_migrations FROM %I', app);
            END
            $do$
            """;
        await using var transaction = await migrated.BeginTransactionAsync(cancellationToken);
        await using (var name = new NpgsqlCommand("SELECT set_config('functionsregistry.app_role', $1, true)", migrated, transaction))
        {
            name.Parameters.Add(new() { Value = role });
            await name.ExecuteNonQueryAsync(cancellationToken);
        }
        await using (var grants = new NpgsqlCommand(Grants, migrated, transaction))
            await grants.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
    }

    private static async Task<bool> ExistsAsync(NpgsqlConnection connection, string role, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand("SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = $1)", connection);
        command.Parameters.Add(new() { Value = role });
        return (bool)(await command.ExecuteScalarAsync(cancellationToken))!;
    }

    private static async Task CreateAsync(NpgsqlConnection connection, string role, CancellationToken cancellationToken)
    {
        // Azure's function makes a role that signs in with the tokens of the identity of that name; neither administrator nor asked for a second factor.
        await using var command = new NpgsqlCommand("SELECT pgaadauth_create_principal($1, false, false)", connection);
        command.Parameters.Add(new() { Value = role });
        try
        {
            await command.ExecuteNonQueryAsync(cancellationToken);
        }
        catch (PostgresException exception) when (exception.SqlState == PostgresErrorCodes.UndefinedFunction)
        {
            throw new InvalidOperationException(
                $"Database__AppRole: the role {role} does not exist and only Azure's PostgreSQL can make it here; create it, then migrate again.");
        }
    }
}
