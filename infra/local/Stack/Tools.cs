using System.ComponentModel;
using System.Diagnostics;
using System.Text.RegularExpressions;

namespace FunctionsRegistry.LocalStack;

/// <summary>Finds programs and runs them to their end.</summary>
internal static partial class Tools
{
    /// <summary>Full path of a program on PATH, or null.</summary>
    public static string? Find(string name, string? path = null) =>
        (path ?? Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists);

    /// <summary>Runs a program; its output is returned where it succeeds and is part of the error where it does not.</summary>
    /// <exception cref="LocalStackException">It failed or took longer than ten minutes.</exception>
    public static string Run(string what, IReadOnlyList<string> command, string? folder = null, IReadOnlyDictionary<string, string>? environment = null)
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
        using var process = new Process { StartInfo = start };
        try
        {
            process.Start();
        }
        catch (Win32Exception exception)
        {
            throw new LocalStackException($"{what}: {exception.Message}");
        }
        var output = new List<string>();
        DataReceivedEventHandler collect = (_, line) =>
        {
            if (line.Data is { } text)
                lock (output)
                    output.Add(text);
        };
        process.OutputDataReceived += collect;
        process.ErrorDataReceived += collect;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        process.StandardInput.Close();
        if (!process.WaitForExit(TimeSpan.FromMinutes(10)))
        {
            process.Kill(entireProcessTree: true);
            throw new LocalStackException($"{what} did not end within ten minutes.");
        }
        process.WaitForExit();
        return process.ExitCode == 0
            ? string.Join('\n', output)
            : throw new LocalStackException($"{what} failed: {Complaint(output) ?? $"exit code {process.ExitCode}"}");
    }

    /// <summary>The line of a program's output that says what is wrong: the first that says so in words, else the last.</summary>
    public static string? Complaint(IEnumerable<string> output)
    {
        var lines = output.Where(line => !string.IsNullOrWhiteSpace(line)).ToList();
        return lines.Find(line => ErrorLine().IsMatch(line)) ?? lines.LastOrDefault();
    }

    [GeneratedRegex(@"(error|\bfatal|\bpanic)\b|^E: ", RegexOptions.IgnoreCase)]
    private static partial Regex ErrorLine();
}
