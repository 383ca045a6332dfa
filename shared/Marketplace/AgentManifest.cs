using System.Text.Json;

namespace FunctionsRegistry.Marketplace;

/// <summary>What the registry reads of an agent.yaml.</summary>
/// <param name="Scope">The author, with '@'.</param>
/// <param name="Permissions">The JSON object, or null when absent.</param>
/// <param name="Examples">The JSON array, or null when absent.</param>
/// <param name="Json">All of it, unknown keys included.</param>
public sealed record AgentManifest(
    string Scope, string Name, string Version, string Description, string? Category, IReadOnlyList<string> Tags, string License,
    string? Repository, string? Homepage, IReadOnlyList<string> McpServers, string? Permissions, string? Examples, string Json)
{
    /// <summary>With the package's own links where the form has none: the real client leaves out of its form what its schema does not know.</summary>
    public AgentManifest WithLinksOf(PackageIdentity package)
    {
        var repository = Repository ?? Link(package.Repository);
        var homepage = Homepage ?? Link(package.Homepage);
        // At the end, because the last of two members is the one that PostgreSQL keeps: the form may say null.
        var json = Json.TrimEnd()[..^1] + (repository == Repository ? "" : $",\"repository\":\"{JsonEncodedText.Encode(repository!)}\"")
            + (homepage == Homepage ? "" : $",\"homepage\":\"{JsonEncodedText.Encode(homepage!)}\"") + "}";
        return this with { Repository = repository, Homepage = homepage, Json = json };
    }

    private static string? Link(string? text) =>
        text is { Length: <= 2000 } && text.All(c => c is > ' ' and < '\u007f') && Uri.TryCreate(text, UriKind.Absolute, out var url) && url.Scheme is "http" or "https"
            ? text
            : null;
}

/// <summary>The manifest's rules (agentx.md 3.6) with the contract's wording; every fault at once.</summary>
public static class ManifestValidator
{
    /// <summary>Parses the agent_yaml form field.</summary>
    /// <exception cref="Errors.RegistryException">400: not JSON, or the list of faults.</exception>
    public static AgentManifest Parse(string json)
    {
        try
        {
            using var document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 32, AllowDuplicateProperties = false });
            return Validate(document.RootElement, json);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: a member's name with half a surrogate pair, which is found only when the name is read.
            throw MarketplaceErrors.ManifestNotJson();
        }
    }

    private static AgentManifest Validate(JsonElement root, string json)
    {
        if (root.ValueKind != JsonValueKind.Object)
            throw MarketplaceErrors.ValidationFailed("agent.yaml: must be an object");
        var reader = new ManifestReader(root);
        var name = reader.RequiredText("name", 100);
        if (name is not null && !AgentNames.IsName(name))
            reader.Fault("name", $"'{name}' may hold only lower-case letters, digits and hyphens");
        var version = reader.RequiredText("version", 200);
        if (version is not null && !PackageVersion.IsValid(version))
            reader.Fault($"agent.yaml: version '{version}' is not valid semver");
        var description = reader.RequiredText("description", 500);
        var author = reader.RequiredText("author", 100);
        string? scope = null;
        if (author is not null && (author[0] != '@' || !AgentNames.TryScope(author, out scope)))
            reader.Fault("author", $"'{author}' must be @ and a GitHub user name");
        var license = reader.OptionalText("license", 50) ?? "MIT";
        var category = reader.OptionalText("category", 50);
        if (category is not null && !Categories.All.ContainsKey(category))
            reader.Fault("category", $"'{category}' is not one of {string.Join(", ", Categories.All.Keys)}");
        var tags = reader.TextList("tags", 10, 50);
        var repository = reader.OptionalUrl("repository");
        var homepage = reader.OptionalUrl("homepage");
        var servers = reader.McpServers();
        reader.Requires();
        reader.ObjectList("secrets", 100, item => { item.RequiredText("name", 200); item.OptionalText("description", 1000); item.OptionalBoolean("required"); });
        var permissions = reader.Permissions();
        reader.ObjectList("config", 100, item => { item.RequiredText("key", 200); item.OptionalText("description", 1000); item.OptionalText("default", 2000, allowEmpty: true); });
        var examples = reader.ObjectList("examples", 100, item => { item.RequiredText("prompt", 2000); item.OptionalText("description", 1000); });
        reader.TextList("allowed_tools", 200, 200);
        reader.ObjectList("schedule", 10, item => { item.OptionalText("name", 200); item.Cron(); item.RequiredText("prompt", 2000); });
        reader.ObjectList("pre_run", 5, item => { item.RequiredText("command", 2000); item.TextList("args", 100, 2000); item.OptionalBoolean("background"); });
        if (reader.Faults.Count > 0)
            throw MarketplaceErrors.ValidationFailed(reader.Faults);
        return new AgentManifest(scope!, name!, version!, description!, category, tags, license, repository, homepage, servers, permissions, examples, json);
    }
}
