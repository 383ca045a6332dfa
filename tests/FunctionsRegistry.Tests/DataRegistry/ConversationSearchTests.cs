using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.DataRegistry;

namespace FunctionsRegistry.Tests.DataRegistry;

public sealed class ConversationSearchTests(ConversationSearchTests.App app) : IClassFixture<ConversationSearchTests.App>
{
    public sealed class App(Support.TestServices services) : DataRegistryApp(services)
    {
        public override async ValueTask InitializeAsync()
        {
            await base.InitializeAsync();
            await CreateConversationAsync("Fix .dockerignore Syntax Error", "The build fails on lib/mail_sender.py", "Remove the stray bracket in api.example.com/config");
            await CreateConversationAsync("Docker compose networks", "How do containers see each other?", "They resolve service names.");
            await CreateConversationAsync("Holiday plans", "Shall we go hiking?", "Docker has nothing to do with it.", "docker docker docker");
            await CreateConversationAsync("100% coverage_report", "Raise the coverage", "See C:\\temp");
            await CreateConversationAsync("Überstunden 计算", "Wie viele Überstunden?", "混合 text");
            await CreateConversationAsync("docker", "The plainest title");
        }
    }

    private async Task<string[]> FindAsync(string q, string more = "") => (await app.GetAsync($"/conversations/search?q={Uri.EscapeDataString(q)}{more}")).Texts("title");

    [Fact]
    public async Task Titles_come_before_messages_and_the_exact_title_first()
    {
        var titles = await FindAsync("Docker");

        titles[0].ShouldBe("docker");
        titles[1..3].ShouldBe(["Docker compose networks", "Fix .dockerignore Syntax Error"]);
        titles[3].ShouldBe("Holiday plans");
        titles.Length.ShouldBe(4);
    }

    [Theory]
    [InlineData("dockerign", "Fix .dockerignore Syntax Error")]
    [InlineData("ockerigno", "Fix .dockerignore Syntax Error")]
    [InlineData("error syntax", "Fix .dockerignore Syntax Error")]
    [InlineData("sender", "Fix .dockerignore Syntax Error")]
    [InlineData("mail_sender.py", "Fix .dockerignore Syntax Error")]
    [InlineData("example.com", "Fix .dockerignore Syntax Error")]
    [InlineData("bracket stray", "Fix .dockerignore Syntax Error")]
    [InlineData("resolving services", "Docker compose networks")]
    [InlineData("resolving servic", "Docker compose networks")]
    [InlineData("resolving serv", "Docker compose networks")]
    [InlineData("überstunden", "Überstunden 计算")]
    [InlineData("计算", "Überstunden 计算")]
    [InlineData("混合", "Überstunden 计算")]
    [InlineData("C:\\temp", "100% coverage_report")]
    public async Task A_conversation_is_found_by_words_of_its_title_or_of_one_message(string q, string title) => (await FindAsync(q)).ShouldBe([title]);

    [Theory]
    [InlineData("%", "100% coverage_report")]
    [InlineData("_", "100% coverage_report")]
    [InlineData("0%", "100% coverage_report")]
    [InlineData("100% coverage_", "100% coverage_report")]
    [InlineData("100%", "100% coverage_report")]
    [InlineData("mail%sender", "")]
    [InlineData("what?", "")]
    [InlineData("\"containers\", see?", "Docker compose networks")]
    [InlineData("\\", "")]
    [InlineData("doc%er", "")]
    [InlineData("d_cker", "")]
    [InlineData("nowhere", "")]
    [InlineData("hiking containers", "")]
    [InlineData("the", "")]
    [InlineData("!!! & | <-> :*", "")]
    [InlineData("' OR 1=1 --", "")]
    public async Task Wildcards_and_operators_are_plain_characters(string q, string title) =>
        (await FindAsync(q)).ShouldBe(title.Length == 0 ? [] : [title]);

    [Fact]
    public async Task Short_words_are_found_in_titles_too() => (await FindAsync("er")).ShouldContain("Docker compose networks");

    [Fact]
    public async Task A_short_word_is_found_in_a_title_older_than_the_walk()
    {
        await app.ScalarAsync<long>("""
            WITH old AS (INSERT INTO dhg.conversations (title, export_source, created_at) VALUES ('Old Qx plan', 'manual', '2001-01-01') RETURNING 1),
            newer AS (INSERT INTO dhg.conversations (title, export_source, created_at)
                SELECT 'Filler ' || n, 'manual', '2002-01-01' FROM generate_series(1, 20500) n RETURNING 1)
            SELECT count(*) FROM newer
            """);

        (await FindAsync("qx")).ShouldBe(["Old Qx plan"]);
        await app.ScalarAsync<string>("DELETE FROM dhg.conversations WHERE title LIKE 'Filler %' OR title = 'Old Qx plan' RETURNING title");
    }

    [Fact]
    public async Task Parts_of_the_ranked_list_add_up()
    {
        var all = await FindAsync("docker");

        (await FindAsync("docker", "&limit=2")).ShouldBe(all[..2]);
        (await FindAsync("docker", "&limit=2&skip=2")).ShouldBe(all[2..]);
        (await FindAsync("docker", "&skip=9")).ShouldBeEmpty();
        (await FindAsync("docker", "&limit=0")).ShouldBeEmpty();
    }

    [Fact]
    public async Task Titles_sorts_after_no_message_that_matches_more_often()
    {
        var id = (await app.GetAsync("/conversations/search?q=hiking"))[0].Id();

        var found = await app.GetAsync("/conversations/search?q=hiking");
        found[0].GetProperty("message_count").GetInt64().ShouldBe(3);
        found[0].Id().ShouldBe(id);
    }

    [Theory]
    [InlineData("", "query.q")]
    [InlineData("?q=", "query.q")]
    [InlineData("?q=%20", "query.q")]
    [InlineData("?q=a&skip=-1&limit=x", "query.skip,query.limit")]
    [InlineData("?q=a%00b", "query.q")]
    public async Task A_search_without_words_or_with_bad_numbers_is_422(string query, string places) =>
        string.Join(',', (await app.GetAsync("/conversations/search" + query, 422)).Faults()).ShouldBe(places);

    [Fact]
    public async Task A_long_message_is_stored_and_found_by_its_beginning()
    {
        var words = string.Join(' ', Enumerable.Range(0, 110_000).Select(number => number.ToString("x")));
        await app.CreateConversationAsync("Numbers", "zeitgeist " + words);

        (await FindAsync("zeitgeist")).ShouldBe(["Numbers"]);
    }

    [Fact]
    public void A_query_splits_at_punctuation()
    {
        ConversationQuery.Parse("a.b-c  d").Words.ShouldBe("a & b & c & d");
        var dashes = ConversationQuery.Parse("--");
        (dashes.Words, dashes.AsTyped, dashes.Terms.Single(), dashes.HasTrigrams).ShouldBe(("", "%--%", "%--%", false));
        var mixed = ConversationQuery.Parse("what's \"new\", 50% off?");
        mixed.Terms.ShouldBe(["%what's%", "%new%", "%50\\%%", "%off%"]);
        mixed.Literals.ShouldBe(["%what's%", "%50\\%%"]);
        mixed.Words.ShouldBe("what & s & new & 50 & off");
        ConversationQuery.Parse(" 50%_\\ ").AsTyped.ShouldBe("%50\\%\\_\\\\%");
        ConversationQuery.Parse("ab cde").HasTrigrams.ShouldBeTrue();
        ConversationQuery.Parse("ab cd").HasTrigrams.ShouldBeFalse();
    }

    [Fact]
    public void Whatever_is_typed_becomes_a_query_of_words_only() => Prop.ForAll(ArbMap.Default.ArbFor<string?>(), text =>
    {
        var query = ConversationQuery.Parse(text ?? "");
        var words = query.Words.Length == 0 ? [] : query.Words.Split(" & ");
        return words.All(word => word.Length > 0 && word.All(c => char.IsLetterOrDigit(c) || char.IsSurrogate(c) || char.GetUnicodeCategory(c) is System.Globalization.UnicodeCategory.NonSpacingMark or System.Globalization.UnicodeCategory.SpacingCombiningMark))
            && words.Length <= 16 && query.Terms.Count <= 16 && query.Terms.Concat(query.Literals).All(pattern => pattern.StartsWith('%') && pattern.EndsWith('%'));
    }).QuickCheckThrowOnFailure();

    [Fact]
    public async Task Whatever_is_typed_is_answered()
    {
        foreach (var text in Gen.Sample(ArbMap.Default.GeneratorFor<string>(), 40, 60).Where(text => !string.IsNullOrWhiteSpace(text) && !text.Contains('\0')))
        {
            using var response = await app.Client.GetAsync(DataRegistryApp.Base + "/conversations/search?q=" + Uri.EscapeDataString(text));
            ((int)response.StatusCode).ShouldBeOneOf(200, 422);
        }
    }
}
