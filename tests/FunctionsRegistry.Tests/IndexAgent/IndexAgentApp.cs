using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using FunctionsRegistry.Tests.Marketplace;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.IndexAgent;

/// <summary>The app with the code index's shorthand: upload a repository, search it.</summary>
public class IndexAgentApp(TestServices services) : RegistryApp(services)
{
    public const string Base = "/indexagent";

    /// <summary>A .tar.gz of text files.</summary>
    public static byte[] Archive(params (string Path, string Text)[] files)
    {
        var tar = new RawTarball();
        foreach (var (path, text) in files)
            tar.File(path, text);
        return tar.Build();
    }

    public async Task<HttpResponseMessage> PutAsync(string name, byte[] archive)
    {
        using var content = new ByteArrayContent(archive);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/gzip");
        return await Client.PutAsync($"{Base}/repositories/{Uri.EscapeDataString(name)}", content);
    }

    /// <summary>Uploads and waits until the newest upload is ready or failed.</summary>
    public async Task<JsonElement> UploadAsync(string name, params (string Path, string Text)[] files)
    {
        await (await PutAsync(name, Archive(files))).ShouldBeAsync(202);
        return await WaitAsync(name);
    }

    public async Task<JsonElement> WaitAsync(string name)
    {
        for (var i = 0; i < 600; i++)
        {
            var repository = await GetAsync($"/repositories/{name}");
            if (repository.GetProperty("state").GetString() != "indexing")
                return repository;
            await Task.Delay(50);
        }
        throw new TimeoutException($"{name} is still being indexed after 30 s.");
    }

    public async Task<JsonElement> GetAsync(string path, int status = 200) => await (await Client.GetAsync(Base + path)).ShouldBeAsync(status);

    public async Task<JsonElement> PostAsync(string path, object body, int status = 200) => await (await Client.PostAsJsonAsync(Base + path, body)).ShouldBeAsync(status);

    public Task<JsonElement> SearchAsync(string query, params string[] repositories) => PostAsync("/search", new { query, repositories });

    /// <summary>The paths of the hits, in order.</summary>
    public async Task<string[]> PathsAsync(string query, params string[] repositories) =>
        [.. (await SearchAsync(query, repositories)).GetProperty("results").EnumerateArray().Select(hit => hit.GetProperty("file_path").GetString()!)];
}
