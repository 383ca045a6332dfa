using FunctionsRegistry.Functions;
using FunctionsRegistry.Postgres;
using FunctionsRegistry.RateLimits;
using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.Tests.Azure;

public sealed class StartupCheckTests
{
    private static readonly Dictionary<string, string?> s_good = new()
    {
        ["POSTGRES_HOST"] = "db.example",
        ["POSTGRES_AUTH"] = "entra",
        ["POSTGRES_SSLMODE"] = "verify-full",
        ["REDIS_CONNECTION"] = "redis.example:10000,ssl=true",
        ["REDIS_AUTH"] = "entra",
        ["BLOB_SERVICE_URI"] = "https://blobs.example/",
        ["InternalApiKey"] = "0123456789abcdef0123456789abcdef",
        ["AIRFLOW_PASSWORD"] = "fedcba9876543210fedcba9876543210",
    };

    [Fact]
    public void What_the_deployment_sets_is_accepted() => Refuse([]);

    [Theory]
    [InlineData("InternalApiKey", null, "InternalApiKey is not set")]
    [InlineData("InternalApiKey", "short-one", "InternalApiKey is shorter than 16")]
    [InlineData("InternalApiKey", "@Microsoft.KeyVault(SecretUri=https://v/secrets/internal-api-key)", "InternalApiKey is a key vault reference that was not resolved")]
    [InlineData("GitHub:ClientSecret", "@Microsoft.KeyVault(SecretUri=https://v/secrets/x)", "GitHub__ClientSecret is a key vault reference")]
    [InlineData("AIRFLOW_PASSWORD", "airflow", "AIRFLOW_PASSWORD is a default password")]
    [InlineData("AIRFLOW_PASSWORD", null, "AIRFLOW_PASSWORD is not set")]
    [InlineData("Hokusai:AdminKey", "Admin", "Hokusai__AdminKey is a default password")]
    [InlineData("POSTGRES_AUTH", null, "POSTGRES_PASSWORD is not set")]
    [InlineData("POSTGRES_SSLMODE", "prefer", "POSTGRES_SSLMODE: sslmode must be require")]
    [InlineData("POSTGRES_SSLMODE", null, "POSTGRES_SSLMODE: sslmode must be require")]
    [InlineData("DATABASE_URL", "postgres://u@h/d", "DATABASE_URL: sslmode must be require")]
    [InlineData("REDIS_AUTH", null, "REDIS_CONNECTION has no password")]
    [InlineData("REDIS_CONNECTION", "redis.example:6379", "REDIS_CONNECTION must say ssl=true")]
    [InlineData("AzureWebJobsStorage", "UseDevelopmentStorage=true", "AzureWebJobsStorage is the storage emulator")]
    [InlineData("BLOB_CONNECTION", "AccountName=devstoreaccount1;AccountKey=x", "BLOB_CONNECTION is the storage emulator")]
    public void A_missing_default_or_unsafe_setting_is_refused_by_name(string name, string? value, string message) =>
        Should.Throw<InvalidOperationException>(() => Refuse([(name, value)])).Message.ShouldStartWith(message);

    [Theory]
    [InlineData("registry")]
    [InlineData("Postgres")]
    [InlineData("someuser")]
    public void A_default_database_password_is_refused_and_not_shown(string password)
    {
        var message = Should.Throw<InvalidOperationException>(
            () => Refuse([("POSTGRES_AUTH", "password"), ("POSTGRES_USER", "someuser"), ("POSTGRES_PASSWORD", password)])).Message;

        message.ShouldBe("POSTGRES_PASSWORD is a default password");
    }

    [Fact]
    public void Everything_that_is_wrong_is_said_in_one_line()
    {
        var message = Should.Throw<InvalidOperationException>(() => Refuse([("InternalApiKey", null), ("REDIS_AUTH", null), ("POSTGRES_AUTH", null)])).Message;

        message.ShouldNotContain("\n");
        foreach (var name in (string[])["InternalApiKey", "REDIS_CONNECTION", "POSTGRES_PASSWORD"])
            message.ShouldContain(name);
    }

    private static void Refuse(IEnumerable<(string Name, string? Value)> changes)
    {
        var settings = new Dictionary<string, string?>(s_good);
        foreach (var (name, value) in changes)
            settings[name] = value;
        var configuration = new ConfigurationBuilder().AddInMemoryCollection(settings).Build();
        var database = DatabaseOptions.FromConfiguration(configuration, migrateByDefault: false);
        StartupChecks.Refuse(configuration, database, RedisOptions.FromConfiguration(configuration));
    }
}
