using FunctionsRegistry.Postgres;
using Microsoft.Extensions.Configuration;
using Npgsql;

namespace FunctionsRegistry.Tests.Postgres;

public sealed class DatabaseOptionsTests
{
    [Theory]
    [InlineData("DATABASE_URL", "postgres://u:p@h/d?sslmode=verify-full&sslrootcert=%2Fca.pem", SslMode.VerifyFull, "/ca.pem")]
    [InlineData("DATABASE_URL", "postgresql://u:p@h/d?sslmode=verify-ca", SslMode.VerifyCA, null)]
    [InlineData("DATABASE_URL", "postgres://u:p@h/d", SslMode.Prefer, null)]
    public void Tls_is_what_the_url_asks_for(string name, string value, SslMode mode, string? certificate)
    {
        var options = new NpgsqlConnectionStringBuilder(Read((name, value)).ConnectionString);

        options.SslMode.ShouldBe(mode);
        options.RootCertificate.ShouldBe(certificate);
    }

    [Theory]
    [InlineData("DATABASE_URL", "postgres://u:secret@h/d?sslmode=paranoid", "sslmode must be")]
    [InlineData("DATABASE_URL", "postgres://u:secret@h/d?options=-c%20x", "the parameter 'options'")]
    [InlineData("DATABASE_URL", "mysql://u:secret@h/d", "must look like postgres://")]
    [InlineData("POSTGRES_SSLMODE", "sometimes", "POSTGRES_SSLMODE")]
    public void What_cannot_be_understood_is_refused_without_the_password(string name, string value, string message)
    {
        var error = Should.Throw<InvalidOperationException>(() => Read((name, value), ("POSTGRES_HOST", "h")));

        error.Message.ShouldContain(message);
        error.Message.ShouldNotContain("secret");
    }

    private static DatabaseOptions Read(params (string Name, string Value)[] settings) => DatabaseOptions.FromConfiguration(
        new ConfigurationBuilder().AddInMemoryCollection(settings.ToDictionary(one => one.Name, one => (string?)one.Value)).Build(), migrateByDefault: true);
}
