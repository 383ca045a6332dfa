using System.Text.Json;
using System.Text.RegularExpressions;

namespace FunctionsRegistry.Marketplace;

/// <summary>Reads the members of one JSON object and collects what is wrong with them.</summary>
internal sealed partial class ManifestReader(JsonElement root, string path = "", List<string>? faults = null)
{
    public List<string> Faults { get; } = faults ?? [];

    public void Fault(string text) => Faults.Add(text);

    public void Fault(string member, string text) => Faults.Add($"agent.yaml: {path}{member} {text}");

    public string? RequiredText(string member, int maxLength)
    {
        if (!root.TryGetProperty(member, out var value))
        {
            Faults.Add($"agent.yaml: missing required field '{path}{member}'");
            return null;
        }
        return Text(member, value, maxLength, allowEmpty: false);
    }

    public string? OptionalText(string member, int maxLength, bool allowEmpty = false) =>
        root.TryGetProperty(member, out var value) ? Text(member, value, maxLength, allowEmpty) : null;

    public void OptionalBoolean(string member)
    {
        if (root.TryGetProperty(member, out var value) && value.ValueKind is not (JsonValueKind.True or JsonValueKind.False))
            Fault(member, "must be true or false");
    }

    public string? OptionalUrl(string member)
    {
        // Null and "" are what generators write for "none".
        if (!root.TryGetProperty(member, out var value) || value.GetRawText() is "null" or "\"\"")
            return null;
        var text = Text(member, value, 2000, allowEmpty: false);
        if (text is null || (Uri.TryCreate(text, UriKind.Absolute, out var url) && url.Scheme is "http" or "https"))
            return text;
        Fault(member, "must be an http or https URL");
        return null;
    }

    public List<string> TextList(string member, int maxCount, int maxLength)
    {
        var texts = new List<string>();
        if (!root.TryGetProperty(member, out var list))
            return texts;
        if (list.ValueKind != JsonValueKind.Array)
        {
            Fault(member, "must be a list of strings");
            return texts;
        }
        if (list.GetArrayLength() > maxCount)
            Fault(member, $"may have at most {maxCount} entries");
        foreach (var (index, item) in list.EnumerateArray().Take(maxCount).Index())
            if (Text($"{member}[{index}]", item, maxLength, allowEmpty: false) is { } text)
                texts.Add(text);
        return texts;
    }

    /// <summary>Checks each object of a list and returns the list's JSON.</summary>
    public string? ObjectList(string member, int maxCount, Action<ManifestReader> check)
    {
        if (!root.TryGetProperty(member, out var list))
            return null;
        if (list.ValueKind != JsonValueKind.Array)
        {
            Fault(member, "must be a list");
            return null;
        }
        if (list.GetArrayLength() > maxCount)
            Fault(member, $"may have at most {maxCount} entries");
        foreach (var (index, item) in list.EnumerateArray().Take(maxCount).Index())
        {
            if (item.ValueKind == JsonValueKind.Object)
                check(new ManifestReader(item, $"{path}{member}[{index}].", Faults));
            else
                Fault($"{member}[{index}]", "must be an object");
        }
        return list.GetRawText();
    }

    public List<string> McpServers()
    {
        var names = new List<string>();
        if (!TryObject("mcp_servers", out var servers))
            return names;
        foreach (var server in servers.EnumerateObject())
        {
            names.Add(server.Name);
            if (server.Name.Length is 0 or > 200 || server.Name.Contains('\0'))
                Fault("mcp_servers", "has a name that is empty or over 200 characters");
            else if (server.Value.ValueKind != JsonValueKind.Object)
                Fault($"mcp_servers.{server.Name}", "must be an object");
            else
                CheckServer(new ManifestReader(server.Value, $"{path}mcp_servers.{server.Name}.", Faults));
        }
        if (names.Count > 50)
            Fault("mcp_servers", "may have at most 50 entries");
        return names;
    }

    public void Requires()
    {
        if (!TryObject("requires", out var requires))
            return;
        var reader = new ManifestReader(requires, $"{path}requires.", Faults);
        reader.OptionalText("claude_cli", 100);
        reader.OptionalText("node", 100);
        reader.TextList("os", 20, 50);
    }

    public string? Permissions()
    {
        if (!TryObject("permissions", out var permissions))
            return null;
        var reader = new ManifestReader(permissions, $"{path}permissions.", Faults);
        reader.OptionalBoolean("filesystem");
        reader.OptionalBoolean("network");
        reader.OptionalBoolean("execute_commands");
        return permissions.GetRawText();
    }

    public void Cron()
    {
        if (RequiredText("cron", 200) is { } cron && !CronExpression().IsMatch(cron))
            Fault("cron", $"'{cron}' is not a cron expression");
    }

    private static void CheckServer(ManifestReader server)
    {
        server.RequiredText("command", 2000);
        server.TextList("args", 100, 2000);
        if (!server.TryObject("env", out var env))
            return;
        foreach (var variable in env.EnumerateObject())
            server.Text("env." + variable.Name, variable.Value, 2000, allowEmpty: true);
    }

    private bool TryObject(string member, out JsonElement value)
    {
        if (!root.TryGetProperty(member, out value))
            return false;
        if (value.ValueKind == JsonValueKind.Object)
            return true;
        Fault(member, "must be an object");
        return false;
    }

    private string? Text(string member, JsonElement value, int maxLength, bool allowEmpty)
    {
        if (value.ValueKind != JsonValueKind.String)
            Fault(member, "must be a string");
        else if (!TryGetString(value, out var text) || text.Contains('\0'))
            Fault(member, "must be text without NUL and lone surrogates");
        else if (text.Length == 0 && !allowEmpty)
            Fault(member, "must not be empty");
        else if (text.Length > maxLength)
            Fault(member, $"may have at most {maxLength} characters");
        else
            return text;
        return null;
    }

    // "\ud800" is well-formed JSON and no text.
    private static bool TryGetString(JsonElement value, out string text)
    {
        try
        {
            text = value.GetString()!;
            return true;
        }
        catch (InvalidOperationException)
        {
            text = "";
            return false;
        }
    }

    // Five or six fields of the characters that cron knows, or a nickname: what it means is the client's to decide.
    [GeneratedRegex(@"\A(?:@(?:yearly|annually|monthly|weekly|daily|hourly)|(?:[0-9A-Za-z*/,#?+-]+\s+){4,6}[0-9A-Za-z*/,#?+-]+)\z", RegexOptions.CultureInvariant)]
    private static partial Regex CronExpression();
}
