using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.ModelRegistry.Mlflow;
using static FunctionsRegistry.Functions.ModelRegistry.Mlflow.MlflowRequests;

namespace FunctionsRegistry.Functions.ModelRegistry.Mlflow;

/// <summary>MLflow REST 2.0, <c>registered-models/*</c> and <c>model-versions/*</c>; <c>model-versions/purge</c> is our addition.</summary>
public sealed class ModelOperations(RegisteredModelStore models, ModelVersionStore versions, PurgeService purge)
{
    private const int MaxDescription = 100_000;

    /// <summary>The operations by method and path.</summary>
    public IEnumerable<MlflowOperation> All =>
    [
        new("post", "registered-models/create", true, CreateModelAsync) { Body = typeof(RegisteredModelRequest), Answer = typeof(RegisteredModelResponse) },
        new("get", "registered-models/get", false, GetModelAsync) { Query = "name: string", Answer = typeof(RegisteredModelResponse) },
        new("get", "registered-models/search", false, SearchModelsAsync) { Query = MlflowOperation.Search, Answer = typeof(SearchModelsResponse) },
        new("get", "registered-models/list", false, SearchModelsAsync) { Query = MlflowOperation.Search, Answer = typeof(SearchModelsResponse) },
        new("post", "registered-models/rename", true, RenameModelAsync) { Body = typeof(RegisteredModelRequest), Answer = typeof(RegisteredModelResponse) },
        new("patch", "registered-models/update", true, UpdateModelAsync) { Body = typeof(RegisteredModelRequest), Answer = typeof(RegisteredModelResponse) },
        new("delete", "registered-models/delete", true, (request, token) => ChangeModelAsync(request, (name, _, ct) => models.DeleteAsync(name, ct), token))
        {
            Body = typeof(RegisteredModelRequest),
        },
        new("post", "registered-models/set-tag", true, (request, token) => ChangeModelAsync(request, SetModelTagAsync, token))
        {
            Body = typeof(RegisteredModelRequest),
        },
        new("delete", "registered-models/delete-tag", true, (request, token) => ChangeModelAsync(request, DeleteModelTagAsync, token))
        {
            Body = typeof(RegisteredModelRequest),
        },
        new("post", "registered-models/alias", true, (request, token) => ChangeModelAsync(request, SetAliasAsync, token)) { Body = typeof(RegisteredModelRequest) },
        new("delete", "registered-models/alias", true, (request, token) => ChangeModelAsync(request, DeleteAliasAsync, token))
        {
            Body = typeof(RegisteredModelRequest),
        },
        new("get", "registered-models/alias", false, GetByAliasAsync) { Query = "name: string, alias: string", Answer = typeof(ModelVersionResponse) },
        new("get", "registered-models/get-latest-versions", false, GetLatestAsync)
        {
            Query = "name: string, stages?: string[]",
            Answer = typeof(SearchVersionsResponse),
        },
        new("post", "registered-models/get-latest-versions", false, GetLatestAsync)
        {
            Body = typeof(RegisteredModelRequest),
            Answer = typeof(SearchVersionsResponse),
        },
        new("post", "model-versions/create", true, CreateVersionAsync) { Body = typeof(ModelVersionRequest), Answer = typeof(ModelVersionResponse) },
        new("get", "model-versions/get", false, GetVersionAsync) { Query = "name: string, version: string", Answer = typeof(ModelVersionResponse) },
        new("get", "model-versions/search", false, SearchVersionsAsync) { Query = MlflowOperation.Search, Answer = typeof(SearchVersionsResponse) },
        new("get", "model-versions/get-download-uri", false, GetDownloadUriAsync) { Query = "name: string, version: string", Answer = typeof(DownloadUriResponse) },
        new("patch", "model-versions/update", true, UpdateVersionAsync) { Body = typeof(ModelVersionRequest), Answer = typeof(ModelVersionResponse) },
        new("delete", "model-versions/delete", true,
            (request, token) => ChangeVersionAsync(request, (name, version, _, ct) => versions.DeleteAsync(name, version, ct), token))
            {
                Body = typeof(ModelVersionRequest),
            },
        new("post", "model-versions/purge", true,
            (request, token) => ChangeVersionAsync(request, (name, version, _, ct) => purge.PurgeVersionAsync(name, version, ct), token))
            {
                Body = typeof(ModelVersionRequest),
            },
        new("post", "model-versions/transition-stage", true, TransitionAsync) { Body = typeof(ModelVersionRequest), Answer = typeof(ModelVersionResponse) },
        new("post", "model-versions/set-tag", true, (request, token) => ChangeVersionAsync(request, SetVersionTagAsync, token))
        {
            Body = typeof(ModelVersionRequest),
        },
        new("delete", "model-versions/delete-tag", true, (request, token) => ChangeVersionAsync(request, DeleteVersionTagAsync, token))
        {
            Body = typeof(ModelVersionRequest),
        },
    ];

    private async Task<IResult> CreateModelAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.RegisteredModelRequest, cancellationToken);
        var model = await models.CreateAsync(
            MlflowNames.CheckModelName(body.Name), Description(body.Description), RunBatches.ReadTags(body.Tags), cancellationToken);
        return Answer(new RegisteredModelResponse(model), MlflowJson.Default.RegisteredModelResponse);
    }

    private Task<IResult> GetModelAsync(HttpRequest request, CancellationToken cancellationToken) => AnswerModelAsync(Required(request, "name"), cancellationToken);

    private async Task<IResult> SearchModelsAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var search = await ReadSearchAsync(request, cancellationToken);
        var (found, next) = await models.SearchAsync(
            FilterParser.Parse(search.Filter), Order(search.OrderBy), Limit(search.MaxResults, 100, 1000), search.PageToken, cancellationToken);
        return Answer(new SearchModelsResponse(found, next), MlflowJson.Default.SearchModelsResponse);
    }

    private async Task<IResult> RenameModelAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.RegisteredModelRequest, cancellationToken);
        var newName = MlflowNames.CheckModelName(body.NewName, "new_name");
        await models.RenameAsync(Name(body.Name), newName, cancellationToken);
        return await AnswerModelAsync(newName, cancellationToken);
    }

    private async Task<IResult> UpdateModelAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.RegisteredModelRequest, cancellationToken);
        await models.UpdateAsync(Name(body.Name), Description(body.Description), cancellationToken);
        return await AnswerModelAsync(body.Name!, cancellationToken);
    }

    private async Task<IResult> GetByAliasAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var (name, alias) = (Required(request, "name"), Required(request, "alias"));
        if (await versions.FindByAliasAsync(name, alias, cancellationToken) is { } version)
            return Answer(new ModelVersionResponse(version), MlflowJson.Default.ModelVersionResponse);
        await models.GetAsync(name, cancellationToken);
        throw MlflowErrors.AliasNotFound(alias);
    }

    private async Task<IResult> GetLatestAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = HttpMethods.IsPost(request.Method)
            ? await ReadAsync(request, MlflowJson.Default.RegisteredModelRequest, cancellationToken)
            : new RegisteredModelRequest(request.GetText("name"), Stages: Texts(request, "stages"));
        var found = await versions.ListLatestAsync(Name(body.Name), [.. (body.Stages ?? []).Select(MlflowNames.CheckStage)], cancellationToken);
        if (found.Count == 0)
            await models.GetAsync(body.Name!, cancellationToken);
        return Answer(new SearchVersionsResponse(found, null), MlflowJson.Default.SearchVersionsResponse);
    }

    private async Task<IResult> CreateVersionAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.ModelVersionRequest, cancellationToken);
        var version = new NewModelVersion(
            Name(body.Name), ArtifactPaths.CheckSource(body.Source), string.IsNullOrEmpty(body.RunId) ? null : MlflowNames.ParseRunId(body.RunId),
            body.RunLink is null ? null : MlflowNames.CheckLength("run_link", body.RunLink, 500), Description(body.Description),
            request.HttpContext.GetState().Caller?.Name ?? "", string.IsNullOrEmpty(body.ModelId) ? null : MlflowNames.CheckLength("model_id", body.ModelId, 100),
            RunBatches.ReadTags(body.Tags));
        return Answer(new ModelVersionResponse(await versions.CreateAsync(version, cancellationToken)), MlflowJson.Default.ModelVersionResponse);
    }

    private async Task<IResult> GetVersionAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var name = Required(request, "name");
        var version = MlflowNames.CheckVersion(name, request.GetText("version"));
        return Answer(new ModelVersionResponse(await versions.GetAsync(name, version, cancellationToken)), MlflowJson.Default.ModelVersionResponse);
    }

    private async Task<IResult> SearchVersionsAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var search = await ReadSearchAsync(request, cancellationToken);
        // Clients may ask for 200,000 at once; pages are shorter than that, and the token leads on.
        var limit = Math.Min(Limit(search.MaxResults, 10_000, 200_000), 10_000);
        var (found, next) = await versions.SearchAsync(FilterParser.Parse(search.Filter), Order(search.OrderBy), limit, search.PageToken, cancellationToken);
        return Answer(new SearchVersionsResponse(found, next), MlflowJson.Default.SearchVersionsResponse);
    }

    private async Task<IResult> GetDownloadUriAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var name = Required(request, "name");
        var found = await versions.GetAsync(name, MlflowNames.CheckVersion(name, request.GetText("version")), cancellationToken);
        // runs:/ is resolved here, so that the URI stays good for clients that know only stores.
        var path = await purge.FindPathAsync(found.Source, cancellationToken);
        return Answer(new DownloadUriResponse(path is null ? found.Source : $"mlflow-artifacts:/{path}"), MlflowJson.Default.DownloadUriResponse);
    }

    private async Task<IResult> UpdateVersionAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.ModelVersionRequest, cancellationToken);
        var version = MlflowNames.CheckVersion(Name(body.Name), body.Version);
        await versions.UpdateAsync(body.Name!, version, Description(body.Description), cancellationToken);
        return Answer(new ModelVersionResponse(await versions.GetAsync(body.Name!, version, cancellationToken)), MlflowJson.Default.ModelVersionResponse);
    }

    private async Task<IResult> TransitionAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.ModelVersionRequest, cancellationToken);
        var version = MlflowNames.CheckVersion(Name(body.Name), body.Version);
        var stage = MlflowNames.CheckStage(body.Stage);
        var archive = body.ArchiveExistingVersions ?? false;
        if (archive && stage is not ("Staging" or "Production"))
            throw MlflowErrors.Invalid($"Model version transition cannot archive existing model versions because '{stage}' is not an Active stage. Valid stages are Staging, Production.");
        return Answer(new ModelVersionResponse(await versions.TransitionAsync(body.Name!, version, stage, archive, cancellationToken)), MlflowJson.Default.ModelVersionResponse);
    }

    private Task SetModelTagAsync(string name, RegisteredModelRequest body, CancellationToken cancellationToken) =>
        models.SetTagAsync(name, MlflowNames.CheckKey("tag", body.Key), MlflowNames.CheckTag(body.Value), cancellationToken);

    private Task DeleteModelTagAsync(string name, RegisteredModelRequest body, CancellationToken cancellationToken) =>
        models.DeleteTagAsync(name, MlflowNames.CheckKey("tag", body.Key), cancellationToken);

    private Task SetAliasAsync(string name, RegisteredModelRequest body, CancellationToken cancellationToken) =>
        models.SetAliasAsync(name, MlflowNames.CheckAlias(body.Alias), MlflowNames.CheckVersion(name, body.Version), cancellationToken);

    private Task DeleteAliasAsync(string name, RegisteredModelRequest body, CancellationToken cancellationToken) =>
        models.DeleteAliasAsync(name, MlflowNames.CheckAlias(body.Alias), cancellationToken);

    private Task SetVersionTagAsync(string name, int version, ModelVersionRequest body, CancellationToken cancellationToken) =>
        versions.SetTagAsync(name, version, MlflowNames.CheckKey("tag", body.Key), MlflowNames.CheckTag(body.Value), cancellationToken);

    private Task DeleteVersionTagAsync(string name, int version, ModelVersionRequest body, CancellationToken cancellationToken) =>
        versions.DeleteTagAsync(name, version, MlflowNames.CheckKey("tag", body.Key), cancellationToken);

    private async Task<IResult> AnswerModelAsync(string name, CancellationToken cancellationToken) =>
        Answer(new RegisteredModelResponse(await models.GetAsync(name, cancellationToken)), MlflowJson.Default.RegisteredModelResponse);

    private static async Task<IResult> ChangeModelAsync(
        HttpRequest request, Func<string, RegisteredModelRequest, CancellationToken, Task> change, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.RegisteredModelRequest, cancellationToken);
        await change(Name(body.Name), body, cancellationToken);
        return Done();
    }

    private static async Task<IResult> ChangeVersionAsync(
        HttpRequest request, Func<string, int, ModelVersionRequest, CancellationToken, Task> change, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.ModelVersionRequest, cancellationToken);
        await change(Name(body.Name), MlflowNames.CheckVersion(Name(body.Name), body.Version), body, cancellationToken);
        return Done();
    }

    private static string Name(string? name) => string.IsNullOrEmpty(name) ? throw MlflowErrors.Missing("name") : name;

    private static string? Description(string? text) => text is null ? null : MlflowNames.CheckLength("Description", text, MaxDescription);
}
