using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.ModelRegistry.Mlflow;
using static FunctionsRegistry.Functions.ModelRegistry.Mlflow.MlflowRequests;

namespace FunctionsRegistry.Functions.ModelRegistry.Mlflow;

/// <summary>MLflow 3, <c>logged-models</c>: what log_model and load_model of its client need.</summary>
public sealed class LoggedModelOperations(LoggedModelStore models, ArtifactStore artifacts)
{
    private static readonly string[] s_statuses = ["LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"];

    /// <summary>The operations by method and path.</summary>
    public IEnumerable<MlflowOperation> All =>
    [
        new("post", "logged-models", true, CreateAsync) { Body = typeof(LoggedModelRequest), Answer = typeof(LoggedModelResponse) },
        new("post", "logged-models/search", false, SearchAsync) { Body = typeof(SearchLoggedModelsRequest), Answer = typeof(SearchLoggedModelsResponse) },
        new("get", "logged-models/*", false, GetAsync) { Query = "artifact_directory_path?: string" },
        new("post", "logged-models/*", true, LogParamsAsync) { Body = typeof(LoggedModelRequest) },
        new("patch", "logged-models/*", true, PatchAsync) { Body = typeof(LoggedModelRequest), Answer = typeof(LoggedModelResponse) },
        new("delete", "logged-models/*", true, DeleteAsync),
    ];

    private async Task<IResult> CreateAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.LoggedModelRequest, cancellationToken);
        var name = string.IsNullOrEmpty(body.Name) ? RunNames.Create() : MlflowNames.CheckModelName(body.Name);
        var model = await models.CreateAsync(
            MlflowNames.ParseExperimentId(body.ExperimentId), name, body.ModelType is null ? null : MlflowNames.CheckLength("model_type", body.ModelType, 500),
            string.IsNullOrEmpty(body.SourceRunId) ? null : MlflowNames.ParseRunId(body.SourceRunId), ReadParams(body.Params), RunBatches.ReadTags(body.Tags),
            cancellationToken);
        return Answer(model);
    }

    private async Task<IResult> SearchAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.SearchLoggedModelsRequest, cancellationToken);
        var ids = (body.ExperimentIds ?? []).Select(id => long.TryParse(id, out var parsed) ? parsed : -1).ToArray();
        var order = (body.OrderBy ?? []).Take(20)
            .Select(one => FilterParser.ParseOrder(one?.FieldName) with { Descending = !(one!.Ascending ?? true) }).ToList();
        var (found, next) = await models.SearchAsync(
            ids, FilterParser.Parse(body.Filter), order, Limit(body.MaxResults, 50, 1000), body.PageToken, cancellationToken);
        return MlflowRequests.Answer(new SearchLoggedModelsResponse(found, next), MlflowJson.Default.SearchLoggedModelsResponse);
    }

    private async Task<IResult> GetAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        switch (Rest(request))
        {
            case [var id]:
                return Answer(await models.GetAsync(id, cancellationToken));
            case [var id, "artifacts", "directories"]:
                return await ListAsync(request, await models.GetAsync(id, cancellationToken), cancellationToken);
            default:
                throw Errors.CommonErrors.RouteNotFound(request.Method, request.Path);
        }
    }

    private async Task<IResult> ListAsync(HttpRequest request, LoggedModel model, CancellationToken cancellationToken)
    {
        var below = ArtifactPaths.Check(request.GetText("artifact_directory_path", ArtifactPaths.MaxBytes + 1), allowRoot: true);
        var root = ArtifactPaths.OfUri(model.Info.ArtifactUri)
            ?? throw MlflowErrors.Invalid($"The artifacts of this model are kept by its clients at {model.Info.ArtifactUri}, not by this server.");
        var (files, _) = await artifacts.ListAsync(below.Length == 0 ? root : $"{root}/{below}", null, ArtifactService.MaxListed, cancellationToken);
        var prefix = below.Length == 0 ? "" : below + "/";
        return MlflowRequests.Answer(
            new ListArtifactsResponse(model.Info.ArtifactUri, [.. files.Select(file => file with { Path = prefix + file.Path })], null),
            MlflowJson.Default.ListArtifactsResponse);
    }

    private async Task<IResult> LogParamsAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        if (Rest(request) is not [var id, "params"])
            throw Errors.CommonErrors.RouteNotFound(request.Method, request.Path);
        var body = await ReadAsync(request, MlflowJson.Default.LoggedModelRequest, cancellationToken);
        await models.LogParamsAsync(id, ReadParams(body.Params), cancellationToken);
        return Done();
    }

    private async Task<IResult> PatchAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var rest = Rest(request);
        if (rest is not ([_] or [_, "tags"]))
            throw Errors.CommonErrors.RouteNotFound(request.Method, request.Path);
        var body = await ReadAsync(request, MlflowJson.Default.LoggedModelRequest, cancellationToken);
        if (rest.Length == 2)
            await models.SetTagsAsync(rest[0], RunBatches.ReadTags(body.Tags), cancellationToken);
        else if (s_statuses.Contains(body.Status))
            await models.FinalizeAsync(rest[0], body.Status!, cancellationToken);
        else
            throw MlflowErrors.Invalid($"Invalid model status '{body.Status}': it must be one of {string.Join(", ", s_statuses)}.");
        return Answer(await models.GetAsync(rest[0], cancellationToken));
    }

    private async Task<IResult> DeleteAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        switch (Rest(request))
        {
            case [var id]:
                await models.DeleteAsync(id, cancellationToken);
                return Done();
            case [var id, "tags", .. var key]:
                await models.DeleteTagAsync(id, string.Join('/', key), cancellationToken);
                return Done();
            default:
                throw Errors.CommonErrors.RouteNotFound(request.Method, request.Path);
        }
    }

    private static string[] Rest(HttpRequest request) => ((string)request.RouteValues["rest"]!).Split('/');

    private static IReadOnlyList<KeyValue> ReadParams(IReadOnlyList<KeyValue>? parameters) => RunBatches.Create(null, parameters, null).Params;

    private static IResult Answer(LoggedModel model) => MlflowRequests.Answer(new LoggedModelResponse(model), MlflowJson.Default.LoggedModelResponse);
}
