using System.Text;

namespace FunctionsRegistry.IndexAgent;

/// <summary>What a documentation comment says in its first sentence, without the marks of its language.</summary>
public static class DocComment
{
    private const int MaxLength = 200;

    /// <summary>Null where the lines say nothing, or only name parameters, licences and the like.</summary>
    public static string? FirstSentence(IReadOnlyList<string> lines)
    {
        var text = new StringBuilder();
        foreach (var line in lines)
        {
            var part = Strip(line);
            if (part.StartsWith('@') || part.StartsWith(":param", StringComparison.Ordinal) || part.StartsWith("Args:", StringComparison.Ordinal))
                break;
            // A blank line ends the first paragraph.
            if (part.Length == 0 && text.Length > 0)
                break;
            if (part.Length > 0)
                text.Append(text.Length > 0 ? " " : "").Append(part);
            if (text.Length > 2 * MaxLength)
                break;
        }
        var sentence = text.ToString();
        var end = sentence.IndexOf(". ", StringComparison.Ordinal);
        if (end >= 0)
            sentence = sentence[..end];
        sentence = sentence.TrimEnd('.', ' ');
        if (sentence.Length > MaxLength)
            sentence = sentence[..MaxLength];
        // Code that was taken out is no documentation.
        if (sentence is [.., ';' or '{' or '}'] || sentence.EndsWith("()", StringComparison.Ordinal))
            return null;
        return sentence.Count(char.IsLetter) < 3 || sentence.Contains("copyright", StringComparison.OrdinalIgnoreCase) ? null : sentence;
    }

    private static string Strip(string line)
    {
        var text = line.Trim().TrimStart('/', '*', '#', '!', '"', '\'').TrimEnd('/', '*', '"', '\'').Trim();
        if (!text.Contains('<', StringComparison.Ordinal))
            return text;
        // Tags of XML documentation: "<see cref="Foo.Bar"/>" says Foo.Bar, the others say nothing.
        var plain = new StringBuilder();
        for (var at = 0; at < text.Length;)
        {
            var open = text.IndexOf('<', at);
            var close = open < 0 ? -1 : text.IndexOf('>', open);
            if (close < 0)
            {
                plain.Append(text, at, text.Length - at);
                break;
            }
            plain.Append(text, at, open - at);
            var tag = text[open..close];
            var quote = tag.IndexOf('"', StringComparison.Ordinal);
            var endQuote = quote < 0 ? -1 : tag.IndexOf('"', quote + 1);
            if (endQuote > quote && (tag.Contains("cref", StringComparison.Ordinal) || tag.Contains("name", StringComparison.Ordinal)) && tag.EndsWith('/'))
                plain.Append(tag, quote + 1, endQuote - quote - 1);
            at = close + 1;
        }
        return plain.ToString().Trim();
    }
}
