using System.Net.Http.Json;
using System.Text.Json;
using FunctionsRegistry.Tests.IndexAgent;
using FunctionsRegistry.Tests.Marketplace;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.Evolution;

/// <summary>The app with shorthand of trials: start one, wait for its end.</summary>
public class EvolutionApp(TestServices services) : IndexAgentApp(services)
{
    public new const string Base = "/evolution";

    public new async Task<JsonElement> GetAsync(string path, int status = 200) => await (await Client.GetAsync(Base + path)).ShouldBeAsync(status);

    public new async Task<JsonElement> PostAsync(string path, object body, int status = 200) => await (await Client.PostAsJsonAsync(Base + path, body)).ShouldBeAsync(status);

    public async Task<string> StartTrialAsync(object body) => (await PostAsync("/evolution/start", body)).GetProperty("trial_id").GetString()!;

    /// <summary>Waits for one of some statuses.</summary>
    public async Task<JsonElement> WaitTrialAsync(string id, params string[] statuses)
    {
        var trial = default(JsonElement);
        for (var i = 0; i < 2400; i++)
        {
            trial = await GetAsync($"/evolution/{id}/status");
            if (statuses.Contains(trial.GetProperty("status").GetString()))
                return trial;
            await Task.Delay(25);
        }
        throw new TimeoutException($"After a minute the trial is {trial}.");
    }

    /// <summary>Starts a trial and waits until it is over.</summary>
    public async Task<JsonElement> RunTrialAsync(object body) => await WaitTrialAsync(await StartTrialAsync(body), "completed", "failed", "cancelled");

    /// <summary>Waits until the trial's orchestration is over, which may be after the trial.</summary>
    public async Task WaitInstanceAsync(string id)
    {
        for (var i = 0; i < 2400; i++)
        {
            var instance = await Client.GetAsync($"/runtime/webhooks/durabletask/instances/{id}");
            if (instance.StatusCode == System.Net.HttpStatusCode.OK)
                return;
            await Task.Delay(25);
        }
        throw new TimeoutException($"After a minute the orchestration {id} still runs.");
    }

    public async Task<JsonElement> ResultAsync(string id) =>
        (await GetAsync("/evolution/results")).GetProperty("results").EnumerateArray().Single(result => result.GetProperty("trial_id").GetString() == id);

    /// <summary>A small library whose comments say what its functions do in the words of their code, mostly.</summary>
    public static (string Path, string Text)[] Library(int files)
    {
        string[] verbs = ["parse", "render", "merge", "filter", "convert", "store", "load", "split"];
        string[] nouns = ["invoice", "customer", "ledger", "payment", "address", "currency", "shipment", "warehouse", "contract"];
        string[] adjectives = ["pending", "archived", "monthly", "foreign", "partial", "duplicate", "expired"];
        var written = new (string, string)[files];
        for (var i = 0; i < files; i++)
        {
            var (verb, noun, adjective) = (verbs[i % verbs.Length], nouns[i / 2 % nouns.Length], adjectives[i / 3 % adjectives.Length]);
            var (other, second) = (nouns[(i + 4) % nouns.Length], verbs[(i + 3) % verbs.Length]);
            written[i] = ($"{noun}s/{verb}_{i}.py", $"""
                def {verb}_{adjective}_{noun}_{i}({noun}, limit):
                    \"\"\"Returns every {adjective} {noun} that {second}s below the limit of its {other}.\"\"\"
                    found = [one for one in {noun}.{adjective}_items if one.{other} < limit]
                    return {second}_{other}(found)

                def {second}_{other}_{i}(rows):
                    \"\"\"Collects the {other} rows which {verb} found for one {noun}.\"\"\"
                    return [row.{other} for row in rows if row.{noun} is not None and row.{verb}ed]

                """.Replace("\\\"", "\"", StringComparison.Ordinal));
        }
        return written;
    }
}
