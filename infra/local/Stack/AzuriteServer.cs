using System.Reflection;
using System.Runtime.Versioning;
using System.Security.Cryptography;
using System.Text;

namespace FunctionsRegistry.LocalStack;

/// <summary>Azurite's blob service on a free loopback port, with an account key of its own.</summary>
[SupportedOSPlatform("linux")]
internal static class AzuriteServer
{
    private const string Account = "registry";
    private const int OldestNode = 18;

    public static (ChildProcess Process, Dictionary<string, string?> Settings) Start(StackOptions options, Action<string> progress)
    {
        var node = Tools.Find("node")!;
        var version = Tools.Run("node", [node, "--version"]);
        if (!int.TryParse(version.TrimStart('v').Split('.')[0], out var major) || major < OldestNode)
            throw new LocalStackException(
                $"Azurite needs Node {OldestNode} or newer, and {node} is {version}: install a newer one, or set BLOB_CONNECTION to a storage account of yours.");
        var modules = NpmPackage.Install("azurite", progress);
        var data = options.PrivateFolder("azurite");
        var key = SecretFile.ReadOrCreate(Path.Combine(options.DataDirectory, "azurite.key"), () => Convert.ToBase64String(RandomNumberGenerator.GetBytes(64)));
        var port = ChildProcess.FreePort();
        var process = ChildProcess.Start("azurite", options.DataDirectory, "TERM",
            [
                node, Path.Combine(modules, "azurite", "dist", "src", "blob", "main.js"), "--blobHost", "127.0.0.1", "--blobPort", port.ToString(),
                "--location", data, "--silent", "--disableTelemetry", "--skipApiVersionCheck",
            ],
            new Dictionary<string, string> { ["AZURITE_ACCOUNTS"] = $"{Account}:{key}" });
        process.WaitUntil(
            () => ChildProcess.Probe(port, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"u8, answer => answer.StartsWith("HTTP/1.1"u8)),
            TimeSpan.FromSeconds(60));
        var connection = $"DefaultEndpointsProtocol=http;AccountName={Account};AccountKey={key};BlobEndpoint=http://127.0.0.1:{port}/{Account};";
        return (process, new() { ["BLOB_CONNECTION"] = connection, ["AzureWebJobsStorage"] = connection });
    }
}

/// <summary>npm packages that travel with this assembly as package.json and package-lock.json.</summary>
[SupportedOSPlatform("linux")]
internal static class NpmPackage
{
    private static readonly string[] s_files = ["package.json", "package-lock.json"];

    /// <summary>Installs once per lock file and user; returns the node_modules folder.</summary>
    public static string Install(string name, Action<string> progress)
    {
        var files = s_files.ToDictionary(file => file, file => Read($"npm/{name}/{file}"));
        var hash = Convert.ToHexStringLower(SHA256.HashData(files["package-lock.json"]))[..12];
        var target = Path.Combine(StackOptions.DefaultDataDirectory, "tools", $"{name}-{hash}");
        var modules = Path.Combine(target, "node_modules");
        if (Directory.Exists(modules))
            return modules;
        var tools = Directory.CreateDirectory(Path.GetDirectoryName(target)!).FullName;
        // Another process may want the same: it waits, and finds the work done.
        using var held = FolderLock.Wait(Path.Combine(tools, name + ".lock"));
        if (Directory.Exists(modules))
            return modules;
        progress($"{name}: installing with npm (once)");
        var work = target + ".new";
        // Run as the install is, so that one which a crash left behind has ended.
        ChildProcess.Run(name, tools, ["rm", "-rf", "--", work]);
        Directory.CreateDirectory(work);
        foreach (var (file, bytes) in files)
            File.WriteAllBytes(Path.Combine(work, file), bytes);
        ChildProcess.Run(name, tools, [Tools.Find("npm")!, "ci", "--prefix", work, "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]);
        Directory.Move(work, target);
        return modules;
    }

    private static byte[] Read(string resource)
    {
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(resource)!;
        using var copy = new MemoryStream();
        stream.CopyTo(copy);
        return copy.ToArray();
    }
}

/// <summary>A secret made once and kept in a file that only its owner can read.</summary>
[SupportedOSPlatform("linux")]
internal static class SecretFile
{
    public static string ReadOrCreate(string file, Func<string> create)
    {
        if (File.Exists(file))
            return File.ReadAllText(file);
        // Written whole or not at all: an empty secret would lock the user out for good.
        var fresh = file + ".new";
        var secret = create();
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite };
        using (var stream = new FileStream(fresh, options))
        {
            stream.Write(Encoding.UTF8.GetBytes(secret));
            stream.Flush(flushToDisk: true);
        }
        File.Move(fresh, file, overwrite: true);
        return secret;
    }
}
