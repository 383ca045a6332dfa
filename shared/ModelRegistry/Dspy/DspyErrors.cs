using FunctionsRegistry.Errors;

namespace FunctionsRegistry.ModelRegistry.Dspy;

/// <summary>Every error text of the DSPy routes; spec-hokusai.md's and the original's own words where they have some.</summary>
public static class DspyErrors
{
    /// <summary>What is said where no language model is configured.</summary>
    public const string NotConfiguredText = "No language model is configured: set DSPY_LM_BASE_URL to an OpenAI-compatible endpoint and DSPY_LM_MODEL to a model of it";

    /// <summary>503: programs need a language model.</summary>
    public static RegistryException NotConfigured() => new(ErrorKind.Unavailable, NotConfiguredText);

    /// <summary>400.</summary>
    public static RegistryException ProgramRequired() => new(ErrorKind.BadRequest, "Either program or model_id must be provided");

    /// <summary>404.</summary>
    public static RegistryException ProgramNotFound(string id) => new(ErrorKind.NotFound, $"DSPy program not found: {(id.Length > 150 ? id[..150] + "..." : id)}");

    /// <summary>404.</summary>
    public static RegistryException ExecutionNotFound(string id) => new(ErrorKind.NotFound, $"Execution not found: {(id.Length > 100 ? id[..100] + "..." : id)}");

    /// <summary>409: it comes with the app.</summary>
    public static RegistryException ProgramShipped(string id) => new(ErrorKind.Conflict, $"The program {id} ships with the registry and cannot be deleted");

    /// <summary>422 with every fault.</summary>
    public static RegistryException InvalidProgram(IReadOnlyList<FieldError> faults) => new(ErrorKind.Validation, "Validation failed", faults);

    /// <summary>422: the id in the path.</summary>
    public static RegistryException InvalidProgramId() => new(
        ErrorKind.Validation, "Validation failed", [new FieldError(["path", "id"], "must have 1 to 100 letters, digits, '.', '_' and '-', beginning with a letter or digit", "value_error")]);

    /// <summary>422: what was sent as a chat does not become the program's inputs.</summary>
    public static RegistryException InvalidMessages(string message) => ModelErrors.InvalidField("messages", message);

    /// <summary>502: the language model failed or answered nonsense.</summary>
    public static RegistryException LanguageModelFailed(string message) => new(ErrorKind.BadGateway, message);

    /// <summary>504.</summary>
    public static RegistryException TimedOut(string message) => new(ErrorKind.GatewayTimeout, message);
}
