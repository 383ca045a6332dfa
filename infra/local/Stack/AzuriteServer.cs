using System.Reflection;
using System.Security.Cryptography;

namespace FunctionsRegistry.LocalStack;

/// <summary>Azurite's blob service on a free loopback port, with an account key of its own.</summary>
internal static class AzuriteServer
{
    private const string Account = "registry";

    public static (ChildProcess Process, Dictionary<string, string?> Settings) Start(StackOptions options, Action<string> progress)
    {
        var node = Tools.Find("node") ?? throw new LocalStackException(
            "Node is missing: install Node 20 or newer (`sudo apt-get install nodejs npm`), or set BLOB_CONNECTION to a storage account of yours.");
        var modules = NpmPackage.Install("azurite", progress);
        var data = Directory.CreateDirectory(Path.Combine(options.DataDirectory, "azurite")).FullName;
        ChildProcess.StopLeftover(options.DataDirectory, "azurite");
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
        var npm = Tools.Find("npm") ?? throw new LocalStackException("npm is missing: install it with `sudo apt-get install npm` or with Node from its own site.");
        progress($"{name}: installing with npm (once)");
        // Another process may install at the same time: each works in a folder of its own, and the first rename wins.
        var work = Directory.CreateDirectory(target + "." + Environment.ProcessId).FullName;
        foreach (var (file, bytes) in files)
            File.WriteAllBytes(Path.Combine(work, file), bytes);
        Tools.Run(name, [npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], work);
        try
        {
            Directory.Move(work, target);
        }
        catch (IOException) when (Directory.Exists(modules))
        {
            Directory.Delete(work, recursive: true);
        }
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
internal static class SecretFile
{
    public static string ReadOrCreate(string file, Func<string> create)
    {
        if (File.Exists(file))
            return File.ReadAllText(file);
        var secret = create();
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using var stream = new FileStream(file, options);
        using var writer = new StreamWriter(stream);
        writer.Write(secret);
        return secret;
    }
}
