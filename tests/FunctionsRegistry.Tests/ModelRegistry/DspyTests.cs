using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using FunctionsRegistry.ModelRegistry.Dspy;
using FunctionsRegistry.Tests.Support;
using static FunctionsRegistry.Tests.ModelRegistry.HokusaiApp;

namespace FunctionsRegistry.Tests.ModelRegistry;

/// <summary>DSPy programs over HTTP, with a server of bare sockets as the language model.</summary>
public sealed class DspyTests(DspyTests.App app) : IClassFixture<DspyTests.App>
{
    private const string Dspy = "/hokusai/api/v1/dspy/";

    /// <summary>The app with a language model that answers as each test says, told apart by the model's program; and one without a language model.</summary>
    public sealed class App(TestServices services) : HokusaiApp(services)
    {
        private readonly Upstream _server = new();

        /// <summary>What answers a request whose messages contain a word; the word comes from the test.</summary>
        public ConcurrentDictionary<string, Func<SeenRequest, NetworkStream, Task>> Answers { get; } = new();

        public ConcurrentQueue<SeenRequest> Seen { get; } = new();

        public HttpClient Unconfigured { get; private set; } = null!;

        protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>(base.Settings)
        {
            ["DSPY_LM_BASE_URL"] = _server.Url + "/v1",
            ["DSPY_LM_API_KEY"] = "lm-secret",
            ["DSPY_LM_MODEL"] = "test-model",
            ["Dspy:CacheEntries"] = "100",
            ["Dspy:BatchConcurrency"] = "4",
        };

        public override async ValueTask InitializeAsync()
        {
            _server.Answer = async (request, stream) =>
            {
                Seen.Enqueue(request);
                await Answers.First(pair => request.Body.Contains(pair.Key, StringComparison.Ordinal)).Value(request, stream);
            };
            await base.InitializeAsync();
            Unconfigured = await StartAsync(base.Settings);
            Unconfigured.DefaultRequestHeaders.Authorization = new("Bearer", Key);
        }

        public override async ValueTask DisposeAsync()
        {
            await base.DisposeAsync();
            _server.Dispose();
        }

        /// <summary>A program of one question and one answer; requests for it carry the word.</summary>
        public async Task<(string Id, string Word)> CreateAsync(Func<SeenRequest, NetworkStream, Task> answer, string outputs = "\"answer\"", string more = "")
        {
            var word = "w" + Guid.CreateVersion7().ToString("N");
            Answers[word] = answer;
            await PutAsync(word, $$"""{"signatures": [{"instructions": "Answer {{word}}.", "inputs": ["question"], "outputs": [{{outputs}}]{{more}}}]}""");
            return (word, word);
        }

        public Task<JsonElement> PutAsync(string id, string json, int status = 201) => SendAsync(HttpMethod.Put, Dspy + "programs/" + id, json, status);
    }

    private static Func<SeenRequest, NetworkStream, Task> Says(string text) => (request, stream) =>
        request.Body.Contains("\"stream\":true", StringComparison.Ordinal) ? StreamAsync(stream, text) : Upstream.WriteAsync(stream, 200, "application/json", JsonSerializer.Serialize(new
        {
            id = "x",
            @object = "chat.completion",
            created = 1,
            model = "test-model",
            choices = new[] { new { index = 0, finish_reason = "stop", message = new { role = "assistant", content = text } } },
            usage = new { prompt_tokens = 7, completion_tokens = 5, total_tokens = 12 },
        }));

    private static async Task StreamAsync(NetworkStream stream, string text)
    {
        await Upstream.WriteAsync(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");
        foreach (var part in text.Chunk(3))
            await Upstream.WriteAsync(stream, "data: " + JsonSerializer.Serialize(new
            {
                id = "x",
                @object = "chat.completion.chunk",
                created = 1,
                model = "test-model",
                choices = new[] { new { index = 0, delta = new { content = new string(part) } } },
            }) + "\n\n");
        await Upstream.WriteAsync(stream, "data: [DONE]\n\n");
    }

    private Task<JsonElement> ExecuteAsync(string id, string question = "why?", int status = 200, string more = "") =>
        app.PostAsync(Dspy + "execute", $$"""{"program_id": "{{id}}", "inputs": {"question": {{Text(question)}}}{{more}}}""", status);

    [Fact]
    public async Task A_program_is_stored_listed_executed_looked_up_and_deleted()
    {
        var (id, word) = await app.CreateAsync(Says("[[ ## answer ## ]]\n42\n\n[[ ## completed ## ]]"), "\"answer: int\"");
        var execution = await ExecuteAsync(id);
        execution.GetProperty("success").GetBoolean().ShouldBeTrue();
        execution.GetProperty("outputs").GetRawText().ShouldBe("""{"answer":42}""");
        execution.GetProperty("error").ValueKind.ShouldBe(JsonValueKind.Null);
        execution.Str("program_name").ShouldBe(id);
        execution.GetProperty("metadata").GetProperty("usage").GetProperty("prompt_tokens").GetInt32().ShouldBe(7);

        // What the language model was sent: the key, the model, DSPy's messages.
        var seen = app.Seen.Single(request => request.Body.Contains(word, StringComparison.Ordinal));
        (seen.Method, seen.Target).ShouldBe(("POST", "/v1/chat/completions"));
        seen.Headers.ShouldContain("Authorization: Bearer lm-secret");
        var sent = JsonDocument.Parse(seen.Body).RootElement;
        sent.Str("model").ShouldBe("test-model");
        sent.GetProperty("messages").Each("role").ShouldBe(["system", "user"]);
        sent.GetProperty("messages")[1].Str("content")!.ShouldStartWith("[[ ## question ## ]]\nwhy?\n");

        var found = await app.GetAsync(Dspy + "execution/" + execution.Str("execution_id"));
        found.GetProperty("outputs").GetRawText().ShouldBe("""{"answer":42}""");
        found.GetProperty("inputs").Str("question").ShouldBe("why?");
        (await app.GetAsync(Dspy + "execution/" + Guid.CreateVersion7(), 404)).Str("detail")!.ShouldStartWith("Execution not found");
        await app.GetAsync(Dspy + "execution/none", 404);

        var listed = (await app.GetAsync(Dspy + "programs")).EnumerateArray().Single(program => program.Str("program_id") == id);
        listed.GetProperty("signatures").GetRawText().ShouldBe("""[{"input_fields":["question"],"output_fields":["answer"]}]""");
        (listed.Str("version"), listed.GetProperty("revision").GetInt32()).ShouldBe(("1.0.0", 1));

        (await app.SendAsync(HttpMethod.Delete, Dspy + "programs/" + id, null)).Str("message").ShouldBe($"Program {id} deleted successfully");
        (await ExecuteAsync(id, status: 404)).Str("detail").ShouldBe("DSPy program not found: " + id);
        await app.SendAsync(HttpMethod.Delete, Dspy + "programs/" + id, null, 404);
    }

    [Fact]
    public async Task Each_put_that_changes_something_is_a_revision_that_can_still_be_called()
    {
        var (id, word) = await app.CreateAsync(Says("[[ ## answer ## ]]\nx"));
        var body = $$"""{"name": "Two", "version": "2.0.0", "signatures": [{"instructions": "Second {{word}}.", "inputs": ["question"], "outputs": ["answer"]}]}""";
        (await app.PutAsync(id, body)).GetProperty("revision").GetInt32().ShouldBe(2);
        var again = await app.PutAsync(id, body, 200);
        (again.GetProperty("revision").GetInt32(), again.GetProperty("created").GetBoolean()).ShouldBe((2, false));
        (await app.GetAsync(Dspy + "programs/" + id)).Str("name").ShouldBe("Two");
        var first = await app.GetAsync($"{Dspy}programs/{id}@1");
        (first.Str("version"), first.GetProperty("signatures")[0].Str("instructions")).ShouldBe(("1.0.0", $"Answer {word}."));
        (await ExecuteAsync(id + "@1")).GetProperty("metadata").GetProperty("revision").GetInt32().ShouldBe(1);
        await ExecuteAsync(id + "@9", status: 404);

        var revisions = await Task.WhenAll(Enumerable.Range(0, 20).Select(async i =>
            (await app.PutAsync(id, body.Replace("2.0.0", $"3.0.{i}", StringComparison.Ordinal))).GetProperty("revision").GetInt32()));
        revisions.Order().ShouldBe(Enumerable.Range(3, 20));
    }

    [Fact]
    public async Task Equal_puts_at_once_are_one_revision()
    {
        var (id, _) = await app.CreateAsync(Says("[[ ## answer ## ]]\nx"));
        const string Body = """{"name": "Same", "version": "2.0.0", "signatures": [{"instructions": "Same.", "inputs": ["question"], "outputs": ["answer"]}]}""";
        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(async _ =>
        {
            using var request = new HttpRequestMessage(HttpMethod.Put, Dspy + "programs/" + id) { Content = new StringContent(Body, Encoding.UTF8, "application/json") };
            using var response = await app.Client.SendAsync(request);
            return ((int)response.StatusCode, JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement.GetProperty("revision").GetInt32());
        }));

        answers.Order().ShouldBe([.. Enumerable.Repeat((200, 2), 19), (201, 2)]);
        (await app.ScalarAsync<long>("SELECT count(*) FROM models.dspy_revisions WHERE program_id = $1", id)).ShouldBe(2);
        (await ExecuteAsync(id)).GetProperty("metadata").GetProperty("revision").GetInt32().ShouldBe(2);
    }

    [Fact]
    public async Task Dry_runs_check_and_debug_shows()
    {
        var (id, _) = await app.CreateAsync(Says("[[ ## answer ## ]]\nx"));
        var dry = await app.PostAsync(Dspy + "execute", $$"""{"program_id": "{{id}}", "inputs": {"question": "q"}, "mode": "dry_run"}""");
        (dry.GetProperty("success").GetBoolean(), dry.GetProperty("outputs").ValueKind, dry.GetProperty("metadata").GetProperty("validation_passed").GetBoolean())
            .ShouldBe((true, JsonValueKind.Null, true));
        var wrong = await app.PostAsync(Dspy + "execute", $$"""{"program_id": "{{id}}", "inputs": {"qestion": "q"}, "mode": "dry_run"}""");
        (wrong.GetProperty("success").GetBoolean(), wrong.Str("error")).ShouldBe((false, "Missing required field: question; Unknown field: qestion"));
        (await app.PostAsync(Dspy + "execute", $$"""{"program_id": "{{id}}", "inputs": {"question": 5} }""")).Str("error").ShouldBe("Invalid type for field 'question': must be str");

        var trace = (await ExecuteAsync(id, more: """, "mode": "debug" """)).GetProperty("metadata").GetProperty("debug_trace");
        (trace.Str("program_type"), trace.GetProperty("input_count").GetInt32(), trace.GetProperty("output_count").GetInt32()).ShouldBe(("predict", 1, 1));
        trace.GetProperty("steps")[0].GetProperty("messages").GetArrayLength().ShouldBe(2);
        trace.GetProperty("steps")[0].Str("response").ShouldBe("[[ ## answer ## ]]\nx");
    }

    [Fact]
    public async Task An_answer_is_kept_until_the_cache_is_cleared()
    {
        var calls = 0;
        var (id, _) = await app.CreateAsync((request, stream) => Says($"[[ ## answer ## ]]\n{Interlocked.Increment(ref calls)}")(request, stream));
        (await ExecuteAsync(id)).GetProperty("outputs").Str("answer").ShouldBe("1");
        var hit = await ExecuteAsync(id);
        (hit.GetProperty("outputs").Str("answer"), hit.GetProperty("metadata").GetProperty("cache_hit").GetBoolean()).ShouldBe(("1", true));
        (await ExecuteAsync(id, "other")).GetProperty("outputs").Str("answer").ShouldBe("2");
        (await ExecuteAsync(id, more: """, "mode": "debug" """)).GetProperty("outputs").Str("answer").ShouldBe("3");
        (await app.PostAsync(Dspy + "cache/clear", "{}")).Str("message").ShouldBe("Cache cleared successfully");
        (await ExecuteAsync(id)).GetProperty("outputs").Str("answer").ShouldBe("4");
    }

    [Fact]
    public async Task The_cache_has_a_size_and_an_age()
    {
        var store = app.Service<DspyStore>();
        var added = new NewExecution(
            new DspyExecution(Guid.Empty, true, new() { ["a"] = 1 }, null, 0, "p", []), null, 1, "normal", JsonElement.Parse("{}"), false, DateTimeOffset.UnixEpoch.AddYears(60));
        // Later than all others, so that only these are the newest.
        for (var i = 0; i < 5; i++)
            await store.RecordAsync(
                added with { Execution = added.Execution with { ExecutionId = Guid.CreateVersion7() }, CreatedAt = added.CreatedAt.AddSeconds(i) }, [(byte)i], 3, default);
        (await Task.WhenAll(Enumerable.Range(0, 5).Select(async i => await store.FindCachedAsync([(byte)i], DateTimeOffset.MinValue, default) is not null)))
            .ShouldBe([false, false, true, true, true]);
        (await store.FindCachedAsync([4], added.CreatedAt.AddSeconds(3), default)).ShouldNotBeNull();
        (await store.FindCachedAsync([4], added.CreatedAt.AddSeconds(4), default)).ShouldBeNull();
        await store.ClearCacheAsync(default);
    }

    [Fact]
    public async Task A_batch_runs_each_input_by_itself_a_few_at_a_time_and_answers_in_order()
    {
        var (running, most) = (0, 0);
        var (id, _) = await app.CreateAsync(async (request, stream) =>
        {
            lock (app)
                most = Math.Max(most, ++running);
            await Task.Delay(30);
            lock (app)
                running--;
            var question = JsonDocument.Parse(request.Body).RootElement.GetProperty("messages")[1].Str("content")!.Split('\n')[1];
            await (question == "q7" ? Upstream.WriteAsync(stream, 400, "application/json", """{"error": {"message": "no sevens"}}""") : Says("[[ ## answer ## ]]\nto " + question)(request, stream));
        });
        var inputs = string.Join(',', Enumerable.Range(0, 20).Select(i => i == 3 ? "{}" : $$"""{"question": "q{{i}}"}"""));
        var batch = await app.PostAsync(Dspy + "execute/batch", $$"""{"program_id": "{{id}}", "inputs_list": [{{inputs}}]}""");
        (batch.GetProperty("total").GetInt32(), batch.GetProperty("successful").GetInt32(), batch.GetProperty("failed").GetInt32()).ShouldBe((20, 18, 2));
        var results = batch.GetProperty("results").EnumerateArray().ToArray();
        results[3].Str("error").ShouldBe("Missing required field: question");
        results[7].Str("error").ShouldBe("The language model answered 400: no sevens");
        results[19].GetProperty("outputs").Str("answer").ShouldBe("to q19");
        results.Select(result => result.Str("execution_id")).Distinct().Count().ShouldBe(20);
        most.ShouldBe(4);

        var empty = await app.PostAsync(Dspy + "execute/batch", $$"""{"program_id": "{{id}}", "inputs_list": []}""");
        (empty.GetProperty("total").GetInt32(), empty.GetProperty("results").GetArrayLength()).ShouldBe((0, 0));
        await app.PostAsync(Dspy + "execute/batch", """{"program_id": "none", "inputs_list": [{}]}""", 404);
        (await app.PostAsync(Dspy + "execute/batch", """{"inputs_list": [1]}""", 422)).GetProperty("detail").Each("loc").Length.ShouldBe(2);
    }

    [Fact]
    public async Task A_chain_hands_outputs_on_and_asks_only_for_what_it_cannot_make()
    {
        var word = "w" + Guid.CreateVersion7().ToString("N");
        app.Answers["First " + word] = Says("[[ ## outline ## ]]\n[\"a\", \"b\"]");
        app.Answers["Second " + word] = (request, stream) => Says("[[ ## text ## ]]\nfrom " + (request.Body.Contains("[\\u0022a\\u0022,\\u0022b\\u0022]", StringComparison.Ordinal)
            || request.Body.Contains("""[\"a\",\"b\"]""", StringComparison.Ordinal) ? "outline" : "nothing"))(request, stream);
        await app.PutAsync(word, $$"""
            {"signatures": [
                {"name": "plan", "instructions": "First {{word}}", "inputs": ["topic"], "outputs": ["outline: list[str]"]},
                {"name": "write", "instructions": "Second {{word}}", "inputs": ["topic", "outline: list[str]", {"name": "tone", "optional": true}], "outputs": ["text"]}]}
            """);
        var answer = await app.PostAsync(Dspy + "execute", $$"""{"program_id": "{{word}}", "inputs": {"topic": "t"} }""");
        answer.GetProperty("outputs").GetRawText().ShouldBe("""{"outline":["a","b"],"text":"from outline"}""");
        answer.GetProperty("metadata").GetProperty("usage").GetProperty("completion_tokens").GetInt32().ShouldBe(10);
    }

    [Fact]
    public async Task A_time_limit_ends_the_call_of_the_language_model()
    {
        var gone = new TaskCompletionSource();
        var (id, _) = await app.CreateAsync(async (_, stream) =>
        {
            // Reading nothing means that the caller hung up.
            var buffer = new byte[1];
            try
            {
                if (await stream.ReadAsync(buffer) == 0)
                    gone.SetResult();
            }
            catch (IOException)
            {
                gone.SetResult();
            }
        });
        var late = await ExecuteAsync(id, more: """, "timeout": 1""");
        (late.GetProperty("success").GetBoolean(), late.Str("error")).ShouldBe((false, "Execution timeout after 1 seconds"));
        await gone.Task.WaitAsync(TimeSpan.FromSeconds(10));
        await ExecuteAsync(id, status: 422, more: """, "timeout": 0""");
        await ExecuteAsync(id, status: 422, more: """, "timeout": "soon" """);
    }

    [Fact]
    public async Task A_caller_that_hangs_up_ends_the_call_of_the_language_model()
    {
        var (started, gone) = (new TaskCompletionSource(), new TaskCompletionSource());
        var (id, _) = await app.CreateAsync(async (request, stream) =>
        {
            started.SetResult();
            try
            {
                _ = await stream.ReadAsync(new byte[1]);
            }
            catch (IOException)
            {
                // As good as an end.
            }
            gone.SetResult();
        });
        using var hangUp = new CancellationTokenSource();
        using var content = new StringContent($$"""{"program_id": "{{id}}", "inputs": {"question": "q"} }""", Encoding.UTF8, "application/json");
        var call = app.Client.PostAsync(Dspy + "execute", content, hangUp.Token);
        await started.Task.WaitAsync(TimeSpan.FromSeconds(10));
        await hangUp.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(() => call);
        await gone.Task.WaitAsync(TimeSpan.FromSeconds(10));
    }

    [Theory]
    [InlineData("garbage", "field 'answer' is missing")]
    [InlineData("[[ ## answer ## ]]\nmany", "field 'answer' is not of type int: \"many\"")]
    [InlineData("[[ ## other ## ]]\n1", "field 'answer' is missing")]
    [InlineData("{\"answer\": \"x\"}", "field 'answer' is not of type int: \"\"x\"\"")]
    [InlineData("   ", "The language model's answer is empty")]
    public async Task An_answer_that_does_not_fit_is_told(string answer, string what)
    {
        var (id, _) = await app.CreateAsync(Says(answer), "\"answer: int\"");
        var execution = await ExecuteAsync(id);
        (execution.GetProperty("success").GetBoolean(), execution.GetProperty("outputs").ValueKind).ShouldBe((false, JsonValueKind.Null));
        execution.Str("error")!.ShouldContain(what);
    }

    public static TheoryData<string, string> Broken { get; } = new()
    {
        { "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{\"choices", "not what an OpenAI-compatible endpoint sends" },
        { "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\nConnection: close\r\n\r\n{\"choices", "broke off" },
        { "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\nConnection: close\r\n\r\n<html>hi</html>", "not what an OpenAI-compatible endpoint sends" },
        { "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]", "not what an OpenAI-compatible endpoint sends" },
        { "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", "language model" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "not what an OpenAI-compatible endpoint sends" },
        { "HTTP/1.1 401 No\r\nContent-Type: application/json\r\nContent-Length: 43\r\nConnection: close\r\n\r\n{\"error\": {\"message\": \"bad key lm-secret\"}} ", "answered 401" },
        { "HTTP/1.1 302 Elsewhere\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "language model" },
        { "nonsense\r\n\r\n", "broke off" },
        { "", "broke off" },
    };

    [Theory]
    [MemberData(nameof(Broken))]
    public async Task A_broken_language_model_is_a_failed_execution_never_a_500(string response, string what)
    {
        var (id, _) = await app.CreateAsync((_, stream) => Upstream.WriteAsync(stream, response));
        var whole = ExecuteAsync(id);
        var streamed = ReadEventsAsync(await SendAsync(Dspy + "execute", $$"""{"program_id": "{{id}}", "inputs": {"question": "q"}, "stream": true}"""));
        (await whole).Str("error")!.ShouldContain(what);
        (await whole).Str("error")!.ShouldNotContain("secret");
        var result = JsonDocument.Parse((await streamed)[^1].Data).RootElement;
        result.GetProperty("success").GetBoolean().ShouldBeFalse();
        result.Str("error")!.ShouldNotContain("secret");
    }

    [Fact]
    public async Task A_busy_language_model_is_asked_again_and_then_told_of()
    {
        var calls = 0;
        var (id, _) = await app.CreateAsync((request, stream) => Interlocked.Increment(ref calls) % 2 == 1
            ? Upstream.WriteAsync(stream, "HTTP/1.1 429 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            : Says("[[ ## answer ## ]]\nat last")(request, stream));
        (await ExecuteAsync(id)).GetProperty("outputs").Str("answer").ShouldBe("at last");
        calls.ShouldBe(2);

        var (busy, _) = await app.CreateAsync((_, stream) => Upstream.WriteAsync(stream, "HTTP/1.1 429 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
        (await ExecuteAsync(busy)).Str("error").ShouldBe("The language model answered 429");

        var asked = 0;
        var (closed, _) = await app.CreateAsync((_, stream) =>
        {
            asked++;
            return Upstream.WriteAsync(stream, "HTTP/1.1 429 Busy\r\nRetry-After: 3600\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        });
        (await ExecuteAsync(closed)).Str("error").ShouldBe("The language model answered 429");
        asked.ShouldBe(1);
    }

    [Fact]
    public async Task An_answer_without_end_is_cut_off()
    {
        var (id, _) = await app.CreateAsync(async (_, stream) =>
        {
            await Upstream.WriteAsync(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n\"");
            var block = Encoding.ASCII.GetBytes(new string('x', 1 << 20));
            while (true)
                await stream.WriteAsync(block);
        });
        (await ExecuteAsync(id)).Str("error")!.ShouldContain("longer than");
    }

    [Fact]
    public async Task A_stream_tells_each_field_as_it_comes_and_ends_with_the_result()
    {
        var (id, _) = await app.CreateAsync(Says("[[ ## reasoning ## ]]\nbecause\nof it\n\n[[ ## answer ## ]]\n7\n\n[[ ## completed ## ]]"), "\"answer: int\"", """, "chain_of_thought": true""");
        var events = await ReadEventsAsync(await SendAsync(Dspy + "execute", $$"""{"program_id": "{{id}}", "inputs": {"question": "q"}, "stream": true}"""));
        events.Take(events.Count - 1).ShouldAllBe(one => one.Name == "delta");
        string.Concat(events.Where(one => one.Name == "delta").Select(one => JsonDocument.Parse(one.Data).RootElement).Where(one => one.Str("field") == "reasoning").Select(one => one.Str("delta")))
            .ShouldBe("because\nof it");
        events.Count.ShouldBeGreaterThan(4);
        var result = JsonDocument.Parse(events[^1].Data).RootElement;
        (events[^1].Name, result.GetProperty("outputs").GetRawText()).ShouldBe(("result", """{"reasoning":"because\nof it","answer":7}"""));
        (await SendAsync(Dspy + "execute", """{"program_id": "none", "inputs": {}, "stream": true}""")).StatusCode.ShouldBe(System.Net.HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_program_answers_as_a_model_of_the_openai_api()
    {
        const string Chat = Dspy + "openai/v1/chat/completions";
        var (id, word) = await app.CreateAsync(Says("[[ ## answer ## ]]\nhello\n\n[[ ## completed ## ]]"));
        var answer = await app.PostAsync(Chat, $$"""{"model": "{{id}}", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "hi"}]}]}""");
        (answer.Str("object"), answer.Str("model")).ShouldBe(("chat.completion", id));
        var choice = answer.GetProperty("choices")[0];
        (choice.GetProperty("message").Str("role"), choice.GetProperty("message").Str("content"), choice.Str("finish_reason")).ShouldBe(("assistant", "hello", "stop"));
        answer.GetProperty("usage").GetProperty("total_tokens").GetInt32().ShouldBe(12);
        app.Seen.Last(request => request.Body.Contains(word, StringComparison.Ordinal)).Body.ShouldContain("[[ ## question ## ]]\\nhi\\n");

        var events = await ReadEventsAsync(await SendAsync(Chat, $$"""{"model": "{{id}}", "stream": true, "messages": [{"role": "user", "content": "{\"question\": \"other\"}"}]}"""));
        events[^1].Data.ShouldBe("[DONE]");
        var chunks = events.Take(events.Count - 1).Select(one => JsonDocument.Parse(one.Data).RootElement.GetProperty("choices")[0]).ToArray();
        string.Concat(chunks.Select(chunk => chunk.GetProperty("delta").TryGetProperty("content", out var text) ? text.GetString() : "")).ShouldBe("hello");
        (chunks[0].GetProperty("delta").Str("role"), chunks[^1].Str("finish_reason")).ShouldBe(("assistant", "stop"));

        await app.PostAsync(Chat, """{"model": "none", "messages": [{"role": "user", "content": "x"}]}""", 404);
        await app.PostAsync(Chat, $$"""{"model": "{{id}}", "messages": [{"role": "system", "content": "x"}]}""", 422);
        await app.PostAsync(Chat, $$"""{"model": "{{id}}", "messages": [{"role": "wizard", "content": "x"}]}""", 422);
        var (two, _) = await app.CreateAsync(Says("[[ ## a ## ]]\n1\n[[ ## b ## ]]\n2"), "\"a\", \"b: int\"");
        (await app.PostAsync(Chat, $$"""{"model": "{{two}}", "messages": [{"role": "user", "content": "x"}]}""")).GetProperty("choices")[0].GetProperty("message").Str("content")
            .ShouldBe("""{"a":"1","b":2}""");
        (await app.PostAsync(Chat, """{"model": "EmailDraft", "messages": [{"role": "user", "content": "x"}]}""", 422)).GetProperty("detail")[0].Str("msg")!.ShouldContain("recipient");
        var (bad, _) = await app.CreateAsync(Says("nothing"));
        await app.PostAsync(Chat, $$"""{"model": "{{bad}}", "messages": [{"role": "user", "content": "x"}]}""", 502);
        (await SendAsync(Chat, $$"""{"model": "{{bad}}", "stream": true, "messages": [{"role": "user", "content": "x"}]}""")).StatusCode.ShouldBe(System.Net.HttpStatusCode.BadGateway);
    }

    [Fact]
    public async Task The_library_ships_with_the_app()
    {
        var listed = (await app.GetAsync(Dspy + "programs")).EnumerateArray().ToDictionary(program => program.Str("program_id")!);
        foreach (var id in new[] { "DraftText", "ReviseText", "ExpandText", "RefineText", "CritiqueText", "SummarizeText", "ExtractInfo", "ClassifyText", "RespondToUser", "ClarifyIntent",
            "GenerateFollowUp", "ResolveQuery", "EmailDraft", "CodeGeneration", "DataAnalysis", "ReportGeneration", "email-assistant-v1" })
            listed.ShouldContainKey(id);
        listed["email-assistant-v1"].GetProperty("signatures").GetRawText().ShouldBe("""[{"input_fields":["recipient","subject","context"],"output_fields":["generated_email"]}]""");
        (await app.GetAsync(Dspy + "programs/Summarize")).Str("program_id").ShouldBe("SummarizeText");
        await app.SendAsync(HttpMethod.Delete, Dspy + "programs/EmailDraft", null, 409);

        var first = (await app.GetAsync(Dspy + "programs?limit=3")).EnumerateArray().Select(program => program.Str("program_id")).ToArray();
        var next = (await app.GetAsync($"{Dspy}programs?limit=3&after={first[^1]}")).EnumerateArray().Select(program => program.Str("program_id")).ToArray();
        first.Concat(next).ShouldBe(listed.Keys.Order(StringComparer.Ordinal).Take(6));

        app.Answers["john@example.com"] = Says("[[ ## generated_email ## ]]\nHi John");
        var sample = await app.PostAsync(Dspy + "execute", """
            {"program_id": "email-assistant-v1", "inputs": {"recipient": "john@example.com", "subject": "Meeting Follow-up", "context": "Discussed Q4 targets"}, "mode": "normal", "timeout": 300}
            """);
        sample.GetProperty("outputs").GetRawText().ShouldBe("""{"generated_email":"Hi John"}""");
    }

    [Fact]
    public async Task Without_a_language_model_503_names_the_setting_and_the_rest_works()
    {
        using var content = new StringContent("""{"program_id": "EmailDraft", "inputs": {}}""", Encoding.UTF8, "application/json");
        (await (await app.Unconfigured.PostAsync(Dspy + "execute", content)).JsonAsync(503)).Str("detail")!.ShouldContain("DSPY_LM_BASE_URL");
        using var dry = new StringContent("""{"program_id": "email-assistant-v1", "inputs": {"recipient": "a", "subject": "b"}, "mode": "dry_run"}""", Encoding.UTF8, "application/json");
        (await (await app.Unconfigured.PostAsync(Dspy + "execute", dry)).JsonAsync(200)).GetProperty("success").GetBoolean().ShouldBeTrue();
        var health = await (await app.Unconfigured.GetAsync(Dspy + "health")).JsonAsync(200);
        health.Str("status").ShouldBe("unhealthy");
        health.Str("error")!.ShouldContain("DSPY_LM_BASE_URL");
    }

    [Fact]
    public async Task Statistics_count_what_asked_the_language_model()
    {
        var before = (await app.GetAsync(Dspy + "stats")).GetProperty("statistics");
        var (good, _) = await app.CreateAsync(Says("[[ ## answer ## ]]\nx"));
        var (bad, _) = await app.CreateAsync(Says("nothing"));
        await ExecuteAsync(good);
        await ExecuteAsync(good);
        await ExecuteAsync(bad);
        await app.PostAsync(Dspy + "execute", $$"""{"program_id": "{{good}}", "inputs": {} }""");
        var stats = await app.GetAsync(Dspy + "stats");
        var after = stats.GetProperty("statistics");
        // Other tests of this class do not run meanwhile.
        (Total(after) - Total(before), after.GetProperty("failed_executions").GetInt64() - before.GetProperty("failed_executions").GetInt64()).ShouldBe((2, 1));
        after.GetProperty("success_rate").GetDouble().ShouldBeInRange(0.01, 0.99);
        after.GetProperty("p95_execution_time").ValueKind.ShouldBe(JsonValueKind.Number);
        stats.GetProperty("cache_enabled").GetBoolean().ShouldBeTrue();
        var health = await app.GetAsync(Dspy + "health");
        (health.Str("status"), Total(health)).ShouldBe(("healthy", Total(after)));

        static long Total(JsonElement statistics) => statistics.GetProperty("total_executions").GetInt64();
    }

    [Fact]
    public async Task Requests_that_are_wrong_are_told_so()
    {
        (await app.PostAsync(Dspy + "execute", """{"inputs": {}}""", 400)).Str("detail").ShouldBe("Either program or model_id must be provided");
        (await app.PostAsync(Dspy + "execute", """{"program_id": "EmailDraft"}""", 422)).GetProperty("detail")[0].GetProperty("loc").Each().ShouldBe(["body", "inputs"]);
        await app.PostAsync(Dspy + "execute", """{"program_id": "EmailDraft", "inputs": [1]}""", 422);
        await app.PostAsync(Dspy + "execute", """{"program_id": "EmailDraft", "inputs": {}, "mode": "wild"}""", 422);
        await app.PostAsync(Dspy + "execute", "not json", 422);
        await app.PostAsync(Dspy + "execute", """{"program_id": "a\u0000b", "inputs": {}}""", 422);
        await app.PostAsync(Dspy + "execute", """{"program_id": "EmailDraft", "inputs": {"a": "\u0000"}}""", 422);
        await app.PostAsync(Dspy + "execute", """{"program_id": "../../x", "inputs": {}}""", 404);
        foreach (var id in new[] { "..%2fx", "%252e", "a%20b", new string('a', 101) })
            await app.PutAsync(id, """{"signatures": [{"inputs": ["a"], "outputs": ["b"]}]}""", 422);

        var faults = (await app.PutAsync("bad", """
            {"signatures": [{"inputs": ["A"], "outputs": ["b: number", "b"], "demos": [1], "extra": 1}, {"inputs": []}], "state": 1}
            """, 422)).GetProperty("detail").EnumerateArray().Select(fault => string.Join('.', fault.GetProperty("loc").Each()) + " " + fault.Str("msg")).ToArray();
        faults.Length.ShouldBe(7);
        faults.ShouldContain(fault => fault.StartsWith("body.signatures.0.inputs.0 'A' is no field name", StringComparison.Ordinal));
        faults.ShouldContain(fault => fault.StartsWith("body.signatures.0.outputs.0 'number' is no type", StringComparison.Ordinal));
        await app.PutAsync("bad", """{"name": "\u0000", "signatures": [{"inputs": ["a"], "outputs": ["b"]}]}""", 422);

        var reader = await app.CreateKeyAsync("reader", "model:read");
        using var request = new HttpRequestMessage(HttpMethod.Put, Dspy + "programs/x") { Content = new StringContent("{}", Encoding.UTF8, "application/json") };
        request.Headers.Authorization = new("Bearer", reader);
        (await (await app.Client.SendAsync(request)).JsonAsync(403)).Str("detail").ShouldBe("Insufficient permissions");
    }

    [Fact]
    public async Task What_is_past_its_time_is_removed_with_orphaned_blobs()
    {
        var (id, _) = await app.CreateAsync(Says("[[ ## answer ## ]]\nx"));
        var old = (await ExecuteAsync(id)).Str("execution_id");
        var kept = (await ExecuteAsync(id, "new")).Str("execution_id");
        await using (var command = app.Database.CreateCommand("UPDATE models.dspy_executions SET created_at = now() - interval '31 days' WHERE id = $1"))
        {
            command.Parameters.Add(new() { Value = Guid.Parse(old!) });
            await command.ExecuteNonQueryAsync();
        }
        await app.Service<DspyService>().PurgeAsync(default);
        await app.GetAsync(Dspy + "execution/" + old, 404);
        await app.GetAsync(Dspy + "execution/" + kept);
        await app.GetAsync(Dspy + "programs/" + id);
    }

    private async Task<HttpResponseMessage> SendAsync(string path, string json)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(json, Encoding.UTF8, "application/json") };
        return await app.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
    }

    private static async Task<List<(string? Name, string Data)>> ReadEventsAsync(HttpResponseMessage response)
    {
        response.Content.Headers.ContentType!.MediaType.ShouldBe("text/event-stream");
        var events = new List<(string?, string)>();
        foreach (var one in (await response.Content.ReadAsStringAsync()).Split("\n\n", StringSplitOptions.RemoveEmptyEntries))
        {
            var lines = one.Split('\n');
            events.Add((lines.FirstOrDefault(line => line.StartsWith("event: ", StringComparison.Ordinal))?[7..], lines.Single(line => line.StartsWith("data: ", StringComparison.Ordinal))[6..]));
        }
        return events;
    }
}
