using System.Net.Http.Headers;
using System.Text;
using FunctionsRegistry.IndexAgent;
using FunctionsRegistry.Tests.Marketplace;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.IndexAgent;

/// <summary>Small segments: an upload takes several steps.</summary>
public sealed class SteppingApp(TestServices services) : IndexAgentApp(services)
{
    protected override IReadOnlyDictionary<string, string> Settings => s_settings;

    private static readonly Dictionary<string, string> s_settings = new() { ["IndexAgent:SegmentMegabytes"] = "1", ["Durable:LeaseSeconds"] = "3" };

    /// <summary>The settings of a process on the same data.</summary>
    public IReadOnlyDictionary<string, string> ProcessSettings => StandardSettings(s_settings);
}

public sealed class CrashTests(SteppingApp app) : IClassFixture<SteppingApp>
{
    // What an index is, apart from its ids: all terms and all sections.
    private const string Content = """
        SELECT md5(string_agg(line, ',' ORDER BY line)) FROM (
            SELECT s.number || ' ' || p.term || ' ' || md5(p.data) AS line FROM indexagent.repositories r
            JOIN indexagent.segments s ON s.generation_id = r.current_generation JOIN indexagent.postings p ON p.segment_id = s.id WHERE r.name = $1
            UNION ALL
            SELECT s.number || ' ' || t.number || ' ' || md5(t.text) FROM indexagent.repositories r
            JOIN indexagent.segments s ON s.generation_id = r.current_generation JOIN indexagent.sections t ON t.segment_id = s.id WHERE r.name = $1) l
        """;

    [Fact]
    public async Task An_index_whose_process_is_killed_is_finished_by_the_next_and_is_the_same()
    {
        var archive = IndexAgentApp.Archive([.. Enumerable.Range(0, 200).Select(i => ($"src/f{i}.py", Text(i)))]);
        var index = app.Service<IndexService>();
        using (var stream = new MemoryStream(archive))
            await index.IndexAsync(await index.ReceiveAsync("undisturbed", stream, CancellationToken.None), CancellationToken.None);

        // The upload's process dies after it stored its second segment; this fixture's own app goes on where it was.
        await using var process = await AppProcess.StartAsync(app.ProcessSettings);
        using var content = new ByteArrayContent(archive);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/gzip");
        await (await app.Client.PutAsync(process.Address + IndexAgentApp.Base + "/repositories/disturbed", content)).ShouldBeAsync(202);
        await Eventually.UntilAsync(async () => await app.ScalarAsync<long>("SELECT count(*) FROM indexagent.segments s JOIN indexagent.generations g ON g.id = s.generation_id JOIN indexagent.repositories r ON r.id = g.repository_id WHERE r.name = 'disturbed'") >= 2);
        await process.KillAsync();
        (await UntilDoneAsync()).GetProperty("state").GetString().ShouldBe("ready");

        (await app.ScalarAsync<string>(Content, "disturbed")).ShouldBe(await app.ScalarAsync<string>(Content, "undisturbed"));
        (await app.ScalarAsync<long>("SELECT count(*) FROM indexagent.segments s JOIN indexagent.repositories r ON r.current_generation = s.generation_id WHERE r.name = 'disturbed'"))
            .ShouldBeGreaterThan(3);
    }

    private async Task<System.Text.Json.JsonElement> UntilDoneAsync()
    {
        // As long as a lease of the dead process may last, and once more.
        for (var i = 0; i < 4; i++)
        {
            try
            {
                return await app.WaitAsync("disturbed");
            }
            catch (TimeoutException) when (i < 3)
            {
                // On a busy machine.
            }
        }
        throw new TimeoutException();
    }

    private static string Text(int number)
    {
        var text = new StringBuilder();
        for (var i = 0; i < 300; i++)
            text.Append($"def handle_{number}_{i}(value):\n    return value.convert_{i % 17}(other_{number % 13}, 'text {i}')\n\n");
        return text.ToString();
    }
}
