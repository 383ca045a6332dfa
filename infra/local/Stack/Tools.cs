using System.Diagnostics;

namespace FunctionsRegistry.LocalStack;

/// <summary>Finds programs and runs them to their end.</summary>
internal static class Tools
{
    /// <summary>Full path of a program on PATH, or null.</summary>
    public static string? Find(string name, string? path = null) =>
        (path ?? Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists);

    /// <summary>Runs a program; its output is returned where it succeeds and is part of the error where it does not.</summary>
    /// <exception cref="LocalStackException">It failed or took longer than ten minutes.</exception>
    public static string Run(string what, IReadOnlyList<string> command, string? folder = null, string? input = null, IReadOnlyDictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo(command[0], command.Skip(1))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            WorkingDirectory = folder ?? "",
        };
        foreach (var (key, value) in environment ?? new Dictionary<string, string>())
            start.Environment[key] = value;
        using var process = Process.Start(start) ?? throw new LocalStackException($"{what}: cannot start {command[0]}.");
        var output = new List<string>();
        DataReceivedEventHandler collect = (_, line) =>
        {
            if (line.Data is { Length: > 0 } text)
                lock (output)
                    output.Add(text);
        };
        process.OutputDataReceived += collect;
        process.ErrorDataReceived += collect;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        process.StandardInput.Write(input);
        process.StandardInput.Close();
        if (!process.WaitForExit(TimeSpan.FromMinutes(10)))
        {
            process.Kill(entireProcessTree: true);
            throw new LocalStackException($"{what}: {command[0]} did not end within ten minutes.");
        }
        process.WaitForExit();
        return process.ExitCode == 0
            ? string.Join('\n', output)
            : throw new LocalStackException($"{what}: {string.Join(' ', command)} failed: {output.LastOrDefault() ?? $"exit code {process.ExitCode}"}");
    }

    /// <summary>As root on Debian or Ubuntu: installs packages. False where that is no option.</summary>
    public static bool TryInstall(IReadOnlyList<string> packages, Action<string> progress)
    {
        if (!Environment.IsPrivilegedProcess || Find("apt-get") is not { } apt)
            return false;
        progress($"Installing {string.Join(", ", packages)} with apt-get (you are root and they are missing)");
        var environment = new Dictionary<string, string> { ["DEBIAN_FRONTEND"] = "noninteractive" };
        Run("apt-get update", [apt, "update", "-qq"], environment: environment);
        Run("apt-get install", [apt, "install", "-y", "-qq", "--no-install-recommends", .. packages], environment: environment);
        return true;
    }
}
