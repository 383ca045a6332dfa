using FunctionsRegistry.Errors;

namespace FunctionsRegistry.ModelRegistry;

/// <summary>Every error text of the Hokusai model routes; spec-hokusai.md's own words where it has some.</summary>
public static class ModelErrors
{
    /// <summary>404 of a version that is not there.</summary>
    public static RegistryException VersionNotFound(string name, string version) => new(ErrorKind.NotFound, $"Model not found: {name}:{version}");

    /// <summary>404 of a model that is not there.</summary>
    public static RegistryException ModelNotFound(string id) => new(ErrorKind.NotFound, $"Model {id} not found");

    /// <summary>400.</summary>
    public static RegistryException InvalidReference() => new(ErrorKind.BadRequest, "Invalid model format. Use ModelName:Version");

    /// <summary>400.</summary>
    public static RegistryException InvalidAddress() => new(ErrorKind.BadRequest, "Invalid Ethereum address format");

    /// <summary>422: one field, with the words of the rule it breaks.</summary>
    public static RegistryException InvalidField(string field, string message) =>
        new(ErrorKind.Validation, "Validation failed", [new FieldError(["body", field], message, "value_error")]);

    /// <summary>400: where the data set's text cannot be used, with the row.</summary>
    public static RegistryException BadDataset(string what) => new(ErrorKind.BadRequest, $"Bad dataset: {what}");

    /// <summary>404: no such data set.</summary>
    public static RegistryException DatasetNotFound(string path) => new(ErrorKind.NotFound, $"Dataset not found: {(path.Length > 250 ? path[..250] + "..." : path)}");

    /// <summary>404.</summary>
    public static RegistryException EvaluationNotFound(string id) => new(ErrorKind.NotFound, $"Evaluation not found: {(id.Length > 100 ? id[..100] + "..." : id)}");

    /// <summary>404: the version has no files here.</summary>
    public static RegistryException NothingToDownload(string name, string version) =>
        new(ErrorKind.NotFound, $"Model {name}:{version} has no files in this registry");
}
