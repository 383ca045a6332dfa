using FunctionsRegistry.Errors;

namespace FunctionsRegistry.Marketplace;

/// <summary>Every error text of the marketplace; spec-agentx.md's own words where it has some.</summary>
public static class MarketplaceErrors
{
    /// <summary>404 of any agent that is not there.</summary>
    public static RegistryException AgentNotFound() => new(ErrorKind.NotFound, "Agent not found");

    /// <summary>404 of a version that is not there, or not any more.</summary>
    public static RegistryException VersionNotFound() => new(ErrorKind.NotFound, "Version not found");

    /// <summary>404 of a user who never signed in.</summary>
    public static RegistryException UserNotFound() => new(ErrorKind.NotFound, "User not found");

    /// <summary>409; also of an unpublished version, which stays reserved.</summary>
    public static RegistryException VersionExists(string version) => new(ErrorKind.Conflict, $"Version {version} already exists. Bump the version number.");

    /// <summary>403: the scope is not the caller's login.</summary>
    public static RegistryException NotYourScope(string username) => new(ErrorKind.Forbidden, $"You can only publish under @{username} scope");

    /// <summary>403: the scope is the caller's login, but the agent was made by the account that had this login before.</summary>
    public static RegistryException NotYourAgent(string scope, string name) =>
        new(ErrorKind.Forbidden, $"{scope}/{name} belongs to another account. Publish under another name.");

    /// <summary>400 with all faults at once.</summary>
    public static RegistryException ValidationFailed(IEnumerable<string> details) =>
        new(ErrorKind.Validation, "Validation failed", [.. details.Select(detail => new FieldError(["body"], detail, "value_error"))]);

    /// <summary>400 with one fault.</summary>
    public static RegistryException ValidationFailed(string detail) => ValidationFailed([detail]);

    /// <summary>400: a part of the publish form is missing or empty.</summary>
    public static RegistryException MissingPublishFields() => new(ErrorKind.BadRequest, "Missing required fields: tarball, agent_yaml, readme");

    /// <summary>400: the manifest part is not JSON.</summary>
    public static RegistryException ManifestNotJson() => new(ErrorKind.BadRequest, "Invalid JSON in agent_yaml field");

    /// <summary>400: a search for nothing.</summary>
    public static RegistryException MissingQuery() => new(ErrorKind.BadRequest, "Missing required query parameter: q");

    /// <summary>400: a trending period that is not kept.</summary>
    public static RegistryException InvalidPeriod() => new(ErrorKind.BadRequest, "Invalid period. Use day, week, or month.");

    /// <summary>400: an order that lists do not have.</summary>
    public static RegistryException InvalidSort() => new(ErrorKind.BadRequest, "Invalid sort. Use downloads, stars, or newest.");

    /// <summary>400: deeper than numbered pages go.</summary>
    public static RegistryException PageTooDeep(int rows) =>
        new(ErrorKind.BadRequest, $"Numbered pages end at row {rows}. Use the `next` cursor of an answer instead.");

    /// <summary>400: only the best matches are ranked.</summary>
    public static RegistryException RelevanceTooDeep(int rows) =>
        new(ErrorKind.BadRequest, $"Only the best {rows} matches are ordered by relevance. Sort by downloads, stars or newest to see the rest.");

    /// <summary>400: no cursor that this registry gave out.</summary>
    public static RegistryException InvalidCursor() => new(ErrorKind.BadRequest, "Invalid query parameter 'cursor': use the `next` value of an earlier answer.");

    /// <summary>400: a sign-in must say where to go back to.</summary>
    public static RegistryException MissingRedirectUri() => new(ErrorKind.BadRequest, "Missing required field: redirect_uri");

    /// <summary>400: a code must not be sent to a stranger's address.</summary>
    public static RegistryException RedirectNotAllowed() =>
        new(ErrorKind.BadRequest, "redirect_uri must be http on a loopback address, or on an origin that this registry allows");

    /// <summary>400: GitHub's redirect lacks a parameter.</summary>
    public static RegistryException MissingCallbackParameters() => new(ErrorKind.BadRequest, "Missing required query parameters: code, state");

    /// <summary>400: a state that was never given out, was used, or is too old.</summary>
    public static RegistryException UnknownState() => new(ErrorKind.BadRequest, "Unknown or expired state. Start the sign-in again.");

    /// <summary>500 in the contract; GitHub refused or broke.</summary>
    public static RegistryException AuthenticationFailed(Exception? cause = null) => new(ErrorKind.BadGateway, "Authentication failed", innerException: cause);

    /// <summary>503: this deployment has no GitHub client.</summary>
    public static RegistryException SignInNotConfigured() => new(ErrorKind.Unavailable, "Sign-in is not configured: set GitHub__ClientId and GitHub__ClientSecret.");

    /// <summary>400 with all faults at once.</summary>
    public static RegistryException InvalidTelemetry(IEnumerable<string> details) =>
        new(ErrorKind.Validation, "Invalid telemetry event", [.. details.Select(detail => new FieldError(["body"], detail, "value_error"))]);
}
