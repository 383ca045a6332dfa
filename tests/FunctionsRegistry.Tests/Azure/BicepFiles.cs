using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text.Json;
using FunctionsRegistry.LocalStack;
using FunctionsRegistry.Tests.Azure;

[assembly: AssemblyFixture(typeof(BicepFiles))]

namespace FunctionsRegistry.Tests.Azure;

/// <summary>The Bicep files of infra/azure as syntax trees, made once by infra/azure/syntax/parse.mjs. No Node, no packages: the run fails.</summary>
public sealed class BicepFiles
{
    private static readonly Lazy<string> s_parser = new(InstallParser);

    private readonly Lazy<IReadOnlyList<BicepFile>> _all = new(() => Parse(
        [.. new[] { "*.bicep", "*.bicepparam" }.SelectMany(pattern => Directory.EnumerateFiles(Folder, pattern, SearchOption.AllDirectories))
            .Where(path => !path.Contains("node_modules", StringComparison.Ordinal)).Order(StringComparer.Ordinal)]));

    /// <summary>The repository's folder.</summary>
    public static string Repository { get; } = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(ThisFile())!, "../../.."));

    /// <summary>infra/azure.</summary>
    public static string Folder { get; } = Path.Combine(Repository, "infra", "azure");

    /// <summary>Every file, by path.</summary>
    public IReadOnlyList<BicepFile> All => _all.Value;

    /// <summary>main.bicep and the modules.</summary>
    public IEnumerable<BicepFile> Templates => All.Where(file => file.Path.EndsWith(".bicep", StringComparison.Ordinal));

    /// <summary>A file by its path below infra/azure.</summary>
    public BicepFile this[string name] => All.Single(file => file.Name == name);

    /// <summary>Parses files; those that do not parse come back with their errors.</summary>
    internal static IReadOnlyList<BicepFile> Parse(IReadOnlyList<string> files)
    {
        var node = Tools.Find("node").ShouldNotBeNull("Node is missing: the syntax check of the Bicep files needs it.");
        var script = Path.Combine(s_parser.Value, "parse.mjs");
        var start = new ProcessStartInfo(node, [script, .. files]) { RedirectStandardOutput = true, StandardOutputEncoding = System.Text.Encoding.UTF8 };
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        process.ExitCode.ShouldBe(0);
        return JsonSerializer.Deserialize<List<BicepFile.Parsed>>(output, JsonSerializerOptions.Web)!.ConvertAll(parsed => new BicepFile(parsed));
    }

    // `npm ci` outside the working tree, once per lock file and user, as the local stack does with its packages.
    private static string InstallParser()
    {
        var source = Path.Combine(Folder, "syntax");
        var files = new[] { "package.json", "package-lock.json", "parse.mjs" }
            .ToDictionary(file => file, file => File.ReadAllBytes(Path.Combine(source, file)));
        var hash = Convert.ToHexStringLower(SHA256.HashData([.. files.Values.SelectMany(bytes => bytes)]))[..12];
        var target = Path.Combine(StackOptions.DefaultDataDirectory, "tools", $"bicep-syntax-{hash}");
        if (Directory.Exists(target))
            return target;
        var npm = Tools.Find("npm").ShouldNotBeNull("npm is missing: the syntax check of the Bicep files needs it.");
        var work = Directory.CreateDirectory(target + "." + Environment.ProcessId).FullName;
        foreach (var (file, bytes) in files)
            File.WriteAllBytes(Path.Combine(work, file), bytes);
        Tools.Run("bicep-syntax", [npm, "ci", "--omit=dev", "--omit=optional", "--omit=peer", "--ignore-scripts", "--no-audit", "--no-fund"], work);
        try
        {
            Directory.Move(work, target);
        }
        catch (IOException) when (Directory.Exists(target))
        {
            Directory.Delete(work, recursive: true);
        }
        return target;
    }

    private static string ThisFile([CallerFilePath] string path = "") => path;
}

/// <summary>One file and what it declares.</summary>
public sealed class BicepFile
{
    private readonly Parsed _parsed;

    internal BicepFile(Parsed parsed)
    {
        _parsed = parsed;
        Root = new BicepNode(parsed.Root, parsed.Text);
        // A decorator list stands before what it decorates.
        for (var i = 0; i < Root.Children.Count; i++)
        {
            var decorators = i > 0 && Root.Children[i - 1].Type == "decorators" ? Root.Children[i - 1].Children : [];
            if (Root.Children[i].Type.EndsWith("_declaration", StringComparison.Ordinal))
                Declarations.Add(new BicepDeclaration(Root.Children[i], decorators));
        }
    }

    public string Path => _parsed.File;

    /// <summary>Path below infra/azure.</summary>
    public string Name => System.IO.Path.GetRelativePath(BicepFiles.Folder, Path).Replace('\\', '/');

    public BicepNode Root { get; }

    public IReadOnlyList<string> Errors => [.. _parsed.Errors.Select(error => $"{Name}({error.Line},{error.Column}): {error.What}")];

    public List<BicepDeclaration> Declarations { get; } = [];

    public IEnumerable<BicepDeclaration> Parameters => Of("parameter_declaration");

    public IEnumerable<BicepDeclaration> Outputs => Of("output_declaration");

    public IEnumerable<BicepDeclaration> Variables => Of("variable_declaration");

    public IEnumerable<BicepDeclaration> Modules => Of("module_declaration");

    /// <summary>All resources, also those inside others.</summary>
    public IEnumerable<BicepDeclaration> Resources =>
        Root.All().Where(node => node.Type == "resource_declaration").Select(node => new BicepDeclaration(node, []));

    public override string ToString() => Name;

    private IEnumerable<BicepDeclaration> Of(string type) => Declarations.Where(declaration => declaration.Node.Type == type);

    internal sealed record Parsed(string File, string Text, IReadOnlyList<ParsedError> Errors, ParsedNode Root);

    internal sealed record ParsedError(int Line, int Column, string What);

    internal sealed record ParsedNode(string Type, string? Field, int Line, int Start, int End, IReadOnlyList<ParsedNode> Children);
}

/// <summary>A param, var, resource, module or output.</summary>
public sealed record BicepDeclaration(BicepNode Node, IReadOnlyList<BicepNode> Decorators)
{
    public string Name => Node.Children[0].Text;

    /// <summary>Resource type with API version, or a module's file.</summary>
    public string Target => Node.Children[1].StringValue ?? "";

    public bool IsExisting => Node.Text.Split('\n')[0].Contains(" existing", StringComparison.Ordinal);

    public bool IsSecure => Decorators.Any(decorator => decorator.Text.Contains("secure()", StringComparison.Ordinal));

    /// <summary>The text of @description, or null.</summary>
    public string? Description => Decorators.SelectMany(decorator => decorator.All())
        .FirstOrDefault(node => node.Type == "call_expression" && node.Children[0].Text == "description")?.All()
        .FirstOrDefault(node => node.Type == "string")?.Text.Trim('\'');

    /// <summary>A parameter's default, or the value of a var or output.</summary>
    public BicepNode? Value => Node.Type == "variable_declaration" ? Node.Children[1] : Node.Children.Count > 2 ? Node.Children[2] : null;

    /// <summary>The body of a resource or module, also one that is conditional or repeated.</summary>
    public BicepNode Body => Node.All().First(node => node.Type == "object" && node != Node);

    /// <summary>The body's property, or null.</summary>
    public BicepNode? Property(string name) => Body.Property(name);
}

/// <summary>A node of a syntax tree.</summary>
public sealed class BicepNode
{
    internal BicepNode(BicepFile.ParsedNode parsed, string text)
    {
        (Type, Field, Line, Text) = (parsed.Type, parsed.Field, parsed.Line, text[parsed.Start..parsed.End]);
        Children = [.. parsed.Children.Select(child => new BicepNode(child, text))];
    }

    public string Type { get; }

    public string? Field { get; }

    public int Line { get; }

    public string Text { get; }

    public IReadOnlyList<BicepNode> Children { get; }

    /// <summary>What a string says where nothing is put into it; null for anything else.</summary>
    public string? StringValue => Type == "string" && Children.All(child => child.Type is "string_content" or "escape_sequence")
        ? Text.Trim('\'').Replace("\\'", "'", StringComparison.Ordinal)
        : null;

    /// <summary>This node and all below.</summary>
    public IEnumerable<BicepNode> All() => Children.SelectMany(child => child.All()).Prepend(this);

    /// <summary>Name and value of an object's properties.</summary>
    public IEnumerable<(string Name, BicepNode Value)> Properties() =>
        from property in Children
        where property.Type == "object_property" && property.Children.Count == 2
        select (property.Children[0].StringValue ?? property.Children[0].Text, property.Children[1]);

    public BicepNode? Property(string name) => Properties().FirstOrDefault(pair => pair.Name == name).Value;
}
