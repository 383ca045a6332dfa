using System.Runtime.Versioning;
using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.LocalStack;

/// <summary>A service cannot be had; the message is one line that names the fix.</summary>
public sealed class LocalStackException(string message) : Exception(message);

/// <summary>Which services to start, and where their data lies.</summary>
public sealed record StackOptions
{
    /// <summary>Folder of everything: clusters, logs, keys.</summary>
    public required string DataDirectory { get; init; }

    /// <summary>Start PostgreSQL.</summary>
    public bool Postgres { get; init; } = true;

    /// <summary>Start Redis.</summary>
    public bool Redis { get; init; } = true;

    /// <summary>Start Azurite.</summary>
    public bool Blobs { get; init; } = true;

    /// <summary>False for tests only: PostgreSQL then does not wait for the disk, and a power cut may lose everything.</summary>
    public bool Fsync { get; init; } = true;

    /// <summary>
    /// The user's data directory; for root a folder that PostgreSQL's unprivileged user can reach, which root's home is not.
    /// </summary>
    public static string DefaultDataDirectory => Environment.IsPrivilegedProcess && OperatingSystem.IsLinux()
        ? "/var/lib/functionsregistry"
        : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify), "functionsregistry");

    /// <summary>A folder in there that only this user can look into, because blobs are nobody else's business.</summary>
    [SupportedOSPlatform("linux")]
    internal string PrivateFolder(string name) =>
        Directory.CreateDirectory(Path.Combine(DataDirectory, name), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute).FullName;

    /// <summary>A service is started when its connection is not configured; <c>Local__DataDirectory</c> says where.</summary>
    public static StackOptions FromConfiguration(IConfiguration configuration) => new()
    {
        DataDirectory = configuration["Local:DataDirectory"] is { Length: > 0 } folder ? Path.GetFullPath(folder) : DefaultDataDirectory,
        Postgres = !IsSet(configuration, "POSTGRES_HOST", "DATABASE_URL"),
        Redis = !IsSet(configuration, "REDIS_CONNECTION"),
        Blobs = !IsSet(configuration, "BLOB_CONNECTION", "AzureWebJobsStorage", "BLOB_SERVICE_URI", "AzureWebJobsStorage:accountName", "AzureWebJobsStorage:blobServiceUri"),
    };

    private static bool IsSet(IConfiguration configuration, params string[] names) => names.Any(name => !string.IsNullOrEmpty(configuration[name]));
}
