using System.Diagnostics;
using System.Runtime.Versioning;
using System.Text;
using FunctionsRegistry.LocalStack;
using FunctionsRegistry.Tests.Support;
using Microsoft.Extensions.Configuration;
using Npgsql;

namespace FunctionsRegistry.Tests.LocalStack;

[SupportedOSPlatform("linux")]
public sealed class LocalServicesTests : IAsyncDisposable
{
    // Everything that runs here gets this path, so whatever hands it to a shell unquoted fails.
    private readonly string _folder = Path.Combine(Path.GetTempPath(), $"stack o'brien $HOME `x` \"q\" ünï-数 {Guid.CreateVersion7():N}");

    public async ValueTask DisposeAsync()
    {
        await Eventually.UntilAsync(() => Task.FromResult(ProcessesIn(_folder).Count == 0));
        if (Directory.Exists(_folder))
            Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task A_second_start_finds_the_first_one_s_data()
    {
        var options = new StackOptions { DataDirectory = _folder, Blobs = false, Fsync = false };
        using (var first = LocalServices.Start(options, _ => { }))
        {
            await ExecuteAsync(first, "CREATE TABLE kept (x int); INSERT INTO kept VALUES (42)");
            Redis(first, "INCR calls").ShouldBe(":1");
        }

        using var second = LocalServices.Start(options, _ => { });
        (await ExecuteAsync(second, "SELECT x FROM kept")).ShouldBe(42);
        Redis(second, "INCR calls").ShouldBe(":2");
        (await ExecuteAsync(second, "SHOW listen_addresses")).ShouldBe("127.0.0.1");
        (await ExecuteAsync(second, "SELECT lower('ÀÉ') || (SELECT string_agg(x, '' ORDER BY x) FROM unnest(ARRAY['b', 'a', 'B', 'é']) x)")).ShouldBe("àéBabé");
    }

    [Fact]
    public void Two_processes_do_not_share_a_data_directory()
    {
        var options = new StackOptions { DataDirectory = _folder, Postgres = false, Blobs = false };
        using var first = LocalServices.Start(options, _ => { });

        Should.Throw<LocalStackException>(() => LocalServices.Start(options, _ => { })).Message
            .ShouldContain($"Process {Environment.ProcessId} already runs services in {_folder}");
    }

    [Fact]
    public async Task A_terminated_app_leaves_no_process()
    {
        using var app = await StartAppAsync();

        using (var kill = Process.Start("kill", ["-TERM", app.Id.ToString()]))
            await kill.WaitForExitAsync();
        await app.WaitForExitAsync();

        app.ExitCode.ShouldBe(0);
        await Eventually.UntilAsync(() => Task.FromResult(ProcessesIn(_folder).Count == 0));
    }

    [Fact]
    public async Task An_app_that_is_killed_at_any_moment_takes_its_services_with_it_and_the_next_start_works()
    {
        foreach (var moment in (string[])["creating a cluster", "Redis is ready", "PostgreSQL is ready", "is ready: http"])
        {
            using var app = await StartAppAsync(moment);
            await Task.Delay(Random.Shared.Next(300));
            // The next start comes at once, while this one's services may still be ending.
            app.Kill();
            await app.WaitForExitAsync();
        }

        using var last = await StartAppAsync();
        ProcessesIn(_folder).Count.ShouldBeGreaterThanOrEqualTo(3);
        last.Kill();
        await Eventually.UntilAsync(() => Task.FromResult(ProcessesIn(_folder).Count == 0));
    }

    [Fact]
    public async Task A_leftover_is_stopped_by_the_next_start_and_strangers_are_not()
    {
        Directory.CreateDirectory(_folder);
        using var stranger = new Stranger();
        File.WriteAllText(Path.Combine(_folder, "service.pid"), stranger.Id.ToString());
        var lost = ChildProcess.Start("service", _folder, "TERM", ["sleep", "600"]);
        await Eventually.UntilAsync(() => Task.FromResult(ProcessesIn(_folder).Count == 3));
        using var leftover = Process.GetProcessById(ProcessesIn(_folder).Single(id => ReadOrEmpty($"/proc/{id}/comm") == "sleep\n"));
        // With its shells killed, nobody is left who would stop it.
        foreach (var id in ProcessesIn(_folder).Where(id => id != leftover.Id))
            using (var shell = Process.GetProcessById(id))
                shell.Kill();
        lost.Dispose();
        leftover.HasExited.ShouldBeFalse();

        ChildProcess.Run("service", _folder, ["true"]);

        await leftover.WaitForExitAsync(TestContext.Current.CancellationToken);
        stranger.Lives.ShouldBeTrue();
    }

    [Fact]
    public async Task A_server_starts_though_another_process_has_the_id_of_one_that_crashed()
    {
        var options = new StackOptions { DataDirectory = _folder, Redis = false, Blobs = false, Fsync = false };
        LocalServices.Start(options, _ => { }).Dispose();
        // It must belong to the user that PostgreSQL runs as, or PostgreSQL knows by itself that it is none of its own.
        using var stranger = new Stranger([.. PostgresServer.RunAs(_folder)]);
        File.WriteAllText(Path.Combine(_folder, "postgres", "postmaster.pid"), $"{stranger.Id}\n{_folder}/postgres\n1750000000\n5432\n\n127.0.0.1\n");

        using (var services = LocalServices.Start(options, _ => { }))
            (await ExecuteAsync(services, "SELECT 1")).ShouldBe(1);
        stranger.Lives.ShouldBeTrue();
    }

    [Theory]
    [InlineData("/dev/null/data")]
    [InlineData("/proc/data")]
    public void A_data_directory_that_cannot_be_written_is_one_line_that_names_the_setting(string folder)
    {
        var message = Should.Throw<LocalStackException>(() => LocalServices.Start(new StackOptions { DataDirectory = folder }, _ => { })).Message;

        message.ShouldStartWith($"Services cannot keep their data in {folder}: ");
        message.ShouldContain("Local__DataDirectory");
        message.ShouldNotContain("\n");
    }

    [Fact]
    public async Task Missing_programs_are_one_line_with_the_command_that_installs_them() =>
        (await FailedStartAsync(new() { ["PATH"] = "/nonexistent", ["POSTGRES_HOST"] = "127.0.0.1" })).ShouldBe(
            "Missing: setsid, flock, redis-server, node, npm. Install with `sudo apt-get install util-linux redis-server nodejs npm`, "
            + "or set REDIS_CONNECTION, BLOB_CONNECTION to what runs elsewhere.\n");

    [Fact]
    public async Task A_node_that_is_too_old_is_named_with_its_version()
    {
        var node = Path.Combine(Directory.CreateDirectory(_folder).FullName, "node");
        await File.WriteAllTextAsync(node, "#!/bin/sh\necho v12.22.9\n", TestContext.Current.CancellationToken);
        File.SetUnixFileMode(node, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);

        (await FailedStartAsync(new() { ["PATH"] = $"{_folder}:{Environment.GetEnvironmentVariable("PATH")}", ["POSTGRES_HOST"] = "127.0.0.1", ["REDIS_CONNECTION"] = "127.0.0.1:1" }))
            .ShouldStartWith($"Azurite needs Node 18 or newer, and {node} is v12.22.9: ");
    }

    [Fact]
    public void Only_what_is_asked_for_is_missed()
    {
        Directory.CreateDirectory(_folder);
        foreach (var name in (string[])["setsid", "flock", "npm"])
            File.WriteAllText(Path.Combine(_folder, name), "");
        List<MissingTool> Find(bool postgres, bool redis, bool blobs) => MissingTools.Find(
            new StackOptions { DataDirectory = _folder, Postgres = postgres, Redis = redis, Blobs = blobs }, path: _folder, distribution: "/nonexistent");

        Find(postgres: false, redis: false, blobs: true).Select(tool => tool.Name).ShouldBe(["node"]);
        Find(postgres: false, redis: true, blobs: false).Select(tool => tool.Name).ShouldBe(["redis-server"]);
        MissingTools.Explain(Find(postgres: true, redis: false, blobs: false)).ShouldBe(
            "Missing: PostgreSQL 15 or newer. Install with `sudo apt-get install postgresql`, or set POSTGRES_HOST to what runs elsewhere.");
    }

    [Theory]
    [InlineData("initdb: creating files|initdb: error: could not write: No space left on device|initdb: removing contents of data directory", "initdb: error: could not write: No space left on device")]
    [InlineData("LOG:  starting|FATAL:  could not create lock file|LOG:  shut down", "FATAL:  could not create lock file")]
    [InlineData("npm error code ENOSPC|npm error A complete log of this run is elsewhere", "npm error code ENOSPC")]
    [InlineData("node:internal/errors:496|  throw e;||Error: listen EADDRINUSE|    at Server", "Error: listen EADDRINUSE")]
    [InlineData("/x/main.js:7|  a ??= b|SyntaxError: Unexpected token '??='|", "SyntaxError: Unexpected token '??='")]
    [InlineData("Reading package lists...|E: Unable to locate package x", "E: Unable to locate package x")]
    [InlineData("one|two|", "two")]
    [InlineData("", null)]
    public void What_a_failed_program_complains_of_is_found_in_its_output(string output, string? complaint) =>
        Tools.Complaint(output.Split('|')).ShouldBe(complaint);

    [Fact]
    public void A_service_is_started_only_when_its_connection_is_not_configured()
    {
        StackOptions Read(params (string, string)[] settings) => StackOptions.FromConfiguration(
            new ConfigurationBuilder().AddInMemoryCollection(settings.ToDictionary(pair => pair.Item1, pair => (string?)pair.Item2)).Build());

        Read().ShouldSatisfyAllConditions(options => options.Postgres.ShouldBeTrue(), options => options.Redis.ShouldBeTrue(), options => options.Blobs.ShouldBeTrue());
        Read(("POSTGRES_HOST", "db")).Postgres.ShouldBeFalse();
        Read(("DATABASE_URL", "postgres://x")).Postgres.ShouldBeFalse();
        Read(("REDIS_CONNECTION", "r:1")).Redis.ShouldBeFalse();
        Read(("AzureWebJobsStorage", "UseDevelopmentStorage=true")).Blobs.ShouldBeFalse();
        Read(("Local:DataDirectory", _folder)).DataDirectory.ShouldBe(_folder);
    }

    [Fact]
    public void A_server_older_than_15_or_absent_is_not_taken()
    {
        Directory.CreateDirectory(Path.Combine(_folder, "14", "bin"));
        File.WriteAllText(Path.Combine(_folder, "14", "bin", "initdb"), "");
        PostgresPrograms.Find(path: "/nonexistent", distribution: _folder).ShouldBeNull();

        Directory.CreateDirectory(Path.Combine(_folder, "16", "bin"));
        File.WriteAllText(Path.Combine(_folder, "16", "bin", "initdb"), "");
        PostgresPrograms.Find(path: "/nonexistent", distribution: _folder).ShouldBe(Path.Combine(_folder, "16", "bin"));
    }

    // The app as a process of its own; returns when it has printed that line, or is ready.
    private async Task<Process> StartAppAsync(string until = "is ready: http")
    {
        var app = Process.Start(AppStart([]))!;
        var lines = new List<string>();
        while (await app.StandardOutput.ReadLineAsync() is { } line)
        {
            lines.Add(line);
            if (!line.Contains(until, StringComparison.Ordinal) && !line.Contains("is ready: http", StringComparison.Ordinal))
                continue;
            // Somebody must go on reading, or the app stops at a full pipe.
            _ = app.StandardOutput.ReadToEndAsync();
            _ = app.StandardError.ReadToEndAsync();
            return app;
        }
        throw new InvalidOperationException($"The app did not start: {string.Join(" | ", lines)} {await app.StandardError.ReadToEndAsync()}");
    }

    // What an app says that cannot start: one line.
    private async Task<string> FailedStartAsync(Dictionary<string, string> settings)
    {
        using var app = Process.Start(AppStart(settings))!;
        var (output, errors) = (app.StandardOutput.ReadToEndAsync(), app.StandardError.ReadToEndAsync());
        await app.WaitForExitAsync();
        app.ExitCode.ShouldBe(1);
        (await output).ShouldBe("");
        (await errors).Trim().ShouldNotContain("\n");
        return await errors;
    }

    private ProcessStartInfo AppStart(Dictionary<string, string> settings)
    {
        var start = new ProcessStartInfo("dotnet", ["exec", Path.Combine(AppContext.BaseDirectory, "FunctionsRegistry.Functions.dll")])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (key, value) in new Dictionary<string, string>(settings) { ["Local__Port"] = "0", ["Local__ContractPorts"] = "false", ["Local__DataDirectory"] = _folder })
            start.Environment[key] = value;
        return start;
    }

    private static string Redis(LocalServices services, string command)
    {
        var answer = "";
        ChildProcess.Probe(int.Parse(services.Settings["REDIS_CONNECTION"]!.Split(':')[1]), Encoding.ASCII.GetBytes(command + "\r\n"), bytes =>
        {
            answer = Encoding.ASCII.GetString(bytes).TrimEnd('\0', '\r', '\n');
            return true;
        });
        return answer;
    }

    private static async Task<object?> ExecuteAsync(LocalServices services, string sql)
    {
        var settings = services.Settings;
        await using var connection = new NpgsqlConnection(
            $"Host={settings["POSTGRES_HOST"]};Port={settings["POSTGRES_PORT"]};Username={settings["POSTGRES_USER"]};Password={settings["POSTGRES_PASSWORD"]};Database={settings["POSTGRES_DB"]};Pooling=false");
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteScalarAsync();
    }

    // Those that have the folder in their command line or work in it.
    private static List<int> ProcessesIn(string folder) => [.. Directory.GetDirectories("/proc")
        .Where(process => int.TryParse(Path.GetFileName(process), out _))
        .Where(process => ReadOrEmpty($"{process}/cmdline").Contains(folder, StringComparison.Ordinal)
            || new FileInfo($"{process}/cwd").LinkTarget?.StartsWith(folder, StringComparison.Ordinal) == true)
        .Select(process => int.Parse(Path.GetFileName(process)))];

    private static string ReadOrEmpty(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (IOException)
        {
            return "";
        }
    }

    /// <summary>A process that has nothing to do with the services.</summary>
    private sealed class Stranger(params string[] prefix) : IDisposable
    {
        private readonly Process _process = Process.Start(prefix is [var program, ..] ? program : "sleep", prefix is [_, .. var rest] ? [.. rest, "sleep", "600"] : ["600"]);

        public int Id => _process.Id;

        public bool Lives => !_process.HasExited;

        public void Dispose()
        {
            _process.Kill();
            _process.WaitForExit();
            _process.Dispose();
        }
    }
}
