using FunctionsRegistry.Errors;

namespace FunctionsRegistry.IndexAgent;

/// <summary>Names of repositories.</summary>
public static class RepositoryNames
{
    /// <summary>The corpus that comes with the service.</summary>
    public const string BuiltIn = "built-in";

    /// <summary>Checks a name that somebody gives to a repository.</summary>
    /// <exception cref="RegistryException">422.</exception>
    public static void Check(string name)
    {
        if (name.Length is 0 or > 100 || !char.IsAsciiLetterOrDigit(name[0]) || !name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-'))
            throw IndexAgentErrors.InvalidName();
        if (name == BuiltIn)
            throw IndexAgentErrors.ReservedName(name);
    }
}
