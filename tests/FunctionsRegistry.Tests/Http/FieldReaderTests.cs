using System.Text;
using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Tests.Http;

public sealed class FieldReaderTests
{
    [Fact]
    public void Every_fault_of_a_body_is_told_with_its_place()
    {
        var body = Of("""{"size":"many","rate":1.5,"kind":"other","tags":["a",5],"items":[{"name":""},3],"id":"x","when":"soon","null":null}""");

        body.Text("name");
        body.Text("null");
        body.WholeNumber("size");
        body.OptionalNumber("rate", 0, 1);
        body.OptionalChoice("kind", "tournament", "roulette");
        body.Texts("tags");
        foreach (var item in body.ListOfFields("items"))
            item.Text("name", minLength: 1);
        body.OptionalUuid("id");
        body.OptionalTime("when");

        var error = Should.Throw<RegistryException>(body.ThrowIfFaulty);
        error.Kind.ShouldBe(ErrorKind.Validation);
        error.Fields.Select(field => $"{string.Join('.', field.Location)}: {field.Message} ({field.Type})").ShouldBe(
        [
            "body.name: field required (value_error.missing)",
            "body.null: none is not an allowed value (type_error.none.not_allowed)",
            "body.size: value is not a valid integer (type_error.integer)",
            "body.rate: ensure this value is less than or equal to 1 (value_error.number.not_le)",
            "body.kind: value is not a valid enumeration member; permitted: 'tournament', 'roulette' (type_error.enum)",
            "body.tags.1: str type expected (type_error.str)",
            "body.items.1: value is not a valid dict (type_error.dict)",
            "body.items.0.name: ensure this value has at least 1 characters (value_error.any_str.min_length)",
            "body.id: value is not a valid uuid (type_error.uuid)",
            "body.when: invalid datetime format (value_error.datetime)",
        ]);
    }

    [Fact]
    public void A_good_body_reads_as_it_is()
    {
        var body = Of("""{"name":"a","size":7,"whole":-3.0,"text_size":"8","rate":0.5,"flag":"true","id":"00000000-0000-0000-0000-000000000001","when":"2026-01-26T21:09:30","tags":["x"],"config":{"deep":[1]},"unknown":1}""");

        body.Text("name").ShouldBe("a");
        body.WholeNumber("size").ShouldBe(7);
        body.WholeNumber("whole").ShouldBe(-3);
        body.WholeNumber("text_size", 1, 1, 10).ShouldBe(8);
        body.Number("rate").ShouldBe(0.5);
        body.OptionalBoolean("flag").ShouldBe(true);
        body.Uuid("id").ShouldBe(new Guid("00000000-0000-0000-0000-000000000001"));
        body.OptionalTime("when").ShouldBe(new DateTimeOffset(2026, 1, 26, 21, 9, 30, TimeSpan.Zero));
        body.Texts("tags").ShouldBe(["x"]);
        body.OptionalFields("config")!.OptionalJson("deep")!.Value.GetRawText().ShouldBe("[1]");
        body.OptionalText("absent").ShouldBeNull();
        body.Has("unknown").ShouldBeTrue();
        body.ThrowIfFaulty();
    }

    [Theory]
    [InlineData("", "field required")]
    [InlineData("{", "Invalid JSON: line 1 column 2")]
    [InlineData("[]", "value is not a valid dict")]
    public void What_is_no_object_is_refused(string json, string message) =>
        Should.Throw<RegistryException>(() => Of(json)).Fields.Single().Message.ShouldBe(message);

    [Theory]
    [InlineData("""{"a":"x\u0000"}""")]
    [InlineData("""{"a":"\ud800"}""")]
    [InlineData("""{"a":{"b":["\u0000"]}}""")]
    [InlineData("""{"a":{"\udc00":1}}""")]
    public void Text_that_cannot_be_stored_is_a_fault(string json)
    {
        var body = Of(json);

        if (body.Json.GetProperty("a").ValueKind == System.Text.Json.JsonValueKind.String)
            body.OptionalText("a");
        else
            body.OptionalJson("a");

        Should.Throw<RegistryException>(body.ThrowIfFaulty);
    }

    [Fact]
    public void Any_bytes_read_or_are_refused() => Prop.ForAll(ArbMap.Default.ArbFor<string>(), text =>
    {
        try
        {
            var body = FieldReader.OfBody(Encoding.UTF8.GetBytes($$"""{"a":{{text}}}"""));
            body.OptionalText("a");
            body.OptionalWholeNumber("a");
            body.OptionalNumber("a");
            body.OptionalBoolean("a");
            body.OptionalTime("a");
            body.OptionalUuid("a");
            body.Texts("a");
            body.ListOfFields("a");
            body.OptionalJson("a");
        }
        catch (RegistryException exception)
        {
            exception.Fields.ShouldNotBeEmpty();
        }
    }).QuickCheckThrowOnFailure();

    private static FieldReader Of(string json) => FieldReader.OfBody(Encoding.UTF8.GetBytes(json));
}
