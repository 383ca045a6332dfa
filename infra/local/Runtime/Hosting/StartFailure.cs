using FunctionsRegistry.LocalStack;
using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.LocalRuntime.Hosting;

/// <summary>What happens when the host cannot start: an app ends with one line and exit code 1, a test gets the exception.</summary>
internal sealed class StartFailure(bool endsProcess)
{
    /// <summary>To stop before the process ends, so that PostgreSQL flushes and needs no recovery.</summary>
    public LocalServices? Services { get; set; }

    /// <summary>Runs a step of the start.</summary>
    public T Guard<T>(Func<T> step)
    {
        try
        {
            return step();
        }
        catch (LocalHostException exception) when (endsProcess)
        {
            Console.Error.WriteLine(exception.Message);
            Services?.Dispose();
            Environment.Exit(1);
            throw;
        }
    }
}

/// <summary>Settings of the runtime itself, with errors that name them.</summary>
internal static class RuntimeConfiguration
{
    /// <summary>A true or false.</summary>
    public static bool GetFlag(this IConfiguration configuration, string key, bool otherwise)
    {
        if (configuration[key] is not { Length: > 0 } text)
            return otherwise;
        return bool.TryParse(text, out var value) ? value : throw new LocalHostException($"{key} must be true or false, not '{text}'.");
    }

    /// <summary>A port number; 0 is any free one.</summary>
    public static int GetPort(this IConfiguration configuration, string key, int otherwise)
    {
        if (configuration[key] is not { Length: > 0 } text)
            return otherwise;
        return ushort.TryParse(text, out var port) ? port : throw new LocalHostException($"{key} must be a port number, not '{text}'.");
    }
}
