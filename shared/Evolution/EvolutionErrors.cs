using FunctionsRegistry.Errors;

namespace FunctionsRegistry.Evolution;

/// <summary>Every error text of trials; spec-dean.md's own words where it has some.</summary>
public static class EvolutionErrors
{
    /// <summary>404.</summary>
    public static RegistryException TrialNotFound() => new(ErrorKind.NotFound, "Trial not found");

    /// <summary>400: it is over.</summary>
    public static RegistryException CannotCancel() => new(ErrorKind.BadRequest, "Trial cannot be cancelled");

    /// <summary>400: it is over or paused.</summary>
    public static RegistryException CannotPause() => new(ErrorKind.BadRequest, "Trial cannot be paused");

    /// <summary>400: it is not paused.</summary>
    public static RegistryException CannotResume() => new(ErrorKind.BadRequest, "Trial cannot be resumed");

    /// <summary>429: the client has as many sockets open as it may.</summary>
    public static RegistryException TooManySockets() => new(ErrorKind.RateLimited, "Rate limit exceeded", retryAfter: TimeSpan.FromSeconds(30));

    /// <summary>503: Web PubSub does not answer, or there is none and this host forwards no WebSockets.</summary>
    public static RegistryException LiveUpdatesUnavailable() => new(
        ErrorKind.Unavailable, "There are no WebSockets at the moment. A trial's events (GET /evolution/{trial_id}/events) tell the same.", retryAfter: TimeSpan.FromSeconds(30));

    /// <summary>Why a trial failed: its <c>error</c>.</summary>
    public static string RepositoryDeleted(string name) => $"The repository '{name}' was deleted during the trial.";

    /// <summary>Why a trial failed: its <c>error</c>.</summary>
    public static string NothingToMeasure(string name) =>
        $"The repository '{name}' has no documentation comments or test names that a search could find the code of, so there is nothing to measure fitness on.";
}
