using System.Diagnostics;
using FunctionsRegistry.LocalStack;
using Microsoft.Extensions.Configuration;
using Npgsql;

namespace FunctionsRegistry.Tests.LocalStack;

public sealed class LocalServicesTests : IDisposable
{
    private readonly string _folder = Path.Combine(Path.GetTempPath(), $"stack-{Environment.ProcessId}-{Guid.CreateVersion7():N}"[..40]);

    public void Dispose()
    {
        if (Directory.Exists(_folder))
            Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task A_second_start_finds_the_first_one_s_data()
    {
        var options = new StackOptions { DataDirectory = _folder, Redis = false, Blobs = false, Fsync = false };
        using (var first = LocalServices.Start(options, _ => { }))
            await ExecuteAsync(first, "CREATE TABLE kept (x int); INSERT INTO kept VALUES (42)");
        ProcessesIn(_folder).ShouldBeEmpty();

        using var second = LocalServices.Start(options, _ => { });
        (await ExecuteAsync(second, "SELECT x FROM kept")).ShouldBe(42);
        ((string)(await ExecuteAsync(second, "SHOW listen_addresses"))!).ShouldBe("127.0.0.1");
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
    public async Task An_app_that_is_killed_takes_its_services_with_it_and_the_next_start_works()
    {
        for (var round = 0; round < 2; round++)
        {
            using var app = await StartAppAsync();
            ProcessesIn(_folder).Count.ShouldBeGreaterThanOrEqualTo(3);

            app.Kill();

            // The second start comes at once, while the first one's services may still be ending.
            if (round == 0)
                continue;
            await UntilAsync(() => ProcessesIn(_folder).Count == 0);
        }
    }

    [Fact]
    public async Task A_terminated_app_leaves_no_process()
    {
        using var app = await StartAppAsync();

        using (var kill = Process.Start("kill", ["-TERM", app.Id.ToString()]))
            await kill.WaitForExitAsync();
        await app.WaitForExitAsync();

        app.ExitCode.ShouldBe(0);
        await UntilAsync(() => ProcessesIn(_folder).Count == 0);
    }

    [Fact]
    public void A_leftover_of_a_crash_is_stopped_by_the_next_start_and_strangers_are_not()
    {
        Directory.CreateDirectory(_folder);
        using var leftover = Process.Start(new ProcessStartInfo("sh") { ArgumentList = { "-c", "sleep 98765; exit 0", _folder } })!;
        using var stranger = Process.Start("sleep", "98764");
        File.WriteAllText(Path.Combine(_folder, "redis.pid"), leftover.Id.ToString());
        File.WriteAllText(Path.Combine(_folder, "azurite.pid"), stranger.Id.ToString());

        ChildProcess.StopLeftover(_folder, "redis");
        ChildProcess.StopLeftover(_folder, "azurite");

        leftover.WaitForExit(2000).ShouldBeTrue();
        stranger.HasExited.ShouldBeFalse();
        stranger.Kill();
    }

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

    private async Task<Process> StartAppAsync()
    {
        var start = new ProcessStartInfo("dotnet", ["exec", Path.Combine(AppContext.BaseDirectory, "FunctionsRegistry.Functions.dll")]) { RedirectStandardOutput = true };
        foreach (var (key, value) in (Dictionary<string, string>)new()
        {
            ["Local__Port"] = "0",
            ["Local__ContractPorts"] = "false",
            ["Local__DataDirectory"] = _folder,
        })
            start.Environment[key] = value;
        var app = Process.Start(start)!;
        var lines = new List<string>();
        while (await app.StandardOutput.ReadLineAsync() is { } line)
        {
            lines.Add(line);
            if (!line.Contains("is ready: http", StringComparison.Ordinal))
                continue;
            // Somebody must go on reading, or the app stops at a full pipe.
            _ = app.StandardOutput.ReadToEndAsync();
            return app;
        }
        throw new InvalidOperationException("The app did not start: " + string.Join(" | ", lines));
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

    private static List<string> ProcessesIn(string folder) => [.. Directory.GetDirectories("/proc").Where(process => int.TryParse(Path.GetFileName(process), out _))
        .Select(process => Path.Combine(process, "cmdline")).Where(file => ReadOrEmpty(file).Contains(folder, StringComparison.Ordinal))];

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

    private static async Task UntilAsync(Func<bool> holds)
    {
        var clock = Stopwatch.StartNew();
        while (!holds())
        {
            clock.Elapsed.TotalSeconds.ShouldBeLessThan(15);
            await Task.Delay(50);
        }
    }
}
