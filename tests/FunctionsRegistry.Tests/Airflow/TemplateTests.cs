using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.Airflow;

namespace FunctionsRegistry.Tests.Airflow;

public sealed class TemplateTests
{
    private static JsonNode? Resolve(TemplateReference reference) =>
        TemplateText.Follow(reference, JsonNode.Parse("""{"conf":{"n":3,"deep":{"list":["a",{"b":true}]},"text":"x y"},"params":{"z":null}}"""), 0);

    [Theory]
    [InlineData("\"${conf.n}\"", "3")]
    [InlineData("\"n=${conf.n}!\"", "\"n=3!\"")]
    [InlineData("\"${conf.deep.list.1.b}\"", "true")]
    [InlineData("\"${ conf.deep.list }\"", "[\"a\",{\"b\":true}]")]
    [InlineData("\"${conf.text}${conf.n}\"", "\"x y3\"")]
    [InlineData("\"<${conf.deep}>\"", "\"<{\\\"list\\\":[\\\"a\\\",{\\\"b\\\":true}]}>\"")]
    [InlineData("\"$${conf.n} costs 5$\"", "\"${conf.n} costs 5$\"")]
    [InlineData("\"${params.z}\"", "null")]
    [InlineData("[1,{\"k\":\"${conf.n}\"},null,\"plain\"]", "[1,{\"k\":3},null,\"plain\"]")]
    public void References_become_values_and_keep_their_type_when_alone(string template, string expected) =>
        (TemplateText.Fill(JsonNode.Parse(template), Resolve)?.ToJsonString(new(System.Text.Json.JsonSerializerDefaults.Web) { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }) ?? "null")
            .ShouldBe(expected);

    [Theory]
    [InlineData("${conf.missing}", "missing")]
    [InlineData("${conf.deep.list.2}", "'2'")]
    [InlineData("${conf.n.m}", "'m'")]
    public void A_reference_without_a_value_says_which(string template, string part) =>
        Should.Throw<TemplateException>(() => TemplateText.Fill(JsonValue.Create(template), Resolve)).Message.ShouldContain(part);

    [Theory]
    [InlineData("${")]
    [InlineData("a ${conf.x")]
    [InlineData("${}")]
    [InlineData("${other.x}")]
    [InlineData("${conf..x}")]
    [InlineData("${conf.a b}")]
    [InlineData("${tasks.a}")]
    [InlineData("${tasks.a.result}")]
    [InlineData("${params}")]
    public void A_malformed_reference_is_refused(string template) =>
        Should.Throw<TemplateException>(() => TemplateText.References(JsonValue.Create(template)).ToList());

    [Fact]
    public void Any_text_without_references_stays_as_it_is() =>
        Prop.ForAll(ArbMap.Default.ArbFor<NonNull<string>>(), text =>
        {
            var escaped = text.Get.Replace("${", "$${", StringComparison.Ordinal);
            return TemplateText.Fill(JsonValue.Create(escaped), _ => throw new InvalidOperationException())!.GetValue<string>() == text.Get
                && !TemplateText.References(JsonValue.Create(escaped)).Any();
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));

    [Fact]
    public void Any_text_is_filled_or_refused_and_never_breaks()
    {
        var pieces = Gen.ListOf(Gen.Elements("${", "}", "$", "conf", ".n", ".x", "tasks", "params", "output", " ", "é", "\0"), 12);
        Prop.ForAll(Arb.From(pieces), list =>
        {
            try
            {
                TemplateText.Fill(JsonValue.Create(string.Concat(list)), Resolve);
            }
            catch (TemplateException)
            {
                // Refused.
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(1000));
    }
}
