using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Identity;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.Evolution;

/// <summary>Where Azure Web PubSub is.</summary>
/// <param name="Endpoint"><c>WebPubSub__Endpoint</c>, such as <c>https://name.webpubsub.azure.com</c>; null where there is none.</param>
/// <param name="Hub"><c>WebPubSub__Hub</c>: evolution.</param>
public sealed record WebPubSubOptions(Uri? Endpoint, string Hub)
{
    /// <summary>Reads the settings named above.</summary>
    /// <exception cref="InvalidOperationException">The endpoint is no https URL; loopback may be http.</exception>
    public static WebPubSubOptions FromConfiguration(IConfiguration configuration)
    {
        var hub = configuration["WebPubSub:Hub"] is { Length: > 0 } set ? set : "evolution";
        if (configuration["WebPubSub:Endpoint"] is not { Length: > 0 } text)
            return new WebPubSubOptions(null, hub);
        return Uri.TryCreate(text, UriKind.Absolute, out var endpoint) && (endpoint.Scheme == Uri.UriSchemeHttps || (endpoint.Scheme == Uri.UriSchemeHttp && endpoint.IsLoopback))
            ? new WebPubSubOptions(endpoint, hub)
            : throw new InvalidOperationException("WebPubSub__Endpoint must be a URL like https://name.webpubsub.azure.com.");
    }
}

/// <summary>Sends updates to all clients of a hub, over REST and as this process' identity. What fails is logged and left out: the rows have it.</summary>
public sealed partial class WebPubSub(WebPubSubOptions options, EntraTokens tokens, HttpClient http, TimeProvider time, ILogger<WebPubSub> logger)
{
    private const string Version = "2024-01-01";
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(5);

    // A service that is down must not hold up every generation of every trial.
    private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(15);
    private long _downUntil;

    /// <summary>Sends updates in order; nothing where no endpoint is configured.</summary>
    public async Task SendAsync(IReadOnlyList<TrialEvent> events, CancellationToken cancellationToken)
    {
        if (options.Endpoint is null || time.GetUtcNow().UtcTicks < Volatile.Read(ref _downUntil))
            return;
        try
        {
            foreach (var one in events)
            {
                using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
                limit.CancelAfter(s_timeout);
                using var request = await RequestAsync(":send", limit.Token);
                request.Content = new StringContent(one.Frame, Encoding.UTF8, "application/json");
                using var response = await http.SendAsync(request, limit.Token);
                response.EnsureSuccessStatusCode();
            }
        }
        catch (Exception exception) when (
            exception is HttpRequestException or EntraTokenException || (exception is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            Volatile.Write(ref _downUntil, (time.GetUtcNow() + s_pause).UtcTicks);
            LogFailed(exception.Message);
        }
    }

    /// <summary>A URL that a client can listen at, with a token for an hour; null where no endpoint is configured.</summary>
    /// <exception cref="RegistryException">503.</exception>
    public async Task<Uri?> FindClientUrlAsync(CancellationToken cancellationToken)
    {
        if (options.Endpoint is not { } endpoint)
            return null;
        try
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            limit.CancelAfter(s_timeout);
            using var request = await RequestAsync(":generateToken", limit.Token, "&minutesToExpire=60");
            using var response = await http.SendAsync(request, limit.Token);
            response.EnsureSuccessStatusCode();
            using var body = JsonDocument.Parse(await response.Content.ReadAsStringAsync(limit.Token));
            var scheme = endpoint.Scheme == Uri.UriSchemeHttps ? "wss" : "ws";
            return body.RootElement is { ValueKind: JsonValueKind.Object } answer && answer.TryGetProperty("token", out var token) && token.ValueKind == JsonValueKind.String
                ? new Uri($"{scheme}://{endpoint.Authority}/client/hubs/{Uri.EscapeDataString(options.Hub)}?access_token={Uri.EscapeDataString(token.GetString()!)}")
                : throw new JsonException("the answer has no token");
        }
        catch (Exception exception) when (
            exception is HttpRequestException or EntraTokenException or JsonException || (exception is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            LogFailed(exception.Message);
            throw EvolutionErrors.LiveUpdatesUnavailable();
        }
    }

    private async Task<HttpRequestMessage> RequestAsync(string action, CancellationToken cancellationToken, string query = "")
    {
        var token = await tokens.GetAsync(EntraTokens.WebPubSubScope, cancellationToken);
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(options.Endpoint!, $"/api/hubs/{Uri.EscapeDataString(options.Hub)}/{action}?api-version={Version}{query}"));
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token.Token);
        return request;
    }

    [LoggerMessage(5101, LogLevel.Warning, "Web PubSub did not do what it was asked: {Reason}")]
    private partial void LogFailed(string reason);
}
