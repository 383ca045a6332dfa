using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using static FunctionsRegistry.Tests.ModelRegistry.HokusaiApp;

namespace FunctionsRegistry.Tests.ModelRegistry;

/// <summary>Artifacts over HTTP, kept in real blob storage.</summary>
public sealed class ArtifactTests(HokusaiApp app) : IClassFixture<HokusaiApp>
{
    private const string Mpu = "/hokusai/mlflow/api/2.0/mlflow-artifacts/mpu/";

    [Fact]
    public async Task An_artifact_is_stored_listed_read_replaced_and_deleted()
    {
        var run = await app.CreateRunAsync();
        var root = $"0/{run}/artifacts";
        await (await app.PutArtifactAsync($"{root}/model/MLmodel", "flavors"u8.ToArray(), "text/plain")).JsonAsync(200);
        await app.PutArtifactAsync($"{root}/model/data/weights.bin", [1, 2, 3]);
        await app.PutArtifactAsync($"{root}/model.txt", "x"u8.ToArray());
        await app.PutArtifactAsync($"{root}/empty", []);

        var list = await app.GetAsync($"artifacts/list?run_id={run}");
        list.Str("root_uri").ShouldBe($"mlflow-artifacts:/{root}");
        list.GetProperty("files").GetRawText().ShouldBe(
            """[{"path":"empty","is_dir":false,"file_size":0},{"path":"model.txt","is_dir":false,"file_size":1},{"path":"model","is_dir":true}]""");
        (await app.GetAsync($"artifacts/list?run_id={run}&path=model")).GetProperty("files").Each("path").ShouldBe(["model/MLmodel", "model/data"]);
        (await app.GetAsync($"/hokusai/mlflow/api/2.0/mlflow-artifacts/artifacts?path={root}/model")).GetProperty("files").Each("path").ShouldBe(["MLmodel", "data"]);

        using var response = await app.Client.GetAsync($"{Artifacts}{root}/model/MLmodel");
        (await response.Content.ReadAsStringAsync()).ShouldBe("flavors");
        response.Content.Headers.ContentType!.MediaType.ShouldBe("text/plain");
        response.Headers.GetValues("X-Content-Type-Options").ShouldBe(["nosniff"]);
        response.Content.Headers.ContentDisposition!.DispositionType.ShouldBe("attachment");
        (await app.Client.GetByteArrayAsync($"{Artifacts}{root}/empty")).ShouldBeEmpty();

        await app.PutArtifactAsync($"{root}/model/MLmodel", "other"u8.ToArray());
        (await app.Client.GetStringAsync($"{Artifacts}{root}/model/MLmodel")).ShouldBe("other");
        await (await app.Client.DeleteAsync($"{Artifacts}{root}/model")).JsonAsync(200);
        (await app.GetAsync($"artifacts/list?run_id={run}")).GetProperty("files").Each("path").ShouldBe(["empty", "model.txt"]);
        (await (await app.Client.GetAsync($"{Artifacts}{root}/model/MLmodel")).JsonAsync(404)).Code().ShouldBe("RESOURCE_DOES_NOT_EXIST");
    }

    [Fact]
    public async Task Ranges_and_conditions_are_honoured()
    {
        var path = $"models/{Guid.CreateVersion7()}/f.bin";
        await app.PutArtifactAsync(path, [.. Enumerable.Range(0, 100).Select(i => (byte)i)]);
        async Task<HttpResponseMessage> GetAsync(string? range, string? header = null, string? value = null)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, Artifacts + path);
            if (range is not null)
                request.Headers.TryAddWithoutValidation("Range", range);
            if (header is not null)
                request.Headers.TryAddWithoutValidation(header, value);
            return await app.Client.SendAsync(request);
        }

        using (var part = await GetAsync("bytes=10-19"))
        {
            part.StatusCode.ShouldBe(HttpStatusCode.PartialContent);
            part.Content.Headers.ContentRange!.ToString().ShouldBe("bytes 10-19/100");
            (await part.Content.ReadAsByteArrayAsync()).ShouldBe([.. Enumerable.Range(10, 10).Select(i => (byte)i)]);
        }
        (await (await GetAsync("bytes=-5")).Content.ReadAsByteArrayAsync()).ShouldBe([95, 96, 97, 98, 99]);
        (await (await GetAsync("bytes=98-")).Content.ReadAsByteArrayAsync()).ShouldBe([98, 99]);
        (await (await GetAsync("bytes=90-5000")).Content.ReadAsByteArrayAsync()).Length.ShouldBe(10);
        (await GetAsync("bytes=100-")).StatusCode.ShouldBe(HttpStatusCode.RequestedRangeNotSatisfiable);
        foreach (var whole in new[] { "bytes=0-1,5-6", "lines=1-2", "bytes=x" })
            (await GetAsync(whole)).StatusCode.ShouldBe(HttpStatusCode.OK);
        var tag = (await GetAsync(null)).Headers.ETag!.ToString();
        (await GetAsync(null, "If-None-Match", tag)).StatusCode.ShouldBe(HttpStatusCode.NotModified);
        (await GetAsync("bytes=0-1", "If-Range", tag)).StatusCode.ShouldBe(HttpStatusCode.PartialContent);
        (await GetAsync("bytes=0-1", "If-Range", "\"other\"")).StatusCode.ShouldBe(HttpStatusCode.OK);
        using var head = await app.Client.SendAsync(new HttpRequestMessage(HttpMethod.Head, Artifacts + path));
        head.Content.Headers.ContentLength.ShouldBe(100);
    }

    [Fact]
    public async Task A_chunked_upload_of_many_blocks_arrives_whole()
    {
        var bytes = RandomNumberGenerator.GetBytes(9 << 20);
        var path = $"models/{Guid.CreateVersion7()}/big.bin";
        using var stream = new MemoryStream(bytes);
        using var content = new StreamContent(stream);
        using var request = new HttpRequestMessage(HttpMethod.Put, Artifacts + path) { Content = content };
        request.Headers.TransferEncodingChunked = true;
        await (await app.Client.SendAsync(request)).JsonAsync(200);

        SHA256.HashData(await app.Client.GetByteArrayAsync(Artifacts + path)).ShouldBe(SHA256.HashData(bytes));
    }

    [Fact]
    public async Task Parts_go_straight_to_the_storage_and_become_one_artifact()
    {
        var directory = $"0/{Guid.CreateVersion7():N}/artifacts";
        async Task<JsonElement> StepAsync(string step, object body, int status) =>
            await app.SendAsync(HttpMethod.Post, $"{Mpu}{step}/{directory}", JsonSerializer.Serialize(body), status);

        var made = await StepAsync("create", new { path = "/tmp/x/big.bin".Split('/')[^1], num_parts = 2 }, 200);
        var parts = made.GetProperty("credentials").EnumerateArray().ToArray();
        parts.Select(part => part.GetProperty("part_number").GetInt32()).ShouldBe([1, 2]);
        var upload = new { path = "big.bin", upload_id = made.Str("upload_id") };
        using var handler = new SocketsHttpHandler();
        using var plain = new HttpClient(handler);
        await PutPartAsync(parts[1], "world");
        (await StepAsync("complete", upload, 400)).Message().ShouldContain("parts");
        await PutPartAsync(parts[0], "hello ");
        await StepAsync("complete", upload, 200);

        (await app.Client.GetStringAsync($"{Artifacts}{directory}/big.bin")).ShouldBe("hello world");
        (await StepAsync("complete", upload, 404)).Code().ShouldBe("RESOURCE_DOES_NOT_EXIST");
        (await StepAsync("create", new { path = "big.bin", num_parts = 0 }, 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE");
        (await StepAsync("create", new { path = "../big.bin", num_parts = 1 }, 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE");
        var other = await StepAsync("create", new { path = "gone.bin", num_parts = 1 }, 200);
        await StepAsync("abort", new { path = "gone.bin", upload_id = other.Str("upload_id") }, 200);
        (await StepAsync("complete", new { path = "gone.bin", upload_id = other.Str("upload_id") }, 404)).Code().ShouldBe("RESOURCE_DOES_NOT_EXIST");

        async Task PutPartAsync(JsonElement part, string text)
        {
            using var content = new StringContent(text);
            (await plain.PutAsync(part.Str("url"), content)).StatusCode.ShouldBe(HttpStatusCode.Created);
        }
    }

    [Fact]
    public async Task A_purged_run_leaves_neither_rows_nor_artifacts()
    {
        var run = await app.CreateRunAsync();
        await app.PostAsync("runs/log-metric", $$"""{"run_id": "{{run}}", "key": "m", "value": 1, "timestamp": 1}""");
        await app.PutArtifactAsync($"0/{run}/artifacts/a/b", [1]);
        (await app.PostAsync("runs/purge", $$"""{"run_id": "{{run}}"}""", 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE");
        var blob = await app.ScalarAsync<string>("SELECT blob_name FROM mlflow.artifacts WHERE path = $1", $"0/{run}/artifacts/a/b");

        await app.PostAsync("runs/delete", $$"""{"run_id": "{{run}}"}""");
        await app.PostAsync("runs/purge", $$"""{"run_id": "{{run}}"}""");

        (await app.GetAsync("runs/get?run_id=" + run, 404)).Code().ShouldBe("RESOURCE_DOES_NOT_EXIST");
        (await app.ScalarAsync<long>("SELECT count(*) FROM mlflow.metric_points WHERE run_id = $1", Guid.Parse(run))).ShouldBe(0);
        (await app.ScalarAsync<long>("SELECT count(*) FROM mlflow.artifacts WHERE path LIKE $1", $"0/{run}/%")).ShouldBe(0);
        (await app.Service<FunctionsRegistry.Blobs.BlobStore>().OpenReadAsync("artifacts", blob, 0, 1, default)).ShouldBeNull();
    }

    [Fact]
    public async Task A_purged_experiment_takes_its_runs_and_artifacts_along()
    {
        var id = await app.CreateExperimentAsync();
        var run = await app.CreateRunAsync(id);
        await app.PutArtifactAsync($"{id}/{run}/artifacts/a", [1]);
        await app.PostAsync("experiments/delete", $$"""{"experiment_id": "{{id}}"}""");
        await app.PostAsync("experiments/purge", $$"""{"experiment_id": "{{id}}"}""");

        (await app.GetAsync("experiments/get?experiment_id=" + id, 404)).Code().ShouldBe("RESOURCE_DOES_NOT_EXIST");
        (await app.GetAsync("runs/get?run_id=" + run, 404)).Code().ShouldBe("RESOURCE_DOES_NOT_EXIST");
        (await app.PostAsync("experiments/purge", """{"experiment_id": "0"}""", 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE");
    }

    [Theory]
    [InlineData("0/x/artifacts/../../../etc/passwd")]
    [InlineData("0/x/artifacts/%2e%2e/%2e%2e/etc/passwd")]
    [InlineData("0/x/artifacts/%252e%252e/secret")]
    [InlineData("0/x/artifacts/%25252e%25252e%25252fsecret")]
    [InlineData("0/x/artifacts/..%2f..%2fsecret")]
    [InlineData("0/x/artifacts/..%5c..%5csecret")]
    [InlineData("0/x/artifacts/a%5cb")]
    [InlineData("0/x/artifacts/./a")]
    [InlineData("0/x/artifacts/%00")]
    [InlineData("0/x/artifacts/a%00.txt")]
    [InlineData("0/x/artifacts/a%0a")]
    [InlineData("0/x/artifacts/a%23/../b")]
    [InlineData("0/x/artifacts/a%23b")]
    [InlineData("file:%2F%2F%2Fetc%2Fpasswd")]
    [InlineData("file:/etc/passwd")]
    [InlineData("C:/Windows/win.ini")]
    [InlineData("%2Fetc/passwd")]
    [InlineData("0//etc/passwd")]
    [InlineData("0/\u2025/secret")]
    [InlineData("0/\uFF0E\uFF0E/secret")]
    [InlineData("0/\u2024\u2024/secret")]
    [InlineData("0/..\uFF0Fsecret")]
    [InlineData("0/\u2026/secret")]
    public async Task No_path_leads_out_of_its_place(string path)
    {
        // Not through HttpClient, which tidies the path before it sends it.
        foreach (var method in new[] { "PUT", "GET", "DELETE" })
            (await RawAsync(method, Artifacts + EncodeNonAscii(path))).ShouldBe(400, $"{method} {path}");
        (await app.ScalarAsync<long>("SELECT count(*) FROM mlflow.artifacts WHERE path LIKE '%passwd' OR path LIKE '%secret' OR path LIKE '%win.ini'")).ShouldBe(0);
    }

    [Fact]
    public async Task CVE_2023_3765_a_drive_letter_as_absolute_path_is_refused()
    {
        (await app.GetAsync("/hokusai/mlflow/api/2.0/mlflow-artifacts/artifacts?path=C:/", 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE");
        (await app.GetAsync("/hokusai/mlflow/api/2.0/mlflow-artifacts/artifacts?path=C:%5C", 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE");
    }

    [Fact]
    public async Task CVE_2023_6976_an_artifact_location_never_becomes_a_file_path()
    {
        foreach (var location in new[] { "/tmp/x", "file:///tmp", "./x", "C:\\x", "mlflow-artifacts:/../x", "s3://b/..%2f..%2fx", "FILE:/x" })
            (await app.PostAsync("experiments/create", JsonSerializer.Serialize(new { name = "e" + Guid.CreateVersion7(), artifact_location = location }), 400))
                .Code().ShouldBe("INVALID_PARAMETER_VALUE", location);
    }

    [Fact]
    public async Task CVE_2024_1483_a_fragment_in_an_artifact_location_hides_nothing()
    {
        foreach (var location in new[] { "http:///#/../../../../etc", "s3://b/x#/../../y", "s3://b/x?a=../../y", "http://host/%23/../x" })
            (await app.PostAsync("experiments/create", JsonSerializer.Serialize(new { name = "e" + Guid.CreateVersion7(), artifact_location = location }), 400))
                .Code().ShouldBe("INVALID_PARAMETER_VALUE", location);
    }

    [Fact]
    public async Task CVE_2024_2928_a_version_s_source_cannot_point_at_files_of_the_server()
    {
        var name = "cve-" + Guid.CreateVersion7();
        await app.PostAsync("registered-models/create", JsonSerializer.Serialize(new { name }));
        foreach (var source in new[] { "file:///etc", "/etc", "http://host/#/../../etc", "runs:/x/../../etc", "models:/../etc", "..", "mlflow-artifacts:/a/%2e%2e/b", "//proc/self/root" })
            (await app.PostAsync("model-versions/create", JsonSerializer.Serialize(new { name, source }), 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE", source);
    }

    [Fact]
    public async Task CVE_2025_11201_a_model_s_name_is_no_path()
    {
        foreach (var name in new[] { "../../etc", "..", "a/../b", "..\\x" })
            (await app.PostAsync("registered-models/create", JsonSerializer.Serialize(new { name }), 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE", name);
    }

    [Fact]
    public async Task CVE_2026_2033_a_listing_s_path_is_checked_as_a_file_s()
    {
        var run = await app.CreateRunAsync();
        foreach (var path in new[] { "..", "%2e%2e", "a/../..", "..%2f", "\\..\\", "a%00", "%252e%252e/x" })
        {
            (await app.GetAsync($"artifacts/list?run_id={run}&path={Uri.EscapeDataString(path)}", 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE", path);
            (await app.GetAsync($"/hokusai/mlflow/api/2.0/mlflow-artifacts/artifacts?path={Uri.EscapeDataString(path)}", 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE", path);
        }
    }

    [Fact]
    public async Task CVE_2026_53995_ids_and_upload_paths_are_no_paths_either()
    {
        foreach (var id in new[] { "../x", "..%2fx", "a/b", "\\x", ".", "" })
        {
            (await app.GetAsync("runs/get?run_id=" + Uri.EscapeDataString(id), 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE", id);
            (await app.GetAsync("experiments/get?experiment_id=" + Uri.EscapeDataString(id), 400)).Code().ShouldBe("INVALID_PARAMETER_VALUE", id);
        }
        foreach (var step in new[] { "create", "complete", "abort" })
            (await RawAsync("POST", $"{Mpu}{step}/0/%2e%2e/x", """{"path": "x", "num_parts": 1, "upload_id": "1"}""")).ShouldBe(400);
    }

    [Fact]
    public async Task Names_that_are_only_unusual_are_kept()
    {
        var run = await app.CreateRunAsync();
        foreach (var name in new[] { "a b.txt", "100%.txt", "a%20b", "模型.bin", "..a", "a..", "...x", "a+b&c=d?e", "'quoted' \"x\"", "🦊/emoji.bin" })
        {
            var path = $"0/{run}/artifacts/{string.Join('/', name.Split('/').Select(Uri.EscapeDataString))}";
            await (await app.PutArtifactAsync(path, Encoding.UTF8.GetBytes(name))).JsonAsync(200);
            (await app.Client.GetStringAsync(Artifacts + path)).ShouldBe(name);
        }
        (await app.GetAsync($"artifacts/list?run_id={run}")).GetProperty("files").GetArrayLength().ShouldBe(10);
        (await app.GetAsync($"artifacts/list?run_id={run}&path={Uri.EscapeDataString("🦊")}")).GetProperty("files").Each("path").ShouldBe(["🦊/emoji.bin"]);
    }

    private static string EncodeNonAscii(string path) => string.Concat(path.Select(c => c < 128 ? c.ToString() : Uri.EscapeDataString(c.ToString())));

    private async Task<int> RawAsync(string method, string target, string body = "")
    {
        using var client = new TcpClient();
        await client.ConnectAsync(app.Client.BaseAddress!.Host, app.Client.BaseAddress.Port);
        await using var stream = client.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes(
            $"{method} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {app.Key}\r\nContent-Type: application/json\r\nContent-Length: {body.Length}\r\nConnection: close\r\n\r\n{body}"));
        using var reader = new StreamReader(stream);
        var line = await reader.ReadLineAsync();
        return int.Parse(line!.Split(' ')[1]);
    }
}
