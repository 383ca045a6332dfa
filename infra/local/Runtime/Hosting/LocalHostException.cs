namespace FunctionsRegistry.LocalRuntime.Hosting;

/// <summary>The host cannot start; the message is one line that names the cause and the fix.</summary>
internal sealed class LocalHostException(string message) : Exception(message);
