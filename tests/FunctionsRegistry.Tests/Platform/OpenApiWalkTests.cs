using System.Collections.Concurrent;
using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using FunctionsRegistry.Tests.Marketplace;
using FunctionsRegistry.Tests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Primitives;

namespace FunctionsRegistry.Tests.Platform;

/// <summary>An app whose every contract can be called.</summary>
public sealed class WalkApp(TestServices services) : MarketplaceApp(services)
{
    public const string AdminKey = "the-admin-key-of-the-walk";

    /// <summary>Query parameters that were asked for, by the request's id.</summary>
    public ConcurrentDictionary<string, ConcurrentDictionary<string, bool>> Asked { get; } = new();

    protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string> { ["Hokusai:AdminKey"] = AdminKey };

    protected override void Configure(IServiceCollection collection) => collection.AddSingleton<IStartupFilter>(new QueryWitness(Asked));

    private sealed class QueryWitness(ConcurrentDictionary<string, ConcurrentDictionary<string, bool>> asked) : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use((http, following) =>
            {
                if (http.Request.Headers["X-Request-Id"].ToString() is { Length: > 0 } id)
                    http.Request.Query = new WitnessedQuery(http.Request.Query, asked.GetOrAdd(id, _ => new()));
                return following(http);
            });
            next(app);
        };
    }

    private sealed class WitnessedQuery(IQueryCollection query, ConcurrentDictionary<string, bool> asked) : IQueryCollection
    {
        public int Count => query.Count;

        public ICollection<string> Keys => query.Keys;

        public StringValues this[string key] => query[Ask(key)];

        public bool ContainsKey(string key) => query.ContainsKey(Ask(key));

        public bool TryGetValue(string key, out StringValues value) => query.TryGetValue(Ask(key), out value);

        public IEnumerator<KeyValuePair<string, StringValues>> GetEnumerator() => query.GetEnumerator();

        System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => query.GetEnumerator();

        private string Ask(string key)
        {
            asked.TryAdd(key, true);
            return key;
        }
    }
}

/// <summary>
/// Calls every operation of the document with values made from its schemas, right and wrong ones. Values of earlier answers are used for fields and path
/// parameters of the same name, so that what was created is found again.
/// </summary>
public sealed class OpenApiWalkTests(WalkApp app) : IClassFixture<WalkApp>
{
    private static readonly string[] s_order = ["put", "post", "get", "patch", "delete"];
    private readonly Dictionary<string, JsonNode> _known = new(StringComparer.Ordinal);
    private readonly Random _random = new(7);
    private readonly List<string> _faults = [];
    private readonly HashSet<string> _succeeded = [];
    private JsonNode _document = null!;
    private JsonSchemaCheck _check = null!;
    private string _token = "";
    private string _contract = "";
    private string _owner = "";

    [Fact]
    public async Task Every_operation_answers_as_the_document_says()
    {
        _document = JsonNode.Parse(await app.Client.GetStringAsync("/openapi.json"))!;
        _check = new JsonSchemaCheck(_document);
        _token = await app.SignInAsync("walker");
        (await app.PublishAsync(_token, "@walker", "mailer", "1.0.0")).EnsureSuccessStatusCode();

        // Three rounds: what the first could not find the later ones may. What deletes comes last, in the last round only.
        for (var round = 0; round < 3; round++)
            foreach (var verb in s_order.Where(verb => verb != "delete" || round == 2))
                foreach (var (path, item) in _document["paths"]!.AsObject())
                    if (item![verb] is JsonObject operation && !IsPurge(path, round))
                    {
                        await CallAsync(path, verb, item, operation, mode: 0);
                        if (round == 0)
                        {
                            for (var mode = 1; mode <= 4; mode++)
                                await CallAsync(path, verb, item, operation, mode);
                            await CallWithOneWrongFieldAsync(path, verb, item, operation);
                        }
                    }

        _faults.AddRange(ParametersAtFault());
        _faults.Distinct().ShouldBeEmpty();
        var operations = _document["paths"]!.AsObject().SelectMany(path => path.Value!.AsObject()).Where(member => member.Value is JsonObject)
            .Select(member => member.Value!["operationId"]!.GetValue<string>()).ToList();
        operations.Count.ShouldBeGreaterThan(200);
        // Most of them with an answer that is no error, so that bodies were compared in earnest.
        ((double)_succeeded.Count / operations.Count).ShouldBeGreaterThan(0.7, string.Join(", ", operations.Except(_succeeded)));
    }

    private static bool IsPurge(string path, int round) => round < 2 && path.EndsWith("/purge", StringComparison.Ordinal);

    // Parameters that functions ask for and the document does not have, and the other way round.
    private IEnumerable<string> ParametersAtFault()
    {
        foreach (var (path, item) in _document["paths"]!.AsObject())
            foreach (var (_, operation) in item!.AsObject().Where(member => member.Value is JsonObject))
            {
                var name = operation!["operationId"]!.GetValue<string>();
                var described = (operation["parameters"]?.AsArray() ?? []).Select(_check.Resolve).Where(one => one!["in"]!.GetValue<string>() == "query")
                    .Select(one => one!["name"]!.GetValue<string>()).ToHashSet();
                // The key of Hokusai's clients may be there; "v" belongs to the pages' files.
                var asked = app.Asked.TryGetValue(name, out var names) ? names.Keys.Except(["api_key"]).ToHashSet() : [];
                foreach (var one in asked.Except(described).Order())
                    yield return $"{name} asks for the parameter {one}, which is not described";
                // Read below artifacts/directories of a model only.
                foreach (var one in described.Except(asked).Except(["artifact_directory_path"]).Order())
                    yield return $"{name} never asks for the parameter {one}, which is described";
            }
    }

    // Each described field by itself with a value of another type: the answer names it, so it is read.
    private async Task CallWithOneWrongFieldAsync(string path, string verb, JsonNode item, JsonObject operation)
    {
        if (operation["requestBody"]?["content"]?["application/json"]?["schema"] is not JsonObject { } schema || schema["properties"] is not JsonObject properties)
            return;
        _contract = path.Split('/')[1];
        foreach (var (field, rules) in properties)
        {
            var type = rules!["type"] is JsonArray types ? types[0]!.GetValue<string>() : rules["type"]?.GetValue<string>();
            if (type is null)
                continue;
            var body = Make("", schema, false, 0)!.AsObject();
            body[field] = type is "array" or "object" ? JsonValue.Create(5) : new JsonObject { ["of"] = "another type" };
            foreach (var parameter in item["parameters"]?.AsArray() ?? [])
                path = path.Replace($"{{{parameter!["name"]}}}", Uri.EscapeDataString(PathValue(parameter["name"]!.GetValue<string>(), parameter["schema"]!)), StringComparison.Ordinal);
            using var request = new HttpRequestMessage(new HttpMethod(verb), path) { Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json") };
            Authorise(request, path);
            using var response = await app.Client.SendAsync(request);
            var text = await response.Content.ReadAsStringAsync();
            if ((int)response.StatusCode is not (400 or 422) || !text.Contains(field, StringComparison.Ordinal))
                _faults.Add($"{operation["operationId"]} with a wrong {field}: {(int)response.StatusCode} {text}; sent {body.ToJsonString()}");
        }
    }

    private void Authorise(HttpRequestMessage request, string path) =>
        request.Headers.Authorization = path.StartsWith("/agentx", StringComparison.Ordinal) ? new AuthenticationHeaderValue("Bearer", _token)
            : path.StartsWith("/hokusai", StringComparison.Ordinal) ? new AuthenticationHeaderValue("Bearer", WalkApp.AdminKey)
            : new AuthenticationHeaderValue("Basic", Convert.ToBase64String("airflow:airflow"u8));

    // Mode 0: everything right. 1: wrong types in the body or query. 2: required fields only, or none where that is wrong. 3: no caller, and broken JSON. 4: all parameters of the query.
    private async Task CallAsync(string path, string verb, JsonNode item, JsonObject operation, int mode)
    {
        var name = operation["operationId"]!.GetValue<string>();
        _contract = path.Split('/')[1];
        _owner = path.Split("/{")[0].Split('/')[^1].TrimEnd('s');
        var query = new List<string>();
        foreach (var parameter in (item["parameters"]?.AsArray() ?? []).Concat(operation["parameters"]?.AsArray() ?? []).Select(_check.Resolve))
        {
            var (field, place) = (parameter!["name"]!.GetValue<string>(), parameter["in"]!.GetValue<string>());
            if (place == "path")
                path = path.Replace($"{{{field}}}", Uri.EscapeDataString(PathValue(field, parameter["schema"]!)), StringComparison.Ordinal);
            else if (place == "query" && (mode is 1 or 4 || parameter["required"]!.GetValue<bool>() && mode != 2 || mode == 0 && field is "limit" or "page"))
                foreach (var value in Make(field, parameter["schema"], wrong: mode == 1, 0) is JsonArray many ? many : [Make(field, parameter["schema"], wrong: mode == 1, 0)])
                    query.Add($"{field}={Uri.EscapeDataString(value?.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : value?.ToJsonString() ?? "")}");
        }
        using var request = new HttpRequestMessage(new HttpMethod(verb), path + (query.Count > 0 ? "?" + string.Join('&', query) : ""));
        if (operation["requestBody"]?["content"] is JsonObject content)
            request.Content = Body(content, mode);
        request.Headers.Add("X-Request-Id", name);
        if (mode != 3)
            Authorise(request, path);
        using var response = await app.Client.SendAsync(request);
        await CompareAsync($"{name} (mode {mode}) {request.RequestUri}", name, operation, response, request.Content);
    }

    private async Task CompareAsync(string what, string name, JsonObject operation, HttpResponseMessage response, HttpContent? sent)
    {
        var (status, bytes) = ((int)response.StatusCode, await response.Content.ReadAsByteArrayAsync());
        var shown = Encoding.UTF8.GetString(bytes, 0, Math.Min(bytes.Length, 300));
        if (operation["responses"]![status.ToString(CultureInfo.InvariantCulture)] is not { } described)
        {
            _faults.Add($"{what}: {status} is not documented: {shown}; sent {(sent is null ? "" : await sent.ReadAsStringAsync())}");
            return;
        }
        if (status < 400)
            _succeeded.Add(name);
        var type = response.Content.Headers.ContentType?.MediaType;
        if (described["content"] is not JsonObject content)
        {
            if (bytes.Length > 0)
                _faults.Add($"{what}: {status} has a body: {shown}");
            return;
        }
        if (type is null || content[type] is not { } media)
        {
            _faults.Add($"{what}: {status} is {type}, not {string.Join(" or ", content.Select(one => one.Key))}: {shown}");
            return;
        }
        if (!type.EndsWith("json", StringComparison.Ordinal) || media["schema"]?["type"]?.ToJsonString() == "\"string\"")
            return;
        var value = JsonNode.Parse(bytes);
        foreach (var fault in _check.Check(value, media["schema"]))
            _faults.Add($"{name}: {status}: {fault}");
        if (status < 400)
            Learn(_owner, value);
    }

    private HttpContent Body(JsonObject content, int mode)
    {
        if (content["multipart/form-data"] is { } form)
        {
            var parts = new MultipartFormDataContent();
            foreach (var (field, schema) in form["schema"]!["properties"]!.AsObject())
                parts.Add(new StringContent(Make(field, schema, false, 0)?.ToJsonString() ?? ""), field);
            return parts;
        }
        if (content["application/json"] is not { } json)
            return new ByteArrayContent([31, 139, 8, 0]) { Headers = { ContentType = new MediaTypeHeaderValue(content.First().Key) } };
        var text = mode == 3 ? "{\"a\": [1, " : (Make("", json["schema"], mode == 1, 0, requiredOnly: mode == 2) ?? new JsonObject()).ToJsonString();
        return new StringContent(text, Encoding.UTF8, "application/json");
    }

    private JsonNode? Make(string name, JsonNode? schema, bool wrong, int depth, bool requiredOnly = false)
    {
        var rules = _check.Resolve(schema) as JsonObject ?? [];
        if (rules["anyOf"] is JsonArray some)
            return Make(name, some[0], wrong, depth, requiredOnly);
        var type = rules["type"] is JsonArray types ? types[0]!.GetValue<string>() : rules["type"]?.GetValue<string>();
        if (wrong && type is not ("object" or "array") || wrong && depth > 0 && _random.Next(3) == 0)
            return type == "string" ? new JsonObject { ["not"] = "a text" } : JsonValue.Create("not of this type");
        if (depth > 6)
            return null;
        switch (type)
        {
            case "object":
                var made = new JsonObject();
                var required = rules["required"]?.AsArray().Select(one => one!.GetValue<string>()).ToHashSet() ?? [];
                foreach (var (field, inner) in rules["properties"]?.AsObject() ?? [])
                    if (!requiredOnly && depth < 4 && field is not "cursor" and not "page_token" || required.Contains(field))
                        made[field] = Make(field, inner, wrong, depth + 1, requiredOnly);
                if (rules["additionalProperties"] is JsonObject map && !requiredOnly)
                    made["one"] = Make("one", map, wrong, depth + 1);
                return made;
            case "array":
                return new JsonArray(Make(name.TrimEnd('s'), rules["items"], wrong, depth + 1, requiredOnly));
        }
        if (rules["enum"] is JsonArray choices)
            return choices[0]?.DeepClone();
        if (_known.TryGetValue(At(name), out var known) && _check.Check(known, rules).Count == 0)
            return known.DeepClone();
        return type switch
        {
            "integer" or "number" => JsonValue.Create(Math.Max((int)(rules["minimum"]?.GetValue<decimal>() ?? 1), 1)),
            "boolean" => JsonValue.Create(false),
            "string" when rules["format"]?.GetValue<string>() is "uuid" => JsonValue.Create(Guid.CreateVersion7().ToString()),
            "string" when rules["format"]?.GetValue<string>() is "date-time" => JsonValue.Create("2026-11-21T10:00:00Z"),
            "string" => JsonValue.Create(Text(name)),
            _ => JsonValue.Create(name is "model_data" or "note" ? "text" : "x"),
        };
    }

    // Names mean different things in different contracts.
    private string At(string name) => $"{_contract} {name}";

    // What a reader's rules beyond the schema ask for.
    private string Text(string name) => name switch
    {
        "redirect_uri" => "http://127.0.0.1:9876/callback",
        "id" or "name" or "key" => $"walk-{_random.Next(1_000_000)}",
        "url" => "https://example.invalid/archive.tar.gz",
        "experiment_id" => "0",
        "model_name" or "alias" => "walk-model",
        "model1" or "model2" or "model" => _known.TryGetValue(At("name"), out var model) ? $"{model.GetValue<string>()}:1" : "walk-model:1",
        "metric_key" => "accuracy",
        "status" => "active",
        "model_version" or "version" => "1",
        "stage" => "Staging",
        "view_type" or "run_view_type" => "ALL",
        "metric" => "accuracy",
        "order_by" or "filter" or "sort" => "",
        "q" or "query" => "walk",
        "role" => "human",
        _ => $"walk-{_random.Next(1_000_000)}",
    };

    private string PathValue(string field, JsonNode schema) => field switch
    {
        "contract" => "dhg",
        "id" when _contract == "hokusai" && _known.TryGetValue(At("key_id"), out var key) => key.GetValue<string>(),
        "scope" => "@walker",
        "address" => "0x742d35Cc6634C0532925a3b844Bc9e7595f62341",
        "dag_id" when !_known.ContainsKey(At("dag_id")) => "system_maintenance",
        "run_id" when _contract == "airflow" && _known.TryGetValue(At("dag_run_id"), out var run) => run.GetValue<string>(),
        "username" => "walker",
        _ when schema["type"]!.GetValue<string>() == "integer" => "1",
        _ when _known.TryGetValue(At(field), out var known) => known.GetValueKind() == JsonValueKind.String ? known.GetValue<string>() : known.ToJsonString(),
        "version" => _contract == "agentx" ? "1.0.0" : "1",
        _ => "not-there",
    };

    // The last value of each name; "id" under the name of what has it, too.
    private void Learn(string owner, JsonNode? value)
    {
        if (value is JsonArray items)
        {
            foreach (var item in items.Take(1))
                Learn(owner.TrimEnd('s'), item);
        }
        else if (value is JsonObject members)
        {
            foreach (var (name, member) in members)
            {
                if (member is JsonValue scalar && scalar.GetValueKind() is JsonValueKind.String or JsonValueKind.Number && (name.EndsWith("id", StringComparison.Ordinal) || name is "name" or "version" or "key"))
                    _known[At(name == "id" && owner.Length > 0 ? owner + "_id" : name)] = member!.DeepClone();
                Learn(name, member);
            }
        }
    }
}
