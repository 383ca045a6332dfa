using FunctionsRegistry.Errors;

namespace FunctionsRegistry.Archives;

/// <summary>What is wrong with an uploaded archive.</summary>
internal static class ArchiveErrors
{
    /// <summary>400 or 422, as the contract's family has it: one fault, said of the tarball.</summary>
    public static RegistryException Wrong(string what) =>
        new(ErrorKind.Validation, "Validation failed", [new FieldError(["body"], "tarball: " + what, "value_error")]);
}
