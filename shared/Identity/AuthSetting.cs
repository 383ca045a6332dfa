using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.Identity;

/// <summary>Reads <c>POSTGRES_AUTH</c> and <c>REDIS_AUTH</c>.</summary>
internal static class AuthSetting
{
    /// <summary>True for <c>entra</c> (tokens), false for <c>password</c> or nothing.</summary>
    /// <exception cref="InvalidOperationException">Anything else.</exception>
    public static bool UsesEntra(IConfiguration configuration, string name) => configuration[name]?.ToLowerInvariant() switch
    {
        null or "" or "password" => false,
        "entra" => true,
        _ => throw new InvalidOperationException($"{name} must be password or entra."),
    };
}
