using System.Security.Cryptography;
using System.Text;
using FunctionsRegistry.Postgres;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.Postgres;

public sealed class IdempotencyStoreTests(RegistryApp app) : IClassFixture<RegistryApp>
{
    private static readonly byte[] s_request = SHA256.HashData("request"u8);

    [Fact]
    public async Task A_request_that_was_taken_for_dead_cannot_store_over_its_successor()
    {
        var id = Id("taken over");
        var first = await Store(TimeSpan.Zero).ClaimAsync(id, s_request, default);
        (await Store(TimeSpan.FromMinutes(1)).ClaimAsync(id, s_request, default)).Claim.ShouldBeNull();
        var second = await Store(TimeSpan.FromMinutes(3)).ClaimAsync(id, s_request, default);
        var store = Store(TimeSpan.FromMinutes(3));

        await store.CompleteAsync(id, first.Claim!.Value, new StoredAnswer(200, null, null, [1]), default);
        await store.ReleaseAsync(id, first.Claim.Value, default);
        (await store.ClaimAsync(id, s_request, default)).ShouldBe(new IdempotencyClaim(null, true, null));

        await store.CompleteAsync(id, second.Claim!.Value, new StoredAnswer(201, null, null, [2]), default);
        (await store.ClaimAsync(id, s_request, default)).Answer!.Status.ShouldBe(201);
    }

    [Fact]
    public async Task A_request_that_renews_its_claim_keeps_it()
    {
        var id = Id("renewed");
        var claim = await Store(TimeSpan.Zero).ClaimAsync(id, s_request, default);

        await Store(TimeSpan.FromMinutes(2)).RenewAsync(id, claim.Claim!.Value, default);

        (await Store(TimeSpan.FromMinutes(3)).ClaimAsync(id, s_request, default)).Claim.ShouldBeNull();
        (await Store(TimeSpan.FromMinutes(5)).ClaimAsync(id, s_request, default)).Claim.ShouldNotBeNull();
    }

    [Fact]
    public async Task Answers_go_after_a_day()
    {
        var id = Id("old");
        var claim = await Store(TimeSpan.Zero).ClaimAsync(id, s_request, default);
        await Store(TimeSpan.Zero).CompleteAsync(id, claim.Claim!.Value, new StoredAnswer(200, null, null, []), default);

        (await Store(TimeSpan.FromHours(25)).PurgeAsync(default)).ShouldBeGreaterThanOrEqualTo(1);

        (await Store(TimeSpan.Zero).ClaimAsync(id, s_request, default)).Claim.ShouldNotBeNull();
    }

    private IdempotencyStore Store(TimeSpan later) => new(app.Database, new LaterTime(later));

    private static byte[] Id(string text) => SHA256.HashData(Encoding.UTF8.GetBytes(text));
}
