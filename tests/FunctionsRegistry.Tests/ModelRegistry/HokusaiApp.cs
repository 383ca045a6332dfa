using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.ModelRegistry;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.ModelRegistry;

/// <summary>The app with the model registry's shorthand: a key, MLflow calls as its Python client makes them, Hokusai calls.</summary>
public class HokusaiApp(TestServices services) : RegistryApp(services)
{
    public const string AdminKey = "an-admin-key-of-the-tests";
    public const string Mlflow = "/hokusai/mlflow/api/2.0/mlflow/";
    public const string Artifacts = "/hokusai/mlflow/api/2.0/mlflow-artifacts/artifacts/";

    protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string> { ["Hokusai:AdminKey"] = AdminKey };

    /// <summary>A key with the standard scopes, in force for the whole class.</summary>
    public string Key { get; private set; } = "";

    public override async ValueTask InitializeAsync()
    {
        await base.InitializeAsync();
        Key = await CreateKeyAsync("tests");
        Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", Key);
    }

    public async Task<string> CreateKeyAsync(string name, params string[] scopes) =>
        (await Service<ApiKeyService>().CreateAsync(new NewApiKey(name, "test", Scopes: scopes.Length == 0 ? null : scopes), default)).Key;

    /// <summary>GET with a query, as the client sends arguments.</summary>
    public async Task<JsonElement> GetAsync(string operation, int status = 200) => await (await Client.GetAsync(Url(operation))).JsonAsync(status);

    public Task<JsonElement> PostAsync(string operation, string json, int status = 200) => SendAsync(HttpMethod.Post, operation, json, status);

    public async Task<JsonElement> SendAsync(HttpMethod method, string operation, string? json, int status = 200)
    {
        using var request = new HttpRequestMessage(method, Url(operation)) { Content = json is null ? null : new StringContent(json, Encoding.UTF8, "application/json") };
        return await (await Client.SendAsync(request)).JsonAsync(status);
    }

    public async Task<string> CreateExperimentAsync(string? name = null) =>
        (await PostAsync("experiments/create", $$"""{"name": {{Text(name ?? "e-" + Guid.CreateVersion7())}}}""")).GetProperty("experiment_id").GetString()!;

    public async Task<string> CreateRunAsync(string experimentId = "0", string more = "") =>
        (await PostAsync("runs/create", $$"""{"experiment_id": "{{experimentId}}", "start_time": 1700000000000{{more}}}"""))
            .GetProperty("run").GetProperty("info").GetProperty("run_id").GetString()!;

    public async Task<JsonElement> GetRunAsync(string id) => (await GetAsync("runs/get?run_id=" + id)).GetProperty("run");

    public async Task<HttpResponseMessage> PutArtifactAsync(string path, byte[] bytes, string contentType = "application/octet-stream")
    {
        using var content = new ByteArrayContent(bytes);
        content.Headers.ContentType = new MediaTypeHeaderValue(contentType);
        return await Client.PutAsync(Artifacts + path, content);
    }

    /// <summary>A JSON text.</summary>
    public static string Text(string value) => JsonSerializer.Serialize(value);

    private static string Url(string operation) => operation.StartsWith('/') ? operation : Mlflow + operation;
}

internal static class HokusaiResponses
{
    /// <summary>The body, which must be JSON with this status.</summary>
    public static async Task<JsonElement> JsonAsync(this HttpResponseMessage response, int status)
    {
        var text = await response.Content.ReadAsStringAsync();
        ((int)response.StatusCode).ShouldBe(status, $"{response.RequestMessage!.Method} {response.RequestMessage.RequestUri}: {text}");
        return JsonDocument.Parse(text).RootElement;
    }

    public static string Code(this JsonElement error) => error.GetProperty("error_code").GetString()!;

    public static string Message(this JsonElement error) => error.GetProperty("message").GetString()!;

    public static string? Str(this JsonElement element, string name) => element.GetProperty(name).GetString();

    /// <summary>One member of each object of a list.</summary>
    public static string[] Each(this JsonElement list, params string[] path) =>
        [.. list.EnumerateArray().Select(item => path.Aggregate(item, (at, name) => at.GetProperty(name)).ToString())];
}
