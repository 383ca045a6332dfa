using System.Formats.Tar;
using System.IO.Compression;
using System.Text;

namespace FunctionsRegistry.Benchmarks;

/// <summary>Writes code that nobody wrote: files of several languages with types, methods, comments and calls, its words as unevenly spread as in real code.</summary>
internal sealed class GeneratedCorpus(int seed)
{
    private static readonly string[] s_verbs =
    [
        "get", "set", "read", "write", "parse", "load", "save", "find", "list", "create", "delete", "update", "insert", "remove", "add", "open", "close", "start", "stop", "send",
        "receive", "encode", "decode", "compress", "validate", "check", "resolve", "merge", "split", "sort", "filter", "map", "reduce", "render", "format", "convert", "build",
        "compile", "schedule", "cancel", "retry", "lock", "unlock", "acquire", "release", "publish", "subscribe", "index", "search", "rank", "count", "measure", "flush", "commit",
    ];

    private static readonly string[] s_nouns =
    [
        "user", "order", "token", "session", "account", "payment", "invoice", "message", "queue", "buffer", "stream", "file", "folder", "archive", "header", "packet", "socket",
        "request", "response", "handler", "router", "server", "client", "cache", "key", "value", "record", "row", "table", "schema", "column", "query", "index", "cursor", "page",
        "document", "section", "symbol", "parser", "lexer", "node", "tree", "graph", "edge", "path", "route", "policy", "limit", "counter", "metric", "event", "timer", "worker",
        "task", "job", "batch", "lease", "shard", "replica", "snapshot", "journal", "ledger", "vector", "matrix", "color", "layout", "widget", "dialog", "menu", "button", "image",
    ];

    private readonly Random _random = new(seed);
    private readonly string[] _rare = MakeRare(1, 12_000);
    private string[] _topic = [];
    private string[][] _names = [];

    /// <summary>A .tar.gz of so many files of about 200 lines, and what it unpacks to.</summary>
    public (string Path, long Bytes, long Lines) WriteTo(string path, int files)
    {
        var (bytes, lines) = (0L, 0L);
        using var output = File.Create(path);
        using var gzip = new GZipStream(output, CompressionLevel.Fastest);
        using var tar = new TarWriter(gzip, TarEntryFormat.Pax);
        for (var i = 0; i < files; i++)
        {
            var (name, text) = Next(i);
            var content = Encoding.UTF8.GetBytes(text);
            bytes += content.Length;
            lines += text.Count(c => c == '\n');
            using var data = new MemoryStream(content);
            tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, "corpus-1.0/" + name) { DataStream = data });
        }
        return (path, bytes, lines);
    }

    /// <summary>A file's path and text.</summary>
    public (string Path, string Text) Next(int number)
    {
        // A file is about something: its names are made of a few dozen words, and most lines use names that others use.
        _names = [];
        _topic = [.. Enumerable.Range(0, 30).Select(_ => _random.Next(2) == 0 ? Pick(_rare) : Pick(s_nouns))];
        _names = [.. Enumerable.Range(0, 70).Select(i => Name(1 + (i % 2)))];
        var folder = $"src/{Noun()}/{Noun()}";
        var type = Pascal(Name(2)) + number;
        return (number % 5) switch
        {
            0 => ($"{folder}/{type}.cs", CSharp(type)),
            1 => ($"{folder}/{Snake(Name(2))}_{number}.py", Python(type)),
            2 => ($"{folder}/{type}.ts", Script(type)),
            3 => ($"{folder}/{Snake(Name(1))}{number}.go", Go(type)),
            _ => ($"{folder}/{type}.java", Java(type)),
        };
    }

    /// <summary>Words that a search would have: two or three of a name's.</summary>
    public string Words(int count) => string.Join(' ', Name(count));

    /// <summary>An identifier of the corpus's kind.</summary>
    public string Identifier()
    {
        Next(0);
        return Camel(Name(2));
    }

    private string CSharp(string type)
    {
        var text = new StringBuilder($"using System;\n\nnamespace {Pascal([Noun()])}.{Pascal([Noun()])};\n\n/// <summary>{Sentence()}</summary>\npublic sealed class {type}\n{{\n");
        for (var i = 0; i < 12; i++)
        {
            var name = Pascal(Name(2));
            text.Append($"    /// <summary>{Sentence()}</summary>\n    public async Task<{Pascal([Noun()])}> {name}Async(string {Camel(Name(1))}, int count)\n    {{\n");
            Body(text, "        ", ";", "var ");
            text.Append("        return await result;\n    }\n\n");
        }
        return text.Append("}\n").ToString();
    }

    private string Java(string type)
    {
        var text = new StringBuilder($"package org.{Noun()}.{Noun()};\n\nimport java.util.*;\n\n/**\n * {Sentence()}\n */\npublic final class {type} {{\n");
        for (var i = 0; i < 12; i++)
        {
            text.Append($"    /** {Sentence()} */\n    public {Pascal([Noun()])} {Camel(Name(2))}(String {Camel(Name(1))}, int count) {{\n");
            Body(text, "        ", ";", "var ");
            text.Append("        return result;\n    }\n\n");
        }
        return text.Append("}\n").ToString();
    }

    private string Python(string type)
    {
        var text = new StringBuilder($"\"\"\"{Sentence()}\"\"\"\nimport os\nimport json\n\n\nclass {type}:\n    \"\"\"{Sentence()}\"\"\"\n\n");
        for (var i = 0; i < 12; i++)
        {
            text.Append($"    def {Snake(Name(2))}(self, {Snake(Name(1))}, count=0):\n        \"\"\"{Sentence()}\"\"\"\n");
            Body(text, "        ", "", "");
            text.Append("        return result\n\n");
        }
        return text.ToString();
    }

    private string Script(string type)
    {
        var text = new StringBuilder($"import {{ {Camel(Name(1))} }} from './{Noun()}';\n\n/** {Sentence()} */\nexport class {type} {{\n");
        for (var i = 0; i < 12; i++)
        {
            text.Append($"  /** {Sentence()} */\n  async {Camel(Name(2))}({Camel(Name(1))}: string, count: number): Promise<void> {{\n");
            Body(text, "    ", ";", "const ");
            text.Append("    return result;\n  }\n\n");
        }
        return text.Append("}\n").ToString();
    }

    private string Go(string type)
    {
        var text = new StringBuilder($"package {Noun()}\n\nimport \"fmt\"\n\n// {type} {Sentence()}\ntype {type} struct {{\n\t{Camel(Name(1))} string\n}}\n\n");
        for (var i = 0; i < 12; i++)
        {
            text.Append($"// {Sentence()}\nfunc (s *{type}) {Pascal(Name(2))}({Camel(Name(1))} string, count int) error {{\n");
            Body(text, "\t", "", "");
            text.Append("\treturn nil\n}\n\n");
        }
        return text.ToString();
    }

    private void Body(StringBuilder text, string indent, string end, string declare)
    {
        for (var i = _random.Next(6, 14); i > 0; i--)
        {
            var line = _random.Next(6) switch
            {
                0 => $"{declare}{Camel(Name(1))} = {Camel(Name(2))}({Camel(Name(1))}, {_random.Next(100)}){end}",
                1 => $"{Camel(Name(1))}.{Camel(Name(2))}({Camel(Name(1))}.{Camel(Name(1))}){end}",
                2 => $"if ({Camel(Name(1))} == null) {{ throw {Pascal(Name(1))}Error(\"{Sentence()}\"){end} }}",
                3 => $"{declare}result = {Camel(Name(1))}.{Camel(Name(2))}(\"{Noun()}\"){end}",
                4 => $"for ({declare}i = 0; i < count; i++) {Camel(Name(1))}.add({Camel(Name(1))}){end}",
                _ => $"return {Camel(Name(2))}({Camel(Name(1))}){end}",
            };
            text.Append(indent).Append(line).Append('\n');
        }
    }

    private string Sentence() => $"{Pascal([Verb()])}s the {Noun()} {Noun()} of a {Word()} when the {Noun()} is {Verb()}ed";

    private string[] Name(int words)
    {
        if (_names.Length > 0 && _random.Next(10) > 0)
            return _names[(_random.Next(_names.Length / 2) * 2) + (words > 1 ? 1 : 0)];
        var name = new string[words + (_random.Next(3) == 0 ? 1 : 0)];
        for (var i = 0; i < name.Length; i++)
            name[i] = i == 0 && name.Length > 1 ? Verb() : Word();
        return name;
    }

    private string Word() => _topic.Length > 0 && _random.Next(8) > 0 ? Pick(_topic) : _random.Next(3) == 0 ? Noun() : Pick(_rare);

    private string Verb() => Pick(s_verbs);

    private string Noun() => Pick(s_nouns);

    // Few words are used often and most seldom.
    private string Pick(string[] words) => words[(int)(Math.Pow(_random.NextDouble(), 2.5) * words.Length)];

    private static string Pascal(string[] words) => string.Concat(words.Select(word => char.ToUpperInvariant(word[0]) + word[1..]));

    private static string Camel(string[] words) => words[0] + Pascal(words[1..]);

    private static string Snake(string[] words) => string.Join('_', words);

    private static string[] MakeRare(int seed, int count)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => string.Concat(Enumerable.Range(0, random.Next(2, 4)).Select(_ => Syllable(random))))];
    }

    private static string Syllable(Random random)
    {
        const string Consonants = "bcdfghjklmnpqrstvwxz", Vowels = "aeiou";
        var syllable = $"{Consonants[random.Next(Consonants.Length)]}{Vowels[random.Next(Vowels.Length)]}";
        return random.Next(2) == 0 ? syllable : syllable + Consonants[random.Next(Consonants.Length)];
    }
}
