using System.Net.Sockets;
using FunctionsRegistry.Errors;
using Npgsql;

namespace FunctionsRegistry.Postgres;

/// <summary>Turns database failures into error kinds, in one place. Constraints with a meaning are caught by name in the stores.</summary>
public static class PostgresErrors
{
    /// <summary>How long a client should wait before it tries again while a dependency is down.</summary>
    public static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(5);

    /// <summary>The error to answer, or null where the failure is a defect (500).</summary>
    public static RegistryException? Translate(Exception exception) => exception switch
    {
        PostgresException postgres => Translate(postgres),
        NpgsqlException or SocketException => Unavailable(exception),
        TimeoutException { InnerException: NpgsqlException } => Unavailable(exception),
        _ => null,
    };

    private static RegistryException? Translate(PostgresException exception) => exception.SqlState switch
    {
        // Text that PostgreSQL cannot hold: a NUL character.
        PostgresErrorCodes.UntranslatableCharacter or PostgresErrorCodes.CharacterNotInRepertoire =>
            new RegistryException(ErrorKind.BadRequest, "The request holds text that cannot be stored.", innerException: exception),
        // A race for a name that no store gave a text of its own.
        PostgresErrorCodes.UniqueViolation => new RegistryException(ErrorKind.Conflict, "It exists already.", innerException: exception),
        PostgresErrorCodes.SerializationFailure or PostgresErrorCodes.DeadlockDetected or PostgresErrorCodes.LockNotAvailable
            or PostgresErrorCodes.QueryCanceled => Unavailable(exception),
        // 57xxx: the server is shutting down or starting; 53xxx: out of connections, memory or disk; 08xxx: the connection broke.
        var state when state.StartsWith("57", StringComparison.Ordinal) || state.StartsWith("53", StringComparison.Ordinal)
            || state.StartsWith("08", StringComparison.Ordinal) => Unavailable(exception),
        _ => null,
    };

    private static RegistryException Unavailable(Exception cause) =>
        new(ErrorKind.Unavailable, "The database is not available right now.", retryAfter: RetryAfter, innerException: cause);
}
