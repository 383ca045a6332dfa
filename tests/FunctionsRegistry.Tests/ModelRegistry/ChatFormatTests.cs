using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.Errors;
using FunctionsRegistry.ModelRegistry.Dspy;

namespace FunctionsRegistry.Tests.ModelRegistry;

public sealed class ChatFormatTests
{
    private static DspyProgram Read(string json) => DspyProgramReader.Read("p", JsonElement.Parse(json));

    private static Dictionary<string, JsonElement> Values(string json) => JsonElement.Parse(json).EnumerateObject().ToDictionary(member => member.Name, member => member.Value);

    [Fact]
    public void A_signature_becomes_dspy_s_messages()
    {
        var signature = Read("""
            {"signatures": [{"instructions": "Judge the text.\nBe kind.", "inputs": ["text", {"name": "tags", "type": "list[str]", "optional": true}],
                "outputs": [{"name": "mood", "description": "how it feels", "values": ["good", "bad"]}, "score: float"],
                "demos": [{"text": "ok", "tags": ["a"], "mood": "good", "score": 0.5, "augmented": true}, {"text": "hm", "mood": "bad"}, {"text": "useless"}]}]}
            """).Signatures[0];
        var messages = ChatFormat.Write(signature, Values("""{"text": "fine"}"""));

        messages.Select(message => message.Role).ShouldBe(["system", "user", "assistant", "user", "assistant", "user"]);
        messages[0].Content.ShouldBe("""
            Your input fields are:
            1. `text` (str)
            2. `tags` (list[str], optional)

            Your output fields are:
            1. `mood` (Literal['good', 'bad']): how it feels
            2. `score` (float)

            All interactions will be structured in the following way, with the appropriate values filled in.

            [[ ## text ## ]]
            {text}

            [[ ## tags ## ]]
            {tags}

            [[ ## mood ## ]]
            {mood}        # note: the value you produce must exactly match (no extra characters) one of: good; bad

            [[ ## score ## ]]
            {score}        # note: the value you produce must be a single float value

            [[ ## completed ## ]]
            In adhering to this structure, your objective is: 
                    Judge the text.
                    Be kind.
            """.ReplaceLineEndings("\n"));
        messages[1].Content.ShouldBe("""
            This is an example of the task, though some input or output fields are not supplied.

            [[ ## text ## ]]
            hm

            [[ ## tags ## ]]
            Not supplied for this particular example.
            """.ReplaceLineEndings("\n"));
        messages[2].Content.ShouldBe("[[ ## mood ## ]]\nbad\n\n[[ ## score ## ]]\nNot supplied for this particular example.\n\n[[ ## completed ## ]]");
        messages[3].Content.ShouldBe("[[ ## text ## ]]\nok\n\n[[ ## tags ## ]]\n[\"a\"]");
        messages[5].Content.ShouldBe("""
            [[ ## text ## ]]
            fine

            Respond with the corresponding output fields, starting with the field `[[ ## mood ## ]]` (must exactly match (no extra characters) one of: good; bad), then `[[ ## score ## ]]` (must be a single float value), and then ending with the marker for `[[ ## completed ## ]]`.
            """.ReplaceLineEndings("\n"));
    }

    [Fact]
    public void A_saved_state_gives_instructions_descriptions_and_demos()
    {
        // As DSPy's ChainOfThought("question -> answer").save() writes it.
        const string State = """
            {"predict": {"traces": [], "train": [], "demos": [{"augmented": true, "question": "1+1?", "reasoning": "sum", "answer": "2"}],
                "signature": {"instructions": "Optimised.", "fields": [{"prefix": "Question:", "description": "${question}"},
                    {"prefix": "Reasoning: Let's think step by step in order to", "description": "${reasoning}"}, {"prefix": "Answer:", "description": "short"}]}, "lm": null},
             "metadata": {"dependency_versions": {"dspy": "2.6.0"}}}
            """;
        var signature = Read($$"""{"signatures": [{"chain_of_thought": true, "inputs": ["question"], "outputs": ["answer"]}], "state": {{State}}}""").Signatures[0];
        signature.Instructions.ShouldBe("Optimised.");
        signature.Outputs.Select(field => (field.Name, field.Description)).ShouldBe([("reasoning", null), ("answer", "short")]);
        signature.Demos.Single()["answer"].GetString().ShouldBe("2");

        var error = Should.Throw<RegistryException>(() => Read($$"""{"signatures": [{"inputs": ["question"], "outputs": ["answer"]}], "state": {{State}}}"""));
        error.Fields.Single().Message.ShouldContain("the state has 3 fields, the signature 'predict' has 2");
        Should.Throw<RegistryException>(() => Read($$"""{"signatures": [{"name": "a", "inputs": ["x"], "outputs": ["y"]}, {"name": "b", "inputs": ["x"], "outputs": ["z"]}], "state": {{State}}}"""))
            .Fields.Single().Message.ShouldBe("no signature is called 'predict'");
    }

    [Theory]
    [InlineData("int", "42", "42")]
    [InlineData("int", " 42 ", "42")]
    [InlineData("int", "4.2", null)]
    [InlineData("float", "4.5", "4.5")]
    [InlineData("float", "NaN", null)]
    [InlineData("bool", "True", "true")]
    [InlineData("bool", "maybe", null)]
    [InlineData("list[str]", "[\"a\"]", "[\"a\"]")]
    [InlineData("list[str]", "```json\n[\"a\"]\n```", "[\"a\"]")]
    [InlineData("list[str]", "- a\n- b", "[\"a\",\"b\"]")]
    [InlineData("list[str]", "[1]", null)]
    [InlineData("list[int]", "[1, 2", null)]
    [InlineData("dict", "{\"a\": 1}", "{\"a\":1}")]
    [InlineData("dict", "[]", null)]
    [InlineData("dict", """{"a": "\ud800"}""", null)]
    [InlineData("list[str]", """["\udc00"]""", null)]
    [InlineData("str", "  as it is", "\"  as it is\"")]
    public void Values_are_read_by_their_type(string type, string text, string? json)
    {
        DspyTypes.TryParse(new DspyField("f", type, null, false, []), text, out var value).ShouldBe(json is not null);
        if (json is not null)
            value!.ToJsonString().ShouldBe(json);
    }

    [Fact]
    public void An_answer_in_JSON_with_half_a_character_has_no_fields()
    {
        var signature = new DspySignature("s", "i", [], [new DspyField("a", "str", null, false, [])], []);

        ChatFormat.Read(signature, """{"a": "\ud800"}""", out var error).ToJsonString().ShouldBe("""{"a":null}""");
        error!.ShouldContain("field 'a' is missing");
        ChatFormat.Read(signature, """{"a": "\ud83d\ude00"}""", out error)["a"]!.GetValue<string>().ShouldBe("😀");
        error.ShouldBeNull();
    }

    [Fact]
    public void A_list_for_a_text_is_written_as_numbered_lines()
    {
        var field = new DspyField("f", "str", null, false, []);
        DspyTypes.Format(field, JsonElement.Parse("""["a", "b\nc"]""")).ShouldBe("[1] «a»\n[2] «««\n    b\n    c\n»»»");
        DspyTypes.Format(field, JsonElement.Parse("[]")).ShouldBe("N/A");
    }

    [Fact]
    public void What_was_written_as_an_answer_is_read_back()
    {
        var texts = Gen.Select(Gen.ArrayOf(Gen.Elements("a", " ", "\n", "[[", " ## ", "]]", "[[ ## x", "\t", "é"), 8), string.Concat);
        Prop.ForAll(Arb.From(Gen.Zip(texts, texts)), pair =>
        {
            var reader = new AnswerReader();
            reader.Append($"thinking\n[[ ## one ## ]]\n{pair.Item1}\n\n[[ ## two ## ]] {pair.Item2}\n\n[[ ## completed ## ]]\nbye");
            reader.Complete();
            // A text that has a marker itself is cut there, as DSPy does.
            return pair.Item1.Contains(" ## ]]", StringComparison.Ordinal) || pair.Item2.Contains(" ## ]]", StringComparison.Ordinal)
                || (reader.Fields["one"] == pair.Item1.Trim() && reader.Fields["two"] == pair.Item2.Trim());
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(1000));
    }

    [Fact]
    public void However_an_answer_is_cut_the_parts_add_up_to_its_fields()
    {
        var texts = Gen.Select(Gen.ListOf(Gen.Elements("[[ ## a ## ]]", "[[ ## b ## ]]", "[[ ## ", " ## ]]", "\n", " ", "x", "y z", "\n\n")), string.Concat);
        Prop.ForAll(Arb.From(Gen.Zip(texts, Gen.Choose(1, 7))), pair =>
        {
            var whole = new AnswerReader();
            whole.Append(pair.Item1);
            whole.Complete();
            var told = new Dictionary<string, string>();
            var parts = new AnswerReader((field, text) => told[field] = told.GetValueOrDefault(field, "") + text);
            foreach (var part in pair.Item1.Chunk(pair.Item2))
                parts.Append(new string(part));
            parts.Complete();
            return parts.Fields.OrderBy(one => one.Key).SequenceEqual(whole.Fields.OrderBy(one => one.Key))
                && parts.Fields.All(one => told.GetValueOrDefault(one.Key, "") == one.Value && one.Value == one.Value.Trim());
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(2000));
    }
}
