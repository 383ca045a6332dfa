using FunctionsRegistry.Errors;

namespace FunctionsRegistry.DataRegistry;

/// <summary>Every error text of the data registry; the original's own words where clients may know them.</summary>
public static class DataRegistryErrors
{
    /// <summary>404.</summary>
    public static RegistryException MediaNotFound() => new(ErrorKind.NotFound, "Media not found");

    /// <summary>404.</summary>
    public static RegistryException TranscriptNotFound() => new(ErrorKind.NotFound, "Transcript not found");

    /// <summary>404.</summary>
    public static RegistryException ProjectNotFound() => new(ErrorKind.NotFound, "Project not found");

    /// <summary>404.</summary>
    public static RegistryException ConversationNotFound() => new(ErrorKind.NotFound, "Conversation not found");

    /// <summary>404.</summary>
    public static RegistryException MessageNotFound() => new(ErrorKind.NotFound, "Message not found");

    /// <summary>404.</summary>
    public static RegistryException ArtifactNotFound() => new(ErrorKind.NotFound, "Artifact not found");

    /// <summary>404.</summary>
    public static RegistryException AgentNotFound(string id) => new(ErrorKind.NotFound, $"Agent {id} not found");

    /// <summary>404 of a heartbeat.</summary>
    public static RegistryException AgentNotRegistered(string id) => new(ErrorKind.NotFound, $"Agent {id} not found. Please register first.");

    /// <summary>404.</summary>
    public static RegistryException ChatNotFound(string id) => new(ErrorKind.NotFound, $"Chat {id} not found");

    /// <summary>404 of a file's chat.</summary>
    public static RegistryException ChatNotCreated(string id) => new(ErrorKind.NotFound, $"Chat {id} not found. Create chat first.");

    /// <summary>404.</summary>
    public static RegistryException FileNotFound(Guid id) => new(ErrorKind.NotFound, $"File {id} not found");

    /// <summary>404.</summary>
    public static RegistryException ResearchRequestNotFound() => new(ErrorKind.NotFound, "Research request not found");

    /// <summary>409: project_id belongs to another project.</summary>
    public static RegistryException ProjectExists(string? id) => new(ErrorKind.Conflict, $"A project with project_id '{id}' already exists");

    /// <summary>409: conversation_id belongs to another conversation.</summary>
    public static RegistryException ConversationExists(string? id) => new(ErrorKind.Conflict, $"A conversation with conversation_id '{id}' already exists");

    /// <summary>503: Dhg__MaxSockets are open.</summary>
    public static RegistryException TooManySockets() =>
        new(ErrorKind.Unavailable, "Too many WebSockets are open.", retryAfter: TimeSpan.FromSeconds(30));

    /// <summary>503 of the health check; why is in the log, not in a public answer.</summary>
    public static RegistryException DatabaseUnavailable(Exception cause) =>
        new(ErrorKind.Unavailable, "Database unavailable", retryAfter: Postgres.PostgresErrors.RetryAfter, innerException: cause);
}
