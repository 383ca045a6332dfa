using System.Diagnostics;
using FunctionsRegistry.Tests.Support;

namespace FunctionsRegistry.Tests.Azure;

/// <summary>The scripts of a rollout: the smoke test against the real app, the migration with recorders in place of `az` and `dotnet`.</summary>
public sealed class HookTests(RegistryApp app) : IClassFixture<RegistryApp>, IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("functionsregistry-hooks-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task The_smoke_test_passes_on_a_healthy_app()
    {
        var (code, output) = await RunAsync("smoke.sh", ("REGISTRY_URL", app.Client.BaseAddress!.ToString()), ("REGISTRY_SMOKE_TRIES", "1"));

        code.ShouldBe(0, output);
        output.ShouldContain("ok      marketplace refuses strangers");
    }

    [Fact]
    public async Task The_smoke_test_fails_on_an_app_without_redis()
    {
        using var client = await app.StartAsync(new Dictionary<string, string> { ["REDIS_CONNECTION"] = "127.0.0.1:1" });

        var (code, output) = await RunAsync("smoke.sh", ("REGISTRY_URL", client.BaseAddress!.ToString()), ("REGISTRY_SMOKE_TRIES", "0"));

        code.ShouldBe(1);
        output.ShouldContain("FAILED  health: every dependency");
    }

    [Theory]
    [InlineData("Succeeded", 0)]
    [InlineData("Failed", 1)]
    public async Task A_migration_is_pushed_run_and_waited_for(string status, int expected)
    {
        var (code, output) = await MigrateAsync(status, ("FunctionsRuntime", "Azure"));

        code.ShouldBe(expected, output);
        var calls = await File.ReadAllLinesAsync(Path.Combine(_folder, "calls"));
        calls.Select(call => string.Join(' ', call.Split(' ').Take(4))).ShouldBe(
            ["az acr login --name", "dotnet publish functions -c", "az containerapp job update", "az containerapp job start", "az containerapp job execution"]);
        calls[0].ShouldContain("--name crexample ");
        calls[1].ShouldContain("-p:ContainerRegistry=crexample.azurecr.io -p:ContainerRepository=registry-migrate -p:ContainerImageTag=tag-1");
        calls[2].ShouldContain("--image crexample.azurecr.io/registry-migrate:tag-1");
        calls[4].ShouldContain("--job-execution-name execution-1");
        // In the environment only: arguments are visible to everybody on the machine.
        calls.ShouldAllBe(call => !call.Contains("the-token"));
        (await File.ReadAllTextAsync(Path.Combine(_folder, "password"))).Trim().ShouldBe("the-token");
    }

    [Fact]
    public async Task A_deployment_of_the_local_runtime_is_stopped_before_anything_happens()
    {
        var (code, output) = await MigrateAsync("Succeeded");

        code.ShouldBe(1);
        output.ShouldContain("FunctionsRuntime=Azure azd up");
        File.Exists(Path.Combine(_folder, "calls")).ShouldBeFalse();
    }

    private Task<(int Code, string Output)> MigrateAsync(string status, params (string Name, string Value)[] more)
    {
        Write("az", $"""
            echo "az $*" >> '{_folder}/calls'
            case "$*" in
              *"acr login"*) echo the-token ;;
              *"job start"*) echo execution-1 ;;
              *"execution show"*) echo {status} ;;
            esac
            """);
        Write("dotnet", $"""
            echo "dotnet $*" >> '{_folder}/calls'
            echo "$DOTNET_CONTAINER_REGISTRY_PWORD" > '{_folder}/password'
            """);
        return RunAsync("migrate.sh",
        [
            ("AZURE_RESOURCE_GROUP", "rg"), ("REGISTRY_CONTAINER_REGISTRY", "crexample.azurecr.io"), ("REGISTRY_MIGRATE_JOB", "job"),
            ("REGISTRY_IMAGE_TAG", "tag-1"), .. more,
        ]);
    }

    private void Write(string name, string script)
    {
        var file = Path.Combine(_folder, name);
        File.WriteAllText(file, "#!/bin/sh\n" + script + "\n");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserExecute);
    }

    private async Task<(int Code, string Output)> RunAsync(string hook, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo("bash", [Path.Combine(BicepFiles.Folder, "hooks", hook)])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["PATH"] = _folder + Path.PathSeparator + start.Environment["PATH"];
        start.Environment.Remove("FunctionsRuntime");
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        return (process.ExitCode, await output + await error);
    }
}
