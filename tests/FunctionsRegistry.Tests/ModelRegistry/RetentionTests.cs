using FunctionsRegistry.Blobs;
using FunctionsRegistry.ModelRegistry.Mlflow;
using FunctionsRegistry.Tests.Support;
using Microsoft.Extensions.DependencyInjection;

namespace FunctionsRegistry.Tests.ModelRegistry;

/// <summary>What the timers do, seen from later.</summary>
public sealed class RetentionTests(HokusaiApp app) : IClassFixture<HokusaiApp>
{
    private ArtifactService Artifacts(TimeSpan later) => new(app.Service<ArtifactStore>(), app.Service<BlobStore>(), new LaterTime(later));

    private PurgeService Purge(int? days, TimeSpan later) => ActivatorUtilities.CreateInstance<PurgeService>(
        app.Services, Artifacts(later), new MlflowOptions(days is { } number ? TimeSpan.FromDays(number) : null), new LaterTime(later));

    [Fact]
    public async Task Deleted_runs_and_experiments_go_for_good_after_their_days_and_only_then()
    {
        var experiment = await app.CreateExperimentAsync();
        var (deleted, active) = (await app.CreateRunAsync(experiment), await app.CreateRunAsync());
        await app.PutArtifactAsync($"{experiment}/{deleted}/artifacts/a.txt", [1, 2, 3]);
        await app.PostAsync("runs/delete", $$"""{"run_id": "{{deleted}}"}""");
        await app.PostAsync("experiments/delete", $$"""{"experiment_id": "{{experiment}}"}""");

        await Purge(null, TimeSpan.FromDays(1000)).PurgeOldAsync(default);
        await Purge(7, TimeSpan.FromDays(6.9)).PurgeOldAsync(default);
        (await app.GetRunAsync(deleted)).GetProperty("info").Str("lifecycle_stage").ShouldBe("deleted");

        await Purge(7, TimeSpan.FromDays(7.1)).PurgeOldAsync(default);
        await app.GetAsync("runs/get?run_id=" + deleted, 404);
        await app.GetAsync("experiments/get?experiment_id=" + experiment, 404);
        (await app.Client.GetAsync($"{HokusaiApp.Artifacts}{experiment}/{deleted}/artifacts/a.txt")).StatusCode.ShouldBe(System.Net.HttpStatusCode.NotFound);
        await app.GetRunAsync(active);
    }

    [Fact]
    public async Task A_sweep_takes_old_blobs_without_a_row_and_no_others()
    {
        await app.PutArtifactAsync("0/kept/artifacts/a.txt", [1, 2, 3]);
        var blobs = app.Service<BlobStore>();
        using var content = new MemoryStream([1]);
        await blobs.UploadAsync(BlobContainers.Artifacts, "orphan", content, "text/plain", default);

        await Artifacts(TimeSpan.FromHours(23)).SweepAsync(default);
        (await ListAsync()).ShouldContain("orphan");
        await Artifacts(TimeSpan.FromHours(25)).SweepAsync(default);
        (await ListAsync()).ShouldNotContain("orphan");
        (await app.Client.GetByteArrayAsync(HokusaiApp.Artifacts + "0/kept/artifacts/a.txt")).ShouldBe([1, 2, 3]);

        async Task<List<string>> ListAsync()
        {
            var names = new List<string>();
            await foreach (var (name, _) in blobs.ListAsync(BlobContainers.Artifacts, "", default))
                names.Add(name);
            return names;
        }
    }
}
