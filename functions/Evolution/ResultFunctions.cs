using FunctionsRegistry.Errors;
using FunctionsRegistry.Evolution;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.Evolution;

/// <summary>spec-dean.md, Evolution, "Results and Metrics", and its health.</summary>
[Contract(Family.Evolution)]
public sealed class ResultFunctions(TrialStore trials, TimeProvider time)
{
    private static readonly long s_startedAt = TimeProvider.System.GetTimestamp();

    /// <summary>GET /evolution/results.</summary>
    [Function("evolution_results_list")]
    [Query("repository?: string(..500), min_fitness?: number(0..1), limit?: integer(1..1000), offset?: integer(0..)")]
    [Answers(typeof(TrialResultListResponse))]
    public async Task<IResult> ListResults(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "evolution/evolution/results")] HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = FieldReader.OfQuery(request);
        var (limit, offset) = (fields.WholeNumber("limit", 100, 1, 1000), fields.WholeNumber("offset", 0, 0, int.MaxValue));
        var (repository, fitness) = (fields.OptionalText("repository", 0, 500), fields.OptionalNumber("min_fitness", 0, 1) ?? 0);
        fields.ThrowIfFaulty();
        return JsonBody.Create(await trials.ListResultsAsync(repository, fitness, limit, offset, cancellationToken), EvolutionJson.Default.TrialResultListResponse);
    }

    /// <summary>GET /patterns; <c>type</c>, <c>min_effectiveness</c> and <c>trial_id</c> are what DEAN's client sends.</summary>
    [Function("evolution_patterns_list")]
    [Query(
        "pattern_type?: optimization|refactoring|bug_fix|feature|architecture|performance, type?: optimization|refactoring|bug_fix|feature|architecture|performance, " +
        "min_confidence?: number(0..1), min_effectiveness?: number(0..1), trial_id?: string(..100), limit?: integer(1..1000), offset?: integer(0..)")]
    [Answers(typeof(TrialPatternListResponse))]
    public async Task<IResult> ListPatterns(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "evolution/patterns")] HttpRequest request, CancellationToken cancellationToken)
    {
        string[] types = ["optimization", "refactoring", "bug_fix", "feature", "architecture", "performance"];
        var fields = FieldReader.OfQuery(request);
        var (limit, offset) = (fields.WholeNumber("limit", 100, 1, 1000), fields.WholeNumber("offset", 0, 0, int.MaxValue));
        var type = (Pattern: fields.OptionalChoice("pattern_type", types), Short: fields.OptionalChoice("type", types));
        var confidence = (Spec: fields.OptionalNumber("min_confidence", 0, 1), Client: fields.OptionalNumber("min_effectiveness", 0, 1));
        var trialId = fields.OptionalText("trial_id", 0, 100);
        fields.ThrowIfFaulty();
        var found = await trials.ListPatternsAsync(
            type.Pattern ?? type.Short, confidence.Spec ?? confidence.Client ?? 0, string.IsNullOrEmpty(trialId) ? null : trialId, limit, offset, cancellationToken);
        return JsonBody.Create(found, EvolutionJson.Default.TrialPatternListResponse);
    }

    /// <summary>GET /evolution/metrics.</summary>
    [Function("evolution_metrics")]
    [Answers(typeof(TrialMetricsResponse))]
    public async Task<IResult> Metrics(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "evolution/evolution/metrics")] HttpRequest request, CancellationToken cancellationToken) =>
        JsonBody.Create(await trials.GetMetricsAsync(cancellationToken), EvolutionJson.Default.TrialMetricsResponse);

    /// <summary>GET /health. The service's name is asserted by DEAN's own tests.</summary>
    [Function("evolution_health"), Unlimited, Public]
    [Answers(typeof(EvolutionHealth))]
    public async Task<IResult> Health(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "evolution/health")] HttpRequest request, CancellationToken cancellationToken) =>
        JsonBody.Create(
            new EvolutionHealth(
                "healthy", "evolution-stub", time.GetUtcNow(), (long)TimeProvider.System.GetElapsedTime(s_startedAt).TotalSeconds, await trials.CountActiveAsync(cancellationToken)),
            EvolutionJson.Default.EvolutionHealth);
}
