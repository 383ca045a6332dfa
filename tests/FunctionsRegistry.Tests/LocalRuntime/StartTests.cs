using System.Net;
using System.Net.Sockets;
using FunctionsRegistry.LocalRuntime;
using FunctionsRegistry.LocalRuntime.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace FunctionsRegistry.Tests.LocalRuntime;

public sealed class StartTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("runtime-start").FullName;

    public StartTests() => Write("host.json", """{ "version": "2.0" }""");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(typeof(SameName), "SameName.First and ", " are both named ")]
    [InlineData(typeof(SameRoute), "one and two have the same route", "x/{y}")]
    [InlineData(typeof(Reserved), "one: the route 'Runtime/x' may not start with 'runtime'", "")]
    [InlineData(typeof(TwoTriggers), "one: a function has exactly one trigger", "TwoTriggers.First has 2")]
    [InlineData(typeof(Unbindable), "one: nothing can fill the parameter body of type Version[]", "")]
    [InlineData(typeof(WrongTrigger), "one: nothing can fill the parameter text of type String", "")]
    [InlineData(typeof(AbstractClass), "cannot be called", "AbstractClass.First")]
    [InlineData(typeof(BrokenRoute), "one: the route 'api/x/{y' is wrong", "")]
    [InlineData(typeof(UnknownConstraint), "one: the route 'api/x/{y:even}' is wrong", "even")]
    [InlineData(typeof(WrongSchedule), "one: 'often' is neither", "")]
    [InlineData(typeof(UnsetSchedule), "one: the setting %Unset__Schedule% is not set", "")]
    public void A_function_that_could_not_run_is_refused_before_the_host_starts(Type functions, string text, string more)
    {
        var message = Should.Throw<LocalHostException>(() => RuntimeApp.CreateBuilder(_folder, [functions]).Build()).Message;

        message.ShouldContain(text);
        message.ShouldContain(more);
        message.ShouldNotContain("\n");
    }

    [Fact]
    public async Task A_taken_port_is_one_line_that_names_the_setting()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var port = ((IPEndPoint)taken.LocalEndpoint).Port;
        using var host = RuntimeApp.CreateBuilder(_folder, [], null, $"--Local__Port={port}").Build();

        var message = (await Should.ThrowAsync<LocalHostException>(host.StartAsync())).Message;

        message.ShouldStartWith($"Port {port} is taken");
        message.ShouldContain("Local__Port");
    }

    [Theory]
    [InlineData("--Local:Port=high", "Local:Port must be a port number, not 'high'.")]
    [InlineData("--Local:Address=here", "Local:Address must be an IP address, not 'here'.")]
    [InlineData("--Local:ContractPorts=maybe", "Local:ContractPorts must be true or false, not 'maybe'.")]
    public void A_wrong_setting_is_named(string argument, string message) =>
        Should.Throw<LocalHostException>(() => RuntimeApp.CreateBuilder(_folder, [], null, argument)).Message.ShouldBe(message);

    [Theory]
    [InlineData("{\n\"Values\": {\n\"A\": \"1\",,\n}}", "local.settings.json(3,")]
    [InlineData("{\n\"Values\": {\n\"B\": \"1\",\n\"A\": {}\n}}", "local.settings.json(4): \"Values.A\" must be text")]
    [InlineData("{ \"Values\": [] }", "local.settings.json(1): \"Values\" must be an object")]
    [InlineData("[]", "local.settings.json(1): must be a JSON object")]
    [InlineData("{ // ports\n\"Host\": { \"LocalHttpPort\": 70710 } }", "local.settings.json(2): \"Host.LocalHttpPort\" must be a port number")]
    public void A_wrong_settings_file_is_named_with_its_line(string text, string message)
    {
        Write("local.settings.json", text);

        Should.Throw<LocalHostException>(() => RuntimeApp.CreateBuilder(_folder, [])).Message.ShouldContain(message);
    }

    [Theory]
    [InlineData("{\n\"version\": \"2.0\",\n\"extensions\": { \"http\": {\n\"routePrefix\": 5 } } }", "host.json(4): \"extensions.http.routePrefix\" must be a string")]
    [InlineData("{\n\"version\": \"2.0\",\n\"extensions\": { \"http\": 5 } }", "host.json(3): \"extensions.http\" must be an object")]
    [InlineData("{\n\"version\": 2.0 }", "host.json(2): \"version\" must be \"2.0\"")]
    [InlineData("{\n\"version\": \"2.0\", \"logging\": {\n\n\"logLevel\": { \"X\": \"Noisy\" } } }", "host.json(4): \"logging.logLevel.X\" is not a log level")]
    public void A_wrong_host_file_is_named_with_its_line(string text, string message)
    {
        Write("host.json", text);

        Should.Throw<LocalHostException>(() => RuntimeApp.CreateBuilder(_folder, [])).Message.ShouldContain(message);
    }

    [Fact]
    public void Later_sources_win_and_both_spellings_name_a_setting()
    {
        Write("local.settings.json", """
            { "Values": { "Rt_File__One": "file", "Rt_Env__One": "file", "Rt_Line:One": "file", "AZURE_FUNCTIONS_Rt_Bare": "file", "AZURE_FUNCTIONS_ENVIRONMENT": "Staging" } }
            """);
        Environment.SetEnvironmentVariable("Rt_Env__One", "environment");
        Environment.SetEnvironmentVariable("AZURE_FUNCTIONS_Rt_Prefixed", "environment");
        Environment.SetEnvironmentVariable("Rt_Line__One", "environment");
        try
        {
            var builder = RuntimeApp.CreateBuilder(_folder, [], null, "--Rt_Line__One=line");

            builder.Configuration["Rt_File:One"].ShouldBe("file");
            builder.Configuration["Rt_Env:One"].ShouldBe("environment");
            builder.Configuration["Rt_Line:One"].ShouldBe("line");
            builder.Configuration["Rt_Bare"].ShouldBe("file");
            builder.Configuration["Rt_Prefixed"].ShouldBe("environment");
            builder.Environment.EnvironmentName.ShouldBe(Environment.GetEnvironmentVariable("AZURE_FUNCTIONS_ENVIRONMENT") ?? "Staging");
        }
        finally
        {
            foreach (var name in (string[])["Rt_Env__One", "AZURE_FUNCTIONS_Rt_Prefixed", "Rt_Line__One"])
                Environment.SetEnvironmentVariable(name, null);
        }
    }

    [Fact]
    public void The_table_lists_functions_by_name_with_their_routes_and_attributes()
    {
        using var host = RuntimeApp.CreateBuilder(_folder, [typeof(Listed)]).Build();

        var functions = host.Services.GetRequiredService<FunctionTable>().All;

        functions.Select(function => function.Name).ShouldBe(["Alpha", "beta"]);
        functions[0].Route.ShouldBe("Alpha");
        functions[1].Route.ShouldBe("b/{id}");
        functions[1].Methods.ShouldBe(["get", "head"]);
        functions[1].Type.ShouldBe(typeof(Listed));
        functions[1].Method.IsDefined(typeof(ObsoleteAttribute), false).ShouldBeTrue();
    }

    private void Write(string name, string text) => File.WriteAllText(Path.Combine(_folder, name), text);

#pragma warning disable IDE0060, CA1801, CA1822, CA1041 // The parameters are what is bound.
    internal static class SameName
    {
        [Function("one")]
        public static void First([HttpTrigger("get", Route = "x")] HttpRequest request) { }

        [Function("ONE")]
        public static void Second([HttpTrigger("get", Route = "y")] HttpRequest request) { }
    }

    internal static class SameRoute
    {
        [Function("one")]
        public static void First([HttpTrigger("get", "post", Route = "x/{y}")] HttpRequest request) { }

        [Function("two")]
        public static void Second([HttpTrigger("POST", Route = "/X/{y}/")] HttpRequest request) { }
    }

    internal static class Reserved
    {
        [Function("one")]
        public static void First([HttpTrigger("get", Route = "Runtime/x")] HttpRequest request) { }
    }

    internal static class TwoTriggers
    {
        [Function("one")]
        public static void First([HttpTrigger("get")] HttpRequest request, [TimerTrigger("0 * * * * *")] TimerInfo timer) { }
    }

    internal static class Unbindable
    {
        [Function("one")]
        public static void First([HttpTrigger("get")] HttpRequest request, Version[] body) { }
    }

    internal static class WrongTrigger
    {
        [Function("one")]
        public static void First([HttpTrigger("get")] string text) { }
    }

    internal abstract class AbstractClass
    {
        [Function("one")]
        public void First([HttpTrigger("get")] HttpRequest request) { }
    }

    internal static class BrokenRoute
    {
        [Function("one")]
        public static void First([HttpTrigger("get", Route = "x/{y")] HttpRequest request) { }
    }

    internal static class UnknownConstraint
    {
        [Function("one")]
        public static void First([HttpTrigger("get", Route = "x/{y:even}")] HttpRequest request) { }
    }

    internal static class WrongSchedule
    {
        [Function("one")]
        public static void First([TimerTrigger("often")] TimerInfo timer) { }
    }

    internal static class UnsetSchedule
    {
        [Function("one")]
        public static void First([TimerTrigger("%Unset__Schedule%")] TimerInfo timer) { }
    }

    internal sealed class Listed
    {
        [Obsolete]
        [Function("beta")]
        public static void Second([HttpTrigger("get", "head", Route = "b/{id}")] HttpRequest request) { }

        [Function("Alpha")]
        public static void First([HttpTrigger("get")] HttpRequest request) { }
    }
#pragma warning restore IDE0060, CA1801, CA1822, CA1041
}
