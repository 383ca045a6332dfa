using System.Globalization;
using System.Text;
using System.Threading.Channels;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Evolution;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Postgres;

namespace FunctionsRegistry.Functions.Evolution;

/// <summary>Ours: a trial's updates as server-sent events, which unlike WebSockets pass the real host, too; and where WebSockets are.</summary>
[Contract(Family.Evolution)]
public sealed class EventFunctions(TrialStore trials, LiveUpdates updates, WebPubSub webPubSub, ClientAddress addresses, ClientPlaces places, IHostApplicationLifetime lifetime, TimeProvider time)
{
    /// <summary>
    /// GET /evolution/{trial_id}/events: every update from the first, or from behind <c>Last-Event-ID</c>, then those to come. The stream ends with the
    /// trial; who comes back after that gets 204, which ends a browser's attempts.
    /// </summary>
    [Function("evolution_trials_events")]
    [Answers("text/event-stream")]
    [Answers(204)]
    public async Task<IResult> Stream(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "evolution/evolution/{trialId}/events")] HttpRequest request, string trialId, CancellationToken cancellationToken)
    {
        var header = request.Headers["Last-Event-ID"].ToString();
        var after = 0;
        if (header.Length > 0 && !int.TryParse(header, NumberStyles.None, CultureInfo.InvariantCulture, out after))
            throw new RegistryException(ErrorKind.Validation, "Validation failed", [new FieldError(["header", "Last-Event-ID"], "must be an id that this stream gave", "value_error")]);
        var (events, isOver) = await trials.ListEventsAsync(trialId, after, 1, cancellationToken) ?? throw EvolutionErrors.TrialNotFound();
        return isOver && events.Count == 0 ? Results.NoContent() : new EventStream(trialId, after, trials, updates, addresses.Of(request.HttpContext), places, lifetime, time);
    }

    /// <summary>GET /evolution/live: the WebSocket to connect to, of Web PubSub where that is configured.</summary>
    [Function("evolution_live")]
    [Answers(typeof(LiveResponse))]
    public async Task<IResult> Find(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "evolution/evolution/live")] HttpRequest request, CancellationToken cancellationToken)
    {
        var url = (await webPubSub.FindClientUrlAsync(cancellationToken))?.AbsoluteUri;
        if (url is null && RuntimeFlavour.IsLocal)
            url = $"{(request.IsHttps ? "wss" : "ws")}://{request.Host}/evolution/ws";
        return JsonBody.Create(new LiveResponse(url ?? throw EvolutionErrors.LiveUpdatesUnavailable()), EvolutionJson.Default.LiveResponse);
    }
}

/// <summary>
/// Reads from the rows, so any process can go on where another stopped; updates only say when to look. No public properties: the worker serialises returned
/// results once more for the host.
/// </summary>
internal sealed class EventStream(
    string trialId, int after, TrialStore trials, LiveUpdates updates, string address, ClientPlaces places, IHostApplicationLifetime lifetime, TimeProvider time) : IResult
{
    private const int PageSize = 200;

    // Should Redis be down, another process's updates are found at the next look.
    private static readonly TimeSpan s_lookEvery = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_heartbeat = TimeSpan.FromSeconds(15);

    // Azure's front end cuts a request off after 230 s; the client comes back with its last id.
    private static readonly TimeSpan s_longest = TimeSpan.FromSeconds(200);

    public async Task ExecuteAsync(HttpContext httpContext)
    {
        var response = httpContext.Response;
        var isHead = HttpMethods.IsHead(httpContext.Request.Method);
        if (!isHead && !places.TryTake(address))
            throw EvolutionErrors.TooManySockets();
        response.ContentType = "text/event-stream";
        response.Headers.CacheControl = "no-cache, no-store";
        response.Headers["X-Accel-Buffering"] = "no";
        if (isHead)
            return;
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(httpContext.RequestAborted, lifetime.ApplicationStopping);
        try
        {
            await WriteAsync(response.Body, ending.Token);
        }
        catch (Exception exception) when (exception is OperationCanceledException or IOException || PostgresErrors.Translate(exception) is not null)
        {
            // Headers are out: all there is to say is the end, and the client asks again.
        }
        finally
        {
            places.Return(address);
        }
    }

    private async Task WriteAsync(Stream body, CancellationToken cancellationToken)
    {
        var changed = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        using var listening = updates.Listen(update =>
        {
            if (update.TrialId == trialId)
                changed.Writer.TryWrite(true);
        });
        await SendAsync(body, "retry: 1000\n\n", cancellationToken);
        var (started, sent, last) = (time.GetTimestamp(), time.GetTimestamp(), after);
        while (time.GetElapsedTime(started) < s_longest)
        {
            if (await trials.ListEventsAsync(trialId, last, PageSize, cancellationToken) is not var (events, isOver))
                return;
            if (events.Count > 0)
            {
                last = events[^1].Number;
                await SendAsync(body, string.Concat(events.Select(one => $"id: {one.Number}\ndata: {one.Frame}\n\n")), cancellationToken);
                sent = time.GetTimestamp();
            }
            if (events.Count == PageSize)
                continue;
            if (isOver)
                return;
            await WaitAsync(changed.Reader, cancellationToken);
            if (time.GetElapsedTime(sent) < s_heartbeat)
                continue;
            await SendAsync(body, ": still here\n\n", cancellationToken);
            sent = time.GetTimestamp();
        }
    }

    private async Task WaitAsync(ChannelReader<bool> changed, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(s_lookEvery, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        try
        {
            await changed.ReadAsync(either.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // Time to look.
        }
    }

    private static async Task SendAsync(Stream body, string text, CancellationToken cancellationToken)
    {
        await body.WriteAsync(Encoding.UTF8.GetBytes(text), cancellationToken);
        await body.FlushAsync(cancellationToken);
    }
}
