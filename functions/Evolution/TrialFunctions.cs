using System.Text.Json.Nodes;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Evolution;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Json;

namespace FunctionsRegistry.Functions.Evolution;

/// <summary>spec-dean.md, Evolution, "Evolution Trial Management"; stop, pause, resume, status and /trials of DEAN's client.</summary>
[Contract(Family.Evolution)]
public sealed class TrialFunctions(TrialService service, TrialStore trials, TrialStarter starter)
{
    private const string Base = "evolution/evolution";

    private static readonly string[] s_statuses = ["pending", "initializing", "running", "paused", "completed", "failed", "cancelled"];

    /// <summary>
    /// POST /evolution/start. Ranges of the original; <c>parameters.seed</c> and <c>parameters.selection_method</c> are ours. A repository may be
    /// called anything, a path or a URL too: one that is not indexed is measured on the built-in corpus.
    /// </summary>
    [Function("evolution_trials_start")]
    [Body(
        "repository?: string(1..500), generations?: integer(1..100), population_size?: integer(5..100), mutation_rate?: number(0..1), crossover_rate?: number(0..1), " +
        "fitness_threshold?: number(0..1), max_runtime_minutes?: integer(1..120), parameters?: object")]
    [Answers(typeof(TrialResponse))]
    public async Task<IResult> Start(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/start")] HttpRequest request, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken)
    {
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var rules = ReadRules(fields);
        fields.ThrowIfFaulty();
        var trial = await service.StartAsync(rules, null, cancellationToken);
        await starter.StartAsync(client, trial.TrialId);
        return JsonBody.Create(trial, EvolutionJson.Default.TrialResponse);
    }

    /// <summary>GET /evolution/{trial_id}/status.</summary>
    [Function("evolution_trials_status")]
    [Answers(typeof(TrialResponse))]
    public async Task<IResult> Status(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/{trialId}/status")] HttpRequest request, string trialId, CancellationToken cancellationToken) =>
        JsonBody.Create(await service.GetAsync(trialId, cancellationToken), EvolutionJson.Default.TrialResponse);

    /// <summary>POST /evolution/{trial_id}/cancel.</summary>
    [Function("evolution_trials_cancel")]
    [Answers(typeof(TrialActionResponse))]
    public async Task<IResult> Cancel(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/{trialId}/cancel")] HttpRequest request, string trialId, [DurableClient] DurableTaskClient client,
        CancellationToken cancellationToken)
    {
        await service.CancelAsync(trialId, cancellationToken);
        await starter.TellAsync(client, trialId);
        return JsonBody.Create(new TrialActionResponse("cancelled", trialId), EvolutionJson.Default.TrialActionResponse);
    }

    /// <summary>GET /evolution/trials.</summary>
    [Function("evolution_trials_list")]
    [Query("repository?: string(..500), status?: pending|initializing|running|paused|completed|failed|cancelled, limit?: integer(1..1000), offset?: integer(0..)")]
    [Answers(typeof(TrialListResponse))]
    public async Task<IResult> List(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/trials")] HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = FieldReader.OfQuery(request);
        var (limit, offset) = (fields.WholeNumber("limit", 100, 1, 1000), fields.WholeNumber("offset", 0, 0, int.MaxValue));
        var (repository, status) = (fields.OptionalText("repository", 0, 500), fields.OptionalChoice("status", s_statuses));
        fields.ThrowIfFaulty();
        var (found, total) = await trials.ListAsync(repository, status, limit, offset, cancellationToken);
        return JsonBody.Create(new TrialListResponse(found, total, limit, offset), EvolutionJson.Default.TrialListResponse);
    }

    /// <summary>GET /trials of DEAN's client: the same list.</summary>
    [Function("evolution_trials_list_short")]
    [Query("repository?: string(..500), status?: pending|initializing|running|paused|completed|failed|cancelled, limit?: integer(1..1000), offset?: integer(0..)")]
    [Answers(typeof(TrialListResponse))]
    public Task<IResult> ListShort(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "evolution/trials")] HttpRequest request, CancellationToken cancellationToken) =>
        List(request, cancellationToken);

    /// <summary>GET /evolution/status of DEAN's client: of <c>trial_id</c>, or of the newest trial that is not over.</summary>
    [Function("evolution_status")]
    [Query("trial_id?: string")]
    [Answers(typeof(TrialProgressResponse))]
    public async Task<IResult> Progress(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = Base + "/status")] HttpRequest request, CancellationToken cancellationToken)
    {
        var id = request.Query["trial_id"].ToString() is { Length: > 0 } given ? given : null;
        var progress = await trials.FindProgressAsync(id, cancellationToken)
            ?? (id is null ? new TrialProgressResponse(null, "no_active_trial") : throw EvolutionErrors.TrialNotFound());
        return JsonBody.Create(progress, EvolutionJson.Default.TrialProgressResponse);
    }

    /// <summary>POST /evolution/stop of DEAN's client: cancels.</summary>
    [Function("evolution_stop")]
    [Body("trial_id: string(1..100)")]
    [Answers(typeof(TrialActionResponse))]
    public async Task<IResult> Stop(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/stop")] HttpRequest request, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken)
    {
        var id = await ReadIdAsync(request, cancellationToken);
        await service.CancelAsync(id, cancellationToken);
        await starter.TellAsync(client, id);
        return JsonBody.Create(new TrialActionResponse("stopped", id), EvolutionJson.Default.TrialActionResponse);
    }

    /// <summary>POST /evolution/pause of DEAN's client.</summary>
    [Function("evolution_pause")]
    [Body("trial_id: string(1..100)")]
    [Answers(typeof(TrialActionResponse))]
    public async Task<IResult> Pause([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/pause")] HttpRequest request, CancellationToken cancellationToken)
    {
        var id = await ReadIdAsync(request, cancellationToken);
        await service.PauseAsync(id, cancellationToken);
        return JsonBody.Create(new TrialActionResponse("paused", id), EvolutionJson.Default.TrialActionResponse);
    }

    /// <summary>POST /evolution/resume of DEAN's client.</summary>
    [Function("evolution_resume")]
    [Body("trial_id: string(1..100)")]
    [Answers(typeof(TrialActionResponse))]
    public async Task<IResult> Resume(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = Base + "/resume")] HttpRequest request, [DurableClient] DurableTaskClient client, CancellationToken cancellationToken)
    {
        var id = await ReadIdAsync(request, cancellationToken);
        await service.ResumeAsync(id, cancellationToken);
        await starter.TellAsync(client, id);
        return JsonBody.Create(new TrialActionResponse("resumed", id), EvolutionJson.Default.TrialActionResponse);
    }

    private static async Task<string> ReadIdAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var id = fields.Text("trial_id", 1, 100);
        fields.ThrowIfFaulty();
        return id;
    }

    private static TrialRules ReadRules(FieldReader fields)
    {
        var parameters = fields.OptionalObject("parameters") is { } given ? JsonNodes.OfObject(given) : [];
        var more = fields.OptionalFields("parameters");
        var seed = more?.OptionalWholeNumber("seed", long.MinValue, long.MaxValue) ?? Random.Shared.NextInt64(1L << 53);
        var selection = more?.OptionalChoice("selection_method", "tournament", "roulette", "rank") ?? "tournament";
        parameters["seed"] = seed;
        parameters["selection_method"] = selection;
        return new TrialRules(
            fields.OptionalText("repository", 1, 500), fields.WholeNumber("generations", 10, 1, 100), fields.WholeNumber("population_size", 20, 5, 100),
            fields.OptionalNumber("mutation_rate", 0, 1) ?? 0.1, fields.OptionalNumber("crossover_rate", 0, 1) ?? 0.7,
            Enum.TryParse<SelectionMethod>(selection, ignoreCase: true, out var method) ? method : SelectionMethod.Tournament,
            fields.OptionalNumber("fitness_threshold", 0, 1) ?? 0.9, fields.WholeNumber("max_runtime_minutes", 30, 1, 120), parameters.ToJsonString(), seed);
    }
}
