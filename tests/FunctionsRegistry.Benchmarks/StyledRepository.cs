using System.Formats.Tar;
using System.IO.Compression;
using System.Text;

namespace FunctionsRegistry.Benchmarks;

/// <summary>
/// Repositories in which comments say what their code does, as people write them: partly in the words of the name, partly in those of the body, partly in
/// others. Nobody wrote them, and no genome was chosen with them in mind.
/// </summary>
internal static class StyledRepository
{
    private static readonly string[] s_verbs =
    [
        "load", "save", "parse", "render", "merge", "filter", "convert", "resolve", "schedule", "cancel", "retry", "publish", "measure", "compress", "validate", "encode", "split",
        "group", "rotate", "prune", "archive", "restore", "assign", "release", "inspect", "summarize", "rewrite", "forward", "reject", "replay",
    ];

    private static readonly string[] s_nouns =
    [
        "invoice", "customer", "ledger", "payment", "address", "currency", "shipment", "warehouse", "contract", "session", "token", "message", "buffer", "header", "packet", "cursor",
        "snapshot", "journal", "lease", "shard", "replica", "metric", "timer", "policy", "route", "symbol", "section", "document", "column", "schema", "order", "refund", "voucher",
        "carrier", "parcel", "tariff", "catalog", "product", "supplier", "discount",
    ];

    private static readonly string[] s_kinds =
        ["pending", "archived", "monthly", "foreign", "partial", "duplicate", "expired", "signed", "nested", "remote", "local", "stale", "hidden", "shared", "frozen", "virtual"];

    private static readonly string[] s_fill = ["carefully", "before anything else", "in place", "for the caller", "where possible", "without waiting", "at most once", "in one go"];

    /// <summary>A .tar.gz of so many files in the style of a language: <c>csharp</c> or <c>python</c>.</summary>
    public static byte[] Write(string style, int files, int seed)
    {
        var random = new Random(seed);
        using var bytes = new MemoryStream();
        using (var gzip = new GZipStream(bytes, CompressionLevel.Fastest))
        using (var tar = new TarWriter(gzip, TarEntryFormat.Pax))
            for (var i = 0; i < files; i++)
            {
                var (path, text) = style == "csharp" ? CSharp(random, i) : Python(random, i);
                using var content = new MemoryStream(Encoding.UTF8.GetBytes(text));
                tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, path) { DataStream = content });
            }
        return bytes.ToArray();
    }

    private static (string, string) CSharp(Random random, int number)
    {
        var owner = Pick(random, s_nouns);
        var type = $"{Big(owner)}{Big(Pick(random, s_nouns))}{(random.Next(2) == 0 ? "Service" : "Store")}{number}";
        var text = new StringBuilder($"namespace Shop.{Big(owner)}s;\n\n/// <summary>Works on {owner}s.</summary>\npublic sealed class {type}\n{{\n");
        for (var i = 0; i < 10; i++)
        {
            var (verb, kind, noun, other, inner) = Words(random);
            text.Append($$"""
                    /// <summary>{{Sentence(random, verb, kind, noun, other, inner)}}</summary>
                    public async Task<{{Big(noun)}}> {{Big(verb)}}{{(random.Next(3) == 0 ? Big(kind) : "")}}{{Big(noun)}}Async({{Big(other)}} {{other}}, int count)
                    {
                        var {{kind}} = await {{other}}.{{Big(inner)}}Async(count);
                        if ({{kind}}.{{Big(noun)}}Count > count)
                            throw new {{Big(noun)}}Exception({{kind}}.{{Big(other)}}Id);
                        return {{kind}}.{{Big(verb)}}({{other}});
                    }


                """);
        }
        return ($"src/{Big(owner)}s/{type}.cs", text.Append("}\n").ToString());
    }

    private static (string, string) Python(Random random, int number)
    {
        var owner = Pick(random, s_nouns);
        var text = new StringBuilder($"import {Pick(random, s_nouns)}\n\n\n");
        for (var i = 0; i < 10; i++)
        {
            var (verb, kind, noun, other, inner) = Words(random);
            text.Append($"""
                def {verb}_{(random.Next(3) == 0 ? kind + "_" : "")}{noun}({other}, count=0):
                    {"\"\"\""}{Sentence(random, verb, kind, noun, other, inner)}{"\"\"\""}
                    {kind} = {other}.{inner}_{noun}s(count)
                    if not {kind}:
                        raise {Big(noun)}Error({other}.{kind}_id)
                    return [{verb}_{other}(one) for one in {kind} if one.{noun}_count > count]



                """);
        }
        return ($"{owner}s/{Pick(random, s_verbs)}_{number}.py", text.ToString());
    }

    private static (string Verb, string Kind, string Noun, string Other, string Inner) Words(Random random) =>
        (Pick(random, s_verbs), Pick(random, s_kinds), Pick(random, s_nouns), Pick(random, s_nouns), Pick(random, s_verbs));

    // Some say the name, some say the body, most a little of both.
    private static string Sentence(Random random, string verb, string kind, string noun, string other, string inner) => random.Next(5) switch
    {
        0 => $"{Big(verb)}s the {noun} of a {kind} {other} {Pick(random, s_fill)}.",
        1 => $"Every {kind} {noun} that the {other} {inner}s, {Pick(random, s_fill)}.",
        2 => $"Fails where the {other} has more {kind} {noun}s than the count allows.",
        3 => $"{Big(inner)}s {other}s and then {verb}s what is {kind}, {Pick(random, s_fill)}.",
        _ => $"{Big(verb)} one {noun} {Pick(random, s_fill)}; {kind} ones come from the {other}.",
    };

    private static string Pick(Random random, string[] words) => words[random.Next(words.Length)];

    private static string Big(string word) => char.ToUpperInvariant(word[0]) + word[1..];
}
