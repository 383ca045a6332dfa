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
    public async Task<IResult> ListResults(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "evolution/evolution/results")] HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = FieldReader.OfQuery(request);
        var (limit, offset) = (fields.WholeNumber("limit", 100, 1, 1000), fields.WholeNumber("offset", 0, 0, int.MaxValue));
        var (repository, fitness) = (fields.OptionalText("repository", 0, 100), fields.OptionalNumber("min_fitness", 0, 1) ?? 0);
        fields.ThrowIfFaulty();
        return JsonBody.Create(await trials.ListResultsAsync(repository, fitness, limit, offset, cancellationToken), EvolutionJson.Default.TrialResultListResponse);
    }

    /// <summary>GET /patterns; <c>type</c>, <c>min_effectiveness</c> and <c>trial_id</c> are what DEAN's client sends.</summary>
    [Function("evolution_patterns_list")]
    public async Task<IResult> ListPatterns(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "evolution/patterns")] HttpRequest request, CancellationToken cancellationToken)
    {
        string[] types = ["optimization", "refactoring", "bug_fix", "feature", "architecture", "performance"];
        var fields = FieldReader.OfQuery(request);
        var (limit, offset) = (fields.WholeNumber("limit", 100, 1, 1000), fields.WholeNumber("offset", 0, 0, int.MaxValue));
        var type = fields.OptionalChoice("pattern_type", types) ?? fields.OptionalChoice("type", types);
        var confidence = fields.OptionalNumber("min_confidence", 0, 1) ?? fields.OptionalNumber("min_effectiveness", 0, 1) ?? 0;
        var trialId = fields.OptionalText("trial_id", 0, 100);
        fields.ThrowIfFaulty();
        var found = await trials.ListPatternsAsync(type, confidence, string.IsNullOrEmpty(trialId) ? null : trialId, limit, offset, cancellationToken);
        return JsonBody.Create(found, EvolutionJson.Default.TrialPatternListResponse);
    }

    /// <summary>GET /evolution/metrics.</summary>
    [Function("evolution_metrics")]
    public async Task<IResult> Metrics(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "evolution/evolution/metrics")] HttpRequest request, CancellationToken cancellationToken) =>
        JsonBody.Create(await trials.GetMetricsAsync(cancellationToken), EvolutionJson.Default.TrialMetricsResponse);

    /// <summary>GET /health. The service's name is asserted by DEAN's own tests.</summary>
    [Function("evolution_health"), Unlimited, Public]
    public async Task<IResult> Health(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "evolution/health")] HttpRequest request, CancellationToken cancellationToken) =>
        JsonBody.Create(
            new EvolutionHealth(
                "healthy", "evolution-stub", time.GetUtcNow(), (long)TimeProvider.System.GetElapsedTime(s_startedAt).TotalSeconds, await trials.CountActiveAsync(cancellationToken)),
            EvolutionJson.Default.EvolutionHealth);
}
