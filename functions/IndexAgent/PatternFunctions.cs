using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.IndexAgent;

namespace FunctionsRegistry.Functions.IndexAgent;

/// <summary>spec-dean.md, IndexAgent, "Pattern Management"; apply of DEAN's client.</summary>
[Contract(Family.IndexAgent)]
public sealed class PatternFunctions(PatternService patterns, TimeProvider time)
{
    /// <summary>GET /patterns; <c>type</c> and <c>min_effectiveness</c> are what DEAN's client sends for pattern_type and min_confidence.</summary>
    [Function("indexagent_patterns_list")]
    [Query(
        "pattern_type?: string(..100), type?: string(..100), min_confidence?: number(0..1), min_effectiveness?: number(0..1), " +
        "limit?: integer(1..1000), offset?: integer(0..)")]
    [Answers(typeof(PatternListResponse))]
    public async Task<IResult> List(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "indexagent/patterns")] HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = FieldReader.OfQuery(request);
        var (limit, offset) = Paging.Read(fields);
        var type = fields.OptionalText("pattern_type", 0, 100) ?? fields.OptionalText("type", 0, 100);
        var confidence = fields.OptionalNumber("min_confidence", 0, 1) ?? fields.OptionalNumber("min_effectiveness", 0, 1) ?? 0;
        fields.ThrowIfFaulty();
        var filter = string.IsNullOrEmpty(type) ? null : type;
        var (found, total) = await patterns.ListAsync(filter, confidence, limit, offset, cancellationToken);
        return JsonBody.Create(new PatternListResponse(found, total, new PatternFilters(filter, confidence)), IndexAgentJson.Default.PatternListResponse);
    }

    /// <summary>POST /patterns/apply: <c>pattern_id</c>, and <c>agent_ids</c> or <c>agent_id</c>; without them all active agents.</summary>
    [Function("indexagent_patterns_apply")]
    [Body("pattern_id: string(1..100), agent_ids?: string[], agent_id?: string(1..100)")]
    [Answers(typeof(PatternAppliedResponse))]
    public async Task<IResult> Apply(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "indexagent/patterns/apply")] HttpRequest request, CancellationToken cancellationToken)
    {
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var id = fields.Text("pattern_id", 1, 100);
        var agents = fields.OptionalTexts("agent_ids", 1000, 100);
        if (fields.OptionalText("agent_id", 1, 100) is { } one)
            agents ??= [one];
        fields.ThrowIfFaulty();
        var affected = await patterns.ApplyAsync(id, agents, cancellationToken);
        return JsonBody.Create(new PatternAppliedResponse("applied", id, affected, time.GetUtcNow()), IndexAgentJson.Default.PatternAppliedResponse);
    }
}
