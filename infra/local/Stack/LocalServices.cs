using System.Diagnostics;

namespace FunctionsRegistry.LocalStack;

/// <summary>The services that this process started. They end with it, however it ends.</summary>
public sealed class LocalServices : IDisposable
{
    private readonly List<ChildProcess> _processes = [];
    private readonly Dictionary<string, string?> _settings = [];
    private FileStream? _lock;

    private LocalServices()
    {
    }

    /// <summary>How to reach them: <c>POSTGRES_*</c>, <c>REDIS_CONNECTION</c>, <c>BLOB_CONNECTION</c>, <c>AzureWebJobsStorage</c>; only of what was started.</summary>
    public IReadOnlyDictionary<string, string?> Settings => _settings;

    /// <summary>Starts what the options ask for, all at once, and returns when everything answers.</summary>
    /// <exception cref="LocalStackException">One cannot be had; the others were stopped again.</exception>
    public static LocalServices Start(StackOptions options, Action<string> progress)
    {
        var services = new LocalServices();
        if (!options.Postgres && !options.Redis && !options.Blobs)
            return services;
        if (OperatingSystem.IsWindows())
            throw new LocalStackException("Services are started for you on Linux and macOS only: start infra/local/compose.yaml and copy local.settings.sample.json.");
        try
        {
            services.StartAll(options, progress);
            return services;
        }
        catch (Exception exception)
        {
            services.Dispose();
            throw exception is AggregateException { InnerExceptions: [var first, ..] } ? first as LocalStackException ?? exception : exception;
        }
    }

    /// <summary>Stops them, PostgreSQL with its data flushed; takes at most some seconds.</summary>
    public void Dispose()
    {
        Parallel.ForEach(_processes, process => process.Dispose());
        _processes.Clear();
        _lock?.Dispose();
        _lock = null;
    }

    private void StartAll(StackOptions options, Action<string> progress)
    {
        var folder = Directory.CreateDirectory(options.DataDirectory);
        _lock = TakeLock(folder.FullName);
        var missing = new List<string>();
        if (options.Redis && Tools.Find("redis-server") is null)
            missing.Add("redis-server");
        if (options.Postgres && PostgresPrograms.Find() is null)
            missing.Add("postgresql");
        if (options.Blobs && Tools.Find("node") is null)
            missing.AddRange(["nodejs", "npm"]);
        // One apt run for all: two at once would wait for each other's lock.
        if (missing.Count > 0)
            Tools.TryInstall(missing, progress);

        Parallel.Invoke(
            () => StartOne(options.Postgres, "PostgreSQL", progress, () => PostgresServer.Start(options, progress)),
            () => StartOne(options.Redis, "Redis", progress, () => RedisServer.Start(options)),
            () => StartOne(options.Blobs, "Azurite", progress, () => AzuriteServer.Start(options, progress)));
    }

    private void StartOne(bool wanted, string name, Action<string> progress, Func<(ChildProcess Process, Dictionary<string, string?> Settings)> start)
    {
        if (!wanted)
            return;
        var clock = Stopwatch.GetTimestamp();
        var (process, settings) = start();
        lock (_processes)
        {
            _processes.Add(process);
            foreach (var (key, value) in settings)
                _settings[key] = value;
        }
        progress($"{name} is ready ({Stopwatch.GetElapsedTime(clock).TotalSeconds:0.0} s)");
    }

    private static FileStream TakeLock(string folder)
    {
        var owner = Path.Combine(folder, "owner.pid");
        try
        {
            var file = new FileStream(Path.Combine(folder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            File.WriteAllText(owner, Environment.ProcessId.ToString());
            return file;
        }
        catch (IOException)
        {
            var pid = File.Exists(owner) ? File.ReadAllText(owner) : "unknown";
            throw new LocalStackException($"Process {pid} already runs services in {folder}: stop it, or give this one another folder with Local__DataDirectory.");
        }
    }
}
