using FunctionsRegistry.DataRegistry;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.DataRegistry;

/// <summary>spec-dhg.md, "Projects &amp; Conversations": projects.</summary>
[Contract(Family.Dhg)]
public sealed class ProjectFunctions(ConversationStore store)
{
    private const string Base = "dhg/api/v1/projects";

    /// <summary>GET /projects: newest first.</summary>
    [Function("dhg_projects_list")]
    [Query("skip?: integer(0..), limit?: integer(0..), cursor?: string(..1000)")]
    [Answers(typeof(IReadOnlyList<Project>))]
    public async Task<IResult> List(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        var query = FieldReader.OfQuery(request);
        var part = query.Part();
        query.ThrowIfFaulty();
        return RegistryRequests.Answer(request, await store.ListProjectsAsync(part, cancellationToken), DataRegistryJson.Default.IReadOnlyListProject);
    }

    /// <summary>POST /projects: 201, or 409 where project_id is taken.</summary>
    [Function("dhg_projects_create"), BodyLimit(RegistryRequests.DocumentMegabytes)]
    [Body("name: string(..512), project_id?: string(..256), description?: string, custom_instructions?: string, knowledge_files?: any, meta_data?: object")]
    [Answers(typeof(Project), 201)]
    public async Task<IResult> Create(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base)] HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = await RegistryRequests.ReadDocumentAsync(request, cancellationToken);
        var project = new NewProject(
            fields.Text("name", maxLength: 512), fields.OptionalText("project_id", maxLength: 256),
            fields.OptionalText("description", maxLength: RegistryRequests.AnyLength),
            fields.OptionalText("custom_instructions", maxLength: RegistryRequests.AnyLength), fields.RawValue("knowledge_files"),
            fields.RawObject("meta_data"));
        fields.ThrowIfFaulty();
        return JsonBody.Create(await store.InsertProjectAsync(project, cancellationToken), DataRegistryJson.Default.Project, StatusCodes.Status201Created);
    }

    /// <summary>GET /projects/{project_id}: the row's id, not the one of the system it came from.</summary>
    [Function("dhg_projects_get")]
    [Answers(typeof(Project))]
    public async Task<IResult> Get(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/{projectId}")] HttpRequest request,
        string projectId, CancellationToken cancellationToken) =>
        JsonBody.Cacheable(
            await store.FindProjectAsync(RegistryRequests.Id("project_id", projectId), cancellationToken) ?? throw DataRegistryErrors.ProjectNotFound(),
            DataRegistryJson.Default.Project);
}
