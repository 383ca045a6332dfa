using FunctionsRegistry.LocalRuntime.Hosting;
using FunctionsRegistry.LocalRuntime.Timers;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.Tests.LocalRuntime;

public sealed class HostSettingsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("host-settings").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Both_files_are_read_as_core_tools_does()
    {
        Write("host.json", """
            { // a comment
              "version": "2.0", "functionTimeout": "00:02:00", "extensions": { "http": { "routePrefix": "/x/" }, "durableTask": { "hubName": "h" } },
              "logging": { "logLevel": { "default": "Warning", "My.Area": "Debug", } },
            }
            """);
        Write("local.settings.json", """{ "Values": { "A__B": "1", "C": "2" }, "Host": { "LocalHttpPort": 7099 } }""");

        var settings = HostSettings.Read(_folder);

        settings.RoutePrefix.ShouldBe("x");
        settings.FunctionTimeout.ShouldBe(TimeSpan.FromMinutes(2));
        settings.LogLevels["Default"].ShouldBe(LogLevel.Warning);
        settings.LogLevels["My.Area"].ShouldBe(LogLevel.Debug);
        settings.Values["A:B"].ShouldBe("1");
        settings.LocalHttpPort.ShouldBe(7099);
        settings.Extensions.GetProperty("durableTask").GetProperty("hubName").GetString().ShouldBe("h");
    }

    [Fact]
    public void Without_a_route_prefix_the_host_s_default_holds()
    {
        Write("host.json", """{ "version": "2.0" }""");

        var settings = HostSettings.Read(_folder);

        settings.RoutePrefix.ShouldBe("api");
        settings.LocalHttpPort.ShouldBe(7071);
    }

    [Theory]
    [InlineData("""{ "version": "1.0" }""", "\"version\" must be \"2.0\"")]
    [InlineData("""{ "version": """, "host.json(1,")]
    [InlineData("""{ "version": "2.0", "functionTimeout": "soon" }""", "functionTimeout")]
    [InlineData("""{ "version": "2.0", "logging": { "logLevel": { "default": "loud" } } }""", "loud")]
    public void A_wrong_host_json_is_named_with_its_fault(string text, string fault)
    {
        Write("host.json", text);

        if (fault == "loud")
            fault = "logging.logLevel.default";
        Should.Throw<LocalHostException>(() => HostSettings.Read(_folder)).Message.ShouldContain(fault);
    }

    [Fact]
    public void A_missing_host_json_and_an_encrypted_settings_file_are_named()
    {
        Should.Throw<LocalHostException>(() => HostSettings.Read(_folder)).Message.ShouldContain("host.json is missing");
        Write("host.json", """{ "version": "2.0" }""");
        Write("local.settings.json", """{ "IsEncrypted": true }""");
        Should.Throw<LocalHostException>(() => HostSettings.Read(_folder)).Message.ShouldContain("encrypted");
    }

    [Theory]
    [InlineData("0 */5 * * * *", "2026-01-01T00:05:00")]
    [InlineData("30 7 * * * *", "2026-01-01T00:07:30")]
    [InlineData("0 0 9 * * Mon-Fri", "2026-01-01T09:00:00")]
    [InlineData("00:00:10", "2026-01-01T00:00:11")]
    [InlineData("%My__Schedule%", "2026-01-01T00:00:02")]
    public void Timers_take_cron_with_seconds_spans_and_settings(string text, string next)
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?> { ["My:Schedule"] = "* * * * * *" }).Build();

        TimerSchedule.Parse("f", text, configuration).Next(new DateTime(2026, 1, 1, 0, 0, 1)).ShouldBe(DateTime.Parse(next));
    }

    [Theory]
    [InlineData("*/5 * * * *")]
    [InlineData("often")]
    [InlineData("%Unset%")]
    [InlineData("-00:00:10")]
    public void Anything_else_is_refused_with_the_function_s_name(string text) =>
        Should.Throw<LocalHostException>(() => TimerSchedule.Parse("my_timer", text, new ConfigurationBuilder().Build())).Message.ShouldStartWith("my_timer:");

    private void Write(string name, string text) => File.WriteAllText(Path.Combine(_folder, name), text);
}
