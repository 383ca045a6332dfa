using Azure.Core;
using FunctionsRegistry.Identity;

namespace FunctionsRegistry.Tests.Identity;

public sealed class EntraTokenTests
{
    private readonly FakeCredential _credential = new();
    private readonly MovedTime _time = new();

    [Fact]
    public async Task A_token_is_kept_until_five_minutes_before_its_end_and_then_replaced()
    {
        var tokens = Tokens("one", TimeSpan.FromHours(1));

        (await tokens.GetAsync(EntraTokens.PostgresScope, default)).Token.ShouldBe("one");
        _time.Move(TimeSpan.FromMinutes(54));
        (await tokens.GetAsync(EntraTokens.PostgresScope, default)).Token.ShouldBe("one");
        _credential.Asked.ShouldBe(1);

        _time.Move(TimeSpan.FromMinutes(2));
        Give("two", TimeSpan.FromHours(1));
        (await tokens.GetAsync(EntraTokens.PostgresScope, default)).Token.ShouldBe("two");
    }

    [Fact]
    public async Task While_no_new_token_can_be_had_the_old_one_serves_to_its_end()
    {
        var tokens = Tokens("one", TimeSpan.FromMinutes(10));
        await tokens.GetAsync(EntraTokens.RedisScope, default);
        _credential.Next = null;

        _time.Move(TimeSpan.FromMinutes(8));
        (await tokens.GetAsync(EntraTokens.RedisScope, default)).Token.ShouldBe("one");

        _time.Move(TimeSpan.FromMinutes(3));
        var error = await Should.ThrowAsync<EntraTokenException>(async () => await tokens.GetAsync(EntraTokens.RedisScope, default));
        error.Message.ShouldContain("AZURE_CLIENT_ID");
    }

    [Fact]
    public async Task Each_service_gets_a_token_of_its_own_scope()
    {
        var tokens = Tokens("one", TimeSpan.FromHours(1));

        await tokens.GetAsync(EntraTokens.PostgresScope, default);
        await tokens.GetAsync(EntraTokens.RedisScope, default);

        _credential.Scopes.ShouldBe(["https://ossrdbms-aad.database.windows.net/.default", "https://redis.azure.com/.default"]);
    }

    private EntraTokens Tokens(string first, TimeSpan life)
    {
        Give(first, life);
        return new EntraTokens(new Lazy<TokenCredential>(() => _credential), _time);
    }

    private void Give(string token, TimeSpan life) => _credential.Next = new AccessToken(token, _time.GetUtcNow() + life);
}
