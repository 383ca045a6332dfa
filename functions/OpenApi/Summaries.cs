using System.Reflection;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace FunctionsRegistry.Functions.OpenApi;

/// <summary>The functions' documentation comments, from the file that the compiler writes beside the assembly.</summary>
public sealed partial class Summaries
{
    private readonly Dictionary<string, string> _texts = new(StringComparer.Ordinal);

    /// <summary>Reads the file; without it no operation has a description.</summary>
    public Summaries()
    {
        var file = Path.Combine(AppContext.BaseDirectory, typeof(Summaries).Assembly.GetName().Name + ".xml");
        if (!File.Exists(file))
            return;
        foreach (var member in XDocument.Load(file).Descendants("member"))
            if (member.Attribute("name")?.Value is ['M', ':', ..] name && member.Element("summary") is { } summary)
                _texts[name[2..].Split('(')[0]] = Text(summary);
    }

    /// <summary>The comment of a function without the route at its beginning; empty where it says nothing else.</summary>
    public string Of(MethodInfo method)
    {
        var text = RouteAtStart().Replace(_texts.GetValueOrDefault($"{method.DeclaringType!.FullName}.{method.Name}", ""), "").TrimStart('.', ':', ',', ' ');
        return text.Length == 0 ? "" : char.ToUpperInvariant(text[0]) + text[1..];
    }

    private static string Text(XElement summary)
    {
        foreach (var reference in summary.Descendants("see").ToArray())
            reference.ReplaceWith(reference.Attribute("cref")?.Value.Split('(')[0].Split('.')[^1] ?? "");
        return Spaces().Replace(summary.Value, " ").Trim();
    }

    [GeneratedRegex(@"\A(GET|POST|PUT|PATCH|DELETE) [^\s,:;]*[^\s,:;.]")]
    private static partial Regex RouteAtStart();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();
}
