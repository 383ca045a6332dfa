using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.IndexAgent;

namespace FunctionsRegistry.Tests.IndexAgent;

public sealed class CodeWordsTests
{
    [Theory]
    [InlineData("getUserName", "get user nam")]
    [InlineData("HTTPServer_v2", "http serv v2")]
    [InlineData("__init__", "init")]
    [InlineData("SHA256Hash", "sha256 hash")]
    [InlineData("read_all-lines.now", "read all lin now")]
    [InlineData("XMLHttpRequest", "xml http request")]
    [InlineData("größeÄndern", "größe ändern")]
    public void Identifiers_are_cut_into_words(string text, string words) => string.Join(' ', CodeWords.StemsOf(text)).ShouldBe(words);

    [Theory]
    [InlineData("cache caches cached caching")]
    [InlineData("query queries queried")]
    [InlineData("map maps mapped mapping")]
    [InlineData("parse parses parsed parsing")]
    [InlineData("index indexed indexing")]
    [InlineData("validate validates validated validating validation validator validators")]
    [InlineData("compress compressed compression compressor")]
    [InlineData("read reads reading reader readers")]
    [InlineData("plan planned planner")]
    public void Forms_of_a_word_are_one(string forms) => CodeWords.StemsOf(forms).Distinct().Count().ShouldBe(1);

    [Theory]
    [InlineData("class")]
    [InlineData("status")]
    [InlineData("string")]
    [InlineData("analysis")]
    [InlineData("action")]
    [InlineData("order")]
    [InlineData("error")]
    public void What_only_looks_like_an_ending_stays(string word) => CodeWords.Stem(word).ShouldBe(word);

    [Fact]
    public void The_words_of_an_identifier_are_all_of_its_letters()
    {
        var identifier = Gen.Choose(0, 40).SelectMany(length => Gen.ListOf(Gen.Elements("aBcXYZ09_éÜ".ToCharArray()), length)).Select(chars => new string([.. chars]));
        Check.One(Config.QuickThrowOnFailure, Prop.ForAll(identifier.ToArbitrary(), text =>
        {
            var parts = new List<string>();
            for (var at = 0; CodeWords.NextWord(text, ref at, out var range);)
                parts.Add(text[range]);
            return string.Concat(parts) == text.Replace("_", "", StringComparison.Ordinal) && parts.TrueForAll(part => part.Length > 0);
        }));
    }

    [Fact]
    public void A_stem_is_never_longer_than_its_word_nor_empty() =>
        Check.One(Config.QuickThrowOnFailure, Prop.ForAll<NonEmptyString>(word => CodeWords.Stem(word.Get).Length is > 0 and <= CodeWords.MaxLength && CodeWords.Stem(word.Get).Length <= word.Get.Length));

    [Fact]
    public void Postings_come_back_as_they_went_in()
    {
        Check.One(Config.QuickThrowOnFailure, Prop.ForAll<PositiveInt[], bool>((gaps, hasFields) =>
        {
            var writer = new PostingsWriter(hasFields);
            var number = -1;
            var expected = new List<(int, byte)>();
            foreach (var gap in gaps)
            {
                number += gap.Get * 37;
                var fields = hasFields ? (byte)gap.Get : (byte)0;
                writer.Add(number, fields);
                expected.Add((number, fields));
            }
            var found = new List<(int, byte)>();
            var bytes = writer.ToArray();
            for (var cursor = new PostingsCursor(bytes, hasFields); cursor.Number != PostingsCursor.End; cursor.Next())
                found.Add((cursor.Number, cursor.Fields));
            return found.SequenceEqual(expected) && PostingsCursor.CountOf(bytes) == gaps.Length;
        }));
    }
}
