using System.Text.RegularExpressions;

namespace FunctionsRegistry.IndexAgent;

/// <summary>A query as a tree.</summary>
public abstract record QueryNode;

/// <summary>All of the parts; of three bare words and more, some suffice (<see cref="AllOf.NeededOf"/>).</summary>
public sealed record AllOf(IReadOnlyList<QueryNode> Parts) : QueryNode
{
    /// <summary>How many of so many bare words side by side a file must have: all of two, two of three to six, of more a third.</summary>
    public static int NeededOf(int words) => words <= 2 ? words : Math.Max(2, (words + 2) / 3);
}

/// <summary>At least one of the parts.</summary>
public sealed record AnyOf(IReadOnlyList<QueryNode> Parts) : QueryNode;

/// <summary>Not the part.</summary>
public sealed record NotOf(QueryNode Part) : QueryNode;

/// <summary>A bare word; an identifier of several words is searched as a whole and as its words.</summary>
public sealed record WordNode(string Text) : QueryNode;

/// <summary>Text that must be there as it is, but for case and white space; or a regular expression, matched within a section.</summary>
/// <param name="Source">As written, without its delimiters.</param>
/// <param name="IsPhrase">Whether it was written in quotes.</param>
public sealed record PatternNode(string Source, bool IsPhrase, Regex Pattern) : QueryNode;

/// <summary>What <c>sym:</c>, <c>path:</c>, <c>file:</c>, <c>lang:</c> and <c>repo:</c> restrict.</summary>
public enum QueryField
{
    /// <summary>The section defines a symbol of that name.</summary>
    Symbol,

    /// <summary>The file's path.</summary>
    Path,

    /// <summary>The file's name without its folders.</summary>
    File,

    /// <summary>The file's language.</summary>
    Language,

    /// <summary>The repository's name.</summary>
    Repository,
}

/// <summary>A restriction. Case does not matter; <c>*</c> is any text within a folder, <c>**</c> any text, <c>?</c> one character.</summary>
/// <param name="Value">For languages the canonical name. Without a glob: the whole symbol, a part of the path or file name, the whole repository.</param>
public sealed record FieldNode(QueryField Field, string Value) : QueryNode
{
    /// <summary>Whether the value has <c>*</c> or <c>?</c>.</summary>
    public bool IsGlob => Value.AsSpan().IndexOfAny('*', '?') >= 0;

    /// <summary>Whether a name of the field's kind fits.</summary>
    public bool Matches(ReadOnlySpan<char> text) => (IsGlob, Field) switch
    {
        (true, QueryField.Path) => Glob.IsMatch(Value, text) || (!Value.StartsWith('/') && !Value.StartsWith("**", StringComparison.Ordinal) && Glob.IsMatch("**/" + Value, text)),
        (true, _) => Glob.IsMatch(Value, text),
        (false, QueryField.Path or QueryField.File) => text.Contains(Value, StringComparison.OrdinalIgnoreCase),
        _ => text.Equals(Value, StringComparison.OrdinalIgnoreCase),
    };
}

/// <summary>A parsed query.</summary>
/// <param name="Words">Bare words that are not negated, in the query's order; what ranking is about.</param>
public sealed record CodeQuery(QueryNode Root, IReadOnlyList<string> Words);

/// <summary>Globs, matched in linear time per star: they come from anybody.</summary>
public static class Glob
{
    /// <summary>Whether the whole text fits, ignoring case. <c>**/</c> is any number of folders, none included.</summary>
    public static bool IsMatch(ReadOnlySpan<char> glob, ReadOnlySpan<char> text)
    {
        // The usual walk with two places, once per kind of star: after a mismatch the latest star takes one more; a star that may not take a slash
        // gives up to the latest double star, and one of whole folders goes to the next folder.
        var (g, t) = (0, 0);
        var (star, starText) = (-1, 0);
        var (deep, deepText, folders) = (-1, 0, false);
        while (t < text.Length)
        {
            var rest = glob[g..];
            if (rest.StartsWith("**/"))
            {
                g += 3;
                t = IsFolderStart(text, t) ? t : NextFolder(text, t);
                if (t < 0)
                    return false;
                (deep, deepText, folders, star) = (g, t, true, -1);
            }
            else if (rest.StartsWith("**"))
            {
                g += 2;
                (deep, deepText, folders, star) = (g, t, false, -1);
            }
            else if (rest is ['*', ..])
            {
                (star, starText) = (++g, t);
            }
            else if (rest.Length > 0 && (Same(rest[0], text[t]) || (rest[0] == '?' && text[t] != '/')))
            {
                g++;
                t++;
            }
            else if (star >= 0 && text[starText] != '/')
            {
                (g, t) = (star, ++starText);
            }
            else if (deep >= 0 && (deepText = folders ? NextFolder(text, deepText) : deepText + 1) >= 0)
            {
                star = -1;
                (g, t) = (deep, deepText);
            }
            else
            {
                return false;
            }
        }
        // Behind the end only what may be nothing can stand.
        while (g < glob.Length)
        {
            var rest = glob[g..];
            if (rest.StartsWith("**/"))
            {
                if (!IsFolderStart(text, t))
                    return false;
                g += 3;
            }
            else if (rest[0] == '*')
            {
                g += rest.StartsWith("**") ? 2 : 1;
            }
            else
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>The glob as a LIKE pattern; wider than the glob where slashes matter.</summary>
    public static string ToLike(string glob) =>
        glob.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("%", "\\%", StringComparison.Ordinal).Replace("_", "\\_", StringComparison.Ordinal)
            .Replace('*', '%').Replace('?', '_');

    private static bool IsFolderStart(ReadOnlySpan<char> text, int at) => at == 0 || text[at - 1] == '/';

    // The place behind the next slash, or -1.
    private static int NextFolder(ReadOnlySpan<char> text, int at)
    {
        var slash = at < text.Length ? text[at..].IndexOf('/') : -1;
        return slash < 0 ? -1 : at + slash + 1;
    }

    private static bool Same(char a, char b) => a == b || char.ToLowerInvariant(a) == char.ToLowerInvariant(b);
}
