using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace FunctionsRegistry.LocalRuntime.Durable;

/// <summary>
/// The host's own HTTP API for instances, under <c>/runtime/webhooks/durabletask</c>: the routes, fields and status codes of the real one. Answers before
/// the app's functions are looked at.
/// </summary>
internal sealed class ManagementApi(LocalDurableTaskClient client, ClientStore store, DurableWorker worker, DurableOptions options)
{
    /// <summary>Where it lies.</summary>
    public const string Prefix = "/runtime/webhooks/durabletask";

    private const string ContinuationHeader = "x-ms-continuation-token";
    private const int MaxBodyBytes = 1 << 20;
    private const int DefaultPageSize = 100;

    /// <summary>Answers; the prefix is not in the path.</summary>
    public async Task HandleAsync(HttpContext http)
    {
        if (!HasKey(http.Request))
        {
            http.Response.StatusCode = StatusCodes.Status401Unauthorized;
            return;
        }
        try
        {
            await RouteAsync(http, http.Request.Path.Value?.Trim('/').Split('/') ?? []);
        }
        catch (Exception exception) when (exception is ArgumentException or JsonException)
        {
            await WriteErrorAsync(http, StatusCodes.Status400BadRequest, exception.Message);
        }
        catch (InvalidOperationException exception)
        {
            await WriteErrorAsync(http, StatusCodes.Status409Conflict, exception.Message);
        }
        catch (BadHttpRequestException exception)
        {
            await WriteErrorAsync(http, exception.StatusCode, exception.Message);
        }
        catch (Npgsql.NpgsqlException exception) when (exception is not Npgsql.PostgresException)
        {
            http.Response.Headers.RetryAfter = "5";
            await WriteErrorAsync(http, StatusCodes.Status503ServiceUnavailable, "The database is not reachable.");
        }
    }

    private async Task RouteAsync(HttpContext http, string[] path)
    {
        var (method, query) = (http.Request.Method, http.Request.Query);
        if (query["taskHub"].ToString() is { Length: > 0 } hub && !hub.Equals(options.HubName, StringComparison.OrdinalIgnoreCase))
        {
            await WriteErrorAsync(http, StatusCodes.Status404NotFound, $"There is no task hub '{hub}' here, only '{options.HubName}'.");
            return;
        }
        var answer = (method, path) switch
        {
            ("POST", [var part, var name]) when Is(part, "orchestrators") => StartAsync(http, name, null),
            ("POST", [var part, var name, var id]) when Is(part, "orchestrators") => StartAsync(http, name, id),
            ("GET", [var part]) when Is(part, "instances") => ListAsync(http),
            ("DELETE", [var part]) when Is(part, "instances") => PurgeManyAsync(http),
            ("GET", [var part, var id]) when Is(part, "instances") => GetAsync(http, id),
            ("DELETE", [var part, var id]) when Is(part, "instances") => PurgeAsync(http, id),
            ("POST", [var part, var id, var action, var name]) when Is(part, "instances") && Is(action, "raiseEvent") => RaiseAsync(http, id, name),
            ("POST", [var part, var id, var action]) when Is(part, "instances") => ActAsync(http, id, action),
            ("GET" or "POST" or "PUT" or "DELETE", [var part]) when Is(part, "makeprimary") => WriteAsync(http, StatusCodes.Status200OK, null),
            _ => WriteAsync(http, StatusCodes.Status404NotFound, null),
        };
        await answer;
    }

    private async Task StartAsync(HttpContext http, string name, string? id)
    {
        var input = await ReadJsonAsync(http);
        if (!worker.HasOrchestrator(name))
            throw new ArgumentException($"The app has no orchestrator function '{name}'.");
        var timeout = ReadSeconds(http, "timeout");
        var interval = ReadSeconds(http, "pollingInterval");
        var instance = await client.StartAsync(name, input, id is { Length: > 0 } ? id : null, null, null, http.RequestAborted);
        await AnswerStartAsync(http, instance, timeout, interval);
    }

    // With both times, as long as that, and the output when it is over; without, the addresses at once.
    private async Task AnswerStartAsync(HttpContext http, string instance, TimeSpan? timeout, TimeSpan? interval)
    {
        if (timeout is { } longest && interval is not null)
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted);
            limit.CancelAfter(longest);
            try
            {
                var end = await client.WaitForInstanceCompletionAsync(instance, true, limit.Token);
                await WriteAsync(
                    http, StatusCodes.Status200OK,
                    end.RuntimeStatus == OrchestrationRuntimeStatus.Completed ? Node(end.SerializedOutput) : StatusOf(end), writesNull: true);
                return;
            }
            catch (OperationCanceledException) when (!http.RequestAborted.IsCancellationRequested)
            {
                // Not over yet.
            }
        }
        var addresses = Addresses(http.Request, instance);
        http.Response.Headers.Location = addresses["statusQueryGetUri"]!.GetValue<string>();
        http.Response.Headers.RetryAfter = "10";
        await WriteAsync(http, StatusCodes.Status202Accepted, addresses);
    }

    private async Task GetAsync(HttpContext http, string id)
    {
        var query = http.Request.Query;
        var (showHistory, showOutput) = (ReadFlag(query, "showHistory", false), ReadFlag(query, "showHistoryOutput", false));
        var (showInput, failsAs500) = (ReadFlag(query, "showInput", true), ReadFlag(query, "returnInternalServerErrorOnFailure", false));
        if (!InstanceIds.IsValid(id) || await store.FindAsync(id, showInput, withOutput: true, http.RequestAborted) is not { } found)
        {
            await WriteAsync(http, StatusCodes.Status404NotFound, null);
            return;
        }
        var body = StatusOf(found);
        if (showHistory)
            body["historyEvents"] = HistoryView.Of(found, await store.ReadHistoryAsync(id, http.RequestAborted), showInput, showOutput);
        if (found.IsCompleted)
        {
            var failed = found.RuntimeStatus == OrchestrationRuntimeStatus.Failed && failsAs500;
            await WriteAsync(http, failed ? StatusCodes.Status500InternalServerError : StatusCodes.Status200OK, body);
            return;
        }
        http.Response.Headers.Location = $"{Base(http.Request)}/instances/{Uri.EscapeDataString(id)}{http.Request.QueryString}";
        http.Response.Headers.RetryAfter = "5";
        await WriteAsync(http, StatusCodes.Status202Accepted, body);
    }

    private async Task ListAsync(HttpContext http)
    {
        var query = http.Request.Query;
        var prefix = query["instanceIdPrefix"].ToString();
        if (prefix.Contains('\0', StringComparison.Ordinal))
            throw new ArgumentException("instanceIdPrefix contains a control character.");
        var top = query["top"].ToString() switch
        {
            "" => DefaultPageSize,
            var text => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number is > 0 and <= 10_000
                ? number
                : throw new ArgumentException($"top must be a number from 1 to 10000, not '{text}'."),
        };
        var statuses = ReadStatuses(query);
        var (found, next) = await client.ListAsync(
            new InstanceQuery(
                ReadTime(query, "createdTimeFrom"), ReadTime(query, "createdTimeTo"), statuses.Length == 0 ? null : statuses,
                prefix.Length == 0 ? null : prefix, ReadFlag(query, "showInput", true), WithOutput: true, top, null),
            http.Request.Headers[ContinuationHeader], http.RequestAborted);
        http.Response.Headers[ContinuationHeader] = next ?? "";
        await WriteAsync(http, StatusCodes.Status200OK, new JsonArray([.. found.Select(StatusOf)]));
    }

    private async Task PurgeAsync(HttpContext http, string id) =>
        await WriteDeletedAsync(http, InstanceIds.IsValid(id) ? (await client.PurgeInstanceAsync(id, http.RequestAborted)).PurgedInstanceCount : 0);

    private async Task PurgeManyAsync(HttpContext http)
    {
        var query = http.Request.Query;
        var from = ReadTime(query, "createdTimeFrom") ?? throw new ArgumentException("createdTimeFrom is required: a time such as 2026-01-31T00:00:00Z.");
        var statuses = ReadStatuses(query).Select(status => (OrchestrationRuntimeStatus)status).ToList();
        var filter = new PurgeInstancesFilter(from, ReadTime(query, "createdTimeTo") ?? worker.Now(), statuses.Count == 0 ? null : statuses);
        await WriteDeletedAsync(http, (await client.PurgeAllInstancesAsync(filter, http.RequestAborted)).PurgedInstanceCount);
    }

    private static Task WriteDeletedAsync(HttpContext http, int count) => count == 0
        ? WriteAsync(http, StatusCodes.Status404NotFound, null)
        : WriteAsync(http, StatusCodes.Status200OK, new JsonObject { ["instancesDeleted"] = count });

    private async Task RaiseAsync(HttpContext http, string id, string name)
    {
        if (!http.Request.HasJsonContentType())
            throw new ArgumentException("Only application/json is accepted as an event's content.");
        var json = await ReadJsonAsync(http);
        await AnswerSentAsync(http, InstanceIds.IsValid(id) ? await client.RaiseAsync(id, name, json, http.RequestAborted) : null);
    }

    private async Task ActAsync(HttpContext http, string id, string action)
    {
        var reason = http.Request.Query["reason"].ToString() is { Length: > 0 } text ? Payload.Write(text) : null;
        EventKind kind;
        if (Is(action, "terminate"))
            kind = EventKind.Terminated;
        else if (Is(action, "suspend"))
            kind = EventKind.Suspended;
        else if (Is(action, "resume"))
            kind = EventKind.Resumed;
        else if (Is(action, "rewind"))
        {
            await RewindAsync(http, id);
            return;
        }
        else if (Is(action, "restart"))
        {
            await RestartAsync(http, id);
            return;
        }
        else
        {
            await WriteAsync(http, StatusCodes.Status404NotFound, null);
            return;
        }
        await AnswerSentAsync(http, InstanceIds.IsValid(id) ? await client.SendAsync(id, kind, null, reason, http.RequestAborted) : null);
    }

    private async Task RestartAsync(HttpContext http, string id)
    {
        InstanceIds.Check(id);
        var (timeout, interval) = (ReadSeconds(http, "timeout"), ReadSeconds(http, "pollingInterval"));
        var instance = await client.RestartAsync(id, ReadFlag(http.Request.Query, "restartWithNewInstanceId", true), http.RequestAborted);
        await AnswerStartAsync(http, instance, timeout, interval);
    }

    private async Task RewindAsync(HttpContext http, string id)
    {
        var found = InstanceIds.IsValid(id) ? await store.FindAsync(id, false, false, http.RequestAborted) : null;
        if (found is { RuntimeStatus: OrchestrationRuntimeStatus.Running or OrchestrationRuntimeStatus.Pending or OrchestrationRuntimeStatus.Suspended })
            throw new ArgumentException($"The instance is {found.RuntimeStatus}: only one that failed can be rewound.");
        if (found is { RuntimeStatus: OrchestrationRuntimeStatus.Failed })
            await client.RewindInstanceAsync(id, http.Request.Query["reason"].ToString(), http.RequestAborted);
        await WriteAsync(
            http,
            found is null ? StatusCodes.Status404NotFound
                : found.RuntimeStatus == OrchestrationRuntimeStatus.Failed ? StatusCodes.Status202Accepted : StatusCodes.Status410Gone,
            null);
    }

    private static Task AnswerSentAsync(HttpContext http, OrchestrationRuntimeStatus? status) => WriteAsync(
        http,
        status switch
        {
            null => StatusCodes.Status404NotFound,
            { } known when Instance.IsOverStatus(known) => StatusCodes.Status410Gone,
            _ => StatusCodes.Status202Accepted,
        },
        null);

    private static JsonObject StatusOf(OrchestrationMetadata found) => new()
    {
        ["name"] = found.Name,
        ["instanceId"] = found.InstanceId,
        ["runtimeStatus"] = found.RuntimeStatus.ToString(),
        ["input"] = Node(found.SerializedInput),
        ["customStatus"] = Node(found.SerializedCustomStatus),
        ["output"] = found.FailureDetails is { } failure ? failure.ToString() : Node(found.SerializedOutput),
        ["createdTime"] = Time(found.CreatedAt),
        ["lastUpdatedTime"] = Time(found.LastUpdatedAt),
    };

    private JsonObject Addresses(HttpRequest request, string id)
    {
        var instance = $"{Base(request)}/instances/{Uri.EscapeDataString(id)}";
        var query = $"taskHub={Uri.EscapeDataString(options.HubName)}&connection=Storage";
        if (options.SystemKey is { } key)
            query += $"&code={Uri.EscapeDataString(key)}";
        return new JsonObject
        {
            ["id"] = id,
            ["statusQueryGetUri"] = $"{instance}?{query}",
            ["sendEventPostUri"] = $"{instance}/raiseEvent/{{eventName}}?{query}",
            ["terminatePostUri"] = $"{instance}/terminate?reason={{text}}&{query}",
            ["purgeHistoryDeleteUri"] = $"{instance}?{query}",
            ["rewindPostUri"] = $"{instance}/rewind?reason={{text}}&{query}",
            ["restartPostUri"] = $"{instance}/restart?{query}",
            ["suspendPostUri"] = $"{instance}/suspend?reason={{text}}&{query}",
            ["resumePostUri"] = $"{instance}/resume?reason={{text}}&{query}",
        };
    }

    private static string Base(HttpRequest request) => $"{request.Scheme}://{request.Host}{Prefix}";

    // Both are hashed, so that their lengths and contents take the same time.
    private bool HasKey(HttpRequest request)
    {
        if (options.SystemKey is not { } key)
            return true;
        var sent = request.Headers["x-functions-key"].ToString() is { Length: > 0 } header ? header : request.Query["code"].ToString();
        return CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.UTF8.GetBytes(sent)), SHA256.HashData(Encoding.UTF8.GetBytes(key)));
    }

    // Null for no body. Kept as sent: only whether it is JSON matters.
    private static async Task<string?> ReadJsonAsync(HttpContext http)
    {
        if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
            limit.MaxRequestBodySize = MaxBodyBytes;
        using var buffer = new MemoryStream();
        await http.Request.Body.CopyToAsync(buffer, http.RequestAborted);
        if (buffer.Length == 0)
            return null;
        try
        {
            using var document = JsonDocument.Parse(buffer.ToArray());
            return document.RootElement.ValueKind == JsonValueKind.Null ? null : JsonSerializer.Serialize(document.RootElement);
        }
        catch (JsonException exception)
        {
            throw new ArgumentException($"The body is not valid JSON: {exception.Message}", exception);
        }
    }

    private static TimeSpan? ReadSeconds(HttpContext http, string name) => http.Request.Query[name].ToString() switch
    {
        "" => null,
        var text => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var seconds) && seconds is >= 0 and <= 3600
            ? TimeSpan.FromSeconds(seconds)
            : throw new ArgumentException($"{name} must be a number of seconds from 0 to 3600, not '{text}'."),
    };

    private static bool ReadFlag(IQueryCollection query, string name, bool otherwise) => query[name].ToString() switch
    {
        "" => otherwise,
        var text => bool.TryParse(text, out var flag) ? flag : throw new ArgumentException($"{name} must be true or false, not '{text}'."),
    };

    private static DateTime? ReadTime(IQueryCollection query, string name) => query[name].ToString() switch
    {
        "" => null,
        var text => DateTime.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time)
            ? time
            : throw new ArgumentException($"{name} must be a time such as 2026-01-31T00:00:00Z, not '{text}'."),
    };

    private static short[] ReadStatuses(IQueryCollection query) => [.. query["runtimeStatus"]
        .SelectMany(text => (text ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        .Select(text => Enum.TryParse<OrchestrationRuntimeStatus>(text, ignoreCase: true, out var status) && Enum.IsDefined(status)
            ? (short)status
            : throw new ArgumentException($"runtimeStatus '{text}' is none of {string.Join(", ", Enum.GetNames<OrchestrationRuntimeStatus>())}."))];

    private static bool Is(string part, string name) => part.Equals(name, StringComparison.OrdinalIgnoreCase);

    private static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);

    internal static JsonNode? Node(string? json) => json is null ? null : JsonNode.Parse(json);

    private static Task WriteErrorAsync(HttpContext http, int status, string message) => WriteAsync(http, status, new JsonObject { ["Message"] = message });

    private static async Task WriteAsync(HttpContext http, int status, JsonNode? body, bool writesNull = false)
    {
        http.Response.StatusCode = status;
        http.Response.Headers.CacheControl = "no-store";
        if (body is null && !writesNull)
            return;
        var bytes = Encoding.UTF8.GetBytes(body?.ToJsonString() ?? "null");
        http.Response.ContentType = "application/json; charset=utf-8";
        http.Response.ContentLength = bytes.Length;
        await http.Response.Body.WriteAsync(bytes, http.RequestAborted);
    }
}
