using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace FunctionsRegistry.LocalStack;

/// <summary>
/// A command that ends with this process, however this process ends. A small shell stands between: it holds the reading end of a pipe whose other
/// end is ours, and when that closes (also on kill -9) it stops the command. (The kernel's parent-death signal is no help: it is tied to the
/// thread that started the child, and threads here come and go.)
/// </summary>
internal sealed class ChildProcess : IDisposable
{
    // $1 the signal that asks for an end, $2 the lock file, $3 the log, the rest the command. It has a session of its own, so that Ctrl-C in the
    // terminal reaches the app first, which still needs it while it drains.
    // The command and its children inherit the lock, so who holds it is what an earlier run left behind; that process ids are used again does no harm.
    private const string Supervisor = """
        signal=$1; lock=$2; log=$3; shift 3
        exec 3<&0 9<>"$lock"
        { flock -n 9 || { kill -"$signal" "$(cat "$lock")"; flock -w 9 9; } || { kill -9 "$(cat "$lock")"; flock -w 5 9; } } 2>/dev/null ||
          { echo "error: process $(cat "$lock") of an earlier run does not end" >"$log"; exit 1; }
        : >"$lock"
        exec >"$log" 2>&1
        "$@" </dev/null 3<&- &
        child=$!
        echo $child >"$lock"
        exec 9<&-
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
        kill $watcher 2>/dev/null
        exit $status
        """;

    private readonly Process _supervisor;
    private readonly string _name;
    private readonly string _log;

    private ChildProcess(string name, string log, Process supervisor) => (_name, _log, _supervisor) = (name, log, supervisor);

    /// <summary>Starts a command in a folder that also gets its log; ends first what an earlier run left behind under that name.</summary>
    public static ChildProcess Start(
        string name, string folder, string stopSignal, IReadOnlyList<string> command, IReadOnlyDictionary<string, string>? environment = null)
    {
        var log = Path.Combine(folder, name + ".log");
        var start = new ProcessStartInfo("setsid") { RedirectStandardInput = true, UseShellExecute = false, WorkingDirectory = folder };
        foreach (var argument in (string[])["sh", "-c", Supervisor, "supervisor", stopSignal, Path.Combine(folder, name + ".pid"), log, .. command])
            start.ArgumentList.Add(argument);
        foreach (var (key, value) in environment ?? new Dictionary<string, string>())
            start.Environment[key] = value;
        return new ChildProcess(name, log, Process.Start(start) ?? throw new LocalStackException($"{name}: cannot start setsid."));
    }

    /// <summary>Runs a command to its end.</summary>
    /// <exception cref="LocalStackException">It failed or took longer than ten minutes; names the log and what it says.</exception>
    public static void Run(string name, string folder, IReadOnlyList<string> command)
    {
        using var process = Start(name, folder, "TERM", command);
        if (!process._supervisor.WaitForExit(TimeSpan.FromMinutes(10)))
            throw process.Failed("did not end within ten minutes");
        if (process._supervisor.ExitCode != 0)
            throw process.Failed("failed");
    }

    /// <summary>Polls until the service answers.</summary>
    /// <exception cref="LocalStackException">It ended, or did not answer in time; names the log and what it says.</exception>
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

    private LocalStackException Failed(string how)
    {
        Dispose();
        var said = File.Exists(_log) ? Tools.Complaint(File.ReadLines(_log)) : null;
        return new LocalStackException($"{_name} {how}; see {_log}{(said is null ? "" : ": " + said)}");
    }
}
