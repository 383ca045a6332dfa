namespace FunctionsRegistry.LocalStack;

/// <summary>A program that a service needs and the machine lacks.</summary>
/// <param name="Name">As the user knows it.</param>
/// <param name="Package">Debian's and Ubuntu's package that has it.</param>
/// <param name="Setting">The setting that makes it unnecessary, by naming a service that runs elsewhere.</param>
internal sealed record MissingTool(string Name, string Package, string? Setting);

/// <summary>Finds what is missing before anything starts, so that one line names it all.</summary>
internal static class MissingTools
{
    /// <summary>Installs what is missing where it can; what the user must install is the error.</summary>
    /// <exception cref="LocalStackException">Something is missing.</exception>
    public static void InstallOrExplain(StackOptions options, Action<string> progress)
    {
        var missing = Find(options);
        // As root on Debian or Ubuntu. One run for all: two at once would wait for each other's lock.
        if (missing.Count > 0 && Environment.IsPrivilegedProcess && Tools.Find("apt-get") is not null)
        {
            var packages = missing.Select(tool => tool.Package).Distinct().ToList();
            progress($"Installing {string.Join(", ", packages)} with apt-get (you are root and they are missing)");
            // A session and a log of its own: an end of ours, also by Ctrl-C, must not break it off, because the next one would find half-configured packages.
            Tools.Run("apt-get",
            [
                "setsid", "sh", "-c",
                """
                { apt-get update -qq && apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"; } >"$0" 2>&1 || { cat "$0"; exit 1; }
                """,
                Path.Combine(options.DataDirectory, "apt.log"), .. packages,
            ], environment: new Dictionary<string, string> { ["DEBIAN_FRONTEND"] = "noninteractive" });
            missing = Find(options);
        }
        if (PostgresPrograms.NpmHasThem)
            missing.RemoveAll(tool => tool.Package == PostgresPrograms.Package);
        if (missing.Count > 0)
            throw new LocalStackException(Explain(missing));
    }

    internal static List<MissingTool> Find(StackOptions options, string? path = null, string distribution = PostgresPrograms.Distribution)
    {
        List<MissingTool> missing = [.. ((string[])["setsid", "flock"]).Where(Absent).Select(name => new MissingTool(name, "util-linux", null))];
        if (options.Postgres && PostgresPrograms.Find(path, distribution) is null)
            missing.Add(new($"PostgreSQL {PostgresPrograms.OldestMajor} or newer", PostgresPrograms.Package, "POSTGRES_HOST"));
        if (options.Redis && Absent("redis-server"))
            missing.Add(new("redis-server", "redis-server", "REDIS_CONNECTION"));
        if (options.Blobs && Absent("node"))
            missing.Add(new("node", "nodejs", "BLOB_CONNECTION"));
        if (options.Blobs && Absent("npm"))
            missing.Add(new("npm", "npm", "BLOB_CONNECTION"));
        return missing;

        bool Absent(string name) => Tools.Find(name, path) is null;
    }

    internal static string Explain(IReadOnlyList<MissingTool> missing)
    {
        var settings = missing.Where(tool => tool.Setting is not null).Select(tool => tool.Setting).Distinct().ToList();
        var packages = string.Join(' ', missing.Select(tool => tool.Package).Distinct());
        return $"Missing: {string.Join(", ", missing.Select(tool => tool.Name))}. Install with `sudo apt-get install {packages}`"
            + (settings.Count == 0 ? "." : $", or set {string.Join(", ", settings)} to what runs elsewhere.");
    }
}
