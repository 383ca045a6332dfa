using FunctionsRegistry.Errors;

namespace FunctionsRegistry.IndexAgent;

/// <summary>Every error text of the code index; spec-dean.md's own words where it has some.</summary>
public static class IndexAgentErrors
{
    /// <summary>404.</summary>
    public static RegistryException AgentNotFound() => new(ErrorKind.NotFound, "Agent not found");

    /// <summary>404.</summary>
    public static RegistryException PopulationNotFound() => new(ErrorKind.NotFound, "Population not found");

    /// <summary>404.</summary>
    public static RegistryException PatternNotFound() => new(ErrorKind.NotFound, "Pattern not found");

    /// <summary>404.</summary>
    public static RegistryException RepositoryNotFound() => new(ErrorKind.NotFound, "Repository not found");

    /// <summary>409.</summary>
    public static RegistryException RepositoryBusy(string name) =>
        new(ErrorKind.Conflict, $"The repository '{name}' is being indexed. Try again when its state is ready or failed.", retryAfter: TimeSpan.FromSeconds(5));

    /// <summary>422.</summary>
    public static RegistryException InvalidName() =>
        Invalid(["path", "name"], "A repository's name has 1 to 100 letters, digits, '.', '_' and '-', and starts with a letter or a digit.");

    /// <summary>422: the name of the corpus that comes with the service.</summary>
    public static RegistryException ReservedName(string name) => Invalid(["path", "name"], $"'{name}' is the built-in corpus; choose another name.");

    /// <summary>422: one field.</summary>
    public static RegistryException Invalid(object[] location, string message) =>
        new(ErrorKind.Validation, message, [new FieldError(location, message, "value_error")]);

    /// <summary>422: a query that cannot be read; says where, and what would be read.</summary>
    /// <param name="position">0-based; the text counts from 1.</param>
    public static RegistryException InvalidQuery(string message, int position, string corrected) => new(
        ErrorKind.Validation, message,
        [new FieldError(["body", "query"], $"{message} at character {position + 1}. Corrected query: {corrected}", "value_error.query")]);

    /// <summary>Why an archive was not fetched; shown as the repository's error.</summary>
    public static string FetchFailed(string reason) => $"The archive could not be fetched: {reason}";

    /// <summary>Why an archive whose worker keeps dying is not tried any more; shown as the repository's error.</summary>
    public static string GivenUp(int attempts, int segments) =>
        $"Given up: {attempts} attempts at part {segments + 1} of the archive ended with their worker process. The log of the process has the reason; upload again to try again.";
}
