using FunctionsRegistry.Errors;

namespace FunctionsRegistry.Airflow;

/// <summary>Every error text of the Airflow slice; the contract's and Airflow's own words where they have some.</summary>
public static class AirflowErrors
{
    /// <summary>401 without, or with another than, Basic credentials.</summary>
    public static RegistryException NotAuthenticated() => new(ErrorKind.Unauthorized, "Not authenticated");

    /// <summary>401 with wrong credentials.</summary>
    public static RegistryException WrongCredentials() => new(ErrorKind.Unauthorized, "Incorrect username or password");

    /// <summary>404.</summary>
    public static RegistryException DagNotFound() => new(ErrorKind.NotFound, "DAG not found");

    /// <summary>404.</summary>
    public static RegistryException RunNotFound() => new(ErrorKind.NotFound, "DAG run not found");

    /// <summary>404.</summary>
    public static RegistryException TaskNotFound(string taskId) => new(ErrorKind.NotFound, $"Task '{taskId}' not found");

    /// <summary>404.</summary>
    public static RegistryException TaskInstanceNotFound() => new(ErrorKind.NotFound, "Task instance not found");

    /// <summary>404.</summary>
    public static RegistryException LogNotFound(int tryNumber) => new(ErrorKind.NotFound, $"There is no log of try {tryNumber}");

    /// <summary>404.</summary>
    public static RegistryException PoolNotFound(string name) => new(ErrorKind.NotFound, $"Pool '{name}' not found");

    /// <summary>404.</summary>
    public static RegistryException VariableNotFound() => new(ErrorKind.NotFound, "Variable not found");

    /// <summary>409 of spec-dean.md.</summary>
    public static RegistryException DagPaused() => new(ErrorKind.Conflict, "DAG is paused");

    /// <summary>409: the DAG's file is gone.</summary>
    public static RegistryException DagInactive(string dagId) => new(ErrorKind.Conflict, $"DAG '{dagId}' is not active: its file is gone");

    /// <summary>409.</summary>
    public static RegistryException RunExists(string dagId, string runId) =>
        new(ErrorKind.Conflict, $"DAGRun with DAG ID: '{dagId}' and DAGRun ID: '{runId}' already exists");

    /// <summary>409: too many runs of one logical date were asked for at once.</summary>
    public static RegistryException RunIdTaken(string dagId) =>
        new(ErrorKind.Conflict, $"No free DAGRun ID was found for DAG '{dagId}' and this logical date; send a dag_run_id.", retryAfter: TimeSpan.FromSeconds(1));

    /// <summary>409.</summary>
    public static RegistryException PoolExists(string name) => new(ErrorKind.Conflict, $"Pool: {name} already exists");

    /// <summary>400.</summary>
    public static RegistryException DefaultPoolStays() => new(ErrorKind.BadRequest, "Default Pool can't be deleted");

    /// <summary>409.</summary>
    public static RegistryException VariableExists(string key) => new(ErrorKind.Conflict, $"Variable '{key}' already exists");

    /// <summary>400, in Airflow's words.</summary>
    public static RegistryException NegativeLimit() => new(ErrorKind.BadRequest, "Page limit must be a positive integer");

    /// <summary>400, in Airflow's words.</summary>
    public static RegistryException BadOrder(string field) =>
        new(ErrorKind.BadRequest, $"Ordering with '{field}' is disallowed or the attribute does not exist on the model");

    /// <summary>400: a range of dates with more runs than are cleared at once.</summary>
    public static RegistryException TooManyRuns(int limit) => new(ErrorKind.BadRequest, $"More than {limit} runs are in this range of dates; send a smaller one.");

    /// <summary>400 of a query parameter.</summary>
    public static RegistryException BadParameter(string name, string mustBe) => CommonErrors.InvalidParameter(name, mustBe);

    /// <summary>400 of a member of the body.</summary>
    public static RegistryException BadMember(string name, string message) =>
        new(ErrorKind.Validation, "Validation failed", [new FieldError(["body", name], message, "value_error")]);
}
