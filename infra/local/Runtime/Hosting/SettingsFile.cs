using System.Text.Json;

namespace FunctionsRegistry.LocalRuntime.Hosting;

/// <summary>A JSON file written by hand: comments and trailing commas are fine, names ignore case, and what is wrong is named with its line.</summary>
internal sealed class SettingsFile
{
    private readonly string _path;
    private readonly ReadOnlyMemory<byte> _text;

    private SettingsFile(string path, ReadOnlyMemory<byte> text, JsonElement root) => (_path, _text, Root) = (path, text, root);

    public JsonElement Root { get; }

    /// <exception cref="LocalHostException">It cannot be read, is not JSON, or no object.</exception>
    public static SettingsFile Read(string path)
    {
        try
        {
            ReadOnlyMemory<byte> text = File.ReadAllBytes(path);
            if (text.Span.StartsWith("\uFEFF"u8))
                text = text[3..];
            using var document = JsonDocument.Parse(text, new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? new SettingsFile(path, text, document.RootElement.Clone())
                : throw new LocalHostException($"{path}(1): must be a JSON object.");
        }
        catch (JsonException exception)
        {
            throw new LocalHostException($"{path}({exception.LineNumber + 1},{exception.BytePositionInLine + 1}): not valid JSON.");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new LocalHostException($"{path} cannot be read: {exception.Message}");
        }
    }

    /// <summary>The member at a path of names, or null; every name but the last must lead to an object.</summary>
    public JsonElement? Find(params ReadOnlySpan<string> path)
    {
        var element = Root;
        for (var i = 0; i < path.Length; i++)
        {
            if (element.ValueKind != JsonValueKind.Object)
                throw Wrong("must be an object", path[..i]);
            if (FindMember(element, path[i]) is not { } member)
                return null;
            element = member;
        }
        return element;
    }

    /// <summary>The members of the object at a path; none when it is absent.</summary>
    public IEnumerable<JsonProperty> Members(params ReadOnlySpan<string> path)
    {
        if (Find(path) is not { } element)
            return [];
        return element.ValueKind == JsonValueKind.Object ? element.EnumerateObject() : throw Wrong("must be an object", path);
    }

    /// <summary>The error that a member is wrong, with the file and its line.</summary>
    public LocalHostException Wrong(string what, params ReadOnlySpan<string> path) =>
        new($"{_path}({LineOf(path)}): \"{string.Join('.', path!)}\" {what}.");

    private static JsonElement? FindMember(JsonElement element, string name)
    {
        foreach (var member in element.EnumerateObject())
            if (member.Name.Equals(name, StringComparison.OrdinalIgnoreCase))
                return member.Value;
        return null;
    }

    private int LineOf(ReadOnlySpan<string> path)
    {
        var reader = new Utf8JsonReader(_text.Span, new JsonReaderOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
        var matched = 0;
        while (matched < path.Length && reader.Read())
            if (reader.TokenType == JsonTokenType.PropertyName && reader.CurrentDepth == matched + 1
                && path[matched].Equals(reader.GetString(), StringComparison.OrdinalIgnoreCase) && ++matched == path.Length)
                return 1 + _text.Span[..(int)reader.TokenStartIndex].Count((byte)'\n');
        return 1;
    }
}
