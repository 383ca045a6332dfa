using System.Diagnostics;
using System.Runtime.Versioning;

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
        if (!OperatingSystem.IsLinux())
            throw new LocalStackException(
                "Services are started for you on Linux only: run `docker compose -f infra/local/compose.yaml up -d --wait` and copy local.settings.sample.json "
                + "to local.settings.json.");
        try
        {
            services.StartAll(options, progress);
            return services;
        }
        catch (Exception exception)
        {
            services.Dispose();
            var first = exception is AggregateException { InnerExceptions: [var inner, ..] } ? inner : exception;
            throw first is LocalStackException or not (IOException or UnauthorizedAccessException)
                ? first
                : new LocalStackException(
                    $"Services cannot keep their data in {options.DataDirectory}: {first.Message.TrimEnd('.')}. Mend that, or choose another folder with Local__DataDirectory.");
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

    [SupportedOSPlatform("linux")]
    private void StartAll(StackOptions options, Action<string> progress)
    {
        var folder = Directory.CreateDirectory(options.DataDirectory).FullName;
        var owner = Path.Combine(folder, "owner.pid");
        _lock = FolderLock.TryTake(Path.Combine(folder, "lock")) ?? throw new LocalStackException(
            $"Process {(File.Exists(owner) ? File.ReadAllText(owner) : "unknown")} already runs services in {folder}: stop it, or give this one another folder with Local__DataDirectory.");
        File.WriteAllText(owner, Environment.ProcessId.ToString());
        MissingTools.InstallOrExplain(options, progress);

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
}

/// <summary>A lock on a file that the kernel takes back when this process ends, however it ends.</summary>
internal static class FolderLock
{
    private const int WouldBlock = 11;

    /// <summary>Null while another holds it.</summary>
    public static FileStream? TryTake(string file)
    {
        try
        {
            return new FileStream(file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException exception) when (exception.HResult == WouldBlock)
        {
            return null;
        }
    }

    /// <summary>Waits until it is ours.</summary>
    public static FileStream Wait(string file)
    {
        FileStream? held;
        while ((held = TryTake(file)) is null)
            Thread.Sleep(100);
        return held;
    }
}
