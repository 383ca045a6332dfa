using System.Diagnostics;
using System.Text;
using System.Text.RegularExpressions;

namespace FunctionsRegistry.Tests.Support;

/// <summary>The app as a process of its own, on the data that its settings name. Disposing kills it.</summary>
public sealed class AppProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly StringBuilder _said = new();
    private readonly TaskCompletionSource<string> _address = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private AppProcess(IEnumerable<KeyValuePair<string, string>> settings)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = AppContext.BaseDirectory };
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "FunctionsRegistry.Functions.dll"));
        foreach (var (key, value) in settings)
            start.ArgumentList.Add($"--{key}={value}");
        _process = new Process { StartInfo = start, EnableRaisingEvents = true };
        // Read to the end, or the app stops at a full pipe.
        _process.OutputDataReceived += (_, line) => Hear(line.Data);
        _process.ErrorDataReceived += (_, line) => Hear(line.Data);
        _process.Exited += (_, _) => _address.TrySetException(new InvalidOperationException("The process ended before it listened: " + Said));
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>Its base address, without a slash at the end.</summary>
    public string Address { get; private set; } = "";

    private string Said
    {
        get
        {
            lock (_said)
                return _said.ToString();
        }
    }

    /// <summary>Starts it and waits until it listens.</summary>
    public static async Task<AppProcess> StartAsync(IEnumerable<KeyValuePair<string, string>> settings)
    {
        var app = new AppProcess(settings);
        try
        {
            app.Address = await app._address.Task.WaitAsync(TimeSpan.FromMinutes(2));
            return app;
        }
        catch (TimeoutException)
        {
            await app.DisposeAsync();
            throw new TimeoutException("The process does not listen after two minutes: " + app.Said);
        }
        catch
        {
            await app.DisposeAsync();
            throw;
        }
    }

    /// <summary>As kill -9 does.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
            await KillAsync();
        _process.Dispose();
    }

    private void Hear(string? line)
    {
        if (line is null)
            return;
        lock (_said)
            if (_said.Length < 20_000)
                _said.AppendLine(line);
        if (Regex.Match(line, @"is ready: (http://\S+)/") is { Success: true } match)
            _address.TrySetResult(match.Groups[1].Value);
    }
}
