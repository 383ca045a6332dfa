using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.ModelRegistry.Dspy;

namespace FunctionsRegistry.Functions.ModelRegistry;

/// <summary>
/// Programs as models of OpenAI's chat API, our addition: base URL <c>.../hokusai/api/v1/dspy/openai/v1</c>. The last user message is the inputs: a JSON
/// object of them, or else the text of the program's only required one. Earlier messages become <c>conversation_history</c> where the program has such an
/// input; system messages count for nothing, a program has its own. The answer is the text of the program's only required output beside its reasoning, or
/// a JSON object of all outputs where there are several.
/// </summary>
[Contract(Family.Hokusai)]
public sealed class DspyOpenAiFunctions(DspyService dspy, TimeProvider time)
{
    private const string History = "conversation_history";
    private const int MaxMessages = 1000;
    private const int MaxContent = 1 << 20;

    /// <summary>POST /chat/completions, also with "stream": true.</summary>
    [Function("hokusai_dspy_openai_chat")]
    [Body("model: string(1..200), messages: {role: string, content: any}[], stream?: boolean, stream_options?: {include_usage?: boolean}")]
    [Answers(typeof(OpenAiCompletion)), Answers("text/event-stream")]
    public async Task<IResult> Complete(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = DspyFunctions.Base + "/openai/v1/chat/completions")] HttpRequest request, CancellationToken cancellationToken)
    {
        HokusaiScopes.Require(request, HokusaiScopes.ModelRead);
        var fields = await RequestBody.ReadFieldsAsync(request, cancellationToken);
        var (id, stream) = (fields.Text("model", 1, 200), fields.OptionalBoolean("stream") ?? false);
        var withUsage = fields.OptionalFields("stream_options")?.OptionalBoolean("include_usage") ?? false;
        if (!fields.Has("messages"))
            fields.Fault("messages", "field required", "value_error.missing");
        var messages = fields.ListOfFields("messages", MaxMessages).Select(ReadMessage).ToList();
        fields.OptionalJson("messages");
        fields.ThrowIfFaulty();
        var call = await dspy.PrepareAsync(id, "normal", TimeSpan.FromSeconds(DspyFunctions.StandardTimeoutSeconds), cancellationToken);
        var inputs = ReadInputs(call.Program, messages);
        if (stream)
            return new EventsBody((write, token) => StreamAsync(call, inputs, withUsage, write, token));
        var execution = Checked(await dspy.ExecuteAsync(call, inputs, null, null, cancellationToken));
        var answer = new OpenAiCompletion(
            $"chatcmpl-{execution.ExecutionId}", "chat.completion", time.GetUtcNow().ToUnixTimeSeconds(), call.ProgramId,
            [new OpenAiChoice(0, new OpenAiMessage("assistant", Content(call.Program, execution.Outputs!)), "stop")], Usage(execution));
        return JsonBody.Create(answer, DspyJson.Default.OpenAiCompletion);
    }

    private async Task StreamAsync(DspyCall call, JsonElement inputs, bool withUsage, Func<string?, byte[], ValueTask> write, CancellationToken cancellationToken)
    {
        var (id, created) = ($"chatcmpl-{Guid.CreateVersion7(time.GetUtcNow()):N}", time.GetUtcNow().ToUnixTimeSeconds());
        // Several outputs are one JSON object, which is whole only at the end.
        var single = SingleOutput(call.Program);
        var sent = false;
        var execution = await dspy.ExecuteAsync(call, inputs, null, delta => delta.Field == single ? SendAsync(delta.Delta, null) : ValueTask.CompletedTask, cancellationToken);
        // Before the first chunk it is an error as any other; after it only a broken connection says that there is no more.
        Checked(execution);
        if (!sent)
            await SendAsync(Content(call.Program, execution.Outputs!), null);
        await SendAsync(null, "stop");
        if (withUsage)
            await WriteAsync(new OpenAiChunk(id, "chat.completion.chunk", created, call.ProgramId, [], Usage(execution)));
        await write(null, "[DONE]"u8.ToArray());

        ValueTask SendAsync(string? content, string? finishReason)
        {
            var delta = new OpenAiDelta(sent ? null : "assistant", content);
            sent = true;
            return WriteAsync(new OpenAiChunk(id, "chat.completion.chunk", created, call.ProgramId, [new OpenAiChunkChoice(0, delta, finishReason)], null));
        }

        ValueTask WriteAsync(OpenAiChunk chunk) => write(null, JsonSerializer.SerializeToUtf8Bytes(chunk, DspyJson.Default.OpenAiChunk));
    }

    private static OpenAiMessage ReadMessage(FieldReader fields)
    {
        var role = fields.Choice("role", "system", "developer", "user", "assistant", "tool", "function");
        var content = fields.OptionalJson("content");
        if (content is not { ValueKind: JsonValueKind.Array } parts)
            return new OpenAiMessage(role, fields.OptionalText("content", 0, MaxContent) ?? "");
        var text = new StringBuilder();
        foreach (var part in fields.ListOfFields("content", MaxMessages))
        {
            if (part.Text("type") is var type && type != "text")
                part.Fault("type", $"'{type}' is not taken, only text is");
            text.Append(part.OptionalText("text", 0, MaxContent));
        }
        return new OpenAiMessage(role, text.ToString());
    }

    private static JsonElement ReadInputs(DspyProgram program, List<OpenAiMessage> messages)
    {
        var last = messages.FindLastIndex(message => message.Role == "user");
        if (last < 0)
            throw DspyErrors.InvalidMessages("there is no user message");
        var text = messages[last].Content;
        if (TryParseInputs(program, text) is { } inputs)
            return inputs;
        var required = program.Inputs.Where(field => !field.IsOptional).ToArray();
        if (required is not [{ Type: "str" } only])
            throw DspyErrors.InvalidMessages(
                $"the last user message must be a JSON object with the inputs {string.Join(", ", required.Select(field => field.Name))}: only a program with one required text takes plain text");
        var made = new JsonObject { [only.Name] = text };
        var earlier = messages.Take(last).Where(message => message.Role is "user" or "assistant").Select(message => $"{message.Role}: {message.Content}").ToArray();
        if (earlier.Length > 0 && program.Inputs.FirstOrDefault(field => field.Name == History) is { } history && history != only)
            made[History] = history.Type == "list[str]" ? new JsonArray([.. earlier.Select(line => JsonValue.Create(line))]) : string.Join('\n', earlier);
        return JsonElement.Parse(made.ToJsonString());
    }

    // An object with other members may be the very text that the program is about.
    private static JsonElement? TryParseInputs(DspyProgram program, string text)
    {
        if (!text.AsSpan().TrimStart().StartsWith("{"))
            return null;
        try
        {
            var json = JsonElement.Parse(text);
            return json.EnumerateObject().Any() && json.EnumerateObject().All(member => program.Inputs.Any(field => field.Name == member.Name))
                && !HasNul(json) ? json : null;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    private static bool HasNul(JsonElement json) => json.ValueKind switch
    {
        JsonValueKind.Object => json.EnumerateObject().Any(member => HasNul(member.Value)),
        JsonValueKind.Array => json.EnumerateArray().Any(HasNul),
        JsonValueKind.String => json.GetString()!.Contains('\0', StringComparison.Ordinal),
        _ => false,
    };

    private static DspyExecution Checked(DspyExecution execution) => execution.Failure switch
    {
        DspyFailure.Inputs => throw DspyErrors.InvalidMessages(execution.Error!),
        DspyFailure.Timeout => throw DspyErrors.TimedOut(execution.Error!),
        DspyFailure.LanguageModel => throw DspyErrors.LanguageModelFailed(execution.Error!),
        _ => execution,
    };

    private static string Content(DspyProgram program, JsonObject outputs) =>
        SingleOutput(program) is not { } name || outputs[name] is not { } only ? outputs.ToJsonString()
        : only.GetValueKind() == JsonValueKind.String ? only.GetValue<string>() : only.ToJsonString();

    private static string? SingleOutput(DspyProgram program) =>
        program.Outputs.Where(field => !field.IsOptional && field.Name != "reasoning").ToArray() is [var only] ? only.Name : null;

    // A kept answer cost nothing.
    private static OpenAiUsage Usage(DspyExecution execution)
    {
        var (input, output) = (execution.Metadata["usage"]?["prompt_tokens"]?.GetValue<long>() ?? 0, execution.Metadata["usage"]?["completion_tokens"]?.GetValue<long>() ?? 0);
        return new OpenAiUsage(input, output, input + output);
    }
}
