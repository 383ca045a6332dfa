using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.Airflow;

/// <summary>The app with DAG files of its own beside those that ship, and the contract's credentials.</summary>
public class AirflowApp(TestServices services) : RegistryApp(services)
{
    public const string Base = "/airflow/api/v1";

    private readonly string _folder = Directory.CreateTempSubdirectory("functionsregistry-dags-").FullName;

    /// <summary>"chain": echo tasks a, b, c.</summary>
    protected static readonly IReadOnlyDictionary<string, string> Chain = new Dictionary<string, string>
    {
        ["chain.yaml"] = """
            id: chain
            description: Three in a row
            owners: [tester]
            tags: [test, chain]
            params: { who: nobody }
            tasks:
              - { id: a, operator: echo, params: { value: "${params.who}" } }
              - { id: b, operator: echo, needs: [a], params: { value: "hello ${tasks.a.output}" } }
              - { id: c, operator: echo, needs: [b], params: { value: "${conf}" } }
            """,
    };

    /// <summary>File name to text.</summary>
    protected virtual IReadOnlyDictionary<string, string> DagFiles => Chain;

    /// <summary>Where the files are.</summary>
    public string DagFolder => _folder;

    protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string> { ["Airflow:DagDirectory"] = _folder };

    public override async ValueTask InitializeAsync()
    {
        foreach (var (name, text) in DagFiles)
            await File.WriteAllTextAsync(Path.Combine(_folder, name), text);
        await base.InitializeAsync();
    }

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    public async Task<HttpResponseMessage> SendAsync(
        HttpMethod method, string path, string? json = null, string? credentials = "airflow:airflow", HttpClient? client = null)
    {
        using var request = new HttpRequestMessage(method, path.StartsWith("/airflow", StringComparison.Ordinal) ? path : Base + path);
        if (credentials is not null)
            request.Headers.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(credentials)));
        if (json is not null)
            request.Content = new StringContent(json, new MediaTypeHeaderValue("application/json"));
        return await (client ?? Client).SendAsync(request);
    }

    /// <summary>The answer's JSON, which must have the status.</summary>
    public async Task<JsonElement> CallAsync(HttpMethod method, string path, string? json = null, int status = 200)
    {
        using var response = await SendAsync(method, path, json);
        var text = await response.Content.ReadAsStringAsync();
        ((int)response.StatusCode).ShouldBe(status, $"{method} {path}: {text}");
        return text.Length == 0 ? default : JsonDocument.Parse(text).RootElement;
    }

    public Task<JsonElement> GetAsync(string path, int status = 200) => CallAsync(HttpMethod.Get, path, null, status);

    public Task<JsonElement> PostAsync(string path, string json, int status = 200) => CallAsync(HttpMethod.Post, path, json, status);

    public Task<JsonElement> PatchAsync(string path, string json, int status = 200) => CallAsync(HttpMethod.Patch, path, json, status);

    /// <summary>Triggers a run and gives its path below the base.</summary>
    public async Task<string> TriggerAsync(string dagId, string json = "{}") =>
        RunPath(dagId, (await PostAsync($"/dags/{dagId}/dagRuns", json)).GetProperty("dag_run_id").GetString()!);

    public static string RunPath(string dagId, string runId) => $"/dags/{dagId}/dagRuns/{Uri.EscapeDataString(runId)}";

    /// <summary>Waits until the run has the state.</summary>
    public async Task<JsonElement> UntilAsync(string runPath, string state, int seconds = 30)
    {
        JsonElement run = default;
        await Eventually.UntilAsync(async () => (run = await GetAsync(runPath)).GetProperty("state").GetString() == state, seconds, () => $"{runPath} is {run}");
        return run;
    }

    /// <summary>Task id to its state.</summary>
    public async Task<Dictionary<string, string>> StatesAsync(string runPath) =>
        (await GetAsync(runPath + "/taskInstances")).GetProperty("task_instances").EnumerateArray()
            .ToDictionary(task => task.GetProperty("task_id").GetString()!, task => task.GetProperty("state").GetString()!);

    /// <summary>A task's output as JSON text.</summary>
    public async Task<string?> OutputAsync(string dagId, string runPath, string taskId) => await ScalarAsync<object?>(
        "SELECT t.output::text FROM airflow.task_instances t JOIN airflow.dag_runs r ON r.id = t.run_id WHERE r.dag_id = $1 AND r.run_id = $2 AND t.task_id = $3",
        dagId, Uri.UnescapeDataString(runPath[(runPath.LastIndexOf('/') + 1)..]), taskId) as string;
}
