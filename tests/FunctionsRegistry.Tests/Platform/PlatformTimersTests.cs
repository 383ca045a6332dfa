using FunctionsRegistry.Functions.Platform;
using FunctionsRegistry.LocalRuntime;
using FunctionsRegistry.LocalRuntime.Durable;
using FunctionsRegistry.Tests.Support;
using Microsoft.Extensions.DependencyInjection;

namespace FunctionsRegistry.Tests.Platform;

public sealed class PlatformTimersTests(RegistryApp app) : IClassFixture<RegistryApp>
{
    [Fact]
    public async Task Orchestrations_that_are_over_go_after_their_days_and_others_stay()
    {
        // Completed and failed long ago, completed lately, running since long ago.
        foreach (var (id, status, days) in ((string, int, int)[])[("old", 1, 31), ("old-failed", 3, 31), ("new", 1, 29), ("running", 0, 31)])
            await using (var command = app.Database.CreateCommand("""
                INSERT INTO durable.instances (instance_id, execution, name, status, created_at, start_at, updated_at)
                VALUES ($1, gen_random_uuid(), 'purged', $2, now() - $3 * interval '1 day', now(), now())
                """))
            {
                foreach (var value in (object[])[id, (short)status, days])
                    command.Parameters.Add(new() { Value = value });
                await command.ExecuteNonQueryAsync();
            }

        await ActivatorUtilities.CreateInstance<PlatformTimers>(app.Services)
            .PurgeOrchestrations(new TimerInfo(), app.Service<LocalDurableTaskClient>(), CancellationToken.None);

        (await app.ScalarAsync<string>("SELECT string_agg(instance_id, ',' ORDER BY instance_id) FROM durable.instances WHERE name = 'purged'")).ShouldBe("new,running");
    }
}
