using Azure.Core;
using FunctionsRegistry.Identity;
using FunctionsRegistry.LocalStack;
using FunctionsRegistry.RateLimits;
using FunctionsRegistry.Tests.Identity;
using FunctionsRegistry.Tests.Support;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging.Abstractions;
using StackExchange.Redis;

namespace FunctionsRegistry.Tests.RateLimits;

/// <summary>
/// A Redis of its own whose password changes stands for tokens. Azure also wants a user name, which the client of this build cannot send; that part is
/// left to the newer client of the Azure build.
/// </summary>
public sealed class RedisTokenTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("functionsregistry-redis-").FullName;
    private readonly LocalServices _services;
    private readonly FakeCredential _credential = new();
    private readonly MovedTime _time = new();
    private readonly ConnectionMultiplexer _admin;

    public RedisTokenTests()
    {
        _services = LocalServices.Start(new StackOptions { DataDirectory = _folder, Postgres = false, Redis = true, Blobs = false, Fsync = false }, _ => { });
        _admin = ConnectionMultiplexer.Connect(Address + ",allowAdmin=true");
        SetToken("token-1");
    }

    private string Address => _services.Settings["REDIS_CONNECTION"]!;

    public void Dispose()
    {
        _admin.Dispose();
        _services.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task The_connection_is_replaced_before_its_token_ends_without_a_missed_call()
    {
        using var redis = Connection();
        await redis.ConnectAsync(TimeSpan.FromSeconds(10));
        await CountAsync(redis, "first");
        _credential.Asked.ShouldBe(1);

        SetToken("token-2");
        _time.Move(TimeSpan.FromMinutes(57));
        // Every call is answered, by the old connection until the new one is there.
        await Eventually.UntilAsync(async () =>
        {
            await CountAsync(redis, "second");
            return _credential.Asked == 2 && await ClientsAsync() == 1;
        });

        // What ends a connection whose token has expired: only the new one can come back by itself.
        await KillClientsAsync();
        await Eventually.UntilAsync(async () => redis.Database is { } database && await Answers(database));
    }

    [Fact]
    public async Task A_token_that_cannot_be_renewed_keeps_the_connection_and_is_asked_for_again()
    {
        using var redis = Connection();
        await redis.ConnectAsync(TimeSpan.FromSeconds(10));
        var next = _credential.Next;
        _credential.Next = null;

        _time.Move(TimeSpan.FromMinutes(57));
        await CountAsync(redis, "kept");
        await Eventually.UntilAsync(() => Task.FromResult(_credential.Asked >= 2));
        await CountAsync(redis, "kept");

        _credential.Next = new AccessToken(next!.Value.Token, _time.GetUtcNow() + TimeSpan.FromHours(1));
        _time.Move(TimeSpan.FromSeconds(30));
        await Eventually.UntilAsync(async () =>
        {
            await CountAsync(redis, "kept");
            return _credential.Asked >= 3;
        });
    }

    [Fact]
    public async Task A_token_that_expired_while_redis_was_away_is_replaced_when_it_is_back()
    {
        using var redis = Connection();
        await redis.ConnectAsync(TimeSpan.FromSeconds(10));

        SetToken("token-2");
        await KillClientsAsync();
        _time.Move(TimeSpan.FromHours(2));
        SetToken("token-3");

        await Eventually.UntilAsync(async () => redis.Database is { } database && await Answers(database));
    }

    [Theory]
    [InlineData("REDIS_AUTH", "sometimes", "REDIS_AUTH must be password or entra.")]
    [InlineData("REDIS_CONNECTION", "h:1,password=hidden-one", "REDIS_AUTH is entra")]
    public void Contradictions_are_refused_without_the_password(string name, string value, string message)
    {
        var error = Should.Throw<InvalidOperationException>(() => Options((name, value)));

        error.Message.ShouldStartWith(message);
        error.Message.ShouldNotContain("hidden-one");
    }

    private RedisOptions Options(params (string Name, string Value)[] more)
    {
        var settings = new Dictionary<string, string?> { ["REDIS_CONNECTION"] = Address, ["REDIS_AUTH"] = "entra" };
        foreach (var (name, value) in more)
            settings[name] = value;
        var options = RedisOptions.FromConfiguration(new ConfigurationBuilder().AddInMemoryCollection(settings).Build());
        options.Configuration.ClientName = "app";
        return options;
    }

    private RedisConnection Connection() =>
        new(Options(), new EntraTokens(new Lazy<TokenCredential>(() => _credential), _time), _time, NullLogger<RedisConnection>.Instance);

    private void SetToken(string token)
    {
        // Connections that are signed in stay so, as Azure's do until their token's end.
        _admin.GetDatabase().Execute("CONFIG", "SET", "requirepass", token);
        _credential.Next = new AccessToken(token, _time.GetUtcNow() + TimeSpan.FromHours(1));
    }

    private static async Task CountAsync(RedisConnection redis, string key)
    {
        var database = redis.Database.ShouldNotBeNull();
        await database.StringIncrementAsync(key);
    }

    private static async Task<bool> Answers(IDatabase database)
    {
        try
        {
            await database.StringIncrementAsync("answers");
            return true;
        }
        catch (Exception exception) when (exception is RedisConnectionException or RedisServerException or TimeoutException)
        {
            return false;
        }
    }

    // Each multiplexer has a connection for commands and one for subscriptions.
    private async Task<int> ClientsAsync() => (await AppClientsAsync()).Count / 2;

    private async Task<List<string>> AppClientsAsync()
    {
        var list = (string)(await _admin.GetDatabase().ExecuteAsync("CLIENT", "LIST"))!;
        return [.. list.Split('\n').Where(line => line.Contains(" name=app ", StringComparison.Ordinal))];
    }

    private async Task KillClientsAsync()
    {
        foreach (var line in await AppClientsAsync())
            await _admin.GetDatabase().ExecuteAsync("CLIENT", "KILL", "ID", line.Split(' ')[0]["id=".Length..]);
    }
}
