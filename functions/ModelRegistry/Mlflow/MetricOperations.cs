using System.Buffers.Text;
using System.Globalization;
using System.Text;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.ModelRegistry.Mlflow;
using static FunctionsRegistry.Functions.ModelRegistry.Mlflow.MlflowRequests;

namespace FunctionsRegistry.Functions.ModelRegistry.Mlflow;

/// <summary>MLflow REST 2.0, <c>metrics/*</c>.</summary>
public sealed class MetricOperations(RunLogStore log)
{
    private const int MaxPage = 25_000;
    private const int MaxRuns = 100;

    /// <summary>The operations by method and path.</summary>
    public IEnumerable<MlflowOperation> All =>
    [
        new("get", "metrics/get-history", false, GetHistoryAsync)
        {
            Query = "metric_key: string, run_id?: string, run_uuid?: string, max_results?: integer, page_token?: string",
            Answer = typeof(MetricHistoryResponse),
        },
        new("get", "metrics/get-history-bulk", false, GetBulkAsync) { Query = "run_id?: string[], run_ids?: string[], metric_key: string, max_results?: integer", Answer = typeof(MetricHistoryResponse) },
    ];

    private async Task<IResult> GetHistoryAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var id = MlflowNames.ParseRunId(request.GetText("run_id") ?? request.GetText("run_uuid"));
        var key = Required(request, "metric_key");
        var limit = Math.Min(Limit(Number(request, "max_results"), MaxPage, int.MaxValue), MaxPage);
        var after = request.GetText("page_token") is { } token ? ReadToken(key, token) : null;
        var (points, more) = await log.ListHistoryAsync(id, key, after, limit, cancellationToken);
        return Answer(new MetricHistoryResponse(points, more ? WriteToken(points[^1]) : null), MlflowJson.Default.MetricHistoryResponse);
    }

    // What MLflow's own charts ask: the first points of one metric of several runs.
    private async Task<IResult> GetBulkAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var ids = Texts(request, "run_id");
        if (ids.Length == 0)
            ids = Texts(request, "run_ids");
        if (ids.Length == 0)
            throw MlflowErrors.Missing("run_id");
        if (ids.Length > MaxRuns)
            throw MlflowErrors.Invalid($"GetMetricHistoryBulk request cannot specify more than {MaxRuns} run_ids. Received {ids.Length} run_ids.");
        var limit = Math.Min(Limit(Number(request, "max_results"), MaxPage, int.MaxValue), MaxPage);
        var points = await log.ListHistoriesAsync([.. ids.Select(MlflowNames.ParseRunId)], Required(request, "metric_key"), limit, cancellationToken);
        return Answer(new MetricHistoryResponse(points, null), MlflowJson.Default.MetricHistoryResponse);
    }

    private static string WriteToken(Metric point) =>
        Base64Url.EncodeToString(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{point.Timestamp} {point.Step} {point.Value:R}")));

    private static Metric ReadToken(string key, string token)
    {
        var parts = Base64Url.IsValid(token) ? Encoding.ASCII.GetString(Base64Url.DecodeFromChars(token)).Split(' ') : [];
        return parts.Length == 3 && long.TryParse(parts[0], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var timestamp)
            && long.TryParse(parts[1], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var step)
            && double.TryParse(parts[2], NumberStyles.Float, CultureInfo.InvariantCulture, out var value)
                ? new Metric(key, value, timestamp, step)
                : throw MlflowErrors.InvalidPageToken();
    }
}
