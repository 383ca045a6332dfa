namespace FunctionsRegistry.LocalStack;

/// <summary>Redis on a free loopback port.</summary>
internal static class RedisServer
{
    public static (ChildProcess Process, Dictionary<string, string?> Settings) Start(StackOptions options)
    {
        var program = Tools.Find("redis-server") ?? throw new LocalStackException(
            "Redis is missing: install it with `sudo apt-get install redis-server`, or set REDIS_CONNECTION to a server of yours.");
        var data = Directory.CreateDirectory(Path.Combine(options.DataDirectory, "redis")).FullName;
        ChildProcess.StopLeftover(options.DataDirectory, "redis");
        var port = ChildProcess.FreePort();
        var process = ChildProcess.Start("redis", options.DataDirectory, "TERM",
        [
            // The folder is an argument so that the process can be told from others.
            program, "--port", port.ToString(), "--bind", "127.0.0.1", "--dir", data, "--save", "", "--appendonly", options.Fsync ? "yes" : "no",
        ]);
        process.WaitUntil(() => ChildProcess.Probe(port, "PING\r\n"u8, answer => answer.StartsWith("+PONG"u8)), TimeSpan.FromSeconds(20));
        return (process, new() { ["REDIS_CONNECTION"] = $"127.0.0.1:{port}" });
    }
}
