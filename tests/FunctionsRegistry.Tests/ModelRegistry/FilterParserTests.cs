using System.Globalization;
using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.Errors;
using FunctionsRegistry.ModelRegistry.Mlflow;

namespace FunctionsRegistry.Tests.ModelRegistry;

public sealed class FilterParserTests
{
    [Fact]
    public void A_filter_is_a_list_of_comparisons()
    {
        var terms = FilterParser.Parse("metrics.loss <= 1e-3 and params.`a b` = 'x' AND tags.\"mlflow.source\" ILIKE \"%git%\" and run_id IN ('1','2') and tags.gone is not null");

        terms.Select(term => (term.Name.Entity, term.Name.Key, term.Operator)).ShouldBe([
            ("metrics", "loss", FilterOperator.LessOrEqual), ("params", "a b", FilterOperator.Equal), ("tags", "mlflow.source", FilterOperator.ILike),
            (null, "run_id", FilterOperator.In), ("tags", "gone", FilterOperator.IsNotNull)]);
        terms[0].Number.ShouldBe(1e-3);
        terms[1].Text.ShouldBe("x");
        terms[3].List.ShouldBe(["1", "2"]);
    }

    [Theory]
    [InlineData("metrics.loss >", 15, "found the end")]
    [InlineData("metrics.loss 5", 14, "expected a comparison")]
    [InlineData("metrics. > 5", 1, "is not a name")]
    [InlineData(".x > 5", 1, "is not a name")]
    [InlineData("metrics.a > 5 OR metrics.b > 5", 15, "expected AND or the end")]
    [InlineData("(metrics.a > 5)", 1, "expected a name")]
    [InlineData("metrics.a > 5 AND", 18, "expected a name but found the end")]
    [InlineData("params.a = 'x", 12, "does not end")]
    [InlineData("params.`a = 'x'", 8, "does not end")]
    [InlineData("params.a = x", 12, "a number or a quoted string")]
    [InlineData("params.a = NaN", 12, "a number or a quoted string")]
    [InlineData("params.a = 1e999", 12, "a number or a quoted string")]
    [InlineData("run_id IN 'a'", 11, "expected '('")]
    [InlineData("run_id IN ('a' 'b')", 16, "expected ')'")]
    [InlineData("run_id IN ()", 12, "expected a quoted string")]
    [InlineData("run_id NOT LIKE 'a'", 12, "expected IN after NOT")]
    [InlineData("tags.a IS 5", 11, "expected NULL")]
    [InlineData("params.a == 'x'", 11, "a number or a quoted string")]
    [InlineData("params.a = 'x'; DROP TABLE mlflow.runs", 15, "expected AND or the end")]
    public void A_fault_is_told_with_its_position(string filter, int position, string what)
    {
        var error = Should.Throw<RegistryException>(() => FilterParser.Parse(filter));

        error.Kind.ShouldBe(ErrorKind.BadRequest);
        error.Message.ShouldStartWith($"Invalid filter at position {position}:");
        error.Message.ShouldContain(what);
    }

    [Theory]
    [InlineData("metrics.loss", "metrics", "loss", false)]
    [InlineData("metrics.loss DESC", "metrics", "loss", true)]
    [InlineData(" tags.`a b`  asc ", "tags", "a b", false)]
    [InlineData("start_time desc", null, "start_time", true)]
    [InlineData("attributes.`Run name` DESC", "attributes", "Run name", true)]
    public void An_order_is_a_name_and_a_direction(string clause, string? entity, string key, bool descending)
    {
        var order = FilterParser.ParseOrder(clause);

        (order.Name.Entity, order.Name.Key, order.Descending).ShouldBe((entity, key, descending));
    }

    [Theory]
    [InlineData("", 1)]
    [InlineData("metrics.loss DESC, metrics.b", 18)]
    [InlineData("metrics.loss upwards", 14)]
    [InlineData("metrics.`loss", 9)]
    public void A_bad_order_is_told_with_its_position(string clause, int position) =>
        Should.Throw<RegistryException>(() => FilterParser.ParseOrder(clause)).Message.ShouldContain($"at position {position}:");

    [Fact]
    public void Whatever_is_typed_is_read_or_refused_with_a_position_inside()
    {
        var pieces = Gen.Elements("metrics.a", "params.`x", "tags.\"y\"", "`", "'", "\"", "''", " ", "AND", "and ", "IN", "NOT", "(", ")", ",", ">", ">=", "!=", "=", "<", "LIKE",
            "IS", "NULL", "5", "-1.5e3", "1e", "'a''b'", ".", "\0", "\ud800", "é", "名", ";", "--", "%", "\\", "\n");
        var texts = Gen.Select(Gen.ListOf(pieces), list => string.Concat(list)).Or(ArbMap.Default.GeneratorFor<string>());
        Prop.ForAll(Arb.From(texts), text =>
        {
            try
            {
                FilterParser.Parse(text);
                return true;
            }
            catch (RegistryException error)
            {
                var position = int.Parse(error.Message.Split(' ', ':')[4], CultureInfo.InvariantCulture);
                return error.Kind == ErrorKind.BadRequest && position >= 1 && position <= text.Length + 1;
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(3000));
    }

    [Fact]
    public void A_written_filter_is_read_back()
    {
        var keys = Gen.Select(ArbMap.Default.GeneratorFor<NonEmptyString>(), text => text.Get);
        var values = ArbMap.Default.GeneratorFor<NonNull<string>>();
        Prop.ForAll(Arb.From(Gen.Zip(keys, values)), pair =>
        {
            var (key, value) = (pair.Item1, pair.Item2.Get);
            var text = $"tags.`{key.Replace("`", "``", StringComparison.Ordinal)}` != '{value.Replace("'", "''", StringComparison.Ordinal)}'";
            var term = FilterParser.Parse(text).Single();
            return term.Name.Key == key && term.Text == value && term.Operator == FilterOperator.NotEqual;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(1000));
    }
}
