using System.Collections.Concurrent;
using System.Diagnostics;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.ModelRegistry;

namespace FunctionsRegistry.Functions.ModelRegistry;

/// <summary>Counts the calls of each key, for its usage: added up here and written every few seconds, so that counting costs no round trip.</summary>
public sealed partial class KeyUsageMiddleware(KeyUsage usage) : IFunctionsWorkerMiddleware
{
    /// <inheritdoc/>
    public async Task Invoke(FunctionContext context, FunctionExecutionDelegate next)
    {
        if (FunctionRules.Of(context) is not { IsHttp: true, Family: Family.Hokusai or Family.Mlflow } || context.GetHttpContext() is not { } http)
        {
            await next(context);
            return;
        }
        var start = Stopwatch.GetTimestamp();
        await next(context);
        if (http.GetState().Caller is { IsPersonal: true } caller)
            usage.Add(caller.Id, context.FunctionDefinition.Name, http.Response.StatusCode, Stopwatch.GetElapsedTime(start).TotalMilliseconds);
    }
}

/// <summary>What was counted and not yet written; each process writes its own.</summary>
public sealed partial class KeyUsage(ApiKeyStore keys, TimeProvider time, ILogger<KeyUsage> logger) : BackgroundService
{
    private static readonly TimeSpan s_every = TimeSpan.FromSeconds(3);
    private ConcurrentDictionary<(Guid Key, DateTimeOffset Hour, string Endpoint, int Status), (long Requests, double DurationMs)> _counts = new();

    /// <summary>Counts one call.</summary>
    public void Add(Guid key, string endpoint, int status, double durationMs)
    {
        var now = time.GetUtcNow();
        var hour = new DateTimeOffset(now.Year, now.Month, now.Day, now.Hour, 0, 0, TimeSpan.Zero);
        _counts.AddOrUpdate((key, hour, endpoint, status), (1, durationMs), (_, counted) => (counted.Requests + 1, counted.DurationMs + durationMs));
    }

    /// <inheritdoc/>
    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        await WriteAsync(cancellationToken);
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(s_every, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
                await WriteAsync(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The rest is written by StopAsync.
        }
    }

    private async Task WriteAsync(CancellationToken cancellationToken)
    {
        if (_counts.IsEmpty)
            return;
        // A call that is being counted into the old dictionary while it is read may be missed; usage is for people to look at, limits are counted apart.
        var counts = Interlocked.Exchange(ref _counts, new());
        try
        {
            await keys.AddUsesAsync(
                [.. counts.Select(pair => new ApiKeyUse(pair.Key.Key, pair.Key.Hour, pair.Key.Endpoint, pair.Key.Status, pair.Value.Requests, pair.Value.DurationMs))],
                cancellationToken);
        }
        catch (Exception exception) when (exception is Npgsql.NpgsqlException or TimeoutException)
        {
            LogLost(counts.Count, exception.Message);
        }
    }

    [LoggerMessage(4001, LogLevel.Warning, "The usage of API keys could not be written, {Lines} counts are lost: {Reason}")]
    private partial void LogLost(int lines, string reason);
}
