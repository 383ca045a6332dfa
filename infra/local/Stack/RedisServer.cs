using System.Runtime.Versioning;

namespace FunctionsRegistry.LocalStack;

/// <summary>Redis on a free loopback port.</summary>
[SupportedOSPlatform("linux")]
internal static class RedisServer
{
    public static (ChildProcess Process, Dictionary<string, string?> Settings) Start(StackOptions options)
    {
        var data = options.PrivateFolder("redis");
        var port = ChildProcess.FreePort();
        var process = ChildProcess.Start("redis", options.DataDirectory, "TERM",
        [
            // Redis keeps counted calls and passes on messages: none is worth a log of every write. One snapshot an hour, and the one that it writes when asked
            // to end, carry the counts over a restart; after a power cut somebody may call a little more often.
            Tools.Find("redis-server")!, "--port", port.ToString(), "--bind", "127.0.0.1", "--dir", data, "--save", "3600 1", "--appendonly", "no",
        ]);
        process.WaitUntil(() => ChildProcess.Probe(port, "PING\r\n"u8, answer => answer.StartsWith("+PONG"u8)), TimeSpan.FromSeconds(20));
        return (process, new() { ["REDIS_CONNECTION"] = $"127.0.0.1:{port}" });
    }
}
