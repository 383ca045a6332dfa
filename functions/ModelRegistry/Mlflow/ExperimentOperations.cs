using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.ModelRegistry.Mlflow;
using static FunctionsRegistry.Functions.ModelRegistry.Mlflow.MlflowRequests;

namespace FunctionsRegistry.Functions.ModelRegistry.Mlflow;

/// <summary>MLflow REST 2.0, <c>experiments/*</c>; <c>experiments/purge</c> is our addition.</summary>
public sealed class ExperimentOperations(ExperimentStore experiments, PurgeService purge)
{
    /// <summary>The operations by method and path.</summary>
    public IEnumerable<MlflowOperation> All =>
    [
        new("post", "experiments/create", true, CreateAsync) { Body = typeof(CreateExperimentRequest), Answer = typeof(CreateExperimentResponse) },
        new("get", "experiments/get", false, GetAsync) { Query = "experiment_id: string", Answer = typeof(ExperimentResponse) },
        new("get", "experiments/get-by-name", false, GetByNameAsync) { Query = "experiment_name: string", Answer = typeof(ExperimentResponse) },
        new("get", "experiments/search", false, SearchAsync) { Query = MlflowOperation.Search, Answer = typeof(SearchExperimentsResponse) },
        new("post", "experiments/search", false, SearchAsync) { Body = typeof(SearchRequest), Answer = typeof(SearchExperimentsResponse) },
        new("get", "experiments/list", false, SearchAsync) { Query = MlflowOperation.Search, Answer = typeof(SearchExperimentsResponse) },
        new("post", "experiments/update", true, (request, token) => ChangeAsync(request, UpdateAsync, token)) { Body = typeof(ExperimentRequest) },
        new("post", "experiments/delete", true, (request, token) => ChangeAsync(request, (id, _, ct) => experiments.DeleteAsync(id, ct), token))
        {
            Body = typeof(ExperimentRequest),
        },
        new("post", "experiments/restore", true, (request, token) => ChangeAsync(request, (id, _, ct) => experiments.RestoreAsync(id, ct), token))
        {
            Body = typeof(ExperimentRequest),
        },
        new("post", "experiments/purge", true, (request, token) => ChangeAsync(request, (id, _, ct) => purge.PurgeExperimentAsync(id, ct), token))
        {
            Body = typeof(ExperimentRequest),
        },
        new("post", "experiments/set-experiment-tag", true, (request, token) => ChangeAsync(request, SetTagAsync, token)) { Body = typeof(ExperimentRequest) },
        new("post", "experiments/delete-experiment-tag", true, (request, token) => ChangeAsync(request, DeleteTagAsync, token)) { Body = typeof(ExperimentRequest) },
    ];

    private async Task<IResult> CreateAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.CreateExperimentRequest, cancellationToken);
        var id = await experiments.CreateAsync(
            MlflowNames.CheckExperimentName(body.Name), ArtifactPaths.CheckLocation(body.ArtifactLocation), RunBatches.ReadTags(body.Tags), cancellationToken);
        return Answer(new CreateExperimentResponse(id.ToString()), MlflowJson.Default.CreateExperimentResponse);
    }

    private async Task<IResult> GetAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var id = Required(request, "experiment_id");
        var found = await experiments.FindAsync(MlflowNames.ParseExperimentId(id), cancellationToken) ?? throw MlflowErrors.ExperimentNotFound(id);
        return Answer(new ExperimentResponse(found), MlflowJson.Default.ExperimentResponse);
    }

    private async Task<IResult> GetByNameAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var name = Required(request, "experiment_name");
        var found = await experiments.FindByNameAsync(name, cancellationToken) ?? throw MlflowErrors.ExperimentNameNotFound(name);
        return Answer(new ExperimentResponse(found), MlflowJson.Default.ExperimentResponse);
    }

    private async Task<IResult> SearchAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var search = await ReadSearchAsync(request, cancellationToken);
        var (found, next) = await experiments.SearchAsync(
            FilterParser.Parse(search.Filter), Order(search.OrderBy), View(search.ViewType), Limit(search.MaxResults, 1000, ExperimentStore.MaxPage), search.PageToken,
            cancellationToken);
        return Answer(new SearchExperimentsResponse(found, next), MlflowJson.Default.SearchExperimentsResponse);
    }

    private Task UpdateAsync(long id, ExperimentRequest body, CancellationToken cancellationToken) =>
        experiments.RenameAsync(id, MlflowNames.CheckExperimentName(body.NewName), cancellationToken);

    private Task SetTagAsync(long id, ExperimentRequest body, CancellationToken cancellationToken) =>
        experiments.SetTagAsync(id, MlflowNames.CheckKey("tag", body.Key), MlflowNames.CheckTag(body.Value), cancellationToken);

    private Task DeleteTagAsync(long id, ExperimentRequest body, CancellationToken cancellationToken) =>
        experiments.DeleteTagAsync(id, MlflowNames.CheckKey("tag", body.Key), cancellationToken);

    private static async Task<IResult> ChangeAsync(
        HttpRequest request, Func<long, ExperimentRequest, CancellationToken, Task> change, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.ExperimentRequest, cancellationToken);
        await change(MlflowNames.ParseExperimentId(body.ExperimentId), body, cancellationToken);
        return Done();
    }
}
