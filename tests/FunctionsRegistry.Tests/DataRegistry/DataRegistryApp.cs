using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.DataRegistry;

/// <summary>The app with the data registry's shorthand.</summary>
public class DataRegistryApp(TestServices services) : RegistryApp(services)
{
    public const string Base = "/dhg/api/v1";

    public async Task<JsonElement> GetAsync(string path, int status = 200)
    {
        using var response = await Client.GetAsync(Base + path);
        return await ReadAsync(response, status);
    }

    public Task<JsonElement> PostAsync(string path, object body, int status = 201) => SendAsync(HttpMethod.Post, path, JsonSerializer.Serialize(body), status);

    public Task<JsonElement> PatchAsync(string path, object body, int status = 200) => SendAsync(HttpMethod.Patch, path, JsonSerializer.Serialize(body), status);

    public async Task<JsonElement> SendAsync(HttpMethod method, string path, string? body, int status)
    {
        using var request = new HttpRequestMessage(method, Base + path)
        {
            Content = body is null ? null : new StringContent(body, Encoding.UTF8, "application/json"),
        };
        using var response = await Client.SendAsync(request);
        return await ReadAsync(response, status);
    }

    public static async Task<JsonElement> ReadAsync(HttpResponseMessage response, int status)
    {
        var text = await response.Content.ReadAsStringAsync();
        ((int)response.StatusCode).ShouldBe(status, text);
        return text.Length == 0 ? default : JsonElement.Parse(text);
    }

    public async Task<Guid> CreateMediaAsync(string filename = "talk.mp4") =>
        (await PostAsync("/media", new { filename, filepath = "/media/" + filename, file_size_bytes = 1024, mime_type = "video/mp4" })).Id();

    public async Task<Guid> CreateTranscriptAsync() =>
        (await PostAsync("/transcripts", new { media_id = await CreateMediaAsync(), full_text = "hello", processing_time_seconds = 1.5 })).Id();

    public async Task<Guid> CreateConversationAsync(string title, params string[] messages) => (await PostAsync("/conversations", new
    {
        title,
        export_source = "manual",
        messages = messages.Select((content, index) => new { role = index % 2 == 0 ? "human" : "assistant", content }),
    })).Id();

    /// <summary>What the real client sends.</summary>
    public static object Registration(
        string id, object? models = null, object? capabilities = null, string name = "Agent", string type = "research_agent", string deployment = "langsmith_cloud") => new
        {
            service = new { id, name, version = "1.0.0", division = "DHG AI", type, deployment_type = deployment },
            capabilities,
            models = models ?? new { },
        };

    public static object ResearchBody(string user = "u1", string topic = "Sleep") => new
    {
        user_id = user,
        input_params = new
        {
            topic,
            therapeutic_area = "neurology",
            query_type = "gap_analysis",
            target_audience = "physicians",
            date_range_from = "2024-01-01T00:00:00",
            date_range_to = "2025-01-01",
        },
    };
}

internal static class JsonExtensions
{
    public static Guid Id(this JsonElement element) => element.GetProperty("id").GetGuid();

    public static string? Text(this JsonElement element, string name) => element.GetProperty(name).GetString();

    public static string[] Names(this JsonElement element) => [.. element.EnumerateObject().Select(member => member.Name)];

    public static string[] Texts(this JsonElement array, string name) => [.. array.EnumerateArray().Select(item => item.GetProperty(name).ToString())];

    /// <summary>Places of all faults of a 422, such as <c>body.service.id</c>.</summary>
    public static string[] Faults(this JsonElement error) =>
        [.. error.GetProperty("detail").EnumerateArray().Select(fault => string.Join('.', fault.GetProperty("loc").EnumerateArray().Select(part => part.ToString())))];
}
