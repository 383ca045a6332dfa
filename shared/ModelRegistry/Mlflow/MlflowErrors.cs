using FunctionsRegistry.Errors;

namespace FunctionsRegistry.ModelRegistry.Mlflow;

/// <summary>Every error text of the MLflow routes; MLflow's own words where its clients show or match them.</summary>
public static class MlflowErrors
{
    /// <summary>400: a member or query parameter that must be there.</summary>
    public static RegistryException Missing(string parameter) =>
        Invalid($"Missing value for required parameter '{parameter}'. See the API docs for more information about request parameters.");

    /// <summary>400: a value that breaks a rule, in words that say which.</summary>
    public static RegistryException Invalid(string message) => new(ErrorKind.BadRequest, message);

    /// <summary>400: longer than MLflow's own limit.</summary>
    public static RegistryException TooLong(string what, string value, int limit) =>
        Invalid($"{what} '{Shorten(value)}' had length {value.Length}, which exceeded length limit of {limit}");

    /// <summary>400: too many entries in one request.</summary>
    public static RegistryException BatchTooLarge(string what, int limit, int count) =>
        Invalid($"A batch logging request can contain at most {limit} {what}. Got {count} {what}. Please split up {what} across multiple requests and try again.");

    /// <summary>400: log-batch over 1,000,000 bytes.</summary>
    public static RegistryException BatchBodyTooLarge(long limit, long size) =>
        Invalid($"Batched logging API requests must be at most {limit} bytes, got a request of size {size}.");

    /// <summary>400: the filter cannot be read. <paramref name="position"/> counts characters from 1.</summary>
    public static RegistryException InvalidFilter(int position, string what) => Invalid($"Invalid filter at position {position}: {what}");

    /// <summary>400: an order_by clause cannot be read.</summary>
    public static RegistryException InvalidOrderBy(string clause, int position, string what) =>
        Invalid($"Invalid order_by clause '{Shorten(clause)}' at position {position}: {what}");

    /// <summary>400.</summary>
    public static RegistryException InvalidPageToken() => Invalid("Invalid page token: use the next_page_token of an earlier answer to the same search.");

    /// <summary>400: out of range.</summary>
    public static RegistryException InvalidMaxResults(long value, int max) =>
        Invalid($"Invalid value {value} for parameter 'max_results' supplied. It must be between 1 and {max}.");

    /// <summary>400: an artifact path that is none: empty, absolute, with dots as a name, encoded separators or control characters.</summary>
    public static RegistryException InvalidPath(string path) => Invalid($"Invalid path: '{Shorten(path)}'");

    /// <summary>400: a location or source that must not be used.</summary>
    public static RegistryException InvalidUri(string what, string uri, string why) => Invalid($"Invalid {what}: '{Shorten(uri)}'. {why}");

    /// <summary>400.</summary>
    public static RegistryException InvalidRunId(string id) => Invalid($"Invalid run ID: '{Shorten(id)}'");

    /// <summary>400.</summary>
    public static RegistryException InvalidExperimentId(string id) => Invalid($"Invalid experiment ID: '{Shorten(id)}'");

    /// <summary>404.</summary>
    public static RegistryException RunNotFound(string id) => NotFound($"Run with id={Shorten(id)} not found");

    /// <summary>404.</summary>
    public static RegistryException ExperimentNotFound(string id) => NotFound($"No Experiment with id={Shorten(id)} exists");

    /// <summary>404.</summary>
    public static RegistryException ExperimentNameNotFound(string name) => NotFound($"Could not find experiment with name '{Shorten(name)}'");

    /// <summary>400 RESOURCE_ALREADY_EXISTS, also while the other one is deleted.</summary>
    public static RegistryException ExperimentExists(string name, bool isDeleted) => new(ErrorKind.Conflict, isDeleted
        ? $"Experiment '{Shorten(name)}' already exists in deleted state. You can restore the experiment, or permanently delete the experiment to create a new one."
        : $"Experiment '{Shorten(name)}' already exists.");

    /// <summary>400: a change of something deleted, or a restore of something active.</summary>
    public static RegistryException WrongState(string what, string id, bool isDeleted) => Invalid(isDeleted
        ? $"The {what} {id} must be in the 'active' state. Current state is deleted."
        : $"The {what} {id} must be in the 'deleted' state. Current state is active.");

    /// <summary>400: parameters are written once.</summary>
    public static RegistryException ParamChanged(string runId, string key, string stored, string sent) => Invalid(
        $"Changing param values is not allowed. Param with key='{key}' was already logged with value='{Shorten(stored)}' for run ID='{runId}'. "
        + $"Attempted logging new value '{Shorten(sent)}'.");

    /// <summary>404.</summary>
    public static RegistryException TagNotFound(string key, string runId) => NotFound($"No tag with name: {Shorten(key)} in run with id {runId}");

    /// <summary>404.</summary>
    public static RegistryException ModelNotFound(string name) => NotFound($"Registered Model with name={Shorten(name)} not found");

    /// <summary>404.</summary>
    public static RegistryException VersionNotFound(string name, string version) =>
        NotFound($"Model Version (name={Shorten(name)}, version={Shorten(version)}) not found");

    /// <summary>400 RESOURCE_ALREADY_EXISTS.</summary>
    public static RegistryException ModelExists(string name) => new(ErrorKind.Conflict, $"Registered Model (name={Shorten(name)}) already exists.");

    /// <summary>400: as MLflow's own stores answer.</summary>
    public static RegistryException AliasNotFound(string alias) => Invalid($"Registered model alias {Shorten(alias)} not found.");

    /// <summary>400.</summary>
    public static RegistryException InvalidStage(string stage) =>
        Invalid($"Invalid Model Version stage: {Shorten(stage)}. Value must be one of None, Staging, Production, Archived.");

    /// <summary>404.</summary>
    public static RegistryException LoggedModelNotFound(string id) => NotFound($"Logged model with ID '{Shorten(id)}' not found.");

    /// <summary>404.</summary>
    public static RegistryException TraceNotFound(string id) => NotFound($"Trace with ID '{Shorten(id)}' not found.");

    /// <summary>404.</summary>
    public static RegistryException ArtifactNotFound(string path) => NotFound($"No such artifact: '{Shorten(path)}'");

    /// <summary>404.</summary>
    public static RegistryException UploadNotFound(string id) => NotFound($"No multipart upload with ID '{Shorten(id)}'");

    private static RegistryException NotFound(string message) => new(ErrorKind.NotFound, message);

    private static string Shorten(string text) => text.Length <= 250 ? text : text[..250] + "...";
}
