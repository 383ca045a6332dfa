using Npgsql;

namespace FunctionsRegistry.Marketplace;

/// <summary>A user of the marketplace.</summary>
public sealed record User(Guid Id, long GithubId, string Username, string? DisplayName, string? AvatarUrl);

/// <summary>What GitHub says of an account.</summary>
public sealed record GitHubProfile(long GithubId, string Username, string? DisplayName, string? Email, string? AvatarUrl);

/// <summary>Users, their tokens, and sign-ins under way.</summary>
public sealed class UserStore(NpgsqlDataSource database, TimeProvider time)
{
    /// <summary>Creates or refreshes the user of a GitHub account. A login that another account had before (renamed at GitHub) moves to this one.</summary>
    public async Task<User> UpsertAsync(GitHubProfile profile, CancellationToken cancellationToken)
    {
        const string FreeName = """
            UPDATE marketplace.users SET username = username || '-' || github_id, updated_at = $3 WHERE lower(username) = lower($1) AND github_id <> $2
            """;
        const string Upsert = """
            INSERT INTO marketplace.users AS u (id, github_id, username, display_name, email, avatar_url, created_at, updated_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
            ON CONFLICT (github_id) DO UPDATE SET username = excluded.username, display_name = excluded.display_name, email = excluded.email,
                avatar_url = excluded.avatar_url, updated_at = excluded.updated_at
            RETURNING id, github_id, username, display_name, avatar_url
            """;
        // Two first sign-ins under one login at once (a rename and its successor): the second frees the name again.
        try
        {
            return await UpsertOnceAsync(FreeName, Upsert, profile, cancellationToken);
        }
        catch (PostgresException exception) when (exception.SqlState is PostgresErrorCodes.UniqueViolation or PostgresErrorCodes.DeadlockDetected)
        {
            return await UpsertOnceAsync(FreeName, Upsert, profile, cancellationToken);
        }
    }

    private async Task<User> UpsertOnceAsync(string freeName, string upsertUser, GitHubProfile profile, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
#pragma warning disable CA2100 // The texts are the caller's constants.
        await using var free = new NpgsqlCommand(freeName, connection, transaction);
        free.Parameters.Add(new() { Value = profile.Username });
        free.Parameters.Add(new() { Value = profile.GithubId });
        free.Parameters.Add(new() { Value = now });
        await free.ExecuteNonQueryAsync(cancellationToken);
        await using var upsert = new NpgsqlCommand(upsertUser, connection, transaction);
#pragma warning restore CA2100
        foreach (var value in (object?[])[Guid.CreateVersion7(now), profile.GithubId, profile.Username, profile.DisplayName, profile.Email, profile.AvatarUrl, now])
            upsert.Parameters.Add(new() { Value = value ?? DBNull.Value });
        User user;
        await using (var reader = await upsert.ExecuteReaderAsync(cancellationToken))
        {
            await reader.ReadAsync(cancellationToken);
            user = Read(reader);
        }
        await transaction.CommitAsync(cancellationToken);
        return user;
    }

    /// <summary>Stores the hash of a new token.</summary>
    public async Task InsertTokenAsync(Guid userId, byte[] hash, DateTimeOffset expiresAt, CancellationToken cancellationToken)
    {
        const string Sql = """
            INSERT INTO marketplace.tokens (id, user_id, hash, scopes, created_at, expires_at) VALUES ($1, $2, $3, '{publish}', $4, $5)
            """;
        var now = time.GetUtcNow();
        await using var command = database.CreateCommand(Sql);
        foreach (var value in (object[])[Guid.CreateVersion7(now), userId, hash, now, expiresAt])
            command.Parameters.Add(new() { Value = value });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>The user of a token that is neither expired nor revoked, with the token's end; null otherwise.</summary>
    public async Task<(User User, DateTimeOffset ExpiresAt)?> FindByTokenAsync(byte[] hash, CancellationToken cancellationToken)
    {
        const string Sql = """
            SELECT u.id, u.github_id, u.username, u.display_name, u.avatar_url, t.expires_at
            FROM marketplace.tokens t JOIN marketplace.users u ON u.id = t.user_id
            WHERE t.hash = $1 AND t.revoked_at IS NULL AND t.expires_at > $2
            """;
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = hash });
        command.Parameters.Add(new() { Value = time.GetUtcNow() });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? (Read(reader), reader.GetFieldValue<DateTimeOffset>(5)) : null;
    }

    /// <summary>Revokes a token; no error when there is none.</summary>
    public async Task RevokeTokenAsync(byte[] hash, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("UPDATE marketplace.tokens SET revoked_at = $2 WHERE hash = $1 AND revoked_at IS NULL");
        command.Parameters.Add(new() { Value = hash });
        command.Parameters.Add(new() { Value = time.GetUtcNow() });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Remembers a sign-in's state.</summary>
    public async Task InsertStateAsync(byte[] hash, string redirectUri, DateTimeOffset expiresAt, CancellationToken cancellationToken)
    {
        // A client that starts over with the state it chose before starts a new ten minutes.
        const string Sql = """
            INSERT INTO marketplace.oauth_states (hash, redirect_uri, expires_at) VALUES ($1, $2, $3)
            ON CONFLICT (hash) DO UPDATE SET redirect_uri = excluded.redirect_uri, expires_at = excluded.expires_at
            """;
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = hash });
        command.Parameters.Add(new() { Value = redirectUri });
        command.Parameters.Add(new() { Value = expiresAt });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>The redirect_uri of a state that is still good, without using it up.</summary>
    public async Task<string?> FindStateAsync(byte[] hash, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("SELECT redirect_uri FROM marketplace.oauth_states WHERE hash = $1 AND expires_at > $2");
        command.Parameters.Add(new() { Value = hash });
        command.Parameters.Add(new() { Value = time.GetUtcNow() });
        return await command.ExecuteScalarAsync(cancellationToken) as string;
    }

    /// <summary>Uses up a state; true for the one caller that got it in time.</summary>
    public async Task<bool> TakeStateAsync(byte[] hash, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("DELETE FROM marketplace.oauth_states WHERE hash = $1 RETURNING expires_at > $2");
        command.Parameters.Add(new() { Value = hash });
        command.Parameters.Add(new() { Value = time.GetUtcNow() });
        return await command.ExecuteScalarAsync(cancellationToken) is true;
    }

    /// <summary>Forgets states and tokens whose time is over.</summary>
    public async Task PurgeAsync(CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        foreach (var sql in (string[])["DELETE FROM marketplace.oauth_states WHERE expires_at < $1", "DELETE FROM marketplace.tokens WHERE expires_at < $1 - interval '30 days'"])
        {
            var command = new NpgsqlBatchCommand(sql);
            command.Parameters.Add(new() { Value = time.GetUtcNow() });
            batch.BatchCommands.Add(command);
        }
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>A public profile with its sums, or null.</summary>
    public async Task<(Guid Id, UserProfile Profile)?> FindProfileAsync(string username, CancellationToken cancellationToken)
    {
        const string Sql = """
            SELECT u.id, u.username, u.display_name, u.avatar_url, u.bio, u.website, s.agents, s.downloads, u.created_at
            FROM marketplace.users u CROSS JOIN LATERAL (
                SELECT count(*) AS agents, coalesce(sum(download_count), 0)::bigint AS downloads FROM marketplace.agent_counters
                WHERE author_id = u.id AND is_listed) s
            WHERE lower(u.username) = lower($1)
            """;
        await using var command = database.CreateCommand(Sql);
        command.Parameters.Add(new() { Value = username });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            return null;
        return (reader.GetGuid(0), new UserProfile(reader.GetString(1), reader.GetValue(2) as string, reader.GetValue(3) as string, reader.GetValue(4) as string,
            reader.GetValue(5) as string, reader.GetInt64(6), reader.GetInt64(7), reader.GetFieldValue<DateTimeOffset>(8)));
    }

    private static User Read(NpgsqlDataReader reader) =>
        new(reader.GetGuid(0), reader.GetInt64(1), reader.GetString(2), reader.GetValue(3) as string, reader.GetValue(4) as string);
}
