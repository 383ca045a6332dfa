using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace FunctionsRegistry.LocalStack;

/// <summary>
/// A service that ends with this process, however this process ends. A small shell stands between: it holds the reading end of a pipe whose other
/// end is ours, and when that closes (also on kill -9) it stops the service. (The kernel's parent-death signal is no help: it is tied to the
/// thread that started the child, and threads here come and go.)
/// </summary>
internal sealed class ChildProcess : IDisposable
{
    // $1 the signal that asks for an end, $2 the pid file, the rest the command. The service has a session of its own, so that Ctrl-C in the
    // terminal reaches the app first, which still needs it while it drains.
    internal const string Supervisor = """
        signal=$1; pidfile=$2; shift 2
        exec 3<&0
        "$@" </dev/null 3<&- &
        child=$!
        echo $child >"$pidfile"
        (
          read -r line <&3
          kill -"$signal" $child
          i=0
          while kill -0 $child && [ $i -lt 80 ]; do sleep 0.1; i=$((i+1)); done
          kill -9 $child
        ) >/dev/null 2>&1 &
        watcher=$!
        wait $child
        status=$?
        rm -f "$pidfile"
        kill $watcher 2>/dev/null
        exit $status
        """;

    private readonly Process _supervisor;
    private readonly string _name;
    private readonly string _log;

    private ChildProcess(string name, string log, Process supervisor) => (_name, _log, _supervisor) = (name, log, supervisor);

    /// <summary>Starts a command with its output in a log file beside the data.</summary>
    public static ChildProcess Start(
        string name, string folder, string stopSignal, IReadOnlyList<string> command, IReadOnlyDictionary<string, string>? environment = null)
    {
        var log = Path.Combine(folder, name + ".log");
        var start = new ProcessStartInfo("setsid") { RedirectStandardInput = true, UseShellExecute = false };
        foreach (var argument in (string[])["sh", "-c", $"exec >'{log}' 2>&1\n{Supervisor}", "supervisor", stopSignal, PidFile(folder, name), .. command])
            start.ArgumentList.Add(argument);
        foreach (var (key, value) in environment ?? new Dictionary<string, string>())
            start.Environment[key] = value;
        return new ChildProcess(name, log, Process.Start(start) ?? throw new LocalStackException($"{name}: cannot start setsid."));
    }

    /// <summary>Ends what an earlier run left behind: its supervisor was killed, or has not finished yet.</summary>
    public static void StopLeftover(string folder, string name)
    {
        var file = PidFile(folder, name);
        if (!File.Exists(file) || !int.TryParse(File.ReadAllText(file), out var pid))
            return;
        try
        {
            using var process = Process.GetProcessById(pid);
            // Process ids are used again: only one that runs in our folder is ours.
            if (!File.ReadAllText($"/proc/{pid}/cmdline").Contains(folder, StringComparison.Ordinal) || process.WaitForExit(3000))
                return;
            process.Kill();
            process.WaitForExit(5000);
        }
        catch (Exception exception) when (exception is ArgumentException or InvalidOperationException or IOException)
        {
            // It is gone.
        }
        File.Delete(file);
    }

    /// <summary>Polls until the service answers.</summary>
    /// <exception cref="LocalStackException">It ended, or did not answer in time; names the log and its last line.</exception>
    public void WaitUntil(Func<bool> answers, TimeSpan atMost)
    {
        var start = Stopwatch.GetTimestamp();
        while (!answers())
        {
            if (_supervisor.WaitForExit(30))
                throw Failed("ended");
            if (Stopwatch.GetElapsedTime(start) > atMost)
                throw Failed($"did not answer within {atMost.TotalSeconds:0} s");
        }
    }

    /// <summary>Asks the service to end and waits for it, at most ten seconds; the supervisor insists by then.</summary>
    public void Dispose()
    {
        _supervisor.StandardInput.Close();
        _supervisor.WaitForExit(10_000);
        _supervisor.Dispose();
    }

    /// <summary>A TCP port on loopback that is free now.</summary>
    public static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>Sends bytes and reports whether the answer passes; false where nobody listens.</summary>
    public static bool Probe(int port, ReadOnlySpan<byte> question, Func<ReadOnlySpan<byte>, bool> passes)
    {
        try
        {
            using var client = new TcpClient { SendTimeout = 1000, ReceiveTimeout = 1000 };
            client.Connect(IPAddress.Loopback, port);
            var stream = client.GetStream();
            stream.Write(question);
            Span<byte> answer = stackalloc byte[64];
            return passes(answer[..stream.Read(answer)]);
        }
        catch (Exception exception) when (exception is SocketException or IOException)
        {
            return false;
        }
    }

    private static string PidFile(string folder, string name) => Path.Combine(folder, name + ".pid");

    private LocalStackException Failed(string how)
    {
        Dispose();
        var last = File.Exists(_log) ? File.ReadLines(_log).LastOrDefault(line => line.Length > 0) : null;
        return new LocalStackException($"{_name} {how}; see {_log}{(last is null ? "" : ": " + last)}");
    }
}
