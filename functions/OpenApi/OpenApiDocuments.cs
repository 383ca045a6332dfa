using System.Collections.Concurrent;
using System.Reflection;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Functions.ModelRegistry.Mlflow;

namespace FunctionsRegistry.Functions.OpenApi;

/// <summary>
/// OpenAPI 3.1 from the functions themselves: routes, methods, callers and limits as their attributes say, bodies as the JSON contexts have them. A test
/// calls every operation of the document, so that it cannot say what the app does not do.
/// </summary>
public sealed partial class OpenApiDocuments(MlflowRoutes mlflow, Summaries summaries)
{
    /// <summary>A path segment in front of each contract, and its title.</summary>
    public static IReadOnlyDictionary<string, string> Contracts { get; } = new Dictionary<string, string>
    {
        ["agentx"] = "Agent marketplace (agentx)",
        ["dhg"] = "Agent and data registry (DHG)",
        ["hokusai"] = "Model registry and MLflow (Hokusai)",
        ["indexagent"] = "Code search (DEAN IndexAgent)",
        ["airflow"] = "Airflow (DEAN)",
        ["evolution"] = "Evolution (DEAN)",
    };

    private const string Introduction = """
        Every answer carries `X-Request-Id`, error bodies repeat it as `request_id`. `Accept: application/problem+json` gives errors as RFC 9457. A POST or PUT
        with an `Idempotency-Key` has one effect however often it is sent within 24 hours. `RateLimit` and `RateLimit-Policy` tell the quota where there is one.
        """;

    private static readonly JsonSerializerOptions s_written = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private readonly ConcurrentDictionary<string, byte[]> _documents = new(StringComparer.Ordinal);

    /// <summary>What the contracts show: by method and path with empty parameters, <c>request</c> and <c>response</c>. Taken from the spec files as they are.</summary>
    internal static JsonObject Examples { get; } = ReadExamples();

    /// <summary>The document of one contract by its prefix, with paths as its clients know them; with an empty prefix that of all contracts.</summary>
    public byte[] Get(string prefix) => _documents.GetOrAdd(prefix, static (prefix, self) => Encoding.UTF8.GetBytes(self.Build(prefix).ToJsonString(s_written)), this);

    /// <summary>Functions with an HTTP trigger that are operations.</summary>
    internal static IEnumerable<(MethodInfo Method, string Name, HttpTriggerAttribute Trigger)> Functions() =>
        from method in typeof(OpenApiDocuments).Assembly.GetTypes().SelectMany(type => type.GetMethods())
        let function = method.GetCustomAttribute<FunctionAttribute>()
        let trigger = method.GetParameters().Select(parameter => parameter.GetCustomAttribute<HttpTriggerAttribute>()).FirstOrDefault(one => one is not null)
        where function is not null && trigger is not null && !method.IsDefined(typeof(UndescribedAttribute))
        orderby trigger.Route, function.Name
        select (method, function.Name, trigger);

    private JsonObject Build(string prefix)
    {
        var (paths, schemas) = (new JsonObject(), new OpenApiSchemas());
        var functions = Functions().ToDictionary(function => function.Name);
        foreach (var (method, name, trigger) in functions.Values)
        {
            // The one that has the attributes: another where this is only its second route.
            var described = method.DeclaringType!.GetCustomAttribute<SameOperationsAttribute>() is { } same
                ? functions[name.Replace(same.Inserted, "", StringComparison.Ordinal)].Method
                : method;
            foreach (var verb in trigger.Methods!.Where(verb => verb is not ("head" or "options")))
                Add(paths, prefix, "/" + trigger.Route, verb, () => Describe(described, method, name, trigger, verb, schemas));
        }
        foreach (var (path, operation) in mlflow.All)
            Add(paths, prefix, "/hokusai/mlflow/api/2.0/" + path.Replace("*", "{rest}", StringComparison.Ordinal), operation.Method, () => Describe(path, operation, schemas));
        var title = prefix.Length == 0 ? "FunctionsRegistry" : Contracts[prefix];
        return new JsonObject
        {
            ["openapi"] = "3.1.0",
            ["info"] = new JsonObject { ["title"] = title, ["version"] = "1.0.0", ["description"] = Introduction.ReplaceLineEndings(" ") },
            // Relative to where the document is: the same on a contract's own port, which adds the prefix by itself.
            ["servers"] = new JsonArray(new JsonObject { ["url"] = "." }),
            ["tags"] = Tags(paths),
            ["paths"] = paths,
            ["components"] = new JsonObject
            {
                ["schemas"] = schemas.Components,
                ["parameters"] = new JsonObject
                {
                    ["IdempotencyKey"] = new JsonObject
                    {
                        ["name"] = "Idempotency-Key",
                        ["in"] = "header",
                        ["description"] = "The same key and request have one effect within 24 hours; repeats get the first answer.",
                        ["schema"] = new JsonObject { ["type"] = "string", ["maxLength"] = 255 },
                    },
                },
                ["securitySchemes"] = new JsonObject
                {
                    ["agentx"] = Scheme("http", "bearer", "A token of the sign-in, agentx_..."),
                    ["hokusai"] = Scheme("http", "bearer", "An API key, hk_..."),
                    ["airflow"] = Scheme("http", "basic", "AIRFLOW_USERNAME and AIRFLOW_PASSWORD"),
                    ["internal"] = new JsonObject
                    {
                        ["type"] = "apiKey",
                        ["in"] = "header",
                        ["name"] = "X-API-Key",
                        ["description"] = "Needed only where InternalApiKey is set.",
                    },
                },
            },
        };
    }

    private static void Add(JsonObject paths, string prefix, string route, string verb, Func<JsonObject> describe)
    {
        var path = PathOf(route);
        if (prefix.Length > 0)
        {
            if (!path.StartsWith($"/{prefix}/", StringComparison.Ordinal))
                return;
            path = path[(prefix.Length + 1)..];
        }
        if (paths[path] is not JsonObject item)
        {
            paths[path] = item = [];
            if (Parameter().Matches(route) is { Count: > 0 } names)
                item["parameters"] = new JsonArray([.. names.Select(name => new JsonObject
                {
                    ["name"] = Snake(name.Groups[1].Value),
                    ["in"] = "path",
                    ["required"] = true,
                    ["schema"] = new JsonObject { ["type"] = name.Groups[2].Value == ":int" ? "integer" : "string" },
                })]);
        }
        var operation = describe();
        AddExamples(operation, $"{verb.ToUpperInvariant()} {AnyParameter().Replace(PathOf(route), "{}")}");
        item[verb] = operation;
    }

    private JsonObject Describe(MethodInfo described, MethodInfo method, string name, HttpTriggerAttribute trigger, string verb, OpenApiSchemas schemas)
    {
        var type = method.DeclaringType!;
        var family = Families.OfPath("/" + trigger.Route) ?? Family.Platform;
        var bodies = described.GetCustomAttributes<BodyAttribute>().ToList();
        var query = described.GetCustomAttribute<QueryAttribute>()?.Fields;
        var operation = Start(name, trigger.Methods!.Count(one => one is not ("head" or "options")) > 1 ? $"{name}_{verb}" : name, Tag(type), summaries.Of(described), query);
        if (bodies.Count > 0 && verb is not "get")
            operation["requestBody"] = new JsonObject
            {
                ["required"] = !bodies.All(body => body.IsOptional),
                ["content"] = new JsonObject(bodies.Select(body => KeyValuePair.Create(body.ContentType, (JsonNode?)new JsonObject
                {
                    ["schema"] = body.Record is { } record ? schemas.Of(record, false) : FieldNotation.Parse(body.Fields!),
                }))),
            };
        if (verb is "post" or "put" && !bodies.Any(body => body.Fields == "binary"))
            AddParameter(operation, new JsonObject { ["$ref"] = "#/components/parameters/IdempotencyKey" });
        var responses = new JsonObject();
        foreach (var answer in described.GetCustomAttributes<AnswersAttribute>().OrderBy(answer => answer.Status))
            AddAnswer(responses, answer.Status, answer.ContentType, answer.Record is { } record ? schemas.Of(record, true) : new JsonObject { ["type"] = "string" });
        var isPublic = method.IsDefined(typeof(PublicAttribute));
        AddErrors(responses, family, schemas, isPublic, method.IsDefined(typeof(UnlimitedAttribute)), query is not null || bodies.Count > 0,
            query is not null || bodies.Count > 0 || trigger.Route!.Contains('{'), verb);
        operation["responses"] = responses;
        if (!isPublic)
            operation["security"] = Security(family);
        return operation;
    }

    private static JsonObject Describe(string path, MlflowOperation mlflow, OpenApiSchemas schemas)
    {
        var name = $"mlflow_{mlflow.Method}_{path.Replace('/', '_').Replace('-', '_').Replace("*", "rest", StringComparison.Ordinal)}";
        var operation = Start(name, name, "Hokusai: MLflow", "MLflow's REST API; also under /hokusai/api/mlflow, as ajax-api and as 3.0", mlflow.Query);
        if (mlflow.Body is not null || mlflow.IsBinaryBody)
            operation["requestBody"] = new JsonObject
            {
                ["required"] = true,
                ["content"] = mlflow.IsBinaryBody
                    ? new JsonObject { ["application/octet-stream"] = new JsonObject { ["schema"] = FieldNotation.Parse("binary") } }
                    : new JsonObject { ["application/json"] = new JsonObject { ["schema"] = schemas.Of(mlflow.Body!, false) } },
            };
        var responses = new JsonObject();
        AddAnswer(responses, 200, mlflow.IsBinaryAnswer ? "application/octet-stream" : "application/json",
            mlflow.IsBinaryAnswer ? FieldNotation.Parse("binary") : mlflow.Answer is { } answer ? schemas.Of(answer, true) : new JsonObject { ["type"] = "object" });
        AddErrors(responses, Family.Mlflow, schemas, false, false, true, true, mlflow.Method);
        operation["responses"] = responses;
        operation["security"] = Security(Family.Mlflow);
        return operation;
    }

    private static void AddExamples(JsonObject operation, string key)
    {
        if (Examples[key] is not JsonObject shown)
            return;
        if (shown["request"] is { } request && operation["requestBody"]?["content"]?["application/json"] is JsonObject body)
            body["example"] = request.DeepClone();
        if (shown["response"] is { } response
            && operation["responses"]!.AsObject().FirstOrDefault(answer => answer.Key[0] == '2').Value?["content"]?["application/json"] is JsonObject answer)
            answer["example"] = response.DeepClone();
    }

    private static JsonObject ReadExamples()
    {
        using var stream = typeof(OpenApiDocuments).Assembly.GetManifestResourceStream("examples.json")!;
        return JsonNode.Parse(stream)!.AsObject();
    }

    private static JsonObject Start(string name, string id, string tag, string text, string? query)
    {
        var operation = new JsonObject { ["operationId"] = id, ["tags"] = new JsonArray(tag), ["summary"] = char.ToUpperInvariant(name[0]) + name[1..].Replace('_', ' ') };
        if (text.Length > 0)
            operation["description"] = text;
        if (query is null)
            return operation;
        var fields = FieldNotation.Parse(query);
        var required = fields["required"]?.AsArray().Select(one => one!.GetValue<string>()).ToHashSet() ?? [];
        foreach (var (field, schema) in fields["properties"]!.AsObject())
        {
            var own = schema!.DeepClone().AsObject();
            // A parameter that is absent is not there; null is a word of bodies.
            if (own["type"] is JsonArray types)
                own["type"] = types[0]!.GetValue<string>();
            if (own["enum"] is JsonArray choices && choices.LastOrDefault() is null)
                choices.RemoveAt(choices.Count - 1);
            AddParameter(operation, new JsonObject { ["name"] = field, ["in"] = "query", ["required"] = required.Contains(field), ["schema"] = own });
        }
        return operation;
    }

    private static void AddParameter(JsonObject operation, JsonObject parameter)
    {
        if (operation["parameters"] is JsonArray parameters)
            parameters.Add((JsonNode)parameter);
        else
            operation["parameters"] = new JsonArray(parameter);
    }

    // Several answers of one status are alternatives.
    private static void AddAnswer(JsonObject responses, int status, string? contentType, JsonObject schema)
    {
        var key = status.ToString();
        responses[key] ??= new JsonObject { ["description"] = status switch { 201 => "Created", 202 => "Accepted", 204 => "Done", 307 => "Elsewhere", 503 => "Not healthy", _ => "OK" } };
        if (contentType is null)
            return;
        responses[key]!["content"] ??= new JsonObject();
        var content = responses[key]!["content"]!.AsObject();
        if (content[contentType] is not JsonObject media)
            content[contentType] = new JsonObject { ["schema"] = schema };
        else if (media["schema"]!["anyOf"] is JsonArray some)
            some.Add((JsonNode)schema);
        else
            content[contentType] = new JsonObject { ["schema"] = new JsonObject { ["anyOf"] = new JsonArray(media["schema"]!.DeepClone(), schema) } };
    }

    private static void AddErrors(
        JsonObject responses, Family family, OpenApiSchemas schemas, bool isPublic, bool isUnlimited, bool hasFields, bool hasReferences, string verb)
    {
        var writes = verb != "get";
        var kinds = new List<(ErrorKind Kind, string Text)> { (ErrorKind.BadRequest, "The request is wrong") };
        if (!isPublic)
            kinds.Add((ErrorKind.Unauthorized, "No caller"));
        if (!isPublic && family is Family.AgentX or Family.Hokusai or Family.Mlflow)
            kinds.Add((ErrorKind.Forbidden, "Not allowed to this caller"));
        if (hasReferences)
            kinds.Add((ErrorKind.NotFound, "Not there"));
        if (writes)
            kinds.AddRange([(ErrorKind.Conflict, "In conflict with what is there"), (ErrorKind.TooLarge, "The body is too large"), (ErrorKind.UnsupportedMediaType, "Another type of body")]);
        if (hasFields || hasReferences)
            kinds.Add((ErrorKind.Validation, "Fields are wrong or missing"));
        if (!isUnlimited)
            kinds.Add((ErrorKind.RateLimited, "Too many requests; Retry-After says when to come again"));
        // GitHub, an MLflow server, a language model.
        if (!isUnlimited && family is Family.AgentX or Family.Hokusai or Family.Mlflow)
            kinds.AddRange([(ErrorKind.BadGateway, "A service behind this one failed"), (ErrorKind.GatewayTimeout, "A service behind this one took too long")]);
        kinds.Add((ErrorKind.Unavailable, "A service behind this one does not answer; Retry-After says when to come again"));
        var contentType = family == Family.Airflow ? "application/problem+json" : "application/json";
        foreach (var (kind, text) in kinds)
        {
            var key = ErrorBodies.Status(family, kind).ToString();
            if (responses[key] is null)
                responses[key] = new JsonObject
                {
                    ["description"] = text,
                    ["content"] = new JsonObject { [contentType] = new JsonObject { ["schema"] = schemas.OfError(family) } },
                };
            else if (kind == ErrorKind.Unavailable)
                AddAnswer(responses, 503, contentType, schemas.OfError(family));
        }
    }

    private static JsonArray Security(Family family) => family switch
    {
        Family.AgentX => new JsonArray(new JsonObject { ["agentx"] = new JsonArray() }),
        Family.Hokusai or Family.Mlflow => new JsonArray(new JsonObject { ["hokusai"] = new JsonArray() }),
        Family.Airflow => new JsonArray(new JsonObject { ["airflow"] = new JsonArray() }),
        // Open unless a key is configured.
        _ => new JsonArray(new JsonObject(), new JsonObject { ["internal"] = new JsonArray() }),
    };

    private static JsonObject Scheme(string type, string scheme, string description) => new() { ["type"] = type, ["scheme"] = scheme, ["description"] = description };

    private static JsonArray Tags(JsonObject paths) => new([.. paths.SelectMany(path => path.Value!.AsObject()).Where(member => member.Value is JsonObject)
        .Select(member => member.Value!["tags"]![0]!.GetValue<string>()).Distinct().Order(StringComparer.Ordinal).Select(tag => new JsonObject { ["name"] = tag })]);

    private static string Tag(Type type) =>
        $"{type.Namespace!.Split('.')[^1]}: {Capitals().Replace(type.Name.Replace("Functions", "", StringComparison.Ordinal), " $1").Trim().ToLowerInvariant()}";

    private static string PathOf(string route) => Parameter().Replace(route, match => $"{{{Snake(match.Groups[1].Value)}}}");

    private static string Snake(string name) => JsonNamingPolicy.SnakeCaseLower.ConvertName(name);

    [GeneratedRegex(@"\{\*?(\w+)(:\w+)?\}")]
    private static partial Regex Parameter();

    [GeneratedRegex(@"\{\w+\}")]
    private static partial Regex AnyParameter();

    [GeneratedRegex("([A-Z])")]
    private static partial Regex Capitals();
}
