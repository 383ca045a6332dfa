using FunctionsRegistry.Postgres;
using FunctionsRegistry.RateLimits;
using Npgsql;

namespace FunctionsRegistry.Functions;

/// <summary>What an app that faces the internet must not start with. The local runtime asks for none of it.</summary>
internal static class StartupChecks
{
    // 16 random characters are past guessing; the deployment makes longer ones.
    private const int ShortestSecret = 16;

    private static readonly string[] s_blobSettings = ["BLOB_CONNECTION", "AzureWebJobsStorage"];

    // Passwords of samples, of the contracts' own examples and of this repository.
    private static readonly string[] s_defaults = ["airflow", "registry", "postgres", "password", "admin", "changeme", "secret", "guest"];

    /// <summary>Does nothing, or says everything that is wrong in one line.</summary>
    /// <exception cref="InvalidOperationException">A secret is missing, a default or not resolved; names every setting and shows no value.</exception>
    public static void Refuse(IConfiguration configuration, DatabaseOptions database, RedisOptions redis)
    {
        List<string> wrong =
            [.. UnresolvedReferences(configuration), .. Secrets(configuration), .. Postgres(configuration, database), .. Redis(redis), .. Blobs(configuration)];
        if (wrong.Count > 0)
            throw new InvalidOperationException(string.Join("; ", wrong));
    }

    // The host leaves the reference's own text in a setting that it could not resolve: without this check that text would be the password.
    private static IEnumerable<string> UnresolvedReferences(IConfiguration configuration) =>
        from pair in configuration.AsEnumerable()
        where pair.Value?.StartsWith("@Microsoft.KeyVault(", StringComparison.OrdinalIgnoreCase) == true
        orderby pair.Key
        select $"{Name(pair.Key)} is a key vault reference that was not resolved (does the secret exist, and may the app's identity read it?)";

    private static IEnumerable<string> Secrets(IConfiguration configuration) => new[]
    {
        Secret(configuration, "InternalApiKey", isNeeded: true, "DHG, IndexAgent and Evolution would be open to everybody"),
        Secret(configuration, "AIRFLOW_PASSWORD", isNeeded: true, "nobody could sign in to the Airflow API"),
        Secret(configuration, "Hokusai:AdminKey", isNeeded: false, ""),
    }.OfType<string>();

    private static string? Secret(IConfiguration configuration, string key, bool isNeeded, string otherwise) => configuration[key] switch
    {
        null or "" => isNeeded ? $"{Name(key)} is not set: {otherwise}" : null,
        var text when IsDefault(text) => $"{Name(key)} is a default password",
        { Length: < ShortestSecret } => $"{Name(key)} is shorter than {ShortestSecret} characters",
        _ => null,
    };

    private static IEnumerable<string> Postgres(IConfiguration configuration, DatabaseOptions database)
    {
        var connection = new NpgsqlConnectionStringBuilder(database.ConnectionString);
        var hasUrl = !string.IsNullOrEmpty(configuration["DATABASE_URL"]);
        var (password, mode) = hasUrl ? ("DATABASE_URL", "DATABASE_URL") : ("POSTGRES_PASSWORD", "POSTGRES_SSLMODE");
        if (connection.SslMode is SslMode.Disable or SslMode.Allow or SslMode.Prefer)
            yield return $"{mode}: sslmode must be require, verify-ca or verify-full, or the password may travel in the clear";
        if (database.UsesEntra)
            yield break;
        if (string.IsNullOrEmpty(connection.Password))
            yield return $"{password} is not set (or set POSTGRES_AUTH=entra)";
        else if (IsDefault(connection.Password) || connection.Password == connection.Username)
            yield return $"{password} is a default password";
    }

    private static IEnumerable<string> Redis(RedisOptions redis)
    {
        if (!redis.Configuration.Ssl)
            yield return "REDIS_CONNECTION must say ssl=true";
        if (!redis.UsesEntra && string.IsNullOrEmpty(redis.Configuration.Password))
            yield return "REDIS_CONNECTION has no password (or set REDIS_AUTH=entra)";
        else if (!redis.UsesEntra && IsDefault(redis.Configuration.Password))
            yield return "REDIS_CONNECTION has a default password";
    }

    private static IEnumerable<string> Blobs(IConfiguration configuration) =>
        from name in s_blobSettings
        let text = configuration[name] ?? ""
        where text.Contains("UseDevelopmentStorage", StringComparison.OrdinalIgnoreCase) || text.Contains("devstoreaccount1", StringComparison.OrdinalIgnoreCase)
        select $"{name} is the storage emulator with its well-known key";

    private static bool IsDefault(string text) => s_defaults.Contains(text, StringComparer.OrdinalIgnoreCase);

    // As it is written among environment variables and app settings.
    private static string Name(string key) => key.Replace(":", "__", StringComparison.Ordinal);
}
