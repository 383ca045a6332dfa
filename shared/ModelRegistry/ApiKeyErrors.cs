using FunctionsRegistry.Errors;

namespace FunctionsRegistry.ModelRegistry;

/// <summary>Every error text about keys; spec-hokusai.md's own words where it has some.</summary>
public static class ApiKeyErrors
{
    /// <summary>401: none was sent.</summary>
    public static RegistryException KeyRequired() => new(ErrorKind.Unauthorized, "API key required");

    /// <summary>401: unknown, revoked or expired; which of them is nobody's business.</summary>
    public static RegistryException InvalidKey() => new(ErrorKind.Unauthorized, "Invalid or expired API key");

    /// <summary>403: a scope is missing.</summary>
    public static RegistryException InsufficientPermissions() => new(ErrorKind.Forbidden, "Insufficient permissions");

    /// <summary>403: the key has a list of addresses, and the caller's is not on it.</summary>
    public static RegistryException AddressNotAllowed() => new(ErrorKind.Forbidden, "This API key may not be used from this address");

    /// <summary>404.</summary>
    public static RegistryException KeyNotFound() => new(ErrorKind.NotFound, "API key not found");

    /// <summary>409: only a key in force can be rotated.</summary>
    public static RegistryException KeyNotActive() => new(ErrorKind.Conflict, "API key is revoked or expired");

    /// <summary>422 with all faults at once.</summary>
    public static RegistryException InvalidFields(IReadOnlyList<FieldError> faults) => new(ErrorKind.Validation, "Validation failed", faults);
}
