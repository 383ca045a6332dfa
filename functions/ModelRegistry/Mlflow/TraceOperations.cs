using System.Globalization;
using System.Text.RegularExpressions;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.ModelRegistry.Mlflow;
using static FunctionsRegistry.Functions.ModelRegistry.Mlflow.MlflowRequests;

namespace FunctionsRegistry.Functions.ModelRegistry.Mlflow;

/// <summary>MLflow 3, <c>traces</c>: what start_span and search_traces of its client need.</summary>
public sealed partial class TraceOperations(TraceStore traces, ArtifactService artifacts, TimeProvider time)
{
    private static readonly string[] s_states = ["STATE_UNSPECIFIED", "OK", "ERROR", "IN_PROGRESS"];
    private const int MaxPreview = 10_000;
    private const int MaxDeleted = 1000;

    /// <summary>The operations by method and path.</summary>
    public IEnumerable<MlflowOperation> All =>
    [
        new("post", "traces", true, StartAsync) { Body = typeof(StartTraceRequest), Answer = typeof(TraceResponse) },
        new("post", "traces/search", false, SearchAsync) { Body = typeof(SearchTracesRequest), Answer = typeof(SearchTracesResponse) },
        new("post", "traces/delete-traces", true, DeleteAsync) { Body = typeof(DeleteTracesRequest), Answer = typeof(DeleteTracesResponse) },
        new("get", "traces/*", false, GetAsync) { Answer = typeof(TraceResponse) },
        new("patch", "traces/*", true, SetTagAsync) { Body = typeof(LogTextRequest) },
        new("delete", "traces/*", true, DeleteTagAsync) { Body = typeof(LogTextRequest) },
    ];

    private async Task<IResult> StartAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.StartTraceRequest, cancellationToken);
        if (body.Trace?.TraceInfo is not { } info)
            throw MlflowErrors.Missing("trace.trace_info");
        if (info.TraceId is not { } id || !TraceId().IsMatch(id))
            throw MlflowErrors.Invalid("trace_id must have 1 to 100 letters, digits, hyphens or underscores.");
        if (info.State is not null && !s_states.Contains(info.State))
            throw MlflowErrors.Invalid($"Invalid trace state '{info.State}': it must be one of {string.Join(", ", s_states)}.");
        var trace = new NewTrace(
            id, MlflowNames.ParseExperimentId(info.TraceLocation?.MlflowExperiment?.ExperimentId), ReadTime(info.RequestTime), ReadDuration(info.ExecutionDuration),
            info.State ?? "STATE_UNSPECIFIED", info.ClientRequestId is null ? null : MlflowNames.CheckLength("client_request_id", info.ClientRequestId, 500),
            Shorten(info.RequestPreview), Shorten(info.ResponsePreview), Check("trace_metadata", info.TraceMetadata), Check("tags", info.Tags));
        return Answer(await traces.PutAsync(trace, cancellationToken));
    }

    private async Task<IResult> SearchAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.SearchTracesRequest, cancellationToken);
        var ids = (body.Locations ?? []).Select(location => location?.MlflowExperiment?.ExperimentId).Concat(body.ExperimentIds ?? [])
            .Select(id => long.TryParse(id, out var parsed) ? parsed : -1).Distinct().ToArray();
        var (found, next) = await traces.SearchAsync(
            ids, FilterParser.Parse(body.Filter), Order(body.OrderBy), Limit(body.MaxResults, 100, 500), body.PageToken, cancellationToken);
        return MlflowRequests.Answer(new SearchTracesResponse(found, next), MlflowJson.Default.SearchTracesResponse);
    }

    private async Task<IResult> DeleteAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var body = await ReadAsync(request, MlflowJson.Default.DeleteTracesRequest, cancellationToken);
        if (body.RequestIds is null == body.MaxTimestampMillis is null)
            throw MlflowErrors.Invalid("Either max_timestamp_millis or request_ids must be given, and not both.");
        var limit = body.MaxTraces is null ? MaxDeleted : Math.Min(Limit(body.MaxTraces, MaxDeleted, int.MaxValue), MaxDeleted);
        var experiment = MlflowNames.ParseExperimentId(body.ExperimentId);
        var deleted = await traces.DeleteAsync(experiment, body.RequestIds is null ? null : [.. body.RequestIds], body.MaxTimestampMillis, limit, cancellationToken);
        foreach (var id in deleted)
            await artifacts.DeleteAsync($"{experiment}/traces/{id}", cancellationToken);
        return MlflowRequests.Answer(new DeleteTracesResponse(deleted.Count), MlflowJson.Default.DeleteTracesResponse);
    }

    private async Task<IResult> GetAsync(HttpRequest request, CancellationToken cancellationToken) => Rest(request) switch
    {
        // "info" is what MLflow 2 adds.
        [var id, .. [] or ["info"]] => Answer(await traces.GetAsync(id, cancellationToken)),
        _ => throw Errors.CommonErrors.RouteNotFound(request.Method, request.Path),
    };

    private async Task<IResult> SetTagAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        if (Rest(request) is not [var id, "tags"])
            throw Errors.CommonErrors.RouteNotFound(request.Method, request.Path);
        var body = await ReadAsync(request, MlflowJson.Default.LogTextRequest, cancellationToken);
        await traces.SetTagAsync(id, MlflowNames.CheckKey("tag", body.Key), MlflowNames.CheckTag(body.Value), cancellationToken);
        return Done();
    }

    private async Task<IResult> DeleteTagAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        if (Rest(request) is not [var id, "tags"])
            throw Errors.CommonErrors.RouteNotFound(request.Method, request.Path);
        // The client sends the key in the body, as with the registry's DELETEs.
        var key = request.GetText("key") ?? (await ReadAsync(request, MlflowJson.Default.LogTextRequest, cancellationToken)).Key;
        await traces.DeleteTagAsync(id, MlflowNames.CheckKey("tag", key), cancellationToken);
        return Done();
    }

    private long ReadTime(string? text)
    {
        if (string.IsNullOrEmpty(text))
            return time.GetUtcNow().ToUnixTimeMilliseconds();
        return DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var parsed)
            ? parsed.ToUnixTimeMilliseconds()
            : throw MlflowErrors.Invalid("request_time must be a time such as 2025-01-07T10:30:00Z.");
    }

    private static long? ReadDuration(string? text)
    {
        if (string.IsNullOrEmpty(text))
            return null;
        return text.EndsWith('s') && decimal.TryParse(text[..^1], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var seconds) && seconds < 1e12m
            ? (long)(seconds * 1000)
            : throw MlflowErrors.Invalid("execution_duration must be seconds such as 1.5s.");
    }

    private static Dictionary<string, string> Check(string what, IReadOnlyDictionary<string, string>? map)
    {
        if (map is { Count: > 1000 })
            throw MlflowErrors.BatchTooLarge(what, 1000, map.Count);
        return (map ?? new Dictionary<string, string>()).ToDictionary(
            pair => MlflowNames.CheckLength($"{what} key", pair.Key, MlflowNames.MaxKeyLength), pair => MlflowNames.CheckTag(pair.Value));
    }

    private static string? Shorten(string? preview) => preview is { Length: > MaxPreview } ? preview[..MaxPreview] : preview;

    private static string[] Rest(HttpRequest request) => ((string)request.RouteValues["rest"]!).Split('/');

    private static IResult Answer(TraceInfo trace) => MlflowRequests.Answer(new TraceResponse(new Trace(trace)), MlflowJson.Default.TraceResponse);

    [GeneratedRegex(@"\A[A-Za-z0-9_\-]{1,100}\z", RegexOptions.CultureInvariant)]
    private static partial Regex TraceId();
}
