using FunctionsRegistry.Errors;
using FunctionsRegistry.Evolution;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.IndexAgent;

namespace FunctionsRegistry.Functions.IndexAgent;

/// <summary>spec-dean.md, IndexAgent, "Evolution Operations", and its health.</summary>
[Contract(Family.IndexAgent)]
public sealed class PopulationFunctions(PopulationService populations, SearchAgentService agents, TimeProvider time)
{
    private static readonly long s_startedAt = TimeProvider.System.GetTimestamp();

    /// <summary>POST /evolution/population; <c>seed</c> and <c>repository</c> are ours.</summary>
    [Function("indexagent_population_create")]
    [Body(
        "size?: integer(1..1000), mutation_rate?: number(0..1), crossover_rate?: number(0..1), selection_method?: tournament|roulette|rank, " +
        "seed?: integer, repository?: string(1..100)")]
    [Answers(typeof(PopulationResponse))]
    public async Task<IResult> Create(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "indexagent/evolution/population")] HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var selection = fields.OptionalChoice("selection_method", "tournament", "roulette", "rank") ?? "tournament";
        var rules = new PopulationRules(
            fields.WholeNumber("size", 10, 1, 1000), fields.OptionalNumber("mutation_rate", 0, 1) ?? 0.1, fields.OptionalNumber("crossover_rate", 0, 1) ?? 0.7,
            Enum.TryParse<SelectionMethod>(selection, ignoreCase: true, out var method) ? method : SelectionMethod.Tournament,
            fields.OptionalWholeNumber("seed", long.MinValue, long.MaxValue) ?? Random.Shared.NextInt64(1L << 53), fields.OptionalText("repository", 1, 100));
        fields.ThrowIfFaulty();
        return JsonBody.Create(await populations.CreateAsync(rules, cancellationToken), IndexAgentJson.Default.PopulationResponse);
    }

    /// <summary>POST /evolution/generation; the population's id in the body (spec) or in the query (the original).</summary>
    [Function("indexagent_generation_create")]
    [Query("population_id?: string")]
    [Body("population_id: string(1..100)", IsOptional = true)]
    [Answers(typeof(GenerationResponse))]
    public async Task<IResult> Evolve(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "indexagent/evolution/generation")] HttpRequest request, CancellationToken cancellationToken)
    {
        var query = request.Query["population_id"].ToString();
        if (query.Length == 0)
        {
            var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
            query = fields.Text("population_id", minLength: 1, maxLength: 100);
            fields.ThrowIfFaulty();
        }
        return JsonBody.Create(await populations.EvolveAsync(query, cancellationToken), IndexAgentJson.Default.GenerationResponse);
    }

    /// <summary>GET /evolution/metrics. Filters that DEAN's client sends (population_id, start_time, end_time) are ignored, as the original does.</summary>
    [Function("indexagent_evolution_metrics")]
    [Answers(typeof(MetricsResponse))]
    public async Task<IResult> Metrics(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "indexagent/evolution/metrics")] HttpRequest request, CancellationToken cancellationToken) =>
        JsonBody.Create(await agents.GetMetricsAsync(cancellationToken), IndexAgentJson.Default.MetricsResponse);

    /// <summary>GET /metrics: the inner counters alone.</summary>
    [Function("indexagent_metrics")]
    [Answers(typeof(CounterMetrics))]
    public async Task<IResult> Counters(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "indexagent/metrics")] HttpRequest request, CancellationToken cancellationToken) =>
        JsonBody.Create((await agents.GetMetricsAsync(cancellationToken)).Metrics, IndexAgentJson.Default.CounterMetrics);

    /// <summary>GET /health. The service's name is asserted by DEAN's own tests.</summary>
    [Function("indexagent_health"), Unlimited, Public]
    [Answers(typeof(ServiceHealth))]
    public IResult Health([HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "indexagent/health")] HttpRequest request) =>
        JsonBody.Create(
            new ServiceHealth("healthy", "indexagent-stub", time.GetUtcNow(), (long)TimeProvider.System.GetElapsedTime(s_startedAt).TotalSeconds), IndexAgentJson.Default.ServiceHealth);
}
