using System.Text.RegularExpressions;
using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.Errors;
using FunctionsRegistry.IndexAgent;

namespace FunctionsRegistry.Tests.IndexAgent;

public sealed class CodeQueryTests
{
    private static readonly Gen<string> s_texts = Gen.Choose(0, 30)
        .SelectMany(length => Gen.ListOf(Gen.Elements("a", "foo", " ", " ", "OR", " OR ", "(", ")", "\"", "/", "\\", "-", "sym:", "lang:", "path:", "c#", "[", "*", "+", "x{2", "é", "\t", "|", "?", "(?=a)", ":"), length))
        .Select(parts => string.Concat(parts));

    [Theory]
    [InlineData("async handler", "(async handler)")]
    [InlineData("a OR b c", "(a | (b c))")]
    [InlineData("(a OR b) c", "((a | b) c)")]
    [InlineData("a -b", "(a !b)")]
    [InlineData("-(a OR b)", "!(a | b)")]
    [InlineData("\"exact  phrase\"", "'exact  phrase'")]
    [InlineData("/get\\w+Name/", "/get\\w+Name/")]
    [InlineData("/a\\/b/ c", "(/a\\/b/ c)")]
    [InlineData("sym:Parse* lang:c#", "(Symbol=Parse* Language=csharp)")]
    [InlineData("path:src/** file:\"my file.py\" repo:core", "(Path=src/** File=my file.py Repository=core)")]
    [InlineData("language:ts symbol:x", "(Language=typescript Symbol=x)")]
    [InlineData("std::vector", "(std vector)")]
    [InlineData("foo.bar(baz)", "((foo bar) baz)")]
    [InlineData("http://x", "(http x)")]
    [InlineData("or OR ORDER", "(or | ORDER)")]
    [InlineData("a -> b", null)]
    [InlineData("well-known", "(well known)")]
    public void Queries_are_read(string text, string? tree)
    {
        if (tree is null)
            Should.Throw<RegistryException>(() => CodeQueryParser.Parse(text));
        else
            Show(CodeQueryParser.Parse(text).Root).ShouldBe(tree);
    }

    [Theory]
    [InlineData("", 1, "example")]
    [InlineData("   ", 1, "example")]
    [InlineData("foo \"bar", 5, "foo \"bar\"")]
    [InlineData("(foo bar", 1, "(foo bar)")]
    [InlineData("foo) bar", 4, "foo bar")]
    [InlineData("foo OR", 5, "foo")]
    [InlineData("OR foo", 1, "foo")]
    [InlineData("foo () bar", 5, "foo  bar")]
    [InlineData("/api/v1 agents", 1, "\"/api/v1\" agents")]
    [InlineData("/(foo/", 6, "\"(foo\"")]
    [InlineData("/(?=foo)/", 1, "\"(?=foo)\"")]
    [InlineData("lang:pythn x", 6, "lang:python x")]
    [InlineData("sym: x", 1, "x")]
    [InlineData("foo ->", 5, "foo \"->\"")]
    [InlineData("a \"\" b", 3, "a  b")]
    public void A_fault_names_its_place_and_a_query_that_works(string text, int place, string corrected)
    {
        var error = Should.Throw<RegistryException>(() => CodeQueryParser.Parse(text));

        error.Fields.Count.ShouldBe(1);
        error.Fields[0].Location.ShouldBe(["body", "query"]);
        error.Fields[0].Message.ShouldEndWith($" at character {place}. Corrected query: {corrected}");
        CodeQueryParser.TryParse(corrected).Fault.ShouldBeNull();
    }

    [Fact]
    public void Any_text_is_read_or_corrected_to_one_that_is() =>
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(2000), Prop.ForAll(s_texts.ToArbitrary(), text =>
            CodeQueryParser.TryParse(text).Fault is not { } fault
            || (fault.Position >= 0 && fault.Position <= text.Length && CodeQueryParser.TryParse(CodeQueryParser.Correct(text)).Fault is null)));

    [Fact]
    public void Hostile_lengths_and_depths_are_refused_quickly()
    {
        foreach (var text in new[] { new string('(', 900), new string('a', 5000), string.Join(' ', Enumerable.Range(0, 200).Select(i => "w" + i)), string.Concat(Enumerable.Repeat("\"a\" ", 100)), "/" + new string('(', 400) + new string(')', 400) + "/" })
        {
            var fault = CodeQueryParser.TryParse(text).Fault;
            if (fault is not null)
                CodeQueryParser.TryParse(CodeQueryParser.Correct(text)).Fault.ShouldBeNull(text[..20]);
        }
    }

    [Fact]
    public void A_glob_means_what_its_regular_expression_means()
    {
        var globs = Gen.Choose(1, 8).SelectMany(length => Gen.ListOf(Gen.Elements("a", "b", "/", "*", "**", "**/", "?", "A"), length)).Select(parts => string.Concat(parts));
        var paths = Gen.Choose(0, 8).SelectMany(length => Gen.ListOf(Gen.Elements("a", "b", "/", "B", "ab"), length)).Select(parts => string.Concat(parts));
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(5000), Prop.ForAll(globs.ToArbitrary(), paths.ToArbitrary(), (glob, path) => Glob.IsMatch(glob, path) == Regex.IsMatch(path, ToRegex(glob))));
    }

    [Fact]
    public void A_text_that_matches_a_pattern_has_all_its_trigrams()
    {
        var patterns = Gen.Choose(1, 8).SelectMany(length => Gen.ListOf(
            Gen.Elements("abc", "cab", "a", "b", ".", "b*", "c?", "(ab)", "(?:ca|b)", "[ab]", "[^]a]", "[a-c-[b]]", "\\w", "\\.", "a{2}", "a{", "b{1,2}", "|", "\\x61", "+", "^", "$", "K"), length))
            .Select(parts => string.Concat(parts));
        var texts = Gen.Choose(0, 20).SelectMany(length => Gen.ListOf(Gen.Elements("abcABC.{-]kK\u212A\n".ToCharArray()), length)).Select(chars => new string([.. chars]));
        var tried = 0;
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(20_000), Prop.ForAll(patterns.ToArbitrary(), texts.ToArbitrary(), (source, text) =>
        {
            if (CodeQueryParser.TryParse($"/{source}/").Query?.Root is not PatternNode pattern || !pattern.Pattern.IsMatch(text))
                return true;
            tried++;
            var have = new HashSet<long>();
            foreach (var line in text.Split('\n'))
                for (var i = 0; i + 3 <= line.Length; i++)
                    have.Add(CodeWords.Trigram((CodeWords.Fold(line[i]) << 14) | (CodeWords.Fold(line[i + 1]) << 7) | CodeWords.Fold(line[i + 2])));
            return have.IsSupersetOf(TrigramPlan.Of(pattern));
        }));
        tried.ShouldBeGreaterThan(100);
    }

    [Fact]
    public void A_plain_run_of_a_pattern_is_looked_up()
    {
        var pattern = (PatternNode)CodeQueryParser.Parse("/fo+Handler\\(/").Root;

        TrigramPlan.Of(pattern).Count.ShouldBe("Handler(".Length - 2);
    }

    private static string ToRegex(string glob)
    {
        var regex = Regex.Replace(glob, @"\*\*/|\*\*|\*|\?|[^*?]", match => match.Value switch
        {
            "*" => "[^/]*",
            "?" => "[^/]",
            "**" => ".*",
            "**/" => "(?:(?<=^|/)|.*/)",
            var plain => Regex.Escape(plain),
        });
        return $"(?is)^{regex}$";
    }

    private static string Show(QueryNode node) => node switch
    {
        WordNode word => word.Text,
        PatternNode { IsPhrase: true } phrase => $"'{phrase.Source}'",
        PatternNode pattern => $"/{pattern.Source}/",
        FieldNode field => $"{field.Field}={field.Value}",
        NotOf not => "!" + Show(not.Part),
        AllOf all => $"({string.Join(' ', all.Parts.Select(Show))})",
        AnyOf any => $"({string.Join(" | ", any.Parts.Select(Show))})",
        _ => "?",
    };
}
